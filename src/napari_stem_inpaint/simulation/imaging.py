"""From parameters to a frame with its truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from ..errors import InputError
from ..frames import Columns, FloatImage, Frame
from ..params import SimulationParams
from .columns import Scene, Window
from .contrast import ABF_VACUUM, DETECTOR_RAD, column_intensities, scatterers
from .formation import Grid, form_images, to_numpy
from .probe import Optics
from .scenes import Cells, build_scene
from .surface import surface_image
from .volume import atoms_in_space

MULTISLICE_MARGIN_NM = 1.0
VACUUM_NM = 0.1


def simulate(params: SimulationParams | None = None) -> Frame:
    """Return a simulated frame, float32 ``(Y, X)``, with the columns it shows.

    Intensities are parts of the incident beam; ``frame.columns`` is the truth (None for surfaces); ``frame.metadata`` holds the
    parameters, and remarks on them.

    Raises
    ------
    InputError
        If the crystal, its zone axis or an element cannot be understood, or the frame would not fit into memory.
    """
    p = params or SimulationParams()
    return wide_frame(p, 0)


def wide_frame(p: SimulationParams, pad_px: int) -> Frame:
    """Return the frame of ``p`` with ``pad_px`` more pixels of the same specimen on every side.

    Raises
    ------
    InputError
        As ``simulate``, and where a surface or a multislice frame is to be padded: they end at their frame.
    """
    pixel = (p.pixel_size_nm, p.pixel_size_nm)
    notes = {"simulation": p.model_dump(mode="json"), "remarks": remarks(p)}
    if pad_px and (p.scene == "surface" or p.engine == "multislice"):
        raise InputError("Surfaces and multislice frames cannot be simulated beyond their frame.")
    if p.scene == "surface":
        return Frame(to_numpy(image_of(p)), pixel, "surface", notes)
    if p.engine == "multislice":
        image = _multislice(p)
    else:
        image = to_numpy(image_of(p, pad_px=pad_px))
    columns = truth(build_scene(p, Window(_extent(p), 0.0)), p)
    return Frame(image, pixel, Path(p.cif).stem if p.cif else p.crystal, notes, columns)


def image_of(p: SimulationParams, cells: Cells | None = None, device: str = "cpu", pad_px: int = 0) -> torch.Tensor:
    """Return the image (Y, X) float32 of ``p`` by convolution, of ``cells`` where they are given."""
    shape = (p.shape[0] + 2 * pad_px, p.shape[1] + 2 * pad_px)
    if p.scene == "surface":
        surface = surface_image(shape, p.pixel_size_nm, p.source_size_nm, p.seed)
        return torch.as_tensor(surface, dtype=torch.float32, device=device)
    optics = Optics.of(p)
    grid = Grid.over(shape, p.pixel_size_nm, optics)
    scene = build_scene(p, Window(_extent(p), (grid.margin + pad_px) * p.pixel_size_nm), cells)
    atoms = scatterers(scene, p)
    shifted = replace(atoms, positions_nm=atoms.positions_nm + pad_px * p.pixel_size_nm)
    image = form_images([shifted], grid, optics, device)[0]
    return ABF_VACUUM * (-image).exp() if p.contrast == "abf" else image


def _multislice(p: SimulationParams) -> FloatImage:
    """Return the image of ``p`` by abTEM, with the source's size."""
    from .multislice import multislice_image

    scene = build_scene(p, Window(_extent(p), MULTISLICE_MARGIN_NM))
    positions, numbers, rms = atoms_in_space(scene, p)
    origin = np.array([MULTISLICE_MARGIN_NM, MULTISLICE_MARGIN_NM, VACUUM_NM])
    box = np.array([*_extent(p), positions[:, 2].max(initial=0.0)]) + 2 * origin
    semi = p.semi_angle_mrad
    image = multislice_image(
        positions + origin,
        numbers,
        rms,
        (box[0], box[1], box[2]),
        (origin[0], origin[1]),
        p.shape,
        p.pixel_size_nm,
        energy_kev=p.energy_kev,
        semi_angle_mrad=semi,
        aberrations=dict(Optics.of(p).aberrations),
        detector_mrad=(1e3 * DETECTOR_RAD[0], 1e3 * DETECTOR_RAD[1]) if p.contrast == "haadf" else (0.44 * semi, 0.88 * semi),
        seed=p.seed,
    )
    blurred: FloatImage = gaussian_filter(image, Optics.of(p).source_sigma_nm / p.pixel_size_nm, mode="nearest")
    return blurred


def _extent(p: SimulationParams) -> tuple[float, float]:
    return p.shape[0] * p.pixel_size_nm, p.shape[1] * p.pixel_size_nm


def truth(scene: Scene, p: SimulationParams) -> Columns:
    """Return the columns inside the frame; atoms of films are no columns."""
    positions_px = scene.positions_nm / p.pixel_size_nm
    inside = ((positions_px > -0.5) & (positions_px < np.array(p.shape) - 0.5)).all(1) & (scene.defect != "film")
    elements = np.array([s.label for s in scene.species] or [""])
    return Columns(
        scene.positions_nm[inside],
        positions_px[inside],
        elements[scene.kind[inside]],
        column_intensities(scene, p)[inside],
        scene.defect[inside],
    )


def remarks(params: SimulationParams) -> list[str]:
    """Return sentences on what is unusual about ``params``, though not wrong."""
    found = []
    limit = 0.5 / Optics.of(params).cutoff_per_nm
    if params.pixel_size_nm > limit and params.scene != "surface":
        found.append(
            f"The scan step of {params.pixel_size_nm:g} nm is beyond Nyquist of this probe ({limit:.4f} nm): "
            "the frame holds aliases, as a real one would."
        )
    return found
