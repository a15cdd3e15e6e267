"""The demonstration, in a window of its own."""

from pathlib import Path
from typing import Any

import napari
import pytest
from qtpy.QtCore import QTimer
from qtpy.QtGui import QImage

from napari_stem_inpaint.errors import InputError, SolverError
from napari_stem_inpaint.gui import demo, sample_data
from napari_stem_inpaint.io import read, read_measurement
from napari_stem_inpaint.params import ReconstructionParams


@pytest.fixture
def isolated_settings(make_napari_viewer: Any) -> None:
    """napari with settings of its own; the demonstration opens its own viewer."""


@pytest.mark.usefixtures("isolated_settings")
def test_it_leaves_pictures_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_data, "SIDE_PX", 64)
    out = tmp_path / "demo"
    scores = demo.run_demo(out, True, ReconstructionParams(solver="irls"))
    assert scores["sre_db"] > 15
    assert {p.name for p in out.iterdir()} == {
        "window.png", "before_after.png", "measured.tif", "mask.tif", "reconstruction.tif", "truth.tif",
    }  # fmt: skip
    assert QImage(str(out / "window.png")).width() > 1000
    assert QImage(str(out / "before_after.png")).width() > 1500
    assert read(out / "reconstruction.tif")[0].pixel_size_nm == pytest.approx((0.02, 0.02))
    assert read_measurement(out / "measured.tif").noise == "none"


@pytest.mark.usefixtures("isolated_settings")
def test_closing_its_window_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: Any) -> None:
    monkeypatch.setattr(sample_data, "SIDE_PX", 64)
    fake.endless = True

    def close_when_stepped() -> None:
        QTimer.singleShot(50, napari.current_viewer().close if fake.step else close_when_stepped)

    QTimer.singleShot(0, close_when_stepped)
    with pytest.raises(SolverError, match="window was closed"):
        demo.run_demo(tmp_path, False, ReconstructionParams(solver="irls"))


@pytest.mark.parametrize("headless", [True, False])
def test_without_a_display_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headless: bool) -> None:
    monkeypatch.setattr(demo.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match="no display"):
        demo.run_demo(tmp_path, headless)


def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        demo.run_demo(tmp_path / "file" / "below", True)
