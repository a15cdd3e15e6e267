"""napari's reader and writer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.frames import Frame, Measurement
from napari_stem_inpaint.gui import files
from napari_stem_inpaint.io import write_frame, write_measurement


def test_a_frame_opens_with_its_pixel_size(tmp_path: Path, frame: Frame) -> None:
    path = str(tmp_path / "frame.stem.tif")
    write_frame(path, frame)
    reader = files.get_reader(path)
    assert reader is not None
    ((data, keywords, kind),) = reader(path)
    np.testing.assert_array_equal(data, frame.image)
    assert keywords["scale"] == pytest.approx((0.02, 0.02))
    assert keywords["units"] == ("nm", "nm")
    assert kind == "image"


def test_a_measurement_opens_with_its_mask(tmp_path: Path, measurement: Measurement) -> None:
    path = str(tmp_path / "measured.stem.tif")
    write_measurement(path, measurement)
    mask, measured = files.read_layers(path)
    np.testing.assert_array_equal(mask[0], measurement.mask)
    np.testing.assert_array_equal(measured[0], measurement.values)
    assert measured[1]["metadata"]["stem_inpaint"]["noise"] == "none"


def test_planes_of_one_stack_become_one_layer(tmp_path: Path) -> None:
    path = str(tmp_path / "stack.tif")
    stack = np.random.default_rng(0).random((3, 8, 9), np.float32)
    tifffile.imwrite(path, stack, photometric="minisblack")
    ((data, keywords, _),) = files.read_layers(path)
    np.testing.assert_array_equal(data, stack)
    assert keywords["axis_labels"] == ("plane", "y", "x")
    assert len(keywords["scale"]) == len(keywords["units"]) == len(keywords["translate"]) == 3


def test_different_images_of_a_file_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_stem_inpaint import io

    frames = [Frame(np.zeros((4, 4)), None, "a"), Frame(np.zeros((4, 4)), None, "b"), Frame(np.zeros((4, 4)), None, "s [1/2]")]
    monkeypatch.setattr(io, "read", lambda _: [*frames, Frame(np.zeros((4, 4)), None, "s [2/2]"), Frame(np.zeros((4, 5)), None, "s [3/3]")])
    assert [keywords["name"] for _, keywords, _ in files.read_layers("x.dm4")] == ["a", "b", "s", "s [3/3]"]


@pytest.mark.parametrize("path", ["x.xyz", ["a.dm4", "b.dm4"], "folder.dm4"])
def test_what_it_cannot_read_is_left_to_others(path: Any, tmp_path: Path) -> None:
    (tmp_path / "folder.dm4").mkdir()
    assert files.get_reader(str(tmp_path / path) if isinstance(path, str) else path) is None


@pytest.mark.parametrize("name", ["scan.dm4", "SCAN.DM3", "a.emd", "b.ser", "c.mrc", "d.blo", "e.hspy"])
def test_microscope_files_are_accepted(name: str) -> None:
    assert files.get_reader(name) is not None


def test_a_damaged_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "broken.stem.tif"
    path.write_bytes(b"not a picture")
    with pytest.raises(InputError) as caught:
        files.read_layers(str(path))
    assert "\n" not in str(caught.value)


def test_layers_are_saved_with_pixel_size_and_recipe(tmp_path: Path, viewer: Any, frame: Frame) -> None:
    layer = viewer.add_image(frame.image, name="r", scale=(2, 2), units=("angstrom", "angstrom"))
    layer.metadata = {"recipe": {"seed": 3}, "scores": {"sre_db": 41.0}}
    data, attributes, _ = layer.as_layer_data_tuple()
    path = str(tmp_path / "r.stem.tif")
    assert files.write_image(path, data, attributes) == [path]
    ((_, keywords, _),) = files.read_layers(path)
    assert keywords["scale"] == pytest.approx((0.2, 0.2))
    with tifffile.TiffFile(path) as file:
        assert '"seed": 3' in str(file.imagej_metadata)
