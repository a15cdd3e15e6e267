"""What each command of ``stem-inpaint`` does with its options. It computes nothing itself."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import InputError, SolverError
from .options import collect, slug
from .params import (
    AcquisitionParams,
    BenchmarkParams,
    JudgeParams,
    ReconstructionParams,
    ScanParams,
    SimulationParams,
    TrainingParams,
)
from .reconstruction_presets import QUALITIES
from .simulation.presets import PRESETS, Preset
from .training_presets import PRESETS as TRAININGS

if TYPE_CHECKING:
    from .frames import Frame, Measurement

ALONE = "save the one that is meant in a file of its own"
BY_INDEX = "choose one with --index N, counted from 0"
T = TypeVar("T")

interrupted = threading.Event()


def interrupt(*_: object) -> None:
    """Stop the command; even where a callback from C swallows what is raised."""
    interrupted.set()
    raise KeyboardInterrupt


def _stoppable(steps: Iterable[T]) -> Iterator[T]:
    """Pass ``steps`` on; stop after one in which the interrupt was swallowed, as happens in callbacks from C."""
    for step in steps:
        yield step
        if interrupted.is_set():
            raise KeyboardInterrupt


def _preset(options: argparse.Namespace) -> Preset:
    return {slug(name): preset for name, preset in PRESETS.items()}.get(options.preset) or Preset()


def _check_out(path: Path, *suffixes: str, option: str = "--out") -> None:
    """Refuse before computing what could not be written after."""
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{option} must end in {' or '.join(suffixes)}, but it is {path.name!r}.")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist; make it first.")


def _one_frame(path: Path, index: int | None = None, choose: str = ALONE) -> Frame:
    from .io import read

    frames = read(path)
    if index is None and len(frames) > 1:
        raise InputError(f"{path.name} holds {len(frames)} images; {choose}.")
    if not 0 <= (index or 0) < len(frames):
        raise InputError(f"{path.name} holds {len(frames)} images, so --index must be 0…{len(frames) - 1}, but it is {index}.")
    return frames[index or 0]


def _measurement(path: Path, mask: Path | None, index: int | None = None, choose: str = ALONE) -> Measurement:
    from .io import read_measurement
    from .io.measurements import SeveralImages

    try:
        return read_measurement(path, mask, index)
    except SeveralImages as error:
        raise InputError(f"{path.name} holds several images; {choose}.") from error


def simulate(options: argparse.Namespace) -> None:
    from .io import write_columns, write_frame
    from .simulation.imaging import simulate

    params = collect(options, SimulationParams, _preset(options).simulation)
    _check_out(options.out, ".tif", ".tiff", ".npy")
    if options.truth:
        _check_out(options.truth, ".csv", option="--truth")
    frame = simulate(params)
    for remark in frame.metadata["remarks"]:
        print(f"stem-inpaint: {remark}", file=sys.stderr)
    if options.truth:
        if frame.columns is None:
            raise InputError("A surface has no atomic columns, so there is no truth to write; leave --truth out.")
        write_columns(options.truth, frame.columns)
    write_frame(options.out, frame)


def scan(options: argparse.Namespace) -> None:
    from .frames import as_pixel_size
    from .io import read_scan, write_scan
    from .scan_regions import Regions
    from .scan_report import scan_statistics
    from .scans import make_scan

    _check_out(options.out, ".tif", ".tiff", ".png", ".npy", ".csv")
    params = collect(options, ScanParams)
    hardware = AcquisitionParams(beam_current_pa=options.beam_current_pa, response_time_us=options.response_time_us)
    pixel = None if options.pixel_size_nm is None else as_pixel_size(options.pixel_size_nm)
    shape = (options.shape[0], options.shape[1])
    drawn = {kind: read_scan(file, shape).mask for kind in ("always", "never", "denser") if (file := getattr(options, kind))}
    scan = make_scan(shape, params, Regions(**drawn) if drawn else None)
    write_scan(options.out, scan)
    statistics = scan_statistics(
        scan,
        pixel_size_nm=pixel,
        beam_current_pa=hardware.beam_current_pa,
        response_time_us=hardware.response_time_us,
        wanted_ratio=None if drawn or params.pattern == "list" else params.ratio,
    )
    print("\n".join(statistics.lines()))


def acquire(options: argparse.Namespace) -> None:
    from .io import read_scan, write_measurement
    from .simulation.acquisition import acquire

    params = collect(options, AcquisitionParams, _preset(options).acquisition)
    _check_out(options.out, ".tif", ".tiff")
    frame = _one_frame(options.frame, options.index, BY_INDEX)
    write_measurement(options.out, acquire(frame, read_scan(options.scan, frame.shape), params))


def reconstruct(options: argparse.Namespace) -> None:
    params = collect(options, ReconstructionParams, {slug(name): quality for name, quality in QUALITIES.items()}.get(options.quality))
    (first, *others) = options.measurement
    if others or first.is_dir() or not options.out.suffix:
        _reconstruct_each(options, params)
    else:
        _reconstruct_one(options, params, first)


def _reconstruct_one(options: argparse.Namespace, params: ReconstructionParams, file: Path) -> None:
    from tqdm import tqdm

    from .io import write_reconstruction

    _check_out(options.out, ".tif", ".tiff")
    measurement = _measurement(file, options.mask, options.index, f"{BY_INDEX}, or give a folder as --out for all of them")
    reference = None if options.reference is None else _one_frame(options.reference)

    from .reconstruction import finish, iterate

    with tqdm(disable=None, bar_format="{l_bar}{bar}| {postfix}") as bar:
        for last in _stoppable(iterate(measurement, params, reference=reference)):
            bar.total = last.total
            sre = f", SRE {last.scores['sre_db']:.2f} dB" if last.scores else ""
            bar.set_postfix_str(f"{last.stage}{sre}", refresh=False)
            bar.update(last.index - bar.n)
    for remark in last.remarks:
        print(f"stem-inpaint: {remark}", file=sys.stderr)
    result = finish(measurement, params, last, reference=reference)
    write_reconstruction(options.out, result)
    print(last.stage)
    _print_scores(result.scores)


def _reconstruct_each(options: argparse.Namespace, params: ReconstructionParams) -> None:
    from tqdm import tqdm

    from .batch import Done, items_of, reconstruct_each

    for name in ("index", "reference"):
        if getattr(options, name) is not None:
            raise InputError(f"--{name} is for a single image, but several were asked for; leave it out.")
    if options.out.suffix:
        raise InputError(f"The results of several images go into a folder, but --out is {options.out.name!r}; give one without an ending.")
    items = items_of(options.measurement, options.mask)
    failed = 0
    with tqdm(total=len(items), disable=None, bar_format="{l_bar}{bar}| {n:.1f}/{total} {postfix}") as bar:
        done = 0
        for step in _stoppable(reconstruct_each(items, params, options.out)):
            if isinstance(step, Done):
                done, failed = done + 1, failed + bool(step.failure)
                outcome = step.failure or ("there already" if step.result is None else step.result.recipe["outcome"])
                bar.write(f"{step.name}: {outcome}", file=sys.stderr if step.failure else sys.stdout)
                bar.update(done - bar.n)
            else:
                bar.set_postfix_str(f"{items[done].name}: {step.stage}", refresh=False)
                bar.update(done + step.index / step.total - bar.n)
    if failed:
        raise SolverError(f"{failed} of {len(items)} images failed, see above; the same command again does only those.")


def evaluate(options: argparse.Namespace) -> None:
    from .io import read_scan
    from .metrics import evaluate

    frame = _one_frame(options.image)
    mask = None if options.mask is None else read_scan(options.mask, frame.shape).mask
    _print_scores(evaluate(frame.image, reference=_one_frame(options.reference).image, mask=mask))


def report(options: argparse.Namespace) -> None:
    from .frames import Reconstruction
    from .judge import write_report

    _check_out(options.out, ".pdf", ".png")
    frame = _one_frame(options.result)
    recipe = frame.metadata.get("recipe")
    if not recipe:
        raise InputError(f"{options.result.name} is no reconstruction: it holds no recipe; name the file that `reconstruct` wrote.")
    measurement = _measurement(options.measurement, options.mask)
    reference = None if options.reference is None else _one_frame(options.reference).image
    result = Reconstruction(frame.image, frame.pixel_size_nm, frame.name, recipe, {})
    write_report(options.out, result, measurement, collect(options, JudgeParams), reference)


def _print_scores(scores: Any) -> None:
    for name, value in scores.items():
        print(f"{name:22} {value:.4f}")


def train(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    params = collect(options, TrainingParams, {slug(name): training for name, training in TRAININGS.items()}.get(options.preset))

    from .denoisers.cards import read_card
    from .training import train

    smooth = 0.0
    with tqdm(total=100, disable=None, bar_format="{l_bar}{bar}| {elapsed}<{remaining} {postfix}") as bar:
        steps = train(params, options.out)
        try:
            for n, step in enumerate(_stoppable(steps)):
                smooth = step.loss if n == 0 else 0.99 * smooth + 0.01 * step.loss
                news = f"step {step.index}, error left {smooth:.2f} dB, {step.patches_per_s:.0f} patches/s, data {step.data_share:.0%}"
                bar.set_postfix_str(news, refresh=False)
                bar.update(100 * step.progress - bar.n)
                if step.psnr_gain_db:
                    news = f"step {step.index}, {_in_a_row(step.psnr_gain_db, params.task)}"
                    bar.write(news + " (best so far)" * step.best, file=sys.stderr)
        finally:
            steps.close()
    print(f"{options.out}: {_in_a_row(read_card(options.out).psnr_gain_db, params.task)}")
    option = "--checkpoint" if params.task == "denoise" else "--inpainter"
    print(f"Use it with {option} {options.out}, or keep it by a name: stem-inpaint checkpoints add {options.out}")


def benchmark(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    params = collect(options, BenchmarkParams)

    from . import benchmark

    with tqdm(total=100, disable=None, bar_format="{l_bar}{bar}| {elapsed}<{remaining} {postfix}") as bar:
        for row, share in _stoppable(benchmark.run(params, options.out)):
            bar.set_postfix_str(f"{row.solver} {row.scores['sre_db']:.1f} dB", refresh=False)
            bar.update(100 * share - bar.n)
    text, files = benchmark.report(options.out)
    print(text, *files, sep="\n")


def _in_a_row(gains: Mapping[str, float], task: str) -> str:
    from .denoisers.cards import GAINS_BY

    return f"PSNR gain in dB by {GAINS_BY[task]} " + ", ".join(f"{key}: {gain:.1f}" for key, gain in gains.items())


def checkpoints(options: argparse.Namespace) -> None:
    from .denoisers import registry

    match options.words:
        case []:
            for one in registry.known():
                size = f"{one.path.stat().st_size / 2**20:.1f} MiB, " if one.path else ""
                print(f"{one.name} ({size}{one.origin}): {one.summary()}")
        case ["add", file]:
            print(registry.add(Path(file), options.name, options.replace))
        case ["remove", name]:
            registry.remove(name)
        case ["show", name] | [name]:
            _describe(name)
        case words:
            raise InputError(f"`checkpoints` takes nothing, a name, `show NAME`, `add FILE` or `remove NAME`, but got {' '.join(words)!r}.")


def _describe(name: str | Path) -> None:
    from .denoisers.registry import load_any

    denoiser = load_any(str(name))  # a card is worth what its weights are
    print(denoiser.card.model_dump_json(indent=2))
    print(f"sha256 {denoiser.sha256 or 'none'}")


def demo(options: argparse.Namespace) -> None:
    from .gui.demo import run_demo

    _print_scores(run_demo(options.out, options.headless))
