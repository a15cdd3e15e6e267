"""Image formation against direct sums and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.simulation.formation import Atoms, Grid, form_images, resize
from napari_stem_inpaint.simulation.probe import Optics, transfer

OPTICS = Optics(200, 25, 0.07)
PIXEL = 0.02


def formed(positions: list, weights: float = 2.0, shape=(96, 80), pixel=PIXEL, u=0.008, optics=OPTICS) -> np.ndarray:
    positions = np.atleast_2d(np.asarray(positions, dtype=float))
    n = len(positions)
    atoms = Atoms(positions, np.full(n, weights), np.full(n, u))
    return form_images([atoms], Grid.over(shape, pixel, optics), optics)[0].numpy()


def direct(atoms: Atoms, grid: Grid, optics: Optics) -> np.ndarray:
    """The same sum, atom by atom and frequency by frequency, in float64."""
    step = grid.pixel_nm / grid.oversampling
    ky, kx = np.fft.fftfreq(grid.fine[0], step)[:, None], np.fft.rfftfreq(grid.fine[1], step)[None]
    spectrum = np.zeros((ky.shape[0], kx.shape[1]), complex)
    for (y, x), w, u in zip(atoms.positions_nm + grid.margin * grid.pixel_nm, atoms.weights, atoms.rms_nm, strict=True):
        spectrum += w * np.exp(-2j * np.pi * (ky * y + kx * x) - 2 * (np.pi * u) ** 2 * (ky**2 + kx**2))
    spectrum *= transfer(optics, torch.tensor(ky), torch.tensor(kx)).numpy()
    return grid.image(torch.tensor(spectrum)).numpy()


@pytest.mark.parametrize(
    "optics", [OPTICS, Optics(300, 30, 0.0), Optics(80, 20, 0.12, 0.0, (("C10", 60.0), ("C21", 2000.0), ("phi21", 1.0)))]
)
@pytest.mark.parametrize("pixel", [0.01, 0.021, 0.043])
def test_the_image_is_the_direct_sum_to_float_precision(optics, pixel):
    rng = np.random.default_rng(0)
    shape = (40, 31)
    atoms = Atoms(rng.random((30, 2)) * shape * pixel, rng.random(30) + 0.1, rng.uniform(0.003, 0.012, 30))
    grid = Grid.over(shape, pixel, optics)
    image = form_images([atoms], grid, optics)[0].numpy()
    expected = direct(atoms, grid, optics)
    # atoms inside the solid margin are not faded, so the surroundings add only what lies beyond: next to nothing here
    assert np.abs(image - expected).max() < 1e-3 * expected.max()
    bare = Grid(grid.shape, grid.pixel_nm, grid.margin * 3, grid.oversampling, grid.band_per_nm)
    far = form_images([atoms], bare, optics)[0].numpy()
    np.testing.assert_allclose(far, direct(atoms, bare, optics), atol=1e-5 * expected.max())


def test_a_column_carries_its_weight():
    assert formed((0.95, 0.8)).sum() * PIXEL**2 == pytest.approx(2.0, rel=0.015)


@settings(max_examples=20)
@given(st.floats(0.5, 1.2), st.floats(0.5, 1.0))
def test_a_column_lands_within_a_hundredth_of_a_pixel(y, x):
    """A Gaussian with background fitted to a dense image."""
    image = formed((y, x))
    centre = np.round(np.array([y, x]) / PIXEL).astype(int)
    rows, columns = np.meshgrid(*(np.arange(c - 4, c + 5) for c in centre), indexing="ij")
    patch = image[rows, columns]

    def misfit(q: np.ndarray) -> np.ndarray:
        r2 = (rows - q[0]) ** 2 + (columns - q[1]) ** 2
        return (q[2] * np.exp(-r2 / (2 * q[3] ** 2)) + q[4] - patch).ravel() / patch.max()

    fit = least_squares(misfit, [*centre, patch.max(), 2.5, 0.0]).x
    assert np.abs(fit[:2] - np.array([y, x]) / PIXEL).max() < 0.01


def test_no_energy_beyond_the_cutoff():
    image = formed((0.9, 0.9), shape=(200, 200), pixel=0.01)
    window = np.hanning(200)[:, None] * np.hanning(200)
    power = np.abs(np.fft.fft2(image * window)) ** 2
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(200, 0.01), np.fft.fftfreq(200, 0.01)))
    assert power[k > 1.1 * OPTICS.cutoff_per_nm].sum() < 1e-9 * power.sum()


def test_nothing_wraps_around():
    image = formed((0.02, 0.02))
    assert image[-20:, -20:].max() < 1e-4 * image.max()


def test_sampling_beyond_nyquist_is_pointwise():
    """Every third pixel of a fine image is the coarse image, also where the coarse grid aliases."""
    positions = [[0.7, 0.9], [1.1, 0.4]]
    optics = Optics(200, 25, 0.03)
    fine = formed(positions, shape=(120, 120), pixel=0.015, optics=optics)
    coarse = formed(positions, shape=(40, 40), pixel=0.045, optics=optics)
    np.testing.assert_allclose(coarse, fine[::3, ::3], atol=2e-4 * fine.max())


def test_weights_superpose():
    a, b = formed((0.9, 0.6)), formed((0.5, 1.0))
    np.testing.assert_allclose(formed([[0.9, 0.6], [0.5, 1.0]]), a + b, atol=2e-4 * a.max())


def test_batches_hold_the_single_images():
    one, two = (Atoms(np.array([[y, 0.7]]), np.ones(1), np.full(1, 0.008)) for y in (0.5, 1.1))
    empty = Atoms(np.empty((0, 2)), np.empty(0), np.empty(0))
    grid = Grid.over((96, 80), PIXEL, OPTICS)
    batch = form_images([one, empty, two], grid, OPTICS)
    assert batch.shape == (3, 96, 80)
    np.testing.assert_allclose(batch[2], form_images([two], grid, OPTICS)[0], atol=1e-5 * float(batch.max()))
    assert not batch[1].any()


@given(st.integers(0, 3), st.floats(0.2, 1.4), st.floats(0.2, 1.4))
@settings(max_examples=10)
def test_a_turn_by_90_degrees_is_rot90(turns, y, x):
    """Optics with every fourfold symmetry; the frame's centre is the axis."""
    n = 96
    positions = np.array([[y, x], [1.0, 1.1]])
    middle = (n - 1) * PIXEL / 2
    turned = positions - middle
    for _ in range(turns):
        turned = np.stack([-turned[:, 1], turned[:, 0]], 1)
    image, other = formed(positions, shape=(n, n)), formed(turned + middle, shape=(n, n))
    np.testing.assert_allclose(other, np.rot90(image, turns), atol=1e-5 * image.max())


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_resize_keeps_what_both_grids_hold(y, x, rows, columns):
    rng = np.random.default_rng(0)
    spectrum = torch.fft.rfft2(torch.tensor(rng.random((y, x))))
    grown = resize(resize(spectrum, (y, x), (y + rows, x + columns)), (y + rows, x + columns), (y, x))
    kept = resize(spectrum, (y, x), (y, x))
    np.testing.assert_allclose(grown, kept)
    assert kept[0, 0] == spectrum[0, 0]


def test_what_does_not_fit_is_refused_first():
    with pytest.raises(InputError, match="GB"):
        Grid.over((8192, 8192), 0.05, OPTICS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_cpu_and_gpu_agree():
    atoms = Atoms(np.random.default_rng(0).random((50, 2)) * 1.5, np.ones(50), np.full(50, 0.008))
    grid = Grid.over((96, 80), PIXEL, OPTICS)
    cpu, gpu = (form_images([atoms], grid, OPTICS, device)[0].cpu() for device in ("cpu", "cuda"))
    np.testing.assert_allclose(gpu, cpu, atol=1e-5 * float(cpu.max()))
