"""Many images: each is done, one that fails is named, and what is there is not made again."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_stem_inpaint.batch import Done, items_of, reconstruct_each
from napari_stem_inpaint.cli import main
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.frames import Measurement
from napari_stem_inpaint.io import read, read_measurement, write_measurement
from napari_stem_inpaint.params import ReconstructionParams
from napari_stem_inpaint.reconstruction import reconstruct

QUICK = ReconstructionParams(solver="cubic")
SHAPE = (32, 40)


def lattice(k: int) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (2 + np.cos(0.5 * y + k) + np.cos(0.4 * x)).astype(np.float32)


MASK = np.random.default_rng(0).random(SHAPE) < 0.4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two measurements, one damaged file, a stack with NaN and its mask are lying around."""
    made = tmp_path / "data"
    made.mkdir()
    for k, name in enumerate("ab"):
        write_measurement(made / f"{name}.stem.tif", Measurement(lattice(k), MASK, (0.02, 0.02), "none", None, name))
    (made / "broken.tif").write_bytes(b"II*\0nothing")
    (made / "notes.txt").write_text("not an image")
    return made


def ends(steps: object) -> list[Done]:
    return [step for step in steps if isinstance(step, Done)]  # type: ignore[attr-defined]


def test_every_image_of_a_folder_is_done_and_the_damaged_one_is_named(folder: Path, tmp_path: Path) -> None:
    items = items_of([folder])
    assert [item.name for item in items] == ["a", "b", "broken"]
    out = tmp_path / "results"
    a, b, broken = ends(reconstruct_each(items, QUICK, out))
    assert "broken.tif" in broken.failure
    assert (a.place, b.place, broken.place) == (0, 1, 2)
    assert sorted(file.name for file in out.iterdir()) == ["a_reconstructed.tif", "b_reconstructed.tif"]
    (written,) = read(out / "b_reconstructed.tif")
    assert np.array_equal(written.image, reconstruct(read_measurement(folder / "b.stem.tif"), QUICK).image)
    assert written.pixel_size_nm == (0.02, 0.02)


def test_what_is_there_is_not_made_again_unless_something_changed(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    ends(reconstruct_each(items_of([folder]), QUICK, out))
    again = ends(reconstruct_each(items_of([folder]), QUICK, out))
    assert [done.result for done in again] == [None] * 3
    assert [bool(done.failure) for done in again] == [False, False, True]
    other = ends(reconstruct_each(items_of([folder]), QUICK.model_copy(update={"solver": "linear"}), out))
    assert [done.result is not None for done in other] == [True, True, False]
    (out / "a_reconstructed.tif").write_bytes(b"cut off")
    write_measurement(folder / "b.stem.tif", Measurement(lattice(5), MASK, None, "none", None, "b"))
    changed = ends(reconstruct_each(items_of([folder]), QUICK.model_copy(update={"solver": "linear"}), out))
    assert [done.result is not None for done in changed] == [True, True, False]


def test_results_and_the_mask_in_a_folder_are_no_input(folder: Path) -> None:
    (folder / "broken.tif").unlink()
    tifffile.imwrite(folder / "mask.tif", MASK.astype(np.uint8))
    ends(reconstruct_each(items_of([folder], folder / "mask.tif"), QUICK, folder))
    assert [item.name for item in items_of([folder], folder / "mask.tif")] == ["a", "b"]


def test_an_image_without_the_mark_fails_and_the_others_are_done(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "series.tif", np.stack([np.where(MASK, lattice(0), np.nan), lattice(1)]).astype(np.float32))
    first, second = ends(reconstruct_each(items_of([tmp_path / "series.tif"], "nan"), QUICK))
    assert first.result is not None
    assert "No pixel of the image is NaN" in second.failure


def test_planes_of_a_stack_are_numbered_and_nan_marks_what_is_unmeasured(tmp_path: Path) -> None:
    stack = np.stack([np.where(MASK, lattice(k), np.nan) for k in range(11)]).astype(np.float32)
    tifffile.imwrite(tmp_path / "series.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    items = items_of([tmp_path / "series.tif"], "nan")
    assert [item.name for item in items][:2] == ["series_00", "series_01"]
    first, *_ = ends(reconstruct_each(items[:1], QUICK))
    assert first.result is not None
    assert np.array_equal(first.result.image, reconstruct(Measurement.from_arrays(lattice(0), MASK), QUICK).image)


def test_zero_marks_what_is_unmeasured_only_where_that_is_said(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "zeros.tif", np.where(MASK, lattice(0), 0).astype(np.float32))
    assert np.array_equal(read_measurement(tmp_path / "zeros.tif", "zero").mask, MASK)
    with pytest.raises(InputError, match="does not say which positions were measured"):
        read_measurement(tmp_path / "zeros.tif")


def test_files_of_one_name_keep_apart(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_measurement(other / "a.stem.tif", Measurement(lattice(3), MASK, None, "none", None, "a"))
    assert [item.name for item in items_of([folder / "a.stem.tif", other])] == ["a", "a-2"]


def test_iterates_come_before_the_end_of_each(folder: Path) -> None:
    kinds = [type(step).__name__ for step in reconstruct_each(items_of([folder]), QUICK)]
    assert kinds == ["Iterate", "Done", "Iterate", "Done", "Done"]


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image to reconstruct"):
        items_of([tmp_path])


def test_the_command_does_the_same(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results"
    command = ["reconstruct", str(folder), "--solver", "cubic", "--out", str(out)]
    assert main(command) == 1
    told = capsys.readouterr()
    assert "1 of 3 images failed" in told.err
    assert "broken: " in told.err
    assert "a: cubic interpolation" in told.out
    (folder / "broken.tif").unlink()
    assert main(command) == 0
    assert "b: there already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--out", "result.tif"], "go into a folder"),
        (["--out", "results", "--index", "1"], "--index is for a single image"),
        (["--out", "nowhere/results"], "cannot be made"),
    ],
)
def test_what_makes_no_sense_for_several_is_said(folder: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconstruct", str(folder), *options]) == 2
    assert told in capsys.readouterr().err


def test_a_checkpoint_that_cannot_be_used_ends_it_at_once(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconstruct", str(folder), "--checkpoint", "nobody", "--out", str(tmp_path / "results")]) == 2
    assert "no checkpoint 'nobody'" in capsys.readouterr().err


def test_a_measurement_is_loaded_only_when_its_turn_has_come(folder: Path) -> None:
    loaded = []
    items = [
        dataclasses.replace(item, load=lambda item=item: loaded.append(item.name) or item.load())  # type: ignore[misc]
        for item in items_of([folder])
    ]
    steps = reconstruct_each(items, QUICK)
    next(steps)
    assert loaded == ["a"]
