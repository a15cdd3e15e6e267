"""scans.py: properties of every pattern."""

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

import napari_stem_inpaint as nsi
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.params import PatternName

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))
DRAWN = [p for p in get_args(PatternName) if p != "list"]
EXACT = [p for p in DRAWN if p not in ("line-hop", "grid", "lissajous")]


def made(shape: tuple[int, int], pattern: str, ratio: float = 0.25, **values: object) -> nsi.Scan:
    return nsi.make_scan(shape, nsi.ScanParams(pattern=pattern, ratio=ratio, **values))


@pytest.mark.parametrize("pattern", DRAWN)
@given(shape=shapes, ratio=st.floats(0.01, 1), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_positions_are_inside_visited_once_and_repeatable(pattern, shape, ratio, seed):
    assume(ratio * shape[0] * shape[1] > 0.51)
    scan = made(shape, pattern, ratio, seed=seed)
    assert len(np.unique(scan.positions, axis=0)) == len(scan.positions) == scan.mask.sum()
    np.testing.assert_array_equal(scan.positions, made(shape, pattern, ratio, seed=seed).positions)


@pytest.mark.parametrize("pattern", EXACT)
@given(shape=shapes, ratio=st.floats(0.01, 1))
@settings(max_examples=40)
def test_the_count_is_exact(pattern, shape, ratio):
    wanted = ratio * shape[0] * shape[1]
    assume(wanted > 0.51)
    assert abs(len(made(shape, pattern, ratio).positions) - wanted) <= 0.5 + 1e-9


@pytest.mark.parametrize("pattern", DRAWN)
@pytest.mark.parametrize("shape", [(1, 1), (1, 33), (33, 1), (31, 17)])
def test_a_ratio_of_one_measures_everything(pattern, shape):
    scan = made(shape, pattern, 1.0)
    assert scan.mask.all() or (pattern == "lissajous" and scan.ratio > 0.9)


@given(shape=st.tuples(st.integers(16, 60), st.integers(16, 60)), ratio=st.floats(0.05, 0.8))
@settings(max_examples=30)
def test_lissajous_reaches_the_count_below_a_ratio_of_one(shape, ratio):
    assert abs(len(made(shape, "lissajous", ratio).positions) - ratio * shape[0] * shape[1]) <= 0.5 + 1e-9


@given(shape=st.tuples(st.integers(20, 60), st.integers(20, 60)), ratio=st.floats(0.04, 1))
@settings(max_examples=40)
def test_grids_are_regular_and_near_the_ratio(shape, ratio):
    scan = made(shape, "grid", ratio)
    rows, columns = (np.unique(scan.positions[:, axis]) for axis in (0, 1))
    assert len(rows) * len(columns) == len(scan.positions)
    for places in (rows, columns):
        assert np.ptp(np.diff(places)) <= 1
    assert scan.ratio == pytest.approx(ratio, rel=0.25)


def test_grids_reach_the_ratio_where_it_divides():
    for ratio in (1.0, 0.25, 0.0625):
        assert made((64, 64), "grid", ratio).ratio == ratio


@given(shape=shapes, ratio=st.floats(0.05, 0.5), hop=st.integers(1, 3), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_line_hop_has_one_position_per_column_and_group_and_bounded_hops(shape, ratio, hop, seed):
    scan = made(shape, "line-hop", ratio, hop=hop, seed=seed)
    groups = scan.positions.reshape(-1, shape[1], 2)
    assert (groups[:, :, 1] == np.arange(shape[1])).all()
    assert (np.abs(np.diff(groups[:, :, 0], axis=1)) <= hop).all()
    assert (groups[:-1, :, 0].max(1) < groups[1:, :, 0].min(1)).all()


def test_line_hop_reaches_the_ratio_exactly_where_it_divides():
    assert made((64, 50), "line-hop").ratio == 0.25


@given(shape=shapes, ratio=st.floats(0.05, 0.5), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_line_hop_leaves_the_upper_and_lower_edge_no_emptier_than_the_inside(shape, ratio, seed):
    rows = made(shape, "line-hop", ratio, seed=seed).positions.reshape(-1, shape[1], 2)[:, :, 0]
    if len(rows) > 2:
        height = shape[0] / (len(rows) - 1)
        assert max(rows[0].max(), shape[0] - 1 - rows[-1].min()) <= height / 2
        assert np.ptp(rows[1:-1], axis=1).max() <= height


def test_random_positions_are_uniform():
    counts = sum(nsi.make_scan((8, 8), nsi.ScanParams(seed=s)).mask for s in range(400))
    assert abs(counts / 400 - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 400)


@pytest.mark.parametrize(("pattern", "least"), [("blue-noise", 2.0), ("jittered-grid", 1.3), ("random", 0.0)])
def test_blue_noise_keeps_its_distance(pattern, least):
    """The nearest neighbour, in the mean, against 1.2 px for a random pattern of a tenth of the positions."""
    positions = made((96, 96), pattern, 0.1).positions
    near = cKDTree(positions).query(positions, k=2)[0][:, 1]
    assert near.mean() > {"random": 1.5, "jittered-grid": 1.9, "blue-noise": 2.4}[pattern]
    assert near.min() >= min(least, 1.0) if pattern != "blue-noise" else near.min() >= 2.0


def test_blue_noise_has_little_power_at_low_frequencies():
    power = {p: np.abs(np.fft.fft2(made((64, 64), p, 0.25).mask - 0.25)) ** 2 for p in ("blue-noise", "random")}
    k = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64))
    low = (k > 0) & (k < 0.12)
    assert power["blue-noise"][low].mean() < 0.25 * power["random"][low].mean()


@given(cell=st.integers(1, 6), rows=st.integers(2, 9), seed=st.integers(0, 9))
@settings(max_examples=30)
def test_a_jittered_grid_has_one_position_in_each_cell(cell, rows, seed):
    scan = made((rows * cell, rows * cell), "jittered-grid", 1 / cell**2, seed=seed)
    assert (scan.mask.reshape(rows, cell, rows, cell).sum((1, 3)) == 1).all()
    assert (np.diff(scan.positions[:, 0] // cell) >= 0).all()


@pytest.mark.parametrize("pattern", ["interleaved-rows", "random-rows"])
@given(shape=st.tuples(st.integers(1, 40), st.integers(2, 40)), ratio=st.floats(0.05, 1))
@settings(max_examples=30)
def test_rows_are_whole_but_the_last_visited(pattern, shape, ratio):
    assume(ratio * shape[0] * shape[1] > 0.51)
    positions = made(shape, pattern, ratio).positions
    starts = np.flatnonzero(np.r_[True, np.diff(positions[:, 0]) != 0])
    runs = [positions[a:b, 1] for a, b in pairwise([*starts, len(positions)])]
    for run in runs:
        np.testing.assert_array_equal(run, np.arange(len(run)))
    assert all(len(run) == shape[1] for run in runs[:-1])


def test_interleaved_rows_come_back_for_those_between():
    rows = made((64, 8), "interleaved-rows", 0.5).positions[::8, 0]
    assert len(rows) == 32
    assert (np.diff(rows[:16]) == 4).all()
    assert set(rows[16:]) == {r + 2 for r in rows[:16]}


@given(side=st.integers(24, 64), ratio=st.floats(0.08, 0.5))
@settings(max_examples=25)
def test_a_spiral_winds_outwards_in_small_steps(side, ratio):
    positions = made((side, side), "spiral", ratio).positions - (side - 1) / 2
    radius = np.hypot(*positions.T)
    inside = radius < side / 2 - 1  # beyond, the turns leave the frame
    assert (np.diff(np.maximum.accumulate(radius)) >= 0).all()
    assert (np.maximum.accumulate(radius) - radius)[inside].max() < 1.5 + 1 / ratio / 2
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    both = inside[1:] & inside[:-1]
    assert steps[both].max() < 2.3 if ratio < 0.3 else steps[both].mean() < 2


@given(side=st.integers(24, 64), ratio=st.floats(0.08, 0.3))
@settings(max_examples=25)
def test_lissajous_is_a_path_of_small_steps(side, ratio):
    steps = np.linalg.norm(np.diff(made((side, side), "lissajous", ratio).positions, axis=0), axis=1)
    assert np.quantile(steps, 0.75) < 2.3
    assert np.quantile(steps, 0.99) < 0.3 * side  # the longest are where it crosses what it has measured before
    assert steps.max() < 0.6 * side


def test_a_fermat_spiral_is_even_and_is_visited_in_rings():
    positions = made((96, 96), "fermat-spiral", 0.05).positions
    near = cKDTree(positions).query(positions, k=2)[0][:, 1]
    assert near.min() > 2.5
    radius = np.hypot(*(positions - 47.5).T)
    assert (np.maximum.accumulate(radius) - radius).max() < 8
    assert np.median(np.linalg.norm(np.diff(positions, axis=0), axis=1)) < 10


@pytest.mark.parametrize("pattern", DRAWN)
def test_visits_repeat_the_whole_path(pattern):
    once, thrice = (made((20, 16), pattern, 0.3, visits=v) for v in (1, 3))
    np.testing.assert_array_equal(thrice.positions, np.tile(once.positions, (3, 1)))
    assert thrice.ratio == once.ratio


def test_a_list_is_taken_as_it_is(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("row,column\n3,1\n0,2\n3,1\n")
    np.testing.assert_array_equal(made((4, 4), "list", positions=str(path)).positions, [[3, 1], [0, 2], [3, 1]])
    with pytest.raises(InputError, match="inside the frame"):
        made((2, 2), "list", positions=str(path))
    with pytest.raises(InputError, match="needs a file"):
        made((4, 4), "list")


def test_times_go_with_the_positions():
    scan = made((32, 32), "random", dwell_time_us=2.0, flyback_time_us=50.0, settling_time_us=3.0)
    gaps = np.diff(scan.times_us)
    np.testing.assert_allclose(gaps, 2.0 + 50.0 * scan.flybacks[1:] + 3.0 * scan.jumps[1:])
    assert scan.times_us[0] == 0


@pytest.mark.parametrize("shape", [(0, 5), (5,), (-1, 2)])
def test_an_impossible_shape_is_refused(shape):
    with pytest.raises(InputError, match="two positive numbers"):
        nsi.make_scan(shape)


def test_a_gigantic_shape_is_refused_by_its_memory():
    with pytest.raises(InputError, match="GB"):
        nsi.make_scan((2**15, 2**15))


@pytest.mark.parametrize("pattern", [p for p in DRAWN if p != "line-hop"])
def test_a_ratio_that_leaves_nothing_is_refused(pattern):
    with pytest.raises(InputError, match="leaves no position"):
        made((4, 4), pattern, 0.01)


@given(shape=st.tuples(st.integers(12, 60), st.integers(12, 60)), ratio=st.floats(0.5, 1), seed=st.integers(0, 99))
@pytest.mark.parametrize("pattern", ["random", "blue-noise", "jittered-grid", "line-hop"])
def test_a_border_is_measured_first_and_counts_for_the_ratio(pattern, shape, ratio, seed):
    scan = made(shape, pattern, ratio, seed=seed, border=True)
    around = 2 * (shape[0] + shape[1]) - 4
    ring = scan.positions[:around]
    assert np.abs(np.diff(ring, axis=0)).sum(1).tolist() == [1] * (around - 1)
    inside = np.zeros(shape, bool)
    inside[1:-1, 1:-1] = True
    assert scan.mask[~inside].all()
    assert inside[tuple(scan.positions[around:].T)].all()
    slack = shape[1] if pattern == "line-hop" else 0.5 + 1e-9
    assert abs(len(scan.positions) - ratio * shape[0] * shape[1]) <= slack


def test_a_border_needs_its_positions():
    with pytest.raises(InputError, match="leaves none inside; raise it, or do without the border"):
        made((20, 20), "random", 0.15, border=True)
