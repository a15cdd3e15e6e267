"""crystals.py: projections against textbook cells; CIF files; bad input."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.params import CrystalName, SimulationParams
from napari_stem_inpaint.simulation.builtin import CRYSTALS
from napari_stem_inpaint.simulation.crystals import parse_zone_axis, project, projected_cell

CIFS = Path(__file__).parents[3] / "shared" / "data" / "cif"
# atoms per nm³ from density and molar mass
DENSITY = {"SrTiO3": 5 / 0.3905**3, "Si": 8 / 0.5431**3, "Au": 4 / 0.4078**3, "Fe": 2 / 0.2867**3, "MgO": 8 / 0.4212**3}
CIF = """data_test
_cell_length_a 4.0
_cell_length_b 4.0
_cell_length_c 4.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_U_iso_or_equiv
"""


def distances(name: str, zone: tuple[int, int, int]) -> np.ndarray:
    """Smallest distance between different columns."""
    cell = project(name, False, zone)
    away = cell.fractions[:, None] - cell.fractions[None]
    shifts = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    lengths = np.linalg.norm((away[:, :, None] + shifts) @ cell.vectors, axis=-1)
    return np.sort(lengths[lengths > 1e-6])


@pytest.mark.parametrize("name", get_args(CrystalName))
def test_every_crystal_projects_along_its_usual_axis(name):
    cell = projected_cell(SimulationParams(crystal=name))
    assert cell.species
    assert abs(np.linalg.det(cell.vectors)) > 0.01
    assert distances(name, parse_zone_axis(CRYSTALS[name].zone_axis)).min() > 0.03
    assert (cell.species[0].repeat_nm == 0) == CRYSTALS[name].layer


@pytest.mark.parametrize("name", DENSITY)
@given(zone=st.tuples(*[st.integers(-3, 3)] * 3).filter(any))
def test_projection_keeps_the_density(name, zone):
    text = " ".join(map(str, zone))
    assert project(name, False, parse_zone_axis(text)).atoms_per_nm3 == pytest.approx(DENSITY[name], rel=2e-3)


def test_silicon_110_has_dumbbells_of_136_pm_upright():
    cell = project("Si", False, (1, 1, 0))
    assert distances("Si", (1, 1, 0)).min() == pytest.approx(0.5431 / 4, rel=1e-3)
    gap = (cell.fractions[1] - cell.fractions[0]) @ cell.vectors
    assert abs(gap[0]) == pytest.approx(0.5431 / 4, rel=1e-3)
    assert abs(gap[1]) < 1e-6


def test_strontium_titanate_001_has_a_mixed_column():
    cell = project("SrTiO3", False, (0, 0, 1))
    assert sorted(s.label for s in cell.species) == ["O", "O", "Sr", "Ti+O"]
    np.testing.assert_allclose(np.linalg.norm(cell.vectors, axis=1), 0.3905)


def test_polar_oxides_show_their_displacement():
    """Ti above the middle of the Ba square, c up."""
    cell = project("BaTiO3", False, (1, 0, 0))
    ba, ti = (next(f for f, s in zip(cell.fractions, cell.species, strict=True) if s.label.startswith(e)) for e in ("Ba", "Ti"))
    up = -((ti - ba) @ cell.vectors)[0] % 0.40365 - 0.40365 / 2
    assert 0.004 < up < 0.02


def test_heights_follow_the_lattice():
    """Atoms of neighbouring {220} columns of Si [110] stand half a repeat above each other: nearest neighbours at 0.2352 nm."""
    cell = project("Si", False, (1, 1, 0))
    points = []
    for i in range(-2, 3):
        for j in range(-2, 3):
            for f, s in zip(cell.fractions, cell.species, strict=True):
                for atom in s.atoms:
                    for n in range(-2, 3):
                        height = atom.height_nm + n * s.repeat_nm + np.array([i, j]) @ cell.lifts_nm
                        points.append([*((f + np.array([i, j])) @ cell.vectors), height])
    points = np.array(points)
    centre = points[np.argmin(np.linalg.norm(points, axis=1))]
    near = np.sort(np.linalg.norm(points - centre, axis=1))
    np.testing.assert_allclose(near[1:5], 0.5431 * np.sqrt(3) / 4, rtol=1e-3)
    assert near[5] > 0.38


@pytest.mark.parametrize(
    ("text", "axis"),
    [("001", (0, 0, 1)), ("1-10", (1, -1, 0)), ("[2, 2, 0]", (1, 1, 0)), ("-1 0 12", (-1, 0, 12)), (" 0 0 -3", (0, 0, -1))],
)
def test_zone_axes_are_read(text, axis):
    assert parse_zone_axis(text) == axis


@pytest.mark.parametrize(
    ("text", "said"), [("000", "no direction"), ("abc", "three whole numbers"), ("11", "three"), ("1 1", "three"), ("", "three")]
)
def test_bad_zone_axes_are_refused(text, said):
    with pytest.raises(InputError, match=said):
        parse_zone_axis(text)


def test_layers_have_one_axis_and_high_indices_are_refused():
    with pytest.raises(InputError, match="single layer"):
        project("graphene", False, (1, 0, 0))
    with pytest.raises(InputError, match="lower indices"):
        project("Si", False, (97, 0, 1))


@pytest.mark.skipif(not CIFS.is_dir(), reason="no CIF files beside the project")
@pytest.mark.parametrize(
    ("file", "atoms_per_nm3"),
    [("Au_cod", 59.0), ("GaAs_cod", 44.3), ("Si_cod", 50.0), ("SrTiO3_Pm-3m_dupsyms", 83.5), ("MoS2_3R_R3m", 47.9)],
)
def test_real_cif_files(file, atoms_per_nm3):
    cell = projected_cell(SimulationParams(cif=str(CIFS / f"{file}.cif")))
    assert cell.atoms_per_nm3 == pytest.approx(atoms_per_nm3, rel=0.01)


def test_a_cif_with_partial_occupancy_and_thermal_motion(tmp_path):
    path = tmp_path / "mixed.cif"
    path.write_text(CIF + "Ba Ba 0 0 0 0.7 0.01\nSr Sr 0 0 0 0.3 0.01\nO O .5 .5 .5 1 0.0081\n")
    cell = projected_cell(SimulationParams(cif=str(path)))
    mixed, oxygen = cell.species
    assert mixed.label == "Ba+Sr"
    assert {a.number: a.occupancy for a in mixed.atoms} == {56: 0.7, 38: 0.3}
    assert mixed.atoms[0].rms_nm == pytest.approx(0.01)
    assert oxygen.atoms[0].rms_nm == pytest.approx(0.009)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("data_x\n_cell_length_a 1\n", "no crystal structure"),
        ("\x00\x01garbage", "no .cif file|structure"),
        (CIF + "Q Q 0 0 0 1 0.01\n", "chemical element"),
    ],
)
def test_bad_cif_files_get_a_sentence(tmp_path, text, said):
    path = tmp_path / "bad.cif"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        projected_cell(SimulationParams(cif=str(path)))
    assert "\n" not in str(caught.value)


def test_a_missing_cif_is_named(tmp_path):
    with pytest.raises(InputError, match="no file"):
        projected_cell(SimulationParams(cif=str(tmp_path / "none.cif")))
