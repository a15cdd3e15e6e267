"""Layers: one place, one contrast, copies instead of views, and no harm when they are deleted."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_stem_inpaint.frames import Frame, Measurement, Reconstruction
from napari_stem_inpaint.gui.layer_data import KEY, Place, contrast, measurement_layers, notes_of, pixel_size_nm
from napari_stem_inpaint.gui.layers import Layers


def by_role(viewer: Any) -> dict[str, Any]:
    return {notes_of(layer)["role"]: layer for layer in viewer.layers}


def add_all(viewer: Any, frame: Frame, measurement: Measurement) -> dict[str, Any]:
    layers = Layers(viewer)
    source = layers.add_frame(frame)
    layers.add_measurement(measurement, source, Place.of_layer(source))
    return by_role(viewer)


def result(measurement: Measurement, level: float = 5.0) -> Reconstruction:
    return Reconstruction(np.full(measurement.shape, level, np.float32), measurement.pixel_size_nm, "r", {"seed": 1}, {"sre_db": 40.0})


def test_all_layers_share_place_unit_and_contrast(viewer: Any, frame: Frame, measurement: Measurement) -> None:
    added = add_all(viewer, frame, measurement)
    layers = Layers(viewer)
    layers.begin_result(measurement, added["measured"])
    layers.show_iterate(np.zeros(measurement.shape, np.float32))
    layers.show_result(result(measurement))
    everything = by_role(viewer)
    assert set(everything) == {"frame", "mask", "measured", "reconstruction"}
    for layer in everything.values():
        assert tuple(layer.scale) == (0.02, 0.02)
        assert [str(u) for u in layer.units] == ["nanometer", "nanometer"]
        assert layer.axis_labels == ("y", "x")
    limits = {tuple(everything[role].contrast_limits) for role in ("frame", "measured", "reconstruction")}
    assert len(limits) == 1
    assert viewer.layers.units is not None


def test_without_a_pixel_size_the_unit_is_the_pixel(viewer: Any, measurement: Measurement) -> None:
    source = Layers(viewer).add_frame(Frame(measurement.values))
    assert [str(u) for u in source.units] == ["pixel", "pixel"]
    assert pixel_size_nm(source.scale, source.units) is None


@pytest.mark.parametrize(("unit", "factor"), [("nm", 1.0), ("angstrom", 0.1), ("pm", 1e-3), ("um", 1e3)])
def test_lengths_become_nanometres(viewer: Any, unit: str, factor: float) -> None:
    layer = viewer.add_image(np.zeros((3, 8, 8)), scale=(1, 2, 3), units=("pixel", unit, unit))
    assert pixel_size_nm(layer.scale, layer.units) == pytest.approx((2 * factor, 3 * factor))


def test_the_place_of_the_source_is_kept(viewer: Any, measurement: Measurement) -> None:
    source = viewer.add_image(
        measurement.values, scale=(2, 3), units=("angstrom", "angstrom"), translate=(5, 7), axis_labels=("row", "column")
    )
    layers = Layers(viewer)
    layers.add_measurement(measurement, source, Place.of_layer(source))
    layers.begin_result(measurement, by_role(viewer)["measured"])
    layers.show_iterate(measurement.values)
    for layer in viewer.layers:
        assert tuple(layer.scale) == (2, 3)
        assert tuple(layer.translate) == (5, 7)
        assert layer.axis_labels == ("row", "column")
        assert str(layer.units[0]) == "angstrom"


def test_contrast_is_set_once(viewer: Any, frame: Frame, measurement: Measurement) -> None:
    added = add_all(viewer, frame, measurement)
    layers = Layers(viewer)
    layers.begin_result(measurement, added["measured"])
    layers.show_iterate(measurement.values)
    shown = by_role(viewer)["reconstruction"]
    before = tuple(shown.contrast_limits)
    for level in (0.0, 1e6, np.nan):
        layers.show_iterate(np.full(measurement.shape, level, np.float32))
    layers.show_result(result(measurement))
    assert tuple(by_role(viewer)["reconstruction"].contrast_limits) == before
    shown.contrast_limits = (1, 2)
    layers.show_iterate(measurement.values)
    assert tuple(shown.contrast_limits) == (1, 2)


@pytest.mark.parametrize("values", [np.zeros(9), np.full(9, np.nan), np.full(9, 7.0), np.array([1e-12, 2e-12]), np.zeros(0)])
def test_contrast_limits_are_always_usable(values: np.ndarray) -> None:
    low, high = contrast(values)
    assert np.isfinite([low, high]).all()
    assert low < high


def test_contrast_comes_from_the_measured_pixels(measurement: Measurement) -> None:
    _, (_, keywords, _) = measurement_layers(measurement)
    known = measurement.values[measurement.mask]
    assert keywords["contrast_limits"] == pytest.approx(np.percentile(known, (0.1, 99.9)))


def test_painting_in_the_layers_leaves_the_measurement_alone(viewer: Any, frame: Frame, measurement: Measurement) -> None:
    before = measurement.mask.copy(), measurement.values.copy()
    added = add_all(viewer, frame, measurement)
    assert added["mask"].data.dtype == np.uint8
    added["mask"].data[:] = 1
    added["measured"].data[:] = 0
    np.testing.assert_array_equal(measurement.mask, before[0])
    np.testing.assert_array_equal(measurement.values, before[1])


def test_a_deleted_result_layer_comes_back_only_with_the_result(viewer: Any, frame: Frame, measurement: Measurement) -> None:
    added = add_all(viewer, frame, measurement)
    layers = Layers(viewer)
    layers.begin_result(measurement, added["measured"])
    assert layers.show_iterate(measurement.values)
    viewer.layers.remove(by_role(viewer)["reconstruction"])
    assert not layers.show_iterate(measurement.values)
    assert not layers.leave_result()
    assert "reconstruction" not in by_role(viewer)
    layers.show_result(result(measurement))
    assert by_role(viewer)["reconstruction"].metadata["recipe"] == {"seed": 1}


def test_a_result_without_an_iterate_shows_what_was_measured_and_does_not_stay(viewer: Any, frame: Frame, measurement: Measurement) -> None:
    added = add_all(viewer, frame, measurement)
    layers = Layers(viewer)
    layers.begin_result(measurement, added["measured"])
    begun = by_role(viewer)["reconstruction"]
    np.testing.assert_array_equal(begun.data[measurement.mask], measurement.values[measurement.mask])
    assert np.ptp(begun.data[~measurement.mask]) == 0
    assert not layers.leave_result()
    assert "reconstruction" not in by_role(viewer)


def test_the_result_carries_its_recipe_and_an_unfinished_one_says_so(viewer: Any, frame: Frame, measurement: Measurement) -> None:
    added = add_all(viewer, frame, measurement)
    layers = Layers(viewer)
    layers.begin_result(measurement, added["measured"])
    layers.show_iterate(measurement.values)
    unfinished = by_role(viewer)["reconstruction"]
    assert "recipe" not in unfinished.metadata
    assert layers.leave_result()
    assert unfinished.name == "lattice reconstructed (unfinished)"
    assert unfinished.metadata[KEY]["unfinished"]
    layers.begin_result(measurement, added["measured"])
    layers.show_result(result(measurement))
    finished = viewer.layers[-1]
    assert finished.name == "lattice reconstructed"
    assert finished.metadata["recipe"] == {"seed": 1}
    assert finished.metadata["scores"] == {"sre_db": 40.0}
    assert "unfinished" not in finished.metadata[KEY]


def test_the_second_result_is_named_by_its_solver_unless_the_user_has_named_it(viewer: Any, frame: Frame, measurement: Measurement) -> None:
    added = add_all(viewer, frame, measurement)
    layers = Layers(viewer)
    made = Reconstruction(measurement.values, None, "r", {"reconstruction": {"solver": "gp"}})
    names = []
    for named in ("", "", "", "mine"):
        layers.begin_result(measurement, added["measured"])
        viewer.layers[-1].name = named or viewer.layers[-1].name
        layers.show_result(made)
        names.append(viewer.layers[-1].name)
    assert names == ["lattice reconstructed", "lattice reconstructed, gp", "lattice reconstructed, gp [1]", "mine"]


def test_the_partners_know_each_other(viewer: Any, frame: Frame, measurement: Measurement) -> None:
    added = {role: notes_of(layer) for role, layer in add_all(viewer, frame, measurement).items()}
    assert added["measured"]["set"] == added["mask"]["set"]
    assert added["measured"]["truth"] == added["frame"]["id"]
    assert added["measured"]["noise"] == "none"


def test_foreign_metadata_does_no_harm() -> None:
    assert notes_of(SimpleNamespace(metadata={KEY: "text"})) == {}
