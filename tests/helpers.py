"""What several test modules make."""

import numpy as np
import torch

import napari_stem_inpaint as nsi

SMALL = {"shape": (64, 64), "pixel_size_nm": 0.02}


def identity(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """A denoiser that changes nothing."""
    return image


def blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """A denoiser that harms: every pixel becomes the mean."""
    return image.mean((-2, -1), keepdim=True).expand_as(image)


def measurement(crystal: str = "SrTiO3", ratio: float = 0.25, dose: float = 0, **values: object) -> tuple[nsi.Frame, nsi.Measurement]:
    """A small frame and what was measured of it."""
    frame = nsi.simulate(nsi.SimulationParams(crystal=crystal, **(SMALL | values)))
    scan = nsi.make_scan(frame.shape, nsi.ScanParams(ratio=ratio))
    return frame, nsi.acquire(frame, scan, nsi.AcquisitionParams(dose_e_per_px=dose))


def sre(image: np.ndarray, reference: np.ndarray) -> float:
    """SRE in dB, written out."""
    return float(20 * np.log10(np.linalg.norm(reference) / np.linalg.norm(reference - image)))
