"""What is installed is complete: the wheel holds everything that is needed, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "napari_stem_inpaint"


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--quiet",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    there = {
        file.relative_to(PACKAGE.parent).as_posix() for file in PACKAGE.rglob("*") if file.is_file() and "__pycache__" not in file.parts
    }
    assert held == there
    assert {"napari_stem_inpaint/napari.yaml", "napari_stem_inpaint/py.typed"} < held
    checkpoints = {Path(name).stem for name in held if name.endswith(".safetensors")}
    assert {"stem-tiny", "stem-base"} <= checkpoints
