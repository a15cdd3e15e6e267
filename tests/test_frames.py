"""frames.py: the checks at the boundary."""

import numpy as np
import pytest

import napari_stem_inpaint as nsi
from napari_stem_inpaint.errors import InputError


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 4), complex), "real numbers"),
        (np.zeros((3, 4, 4)), "two-dimensional"),
        (np.zeros((0, 4)), "empty"),
        (np.array([["a"]]), "real numbers"),
        (np.zeros((2, 2), [("r", "u1"), ("g", "u1")]), "real numbers"),
    ],
)
def test_a_frame_refuses_what_is_no_image(array, said):
    with pytest.raises(InputError, match=said):
        nsi.Frame(array)


@pytest.mark.parametrize("size", [0, -1, float("nan"), (1, float("inf")), "a", "ab", (1, 2, 3), {}])
def test_a_wrong_pixel_size_is_refused(size):
    with pytest.raises(InputError, match="pixel size"):
        nsi.Frame(np.ones((2, 2)), size)
    with pytest.raises(InputError, match="pixel size"):
        nsi.Measurement.from_arrays(np.ones((2, 2)), np.ones((2, 2)), pixel_size_nm=size)


@pytest.mark.parametrize("size", [np.float32(0.5), (0.5, 0.5), [0.5, 0.5], np.array([0.5, 0.5])])
def test_a_pixel_size_is_any_number_or_two(size):
    assert nsi.Frame(np.ones((2, 2)), size).pixel_size_nm == (0.5, 0.5)


def test_a_mask_is_no_scan_and_an_array_no_frame():
    mask = np.ones((4, 4), bool)
    with pytest.raises(InputError, match=r"Scan was expected, but ndarray came; make one of a mask with Scan\.from_mask"):
        nsi.acquire(nsi.Frame(mask), mask)
    with pytest.raises(InputError, match="Frame was expected, but ndarray came"):
        nsi.acquire(mask, nsi.Scan.from_mask(mask))


def test_a_frame_does_not_share_memory_with_its_source():
    source = np.ones((4, 4), np.float32)
    frame = nsi.Frame(source)
    source[:] = 9
    assert (frame.image == 1).all()


@pytest.mark.parametrize(
    ("values", "mask", "said"),
    [
        (np.ones((4, 4)), np.zeros((4, 4), bool), "no position"),
        (np.ones((4, 4)), np.ones((4, 5), bool), "frame's shape"),
        (np.full((4, 4), np.nan), np.ones((4, 4), bool), "16 measured positions hold NaN"),
        (np.ones((4, 4)), np.arange(16).reshape(4, 4), "two values"),
        (np.ones((4, 4)), np.full((4, 4), "x"), "booleans or numbers"),
    ],
)
def test_a_measurement_refuses(values, mask, said):
    with pytest.raises(InputError, match=said):
        nsi.Measurement.from_arrays(values, mask)


def test_unmeasured_values_become_zero_and_may_be_nan():
    values = np.array([[1, np.nan], [3, 4]])
    m = nsi.Measurement.from_arrays(values, np.array([[255, 0], [255, 0]]), 0.1)
    assert m.values.tolist() == [[1, 0], [3, 0]]
    assert m.pixel_size_nm == (0.1, 0.1)


def test_an_unknown_noise_model_is_refused():
    with pytest.raises(InputError, match="noise"):
        nsi.Measurement.from_arrays(np.ones((2, 2)), np.ones((2, 2)), noise="pink")


@pytest.mark.parametrize(
    ("positions", "said"),
    [([], "non-empty"), ([[0, 4]], "inside the frame"), ([[-1, 0]], "inside"), ([[0.5, 0]], "whole"), ([[0, 0, 0]], r"\(N, 2\)")],
)
def test_a_scan_refuses(positions, said):
    with pytest.raises(InputError, match=said):
        nsi.Scan(np.array(positions), (4, 4))


def test_scan_and_mask_agree():
    mask = np.random.default_rng(0).random((5, 7)) < 0.4
    scan = nsi.Scan.from_mask(mask)
    np.testing.assert_array_equal(scan.mask, mask)
    assert scan.ratio == mask.mean()
