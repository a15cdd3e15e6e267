"""acquisition.py and damage.py: what is read where, what is left of it, and what the measurement says about itself."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import napari_stem_inpaint as nsi
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.simulation.acquisition import acquire, sample, specimen_at
from napari_stem_inpaint.simulation.damage import SPREAD_NM, fading, received_dose
from napari_stem_inpaint.simulation.imaging import wide_frame
from napari_stem_inpaint.simulation.movement import read_positions

PIXEL = (0.02, 0.02)
DWELL_E = 30 * 10 * 6.241509  # 30 pA for 10 µs
EVERYTHING = {
    "dose_e_per_px": 100, "readout_noise_e": 1, "afterglow": 0.1, "bits": 16, "offset_counts": 100,
    "drift_nm_per_s": 0.5, "drift_direction_deg": 30, "wander_nm": 0.2, "row_jitter_nm": 0.01, "scan_noise_nm": 0.02,
    "flyback_lag_nm": 0.1, "response_time_us": 3, "critical_dose_e_per_a2": 1e6,
}  # fmt: skip


def params(**values: float) -> nsi.AcquisitionParams:
    return nsi.AcquisitionParams(**values)


def raster(shape: tuple[int, int], visits: int = 1) -> nsi.Scan:
    return nsi.Scan(np.tile(np.argwhere(np.ones(shape)), (visits, 1)), shape, 10.0)


@given(image=arrays(np.float32, (6, 9), elements=st.floats(-1e6, 1e6, width=32)), seed=st.integers(0, 99), ratio=st.floats(0.1, 1))
def test_everything_off_is_the_identity(image, seed, ratio):
    scan = nsi.make_scan(image.shape, nsi.ScanParams(ratio=ratio, seed=seed))
    m = acquire(nsi.Frame(image), scan)
    np.testing.assert_array_equal(m.values, np.where(scan.mask, image, 0))
    assert m.noise == "none"
    assert m.scan is scan


@given(image=arrays(np.float32, (5, 5), elements=st.floats(-1e6, 1e6, width=32)), visits=st.integers(2, 7))
def test_exact_readings_of_the_same_position_average_exactly(image, visits):
    m = acquire(nsi.Frame(image), raster((5, 5), visits))
    np.testing.assert_array_equal(m.values, image)
    assert m.noise == "none"


def test_repeated_visits_are_averaged():
    frame = nsi.Frame(np.full((50, 50), 3.0))
    m = acquire(frame, raster((50, 50), 16), params(dose_e_per_px=40))
    assert m.values.var() * (40 / 3) ** 2 == pytest.approx(40 / 16, rel=5 * np.sqrt(2 / 2500))
    assert m.values.mean() == pytest.approx(3, rel=5 / np.sqrt(40 * 16 * 2500))


def test_positions_are_counted_in_the_order_of_the_scan():
    """Each reading draws its own count: those of a subsampled scan are the first of the stream, whatever the frame's size."""
    short, long = ([(0, i) for i in range(n)] for n in (5, 9))
    first, second = (
        acquire(nsi.Frame(np.ones((2, 9))), nsi.Scan(np.array(p), (2, 9)), params(dose_e_per_px=20)).values for p in (short, long)
    )
    np.testing.assert_array_equal(first[0, :5], second[0, :5])


# --- movement


@pytest.mark.parametrize(("direction", "axis", "sign"), [(0, 1, -1), (90, 0, 1)])
def test_on_a_ramp_drift_changes_the_values_by_the_way_drifted(direction, axis, sign):
    rows, columns = np.indices((80, 80))
    ramp = (rows, columns)[axis]
    inner = nsi.Scan(np.argwhere(np.ones((20, 20))) + 30, (80, 80), 10.0)
    m = acquire(nsi.Frame(ramp, PIXEL), inner, params(drift_nm_per_s=10.0, drift_direction_deg=direction))
    moved = np.zeros((80, 80))
    moved[tuple(inner.positions.T)] = sign * 10.0 * 1e-6 * (inner.times_us + 5) / 0.02
    np.testing.assert_allclose(m.values[m.mask], (ramp + moved)[m.mask], rtol=0, atol=1e-5)
    assert np.abs(moved).max() > 1.9
    assert m.noise == "unknown"


def test_a_specimen_that_drifts_right_is_seen_moving_right():
    """One row over a bright column, twice: at the second time the column is further right by speed times time."""
    columns = np.arange(128)
    image = np.tile(np.exp(-(((columns - 60) / 4) ** 2)), (16, 1))
    twice = nsi.Scan(np.stack([np.full(256, 8), np.tile(columns, 2)], 1), image.shape, 1000.0)
    positions = read_positions(twice, params(drift_nm_per_s=0.6), PIXEL)
    first, second = specimen_at(nsi.Frame(image, PIXEL), positions).reshape(2, 128)
    shift_px = (second * columns).sum() / second.sum() - (first * columns).sum() / first.sum()
    assert shift_px * 0.02 == pytest.approx(0.6 * 0.128, rel=0.05)


def test_the_spline_goes_through_the_pixels_and_is_right_between_them():
    image = np.sin(2 * np.pi * np.arange(128) / 16)[None, :] * np.cos(2 * np.pi * np.arange(128) / 11)[:, None]
    positions = np.random.default_rng(0).uniform(30, 90, (500, 2))
    expected = np.sin(2 * np.pi * positions[:, 1] / 16) * np.cos(2 * np.pi * positions[:, 0] / 11)
    np.testing.assert_allclose(sample(image.astype(np.float32), positions), expected, atol=1e-4)
    whole = np.argwhere(np.ones((128, 128)))
    np.testing.assert_array_equal(sample(image.astype(np.float32), whole), image.astype(np.float32).ravel())
    almost = specimen_at(nsi.Frame(image), whole + 1e-9)
    np.testing.assert_allclose(almost, image.ravel(), atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 8), (3, 3), (16, 5)])
def test_beyond_the_frame_the_specimen_goes_on_as_its_mirror_image(shape):
    image = np.random.default_rng(0).uniform(1, 2, shape)
    for reach in range(shape[1]):
        outside = np.array([[0.0, -reach], [0.0, shape[1] - 1 + reach]])
        expected = [image[0, reach], image[0, shape[1] - 1 - reach]]
        np.testing.assert_allclose(specimen_at(nsi.Frame(image), outside), expected, rtol=1e-6)


def test_movements_larger_than_the_frame_are_refused():
    with pytest.raises(InputError, match=r"px out of the frame of \(8, 8\)"):
        acquire(nsi.Frame(np.ones((8, 8)), PIXEL), raster((8, 8)), params(drift_nm_per_s=1000))


# --- beam damage


def test_the_second_visit_is_dimmer_by_the_dose_of_the_first():
    scan = nsi.Scan(np.array([(4, 4)] * 3), (9, 9), 10.0)
    at_centre = DWELL_E / (2 * np.pi * (10 * SPREAD_NM) ** 2)  # e⁻/Å², from the middle of a Gaussian spot
    left = fading(scan.positions.astype(float), scan, params(critical_dose_e_per_a2=5000), PIXEL)
    np.testing.assert_allclose(left, np.exp(-np.arange(3) * at_centre / 5000), rtol=1e-6)
    m = acquire(nsi.Frame(np.full((9, 9), 2.0), PIXEL), scan, params(critical_dose_e_per_a2=5000))
    assert m.values[4, 4] == pytest.approx(2 * left.mean(), rel=1e-6)
    assert m.noise == "unknown"


@pytest.mark.parametrize("pixel", [(0.02, 0.02), (0.03, 0.05), (1.0, 1.0)])
def test_the_dose_is_that_of_all_dwells_before(pixel):
    positions = np.random.default_rng(0).integers(0, 12, (150, 2)).astype(float)
    distance2 = (((positions[:, None] - positions[None]) * pixel) ** 2).sum(-1)
    each = DWELL_E / (2 * np.pi * (10 * SPREAD_NM) ** 2) * np.exp(-distance2 / (2 * SPREAD_NM**2))
    expected = np.tril(each, -1).sum(1)
    np.testing.assert_allclose(received_dose(positions, DWELL_E, pixel), expected, rtol=0.02, atol=1e-2 * each.max())


@pytest.mark.parametrize("pixel", [0.04, 0.02, 0.005])
def test_a_whole_raster_brings_the_electrons_per_area(pixel):
    """Far inside, a second pass finds the first one's dose: current x dwell / pixel area; in the first pass it is half of that."""
    half = round(8 * SPREAD_NM / pixel)
    n = 2 * half + 1
    positions = np.tile(np.argwhere(np.ones((n, n))), (2, 1)).astype(float)
    dose = received_dose(positions, DWELL_E, (pixel, pixel)).reshape(2, n, n)[:, half, half]
    per_area = DWELL_E / (10 * pixel) ** 2
    # the centre itself is behind in half of its neighbours; its own dwell, one spot, does not count
    assert dose[1] - dose[0] == pytest.approx(per_area, rel=0.02)
    if pixel == 0.02:
        assert dose[0] == pytest.approx((per_area - DWELL_E / (2 * np.pi * (10 * SPREAD_NM) ** 2)) / 2, rel=0.02)


def test_damage_follows_the_movement():
    """Far apart on the specimen, two dwells at the same scan position do not harm each other."""
    scan = nsi.Scan(np.array([(4, 4), (4, 4)]), (64, 64), 1e5)
    p = {"critical_dose_e_per_a2": 1000.0}
    frame = nsi.Frame(np.ones((64, 64)), PIXEL)
    assert acquire(frame, scan, params(**p)).values[4, 4] < 0.6
    assert acquire(frame, scan, params(**p, drift_nm_per_s=8, drift_direction_deg=180)).values[4, 4] == pytest.approx(1, abs=1e-6)


def test_damage_needs_a_pixel_size():
    with pytest.raises(InputError, match="Beam damage needs the dose per area"):
        acquire(nsi.Frame(np.ones((8, 8))), raster((8, 8)), params(critical_dose_e_per_a2=100))


# --- the whole


@pytest.mark.parametrize(
    ("values", "noise"),
    [
        ({}, "none"),
        ({"dose_e_per_px": 10}, "poisson"),
        ({"dose_e_per_px": 10, "readout_noise_e": 1}, "poisson"),
        ({"bits": 8}, "unknown"),
        ({"afterglow": 0.1}, "unknown"),
        ({"row_jitter_nm": 0.01}, "unknown"),
        ({"critical_dose_e_per_a2": 100}, "unknown"),
        ({"gain": 3, "offset_counts": 5, "beam_current_pa": 7, "drift_direction_deg": 45}, "none"),  # alone without effect
    ],
)
def test_the_measurement_knows_its_noise(values, noise):
    frame = nsi.Frame(np.random.default_rng(0).uniform(size=(16, 16)), PIXEL)
    assert acquire(frame, raster((16, 16)), params(**values)).noise == noise


def test_readout_noise_does_not_change_the_counts_and_movement_not_the_noise():
    flat = nsi.Frame(np.ones((32, 32)), PIXEL)
    scan = raster((32, 32))
    still = acquire(flat, scan, params(dose_e_per_px=50, readout_noise_e=2)).values
    moved = acquire(flat, scan, params(dose_e_per_px=50, readout_noise_e=2, row_jitter_nm=0.01, wander_nm=1, scan_noise_nm=0.01)).values
    np.testing.assert_allclose(still, moved, atol=1e-5)
    slight = acquire(flat, scan, params(dose_e_per_px=50, readout_noise_e=1e-3)).values
    counts = acquire(flat, scan, params(dose_e_per_px=50)).values
    np.testing.assert_array_equal(np.round(slight * 50), np.round(counts * 50))


def test_same_seed_same_bits():
    frame = nsi.Frame(np.random.default_rng(0).uniform(size=(32, 32)), PIXEL)
    scan = nsi.make_scan(frame.shape)
    first, same, other = (acquire(frame, scan, params(**EVERYTHING, seed=s)).values for s in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert (first != other)[scan.mask].mean() > 0.9


def test_acquire_refuses():
    frame = nsi.Frame(np.zeros((8, 8)))
    with pytest.raises(InputError, match="make the scan for this frame"):
        acquire(frame, nsi.make_scan((8, 9)))
    with pytest.raises(InputError, match="no positive intensity"):
        acquire(frame, nsi.make_scan((8, 8)), params(dose_e_per_px=10))
    with pytest.raises(InputError, match="NaN"):
        acquire(nsi.Frame(np.full((8, 8), np.nan)), nsi.make_scan((8, 8)))


def test_everything_on_takes_no_time_worth_waiting_for():
    frame = nsi.Frame(np.random.default_rng(0).uniform(size=(256, 256)), PIXEL)
    started = time.process_time()
    acquire(frame, raster((256, 256)), params(**EVERYTHING))
    assert time.process_time() - started < 2  # 0.25 s, and a slow machine


def test_a_simulated_frame_goes_on_as_its_specimen():
    """Read 5 px beyond every border, where a mirrored frame would show something else."""
    p = nsi.SimulationParams(shape=(48, 40), crystal="Si", rotation_deg=20.0, vacancies=0.2)
    frame, wide = nsi.simulate(p), wide_frame(p, 30).image
    rows, columns = np.meshgrid(np.arange(-5.5, 53.0), np.arange(-5.5, 45.0), indexing="ij")
    positions = np.stack([rows.ravel(), columns.ravel()], 1)
    seen = specimen_at(frame, positions)
    np.testing.assert_allclose(seen, sample(wide, positions + 30), rtol=0, atol=2e-3 * wide.max())
    mirrored = specimen_at(nsi.Frame(frame.image, frame.pixel_size_nm), positions)
    assert np.abs(seen - mirrored).max() > 0.3 * wide.max()


def test_a_changed_simulated_frame_is_no_longer_simulated_again():
    frame = nsi.simulate(nsi.SimulationParams(shape=(32, 32)))
    changed = nsi.Frame(frame.image[::-1], frame.pixel_size_nm, frame.name, frame.metadata)
    positions = np.stack([np.arange(-3.5, 28.0), np.full(32, 4.25)], 1)
    expected = specimen_at(nsi.Frame(changed.image, frame.pixel_size_nm), positions)
    np.testing.assert_array_equal(specimen_at(changed, positions), expected)
