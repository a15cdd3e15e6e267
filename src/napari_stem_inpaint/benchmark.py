"""The fixed suite: every solver on the same simulated measurements, scored and timed; what was done already is not done again.

A case is a frame and a measurement of it; a row is a case, a solver and its scores. ``rows.csv`` is written after every row and
whole at any moment; ``tables.md`` and the figures are made from it.
"""

from __future__ import annotations

import csv
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .frames import Frame, Measurement
from .io.boundary import write_atomically
from .metrics import evaluate
from .params import AcquisitionParams, BenchmarkParams, ReconstructionParams, ScanParams, SimulationParams

MAIN, OTHER = ("SrTiO3", "Si"), ("Si [001]", "GaN", "Au", "CeO2")  # none of them in training
DEFECTS = {"vacancies": 0.05, "intensity_scatter": 0.15, "displacement_nm": 0.005}
CENTRE: dict[str, Any] = {"pattern": "random", "ratio": 0.25, "counts": 0}
VARIED: dict[str, tuple[Any, ...]] = {"pattern": ("line-hop", "blue-noise"), "ratio": (0.05, 0.1, 0.5), "counts": (10000, 1000, 100)}
PIXELS_NM = (0.01, 0.015, 0.02, 0.03)
SCORES = ("sre_db", "sre_mean_removed_db", "psnr_db", "ssim", "sre_unmeasured_db", "sre_inner_db")


@dataclass(frozen=True)
class Case:
    """One measurement of the suite; ``counts`` at the brightest position, 0 = noise-free."""

    crystal: str
    defective: bool
    pixel_size_nm: float
    pattern: str
    ratio: float
    counts: float
    side_px: int
    seed: int

    def frame(self) -> Frame:
        """Simulate it."""
        from .simulation.imaging import simulate

        name, _, axis = self.crystal.partition(" ")
        defects = DEFECTS if self.defective else {}
        size = {"shape": (self.side_px, self.side_px), "pixel_size_nm": self.pixel_size_nm, "seed": self.seed}
        return simulate(SimulationParams.model_validate({"crystal": name, "zone_axis": axis.strip("[]"), **size, **defects}))

    def measurement(self, frame: Frame) -> Measurement:
        """Measure ``frame``."""
        from .scans import make_scan
        from .simulation.acquisition import acquire

        scan = make_scan(frame.shape, ScanParams.model_validate({"pattern": self.pattern, "ratio": self.ratio, "seed": self.seed}))
        return acquire(frame, scan, AcquisitionParams(dose_e_per_px=self.counts, seed=self.seed))


@dataclass(frozen=True)
class Row:
    """One solver on one case: its scores as :func:`~napari_stem_inpaint.evaluate` names them, and the seconds of one run."""

    case: Case
    solver: str
    checkpoint: str
    seconds: float
    scores: Mapping[str, float]

    @property
    def method(self) -> tuple[str, str]:
        return self.solver, self.checkpoint


def cases(params: BenchmarkParams) -> Iterator[Case]:
    """Yield the suite, seed by seed, so that what is done when it is stopped is of use."""
    if params.suite == "quick":
        for crystal, pixel, counts in itertools.product(MAIN, (0.015, 0.03), (0, 1000)):
            yield Case(crystal, True, pixel, "random", 0.25, counts, 128, 1)
        return
    for seed in range(1, params.seeds + 1):
        for crystals, setting in _settings(params.suite == "full", seed == 1):
            for pixel, defective, crystal in itertools.product(PIXELS_NM, (False, True), crystals):
                yield Case(crystal, defective, pixel, side_px=256, seed=seed, **setting)


def _settings(full: bool, first: bool) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield crystals and how they are measured: every combination, or around one centre, and that alone after the first seed."""
    if full:
        every = {name: (CENTRE[name], *VARIED[name]) for name in VARIED}
        for values in itertools.product(*every.values()):
            yield MAIN + OTHER, dict(zip(every, values, strict=True))
        return
    yield MAIN, CENTRE
    if first:
        yield from ((MAIN, CENTRE | {name: value}) for name, values in VARIED.items() for value in values)
        yield OTHER, CENTRE


def run(params: BenchmarkParams, folder: Path) -> Iterator[tuple[Row, float]]:
    """Do what is missing in ``folder``; yield each new row and the share of the suite that is done.

    Raises
    ------
    InputError
        If the folder holds another table, or cannot be written.
    """
    from .reconstruction import reconstruct

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be made ({error.strerror}); choose another.") from error
    rows = read_rows(folder)
    done = {(row.case, row.method) for row in rows}
    suite, methods = list(cases(params)), params.methods()
    for n, case in enumerate(suite):
        missing = [method for method in methods if (case, method) not in done]
        if not missing:
            continue
        frame = case.frame()
        measurement = case.measurement(frame)
        for k, (solver, checkpoint) in enumerate(missing, 1):
            settings = {"solver": solver, "seed": case.seed, "device": params.device} | ({"checkpoint": checkpoint} if checkpoint else {})
            began = time.perf_counter()
            image = reconstruct(measurement, ReconstructionParams.model_validate(settings)).image
            seconds = time.perf_counter() - began
            scores = evaluate(image, reference=frame.image, mask=measurement.mask)
            rows.append(Row(case, solver, checkpoint, seconds, {name: scores[name] for name in SCORES}))
            write_rows(folder, rows)
            yield rows[-1], (n + k / len(missing)) / len(suite)


# --- the table


COLUMNS = (*(f.name for f in fields(Case)), "solver", "checkpoint", "seconds", *SCORES)
KINDS: dict[str, Any] = {"str": str, "bool": lambda word: word == "True", "float": float, "int": int}


def write_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Write ``rows.csv``."""

    def write(partial: Path) -> None:
        with partial.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(COLUMNS)
            writer.writerows([*astuple(r.case), *r.method, f"{r.seconds:.4g}", *(f"{v:.6g}" for v in r.scores.values())] for r in rows)

    write_atomically(folder / "rows.csv", [".csv"], write)


def read_rows(folder: Path) -> list[Row]:
    """Return the rows of ``rows.csv``; none where there is no such file."""
    file = folder / "rows.csv"
    if not file.exists():
        return []
    lines = csv.reader(file.read_text(encoding="utf-8").splitlines())
    if tuple(next(lines, ())) != COLUMNS:
        raise InputError(f"{file} holds another table; choose another folder.")
    try:
        return [_row(line) for line in lines]
    except (ValueError, IndexError) as error:
        raise InputError(f"{file} is damaged ({error}); choose another folder.") from error


def _row(line: list[str]) -> Row:
    kinds = [KINDS[str(f.type)] for f in fields(Case)]
    solver, checkpoint, seconds, *scores = line[len(kinds) :]
    case = Case(*(kind(word) for kind, word in zip(kinds, line, strict=False)))
    return Row(case, solver, checkpoint, float(seconds), dict(zip(SCORES, map(float, scores), strict=True)))


# --- what is read from it


def report(folder: Path) -> tuple[str, list[Path]]:
    """Write ``tables.md`` and the figures beside the rows; return the tables and every file."""
    rows = read_rows(folder)
    text = tables(rows)
    write_atomically(folder / "tables.md", [".md"], lambda partial: _write_text(partial, text))
    return text, [folder / "rows.csv", folder / "tables.md", *figures(rows, folder)]


def _write_text(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")


def tables(rows: Iterable[Row]) -> str:
    """Return Markdown: for each condition the mean SRE of every method ± its standard deviation, the best in bold."""
    rows = list(rows)
    methods = list(dict.fromkeys(r.method for r in rows))
    head = ("crystals", "specimen", "Å/px", "scan", "ratio", "counts", "n", *map(_label, methods))
    grouped: dict[tuple[str, ...], dict[tuple[str, str], list[float]]] = {}
    for r in sorted(rows, key=lambda r: _order(r.case)):
        c = r.case
        specimen = (", ".join(MAIN if c.crystal in MAIN else OTHER), "defective" if c.defective else "perfect")
        scan = (f"{10 * c.pixel_size_nm:.2f}", c.pattern, f"{c.ratio:.0%}", f"{c.counts:g}" if c.counts else "clean")
        grouped.setdefault((*specimen, *scan), {}).setdefault(r.method, []).append(r.scores["sre_db"])
    lines = [head, ("---",) * len(head)]
    for condition, scores in grouped.items():
        best = max(float(np.mean(values)) for values in scores.values())
        lines.append((*condition, str(max(map(len, scores.values()))), *(_cell(scores.get(m, []), best) for m in methods)))
    seconds = (np.mean([r.seconds for r in rows if r.method == m]) for m in methods)
    lines.append((*[""] * 6, "s", *(f"{t:.1f}" for t in seconds)))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _order(c: Case) -> tuple[Any, ...]:
    return (c.crystal in OTHER, c.pattern != "random", c.pattern, c.ratio != 0.25, c.ratio, c.counts, c.pixel_size_nm, c.defective)


def _label(method: tuple[str, str]) -> str:
    solver, checkpoint = method
    return f"{solver} ({checkpoint})" if checkpoint else solver


def _cell(values: list[float], best: float) -> str:
    if not values:
        return ""
    text = f"{np.mean(values):.1f} ± {np.std(values):.1f}"
    return f"**{text}**" if np.mean(values) == best else text


def figures(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Draw quality against pixel size, ratio and time; return the files. None where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return []
    rows, made = list(rows), []
    clean = [r for r in rows if (r.case.pattern, r.case.counts) == ("random", 0)]
    pictures: dict[str, tuple[list[Row], Callable[[Row], float], str]] = {
        "pixel_size": ([r for r in clean if r.case.ratio == 0.25], lambda r: r.case.pixel_size_nm, "Pixel size, nm"),
        "ratio": (clean, lambda r: r.case.ratio, "Ratio of measured positions"),
        "time": (rows, lambda r: 0.0, "Time of a reconstruction, s"),
    }
    for name, (chosen, key, label) in pictures.items():
        if not chosen or (name != "time" and len({key(r) for r in chosen}) == 1):
            continue
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.add_subplot()
        for method in dict.fromkeys(r.method for r in chosen):
            at: dict[float, list[Row]] = {}
            for r in chosen:
                if r.method == method:
                    at.setdefault(key(r), []).append(r)
            x = [np.mean([r.seconds for r in group]) for group in at.values()] if name == "time" else list(at)
            y = [np.mean([r.scores["sre_db"] for r in group]) for group in at.values()]
            order = np.argsort(x)
            axes.plot(np.array(x)[order], np.array(y)[order], "o-", label=_label(method))
        axes.set(xlabel=label, ylabel="SRE, dB (mean)", xscale="log" if name == "time" else "linear")
        axes.legend(fontsize="small")
        made.append(folder / f"{name}.png")
        figure.savefig(made[-1], dpi=150)
    return made
