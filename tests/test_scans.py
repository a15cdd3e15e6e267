"""scans.py: properties of every pattern."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import napari_stem_inpaint as nsi
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.params import PatternName

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@pytest.mark.parametrize("pattern", get_args(PatternName))
@given(shape=shapes, ratio=st.floats(0.01, 1), seed=st.integers(0, 99))
def test_positions_are_inside_and_visited_once(pattern, shape, ratio, seed):
    assume(ratio * shape[0] * shape[1] > 0.51)
    scan = nsi.make_scan(shape, nsi.ScanParams(pattern=pattern, ratio=ratio, seed=seed))
    assert len(np.unique(scan.positions, axis=0)) == len(scan.positions) == scan.mask.sum()
    again = nsi.make_scan(shape, nsi.ScanParams(pattern=pattern, ratio=ratio, seed=seed))
    np.testing.assert_array_equal(scan.positions, again.positions)


@given(shape=shapes, ratio=st.floats(0.01, 1))
def test_random_has_the_exact_count(shape, ratio):
    wanted = ratio * shape[0] * shape[1]
    if wanted > 0.51:
        assert abs(len(nsi.make_scan(shape, nsi.ScanParams(ratio=ratio)).positions) - wanted) < 0.5 + 1e-9


@given(shape=shapes, ratio=st.floats(0.05, 0.5), hop=st.integers(1, 3), seed=st.integers(0, 99))
def test_line_hop_has_one_position_per_column_and_group_and_bounded_hops(shape, ratio, hop, seed):
    scan = nsi.make_scan(shape, nsi.ScanParams(pattern="line-hop", ratio=ratio, hop=hop, seed=seed))
    groups = scan.positions.reshape(-1, shape[1], 2)
    assert (groups[:, :, 1] == np.arange(shape[1])).all()
    assert (np.abs(np.diff(groups[:, :, 0], axis=1)) <= hop).all()
    assert (groups[:-1, :, 0].max(1) < groups[1:, :, 0].min(1)).all()


def test_line_hop_reaches_the_ratio_exactly_where_it_divides():
    assert nsi.make_scan((64, 50), nsi.ScanParams(pattern="line-hop", ratio=0.25)).ratio == 0.25


def test_random_positions_are_uniform():
    counts = sum(nsi.make_scan((8, 8), nsi.ScanParams(seed=s)).mask for s in range(400))
    assert abs(counts / 400 - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 400)


@pytest.mark.parametrize("shape", [(0, 5), (5,), (-1, 2)])
def test_an_impossible_shape_is_refused(shape):
    with pytest.raises(InputError, match="two positive numbers"):
        nsi.make_scan(shape)


def test_a_ratio_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match="leaves no position"):
        nsi.make_scan((4, 4), nsi.ScanParams(ratio=0.01))
