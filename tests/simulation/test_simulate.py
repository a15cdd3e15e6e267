"""simulate and acquire: seeds, defects, counts."""

import numpy as np
import pytest
import torch
from helpers import SMALL

import napari_stem_inpaint as nsi
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.simulation.crystal import CELLS
from napari_stem_inpaint.simulation.formation import probe_transfer
from napari_stem_inpaint.simulation.training_scenes import is_held_out, random_cell, training_batch


def test_same_seed_same_bits_other_seed_other_frame():
    first, same, other = (nsi.simulate(nsi.SimulationParams(**SMALL, seed=s)).image for s in (3, 3, 4))
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_each_defect_has_a_stream_of_its_own():
    """With 30 % vacancies, the columns that stay are where they are without."""
    base = nsi.simulate(nsi.SimulationParams(**SMALL, displacement_nm=0.01)).image
    missing = nsi.simulate(nsi.SimulationParams(**SMALL, displacement_nm=0.01, vacancies=0.3)).image
    difference = base - missing
    assert difference.min() > -1e-3 * base.max()
    assert (np.abs(difference) < 1e-2 * base.max()).mean() > 0.3


def structure_factors(crystal: str, height_nm: float, width_nm: float) -> np.ndarray:
    """Fourier coefficients of one unit cell: the pixels divide it exactly along the rows, nearly along the columns."""
    n = 48
    frame = nsi.simulate(nsi.SimulationParams(crystal=crystal, shape=(n, n), pixel_size_nm=height_nm / n))
    x = np.arange(round(width_nm / (height_nm / n)))
    rows = np.fft.fft(frame.image, axis=0)
    return np.stack([(rows[:, x] * np.exp(-2j * np.pi * k * x * height_nm / n / width_nm)).sum(1) for k in (0, 1)], 1)


def test_strontium_titanate_has_its_structure_factors():
    """(1, 0): Sr - TiO, the oxygens cancel; (1, 1): Sr + TiO - 2 O; each damped by probe, source and thermal motion."""
    f = np.abs(structure_factors("SrTiO3", 0.3905, 0.3905))
    z = {element: number**1.7 for element, number in {"Sr": 38, "Ti": 22, "O": 8}.items()}

    def damped(order2: float, sr: float, tio: float, o: float) -> float:
        k = np.sqrt(order2) / 0.3905
        thermal = [np.exp(-2 * (np.pi * u * k) ** 2) for u in (0.0079, 0.0070, 0.0090)]
        probe = float(probe_transfer(torch.tensor(k), 200, 25, 0.07))
        return probe * abs(sr * z["Sr"] * thermal[0] + tio * (z["Ti"] + z["O"]) * thermal[1] + o * z["O"] * thermal[2])

    assert f[1, 0] / f[1, 1] == pytest.approx(damped(1, 1, -1, 0) / damped(2, 1, 1, -2), rel=0.02)
    assert f[0, 0] / f[1, 1] == pytest.approx(damped(0, 1, 1, 2) / damped(2, 1, 1, -2), rel=0.02)


def test_silicon_has_diamonds_forbidden_reflection():
    f = np.abs(structure_factors("Si", 0.5431, 0.5431 / np.sqrt(2)))
    assert f[2, 0] < 0.01 * f[1, 1]
    assert f[1, 1] > 0.1 * f[0, 0]


@pytest.mark.parametrize("dose", [100, 10_000])
def test_counts_are_poisson(dose):
    frame = nsi.Frame(np.full((200, 200), 7.0, np.float32))
    scan = nsi.make_scan(frame.shape, nsi.ScanParams(ratio=1))
    counts = nsi.acquire(frame, scan, nsi.AcquisitionParams(dose_e_per_px=dose)).values / 7.0 * dose
    assert counts.mean() == pytest.approx(dose, rel=5 / np.sqrt(dose * counts.size))
    assert counts.var() == pytest.approx(dose, rel=0.05)


def test_noise_free_acquisition_is_exact_and_says_so():
    frame = nsi.simulate(nsi.SimulationParams(**SMALL))
    measurement = nsi.acquire(frame, nsi.make_scan(frame.shape))
    np.testing.assert_array_equal(measurement.values[measurement.mask], frame.image[measurement.mask])
    assert measurement.noise == "none"
    assert measurement.pixel_size_nm == frame.pixel_size_nm


def test_acquire_refuses():
    frame = nsi.Frame(np.zeros((8, 8)))
    with pytest.raises(InputError, match="make the scan for this frame"):
        nsi.acquire(frame, nsi.make_scan((8, 9)))
    with pytest.raises(InputError, match="no positive intensity"):
        nsi.acquire(frame, nsi.make_scan((8, 8)), nsi.AcquisitionParams(dose_e_per_px=10))
    with pytest.raises(InputError, match="NaN"):
        nsi.acquire(nsi.Frame(np.full((8, 8), np.nan)), nsi.make_scan((8, 8)))


def test_training_never_draws_the_crystals_it_is_judged_on():
    assert all(is_held_out(np.array(cell.vectors)) for cell in CELLS.values())
    turned = np.array([[0.272, 0.192], [0.272, -0.192]])  # Si's primitive cell
    assert is_held_out(turned)
    assert not is_held_out(np.array([[0.42, 0], [0, 0.42]]))
    rng = np.random.default_rng(0)
    assert not any(is_held_out(random_cell(rng)[0]) for _ in range(500))


def test_training_patches_are_finite_scaled_and_seeded():
    batch = training_batch(12, 32, np.random.default_rng(5))
    assert batch.shape == (12, 1, 32, 32)
    assert batch.isfinite().all()
    assert batch.min() > -0.2
    assert batch.max() < 1.25
    assert (batch == training_batch(12, 32, np.random.default_rng(5))).all()
