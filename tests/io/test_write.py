"""Writing and reading back: exact pixels, pixel size, mask, scan, recipe; nothing left behind when writing fails."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.frames import Frame, Measurement, Reconstruction, Scan
from napari_stem_inpaint.io import read, read_measurement, read_scan, write_frame, write_measurement, write_reconstruction, write_scan
from napari_stem_inpaint.io.boundary import write_atomically
from napari_stem_inpaint.io.direct_electron import find_companions

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
SIZES = st.one_of(st.none(), st.tuples(*[st.floats(2e-4, 9e5)] * 2))
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
RNG = np.random.default_rng(7)
IMAGE = RNG.random((12, 17)).astype(np.float32)
MASK = RNG.random((12, 17)) < 0.4


def _measurement(**changes: object) -> Measurement:
    given = {"values": IMAGE, "mask": MASK, "pixel_size_nm": (0.02, 0.03), "noise": "none", "name": "scan 7"}
    return Measurement(**{**given, **changes})


# ---- round trips


@QUICK
@given(image=hnp.arrays(np.float32, SHAPES, elements=st.floats(width=32)), size=SIZES, name=st.text(max_size=8))
def test_frame_round_trip(tmp_path: Path, image: np.ndarray, size: tuple[float, float] | None, name: str) -> None:
    path = tmp_path / "frame.tif"
    write_frame(path, Frame(image, size, name, {"crystal": "Si", "defects": {"n": np.int64(3), "where": np.ones((2, 2))}}))
    (frame,) = read(path)
    assert np.array_equal(frame.image.view(np.uint32), image.view(np.uint32))
    assert frame.pixel_size_nm == (None if size is None else pytest.approx(size, rel=1e-6))
    assert frame.name == (name or "frame")
    assert frame.metadata["crystal"] == "Si"
    assert frame.metadata["defects"] == {"n": 3, "where": [[1.0, 1.0], [1.0, 1.0]]}
    assert frame.metadata["source"] == "frame.tif"


@QUICK
@given(data=st.data(), shape=SHAPES, size=SIZES, noise=st.sampled_from(["none", "poisson", "unknown"]))
def test_measurement_round_trip(
    tmp_path: Path, data: st.DataObject, shape: tuple[int, int], size: tuple[float, float] | None, noise: str
) -> None:
    values = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
    order = data.draw(st.lists(st.integers(0, values.size - 1), min_size=1, max_size=2 * values.size))
    scan = Scan(np.stack(np.unravel_index(order, shape), axis=1), shape, 3.5)
    written = Measurement(values, scan.mask, size, noise, scan, "m")  # type: ignore[arg-type]
    path = tmp_path / "measured.tif"
    write_measurement(path, written)
    found = read_measurement(path)
    assert np.array_equal(found.values.view(np.uint32), written.values.view(np.uint32))
    assert np.array_equal(found.mask, written.mask)
    assert found.pixel_size_nm == (None if size is None else pytest.approx(size, rel=1e-6))
    assert (found.noise, found.name) == (noise, "m")
    assert found.scan is not None
    assert np.array_equal(found.scan.positions, scan.positions)
    assert found.scan.dwell_time_us == 3.5


def test_scan_in_row_order_costs_nothing(tmp_path: Path) -> None:
    scan = Scan.from_mask(MASK, 2.0)
    write_measurement(tmp_path / "m.tif", _measurement(scan=scan))
    found = read_measurement(tmp_path / "m.tif").scan
    assert found is not None
    assert np.array_equal(found.positions, scan.positions)
    assert "steps" not in _info(tmp_path / "m.tif")["scan"]


def test_measurement_without_scan(tmp_path: Path) -> None:
    write_measurement(tmp_path / "m.tif", _measurement())
    assert read_measurement(tmp_path / "m.tif").scan is None


def test_reconstruction_round_trip(tmp_path: Path) -> None:
    recipe = {"solver": "hqs", "seed": 3, "sigma": [0.1, 5e-5]}
    write_reconstruction(tmp_path / "r.tiff", Reconstruction(IMAGE, (0.01, 0.01), "r", recipe, {"sre_db": np.float64(43.5)}))
    (frame,) = read(tmp_path / "r.tiff")
    assert frame.metadata["recipe"] == recipe
    assert frame.metadata["scores"] == {"sre_db": 43.5}
    assert frame.metadata["kind"] == "reconstruction"
    assert np.array_equal(frame.image, IMAGE)


def test_frame_as_npy(tmp_path: Path) -> None:
    write_frame(tmp_path / "a.npy", Frame(IMAGE))
    assert np.array_equal(np.load(tmp_path / "a.npy"), IMAGE)


def _info(path: Path) -> dict:
    with tifffile.TiffFile(path) as file:
        assert file.imagej_metadata is not None
        return json.loads(file.imagej_metadata["Info"])


def test_others_see_one_calibrated_picture(tmp_path: Path) -> None:
    write_measurement(tmp_path / "m.tif", _measurement())
    with tifffile.TiffFile(tmp_path / "m.tif") as file:
        assert file.is_imagej
        assert len(file.pages) == 1
        assert file.imagej_metadata["unit"] == "nm"
        page = file.pages.first
        assert page.dtype == np.float32
        assert page.resolution == pytest.approx((1 / 0.03, 1 / 0.02))
    assert (tmp_path / "m.tif").stat().st_size < IMAGE.nbytes + 4000


@QUICK
@given(data=st.data(), shape=SHAPES)
def test_scan_round_trip(tmp_path: Path, data: st.DataObject, shape: tuple[int, int]) -> None:
    size = shape[0] * shape[1]
    order = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=size, unique=True))
    scan = Scan(np.stack(np.unravel_index(order, shape), axis=1), shape, 0.1)
    write_scan(tmp_path / "s.csv", scan)
    found = read_scan(tmp_path / "s.csv", shape)
    assert np.array_equal(found.positions, scan.positions)
    assert found.dwell_time_us == 0.1
    for suffix in ("tif", "tiff", "png", "npy"):
        write_scan(tmp_path / f"s.{suffix}", scan)
        assert np.array_equal(read_scan(tmp_path / f"s.{suffix}", shape).mask, scan.mask)
    assert set(np.unique(np.load(tmp_path / "s.npy"))) <= {0, 255}


# ---- scans from elsewhere


@pytest.mark.parametrize(
    ("text", "positions"),
    [
        ("row,column\n1,2\n0,3\n", [[1, 2], [0, 3]]),
        ("# any remark\nrow,column\n1,2\n", [[1, 2]]),
        ("x,y\n2,1\n", [[1, 2]]),
        ('"Column";"Row"\r\n2;1\r\n', [[1, 2]]),
        ("time,x,y\n0.5,2,1\n", [[1, 2]]),
        ("1,2\n0,3\n", [[1, 2], [0, 3]]),
        ("1 2\n0 3\n", [[1, 2], [0, 3]]),
        ("1.0\t2.0\n", [[1, 2]]),
        ("\ufeff1,2\n\n", [[1, 2]]),
    ],
)
def test_positions(tmp_path: Path, text: str, positions: list[list[int]]) -> None:
    (tmp_path / "s.csv").write_text(text, encoding="utf-8", newline="")
    assert read_scan(tmp_path / "s.csv", (4, 5)).positions.tolist() == positions


@pytest.mark.parametrize(
    "text",
    [
        "row,column\n",
        "# only a remark\n",
        "1,2,3\n",
        "a,b\n1,2\n",
        "row,row\n1,2\n",
        "1,2\nx,3\n",
        "1,2\n3\n",
        "0.5,2\n",
        "9,9\n",
        "-1,0\n",
        "nan,1\n",
        "1e300,1\n",
        "\0\0",
    ],
)
def test_bad_positions(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(InputError):
        read_scan(tmp_path / "s.csv", (4, 5))


def test_positions_of_another_frame(tmp_path: Path) -> None:
    write_scan(tmp_path / "s.csv", Scan(np.array([[0, 0]]), (4, 5)))
    with pytest.raises(InputError, match="4 x 5"):
        read_scan(tmp_path / "s.csv", (5, 4))
    (tmp_path / "s.csv").write_bytes(b"\xff\xfe\x00\x01" * 9)
    with pytest.raises(InputError):
        read_scan(tmp_path / "s.csv", (4, 5))


# ---- measurements from elsewhere


def test_mask_is_never_guessed(tmp_path: Path) -> None:
    np.save(tmp_path / "zeros.npy", np.where(MASK, IMAGE, 0))
    np.save(tmp_path / "nan.npy", np.where(MASK, IMAGE, np.nan))
    with pytest.raises(InputError, match="pass a mask"):
        read_measurement(tmp_path / "zeros.npy")
    with pytest.raises(InputError, match=f"{int((~MASK).sum())} NaN pixels.*pass a mask"):
        read_measurement(tmp_path / "nan.npy")


@pytest.mark.parametrize("suffix", ["csv", "tif", "png", "npy"])
def test_foreign_image_with_mask(tmp_path: Path, suffix: str) -> None:
    np.save(tmp_path / "a.npy", np.where(MASK, IMAGE, np.nan))
    write_scan(tmp_path / f"mask.{suffix}", Scan.from_mask(MASK))
    found = read_measurement(tmp_path / "a.npy", tmp_path / f"mask.{suffix}")
    assert np.array_equal(found.values, np.where(MASK, IMAGE, 0))
    assert np.array_equal(found.mask, MASK)
    assert found.noise == "unknown"
    assert (found.scan is not None) == (suffix == "csv")


@pytest.mark.parametrize(("word", "mark"), [("nan", "NaN"), ("zero", "0")])
def test_an_image_without_marks_is_not_taken_as_measured_everywhere(tmp_path: Path, word: str, mark: str) -> None:
    np.save(tmp_path / "a.npy", np.abs(IMAGE) + 1)
    with pytest.raises(InputError, match=f"No pixel of the image is {mark}"):
        read_measurement(tmp_path / "a.npy", word)


def test_masks_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGE)
    np.save(tmp_path / "small.npy", MASK[:-1])
    np.save(tmp_path / "levels.npy", np.arange(IMAGE.size).reshape(IMAGE.shape))
    np.save(tmp_path / "two.npy", np.stack([MASK, MASK]))
    np.save(tmp_path / "none.npy", MASK & False)
    for name, text in [
        ("small", "frame's shape"),
        ("levels", "two values"),
        ("two", "holds 2 images"),
        ("none", "no position"),
        ("gone", "no file"),
    ]:
        with pytest.raises(InputError, match=text):
            read_measurement(tmp_path / "a.npy", tmp_path / f"{name}.npy")


def test_one_of_several_images(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.stack([IMAGE, IMAGE + 1, IMAGE + 2]))
    np.save(tmp_path / "mask.npy", MASK)
    with pytest.raises(InputError, match="holds 3 images; choose one with index 0 to 2"):
        read_measurement(tmp_path / "a.npy", tmp_path / "mask.npy")
    for index in (3, -1):
        with pytest.raises(InputError, match=f"no image {index}"):
            read_measurement(tmp_path / "a.npy", tmp_path / "mask.npy", index=index)
    found = read_measurement(tmp_path / "a.npy", tmp_path / "mask.npy", index=2)
    assert np.array_equal(found.values[MASK], (IMAGE + 2)[MASK])


def test_own_measurement_with_a_mask(tmp_path: Path) -> None:
    scan = Scan.from_mask(MASK)
    write_measurement(tmp_path / "m.tif", _measurement(scan=scan))
    write_scan(tmp_path / "mask.tif", scan)
    found = read_measurement(tmp_path / "m.tif", tmp_path / "mask.tif")
    assert found.noise == "none"
    assert found.scan is not None
    fewer = MASK & (RNG.random(MASK.shape) < 0.5)
    np.save(tmp_path / "fewer.npy", fewer)
    assert np.array_equal(read_measurement(tmp_path / "m.tif", tmp_path / "fewer.npy").mask, fewer)
    np.save(tmp_path / "all.npy", np.ones_like(MASK))
    with pytest.raises(InputError, match=f"marks {int((~MASK).sum())} positions"):
        read_measurement(tmp_path / "m.tif", tmp_path / "all.npy")


def test_changed_measurement_does_not_keep_its_mask(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    write_measurement(path, _measurement())
    with tifffile.TiffFile(path) as file:
        info = file.imagej_metadata["Info"]
    tifffile.imwrite(path, read(path)[0].image[::-1].copy(), imagej=True, metadata={"Info": info, "unit": "nm"}, resolution=(50, 50))
    with pytest.raises(InputError, match="changed"):
        read_measurement(path)
    np.save(tmp_path / "mask.npy", MASK[::-1])
    found = read_measurement(path, tmp_path / "mask.npy")
    assert found.noise == "unknown"
    assert found.pixel_size_nm == pytest.approx((0.02, 0.02))


@pytest.mark.parametrize(
    "damage",
    [{"mask": "AAAA"}, {"mask": None}, {"mask": "not base 64"}, {"noise": None, "mask": ""}, {"scan": {"steps": "x"}}, {"noise": "loud"}],
)
def test_damaged_notes_are_one_sentence(tmp_path: Path, damage: dict) -> None:
    path = tmp_path / "m.tif"
    write_measurement(path, _measurement())
    info = json.dumps({**_info(path), **damage})
    tifffile.imwrite(path, read(path)[0].image, imagej=True, metadata={"Info": info})
    with pytest.raises(InputError, match="pass the mask"):
        read_measurement(path)


@pytest.mark.parametrize("info", ["napari-stem-inpaint", "[1, 2]", '{"napari-stem-inpaint": [}', '{"a": 1}'])
def test_foreign_notes_are_ignored(tmp_path: Path, info: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, imagej=True, metadata={"Info": info})
    assert read(tmp_path / "a.tif")[0].name == "a"


# ---- Direct Electron


def test_direct_electron(shared_data: Path) -> None:
    pytest.importorskip("rsciio")
    found = read_measurement(shared_data / "files" / "Custom_movie.mrc")
    assert found.shape == (5, 5)
    assert np.array_equal(found.mask, np.broadcast_to([True, False, True, False, True], (5, 5)))
    assert found.pixel_size_nm is None
    assert found.scan is not None
    assert len(found.scan.positions) == 30
    assert found.scan.dwell_time_us == pytest.approx(4704.6474)
    sums = np.array([frame.image.sum(dtype=np.float64) for frame in read(shared_data / "files" / "Custom_movie.mrc")])
    assert found.values[1, 0] == pytest.approx((sums[1] + sums[16]) / 2, rel=1e-6)


@pytest.mark.parametrize("movie", ["a_movie.mrc", "a_0_movie.mrc"])
def test_companions_are_found_by_name(tmp_path: Path, movie: str) -> None:
    assert find_companions(tmp_path / movie) is None
    for name in ("a_info.txt", "a_scan_coordinates.csv"):
        (tmp_path / name).touch()
    assert find_companions(tmp_path / movie) == (tmp_path / "a_info.txt", tmp_path / "a_scan_coordinates.csv")
    assert find_companions(tmp_path / "a.mrc") is None
    assert find_companions(tmp_path / "_movie.mrc") is None


@pytest.mark.parametrize(
    ("info", "positions", "text"),
    [
        ("Scan - Size X = 5\nScan - Size Y = 5\n", "0,0\n0,1\n", "30 detector frames.*2 positions"),
        ("Scan - Size X = 5\n", "0,0\n", "does not state"),
        ("Scan - Size X = 0\nScan - Size Y = 5\n", "0,0\n", "0"),
        ("Scan - Size X = 5\nScan - Size Y = 5\n", "0,9\n", "inside"),
    ],
)
def test_companions_that_do_not_match(shared_data: Path, tmp_path: Path, info: str, positions: str, text: str) -> None:
    pytest.importorskip("rsciio")
    (tmp_path / "a_movie.mrc").write_bytes((shared_data / "files" / "Custom_movie.mrc").read_bytes())
    (tmp_path / "a_info.txt").write_text(info)
    (tmp_path / "a_scan_coordinates.csv").write_text(positions)
    with pytest.raises(InputError, match=text):
        read_measurement(tmp_path / "a_movie.mrc")


# ---- faults while writing

WRITERS = [
    (write_frame, Frame(IMAGE)),
    (write_measurement, _measurement()),
    (write_reconstruction, Reconstruction(IMAGE, None, "r", {})),
    (write_scan, Scan.from_mask(MASK)),
]


@pytest.mark.parametrize(("write", "value"), WRITERS)
def test_where_nothing_can_be_written(tmp_path: Path, write, value: object) -> None:
    (tmp_path / "folder.tif").mkdir()
    for name, text in [("a.xyz", "must end in"), ("missing/a.tif", "does not exist"), ("folder.tif", "is a folder")]:
        with pytest.raises(InputError, match=text):
            write(tmp_path / name, value)
    if write is not write_scan:
        with pytest.raises(InputError, match=r"must end in \.tif"):
            write(tmp_path / "a.png", value)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.tif"]


def test_the_only_ending_there_is_need_not_be_named(tmp_path: Path) -> None:
    write_atomically(tmp_path / "scores", [".csv"], lambda target: target.write_text("1"))
    assert (tmp_path / "scores.csv").read_text() == "1"
    with pytest.raises(InputError, match=r"scores\.csv exists already"):
        write_atomically(tmp_path / "scores", [".csv"], lambda target: target.write_text("2"))
    with pytest.raises(InputError, match="must end in"):
        write_atomically(tmp_path / "page", [".pdf", ".png"], lambda target: target.write_text("3"))
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


@pytest.mark.parametrize(("write", "value"), WRITERS)
def test_failure_half_way_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write, value: object) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"the old one")

    def full(target: Path, *args: object, **kwargs: object) -> None:
        Path(target).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(InputError, match=r"a\.tif cannot be written.*No space left"):
        write(path, value)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(target: Path, image: np.ndarray) -> None:
        Path(target).write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_frame(tmp_path / "a.npy", Frame(IMAGE))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="cannot be written"):
            write_frame(tmp_path / "a.tif", Frame(IMAGE))
    finally:
        tmp_path.chmod(0o700)


def test_replacing_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", denied)
    with pytest.raises(InputError, match="Permission denied"):
        write_scan(tmp_path / "a.png", Scan.from_mask(MASK))
    assert list(tmp_path.iterdir()) == []


def test_written_mask_is_a_plain_picture(tmp_path: Path) -> None:
    write_scan(tmp_path / "a.png", Scan.from_mask(MASK))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "L"
        assert np.array_equal(np.asarray(picture), MASK * np.uint8(255))
