"""The whole reconstruction: what it reaches, what it never does, what it refuses."""

import hashlib
import json
from typing import get_args

import numpy as np
import pytest
import torch
from helpers import blur, identity, measurement, sre
from hypothesis import given
from hypothesis import strategies as st

import napari_stem_inpaint as nsi
from napari_stem_inpaint import reconstruction_run, starts
from napari_stem_inpaint.denoisers.registry import load_denoiser
from napari_stem_inpaint.errors import CheckpointError, InputError, SolverError
from napari_stem_inpaint.params import SolverName
from napari_stem_inpaint.solvers.problem import Problem
from napari_stem_inpaint.solvers.spectral import fourier_sparse, kriging_weights


@pytest.fixture(autouse=True)
def rough(request, monkeypatch):
    """Fewer iterations of the starts wherever it is not quality that is tested."""
    if not request.node.get_closest_marker("slow"):
        for module, name, steps in ((reconstruction_run, "ROUGH_STEPS", 30), (starts, "ROUGH_STEPS", 30), (starts, "END_STEPS", 60)):
            monkeypatch.setattr(module, name, steps)


def run(m, denoiser=None, reference=None, iterations=3, **values):
    return list(nsi.iterate(m, nsi.ReconstructionParams(iterations=iterations, **values), reference=reference, denoiser=denoiser))


@pytest.mark.slow
@pytest.mark.parametrize(("crystal", "at_least"), [("SrTiO3", 48), ("Si", 48)])
def test_a_crystal_comes_back(crystal, at_least):
    frame, m = measurement(crystal, shape=(96, 96), pixel_size_nm=0.015)
    result = nsi.reconstruct(m, reference=frame)
    assert result.scores["sre_db"] > at_least
    assert result.scores["sre_db"] == pytest.approx(sre(result.image, frame.image), abs=1e-3)
    np.testing.assert_allclose(result.image[m.mask], m.values[m.mask], rtol=1e-6)


@pytest.mark.slow
def test_the_denoiser_pays_on_defects():
    frame, m = measurement(shape=(96, 96), pixel_size_nm=0.03, vacancies=0.05, intensity_scatter=0.15, displacement_nm=0.005)
    iterates = run(m, reference=frame, iterations=16)
    start = next(it for it in iterates if it.stage.startswith(("Fourier", "Gaussian")))
    assert iterates[-1].scores["sre_db"] > start.scores["sre_db"] + 2


@pytest.mark.parametrize("pixel", [0.01, 0.03])
def test_a_harmful_denoiser_changes_nothing_and_that_is_said(pixel):
    frame, m = measurement(pixel_size_nm=pixel)
    blurred, emptied = (run(m, harmful, inpainter="")[-1] for harmful in (blur, lambda image, sigma: 0 * image))
    assert "kept, because denoising did not predict withheld measurements better" in blurred.stage
    np.testing.assert_array_equal(blurred.image, emptied.image)
    assert sre(blurred.image, frame.image) > sre(run(m, solver="irls")[-1].image, frame.image) - 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("crystal", "pixel", "seed"), [("SrTiO3", 0.015, 3), ("Si", 0.015, 5), ("Si", 0.03, 3)])
def test_a_few_vacancies_are_not_filled_by_the_lattice(crystal, pixel, seed, monkeypatch):
    values = {"crystal": crystal, "pixel_size_nm": pixel, "shape": (128, 128), "seed": seed}
    frame, m = measurement(**values, vacancies=0.01)
    lacking = nsi.simulate(nsi.SimulationParams(**values)).image - frame.image
    vacancy = (np.abs(lacking) > 0.1 * np.abs(lacking).max()) & ~m.mask

    def sre_and_filled() -> tuple[float, float]:
        result = nsi.reconstruct(m, reference=frame)
        filled = (result.image - frame.image)[vacancy] @ lacking[vacancy] / (lacking[vacancy] @ lacking[vacancy])
        return result.scores["sre_db"], abs(filled)

    reached, filled = sre_and_filled()
    monkeypatch.setattr(starts.Starts, "follow_exactly", lambda _, image: (None, image))
    reached_before, filled_before = sre_and_filled()
    assert reached > reached_before - 0.1
    assert filled < filled_before + 0.005


def test_few_denoising_steps_begin_anew_when_all_measurements_are_back(monkeypatch):
    _, m = measurement()
    prior, inputs = load_denoiser("stem-tiny"), []

    def recording(image, sigma):
        inputs.append(image)
        return prior(image, sigma)

    monkeypatch.setattr(starts.Starts, "again", lambda self, _: torch.full_like(self.problem.mask, 0.5))
    done = run(m, recording, solver="hqs", equivariance="off", inpainter="")[-1].stage
    assert "3 denoising steps" in done
    anew = [bool((image == 0.5).all()) for image in inputs]
    assert anew[-3]
    assert sum(anew) == 1


@pytest.mark.parametrize("solver", get_args(SolverName))
def test_every_solver_streams_in_order_and_ends_at_its_total(solver):
    _, m = measurement()
    iterates = run(m, identity, solver=solver)
    indices = [it.index for it in iterates]
    assert indices == sorted(set(indices))
    assert indices[-1] == iterates[-1].total
    for it in iterates:
        assert it.image.dtype == np.float32
        assert it.image.flags.owndata
        assert np.isfinite(it.image).all()


def test_a_denoiser_that_returns_no_numbers_is_told():
    _, m = measurement()
    with pytest.raises(SolverError, match="not numbers"):
        run(m, lambda image, sigma: image * np.nan)


def test_the_image_follows_the_units_of_its_input():
    _, m = measurement()
    scaled = nsi.Measurement(m.values * 250 - 40 * m.mask, m.mask, noise="none")
    a, b = (run(x, solver="gp")[-1].image for x in (m, scaled))
    np.testing.assert_allclose(b, a * 250 - 40, rtol=0, atol=2e-3 * np.ptp(b))


def test_what_was_not_measured_is_not_looked_at():
    frame, m = measurement()
    other = nsi.Measurement.from_arrays(np.where(m.mask, frame.image, 1e6), m.mask, noise="none")
    np.testing.assert_array_equal(run(m, identity)[-1].image, run(other, identity)[-1].image)


def test_same_seed_same_bits_and_the_reference_changes_nothing():
    frame, m = measurement(pixel_size_nm=0.03)
    a, b = run(m)[-1], run(m, reference=frame)[-1]
    np.testing.assert_array_equal(a.image, b.image)


@pytest.mark.slow
def test_noise_is_estimated_and_smoothed():
    frame, m = measurement(shape=(96, 96), pixel_size_nm=0.015, dose=300)
    result = nsi.reconstruct(m, reference=frame)
    raw = sre(m.values[m.mask], frame.image[m.mask])
    assert result.scores["sre_db"] > raw + 2
    exact = nsi.reconstruct(m, nsi.ReconstructionParams(noise="none", solver="gp"), reference=frame)
    assert result.scores["sre_db"] > exact.scores["sre_db"] + 1


def test_a_full_mask_needs_nothing():
    _, m = measurement(ratio=1.0)
    np.testing.assert_allclose(run(m, identity)[-1].image, m.values, rtol=0, atol=1e-6 * np.ptp(m.values))


@pytest.mark.parametrize("shape", [(16, 130), (33, 35)])
def test_odd_shapes(shape):
    _, m = measurement(shape=shape)
    assert run(m, iterations=2)[-1].image.shape == shape


@pytest.mark.slow
def test_a_single_row_can_be_reconstructed():
    values = np.sin(np.arange(400) / 8)[None]
    mask = np.random.default_rng(0).random((1, 400)) < 0.5
    result = run(nsi.Measurement.from_arrays(values, mask, noise="none"), iterations=2)[-1]
    assert sre(result.image, values) > 25


def test_options_are_obeyed():
    _, m = measurement()
    assert "Gaussian-process start" in run(m, identity, start="gp")[-1].stage
    assert "Fourier-sparse start" in run(m, identity, start="irls")[-1].stage
    strengths = []

    def record(image, sigma):
        strengths.append(sigma)
        return image

    run(m, record, sigma_start=0.1, sigma_end=0.001, iterations=5, equivariance="off", data_step="replace")
    assert strengths[:5] == pytest.approx(np.geomspace(0.1, 0.001, 5))


def test_where_there_is_noise_both_data_steps_are_tried():
    """From twice the noise to a fifth of it, the second in half the steps; it is counted beforehand."""
    _, m = measurement(dose=100)
    strengths = []

    def record(image, sigma):
        strengths.append(sigma)
        return image

    iterates = run(m, record, iterations=5, equivariance="off")
    assert strengths[:7] == pytest.approx([*np.geomspace(strengths[0], strengths[0] / 10, 5), strengths[0], strengths[0] / 10])
    assert 0.02 < strengths[0] / 2 < 0.1
    assert len({it.total for it in iterates}) == 1


def test_a_known_noise_is_taken_as_it_is():
    """The strengths are those of the noise that is told, in the units of the image, and an estimate that is far off is overruled."""
    _, m = measurement()
    strengths = []

    def record(image, sigma):
        strengths.append(sigma)
        return image

    low, high = np.percentile(m.values[m.mask], (0.1, 99.9))
    run(m, record, iterations=5, equivariance="off", noise_std=0.05 * (high - low))
    assert strengths[:5] == pytest.approx(np.geomspace(0.1, 0.01, 5), rel=1e-3)
    strengths.clear()
    run(m, record, equivariance="off", noise_std=0.05 * (high - low), noise="none")
    assert strengths[0] == pytest.approx(0.2)


@pytest.mark.slow
def test_under_noise_a_lattice_is_found_and_its_vacancies_stay():
    """Kriging by the spectrum of the estimate gains several dB; of what vacancies lack, little is filled in."""
    values = {"shape": (96, 96), "pixel_size_nm": 0.02}
    perfect, _ = measurement(**values)
    frame, m = measurement(dose=100, vacancies=0.05, **values)
    found = nsi.reconstruct(m)
    assert "spectrum of an estimate" in found.recipe["outcome"]
    assert sre(found.image, frame.image) > sre(nsi.reconstruct(m, nsi.ReconstructionParams(start="irls")).image, frame.image) + 1.5
    lacking = frame.image - perfect.image
    assert np.sum((found.image - perfect.image) * lacking) > 0.8 * np.sum(lacking**2)


@given(noise=st.floats(0.01, 0.5), seed=st.integers(0, 99))
def test_beyond_the_noise_counts(noise, seed):
    """The truth beats an error of half the noise; an error of the same size in another place does not; twice a margin is no gain."""
    rng = np.random.default_rng(seed)
    truth, one, other = (torch.as_tensor(a) for a in (np.zeros((64, 64)), *(0.5 * noise * rng.standard_normal((2, 64, 64)))))
    where = torch.ones_like(truth)
    problem = Problem(torch.as_tensor(noise * rng.standard_normal((64, 64))), where, 0.0, 1.0)
    assert problem.beats(truth, one, where, noise, 0.1)
    assert not problem.beats(one, truth, where, noise, 0.1)
    assert not problem.beats(other, one, where, noise, 0.5)
    assert not problem.beats(one, one, where, noise, 0.0)
    assert not problem.beats(truth, one, where, noise, 0.1, 1e3)


def rare_and_dense(seed, exact=1e-4):
    """A truth, an image with a few large errors, one with small errors everywhere, and what is withheld."""
    rng = np.random.default_rng(seed)
    y, large, small = (torch.as_tensor(rng.standard_normal((128, 128))) for _ in range(3))
    rare = torch.as_tensor(rng.random((128, 128)) < 0.02)
    return (
        y,
        y + 0.3 * exact * large + 100 * exact * rare * large,
        y + exact * small,
        torch.as_tensor(rng.random((128, 128)) < 0.1).double(),
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_mixture_is_better_than_both(seed):
    y, start, denoised, withheld = rare_and_dense(seed)
    problem = Problem(y, torch.ones_like(y), 0.0, 1.0)
    mixture = problem.mixture(denoised, start, withheld)
    unseen = 1 - withheld
    assert problem.rms(mixture.of(denoised, start), unseen) < 0.75 * problem.rms(denoised, unseen) < 0.2 * problem.rms(start, unseen)
    assert mixture
    for zone in mixture.zones:
        assert 0 <= zone.shares[0] < 0.3
        assert zone.shares[-1] == 1
        assert bool((zone.shares.diff() >= 0).all())


def test_the_border_is_mixed_by_itself():
    y, one, other = (torch.as_tensor(0.01 * a) for a in np.random.default_rng(0).standard_normal((3, 128, 128)))
    inside = torch.zeros_like(y)
    Problem.frame(inside)[4:-4, 4:-4] = 1
    problem = Problem(y, torch.ones_like(y), 0.0, 1.0)
    old, new = y + inside * one + 0.3 * (1 - inside) * other, y + 0.3 * inside * other + (1 - inside) * one
    mixed = problem.mixture(new, old, torch.as_tensor(np.random.default_rng(1).random((128, 128)) < 0.05).double()).of(new, old)
    for zone in (inside, 1 - inside):
        assert problem.rms(mixed, zone) < 1.05 * min(problem.rms(old, zone), problem.rms(new, zone))


def test_a_mixture_takes_what_is_right():
    y, start, denoised, withheld = rare_and_dense(0)
    problem = Problem(y, torch.ones_like(y), 0.0, 1.0)
    assert torch.equal(problem.mixture(y, start, withheld).of(y, start), start + (y - start))
    far_off = denoised + 0.1
    mixture = problem.mixture(far_off, y, withheld)
    assert torch.equal(mixture.of(far_off, y), y), "beyond what was seen, too, where what is denoised is not exact"
    assert str(mixture) == "0%"
    assert not mixture


def test_the_start_with_all_measurements_is_kriged_once_by_the_spectrum_that_was_judged(monkeypatch):
    _, m = measurement()
    judged, last = [], []

    def watched(*values):
        for image, power in fourier_sparse(*values):
            judged.append(power)
            yield image, power

    def ending(y, mask, power, *values, **first):
        last.append(power)
        return kriging_weights(y, mask, power, *values, **first)

    monkeypatch.setattr(starts, "fourier_sparse", watched)
    monkeypatch.setattr(starts, "kriging_weights", ending)
    outcome = nsi.reconstruct(m, nsi.ReconstructionParams(solver="irls")).recipe["outcome"]
    (power,) = last
    rounds = int(outcome.split(", ")[1].split()[0]) if "re-weighting" in outcome else 0
    assert power is judged[rounds]


@pytest.mark.parametrize(("others", "better"), [(1.0, False), (1.5, False), (0.1, True)])
def test_one_position_neither_decides_nor_hides_what_the_others_say(others, better):
    """One of 50 positions is a hundred times as far off as the others and comes a long way nearer; they change by the factor ``others``."""
    old = torch.as_tensor(0.001 * np.random.default_rng(0).standard_normal((1, 50)))
    old[0, 7] = 0.1
    new = others * old
    new[0, 7] = 0.02
    problem = Problem(torch.zeros_like(old), torch.ones_like(old), 0.0, 1.0)
    assert problem.beats(new, old, problem.mask, 0.0, 0.1, 1.2) == better
    assert problem.beats(new, old, problem.mask, 0.0, 0.1)


def test_the_recipe_names_what_it_took():
    _, m = measurement()
    result = nsi.reconstruct(m, nsi.ReconstructionParams(iterations=2, seed=5))
    made = json.loads(json.dumps(result.recipe))
    assert nsi.ReconstructionParams.model_validate(made["reconstruction"]).seed == 5
    assert made["mask_sha256"] == hashlib.sha256(np.packbits(m.mask).tobytes()).hexdigest()
    assert len(made["checkpoint_sha256"]) == 64
    assert made["version"] == nsi.__version__
    assert result.pixel_size_nm == m.pixel_size_nm
    assert "identity" in nsi.reconstruct(m, denoiser=identity).recipe["denoiser"]


def test_bad_input_is_refused_at_once():
    constant = nsi.Measurement.from_arrays(np.full((32, 32), 5), np.ones((32, 32)))
    with pytest.raises(InputError, match="equal"):
        run(constant)
    few = nsi.Measurement.from_arrays(np.arange(1024.0).reshape(32, 32), np.eye(32)[:, ::-1] * (np.arange(32) < 8))
    with pytest.raises(InputError, match="At least 32"):
        run(few)
    assert run(few, solver="cubic")
    _, m = measurement()
    with pytest.raises(CheckpointError, match="nonesuch"):
        run(m, checkpoint="nonesuch")
    with pytest.raises(InputError, match="reference must have"):
        run(m, reference=np.ones((3, 3)))


@pytest.mark.parametrize("fault", [RuntimeError("CUDA error"), torch.OutOfMemoryError("no memory"), MemoryError()])
def test_a_failure_inside_becomes_a_sentence_that_is_no_runtime_error(fault):
    def broken(image, sigma):
        raise fault

    _, m = measurement()
    with pytest.raises(SolverError) as caught:
        run(m, broken)
    assert not isinstance(caught.value, RuntimeError)


def test_a_tick_ends_the_work_at_once():
    class Stop(Exception):
        pass

    calls = 0

    def tick():
        nonlocal calls
        calls += 1
        if calls == 20:
            raise Stop

    _, m = measurement()
    with pytest.raises(Stop):
        list(nsi.iterate(m, tick=tick))
    assert calls == 20


def test_gradients_stay_switched_on_in_the_consumer():
    _, m = measurement()
    for _ in nsi.iterate(m, nsi.ReconstructionParams(iterations=2), denoiser=identity):
        assert torch.is_grad_enabled()
