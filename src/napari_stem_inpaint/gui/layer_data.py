"""Values as napari layers: their data, names, contrast, place and notes, ready to be added."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pint

from ..frames import Columns, Frame, Measurement, PixelSize

if TYPE_CHECKING:
    from napari.layers import Layer

LayerData = tuple[npt.NDArray[Any], dict[str, Any], str]
KEY = "stem_inpaint"  # our entry in a layer's metadata
PLANES = "planes"  # there: recipe and scores of each plane of a stack of results
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
            two(layer.scale),
            (str(layer.units[-2]), str(layer.units[-1])),
            two(layer.translate),
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


def holds_nan(layer: Layer) -> bool:
    """Whether ``layer`` is a single image with positions that are not numbers, as some programs write what was not measured."""
    return isinstance(layer.data, np.ndarray) and layer.data.ndim == 2 and layer.data.dtype.kind == "f" and bool(np.isnan(layer.data).any())


def told(layer: Layer, what: str, plane: tuple[int, ...] = ()) -> Mapping[str, Any]:
    """Return the "recipe" or the "scores" of a result, of a ``plane`` where it is a stack; empty where there are none."""
    of_plane = layer.metadata.get(PLANES, {}).get(plane, {})
    found = layer.metadata.get(what) or of_plane.get(what) or {}
    return found if isinstance(found, Mapping) else {}


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


def two(values: Any) -> tuple[float, float]:
    """Return the last two of ``values``: those of an image's axes."""
    return float(values[-2]), float(values[-1])
