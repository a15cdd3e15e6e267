"""Regions drawn on a frame: what is always, never or more densely measured, whatever the pattern."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import napari_stem_inpaint as nsi
from napari_stem_inpaint.cli import main
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.io import read_scan, write_scan
from napari_stem_inpaint.scan_regions import Regions
from napari_stem_inpaint.scans import PATTERNS

SHAPE = (24, 20)
MASKS = arrays(bool, SHAPE)
DRAWABLE = [name for name in PATTERNS if name != "list"]


@settings(max_examples=40, deadline=None)
@given(always=MASKS, never=MASKS, denser=MASKS, pattern=st.sampled_from(DRAWABLE), seed=st.integers(0, 9))
def test_regions_hold_and_the_rest_is_the_pattern(always, never, denser, pattern, seed):
    params = nsi.ScanParams(pattern=pattern, seed=seed, ratio=0.3, densify=2)
    plain = nsi.make_scan(SHAPE, params)
    assume((plain.mask & ~never).any())
    scan = nsi.make_scan(SHAPE, params, Regions(always, never, denser))
    assert (scan.mask[always & ~never]).all()
    assert not scan.mask[never].any()
    untouched = ~(always | never | denser)
    np.testing.assert_array_equal(scan.mask[untouched], plain.mask[untouched])
    dense = denser & ~always & ~never
    assert scan.mask[dense].sum() == min(dense.sum(), 2 * plain.mask[dense].sum())
    assert scan.mask[dense & plain.mask].all()
    if len(np.unique(plain.positions, axis=0)) == len(plain.positions):
        assert len(np.unique(scan.positions, axis=0)) == len(scan.positions)
    again = nsi.make_scan(SHAPE, params, Regions(always, never, denser))
    np.testing.assert_array_equal(scan.positions, again.positions)


def test_what_is_added_goes_into_rows_and_after_any_other_path():
    always = np.zeros(SHAPE, dtype=bool)
    always[3:6, 4:9] = True
    rows = nsi.make_scan(SHAPE, nsi.ScanParams(pattern="random"), Regions(always)).positions
    assert (np.diff(np.ravel_multi_index(tuple(rows.T), SHAPE)) > 0).all()
    params = nsi.ScanParams(pattern="line-hop")
    plain, scan = nsi.make_scan(SHAPE, params).positions, nsi.make_scan(SHAPE, params, Regions(always)).positions
    np.testing.assert_array_equal(scan[: len(plain)], plain)
    assert always[tuple(scan[len(plain) :].T)].all()


def test_regions_that_cannot_be_used_are_refused():
    with pytest.raises(InputError, match="erase a part of them"):
        nsi.make_scan(SHAPE, nsi.ScanParams(), Regions(never=np.ones(SHAPE, bool)))
    with pytest.raises(InputError, match="shape"):
        nsi.make_scan(SHAPE, nsi.ScanParams(), Regions(always=np.ones((3, 3), bool)))


def test_the_command_line_makes_the_same_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    always, never = np.zeros((2, *SHAPE), dtype=bool)
    always[:, 3], never[:5] = True, True
    for name, mask in (("always", always), ("never", never)):
        write_scan(f"{name}.png", nsi.Scan.from_mask(mask))
    assert main("scan --shape 24 20 --seed 3 --always always.png --never never.png --out scan.csv".split()) == 0
    expected = nsi.make_scan(SHAPE, nsi.ScanParams(seed=3), Regions(always, never))
    np.testing.assert_array_equal(read_scan("scan.csv", SHAPE).positions, expected.positions)
