"""Image formation against closed forms."""

import numpy as np
import pytest
import torch

import napari_stem_inpaint as nsi
from napari_stem_inpaint.simulation.crystal import Scene
from napari_stem_inpaint.simulation.formation import cutoff_per_nm, form_image, probe_transfer, wavelength_nm


@pytest.mark.parametrize(("kev", "angstrom"), [(80, 0.0418), (200, 0.0251), (300, 0.0197)])
def test_wavelength(kev, angstrom):
    assert 10 * wavelength_nm(kev) == pytest.approx(angstrom, abs=5e-5)


def one_column(position, shape=(96, 80), pixel=0.02, u=0.008, source=0.07):
    scene = Scene(np.array([position]), np.array([2.0]), np.array([u]))
    return form_image(scene, shape, pixel, 200, 25, source, 1.2).numpy()


def test_transfer_is_one_at_zero_half_known_and_zero_beyond_the_cutoff():
    k = cutoff_per_nm(200, 25) * torch.tensor([0.0, 0.5, 1.0, 1.5])
    half = 2 / np.pi * (np.arccos(0.5) - 0.5 * np.sqrt(0.75))  # disc autocorrelation
    np.testing.assert_allclose(probe_transfer(k, 200, 25, 0.0), [1, half, 0, 0], atol=1e-6)


def test_a_column_carries_its_weight():
    assert one_column((0.95, 0.8)).sum() * 0.02**2 == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("position", [(0.95, 0.81), (0.913, 0.777)])
def test_a_column_lands_where_it_is(position):
    image = one_column(position)
    y, x = np.indices(image.shape) * 0.02
    near = (y - position[0]) ** 2 + (x - position[1]) ** 2 < 0.15**2
    w = image * near
    # a symmetric spot on a symmetric window about the estimate: iterate the centroid
    centre = np.array([(w * y).sum(), (w * x).sum()]) / w.sum()
    for _ in range(50):
        w = image * np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 0.06**2)
        centre = np.array([(w * y).sum(), (w * x).sum()]) / w.sum()
    assert np.abs(centre - position).max() < 0.01 * 0.02


def test_no_energy_beyond_the_cutoff():
    image = one_column((0.9, 0.9), shape=(200, 200), pixel=0.01)
    window = np.hanning(200)[:, None] * np.hanning(200)
    power = np.abs(np.fft.fft2(image * window)) ** 2
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(200, 0.01), np.fft.fftfreq(200, 0.01)))
    assert power[k > 1.1 * cutoff_per_nm(200, 25)].sum() < 1e-9 * power.sum()


def test_nothing_wraps_around():
    image = one_column((0.02, 0.02))
    assert image[-20:, -20:].max() < 2e-4 * image.max()


def test_sampling_beyond_nyquist_is_pointwise():
    """Every third pixel of a fine image is the coarse image, also where the coarse grid aliases."""
    scene = Scene(np.array([[0.7, 0.9], [1.1, 0.4]]), np.ones(2), np.full(2, 0.007))
    fine = form_image(scene, (120, 120), 0.015, 200, 25, 0.03, 1.215).numpy()
    coarse = form_image(scene, (40, 40), 0.045, 200, 25, 0.03, 1.215).numpy()
    np.testing.assert_allclose(coarse, fine[::3, ::3], atol=2e-4 * fine.max())


def test_weights_superpose():
    a, b = one_column((0.9, 0.6)), one_column((0.5, 1.0))
    both = form_image(Scene(np.array([[0.9, 0.6], [0.5, 1.0]]), np.full(2, 2.0), np.full(2, 0.008)), (96, 80), 0.02, 200, 25, 0.07, 1.2)
    np.testing.assert_allclose(both, a + b, atol=1e-4 * a.max())


def test_a_shift_by_a_cell_changes_little():
    """Airy tails from beyond the margin are missing: 2/(pi v) of the intensity, v = 2 pi alpha r / lambda."""
    n = 60
    image = nsi.simulate(nsi.SimulationParams(shape=(2 * n, 2 * n), pixel_size_nm=0.3905 / n)).image
    missing = 2 / np.pi / (2 * np.pi * 0.025 * 1.2 / wavelength_nm(200))
    np.testing.assert_allclose(image[:n, :n], image[n:, n:], rtol=0, atol=missing * image.mean())


def test_a_turn_by_90_degrees_is_rot90():
    cell = np.array([[0.5, 0.8], [1.0, 1.1]])
    w, u = np.array([1.0, 2.0]), np.full(2, 0.008)
    n, p = 96, 0.02
    image = form_image(Scene(cell, w, u), (n, n), p, 200, 25, 0.07, 1.2).numpy()
    turned_cell = np.stack([(n - 1) * p - cell[:, 1], cell[:, 0]], 1)
    turned = form_image(Scene(turned_cell, w, u), (n, n), p, 200, 25, 0.07, 1.2).numpy()
    np.testing.assert_allclose(turned, np.rot90(image), atol=1e-4 * image.max())
