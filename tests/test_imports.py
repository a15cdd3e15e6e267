"""What an import costs and pulls in, each seen in a fresh process."""

import subprocess
import sys
import time

import pytest


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def loaded(statement: str) -> set[str]:
    return set(fresh(f"import sys\n{statement}\nprint(*{{m.split('.')[0] for m in sys.modules}})").split())


HEAVY = {"torch", "qtpy", "PySide6", "PyQt6", "napari", "magicgui", "skimage", "scipy"}


@pytest.mark.parametrize(
    "statement",
    [
        "import napari_stem_inpaint",
        "import napari_stem_inpaint.params",
        "import napari_stem_inpaint.io",
        "import napari_stem_inpaint.cli",
        "import napari_stem_inpaint.scans, napari_stem_inpaint.frames, napari_stem_inpaint.metrics",
    ],
)
def test_light_modules_stay_light(statement):
    assert not loaded(statement) & HEAVY


def test_the_core_knows_no_window():
    core = ["reconstruction", "training", "simulation.training_scenes", "denoisers.checkpoint", "solvers.pnp", "solvers.classical"]
    statement = "import " + ", ".join(f"napari_stem_inpaint.{module}" for module in core)
    assert not loaded(statement) & {"qtpy", "PySide6", "PyQt6", "napari", "magicgui"}


def test_the_public_names_are_functions_whatever_is_imported_first():
    names = "simulate reconstruct train read evaluate iterate acquire make_scan"
    for first in (
        "pass",
        "import napari_stem_inpaint.simulation.crystals, napari_stem_inpaint.reconstruction, napari_stem_inpaint.training",
    ):
        code = f"{first}\nimport napari_stem_inpaint as n\nprint(all(callable(getattr(n, x)) for x in '{names}'.split()), len(n.__all__))"
        assert fresh(code).split()[0] == "True"


def test_every_public_name_exists():
    assert fresh("import napari_stem_inpaint as n\nprint([getattr(n, x) for x in n.__all__] != [])").strip() == "True"


def test_the_errors_are_public_and_every_public_name_is_listed():
    code = "import napari_stem_inpaint as n\nfrom napari_stem_inpaint import errors as e\nprint(set(n.__all__) < set(dir(n)), "
    names = ("InputError", "CheckpointError", "SolverError", "StemInpaintError")
    assert fresh(code + ", ".join(f"n.{name} is e.{name}" for name in names) + ")").split() == ["True"] * 5


def best_of_three(words: list[str]) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return min(times)


def test_import_and_help_are_quick():
    assert best_of_three([sys.executable, "-c", "import napari_stem_inpaint"]) < 0.3
    assert best_of_three([sys.executable, "-m", "napari_stem_inpaint.cli", "--help"]) < 0.7
