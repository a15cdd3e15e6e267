"""scan_report.py: figures by hand."""

import numpy as np
import pytest

import napari_stem_inpaint as nsi
from napari_stem_inpaint.io import read_scan, write_scan
from napari_stem_inpaint.scan_report import ELECTRONS_PER_PA_US, TYPICAL_RESPONSE_US


def scan(positions: list, shape=(4, 10), **times: float) -> nsi.Scan:
    return nsi.Scan(np.array(positions), shape, **times)


def test_a_small_path_by_hand():
    s = nsi.scan_statistics(
        scan([(0, 0), (0, 1), (0, 9), (1, 0), (1, 3)], dwell_time_us=10.0, flyback_time_us=100.0, settling_time_us=5.0), wanted_ratio=0.1
    )
    assert (s.positions, s.distinct, s.ratio) == (5, 5, 0.125)
    assert (s.flybacks, s.jumps) == (1, 2)
    assert s.path_px == pytest.approx(1 + 8 + np.hypot(1, 9) + 3)
    assert s.longest_jump_px == pytest.approx(np.hypot(1, 9))
    assert s.time_s == pytest.approx((50 + 100 + 10) * 1e-6)
    assert s.largest_gap_px == pytest.approx(np.hypot(2, 3))  # row 3, column 6: (1, 3) is nearest
    assert s.dose_mean is None
    assert "0.12500 of 0.1 wanted" in "\n".join(s.lines())


def test_thirty_picoamperes_for_ten_microseconds_are_1870_electrons():
    s = nsi.scan_statistics(scan([(0, 0), (0, 1)], shape=(2, 2)), pixel_size_nm=0.1)
    assert s.dose_at_positions == pytest.approx(1872.5, rel=1e-3)
    assert s.dose_mean == pytest.approx(s.dose_at_positions / 2)
    twice = nsi.scan_statistics(scan([(0, 0), (0, 1)] * 2, shape=(2, 2)), pixel_size_nm=(0.1, 0.2), beam_current_pa=60.0)
    assert twice.dose_at_positions == pytest.approx(2 * s.dose_at_positions)
    assert pytest.approx(1e-12 * 1e-6 / 1.602176634e-19, rel=1e-6) == ELECTRONS_PER_PA_US


def test_the_lag_is_an_exponential():
    s = nsi.scan_statistics(scan([(0, 0), (0, 4)], dwell_time_us=6.0, settling_time_us=2.0), response_time_us=5.0)
    assert s.lag_px == pytest.approx(4 * np.exp(-1))
    assert s.late == 0.5
    assert "do not follow" in s.verdict
    slow = nsi.scan_statistics(scan([(0, 0), (0, 4)], dwell_time_us=200.0))
    assert slow.response_time_us == TYPICAL_RESPONSE_US
    assert slow.late == 0
    assert " follow:" in slow.verdict


def test_one_position_has_statistics():
    s = nsi.scan_statistics(scan([(0, 0)], shape=(1, 1)), pixel_size_nm=1.0)
    assert (s.path_px, s.longest_jump_px, s.largest_gap_px) == (0, 0, 0)
    assert s.time_s == pytest.approx(1e-5)


@pytest.mark.parametrize("times", [{}, {"dwell_time_us": 0.3, "flyback_time_us": 120.0, "settling_time_us": 1e-3}])
def test_a_table_keeps_order_repeats_and_times(tmp_path, times):
    before = scan([(3, 1), (0, 9), (3, 1), (2, 2)], **times)
    write_scan(tmp_path / "a.csv", before)
    after = read_scan(tmp_path / "a.csv", before.shape)
    np.testing.assert_array_equal(after.positions, before.positions)
    np.testing.assert_array_equal(after.times_us, before.times_us)
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == "row,column,time_us"
