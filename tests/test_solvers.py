"""Solvers against closed forms."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from helpers import blur, identity
from threadpoolctl import threadpool_info

from napari_stem_inpaint import params
from napari_stem_inpaint.params import PLUG_AND_PLAY
from napari_stem_inpaint.solvers import classical, sparse
from napari_stem_inpaint.solvers.classical import cubic
from napari_stem_inpaint.solvers.equivariance import equivariant, inverse, transform, turn
from napari_stem_inpaint.solvers.pnp import SOLVERS, WEIGHT, hqs, krige_step, mean_of_last, replace_step, settled
from napari_stem_inpaint.solvers.spectral import Grid, fourier_sparse, gaussian_power, gaussian_process, krige, kriging_weights


def nothing() -> None:
    return None


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    y = torch.as_tensor(rng.standard_normal((12, 10)))
    mask = torch.as_tensor((rng.random((12, 10)) < 0.4).astype(float))
    return y * mask, mask


def covariance(grid: Grid, power: torch.Tensor) -> np.ndarray:
    """The field's covariance between all pixels of the frame, entry by entry."""
    kernel = torch.fft.irfft2(power, s=grid.padded).numpy()
    y, x = (a.ravel() for a in np.indices(grid.shape))
    return kernel[np.subtract.outer(y, y) % grid.padded[0], np.subtract.outer(x, x) % grid.padded[1]]


def test_power_is_scaled_to_variance_one():
    grid = Grid.of(torch.zeros(9, 14, dtype=torch.float64))
    assert np.diag(covariance(grid, gaussian_power(grid, 0.1))) == pytest.approx(1)


@pytest.mark.parametrize("noise", [0.05, 1.0])
def test_kriging_is_the_dense_solution(problem, noise):
    y, mask = problem
    grid = Grid.of(y)
    power = gaussian_power(grid, 0.2)
    k, seen = covariance(grid, power), mask.numpy().ravel() > 0
    dense = k[:, seen] @ np.linalg.solve(k[np.ix_(seen, seen)] + noise**2 * np.eye(seen.sum()), y.numpy().ravel()[seen])
    field = grid.crop(krige(y, mask, power, grid, noise, 500, nothing, 1e-12))
    np.testing.assert_allclose(field.numpy().ravel(), dense, atol=1e-8)


def test_kriging_goes_on_from_a_first_guess(problem):
    y, mask = problem
    grid = Grid.of(y)
    power, steps = gaussian_power(grid, 0.2), []
    values = (y, mask, power, grid, 0.05)
    solved = kriging_weights(*values, 500, nothing, 1e-12)
    torch.testing.assert_close(kriging_weights(*values, 500, nothing, 1e-12, first=torch.ones_like(y) * mask), solved)
    assert torch.equal(kriging_weights(*values, 500, lambda: steps.append(0), 1e-10, first=solved), solved)
    assert len(steps) == 1


def test_kriging_of_nothing_is_nothing(problem):
    y, mask = problem
    grid = Grid.of(y)
    assert not krige(y * 0, mask, gaussian_power(grid, 0.1), grid, 0.1, 10, nothing).any()


def test_a_gaussian_process_returns_a_constant_and_its_data(problem):
    y, mask = problem
    constant = gaussian_process(torch.full_like(y, 3) * mask, mask, 0.1, 1e-3, 50, nothing)
    torch.testing.assert_close(constant, torch.full_like(y, 3))
    through = gaussian_process(y, mask, 0.3, 1e-3, 500, nothing)
    torch.testing.assert_close(through * mask, y, atol=1e-3, rtol=0)


def test_reweighting_finds_a_lattice_that_a_gaussian_process_does_not():
    y, x = torch.meshgrid(torch.arange(64.0, dtype=torch.float64), torch.arange(64.0, dtype=torch.float64), indexing="ij")
    truth = torch.cos(2 * np.pi * (0.21 * y + 0.13 * x)) + torch.cos(2 * np.pi * (0.17 * x - 0.2 * y))
    mask = torch.as_tensor((np.random.default_rng(0).random((64, 64)) < 0.25).astype(float))
    steps = fourier_sparse(truth * mask, mask, 0.12, 1e-3, 200, nothing)
    errors = [float((next(steps)[0] - truth).square().mean().sqrt()) for _ in range(6)]
    assert errors[-1] < 0.1 * errors[0]


@pytest.mark.parametrize("element", range(8))
def test_transformations_are_undone(element):
    image = torch.rand(1, 1, 5, 8)
    assert torch.equal(inverse(transform(image, element), element), image)


def test_the_eight_transformations_differ():
    image = torch.rand(1, 1, 6, 6)
    seen = [transform(image, g) for g in range(8)]
    assert all(not torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (20, 13)])
def test_an_equivariant_identity_is_the_identity(shape):
    denoise, image = equivariant(identity, np.random.default_rng(0)), torch.rand(1, 1, *shape)
    for _ in range(12):
        assert torch.equal(denoise(image, 0.1), image)


def test_an_equivariant_denoiser_sees_every_orientation_and_shift():
    seen = set()

    def record(image, sigma):
        seen.add(tuple(image.shape[-2:]))
        return image

    denoise = equivariant(record, np.random.default_rng(0))
    for _ in range(300):
        denoise(torch.rand(1, 1, 16, 40), 0.1)
    assert len(seen) > 60
    assert any(h > w for h, w in seen)


@pytest.mark.parametrize(("group", "members"), [("rotations", 4), ("mirrors", 4), ("all", 8), ("shifts", 8), ("small-rotations", 8)])
def test_a_full_average_sees_every_member(group, members):
    seen = []

    def record(image, sigma):
        seen.append(image)
        return image

    image = torch.rand(1, 1, 16, 16)
    denoise = equivariant(record, np.random.default_rng(0), group, lambda call: call == 1)
    for calls in (1, 1 + members, 2 + members):
        torch.testing.assert_close(denoise(image, 0.1), image)
        assert len(seen) == calls


@pytest.mark.parametrize("group", ["rotations", "mirrors", "all"])
def test_the_next_call_takes_back_what_leans(group):
    """A denoiser that adds a ramp along one direction adds it the other way round in the next call."""

    def leaning(image, sigma):
        return image + torch.linspace(-1, 1, image.shape[-1])

    image = torch.rand(1, 1, 64, 64)
    denoise = equivariant(leaning, np.random.default_rng(0), group)
    for _ in range(6):
        first, second = denoise(image, 0.1) - image, denoise(image, 0.1) - image
        assert first.abs().max() > 0.8
        assert (first + second).abs().max() < 0.3  # not zero: the two are shifted differently


def test_an_average_over_a_group_commutes_with_it():
    """D(T x) = T D(x) for every quarter turn, though the denoiser prefers a direction."""

    def leaning(image, sigma):
        return image - sigma * torch.roll(image, 1, -1)

    denoise = equivariant(leaning, np.random.default_rng(0), "rotations", lambda _: True)
    image = torch.rand(1, 1, 12, 12)
    for k in range(4):
        torch.testing.assert_close(denoise(torch.rot90(image, k, (-2, -1)), 0.1), torch.rot90(denoise(image, 0.1), k, (-2, -1)))


@pytest.mark.parametrize("shape", [(64, 64), (48, 80)])
def test_turning_is_turning(shape):
    """A linear ramp turned by 5 degrees is the ramp along the turned direction."""
    y, x = torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    c, s = math.cos(math.radians(5)), math.sin(math.radians(5))
    turned = turn((x / 100)[None, None], 5)[0, 0]
    inner = (slice(8, -8), slice(8, -8))
    torch.testing.assert_close(turned[inner], ((c * x - s * y) / 100)[inner], rtol=0, atol=1e-3)


def test_the_mean_of_the_last_and_the_end_by_tolerance():
    images = [torch.full((2, 2), float(v)) for v in (0, 4, 6, 7, 7.5)]
    assert [float(u[0, 0]) for u in mean_of_last(images, 2)] == [0, 2, 5, 6.5, 7.25]
    assert len(list(settled(images, 1.5))) == 4
    assert len(list(settled(images, 0.0))) == 5


def test_the_replacing_step_is_its_formula(problem):
    y, mask = problem
    x = torch.rand_like(y)
    rho = WEIGHT * (0.02 / 0.1) ** 2
    torch.testing.assert_close(replace_step(y, mask, 0.02)(x, 0.1), (mask * y + rho * x) / (mask + rho))
    assert torch.equal(replace_step(y, mask, 0.0)(x, 0.1) * mask, y * mask)


def test_the_kriged_step_keeps_measured_pixels_exact_and_corrects_neighbours(problem):
    y, mask = problem
    x = torch.rand_like(y)
    u = krige_step(y, mask, 0.0, 0.1, nothing)(x, 0.1)
    assert torch.equal(u * mask, y)
    assert ((u - x).abs() * (1 - mask) > 1e-6).any()


def test_with_an_identity_denoiser_measured_pixels_stay(problem):
    y, mask = problem
    for x, u in hqs(y, identity, replace_step(y, mask, 0.0), [0.1, 0.01]):
        assert torch.equal(u * mask, y)
        assert x.dtype == u.dtype == y.dtype


def test_each_step_of_hqs_denoises_then_returns_to_the_data(problem):
    y, mask = problem
    strengths = []

    def denoise(image, sigma):
        strengths.append(sigma)
        return blur(image, sigma)

    (x, u), *_ = hqs(y, denoise, replace_step(y, mask, 0.0), [0.3, 0.2])
    assert strengths == [0.3, 0.2]
    torch.testing.assert_close(x, torch.full_like(y, float(y.float().mean())), check_dtype=False)
    torch.testing.assert_close(u, torch.where(mask > 0, y, x))


def test_cubic_interpolates_and_survives_lines_and_full_masks():
    image = np.add.outer(np.arange(9.0), 2 * np.arange(7.0))
    mask = np.zeros(image.shape, bool)
    mask[::2, ::2] = mask[8, :] = mask[:, 6] = True
    np.testing.assert_allclose(cubic(image * mask, mask), image, atol=1e-6)
    np.testing.assert_array_equal(cubic(image, np.ones_like(mask)), image)
    line = np.zeros_like(mask)
    line[4] = True
    assert np.isfinite(cubic(image * line, line)).all()


def test_no_thread_of_blas_waits_for_another_in_an_interpolation(monkeypatch):
    threads = []

    def interpolator(_, values):
        threads.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return lambda wanted: np.full(len(wanted), values.mean())

    monkeypatch.setattr(classical, "CloughTocher2DInterpolator", interpolator)
    cubic(np.ones((4, 4)), np.eye(4, dtype=bool))
    assert threads
    assert set(threads) == {1}


def few_waves(image: torch.Tensor, _: float) -> torch.Tensor:
    """The projection onto slow waves: the denoiser of images that consist of them."""
    spectrum = torch.fft.fft2(image)
    y, x = (torch.fft.fftfreq(n).abs() * n < 2 for n in image.shape[-2:])
    return torch.fft.ifft2(spectrum * (y[:, None] & x)).real


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_finds_the_one_image_that_agrees_with_data_and_denoiser(solver):
    rng = np.random.default_rng(0)
    truth = few_waves(torch.as_tensor(rng.standard_normal((24, 20))), 0)
    mask = torch.as_tensor((rng.random((24, 20)) < 0.4).astype(float))
    step = replace_step(truth * mask, mask, 0.0)
    *_, (x, u) = SOLVERS[solver](torch.zeros_like(truth), few_waves, step, [0.1] * 200)
    for image in (x, u):
        torch.testing.assert_close(image, truth, atol=1e-4, rtol=0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_no_solver_moves_away_from_its_answer(solver):
    truth = few_waves(torch.as_tensor(np.random.default_rng(1).standard_normal((24, 20))), 0)
    mask = torch.ones_like(truth)
    mask[:, ::2] = 0
    for x, u in SOLVERS[solver](truth, few_waves, replace_step(truth * mask, mask, 0.01), np.geomspace(0.2, 1e-4, 50)):
        torch.testing.assert_close(x, truth, atol=1e-5, rtol=0)
        torch.testing.assert_close(u, truth, atol=1e-5, rtol=0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_no_solver_shows_the_denoiser_ever_larger_values(solver):
    """Data that no image of the denoiser agrees with: what is left at the measured pixels must not add up."""
    rng = np.random.default_rng(2)
    y, mask = torch.as_tensor(rng.random((24, 20))), torch.as_tensor((rng.random((24, 20)) < 0.4).astype(float))
    largest = 0.0

    def denoise(image, sigma):
        nonlocal largest
        largest = max(largest, float(image.abs().max()))
        return few_waves(image, sigma)

    for _ in SOLVERS[solver](y * mask, denoise, replace_step(y * mask, mask, 0.0), [0.02] * 500):
        pass
    assert largest < 3


def test_all_of_them_can_be_chosen():
    assert tuple(SOLVERS) == PLUG_AND_PLAY
    assert tuple(classical.INTERPOLATIONS) == params.INTERPOLATIONS
    assert {*SOLVERS, *classical.INTERPOLATIONS, *sparse.SPARSE, *params.ONE_PASS, "gp", "irls"} == set(get_args(params.SolverName))


def test_gradient_and_divergence_are_adjoint():
    rng = np.random.default_rng(0)
    x, p = torch.as_tensor(rng.standard_normal((9, 7))), torch.as_tensor(rng.standard_normal((2, 9, 7)))
    assert float((sparse._gradient(x) * p).sum()) == pytest.approx(-float((x * sparse._divergence(p)).sum()))


@pytest.mark.parametrize("method", ["linear", "cubic", "biharmonic"])
def test_interpolation_returns_a_plane(method):
    y, x = np.indices((15, 12)) / 10
    plane, mask = 0.2 + y - 0.5 * x, np.random.default_rng(0).random((15, 12)) < 0.5
    mask[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    np.testing.assert_allclose(classical.INTERPOLATIONS[method](plane * mask, mask), plane, atol=0.1 if method == "biharmonic" else 1e-6)


def test_total_variation_restores_flat_areas_exactly():
    truth = torch.zeros(24, 24, dtype=torch.float64)
    truth[:, 12:] = 1
    mask = torch.as_tensor((np.random.default_rng(0).random((24, 24)) < 0.5).astype(float))
    mask[:, 11:13] = 1
    *_, image = sparse.total_variation(truth * mask, truth * mask, mask, 0.0, nothing)
    torch.testing.assert_close(image, truth, atol=1e-3, rtol=0)


@pytest.mark.parametrize("method", ["wavelet", "dct"])
def test_few_coefficients_are_found(method):
    """An image of one coefficient is restored from half of its pixels."""
    if method == "dct":
        n = torch.arange(64, dtype=torch.float64) + 0.5
        truth = 0.5 + 0.4 * torch.outer(torch.cos(torch.pi * 5 * n / 64), torch.cos(torch.pi * 9 * n / 64))
    else:
        truth = torch.full((64, 64), 0.5, dtype=torch.float64)
    mask = torch.as_tensor((np.random.default_rng(0).random((64, 64)) < 0.5).astype(float))
    *_, image = sparse.SPARSE[method](truth * mask, truth * mask, mask, 0.0, nothing)
    torch.testing.assert_close(image, truth, atol=0.01, rtol=0)
