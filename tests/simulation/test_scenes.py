"""scenes.py: every scene's geometry, defects with streams of their own, and columns that stay what they are."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.params import SceneName, SimulationParams
from napari_stem_inpaint.simulation.columns import Window, normal, uniform
from napari_stem_inpaint.simulation.scenes import SCENES, build_scene

WINDOW = Window((5.0, 4.0), 1.5)
EFFECTS = {"vacancies": 0.1, "dopants": 0.1, "intensity_scatter": 0.1, "displacement_nm": 0.005, "strain": 0.02}


def built(window: Window = WINDOW, **values: object):
    return build_scene(SimulationParams(**values), window)


def nearest(positions: np.ndarray) -> np.ndarray:
    return cKDTree(positions).query(positions, k=2)[0][:, 1]


def test_numbers_are_uniform_normal_and_their_own():
    ids = np.stack(np.meshgrid([0], np.arange(-100, 100), np.arange(-100, 100), [0, 1], indexing="ij"), -1).reshape(-1, 4)
    u = uniform(3, 1, ids)
    assert 0 < u.min() < u.max() < 1
    assert abs(u.mean() - 0.5) < 5 / np.sqrt(12 * len(u))
    counts = np.histogram(u, 50)[0]
    assert ((counts - len(u) / 50) ** 2 / (len(u) / 50)).sum() < 100  # chi-square, 49 degrees of freedom
    g = normal(3, 1, ids)
    assert np.abs(np.cov(g.T) - np.eye(2)).max() < 0.02
    others = [uniform(4, 1, ids), uniform(3, 2, ids), uniform(3, 1, ids, 1), uniform(3, 1, ids[::-1])]
    assert all(abs(np.corrcoef(u, o)[0, 1]) < 0.02 for o in others)


@pytest.mark.parametrize("scene", [s for s in get_args(SceneName) if s != "surface"])
@pytest.mark.parametrize("crystal", ["SrTiO3", "Si", "graphene", "Au"])
def test_every_scene_of_every_kind_of_crystal(scene, crystal):
    made = built(scene=scene, crystal=crystal, seed=4, **EFFECTS)
    assert len(made.kind) > 0
    assert np.isfinite(made.positions_nm).all()
    assert made.kind.max() < len(made.species)
    assert (made.factor >= 0).all()
    assert len(np.unique(made.ids, axis=0)) == len(made.ids)
    if scene not in ("amorphous", "isolated-atoms"):
        plain = built(scene=scene, crystal=crystal, seed=4)
        assert nearest(plain.positions_nm).min() > 0.05


@pytest.mark.parametrize("scene", [s for s in get_args(SceneName) if s != "surface"])
def test_a_wider_window_adds_columns_and_changes_none(scene):
    narrow, wide = (
        built(Window((5.0, 4.0), margin), scene=scene, crystal="Si", seed=2, contamination_nm=0.2, **EFFECTS) for margin in (1.0, 1.7)
    )
    inside = {tuple(i): (p, f, d) for i, p, f, d in zip(wide.ids.tolist(), wide.positions_nm, wide.factor, wide.defect, strict=True)}
    for i, p, f, d in zip(narrow.ids.tolist(), narrow.positions_nm, narrow.factor, narrow.defect, strict=True):
        np.testing.assert_allclose(inside[tuple(i)][0], p, atol=1e-9)
        assert inside[tuple(i)][1:] == (f, d)
    held = Window((5.0, 4.0), 0.9).holds(wide.positions_nm).sum()
    assert held == Window((5.0, 4.0), 0.9).holds(narrow.positions_nm).sum()


@given(st.sets(st.sampled_from(sorted(EFFECTS)), min_size=1), st.sampled_from(sorted(EFFECTS)), st.integers(0, 5))
@settings(max_examples=25)
def test_switching_one_effect_on_changes_nothing_else(on, extra, seed):
    """What each effect does to a column is the same whichever others are on."""
    with_ = built(seed=seed, **{e: EFFECTS[e] for e in on | {extra}})
    without = built(seed=seed, **{e: EFFECTS[e] for e in on - {extra}})
    alone, none = built(seed=seed, **{extra: EFFECTS[extra]}), built(seed=seed)
    if extra == "vacancies":
        np.testing.assert_array_equal(with_.factor == 0, (alone.factor == 0) | (without.factor == 0))
    if extra == "dopants":
        np.testing.assert_array_equal([with_.species[k].label for k in with_.kind], [alone.species[k].label for k in alone.kind])
    if extra == "displacement_nm":
        np.testing.assert_allclose(with_.positions_nm - without.positions_nm, alone.positions_nm - none.positions_nm, atol=1e-12)
    if extra == "intensity_scatter":
        present = with_.factor > 0
        np.testing.assert_allclose(with_.factor[present], alone.factor[present])


def test_defects_come_in_the_numbers_asked_for():
    window = Window((30.0, 30.0), 0.0)
    made = built(window, vacancies=0.08, dopants=0.05, dopant="La")
    n = len(made.kind)
    assert abs((made.factor == 0).mean() - 0.08) < 5 * np.sqrt(0.08 * 0.92 / n)
    assert abs(np.mean([made.species[k].label.startswith("La") for k in made.kind]) - 0.05) < 5 * np.sqrt(0.05 * 0.95 / n)
    moved = built(window, displacement_nm=0.01).positions_nm - built(window).positions_nm
    assert moved.std() == pytest.approx(0.01, rel=0.05)
    assert built(window, intensity_scatter=0.1).factor.std() == pytest.approx(0.1, rel=0.05)


def test_the_strain_field_has_the_strain():
    plain, strained = built(Window((20.0, 20.0), 0.0)), built(Window((20.0, 20.0), 0.0), strain=0.05)
    shift = strained.positions_nm - plain.positions_nm
    pairs = cKDTree(plain.positions_nm).query_pairs(0.3, output_type="ndarray")
    stretch = np.linalg.norm(shift[pairs[:, 0]] - shift[pairs[:, 1]], axis=1)
    stretch /= np.linalg.norm(plain.positions_nm[pairs[:, 0]] - plain.positions_nm[pairs[:, 1]], axis=1)
    assert 0.01 < stretch.max() <= 0.05


@pytest.mark.parametrize("crystal", ["Si", "Au", "SrTiO3", "GaAs"])
def test_a_twin_is_its_own_mirror_image_and_no_longer_the_crystal(crystal):
    window = Window((5.0, 5.0), 1.0)
    made, plain = (built(window, scene=s, crystal=crystal, seed=3) for s in ("twin", "crystal"))
    line = made.positions_nm[made.defect == "twin boundary"]
    middle = line.mean(0)
    along = np.linalg.svd(line - middle)[2][0]
    across = np.array([-along[1], along[0]])
    tree = cKDTree(made.positions_nm)
    # the boundary as drawn from its columns may lie a little off
    offsets = np.linspace(-0.15, 0.15, 121)
    inner = made.positions_nm[Window((5.0, 5.0), -1.2).holds(made.positions_nm)]
    gaps = []
    for offset in offsets:
        distance = (inner - middle) @ across - offset
        gaps.append(np.median(tree.query(inner - 2 * distance[:, None] * across)[0]))
    assert min(gaps) < 0.01
    changed = cKDTree(plain.positions_nm).query(made.positions_nm)[0] > 0.01
    assert 0.2 < changed.mean() < 0.8


def test_the_dislocation_closes_with_its_burgers_vector():
    """Columns far above the core are displaced by half a Burgers vector more than those far below, on one side."""
    plain, made = (built(Window((12.0, 12.0), 0.0), crystal="Fe", scene=s) for s in ("crystal", "dislocation"))
    place = {tuple(i): p for i, p in zip(plain.ids.tolist(), plain.positions_nm, strict=True)}
    shift = np.array([p - place.get(tuple(i), np.full(2, np.nan)) for i, p in zip(made.ids.tolist(), made.positions_nm, strict=True)])
    seen = np.isfinite(shift).all(1)
    jump = np.ptp(shift[seen], axis=0)
    assert 0.2 < np.linalg.norm(jump) < 0.6


def test_edges_leave_vacuum_and_thin_out():
    made = built(Window((8.0, 8.0), 0.5), scene="edge", seed=1)
    full = built(Window((8.0, 8.0), 0.5), seed=1)
    assert 0.2 < len(made.kind) / len(full.kind) < 0.8
    assert made.thickness_nm.min() < 0.5 * made.thickness_nm.max()


def test_particles_fit_their_size():
    made = built(Window((8.0, 8.0), 0.5), scene="nanoparticle", crystal="Au", particle_nm=4.0)
    span = np.ptp(made.positions_nm, axis=0)
    assert ((span > 3.0) & (span <= 4.4)).all()


def test_films_have_their_density():
    made = built(Window((6.0, 6.0), 0.0), contamination_nm=2.0, crystal="graphene")
    assert (made.defect == "film").sum() == pytest.approx(2.0 * 95 * 36, rel=0.02)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"dopants": 0.1, "dopant": "Xx"}, "no chemical element"),
        ({"scene": "isolated-atoms", "dopant": "lanthanum"}, "no chemical element"),
        ({"zone_axis": "0 0 0"}, "no direction"),
    ],
)
def test_bad_input_gets_a_sentence(values, said):
    with pytest.raises(InputError, match=said):
        built(**values)


def test_far_too_many_columns_are_refused_first():
    with pytest.raises(InputError, match="columns"):
        built(Window((4000.0, 4000.0), 0.0))


def test_the_dict_holds_every_scene_but_the_surface():
    assert set(SCENES) == set(get_args(SceneName)) - {"surface"}


@pytest.mark.parametrize("scene", [s for s in get_args(SceneName) if s != "surface"])
@given(st.sampled_from(["SrTiO3", "Si", "GaN", "graphene"]), st.floats(0.05, 0.7), st.floats(-180, 180), st.integers(0, 1000))
@settings(max_examples=8)
def test_a_window_smaller_than_a_cell_holds_what_a_wide_one_holds_there(scene, crystal, extent, rotation, seed):
    """Even where no column, no atom and no boundary is inside."""
    p = SimulationParams(scene=scene, crystal=crystal, rotation_deg=rotation, seed=seed)
    small, wide = (build_scene(p, Window((extent, extent / 2), margin)) for margin in (0.0, 0.4))
    there = wide.positions_nm[Window((extent, extent / 2), 0.0).holds(wide.positions_nm)]
    np.testing.assert_allclose(np.sort(small.positions_nm, axis=0), np.sort(there, axis=0), atol=1e-9)
