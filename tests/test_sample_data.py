"""sample_data/ holds what its README's commands make."""

from pathlib import Path

import numpy as np
import pytest

import napari_stem_inpaint as nsi
from napari_stem_inpaint.cli import main
from napari_stem_inpaint.io import read_measurement, read_scan

FOLDER = Path(__file__).parents[1] / "sample_data"


def test_the_readme_makes_the_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("stem-inpaint "):
            assert main(line.split()[1:]) == 0
    made = {p.name for p in tmp_path.iterdir()}
    assert made == {p.name for p in FOLDER.iterdir()} - {"README.md"}
    for name in ("srtio3_frame.tif", "si_frame.tif"):
        image, kept = nsi.read(name)[0].image, nsi.read(FOLDER / name)[0].image
        np.testing.assert_allclose(image, kept, rtol=0, atol=1e-5 * kept.max())


@pytest.mark.parametrize(("name", "scan"), [("srtio3", "srtio3_mask.tif"), ("si", "si_positions.csv")])
def test_a_measurement_knows_its_mask(name, scan):
    measurement = read_measurement(FOLDER / f"{name}_measured.tif")
    np.testing.assert_array_equal(measurement.mask, read_scan(FOLDER / scan, (128, 128)).mask)
