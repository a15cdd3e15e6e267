"""The command ``stem-inpaint``. Its options are the fields of the parameter models; it computes nothing itself."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import __version__, commands
from .errors import SolverError, StemInpaintError, sentence
from .options import add_options, slug
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
from .simulation.presets import PRESETS
from .training_presets import PRESETS as TRAININGS

if TYPE_CHECKING:
    pass

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, 2 for bad input, 1 for a failed computation, 130 when interrupted."""
    from pydantic import ValidationError

    options = _parser().parse_args(arguments)
    commands.interrupted.clear()
    before = {kind: signal.signal(kind, commands.interrupt) for kind in (signal.SIGINT, signal.SIGTERM)}
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


class _Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong, without all the options before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"stem-inpaint: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("stem-inpaint", description="Simulate, subsample, reconstruct and judge STEM images.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    added = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str, *models: type[Params]) -> argparse.ArgumentParser:
        sub = added.add_parser(name, help=text, description=text)
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

    preset: dict[str, Any] = {"choices": [slug(name) for name in PRESETS], "metavar": "NAME"}
    names = ", ".join(preset["choices"])

    sub = command("simulate", commands.simulate, "simulate a frame of a crystal", SimulationParams)
    sub.add_argument("--preset", **preset, help=f"start from a ready-made specimen and microscope: {names}")
    sub.add_argument("--out", **out, help="frame to write (.tif, .npy)")
    sub.add_argument("--truth", type=Path, metavar="FILE", help="columns to write (.csv): position, elements, intensity, defect")

    sub = command("scan", commands.scan, "choose the positions to measure", ScanParams)
    sub.add_argument("--shape", type=int, nargs=2, metavar=("ROWS", "COLUMNS"), required=True, help="size of the frame, px")
    sub.add_argument("--pixel-size-nm", type=float, metavar="NM", help="scan step, to state the dose")
    for name in ("beam_current_pa", "response_time_us"):
        field = AcquisitionParams.model_fields[name]
        sub.add_argument("--" + name.replace("_", "-"), type=float, default=field.default, metavar="N", help=field.description)
    for kind in ("always", "never", "denser"):
        text = f"mask of a region that is {kind} measured" if kind != "denser" else "mask of a region that is measured more densely"
        sub.add_argument(f"--{kind}", type=Path, metavar="FILE", help=text)
    sub.add_argument("--out", **out, help="mask (.tif, .png, .npy) or positions in order (.csv) to write")

    sub = command("acquire", commands.acquire, "measure a frame at the positions of a scan", AcquisitionParams)
    sub.add_argument("frame", type=Path, help="frame file")
    sub.add_argument("--index", **index)
    sub.add_argument(
        "--preset", **preset, help="start from the movements and the detector of a ready-made experiment; names as in simulate"
    )
    sub.add_argument("--scan", type=Path, required=True, metavar="FILE", help="mask or positions")
    sub.add_argument("--out", **out, help="measurement to write (.tif)")

    sub = command("reconstruct", commands.reconstruct, "compute the positions that were not measured", ReconstructionParams)
    sub.add_argument("measurement", type=Path, nargs="+", help="file with the measured values; or several, or a folder of them")
    qualities = [slug(name) for name in QUALITIES]
    sub.add_argument("--quality", choices=qualities, metavar="NAME", help=f"how long it may take: {', '.join(qualities)} [balanced]")
    sub.add_argument("--index", **index)
    sub.add_argument("--mask", **mask)
    sub.add_argument("--reference", type=Path, metavar="FILE", help="true frame, to score against")
    sub.add_argument("--out", **out, help="reconstruction to write (.tif); a folder for the images of several files or of a stack")

    sub = command("evaluate", commands.evaluate, "score an image against its reference")
    sub.add_argument("image", type=Path, help="image file")
    sub.add_argument("--reference", type=Path, required=True, metavar="FILE", help="true frame")
    sub.add_argument("--mask", type=Path, metavar="FILE", help="mask or positions, to score the unmeasured part alone")

    sub = command("report", commands.report, "write one page on a reconstruction: images, spectra, scores, recipe", JudgeParams)
    sub.add_argument("result", type=Path, help="file that `reconstruct` wrote")
    sub.add_argument("--measurement", type=Path, required=True, metavar="FILE", help="what it was made from")
    sub.add_argument("--mask", **mask)
    sub.add_argument("--reference", type=Path, metavar="FILE", help="true frame, to score against")
    sub.add_argument("--out", **out, help="page to write (.pdf, .png)")

    sub = command("train", commands.train, "train a denoiser on simulated frames; the same command again resumes", TrainingParams)
    trainings = [slug(name) for name in TRAININGS]
    sub.add_argument("--preset", choices=trainings, metavar="NAME", help=f"start from a ready-made training: {', '.join(trainings)}")
    sub.add_argument("--out", **out, help="checkpoint to write (.safetensors)")

    sub = command("benchmark", commands.benchmark, "compare solvers on the fixed suite; the same command again goes on", BenchmarkParams)
    sub.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where rows.csv, tables.md and figures are written")

    sub = command("checkpoints", commands.checkpoints, "list the checkpoints; describe, add or remove one")
    sub.add_argument("words", nargs="*", metavar="show NAME | add FILE | remove NAME", help="nothing lists them; a name describes one")
    sub.add_argument("--name", default="", metavar="NAME", help="add: the nickname to add it under [that of the file]")
    sub.add_argument("--replace", action="store_true", help="add: replace your checkpoint of that name")

    sub = command("demo", commands.demo, "reconstruct the sample measurement in napari")
    sub.add_argument("--out", type=Path, default=Path("demo"), metavar="FOLDER", help="where pictures and files go without a window [demo]")
    sub.add_argument("--headless", action="store_true", help="close the window at the end and keep pictures of it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
