"""movement.py: every displacement against its closed form, and each with a random stream of its own."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_stem_inpaint as nsi
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.simulation.movement import line_numbers, read_positions, responding, row_jitter_nm, scan_noise_nm, wander_nm
from napari_stem_inpaint.simulation.series import middles_us

PIXEL = (0.02, 0.05)  # rows and columns of different height and width
EFFECTS = {
    "drift": {"drift_nm_per_s": 3.0, "drift_direction_deg": 30.0},
    "wander": {"wander_nm": 2.0},
    "row jitter": {"row_jitter_nm": 0.01},
    "scan noise": {"scan_noise_nm": 0.02},
    "flyback lag": {"flyback_lag_nm": 0.1},
    "response": {"response_time_us": 7.0},
}


def raster(rows: int = 12, columns: int = 16, flyback_us: float = 300.0) -> nsi.Scan:
    return nsi.Scan(np.argwhere(np.ones((rows, columns))), (rows, columns), 10.0, flyback_us)


def path(positions: list[tuple[int, int]]) -> nsi.Scan:
    array = np.array(positions)
    return nsi.Scan(array, tuple(array.max(0) + 1))


def displacement(scan: nsi.Scan, **values: float) -> np.ndarray:
    """In px."""
    return read_positions(scan, nsi.AcquisitionParams(**values), PIXEL) - scan.positions


def test_without_movement_the_positions_are_the_scans():
    np.testing.assert_array_equal(read_positions(raster(), nsi.AcquisitionParams(), None), raster().positions)


@pytest.mark.parametrize(("direction", "moved"), [(0, (0, -1)), (90, (1, 0)), (180, (0, 1)), (270, (-1, 0))])
def test_drift_moves_the_last_row_by_speed_times_time(direction, moved):
    """To the right (0) and up (90): the specimen's part under the probe lies left of, or below, where it lay."""
    scan = raster()
    d = displacement(scan, drift_nm_per_s=4.0, drift_direction_deg=direction)
    start_of_last_row_us = 11 * 16 * 10 + 11 * 300
    expected = np.array(moved) * 4.0 * (start_of_last_row_us + 10 * np.arange(16) + 5)[:, None] * 1e-6 / PIXEL
    np.testing.assert_allclose(d[-16:], expected, rtol=0, atol=1e-9)


@given(
    speed=st.floats(0.001, 1000), angle=st.floats(-360, 360), dwell=st.floats(0.1, 1e4), flyback=st.floats(0, 1e5), size=st.integers(2, 9)
)
def test_drift_is_a_straight_line_in_time(speed, angle, dwell, flyback, size):
    scan = nsi.Scan(np.argwhere(np.ones((size, size))), (size, size), dwell, flyback)
    nm = displacement(scan, drift_nm_per_s=speed, drift_direction_deg=angle) * PIXEL
    t = 1e-6 * (scan.times_us + dwell / 2)
    np.testing.assert_allclose(nm[:, 1], -np.cos(np.deg2rad(angle)) * speed * t, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(nm[:, 0], np.sin(np.deg2rad(angle)) * speed * t, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("pair", list(itertools.permutations(EFFECTS, 2)))
def test_each_effect_changes_only_its_own_part(pair):
    one, other = (EFFECTS[name] for name in pair)
    np.testing.assert_allclose(
        displacement(raster(), **one, **other) - displacement(raster(), **other), displacement(raster(), **one), rtol=0, atol=1e-9
    )


def test_same_seed_same_bits_other_seed_other_path():
    everything = {k: v for effect in EFFECTS.values() for k, v in effect.items()}
    first, same, other = (displacement(raster(), **everything, seed=s) for s in (5, 5, 6))
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_the_random_walks_variance_grows_with_time():
    scan = raster(20, 50, 2000.0)
    walks = np.stack([wander_nm(scan, 3.0, seed) for seed in range(400)])
    expected = 9.0 * 1e-6 * middles_us(scan)
    bound = 5 * np.sqrt(2 / 800)  # five standard deviations of a variance from 400 seeds in two axes
    for i in (10, 200, 500, 999):
        assert (walks[:, i] ** 2).mean() == pytest.approx(expected[i], rel=bound)
    across_a_flyback = walks[:, 50] - walks[:, 49]
    assert (across_a_flyback**2).mean() == pytest.approx(9 * 2010e-6, rel=bound)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_row_jitter_is_autoregressive_and_stationary(correlation):
    rows = 20_000
    scan = raster(rows, 4)
    jitter = row_jitter_nm(scan, 0.01, correlation, 1).reshape(rows, 4, 2)
    assert (jitter == jitter[:, :1]).all()  # a row moves as one
    jitter = jitter[:, 0]
    samples = 2 * rows * (1 - correlation**2) / (1 + correlation**2)  # worth of independent variances
    assert jitter.var() == pytest.approx(1e-4, rel=5 * np.sqrt(2 / samples))
    for lag in (1, 2):
        measured = (jitter[lag:] * jitter[:-lag]).mean() / (jitter**2).mean()
        assert measured == pytest.approx(correlation**lag, abs=5 / np.sqrt(samples))


def test_the_first_row_jitters_like_the_others():
    firsts = np.stack([row_jitter_nm(raster(3, 4), 0.01, 0.9, seed)[0] for seed in range(500)])
    assert firsts.var() == pytest.approx(1e-4, rel=5 * np.sqrt(2 / 1000))


def test_lines_of_paths():
    forth_and_back = [(r, c if r % 2 == 0 else 4 - c) for r in range(4) for c in range(5)]
    np.testing.assert_array_equal(line_numbers(path(forth_and_back)), np.repeat(range(4), 5))
    np.testing.assert_array_equal(line_numbers(raster(3, 4)), np.repeat(range(3), 4))
    around = [(0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0)]  # a loop: one way at the top, back at the bottom
    np.testing.assert_array_equal(line_numbers(path(around)), [0, 0, 1, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(line_numbers(path([(r, 0) for r in range(5)])), 0)
    for short in ([(0, 0)], [(0, 0), (1, 1)], [(0, 3), (0, 0)]):
        assert len(line_numbers(path(short))) == len(short)


@pytest.mark.parametrize("flyback_us", [0.0, 300.0])
def test_scan_noise_has_its_standard_deviation_and_spectrum(flyback_us):
    scan = raster(64, 64, flyback_us)
    noise = np.stack([scan_noise_nm(scan, 0.02, seed) for seed in range(200)])
    assert noise[:, 1234].std() == pytest.approx(0.02, rel=5 / np.sqrt(2 * 400))
    if flyback_us == 0:
        assert noise.std(1) == pytest.approx(np.full((200, 2), 0.02), rel=1e-6)
        power = np.abs(np.fft.rfft(noise[0, :, 0])) ** 2
        np.testing.assert_allclose(power[1:65] * np.arange(1, 65), power[1], rtol=1e-6)
        assert power[65:].max() < 1e-9 * power[1]


def test_scan_noise_is_a_function_of_time_only():
    scan = raster()
    turned = nsi.Scan(scan.positions[:, ::-1], scan.shape[::-1], scan.dwell_time_us)
    same_times = nsi.Scan(scan.positions, scan.shape, scan.dwell_time_us)
    np.testing.assert_array_equal(scan_noise_nm(turned, 0.02, 0), scan_noise_nm(same_times, 0.02, 0))


def test_flyback_lag_decays_from_the_end_of_the_row_before():
    scan = raster(3, 16, 30.0)
    nm = (displacement(scan, flyback_lag_nm=0.2, flyback_lag_time_us=40.0) * PIXEL).reshape(3, 16, 2)
    in_line = 10 * np.arange(16) + 5
    np.testing.assert_allclose(nm[0, :, 1], 0.2 * np.exp(-in_line / 40), rtol=1e-12)
    np.testing.assert_allclose(nm[1:, :, 1], np.tile(0.2 * np.exp(-(in_line + 30) / 40), (2, 1)), rtol=1e-9)
    assert (nm[..., 0] == 0).all()


def test_the_response_to_a_step_is_exponential():
    waits = {"settling_time_us": 12.0}
    scan = nsi.Scan(np.array([(0, 0)] * 3 + [(6, 8)] * 10), (7, 9), 10.0, **waits)
    probe = responding(scan, 25.0)
    np.testing.assert_array_equal(probe[:3], 0)
    since = 12 + 10 * np.arange(10) + 5  # from the end of the last dwell at the origin to the middle of each dwell
    np.testing.assert_allclose(probe[3:], (1 - np.exp(-since / 25))[:, None] * [6, 8], rtol=1e-12)


@given(time_us=st.floats(0.01, 1e4), seed=st.integers(0, 99))
def test_a_responding_probe_never_leaves_the_scan(time_us, seed):
    scan = nsi.make_scan((16, 16), nsi.ScanParams(seed=seed))
    probe = responding(scan, time_us)
    assert (probe.min(0) >= scan.positions.min(0) - 1e-9).all()
    assert (probe.max(0) <= scan.positions.max(0) + 1e-9).all()
    if time_us < 0.1:
        np.testing.assert_allclose(probe, scan.positions, atol=1e-9)


@pytest.mark.parametrize("effect", [name for name in EFFECTS if name != "response"])
def test_movements_need_a_pixel_size(effect):
    with pytest.raises(InputError, match="pixel size is unknown"):
        read_positions(raster(), nsi.AcquisitionParams(**EFFECTS[effect]), None)


def test_the_response_needs_no_pixel_size():
    assert read_positions(raster(), nsi.AcquisitionParams(response_time_us=5.0), None).shape == (192, 2)
