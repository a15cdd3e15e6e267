"""What is learned from: patches that belong to seed and step, noise of the level asked for, recorruption that is unbiased."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stem_inpaint import training_data
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.params import TrainingParams
from napari_stem_inpaint.training_data import Stream, TrainingFrame, _corrupted, noise_level, training_frames

CPU = torch.device("cpu")
SHORT = {"batch": 4, "patch_px": 32}


@given(st.integers(1, 40))
@settings(max_examples=8)
def test_a_stream_begun_later_gives_the_same_batches(step):
    p = TrainingParams(**SHORT)
    whole, late = Stream(p, CPU), Stream(p, CPU, first_step=step)
    for n in range(step):
        whole.batch(n)
    for n in (step, step + 1):
        a, b = whole.batch(n), late.batch(n)
        assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("seen", "target", "sigma", "known", "counts"))


def test_images_are_renewed_and_forgotten():
    stream = Stream(TrainingParams(**SHORT), CPU)
    for n in range(9):
        stream.batch(n)
        assert sorted(stream.pool.items) == list(range(n // 4, n // 4 + 16))


def test_workers_make_the_same_images():
    alone, helped = (Stream(TrainingParams(**SHORT, workers=w), CPU).batch(0) for w in (0, 1))
    assert torch.equal(alone.seen, helped.seen)


@given(st.floats(1e-3, 0.05), st.integers(0, 100))
@settings(max_examples=25)
def test_noise_is_of_the_level_that_is_told(own, seed):
    """Clean patches: noisy - target is the whole noise. Noisy ones: the noises of input and target are independent."""
    rng = np.random.default_rng(seed)
    truth = torch.full((6, 1, 96, 96), 0.5)
    levels = np.array([0.0, 0.0, 0.0, own, own, own])
    z = torch.as_tensor(rng.standard_normal(truth.shape), dtype=torch.float32)
    made = _corrupted(truth + torch.as_tensor(levels, dtype=torch.float32).view(-1, 1, 1, 1) * z, levels, TrainingParams(), rng)
    for n in range(6):
        inside, against = ((a[n] - 0.5).double().flatten() for a in (made.seen, made.target))
        sigma = float(made.sigma[n])
        assert float(inside.std()) == pytest.approx(sigma, rel=0.05)
        assert float(against.var()) == pytest.approx(float(made.known[n]) * sigma**2, rel=0.06, abs=1e-12)
        assert abs(float((inside * against).mean())) < 0.06 * sigma * max(float(against.std()), 1e-9) + 1e-12


def test_shot_noise_keeps_the_level_and_follows_the_intensity(monkeypatch):
    monkeypatch.setattr(training_data, "SIGNAL_DEPENDENT", 1.0)
    ramp = torch.linspace(0, 1, 256).expand(8, 1, 256, 256).contiguous()
    made = _corrupted(ramp, np.zeros(8), TrainingParams(sigma_min=0.02, sigma_max=0.05), np.random.default_rng(0))
    relative = (made.seen - ramp) / made.sigma.view(-1, 1, 1, 1)
    assert float(relative.var()) == pytest.approx(1, rel=0.02)
    dark, bright = relative[..., 25].var(), relative[..., 230].var()
    assert float(bright / dark) == pytest.approx((230 / 255 + 0.02) / (25 / 255 + 0.02), rel=0.15)


@given(st.floats(0.01, 0.2), st.integers(0, 100))
@settings(max_examples=10)
def test_the_noise_of_a_frame_is_found(sigma, seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:128, :128]
    lattice = 0.5 + 0.4 * np.cos(2 * np.pi * x / 20) * np.cos(2 * np.pi * y / 20)
    assert noise_level((lattice + sigma * rng.standard_normal(lattice.shape)).astype(np.float32)) == pytest.approx(sigma, rel=0.1)


def test_frames_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", (1000 + 50 * rng.standard_normal((64, 80))).astype(np.float32))
    np.save(tmp_path / "b.npy", np.add.outer(np.sin(np.arange(64) / 8), np.cos(np.arange(64) / 8)).astype(np.float32))
    noisy, clean = training_frames(str(tmp_path), 32)
    assert 0.1 < noisy.noise < 0.3
    assert clean.noise == 0
    stream = Stream(TrainingParams(**SHORT, frames_share=1.0), CPU, [noisy, clean])
    batch = stream.batch(0)
    assert batch.seen.isfinite().all()
    assert (batch.known > 0).any()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((16, 64)), "smaller than a patch of 32 px"),
        (np.full((64, 64), np.nan), "NaN"),
        (np.ones((64, 64)), "equal"),
        (None, "holds no frames"),
    ],
)
def test_what_cannot_be_learned_from_is_said(tmp_path, array, said):
    if array is not None:
        np.save(tmp_path / "a.npy", array.astype(np.float32))
    with pytest.raises(InputError, match=said):
        training_frames(str(tmp_path), 32)


def test_a_frame_is_never_cut_beyond_itself():
    frame = TrainingFrame(torch.arange(32.0 * 33).view(32, 33), 0.0)
    stream = Stream(TrainingParams(**SHORT, frames_share=1.0), CPU, [frame])
    assert stream.batch(0).seen.shape == (4, 1, 32, 32)
