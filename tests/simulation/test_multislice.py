"""multislice.py: one atom against its symmetry and place; what is refused. abTEM itself only where it is installed."""

import sys

import numpy as np
import pytest

from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.simulation import multislice
from napari_stem_inpaint.simulation.multislice import multislice_image


def one_atom(box=(1.0, 1.2, 0.2), at=(0.46, 0.63, 0.1), number=38, rms=0.0, **values):
    optics = {"energy_kev": 200.0, "semi_angle_mrad": 25.0, "aberrations": {}, "configurations": 1} | values
    return multislice_image(np.array([at]), np.array([number]), np.array([rms]), box, (0.4, 0.5), (5, 9), 0.03, **optics)


def test_without_abtem_the_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "abtem", None)
    with pytest.raises(InputError, match=r'pip install "napari-stem-inpaint\[multislice\]"'):
        one_atom()


def test_too_large_a_box_is_refused_with_memory_and_time():
    with pytest.raises(InputError, match=r"at most 8 GB; this one needs about \d+ GB and [\d,]+ hours"):
        one_atom(box=(40.0, 40.0, 20.0))


@pytest.mark.parametrize("least", [1, 2, 7, 373, 374, 375, 401, 1025])
def test_grids_are_even_and_fast(least):
    n = multislice._fast_even(least)
    assert n >= least
    assert n % 2 == 0
    for p in (2, 3, 5):
        while n % p == 0:
            n //= p
    assert n == 1


@pytest.fixture
def _abtem():
    pytest.importorskip("abtem", exc_type=ImportError)


@pytest.mark.slow
@pytest.mark.usefixtures("_abtem")
@pytest.mark.filterwarnings("default")  # of abTEM's own dependencies
class TestAbtem:
    def test_an_atom_lies_where_it_was_put(self):
        image = one_atom()  # pixel (2, 4.33)
        assert image.shape == (5, 9)
        assert image.dtype == np.float32
        assert np.unravel_index(image.argmax(), image.shape) == (2, 4)
        assert 1e-3 < image.max() < 2e-2
        np.testing.assert_allclose(image, image[::-1], rtol=1e-2)
        assert image[2, 5] > image[2, 3]

    def test_the_place_between_pixels_does_not_matter(self):
        peaks = [one_atom(at=(0.46, 0.62 + shift, 0.1)).max() for shift in (0.0, 0.0006, 0.0012)]
        np.testing.assert_allclose(peaks, peaks[0], rtol=0.03)

    def test_aberrations_and_numbers_count(self):
        sharp = one_atom().max()
        assert one_atom(aberrations={"C10": 300.0}).max() < 0.5 * sharp
        assert one_atom(number=8).max() < 0.2 * sharp
        assert one_atom(at=(0.46, 0.63, 0.1), rms=0.03, configurations=3).max() < sharp

    def test_same_seed_same_image(self):
        first, again, other = (one_atom(rms=0.008, configurations=2, seed=s) for s in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)
