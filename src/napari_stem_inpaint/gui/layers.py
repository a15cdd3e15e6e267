"""The only code that adds layers to a viewer or updates them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image

from ..frames import Frame, Measurement, Reconstruction
from .layer_data import (
    KEY,
    ORANGE,
    PLACE,
    PLANES,
    PREVIEW,
    REGIONS,
    LayerData,
    Place,
    columns_layer,
    contrast,
    frame_layer,
    measurement_layers,
    notes_of,
    two,
)

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

MEASURED: dict[int | None, str] = {None: PREVIEW, 0: "transparent"}  # whatever number is painted is measured


class Layers:
    """Adds this plugin's layers to a viewer, and keeps the layer of one running reconstruction up to date."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._result: Layer | None = None
        self._empty = False  # the result layer shows no iterate yet
        self._kept: Layer | None = None
        self._swipe: Layer | None = None
        self._preview: Layer | None = None
        self._path: Layer | None = None
        self._turned: list[tuple[Layer, bool]] = []  # what was shown or hidden for the preview, and whether it was visible
        self._named = ""  # as napari has named the result's layer
        self._keywords: dict[str, Any] = {}
        self._place: dict[str, Any] = {}

    def add_frame(self, frame: Frame) -> Layer:
        """Add a frame."""
        return self._add(frame_layer(frame))

    def add_simulated(self, frame: Frame, acquired: Frame | None) -> Layer:
        """Add a frame, what is ``acquired`` of all its positions, and its columns; return the frame's layer."""
        source = frame_layer(frame, notes=None if acquired is None else {"acquisition": acquired.metadata["acquisition"]})
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
        limits = two(source.contrast_limits) if ours else None
        if "id" not in notes_of(source):
            source.metadata[KEY] = {"role": "frame", "id": uuid.uuid4().hex}
        for data in measurement_layers(measurement, place, limits, notes_of(source)["id"], plane):
            self._add(data)

    def add_mask(self, mask: npt.NDArray[np.bool_], measured: Layer) -> Layer:
        """Add the mask of the image in ``measured``, or of all its planes; from now on the two know of each other."""
        notes = notes_of(measured)
        shared = {"set": notes.get("set") or uuid.uuid4().hex, "name": notes.get("name") or measured.name}
        measured.metadata = {**measured.metadata, KEY: {"noise": "unknown", **notes, "role": "measured", **shared}}
        keywords = {
            "name": f"{shared['name']} mask",
            "opacity": 0.4,
            "metadata": {KEY: {"role": "mask", **shared}},
            **(Place.of_layer(measured).keywords() if mask.ndim == 2 else {key: getattr(measured, key) for key in PLACE}),
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
        low, high = two(over.contrast_limits)
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

    def add_painted(self, mask: npt.NDArray[np.bool_], name: str, over: Layer) -> Layer:
        """Add a mask to be painted on, ready for it; the frame ``over`` is seen, as for a preview."""
        self._uncover(over)
        notes = {KEY: {"role": "painted"}}
        keywords = {"name": name, "opacity": 0.5, "colormap": MEASURED, "metadata": notes, **Place.of_layer(over).keywords()}
        layer = self._add((mask.astype(np.uint8), keywords, "labels"))
        layer.brush_size, layer.mode = 1, "paint"
        return layer

    def show_preview(self, mask: npt.NDArray[np.bool_], over: Layer) -> None:
        """Show on the frame ``over`` which positions a scan would measure; until that ends, the frame is seen and no image covers it."""
        data, keywords = mask.astype(np.uint8), {"name": "scan preview", "opacity": 0.5, "metadata": {KEY: {"role": "preview"}}}
        if self._preview is None or self._preview not in self._viewer.layers:
            selected = self._viewer.layers.selection.active
            self._preview = self._add((data, {**keywords, "colormap": MEASURED, **Place.of_layer(over).keywords()}, "labels"))
            self._preview.editable = False
            self._viewer.layers.selection.active = selected
            self._uncover(over)
        self._preview.data = data

    def end_preview(self) -> None:
        """Remove what a scan would measure, where it is shown; what was seen before is seen again."""
        self._remove(self._preview)
        self._preview = None
        for layer, visible in self._turned:
            if layer in self._viewer.layers:
                layer.visible = visible
        self._turned = []

    def _uncover(self, frame: Layer) -> None:
        layers = self._viewer.layers
        for layer in layers[layers.index(frame) :]:
            wanted = layer == frame
            if isinstance(layer, Image) and layer.visible != wanted:
                self._turned.append((layer, layer.visible))
                layer.visible = wanted

    def show_path(self, positions: npt.NDArray[np.intp], name: str, over: Layer) -> None:
        """Show the way from position to position as a line, in place of the one shown before."""
        self._remove(self._path)
        keywords = {"edge_color": ORANGE, "edge_width": 0.15, "metadata": {KEY: {"role": "path"}}, **Place.of_layer(over).keywords()}
        self._path = self._viewer.add_shapes([positions.astype(float)], shape_type="path", name=name, **keywords)

    def begin_result(self, measurement: Measurement, source: Layer) -> None:
        """Add the layer for a new reconstruction of ``source``, whose contrast is shared where it is one of ours.

        It shows what was measured, and is there before the work begins: adding a layer takes napari a tenth of a second.
        """
        notes = notes_of(source)
        self._kept = None
        self._place = Place.of_layer(source).keywords()
        limits = two(source.contrast_limits) if notes.get("truth") else contrast(measurement.values[measurement.mask])
        self._keywords = {
            "name": f"{measurement.name} reconstructed",
            "contrast_limits": limits,
            "metadata": {KEY: {"role": "reconstruction", "of": notes.get("set"), "unfinished": True}},
            **self._place,
        }
        measured = np.where(measurement.mask, measurement.values, limits[0]).astype(np.float32)
        self._add_result(measured)
        self._empty = True

    def begin_stack(self, source: Layer) -> None:
        """Prepare for the results of all planes of ``source``."""
        self._kept, self._empty = None, False
        self._place = Place.of_layer(source).keywords()
        name = notes_of(source).get("name") or source.name
        self._keywords = {
            "name": f"{name} reconstructed",
            "contrast_limits": two(source.contrast_limits),
            "metadata": {KEY: {"role": "reconstruction", "of": notes_of(source).get("set"), "unfinished": True}, PLANES: {}},
            **{key: getattr(source, key) for key in PLACE},
        }
        self._add_result(np.full(source.data.shape, np.nan, np.float32))

    def show_plane(self, image: npt.NDArray[np.float32], plane: tuple[int, ...]) -> bool:
        """Show ``image`` as one plane of the stack; return False where the user has deleted or changed it."""
        layer = self._result
        if layer is None or layer not in self._viewer.layers or layer.data.shape != self._stack_shape(plane, image):
            return False
        layer.data[plane] = image
        layer.refresh(extent=False, thumbnail=False)
        return True

    def finish_plane(self, result: Reconstruction, plane: tuple[int, ...]) -> None:
        """Show a plane's final image, and keep its recipe and scores."""
        if self.show_plane(result.image, plane) and self._result is not None:
            told = {"recipe": dict(result.recipe), "scores": dict(result.scores)}
            self._result.refresh(extent=False)
            self._note(self._result, plane, told)

    def note_scores(self, layer: Layer, scores: Mapping[str, float], plane: tuple[int, ...]) -> None:
        """Keep the scores of a result, of a ``plane`` where it is a stack of results."""
        if plane in layer.metadata.get(PLANES, {}):
            self._note(layer, plane, {**layer.metadata[PLANES][plane], "scores": dict(scores)})
        else:
            layer.metadata = {**layer.metadata, "scores": dict(scores)}

    @staticmethod
    def _note(layer: Layer, plane: tuple[int, ...], told: dict[str, Any]) -> None:
        layer.metadata = {**layer.metadata, PLANES: {**layer.metadata.get(PLANES, {}), plane: told}}

    def finish_stack(self) -> None:
        """Note that the stack is done."""
        layer = self._result
        if layer is not None and layer in self._viewer.layers:
            notes = {key: value for key, value in notes_of(layer).items() if key != "unfinished"}
            layer.metadata = {**layer.metadata, KEY: notes}
            self._name_solver(next((told["recipe"] for told in layer.metadata[PLANES].values()), {}))

    def _stack_shape(self, plane: tuple[int, ...], image: npt.NDArray[np.float32]) -> tuple[int, ...]:
        assert self._result is not None
        return (*self._result.data.shape[: len(plane)], *image.shape)

    def show_iterate(self, image: npt.NDArray[np.float32]) -> bool:
        """Show ``image`` in the result layer; return False, and leave it, where the user has deleted that layer."""
        if self._result is None or self._result not in self._viewer.layers:
            return False
        self._result.data, self._empty = image, False
        return True

    def show_result(self, result: Reconstruction) -> None:
        """Show the final image, with its recipe; a layer that was deleted meanwhile is added again."""
        if not self.show_iterate(result.image):
            self._add_result(result.image)
        assert self._result is not None
        notes = {key: value for key, value in notes_of(self._result).items() if key != "unfinished"}
        self._result.metadata = {KEY: notes, "recipe": dict(result.recipe), "scores": dict(result.scores)}
        self._name_solver(result.recipe)

    def _add_result(self, image: npt.NDArray[np.float32]) -> None:
        self._result = self._add((image, self._keywords, "image"))
        self._named = self._result.name

    def _name_solver(self, recipe: Mapping[str, Any]) -> None:
        """Tell the result from others of the same measurement by its solver, where napari has numbered it and the user not named it."""
        layer, name, solver = self._result, self._keywords["name"], recipe.get("reconstruction", {}).get("solver")
        if solver and layer is not None and layer.name == self._named != name:
            layer.name = f"{name}, {solver}"

    def show_kept(self, image: npt.NDArray[np.float32], step: int) -> None:
        """Show an iterate of the last run in a layer of its own, which stays the same one while it is looked through."""
        name = f"{self._keywords['name']}, step {step}"
        keywords = {**self._keywords, **self._place, "metadata": {KEY: {"role": "iterate"}}, "name": name}
        if self._kept is None or self._kept not in self._viewer.layers:
            self._kept = self._add((image, keywords, "image"))
        self._kept.data, self._kept.name = image, name

    def leave_result(self) -> bool:
        """Name the layer of a reconstruction that did not finish accordingly, or remove it while it is empty; return whether it stays."""
        if self._result is None or self._result not in self._viewer.layers:
            return False
        if self._empty:
            self._remove(self._result)
            return False
        self._result.name = f"{self._result.name} (unfinished)"
        return True

    def _remove(self, layer: Layer | None) -> None:
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _add(self, data: LayerData) -> Layer:
        array, keywords, kind = data
        return getattr(self._viewer, f"add_{kind}")(array, **keywords)
