"""What is reconstructed: the measured layer, its mask and its truth, one plane or all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from ..batch import Item
from ..errors import InputError
from ..frames import FloatImage, Measurement, as_image
from .combos import array_of, plane_name, plane_shown
from .layer_data import notes_of, pixel_size_nm

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

Plane = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Sources:
    """The layers chosen in ``viewer``."""

    viewer: Viewer
    measured: Layer
    mask: Layer
    truth: Layer | None

    def shown(self) -> Plane:
        """Return the plane that the viewer shows of the measured layer; empty for a single image."""
        return plane_shown(self.viewer, self.measured)

    def planes(self) -> list[Plane]:
        """Return all planes of the measured layer."""
        return list(np.ndindex(*self.measured.data.shape[:-2]))

    def items(self) -> list[Item]:
        """Return every plane, to be read when its turn has come."""
        return [
            Item(plane_name(self.measured, plane), lambda plane=plane: self.snapshot(plane))  # type: ignore[misc]
            for plane in self.planes()
        ]

    def snapshot(self, plane: Plane) -> tuple[Measurement, FloatImage | None]:
        """Return the measurement at ``plane``, and the truth where it is chosen.

        Raises
        ------
        InputError
            If a layer cannot be read, or the mask claims what was never measured.
        """
        measured, notes = self.measured, notes_of(self.measured)
        where = array_of(self.mask, self._same(self.mask, plane))
        if isinstance(self.mask, Labels):
            where = where != 0
        known = notes.get("known")
        if known is not None and known.shape == where.shape and (never := int(np.count_nonzero((where != 0) & ~known))):
            raise InputError(
                f"The mask claims {never:,} positions that were never measured: {measured.name} holds nothing there. Erase them from "
                f"{self.mask.name}, or scan the frame anew."
            )
        measurement = Measurement.from_arrays(
            array_of(measured, plane),
            where,
            pixel_size_nm(measured.scale, measured.units),
            notes.get("noise", "unknown"),
            plane_name(measured, plane),
        )
        if self.truth is None:
            return measurement, None
        of_truth = tuple(notes.get("plane") or ()) if notes.get("truth") == notes_of(self.truth).get("id") else ()
        return measurement, as_image(array_of(self.truth, of_truth or self._same(self.truth, plane)), "truth")

    def _same(self, layer: Layer, plane: Plane) -> Plane:
        """Return the plane of ``layer`` that belongs to ``plane`` of the measured layer: the same where it is such a stack."""
        same = layer.data.shape[:-2] == self.measured.data.shape[:-2]
        return plane if same else plane_shown(self.viewer, layer)
