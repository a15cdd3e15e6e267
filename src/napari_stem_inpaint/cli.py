"""The command ``stem-inpaint``. Its options are the fields of the parameter models; it computes nothing itself."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, get_args, get_origin

from . import __version__
from .errors import InputError, SolverError, StemInpaintError, sentence
from .params import (
    AcquisitionParams,
    BenchmarkParams,
    JudgeParams,
    Params,
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
P = TypeVar("P", bound=Params)
T = TypeVar("T")
BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, 2 for bad input, 1 for a failed computation, 130 when interrupted."""
    from pydantic import ValidationError

    options = _parser().parse_args(arguments)
    _interrupted.clear()
    before = {kind: signal.signal(kind, _interrupt) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        options.run(options)
    except KeyboardInterrupt:
        print("stem-inpaint: stopped.", file=sys.stderr)
        return INTERRUPTED
    except (StemInpaintError, ValidationError, MemoryError) as error:
        print(f"stem-inpaint: {sentence(error)}", file=sys.stderr)
        return FAILED if isinstance(error, (SolverError, MemoryError)) else BAD_INPUT
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
    return 0


_interrupted = threading.Event()


def _interrupt(*_: object) -> None:
    _interrupted.set()
    raise KeyboardInterrupt


def _stoppable(steps: Iterable[T]) -> Iterator[T]:
    """Pass ``steps`` on; stop after one in which the interrupt was swallowed, as happens in callbacks from C."""
    for step in steps:
        yield step
        if _interrupted.is_set():
            raise KeyboardInterrupt


# --- options from the models


def add_options(parser: argparse.ArgumentParser, model: type[Params]) -> None:
    """Add an option for every field of ``model``, with its default, choices, unit and effect, under the titles of its groups."""
    titled: dict[str, Any] = {"": parser}
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        unit, group = (str(extra.get(key, "")) if isinstance(extra, dict) else "" for key in ("unit", "group"))
        if group not in titled:
            titled[group] = parser.add_argument_group(group)
        default = " ".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
        text = f"{field.description} [{default}{' ' + unit if unit else ''}]".replace("%", "%%")
        keywords: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": text}
        kind: Any = field.annotation
        if kind is bool:
            keywords["action"] = argparse.BooleanOptionalAction
        elif get_origin(kind) is Literal:
            keywords["choices"] = get_args(kind)
        elif get_origin(kind) is tuple:
            keywords |= {"nargs": len(get_args(kind)), "type": int, "metavar": ("ROWS", "COLUMNS")}
        else:
            keywords |= {"type": kind, "metavar": unit or kind.__name__.upper() if kind is not str else "NAME"}
        titled[group].add_argument("--" + name.replace("_", "-"), **keywords)


def collect(options: argparse.Namespace, model: type[P], base: P | None = None) -> P:
    """Build ``model`` from the options that were given; the others are those of ``base``, or the model's defaults."""
    given = {k: v for k, v in vars(options).items() if k in model.model_fields}
    return model.model_validate({**(base.model_dump() if base else {}), **given})


class _Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong, without all the options before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"stem-inpaint: {message}; see {self.prog} --help\n")


def _preset(options: argparse.Namespace) -> Preset:
    return {_slug(name): preset for name, preset in PRESETS.items()}.get(options.preset) or Preset()


def _slug(name: str) -> str:
    return name.partition(":")[0].lower().replace(",", "").replace(" ", "-")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("stem-inpaint", description="Simulate, subsample, reconstruct and judge STEM images.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str, *models: type[Params]) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        for model in models:
            add_options(sub, model)
        return sub

    out: dict[str, Any] = {"type": Path, "required": True, "metavar": "FILE"}
    mask: dict[str, Any] = {
        "type": Path,
        "metavar": "FILE|nan|zero",
        "help": "mask or positions, or what unmeasured pixels hold; needed unless `acquire` wrote the measurement",
    }
    index: dict[str, Any] = {"type": int, "metavar": "N", "help": "which image of a file that holds several, from 0"}

    preset: dict[str, Any] = {"choices": [_slug(name) for name in PRESETS], "metavar": "NAME"}
    names = ", ".join(preset["choices"])

    sub = command("simulate", _simulate, "simulate a frame of a crystal", SimulationParams)
    sub.add_argument("--preset", **preset, help=f"start from a ready-made specimen and microscope: {names}")
    sub.add_argument("--out", **out, help="frame to write (.tif, .npy)")
    sub.add_argument("--truth", type=Path, metavar="FILE", help="columns to write (.csv): position, elements, intensity, defect")

    sub = command("scan", _scan, "choose the positions to measure", ScanParams)
    sub.add_argument("--shape", type=int, nargs=2, metavar=("ROWS", "COLUMNS"), required=True, help="size of the frame, px")
    sub.add_argument("--pixel-size-nm", type=float, metavar="NM", help="scan step, to state the dose")
    for name in ("beam_current_pa", "response_time_us"):
        field = AcquisitionParams.model_fields[name]
        sub.add_argument("--" + name.replace("_", "-"), type=float, default=field.default, metavar="N", help=field.description)
    for kind in ("always", "never", "denser"):
        text = f"mask of a region that is {kind} measured" if kind != "denser" else "mask of a region that is measured more densely"
        sub.add_argument(f"--{kind}", type=Path, metavar="FILE", help=text)
    sub.add_argument("--out", **out, help="mask (.tif, .png, .npy) or positions in order (.csv) to write")

    sub = command("acquire", _acquire, "measure a frame at the positions of a scan", AcquisitionParams)
    sub.add_argument("frame", type=Path, help="frame file")
    sub.add_argument("--index", **index)
    sub.add_argument(
        "--preset", **preset, help="start from the movements and the detector of a ready-made experiment; names as in simulate"
    )
    sub.add_argument("--scan", type=Path, required=True, metavar="FILE", help="mask or positions")
    sub.add_argument("--out", **out, help="measurement to write (.tif)")

    sub = command("reconstruct", _reconstruct, "compute the positions that were not measured", ReconstructionParams)
    sub.add_argument("measurement", type=Path, nargs="+", help="file with the measured values; or several, or a folder of them")
    qualities = [_slug(name) for name in QUALITIES]
    sub.add_argument("--quality", choices=qualities, metavar="NAME", help=f"how long it may take: {', '.join(qualities)} [balanced]")
    sub.add_argument("--index", **index)
    sub.add_argument("--mask", **mask)
    sub.add_argument("--reference", type=Path, metavar="FILE", help="true frame, to score against")
    sub.add_argument("--out", **out, help="reconstruction to write (.tif); a folder for the images of several files or of a stack")

    sub = command("evaluate", _evaluate, "score an image against its reference")
    sub.add_argument("image", type=Path, help="image file")
    sub.add_argument("--reference", type=Path, required=True, metavar="FILE", help="true frame")
    sub.add_argument("--mask", type=Path, metavar="FILE", help="mask or positions, to score the unmeasured part alone")

    sub = command("report", _report, "write one page on a reconstruction: images, spectra, scores, recipe", JudgeParams)
    sub.add_argument("result", type=Path, help="file that `reconstruct` wrote")
    sub.add_argument("--measurement", type=Path, required=True, metavar="FILE", help="what it was made from")
    sub.add_argument("--mask", **mask)
    sub.add_argument("--reference", type=Path, metavar="FILE", help="true frame, to score against")
    sub.add_argument("--out", **out, help="page to write (.pdf, .png)")

    sub = command("train", _train, "train a denoiser on simulated frames; the same command again resumes", TrainingParams)
    trainings = [_slug(name) for name in TRAININGS]
    sub.add_argument("--preset", choices=trainings, metavar="NAME", help=f"start from a ready-made training: {', '.join(trainings)}")
    sub.add_argument("--out", **out, help="checkpoint to write (.safetensors)")

    sub = command("benchmark", _benchmark, "compare solvers on the fixed suite; the same command again goes on", BenchmarkParams)
    sub.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where rows.csv, tables.md and figures are written")

    sub = command("checkpoints", _checkpoints, "list the checkpoints; describe, add or remove one")
    sub.add_argument("words", nargs="*", metavar="show NAME | add FILE | remove NAME", help="nothing lists them; a name describes one")
    sub.add_argument("--name", default="", metavar="NAME", help="add: the nickname to add it under [that of the file]")
    sub.add_argument("--replace", action="store_true", help="add: replace your checkpoint of that name")

    sub = command("demo", _demo, "reconstruct the sample measurement in napari")
    sub.add_argument("--out", type=Path, default=Path("demo"), metavar="FOLDER", help="where pictures and files go without a window [demo]")
    sub.add_argument("--headless", action="store_true", help="close the window at the end and keep pictures of it")
    return parser


# --- the commands


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


def _simulate(options: argparse.Namespace) -> None:
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


def _scan(options: argparse.Namespace) -> None:
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


def _acquire(options: argparse.Namespace) -> None:
    from .io import read_scan, write_measurement
    from .simulation.acquisition import acquire

    params = collect(options, AcquisitionParams, _preset(options).acquisition)
    _check_out(options.out, ".tif", ".tiff")
    frame = _one_frame(options.frame, options.index, BY_INDEX)
    write_measurement(options.out, acquire(frame, read_scan(options.scan, frame.shape), params))


def _reconstruct(options: argparse.Namespace) -> None:
    params = collect(options, ReconstructionParams, {_slug(name): quality for name, quality in QUALITIES.items()}.get(options.quality))
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


def _evaluate(options: argparse.Namespace) -> None:
    from .io import read_scan
    from .metrics import evaluate

    frame = _one_frame(options.image)
    mask = None if options.mask is None else read_scan(options.mask, frame.shape).mask
    _print_scores(evaluate(frame.image, reference=_one_frame(options.reference).image, mask=mask))


def _report(options: argparse.Namespace) -> None:
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


def _train(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    params = collect(options, TrainingParams, {_slug(name): training for name, training in TRAININGS.items()}.get(options.preset))

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


def _benchmark(options: argparse.Namespace) -> None:
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


def _checkpoints(options: argparse.Namespace) -> None:
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


def _demo(options: argparse.Namespace) -> None:
    from .gui.demo import run_demo

    _print_scores(run_demo(options.out, options.headless))


if __name__ == "__main__":
    sys.exit(main())
