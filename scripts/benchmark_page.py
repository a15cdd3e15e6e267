"""Put what `stem-inpaint benchmark --out FOLDER` measured into docs/benchmark.md and its figures into docs/images.

python scripts/benchmark_page.py FOLDER
"""

import datetime
import platform
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import pages

from napari_stem_inpaint import benchmark

DOCS = Path(__file__).parents[1] / "docs"


def processor() -> str:
    names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    text, files = benchmark.report(folder)
    packages = ", ".join(f"{name} {version(name)}" for name in ("napari-stem-inpaint", "torch", "numpy", "scipy", "scikit-image"))
    pages.put(
        DOCS / "benchmark.md", "made", f"{datetime.date.today():%Y-%m-%d}; {processor()}; Python {platform.python_version()}, {packages}."
    )
    pages.put(DOCS / "benchmark.md", "tables", text)
    for file in files:
        if file.suffix == ".png":
            shutil.copy(file, DOCS / "images" / f"benchmark_{file.name}")
