"""The demonstration: a sample measurement in a real napari window, reconstructed by pressing the real button."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, SolverError
from ..frames import Frame, Measurement, Reconstruction, Scan
from ..params import ReconstructionParams

if TYPE_CHECKING:
    from .reconstruct import ReconstructWidget

WINDOW_PX = (1500, 950)


def run_demo(out: Path, headless: bool, params: ReconstructionParams | None = None) -> dict[str, float]:
    """Reconstruct the sample measurement in napari and return its scores.

    Parameters
    ----------
    out
        Where pictures and files go if ``headless``; made where missing.
    headless
        Save and leave; otherwise the window stays until the user closes it.
    params
        How to reconstruct; the defaults where None.

    Raises
    ------
    InputError
        If there is no display, napari is not installed or ``out`` cannot be written.
    SolverError
        If the reconstruction fails.
    """
    _check_display(headless)
    try:
        import napari
        from qtpy.QtWidgets import QApplication
    except ImportError as error:
        raise InputError("The demonstration needs napari and Qt; install them with pip install 'napari-stem-inpaint[pyside6]'.") from error
    from .reconstruct import ReconstructWidget
    from .sample_data import defective_srtio3

    if headless:
        _make_folder(out)
    viewer = napari.Viewer(title="STEM Inpaint")
    try:
        for data, keywords, kind in defective_srtio3():
            viewer.add_layer(napari.layers.Layer.create(data, keywords, kind))
        viewer.window.resize(*WINDOW_PX)
        widget = ReconstructWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Reconstruct", area="right")
        if params is not None:
            widget.form.set_values(params)
        overlays = viewer.canvas.overlays if hasattr(viewer, "canvas") else viewer  # before napari 0.9
        overlays.scale_bar.visible = True
        QApplication.processEvents()
        viewer.reset_view()
        result = _press_run(widget)
        if headless:
            QApplication.processEvents()
            viewer.screenshot(str(out / "window.png"), canvas_only=False, flash=False)
            _save(out, _layers(viewer), result)
        else:
            napari.run()
        return dict(result.scores)
    finally:
        if headless:
            viewer.close()


def _check_display(headless: bool) -> None:
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        how = "run it as xvfb-run -a stem-inpaint demo --headless"
        raise InputError(f"There is no display for napari's window; {how if headless else f'start it on a desktop, or {how}'}.")


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {out} cannot be made ({error.strerror}); choose another.") from error


def _press_run(widget: ReconstructWidget) -> Reconstruction:
    from qtpy.QtCore import QEventLoop

    ended: list[Reconstruction] = []
    reasons: list[str] = []
    loop = QEventLoop()
    widget.runner.returned.connect(ended.append)
    widget.runner.failed.connect(reasons.append)
    widget.runner.cancelled.connect(lambda: reasons.append("The reconstruction was cancelled."))
    widget.runner.ended.connect(loop.quit)
    widget.destroyed.connect(loop.quit)
    if not widget.run_button.isEnabled():
        raise InputError(widget.hint.text())
    widget.run_button.click()
    if widget.runner.running:
        loop.exec_()
    if not ended:
        raise SolverError(reasons[0] if reasons else "The window was closed before the reconstruction had ended.")
    return ended[0]


def _layers(viewer: Any) -> dict[str, Any]:
    from .layer_data import notes_of

    return {str(notes_of(layer).get("role")): layer for layer in viewer.layers}


def _save(out: Path, layers: dict[str, Any], result: Reconstruction) -> None:
    from ..io import write_frame, write_measurement, write_reconstruction, write_scan
    from .layer_data import grey
    from .picture import save_side_by_side

    truth, measured, mask = (np.asarray(layers[role].data) for role in ("frame", "measured", "mask"))
    scan = Scan.from_mask(mask)
    name = layers["measured"].name
    write_frame(out / "truth.tif", Frame(truth, result.pixel_size_nm, layers["frame"].name))
    write_measurement(out / "measured.tif", Measurement(measured, scan.mask, result.pixel_size_nm, "none", scan, name))
    write_scan(out / "mask.tif", scan)
    write_reconstruction(out / "reconstruction.tif", result)
    limits = tuple(layers["measured"].contrast_limits)
    largest = float(np.percentile(np.abs(result.image - truth), 99.9)) or 1.0
    save_side_by_side(
        out / "before_after.png",
        [
            (f"measured, {scan.ratio:.0%}", grey(measured, limits)),
            (f"reconstruction, SRE {result.scores['sre_db']:.1f} dB", grey(result.image, limits)),
            ("truth", grey(truth, limits)),
            (f"|error| × {(limits[1] - limits[0]) / largest:.0f}", grey(np.abs(result.image - truth), (0.0, largest))),
        ],
        result.pixel_size_nm[1] if result.pixel_size_nm else None,
    )
