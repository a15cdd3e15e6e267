"""Simulated STEM: crystal → scene of columns → image → values at the scanned positions."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..frames import Frame, Measurement, Scan
from ..params import AcquisitionParams, SimulationParams

MARGIN_NM = 1.2  # at 200 kV and 25 mrad, the Airy tails beyond it carry 0.9 % of a column


def simulate(params: SimulationParams | None = None) -> Frame:
    """Return a simulated HAADF frame; intensity in Z**n per nm², float32 ``(Y, X)``.

    One random stream for the offset and one for each kind of defect, so switching one on changes nothing else.
    """
    from .crystal import crystal_scene, with_defects
    from .formation import form_image, to_numpy

    p = params or SimulationParams()
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(p.seed).spawn(4)]
    extent = (p.shape[0] * p.pixel_size_nm, p.shape[1] * p.pixel_size_nm)
    scene = crystal_scene(p.crystal, extent, MARGIN_NM, p.rotation_deg, p.z_exponent, streams[0])
    scene = with_defects(scene, p.vacancies, p.intensity_scatter, p.displacement_nm, streams[1:])
    image = form_image(scene, p.shape, p.pixel_size_nm, p.energy_kev, p.semi_angle_mrad, p.source_size_nm, MARGIN_NM)
    return Frame(to_numpy(image), (p.pixel_size_nm, p.pixel_size_nm), p.crystal, {"simulation": p.model_dump(mode="json")})


def acquire(frame: Frame, scan: Scan, params: AcquisitionParams | None = None) -> Measurement:
    """Return what a detector reads of ``frame`` at the scanned positions, in the frame's own intensity units.

    With a dose, counts are Poisson-distributed with mean ``dose_e_per_px`` at the frame's brightest position; negative
    intensities (the band limit's undershoot, or a file's offset) count as zero.
    """
    p = params or AcquisitionParams()
    if scan.shape != frame.shape:
        raise InputError(f"The scan is for a frame of {scan.shape}, but the frame is {frame.shape}; make the scan for this frame.")
    if not np.isfinite(frame.image).all():
        raise InputError("The frame holds NaN or infinity; a measurement can only be simulated from finite intensities.")
    values = frame.image
    if p.dose_e_per_px > 0:
        peak = float(values.max())
        if peak <= 0:
            raise InputError("The frame has no positive intensity, so no electrons can be counted; use a dose of 0 (noise-free).")
        per_unit = p.dose_e_per_px / peak
        counts = np.random.default_rng(p.seed).poisson(np.clip(values, 0, None) * per_unit)
        values = (counts / per_unit).astype(np.float32)
    return Measurement(values, scan.mask, frame.pixel_size_nm, "poisson" if p.dose_e_per_px > 0 else "none", scan, frame.name)
