"""simulate: seeds, truth, structure factors, periodicity, contrast, remarks; and the scenes for training."""

import time

import numpy as np
import pytest
import torch
from helpers import SMALL
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_stem_inpaint as nsi
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.simulation import training_scenes
from napari_stem_inpaint.simulation.columns import Window
from napari_stem_inpaint.simulation.contrast import (
    OBJECT_NM,
    column_intensities,
    cross_section_nm2,
    dechannelling_per_nm,
    scatterers,
)
from napari_stem_inpaint.simulation.crystals import project, projected_cell
from napari_stem_inpaint.simulation.imaging import image_of, remarks, wide_frame
from napari_stem_inpaint.simulation.presets import PRESETS
from napari_stem_inpaint.simulation.probe import Optics, transfer
from napari_stem_inpaint.simulation.scenes import build_scene
from napari_stem_inpaint.simulation.training_scenes import HELD_OUT, is_held_out, random_cell, random_image, random_simulation
from napari_stem_inpaint.simulation.volume import atoms_in_space

THIN = {"thickness_nm": 0.4}  # next to no dechannelling


def simulated(**values: object) -> nsi.Frame:
    return nsi.simulate(nsi.SimulationParams(**values))


def test_same_seed_same_bits_other_seed_other_frame():
    first, same, other = (simulated(**SMALL, seed=s).image for s in (3, 3, 4))
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other, rtol=0.01)


@given(st.sampled_from(["SrTiO3", "Fe", "MgO"]), st.sampled_from([10, 12, 15]), st.integers(0, 9))
@settings(max_examples=10)
def test_a_shift_by_a_cell_leaves_the_image_the_same(crystal, pixels_per_cell, seed):
    cell = float(np.linalg.norm(project(crystal, False, (0, 0, 1)).vectors[0]))
    image = simulated(crystal=crystal, shape=(64, 64), pixel_size_nm=cell / pixels_per_cell, seed=seed).image
    for axis in (0, 1):
        near, far = (np.take(image, range(*ends), axis) for ends in ((0, 64 - pixels_per_cell), (pixels_per_cell, 64)))
        np.testing.assert_allclose(near, far, rtol=0, atol=1e-5 * image.max())


def test_a_perfect_crystal_has_the_mean_of_its_cell():
    """The probe's far tails are all there: what a cell scatters, over its area."""
    cell = 0.3905
    image = simulated(shape=(60, 60), pixel_size_nm=cell / 20).image
    p = nsi.SimulationParams()
    columns = projected_cell(p).species
    each = sum(cross_section_nm2(a.number, p) for s in columns for a in s.atoms) * p.thickness_nm / cell
    assert image.mean() == pytest.approx(each / cell**2, rel=1e-4)


def test_the_truth_stands_on_the_maxima():
    frame = simulated(crystal="Fe", shape=(96, 80), seed=2)
    inner = ((frame.columns.positions_px > 3) & (frame.columns.positions_px < np.array(frame.shape) - 4)).all(1)
    for y, x in frame.columns.positions_px[inner]:
        r, c = round(y), round(x)
        patch = frame.image[r - 2 : r + 3, c - 2 : c + 3]
        assert patch.max() == pytest.approx(frame.image[r - 3 : r + 4, c - 3 : c + 4].max())
        peak = np.unravel_index(patch.argmax(), patch.shape)
        assert np.abs(np.array(peak) - 2 - (np.array([y, x]) - [r, c])).max() <= 0.75
    np.testing.assert_allclose(frame.columns.positions_nm, frame.columns.positions_px * 0.02)


def test_the_truth_names_elements_and_defects():
    frame = simulated(**SMALL, vacancies=0.2, dopants=0.2, dopant="La", contamination_nm=0.3)
    truth = frame.columns
    assert set(truth.elements) >= {"Sr", "O", "Ti+O", "La"}
    assert set(truth.defects) == {"", "vacancy", "dopant"}
    assert (truth.intensities[truth.defects == "vacancy"] == 0).all()
    assert (truth.intensities[truth.defects == ""] > 0).all()
    assert truth.intensities[truth.elements == "La"].max() > truth.intensities[truth.elements == "Sr"].max()


def test_a_vacancy_is_dark_and_everything_else_stays():
    base = simulated(**SMALL, displacement_nm=0.01)
    missing = simulated(**SMALL, displacement_nm=0.01, vacancies=0.3)
    difference = base.image - missing.image
    assert difference.min() > -1e-3 * base.image.max()
    assert (np.abs(difference) < 2e-2 * base.image.max()).mean() > 0.3


def structure_factors(crystal: str, height_nm: float, width_nm: float) -> np.ndarray:
    """Fourier coefficients of one unit cell: the pixels divide it exactly along the rows, nearly along the columns."""
    n = 48
    frame = simulated(crystal=crystal, shape=(n, n), pixel_size_nm=height_nm / n, z_exponent=1.7, **THIN)
    x = np.arange(round(width_nm / (height_nm / n)))
    rows = np.fft.fft(frame.image, axis=0)
    return np.stack([(rows[:, x] * np.exp(-2j * np.pi * k * x * height_nm / n / width_nm)).sum(1) for k in (0, 1)], 1)


def test_strontium_titanate_has_its_structure_factors():
    """(1, 0): Sr - TiO, the oxygens cancel; (1, 1): Sr + TiO - 2 O; each damped by probe, source and the atoms' own width."""
    f = np.abs(structure_factors("SrTiO3", 0.3905, 0.3905))
    z = {element: number**1.7 for element, number in {"Sr": 38, "Ti": 22, "O": 8}.items()}

    def damped(order2: float, sr: float, ti: float, o: float) -> float:
        k = np.sqrt(order2) / 0.3905
        w_sr, w_ti, w_o = (np.exp(-2 * (np.pi * k) ** 2 * (u**2 + OBJECT_NM**2)) for u in (0.0079, 0.0070, 0.0090))
        probe = float(transfer(Optics(200, 25, 0.07), torch.zeros(2, 1), torch.tensor([[0.0, k]]))[0, 1])
        return probe * abs(sr * z["Sr"] * w_sr + ti * (z["Ti"] * w_ti + z["O"] * w_o) + o * z["O"] * w_o)

    assert f[1, 0] / f[1, 1] == pytest.approx(damped(1, 1, -1, 0) / damped(2, 1, 1, -2), rel=0.02)
    assert f[0, 0] / f[1, 1] == pytest.approx(damped(0, 1, 1, 2) / damped(2, 1, 1, -2), rel=0.02)


def test_silicon_has_diamonds_forbidden_reflection():
    f = np.abs(structure_factors("Si", 0.5431, 0.5431 / np.sqrt(2)))
    assert f[2, 0] < 0.01 * f[1, 1]
    assert f[1, 1] > 0.1 * f[0, 0]


def test_a_quarter_turn_of_the_crystal_turns_its_lattice():
    """Turned back, all differences between columns are quarters of the cell; not turned back, they are not."""
    turned = simulated(crystal="Si", shape=(64, 64), rotation_deg=90).columns.positions_nm
    back = np.stack([turned[:, 1], -turned[:, 0]], 1)
    cell = np.linalg.inv(project("Si", False, (1, 1, 0)).vectors)
    off = [np.abs(4 * d - np.round(4 * d)).max() for d in ((t[1:] - t[0]) @ cell for t in (back, turned))]
    assert off[0] < 1e-6 < 0.1 < off[1]


def test_rutherford_for_one_atom():
    """Strontium at 200 keV, 70 to 160 mrad, untempered: π (1/θ₁² − 1/θ₂²) (γ Z λ² / 2π² a₀)² = 5.3e-5 nm²."""
    assert cross_section_nm2(38, nsi.SimulationParams(z_exponent=2.0)) == pytest.approx(5.3e-5, rel=0.02)
    light, heavy = (cross_section_nm2(z, nsi.SimulationParams(z_exponent=1.7)) for z in (14, 28))
    assert heavy / light == pytest.approx(2**1.7)


def test_thickness_saturates_the_peaks_and_keeps_the_mean():
    thin, thick = (simulated(shape=(60, 60), pixel_size_nm=0.3905 / 20, thickness_nm=t).image for t in (5, 20))
    assert thick.mean() == pytest.approx(4 * thin.mean(), rel=1e-3)
    assert thick.max() < 3 * thin.max()
    assert thick.min() / thick.max() > 2 * thin.min() / thin.max()


def test_weights_add_up_to_the_columns_intensities():
    p = nsi.SimulationParams(crystal="PbTiO3", vacancies=0.1, intensity_scatter=0.1)
    scene = build_scene(p, Window((3.0, 3.0), 0.0))
    atoms = scatterers(scene, p)
    assert (atoms.weights + atoms.diffuse).sum() == pytest.approx(column_intensities(scene, p).sum())
    assert dechannelling_per_nm(project("Au", False, (0, 0, 1)).species[0]) > dechannelling_per_nm(scene.species[0]) / 3


def test_abf_has_dark_columns_and_shows_oxygen():
    haadf, abf = (simulated(shape=(96, 96), pixel_size_nm=0.01, contrast=c, seed=1) for c in ("haadf", "abf"))
    places = np.round(abf.columns.positions_px).astype(int)
    inside = ((places > 2) & (places < 93)).all(1)
    seen = {}
    for frame, sign in ((haadf, 1), (abf, -1)):
        at = sign * frame.image[tuple(places[inside].T)]
        background = np.median(sign * frame.image)
        o, sr = (at[frame.columns.elements[inside] == e].mean() - background for e in ("O", "Sr"))
        assert sr > 0
        seen[sign] = o / sr
    assert seen[-1] > 3 * seen[1]
    assert 0 < abf.image.min() < abf.image.max() < 0.6


def test_a_wider_frame_holds_the_frame():
    p = nsi.SimulationParams(**SMALL, scene="grain-boundary", crystal="Au", vacancies=0.1, displacement_nm=0.005, strain=0.02)
    frame, wide = nsi.simulate(p), wide_frame(p, 10)
    np.testing.assert_allclose(wide.image[10:-10, 10:-10], frame.image, rtol=0, atol=1e-3 * frame.image.max())


def test_other_frames_of_the_same_specimen_show_the_same_columns():
    """A smaller scan step, or a defocus, changes the picture and no column."""
    values = {"vacancies": 0.1, "displacement_nm": 0.01, "seed": 5}
    coarse = simulated(shape=(64, 64), pixel_size_nm=0.02, **values).columns
    fine = simulated(shape=(128, 128), pixel_size_nm=0.01, C10=100.0, **values).columns
    order = [np.lexsort(c.positions_nm.T.round(6)) for c in (coarse, fine)]
    common = min(len(coarse), len(fine))
    assert abs(len(coarse) - len(fine)) < 0.05 * common
    inner = [c.positions_nm[o][(np.abs(c.positions_nm[o] - 0.63) < 0.6).all(1)] for c, o in zip((coarse, fine), order, strict=True)]
    np.testing.assert_allclose(*inner, atol=1e-9)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_a_frame_and_a_measurement(name):
    preset = PRESETS[name]
    frame = nsi.simulate(preset.simulation.model_copy(update={"shape": (48, 48)}))
    assert np.isfinite(frame.image).all()
    assert frame.image.std() > 0
    assert not frame.metadata["remarks"]
    assert nsi.acquire(frame, nsi.make_scan(frame.shape, nsi.ScanParams(ratio=1)), preset.acquisition).mask.all()


def test_a_coarse_step_gets_a_remark_and_a_gigantic_frame_a_refusal():
    assert "Nyquist" in remarks(nsi.SimulationParams(pixel_size_nm=0.05))[0]
    assert simulated(**(SMALL | {"pixel_size_nm": 0.05})).metadata["remarks"]
    assert not remarks(nsi.SimulationParams())
    with pytest.raises(InputError, match="GB"):
        simulated(shape=(8192, 8192), pixel_size_nm=0.05)


def test_atoms_in_space_are_the_columns_atoms():
    p = nsi.SimulationParams(crystal="SrTiO3", thickness_nm=3.905)
    scene = build_scene(p, Window((1.0, 1.0), 0.0))
    positions, numbers, rms = atoms_in_space(scene, p)
    assert len(positions) == 10 * sum(len(scene.species[k].atoms) for k in scene.kind)
    assert 0 <= positions[:, 2].min() < positions[:, 2].max() < 3.905
    assert set(numbers) == {8, 22, 38}
    assert rms[numbers == 38] == pytest.approx(0.0079)


def test_training_never_draws_the_crystals_it_is_judged_on():
    for name, axis in (("SrTiO3", (0, 0, 1)), ("Si", (1, 1, 0))):
        assert is_held_out(project(name, False, axis).vectors)
    assert is_held_out(np.array([[0.272, 0.192], [0.272, -0.192]]))  # Si's primitive cell
    assert not is_held_out(np.array([[0.42, 0], [0, 0.42]]))
    rng = np.random.default_rng(0)
    cells = [random_cell(rng) for _ in range(300)]
    assert not any(is_held_out(c.vectors) or c.name in HELD_OUT for c in cells)
    assert len({c.name for c in cells}) > 10


def test_training_images_are_finite_scaled_and_seeded():
    images = [random_image((48, 32), np.random.default_rng([5, n])) for n in range(40)]
    for image in images:
        assert image.shape == (48, 32)
        assert image.isfinite().all()
        assert image.min() > -0.2
        assert image.max() < 1.25
    assert all((image == random_image((48, 32), np.random.default_rng([5, n]))).all() for n, image in enumerate(images))


def test_a_distorted_scan_is_the_specimen_read_elsewhere(monkeypatch):
    """Without movement it is the image itself; a drift shears it."""
    rng = np.random.default_rng(1)
    p, cells = random_simulation((64, 64), rng)
    plain = image_of(p, cells).numpy()
    monkeypatch.setattr(training_scenes, "read_positions", lambda scan, *_: scan.positions.astype(float))
    np.testing.assert_allclose(training_scenes._distorted(p, cells, rng), plain, atol=2e-3 * plain.max())
    monkeypatch.setattr(training_scenes, "read_positions", lambda scan, *_: scan.positions + np.array([0.0, 3.0]))
    moved = training_scenes._distorted(p, cells, rng)
    np.testing.assert_allclose(moved[:, :-3], plain[:, 3:], atol=2e-3 * plain.max())


def test_a_frame_takes_milliseconds():
    """About 12 ms for 256² on a free core; four times that here, for machines that are busy."""
    p = nsi.SimulationParams()
    nsi.simulate(p)
    times = []
    for _ in range(8):
        began = time.perf_counter()
        nsi.simulate(p)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.06
