"""The one-pass network: what it is told, what it learns from, what it may do to a result, and the prior made of it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stem_inpaint import cli, training
from napari_stem_inpaint.denoisers import registry
from napari_stem_inpaint.denoisers.cards import Card, read_card
from napari_stem_inpaint.denoisers.checkpoint import save_checkpoint
from napari_stem_inpaint.denoisers.networks import DRUNet
from napari_stem_inpaint.errors import CheckpointError, InputError
from napari_stem_inpaint.frames import Measurement
from napari_stem_inpaint.metrics import sre_db
from napari_stem_inpaint.params import ReconstructionParams, TrainingParams
from napari_stem_inpaint.reconstruction import iterate, reconstruct
from napari_stem_inpaint.solvers.one_pass import GUIDES, informed, remeasuring
from napari_stem_inpaint.training_data import TrainingFrame
from napari_stem_inpaint.training_measurements import MeasurementStream, measured

CPU = torch.device("cpu")
SHORT = {"task": "inpaint", "batch": 2, "patch_px": 32, "precision": "float32", "device": "cpu"}


def frame(side=96):
    y, x = np.mgrid[:side, :side]
    return (0.5 + 0.25 * np.sin(x / 3.1) * np.cos(y / 4.3) + 0.2 * np.cos((x + y) / 5.7)).astype("f4")


def checkpoint(path, weight=0.0):
    """Write an untrained one-pass network to ``path``; ``weight`` 0 gives back the start."""
    network = DRUNet((4, 8), 1, 2, GUIDES)
    torch.nn.init.normal_(network.tail.weight, std=weight) if weight else torch.nn.init.zeros_(network.tail.weight)
    card = Card(
        name=path.stem, description="", task="inpaint", architecture="drunet", config=network.config, sigma_range=(5e-5, 0.5),
        pixel_size_range_nm=(0, 0), training_command="", training_data="",
    )  # fmt: skip
    save_checkpoint(path, network.state_dict(), card)
    return str(path)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(training.NETWORKS, "drunet-tiny", ("drunet", {"channels": (4, 8), "blocks": 1, "contrasts": 2}))
    monkeypatch.setattr(training, "validation_frames", lambda: torch.as_tensor(frame(64))[None, None].repeat(4, 1, 1, 1))


def test_it_is_told_what_was_measured_and_how_far_that_is_to_be_believed():
    x, y, mask = torch.zeros(4, 4), torch.full((4, 4), 0.2), torch.eye(4)
    seen = informed(x, y * mask, mask, 0.1, 0.1)
    assert seen.shape == (1, 1 + GUIDES, 4, 4)
    assert torch.equal(seen[0, 1], 0.5 * mask)
    torch.testing.assert_close(seen[0, 2], 0.5 * float(np.arcsinh(2)) * mask)


@given(st.sampled_from(["random", "line-hop", "blue-noise"]), st.floats(0.1, 0.5), st.floats(0, 0.3), st.booleans(), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_what_it_learns_from_is_a_measurement_of_the_target(pattern, ratio, noise, counted, seed):
    made = measured(torch.as_tensor(frame()), 0.0, pattern, ratio, noise, counted, np.random.default_rng(seed))
    start, believed, apart, target, inside = made.layers
    on = believed > 0
    assert float(on[inside > 0].float().mean()) == pytest.approx(ratio, abs=0.03)
    assert not on[inside == 0].any()
    assert not apart[~on].any()
    error = float(((start - target) * inside).square().sum().div(inside.sum()).sqrt())
    assert made.sigma == pytest.approx(max(error, 1e-5), rel=0.8)
    assert made.own == 0
    if noise == 0:
        torch.testing.assert_close(start[on], target[on], atol=1e-5, rtol=0)


def test_noise_of_the_target_is_no_error_of_the_start():
    """What a user's own noisy frame is told to be is the truth's error, and only unmeasured pixels count."""
    rng = np.random.default_rng(0)
    noisy = torch.as_tensor(frame(160) + 0.1 * rng.standard_normal((160, 160)).astype("f4"))
    made = measured(noisy, 0.1, "random", 0.5, 0.0, False, rng)
    assert not made.layers[4][made.layers[1] > 0].any()
    start, span = made.layers[0], made.own / 0.1
    truth = torch.as_tensor(frame(160)) * span
    offset = (start - truth).mean()
    assert made.sigma == pytest.approx(float((start - truth - offset).std()), rel=0.6)


@given(st.integers(1, 20))
@settings(max_examples=3, deadline=None)
def test_a_stream_begun_later_gives_the_same_batches(step):
    frames = [TrainingFrame(torch.as_tensor(frame(40)), 0.05)]
    p = TrainingParams(**SHORT, frames_share=0.5)
    whole, late = MeasurementStream(p, CPU, frames), MeasurementStream(p, CPU, frames, first_step=step)
    for n in range(step):
        whole.batch(n)
    a, b = whole.batch(step), late.batch(step)
    assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("seen", "target", "sigma", "known", "counts"))
    assert a.seen.shape == (2, 1 + GUIDES, 32, 32)


def test_it_is_trained_resumed_and_used_by_the_same_commands(tmp_path, small, capsys):
    out = tmp_path / "mine.safetensors"
    p = TrainingParams(**SHORT, steps=4)
    steps = training.train(p, out)
    first = [next(steps).loss for _ in range(2)]
    steps.close()
    rest = [s.loss for s in training.train(p, out)]
    straight = [s.loss for s in training.train(p, tmp_path / "other.safetensors")]
    assert first + rest == pytest.approx(straight, abs=1e-6)
    card = read_card(out)
    assert (card.task, list(card.psnr_gain_db)) == ("inpaint", ["0.05", "0.1", "0.25", "0.5"])
    assert cli.main(["checkpoints", "show", str(out)]) == 0
    assert '"task": "inpaint"' in capsys.readouterr().out
    registry.add(out, "mine")
    assert registry.load_denoiser("mine", task="inpaint").card.task == "inpaint"


def test_a_network_for_the_other_task_is_refused(tmp_path):
    path = checkpoint(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"a is a one-pass network, but a denoiser is needed here; there are .*stem-tiny"):
        registry.load_denoiser(path)
    with pytest.raises(CheckpointError, match="stem-tiny is a denoiser, but a one-pass network is needed"):
        registry.load_denoiser("stem-tiny", task="inpaint")
    with pytest.raises(InputError, match="trained to inpaint, so it cannot be trained further to denoise"):
        next(training.train(TrainingParams(start_from=path), tmp_path / "b.safetensors"))


@pytest.mark.parametrize("solver", ["one-pass", "fire", "gp"])
def test_a_network_that_spoils_the_image_is_not_believed(tmp_path, solver):
    image = frame()
    m = Measurement.from_arrays(image, np.random.default_rng(1).random(image.shape) < 0.25, noise="none")
    bad = checkpoint(tmp_path / "bad.safetensors", weight=10.0)
    made = reconstruct(m, ReconstructionParams(solver=solver, inpainter=bad, iterations=4, start="gp"))
    assert "kept" in made.recipe["outcome"] or solver == "gp"
    assert sre_db(made.image, image) > 35


def test_its_pass_is_a_start_where_asked(tmp_path):
    image = frame()
    m = Measurement.from_arrays(image, np.random.default_rng(1).random(image.shape) < 0.25, noise="none")
    same = checkpoint(tmp_path / "same.safetensors")
    p = ReconstructionParams(inpainter=same, start="one-pass", iterations=3)
    *_, last = iterate(m, p, denoiser=lambda image, sigma: image)
    assert ", one pass; kept" in last.stage
    assert "inpainter_sha256" in reconstruct(m, p, denoiser=lambda image, sigma: image).recipe


def test_the_prior_restores_what_it_measures_anew():
    image = torch.as_tensor(frame())
    asked = []

    def network(seen, sigma):
        asked.append((seen.clone(), sigma))
        return seen[:, :1]

    prior = remeasuring(network, 0.5, 0.12, np.random.default_rng(0), lambda: None)
    out = prior(image[None, None], 1e-3)
    (seen, sigma), on = asked[0], asked[0][0][0, 1] > 0
    assert float(on.float().mean()) == pytest.approx(0.5, abs=0.03)
    assert sigma == pytest.approx(float((out[0, 0] - image)[~on].square().mean().sqrt()), rel=0.5)
    prior(image[None, None], 1e-3)
    assert not torch.equal(asked[1][0][0, 1], seen[0, 1])
