"""Training: it learns, and a stop at any moment loses nothing."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from napari_stem_inpaint import training
from napari_stem_inpaint.denoisers.checkpoint import load_checkpoint, read_card, read_tensors
from napari_stem_inpaint.errors import InputError, SolverError
from napari_stem_inpaint.params import TrainingParams

SHORT = {"steps": 6, "batch": 2, "patch_px": 32, "precision": "float32", "device": "cpu"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(training.SIZES, "tiny", {"channels": (4, 8), "blocks": 1, "contrasts": 2})
    monkeypatch.setattr(training, "validate", lambda denoiser: {"0.1": 1.0})


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
    list(training.train(TrainingParams(**SHORT), tmp_path / "mine.safetensors", "stem-inpaint train --steps 6"))
    card = read_card(tmp_path / "mine.safetensors")
    assert card.training_command == "stem-inpaint train --steps 6"
    assert card.training["steps_done"] == 6
    assert card.psnr_gain_db == {"0.1": 1.0}
    assert load_checkpoint(str(tmp_path / "mine.safetensors")).card == card


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
    monkeypatch.setattr(training, "training_batch", lambda *a: torch.full((2, 1, 32, 32), float("nan")))
    with pytest.raises(SolverError, match="diverged"):
        next(training.train(TrainingParams(**SHORT), tmp_path / "a.safetensors"))


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
