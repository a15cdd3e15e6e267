"""Training: it learns, and a stop at any moment loses nothing."""

import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from napari_stem_inpaint import cli, options, training, training_data, validation
from napari_stem_inpaint.denoisers.cards import read_card
from napari_stem_inpaint.denoisers.checkpoint import load_checkpoint, read_tensors
from napari_stem_inpaint.errors import InputError, SolverError
from napari_stem_inpaint.params import TrainingParams

SHORT = {"steps": 6, "batch": 2, "patch_px": 32, "precision": "float32", "device": "cpu"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(training.NETWORKS, "drunet-tiny", ("drunet", {"channels": (4, 8), "blocks": 1, "contrasts": 2}))
    monkeypatch.setattr(training, "validation_frames", lambda: torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0)))


def test_a_stopped_and_resumed_training_is_the_uninterrupted_one(tmp_path):
    params = TrainingParams(**SHORT)
    straight = [s.loss for s in training.train(params, tmp_path / "a.safetensors")]
    steps = training.train(params, tmp_path / "b.safetensors")
    first = [next(steps).loss for _ in range(3)]
    steps.close()
    rest = [s.loss for s in training.train(params, tmp_path / "b.safetensors")]
    assert first + rest == pytest.approx(straight, abs=1e-6)
    a, b = (read_tensors(tmp_path / f"{n}.safetensors")[0] for n in "ab")
    for name in a:
        torch.testing.assert_close(a[name], b[name], atol=1e-6, rtol=0)


@pytest.mark.slow
def test_it_learns(tmp_path):
    params = TrainingParams(**(SHORT | {"steps": 150, "batch": 4}))
    losses = [s.loss for s in training.train(params, tmp_path / "a.safetensors")]
    assert sum(losses[-10:]) < sum(losses[:10])
    assert sum(losses[-10:]) / 10 < 0


def test_the_card_says_how_and_loads(tmp_path):
    list(training.train(TrainingParams(**SHORT), tmp_path / "mine.safetensors"))
    card = read_card(tmp_path / "mine.safetensors")
    words = card.training_command.split()
    assert words[:2] + words[-2:] == ["stem-inpaint", "train", "--out", "mine.safetensors"]
    assert options.collect(cli._parser().parse_args(words[1:]), TrainingParams) == TrainingParams(**SHORT)
    assert card.training["steps_done"] == 6
    assert list(card.psnr_gain_db) == [f"{s:g}" for s in validation.VALIDATION_SIGMAS]
    assert load_checkpoint(tmp_path / "mine.safetensors").card == card


def test_other_parameters_do_not_resume(tmp_path):
    out = tmp_path / "a.safetensors"
    list(training.train(TrainingParams(**SHORT), out))
    with pytest.raises(InputError, match="other batch, seed"):
        next(training.train(TrainingParams(**(SHORT | {"batch": 3, "seed": 1})), out))


@pytest.mark.parametrize("name", ["a.pt", "nowhere/a.safetensors"])
def test_a_wrong_place_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="folder that exists"):
        next(training.train(TrainingParams(**SHORT), tmp_path / name))


def test_divergence_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(training_data, "random_image", lambda *a: torch.full((64, 64), float("nan")))
    with pytest.raises(SolverError, match="diverged"):
        next(training.train(TrainingParams(**SHORT), tmp_path / "a.safetensors"))


def test_the_best_validation_is_kept(tmp_path, monkeypatch):
    gains = iter([1.0, 3.0, 2.0, 2.5, 9.0])
    monkeypatch.setattr(validation, "psnr_gain_db", lambda *a: {"0.1": next(gains)})
    steps = training.train(TrainingParams(**(SHORT | {"steps": 3, "validate_every": 1})), tmp_path / "a.safetensors")
    kept = []
    for step in steps:
        assert step.sample is not None
        kept.append((step.best, read_card(tmp_path / "a.safetensors").training["steps_done"]))
    assert kept == [(True, 1), (True, 2), (False, 2)]
    card = read_card(tmp_path / "a.safetensors")
    assert (card.training["steps_done"], card.psnr_gain_db) == (2, {"0.1": 9.0})  # the last is that of the whole set


def test_a_checkpoint_is_trained_further_on_ones_own_frames(tmp_path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    list(training.train(TrainingParams(**SHORT), first))
    y, x = np.mgrid[:48, :48]
    np.save(tmp_path / "mine.npy", (np.sin(x / 3) * np.cos(y / 4) + 0.2 * np.random.default_rng(0).standard_normal(x.shape)).astype("f4"))
    p = TrainingParams(**SHORT, start_from=str(first), frames=str(tmp_path / "mine.npy"), frames_share=1.0)
    assert all(math.isfinite(s.loss) for s in training.train(p, second))
    before, after = (read_tensors(f)[0] for f in (first, second))
    assert 0 < max(float((before[n] - after[n]).abs().max()) for n in before) < 0.2
    assert "started from first" in read_card(second).training_data
    assert "the user's own" in read_card(second).training_data


def test_it_says_how_fast_it_is(tmp_path):
    *_, last = training.train(TrainingParams(**SHORT), tmp_path / "a.safetensors")
    assert last.patches_per_s == pytest.approx(last.index * 2 / last.elapsed_s)
    assert 0 < last.data_share < 1


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_command_survives_signals(tmp_path, how):
    out = tmp_path / "x.safetensors"
    words = f"train --steps 100000 --batch 1 --patch-px 32 --save-every-s 0.2 --out {out}".split()
    state = out.with_suffix(".state.safetensors")
    reached = []
    for _ in range(2):
        before = state.stat().st_mtime_ns if state.exists() else 0
        process = subprocess.Popen([sys.executable, "-m", "napari_stem_inpaint.cli", *words], stderr=subprocess.DEVNULL)
        while not state.exists() or state.stat().st_mtime_ns == before:
            assert process.poll() is None
        process.send_signal(how)
        assert process.wait(30) == (-how if how == signal.SIGKILL else 130)
        read_tensors(out)
        reached.append(read_card(out).training["steps_done"])
    assert reached[1] > reached[0] > 0
