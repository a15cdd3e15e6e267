"""probe.py: sum rules, the cut-off, and each aberration's symmetry."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from napari_stem_inpaint.params import SimulationParams
from napari_stem_inpaint.simulation.formation import Grid
from napari_stem_inpaint.simulation.probe import AZIMUTHS, COEFFICIENTS, ORDERS, Optics, probe_image, transfer, wavelength_nm

# Each moves the aperture's edge by about a wave at 200 keV, 25 mrad, in Å.
WAVE = {f"C{n}{m}": 0.0251 * (n + 1) / 0.025 ** (n + 1) * 0.6 for n, m in ORDERS}


@pytest.mark.parametrize(("kev", "angstrom"), [(80, 0.0418), (200, 0.0251), (300, 0.0197)])
def test_wavelength(kev, angstrom):
    assert 10 * wavelength_nm(kev) == pytest.approx(angstrom, abs=5e-5)


def test_there_are_abtems_names():
    fields = SimulationParams.model_fields
    assert set(COEFFICIENTS + AZIMUTHS) <= set(fields)
    assert len(COEFFICIENTS) == 14
    assert len(AZIMUTHS) == 11


def axes(optics: Optics) -> tuple[torch.Tensor, torch.Tensor]:
    return Grid.over((64, 64), 0.02, optics).frequencies()


def test_the_disc_has_its_closed_form():
    optics = Optics(200, 25, 0.0)
    k = optics.cutoff_per_nm * torch.tensor([[0.0, 0.5, 1.0, 1.5]])
    half = 2 / np.pi * (np.arccos(0.5) - 0.5 * np.sqrt(0.75))
    np.testing.assert_allclose(transfer(optics, torch.zeros(2, 1), k)[0], [1, half, 0, 0], atol=1e-6)


@settings(max_examples=15)
@given(
    c10=st.floats(-80, 80), c12=st.floats(0, 60), c21=st.floats(0, 3000), c30=st.floats(-5e4, 5e4),
    kev=st.floats(60, 300), mrad=st.floats(12, 35),
    spread=st.sampled_from([0.0, 4.0]),
)  # fmt: skip
def test_any_probe_sums_to_one_and_ends_at_the_cutoff(c10, c12, c21, c30, kev, mrad, spread):
    optics = Optics(kev, mrad, 0.0, spread, (("C10", c10), ("C12", c12), ("C21", c21), ("C30", c30)))
    ky, kx = axes(optics)
    otf = transfer(optics, ky, kx)
    k = torch.sqrt(ky**2 + kx**2)
    assert complex(otf[0, 0]) == pytest.approx(1, abs=1e-6)
    assert (otf[k >= optics.cutoff_per_nm] == 0).all()
    assert otf.abs().max() <= 1 + 1e-6


def test_tiny_aberrations_give_the_closed_form():
    plain, tiny = Optics(200, 25, 0.0), Optics(200, 25, 0.0, 0.0, (("C10", 1e-6),))
    ky, kx = axes(tiny)
    np.testing.assert_allclose(transfer(tiny, ky, kx), transfer(plain, ky, kx), atol=5e-4)


def test_defocus_agrees_with_quadrature():
    """The autocorrelation of exp(−iπλ C10 k²) over the lens of two discs, integrated directly."""
    optics = Optics(200, 25, 0.0, 0.0, (("C10", 50.0),))
    ky, kx = axes(optics)
    otf = transfer(optics, ky, kx)
    radius = optics.cutoff_per_nm / 2
    q = np.linspace(-radius, radius, 801)
    qy, qx = np.meshgrid(q, q, indexing="ij")
    for column in (10, 40, 90):
        shift = float(kx[0, column])
        lens = (np.hypot(qy, qx + shift / 2) < radius) & (np.hypot(qy, qx - shift / 2) < radius)
        expected = (lens * np.exp(-2j * np.pi * optics.wavelength_nm * 5.0 * qx * shift)).sum() / (np.hypot(qy, qx) < radius).sum()
        assert complex(otf[0, column]) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("order", [o for o in ORDERS if o[1]])
def test_each_aberration_has_its_symmetry(order):
    n, m = order
    p = SimulationParams.model_validate({f"C{n}{m}": WAVE[f"C{n}{m}"], f"phi{n}{m}": 0.4, "source_size_nm": 0, "pixel_size_nm": 0.005})
    image = probe_image(p, (129, 129)).image
    angles = 2 * np.pi * np.arange(240) / 240
    broken = 0.0
    for radius in (6, 10, 15, 22):
        ring = map_coordinates(image, [64 + radius * np.sin(angles), 64 + radius * np.cos(angles)], order=5)
        power = np.abs(np.fft.rfft(ring)) ** 2
        others = np.delete(power, np.arange(0, len(power), m))
        assert others.sum() < 1e-3 * power[0]
        broken = max(broken, power[m::m].sum() / power[0])
    assert broken > 1e-5  # it isn't round


@pytest.mark.parametrize("name", ["C10", "C30", "C50"])
def test_round_aberrations_are_round(name):
    p = SimulationParams.model_validate({name: WAVE[name], "source_size_nm": 0, "pixel_size_nm": 0.005})
    image = probe_image(p, (129, 129)).image
    np.testing.assert_allclose(image, np.rot90(image), atol=1e-4 * image.max())
    assert image.max() < 0.9 * probe_image(SimulationParams(source_size_nm=0, pixel_size_nm=0.005), (129, 129)).image.max()


def test_an_azimuth_turns_the_probe():
    def probe(phi: float) -> np.ndarray:
        return probe_image(SimulationParams(C21=WAVE["C21"], phi21=phi, source_size_nm=0, pixel_size_nm=0.005), (129, 129)).image

    # rows go down with y, so 90 degrees from x towards y is a turn by -1 of rot90
    np.testing.assert_allclose(probe(np.pi / 2), np.rot90(probe(0.0), -1), atol=1e-3 * probe(0.0).max())


def test_the_probe_image_sums_to_one_and_stands_in_the_middle():
    p = SimulationParams(pixel_size_nm=0.01, C10=40.0)
    image = probe_image(p, (400, 400)).image
    assert image.sum() * 0.01**2 == pytest.approx(1, abs=0.01)
    assert np.unravel_index(image.argmax(), image.shape) == (200, 200)
