"""What is judged: a result, the reference it is compared with, and the layers it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..frames import Measurement
from ..params import PLUG_AND_PLAY
from .combos import LayerCombo, array_of, is_grey_image, plane_shown
from .layer_data import notes_of, pixel_size_nm, told

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

MOST_NAMED = 3  # settings in which results differ


def is_result(layer: Layer) -> bool:
    """Whether ``layer`` is a finished reconstruction."""
    notes = notes_of(layer)
    return notes.get("role") == "reconstruction" and "unfinished" not in notes


class Choice:
    """The two combos, and what the chosen layers hold."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.viewer = viewer
        self.result_combo = LayerCombo(viewer, is_grey_image, "choose a result", is_result)
        self.reference_combo = LayerCombo(viewer, is_grey_image, "unknown")
        self._results: list[Layer] = []

    @property
    def result(self) -> Layer | None:
        """The layer to judge."""
        return self.result_combo.layer()

    @property
    def reference(self) -> Layer | None:
        """The layer it is compared with."""
        return self.reference_combo.layer()

    def results(self) -> list[Layer]:
        """Return every finished reconstruction, oldest first, wherever it lies in the list of layers."""
        there = [layer for layer in self.viewer.layers if is_result(layer)]
        known = [layer for layer in self._results if layer in there]
        self._results = known + [layer for layer in there if layer not in known]
        return list(self._results)

    def rivals(self, result: Layer) -> list[Layer]:
        """Return the other results of the measurement that ``result`` was made from."""
        made_from = notes_of(result).get("of")
        return [layer for layer in self.results() if layer != result and made_from and notes_of(layer).get("of") == made_from]

    def label(self, layer: Layer) -> str:
        """Return how a result was made and in what it differs from others, below it of what where there are several measurements."""
        several = len({notes_of(one).get("of") for one in self.results()}) > 1
        measured = self.partner("measured", layer)
        of = (measured or layer).name.replace(" measured", "")  # every one is
        made = f"{self.made_by(layer)}{self._apart(layer)}"
        return f"{made}\n{of}" if several else made

    def _apart(self, layer: Layer) -> str:
        """Return the settings in which results differ that were made from one measurement by one solver with one checkpoint."""
        values = self.recipe(layer).get("reconstruction", {})
        alike = [self.recipe(one).get("reconstruction", {}) for one in self.rivals(layer) if self.made_by(one) == self.made_by(layer)]
        names = [name for name in values if any(other.get(name) != values[name] for other in alike)]
        words = "".join(f", {name.replace('_', ' ')} {values[name]}" for name in names[:MOST_NAMED])
        return words + ", …" * (len(names) > MOST_NAMED)

    def obstacle(self) -> str:
        """Return, in a sentence, why nothing can be judged; empty where it can."""
        if self.result is None:
            return "Choose a result: run Reconstruct, or open an image."
        shape = tuple(self.result.data.shape[-2:])
        if self.reference is not None and tuple(self.reference.data.shape[-2:]) != shape:
            return f"The reference must have the result's shape {shape}, but its shape is {tuple(self.reference.data.shape[-2:])}."
        return ""

    def partner(self, role: str, of: Layer | None = None) -> Layer | None:
        """Return the measured or mask layer that the result was made from."""
        result = of or self.result
        made_from = None if result is None else notes_of(result).get("of")
        for layer in self.viewer.layers:
            if made_from and notes_of(layer).get("role") == role and notes_of(layer).get("set") == made_from:
                return layer
        return None

    def truth(self) -> Layer | None:
        """Return the frame that the result's measurement was taken from."""
        measured = self.partner("measured")
        known = None if measured is None else notes_of(measured).get("truth")
        return next((layer for layer in self.reference_combo.layers if known and notes_of(layer).get("id") == known), None)

    def plane(self, layer: Layer) -> tuple[int, ...]:
        """Return the plane shown of a stack; empty for a single image."""
        return plane_shown(self.viewer, layer)

    def recipe(self, layer: Layer | None) -> Mapping[str, Any]:
        """Return the recipe of a result; empty where it has none."""
        return {} if layer is None else told(layer, "recipe", self.plane(layer))

    def scores(self, layer: Layer) -> dict[str, float]:
        """Return what is known of a result: its scores, and its error at withheld measurements."""
        recipe = self.recipe(layer)
        withheld = {"withheld_rms": recipe["withheld_rms"]} if recipe.get("withheld_rms") else {}
        return {**told(layer, "scores", self.plane(layer)), **withheld}

    def made_by(self, layer: Layer) -> str:
        """Return solver and checkpoint in a word or two."""
        values = self.recipe(layer).get("reconstruction", {})
        solver = str(values.get("solver", "")) or layer.name
        return f"{solver}, {Path(values['checkpoint']).stem}" if solver in PLUG_AND_PLAY and "checkpoint" in values else solver

    def image(self, layer: Layer) -> npt.NDArray[Any]:
        """Return the image ``(Y, X)`` shown of ``layer``.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        return np.array(array_of(layer, self.plane(layer)), np.float32)

    def pair(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]] | None:
        """Return the images of result and reference, or None where one is missing."""
        if self.result is None or self.reference is None:
            return None
        return self.image(self.result), self.image(self.reference)

    def shares_noise(self) -> bool:
        """Whether the result was made from pixels of the reference, noise and all: of any but a frame that is simulated without noise.

        Raises
        ------
        InputError
            If one of them cannot be read.
        """
        measured, mask, reference = self.partner("measured"), self.mask(), self.reference
        if measured is None or mask is None or reference is None:
            return False
        if "simulation" in reference.metadata and "acquisition" not in reference.metadata:
            return False
        values, exact = (np.asarray(array_of(layer, self.plane(layer))) for layer in (measured, reference))
        if not values.shape == exact.shape == mask.shape or not mask.any():
            return False
        return bool(np.allclose(values[mask], exact[mask], rtol=1e-5, atol=0))

    def mask(self) -> npt.NDArray[np.bool_] | None:
        """Return where the result's measurement was measured."""
        layer = self.partner("mask")
        return None if layer is None else np.asarray(array_of(layer, self.plane(layer))) != 0

    def measurement(self) -> Measurement:
        """Return what the result was made from.

        Raises
        ------
        InputError
            If its layers are gone.
        """
        measured, mask = self.partner("measured"), self.mask()
        if measured is None or mask is None:
            name = "the result" if self.result is None else self.result.name
            raise InputError(f"The layers that {name} was made from are gone; open the measurement again and reconstruct it anew.")
        notes = notes_of(measured)
        return Measurement.from_arrays(
            array_of(measured, self.plane(measured)),
            mask,
            pixel_size_nm(measured.scale, measured.units),
            notes.get("noise", "unknown"),
            notes.get("name") or measured.name,
        )
