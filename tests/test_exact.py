"""Kriging by the spectrum of an estimate, held against its closed form."""

import numpy as np
import pytest
import torch
from helpers import measurement, sre

from napari_stem_inpaint.solvers import exact
from napari_stem_inpaint.solvers.exact import Covariance, kriged_exactly

WIDTH = 0.1


def tensors(seed=1, side=24, **values):
    frame, m = measurement(shape=(side, side), seed=seed, pixel_size_nm=0.015, **values)
    scale = float(frame.image.max())
    return (torch.as_tensor(a / scale, dtype=torch.float64) for a in (frame.image, m.values * m.mask, m.mask * scale))


def estimate_of(truth, seed=0):
    return truth + 0.01 * torch.as_tensor(np.random.default_rng(seed).standard_normal(truth.shape))


def closed_form(estimate, y, mask):
    """What the measurements say everywhere, and by how many standard deviations, squared, each is missed by the others."""
    covariance, mean = Covariance.of(estimate, WIDTH, 48), float(y[mask > 0].mean())
    seen, everywhere = (mask > 0).nonzero(), torch.ones_like(mask).nonzero()
    known = covariance.between(seen, seen) + exact.NOISE**2 * torch.eye(len(seen), dtype=torch.float64)
    values = y[mask > 0] - mean
    image = mean + covariance.between(everywhere, seen) @ torch.linalg.solve(known, values)
    missed = []
    for k in range(len(seen)):
        others = torch.arange(len(seen)) != k
        weights = torch.linalg.solve(known[others][:, others], known[others, k])
        missed.append(float((values[k] - weights @ values[others]) ** 2 / (known[k, k] - weights @ known[others, k])))
    return image.view_as(y), torch.tensor(missed, dtype=torch.float64)


@pytest.fixture(autouse=True)
def once(monkeypatch):
    monkeypatch.setattr(exact, "TIMES", 1)


def test_a_covariance_is_that_of_the_spectrum():
    truth, *_ = tensors()
    covariance = Covariance.of(truth, WIDTH, 40)
    origin = torch.tensor([[3, 5]])
    assert float(covariance.between(origin, origin)) == pytest.approx(1)
    a, b = torch.tensor([[1, 2], [20, 0]]), torch.tensor([[4, 1], [3, 23], [20, 0]])
    torch.testing.assert_close(covariance.between(a, b), covariance.between(b, a).T)
    assert float(torch.linalg.eigvalsh(covariance.between(b, b)).min()) > 0


@pytest.mark.parametrize("seed", range(3))
def test_one_patch_is_the_closed_form(monkeypatch, seed):
    truth, y, mask = tensors(seed)
    monkeypatch.setattr(exact, "INSIDE", 10**6)
    monkeypatch.setattr(exact, "SMOOTH", 1e-3)
    monkeypatch.setattr(exact, "FAR", 1e-9)
    image, off = kriged_exactly(estimate_of(truth), y, mask, WIDTH, lambda: None)
    expected, missed = closed_form(estimate_of(truth), y, mask)
    torch.testing.assert_close(image, torch.where(mask > 0, y, expected), rtol=0, atol=1e-7)
    ratio = off[mask > 0] / missed
    torch.testing.assert_close(ratio[missed > 1e-8], ratio.median().expand(int((missed > 1e-8).sum())), rtol=1e-2, atol=0)


def test_patches_agree_with_the_whole_to_more_than_either_is_right(monkeypatch):
    truth, y, mask = tensors(side=64)
    images = []
    for inside in (50, 10**6):
        monkeypatch.setattr(exact, "INSIDE", inside)
        images.append(kriged_exactly(estimate_of(truth), y, mask, WIDTH, lambda: None)[0])
    parts, whole = images
    assert sre(parts.numpy(), whole.numpy()) > sre(parts.numpy(), truth.numpy()) + 3


def test_far_from_all_measurements_the_estimate_stays():
    truth, y, mask = tensors(side=96)
    hole = torch.zeros_like(mask)
    hole[:64, :64] = 1
    image, off = kriged_exactly(estimate_of(truth), y, mask * (1 - hole), WIDTH, lambda: None)
    assert torch.equal(image[:8, :8], estimate_of(truth)[:8, :8])
    assert not torch.equal(image[70:, 70:], estimate_of(truth)[70:, 70:])
    assert bool(torch.isfinite(off).all())


def test_a_contradiction_is_told_where_it_is(monkeypatch):
    truth, y, mask = tensors(side=64)
    y = y.clone()
    k = mask.nonzero()[(mask.nonzero() - 32).abs().sum(1).argmin()]
    y[k[0], k[1]] += 0.2
    _, off = kriged_exactly(estimate_of(truth), y, mask, WIDTH, lambda: None)
    assert off[k[0], k[1]] > 100
    assert float(off.median()) == pytest.approx(1)


def test_many_measurements_in_a_few_places_are_bounded(monkeypatch):
    truth, *_ = tensors(side=48)
    mask = torch.zeros_like(truth)
    mask[:24, :24] = 1
    monkeypatch.setattr(exact, "MOST", 60)
    sizes = []
    cholesky = torch.linalg.cholesky_ex
    monkeypatch.setattr(torch.linalg, "cholesky_ex", lambda known: sizes.append(len(known)) or cholesky(known))
    kriged_exactly(truth, truth * mask, mask, WIDTH, lambda: None)
    assert max(sizes) == 60


def test_a_stop_leaves_the_threads_as_they_were():
    truth, y, mask = tensors()
    before = torch.get_num_threads()

    def stop():
        assert torch.get_num_threads() == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kriged_exactly(truth, y, mask, WIDTH, stop)
    assert torch.get_num_threads() == before
