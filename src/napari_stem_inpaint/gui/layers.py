"""Values as napari layers: the only code that adds or updates layers."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pint

from ..frames import Columns, Frame, Measurement, PixelSize, Reconstruction

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

LayerData = tuple[npt.NDArray[Any], dict[str, Any], str]
KEY = "stem_inpaint"  # our entry in a layer's metadata
PERCENTILES = (0.1, 99.9)
PLACE = ("scale", "units", "translate", "axis_labels")
COLUMN_NM = 0.05  # how large a column is drawn
MOST_COLUMNS_SHOWN = 3000  # beyond it their layer is hidden at first
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")  # Okabe and Ito: told apart by everyone
REGIONS = {"always": "#009e73", "never": "#d55e00", "denser": "#e69f00"}  # kinds of regions of a scan, and their colours
ORANGE = "#ff9f40"  # what is drawn over images
PREVIEW = "#56b4e9"
SYMBOLS = {"": "disc", "vacancy": "ring", "dopant": "diamond", "isolated atom": "star"}
OTHER_SYMBOL = "square"  # boundaries and dislocations


@dataclass(frozen=True)
class Place:
    """Where an image ``(Y, X)`` lies in the viewer's world, and in which unit."""

    scale: tuple[float, float] = (1.0, 1.0)
    units: tuple[str, str] = ("pixel", "pixel")
    translate: tuple[float, float] = (0.0, 0.0)
    axis_labels: tuple[str, str] = ("y", "x")

    @classmethod
    def of_pixel_size(cls, pixel_size_nm: PixelSize) -> Place:
        """Return the place of an image at the origin."""
        return cls() if pixel_size_nm is None else cls(pixel_size_nm, ("nm", "nm"))

    @classmethod
    def of_layer(cls, layer: Layer) -> Place:
        """Return the place of the last two axes of ``layer``."""
        labels = tuple(layer.axis_labels[-2:])
        return cls(
            _two(layer.scale),
            (str(layer.units[-2]), str(layer.units[-1])),
            _two(layer.translate),
            ("y", "x") if labels == ("-2", "-1") else (labels[0], labels[1]),
        )

    def keywords(self) -> dict[str, Any]:
        """Return what napari's ``add_image`` takes."""
        return {"scale": self.scale, "units": self.units, "translate": self.translate, "axis_labels": self.axis_labels}


def pixel_size_nm(scale: Sequence[float], units: Sequence[Any]) -> PixelSize:
    """Return the pixel size ``(y, x)`` in nm of a layer's last two axes, or None where their unit is no length."""
    lengths = [pint.get_application_registry().Quantity(abs(float(s)), str(unit)) for s, unit in zip(scale[-2:], units[-2:], strict=True)]
    if not all(length.is_compatible_with("nm") for length in lengths):
        return None
    y, x = (float(length.to("nm").magnitude) for length in lengths)
    return y, x


def notes_of(layer: Layer) -> Mapping[str, Any]:
    """Return what this plugin noted on ``layer``: its role, the set it belongs to, its noise model and truth."""
    notes = layer.metadata.get(KEY, {})
    return notes if isinstance(notes, Mapping) else {}


def contrast(values: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Return contrast limits: percentiles of the finite ``values``, widened where they are all equal."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, PERCENTILES))
    if not high > low:
        low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low, low + 1.0)


def grey(image: npt.NDArray[np.floating], limits: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Return ``image`` ``(Y, X)`` as grey levels between ``limits``."""
    low, high = limits
    return np.clip(np.round((image - low) / (high - low) * 255), 0, 255).astype(np.uint8)


def frame_layer(
    frame: Frame, place: Place | None = None, limits: tuple[float, float] | None = None, notes: Mapping[str, Any] | None = None
) -> LayerData:
    """Return a frame as an image layer."""
    keywords = {
        "name": frame.name,
        "contrast_limits": limits or contrast(frame.image),
        "metadata": {**frame.metadata, KEY: {"role": "frame", "id": uuid.uuid4().hex, **(notes or {})}},
        **(place or Place.of_pixel_size(frame.pixel_size_nm)).keywords(),
    }
    return frame.image, keywords, "image"


def measurement_layers(
    measurement: Measurement,
    place: Place | None = None,
    limits: tuple[float, float] | None = None,
    truth: str | None = None,
    plane: tuple[int, ...] = (),
) -> tuple[LayerData, LayerData]:
    """Return a measurement as a mask layer and an image layer that know of each other.

    ``truth`` is the "id" of the frame layer it was taken from, ``plane`` the place in the stack if that is one.
    """
    place = place or Place.of_pixel_size(measurement.pixel_size_nm)
    shared = {"set": uuid.uuid4().hex, "name": measurement.name}
    mask = {
        "name": f"{measurement.name} mask",
        "opacity": 0.4,
        "visible": False,
        "metadata": {KEY: {"role": "mask", **shared}},
        **place.keywords(),
    }
    measured = {
        "name": f"{measurement.name} measured",
        "contrast_limits": limits or contrast(measurement.values[measurement.mask]),
        "metadata": {
            KEY: {"role": "measured", "noise": measurement.noise, "truth": truth, "plane": plane, "known": measurement.mask, **shared}
        },
        **place.keywords(),
    }
    # A copy: napari views a bool array as uint8, and painting would change the measurement.
    return (measurement.mask.astype(np.uint8), mask, "labels"), (measurement.values.copy(), measured, "image")


def columns_layer(columns: Columns, source: LayerData, visible: bool = True) -> LayerData:
    """Return the columns of the frame in ``source`` as points: coloured by element, defects by their symbol, vacancies open."""
    _, of_frame, _ = source
    elements = list(dict.fromkeys(columns.elements.tolist()))
    colours = [COLOURS[k % len(COLOURS)] for k in range(len(elements))]
    symbols = [SYMBOLS.get(defect, OTHER_SYMBOL) for defect in columns.defects.tolist()]
    keywords = {
        "name": f"{of_frame['name']} columns",
        "features": {"element": columns.elements, "intensity": columns.intensities, "defect": columns.defects},
        "face_color": [colours[elements.index(element)] for element in columns.elements.tolist()] or COLOURS[0],
        "border_color": "black",
        "border_width": 0.1,
        "symbol": symbols or "disc",
        "size": COLUMN_NM / min(of_frame["scale"]),
        "opacity": 0.8,
        "visible": visible and len(columns) <= MOST_COLUMNS_SHOWN,
        "metadata": {**of_frame["metadata"], KEY: {"role": "columns", "of": of_frame["metadata"][KEY]["id"]}},
        **{key: of_frame[key] for key in PLACE},
    }
    return columns.positions_px, keywords, "points"


class Layers:
    """Adds this plugin's layers to a viewer, and keeps the layer of one running reconstruction up to date."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._result: Layer | None = None
        self._kept: Layer | None = None
        self._swipe: Layer | None = None
        self._preview: Layer | None = None
        self._keywords: dict[str, Any] = {}

    def add_frame(self, frame: Frame) -> Layer:
        """Add a frame."""
        return self._add(frame_layer(frame))

    def add_simulated(self, frame: Frame, acquired: Frame | None) -> Layer:
        """Add a frame, what is ``acquired`` of all its positions, and its columns; return the frame's layer."""
        source = frame_layer(frame)
        layer = self._add(source)
        source[1]["name"] = layer.name  # napari numbers layers of the same name
        if acquired is not None:
            named = replace(acquired, name=f"{layer.name} acquired")
            notes = {"role": "acquired", "of": source[1]["metadata"][KEY]["id"]}
            self._add(frame_layer(named, limits=source[1]["contrast_limits"], notes=notes))
        if frame.columns is not None and len(frame.columns):
            # Hidden over what is acquired: there the atoms have moved.
            self._add(columns_layer(frame.columns, source, visible=acquired is None))
        self._viewer.layers.selection.active = layer
        return layer

    def add_measurement(self, measurement: Measurement, source: Layer, place: Place, plane: tuple[int, ...] = ()) -> None:
        """Add mask and measured image, taken from the frame in ``source``; they share its contrast where it is one of ours."""
        ours = notes_of(source).get("role") == "frame" and not plane
        limits = _two(source.contrast_limits) if ours else None
        if "id" not in notes_of(source):
            source.metadata[KEY] = {"role": "frame", "id": uuid.uuid4().hex}
        for data in measurement_layers(measurement, place, limits, notes_of(source)["id"], plane):
            self._add(data)

    def add_mask(self, mask: npt.NDArray[np.bool_], measured: Layer) -> Layer:
        """Add the mask of the image in ``measured``; from now on the two know of each other."""
        notes = notes_of(measured)
        shared = {"set": notes.get("set") or uuid.uuid4().hex, "name": notes.get("name") or measured.name}
        measured.metadata = {**measured.metadata, KEY: {"noise": "unknown", **notes, "role": "measured", **shared}}
        keywords = {
            "name": f"{shared['name']} mask",
            "opacity": 0.4,
            "metadata": {KEY: {"role": "mask", **shared}},
            **Place.of_layer(measured).keywords(),
        }
        return self._add((mask.astype(np.uint8), keywords, "labels"))

    def add_difference(self, image: npt.NDArray[np.float32], name: str, place: Place) -> Layer:
        """Add the difference of two images, zero in the middle of its colours."""
        most = float(np.percentile(np.abs(image), 99.5)) or 1.0
        notes = {KEY: {"role": "difference"}}
        keywords = {"name": name, "colormap": "RdBu_r", "contrast_limits": (-most, most), "metadata": notes, **place.keywords()}
        return self._add((image, keywords, "image"))

    def add_line(self, ends: npt.NDArray[np.float64], name: str, place: Place, width_px: float) -> Layer:
        """Add a line from one to the other of its ``ends`` (2, 2), which can be moved."""
        return self._viewer.add_shapes([ends], shape_type="line", edge_color=ORANGE, edge_width=width_px, name=name, **place.keywords())

    def show_swipe(self, image: npt.NDArray[np.float32], columns: int, over: Layer, name: str) -> None:
        """Show the left ``columns`` of ``image`` on top of everything, with a bright border and the contrast of the layer ``over``."""
        low, high = _two(over.contrast_limits)
        part = image[:, : max(columns, 1)].copy()
        part[:, -1] = high
        if self._swipe is None or self._swipe not in self._viewer.layers:
            notes = {KEY: {"role": "swipe"}}
            keywords = {"name": f"{name}, swiped", "metadata": notes, "contrast_limits": (low, high), **Place.of_layer(over).keywords()}
            self._swipe = self._add((part, keywords, "image"))
            self._viewer.layers.selection.active = over
        self._swipe.data, self._swipe.contrast_limits, self._swipe.name = part, (low, high), f"{name}, swiped"

    def end_swipe(self) -> None:
        """Remove the layer of the swipe, if there is one."""
        self._remove(self._swipe)
        self._swipe = None

    def add_regions(self, kind: str, shape: tuple[int, ...], place: Place) -> Layer:
        """Add a layer to draw regions of a scan in: of one ``kind`` as shapes, or with "" of all kinds with a brush."""
        notes = {KEY: {"role": "regions", "kind": kind}}
        if kind:
            colours = {"edge_color": REGIONS[kind], "face_color": f"{REGIONS[kind]}60", "edge_width": max(1.0, shape[-1] / 250)}
            return self._viewer.add_shapes(name=f"{kind} measured", ndim=2, metadata=notes, **colours, **place.keywords())
        by_number: dict[int | None, str] = {None: "transparent", **{k: REGIONS[name] for k, name in enumerate(REGIONS, 1)}}
        keywords = {"name": "regions", "opacity": 0.4, "metadata": notes, "colormap": by_number, **place.keywords()}
        layer = self._add((np.zeros(shape, np.uint8), keywords, "labels"))
        layer.brush_size = max(4, min(shape) // 16)
        return layer

    def add_painted(self, mask: npt.NDArray[np.bool_], name: str, place: Place) -> Layer:
        """Add a mask to be painted on, ready for it."""
        keywords = {"name": name, "opacity": 0.4, "metadata": {KEY: {"role": "painted"}}, **place.keywords()}
        layer = self._add((mask.astype(np.uint8), keywords, "labels"))
        layer.brush_size, layer.mode = 1, "paint"
        return layer

    def show_preview(self, mask: npt.NDArray[np.bool_], over: Layer) -> None:
        """Show on the frame ``over`` which positions a scan would measure."""
        data, keywords = mask.astype(np.uint8), {"name": "scan preview", "opacity": 0.5, "metadata": {KEY: {"role": "preview"}}}
        if self._preview is None or self._preview not in self._viewer.layers:
            selected = self._viewer.layers.selection.active
            colours = {None: "transparent", 1: PREVIEW}
            self._preview = self._add((data, {**keywords, "colormap": colours, **Place.of_layer(over).keywords()}, "labels"))
            self._preview.editable = False
            self._viewer.layers.selection.active = selected
        self._preview.data = data

    def end_preview(self) -> None:
        """Remove what a scan would measure, where it is shown."""
        self._remove(self._preview)
        self._preview = None

    def add_path(self, positions: npt.NDArray[np.intp], name: str, over: Layer) -> Layer:
        """Add the way from position to position as a line."""
        keywords = {"edge_color": ORANGE, "edge_width": 0.15, "metadata": {KEY: {"role": "path"}}, **Place.of_layer(over).keywords()}
        return self._viewer.add_shapes([positions.astype(float)], shape_type="path", name=name, **keywords)

    def begin_result(self, measurement: Measurement, source: Layer) -> None:
        """Prepare for the iterates of a new reconstruction of ``source``, whose contrast is shared where it is one of ours."""
        notes = notes_of(source)
        self._result = self._kept = None
        self._keywords = {
            "name": f"{measurement.name} reconstructed",
            "contrast_limits": _two(source.contrast_limits) if notes.get("truth") else contrast(measurement.values[measurement.mask]),
            "metadata": {KEY: {"role": "reconstruction", "of": notes.get("set"), "unfinished": True}},
            **Place.of_layer(source).keywords(),
        }

    def show_iterate(self, image: npt.NDArray[np.float32]) -> bool:
        """Show ``image`` in the result layer; return False, and leave it, where the user has deleted that layer."""
        if self._result is None:
            self._result = self._add((image, self._keywords, "image"))
            return True
        if self._result not in self._viewer.layers:
            return False
        self._result.data = image
        return True

    def show_result(self, result: Reconstruction) -> None:
        """Show the final image, with its recipe; a layer that was deleted meanwhile is added again."""
        if not self.show_iterate(result.image):
            self._result = self._add((result.image, self._keywords, "image"))
        assert self._result is not None
        notes = {key: value for key, value in notes_of(self._result).items() if key != "unfinished"}
        self._result.metadata = {KEY: notes, "recipe": dict(result.recipe), "scores": dict(result.scores)}

    def show_kept(self, image: npt.NDArray[np.float32], step: int) -> None:
        """Show an iterate of the last run in a layer of its own, which stays the same one while it is looked through."""
        keywords = {**self._keywords, "metadata": {KEY: {"role": "iterate"}}, "name": f"{self._keywords['name']}, step {step}"}
        if self._kept is None or self._kept not in self._viewer.layers:
            self._kept = self._add((image, keywords, "image"))
        self._kept.data, self._kept.name = image, keywords["name"]

    def leave_result(self) -> bool:
        """Name the layer of a reconstruction that did not finish accordingly; return whether there is one."""
        if self._result is None or self._result not in self._viewer.layers:
            return False
        self._result.name = f"{self._result.name} (unfinished)"
        return True

    def _remove(self, layer: Layer | None) -> None:
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _add(self, data: LayerData) -> Layer:
        array, keywords, kind = data
        return getattr(self._viewer, f"add_{kind}")(array, **keywords)


def _two(values: Any) -> tuple[float, float]:
    return float(values[-2]), float(values[-1])
