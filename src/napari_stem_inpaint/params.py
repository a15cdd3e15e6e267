"""Every number a user can set, once: default, range, unit and one-line effect.

The command line, the widgets, validation and the recipes all derive from these models. The fields' ``unit`` stands in
``json_schema_extra``; 0 stands for "off" or "automatic" where the description says so.
"""

# No "from __future__ import annotations" here: magicgui has to see real types.
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

CrystalName = Literal["SrTiO3", "Si"]
PatternName = Literal["random", "line-hop"]
SolverName = Literal["hqs", "gp", "irls", "cubic"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Side = Annotated[int, Field(ge=8, le=8192)]


def _field(default: Any, effect: str, unit: str = "", **limits: Any) -> Any:
    return Field(default, description=effect, json_schema_extra={"unit": unit}, **limits)


class Params(BaseModel):
    """Base of the parameter models: frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SimulationParams(Params):
    """A simulated HAADF frame of a crystal."""

    crystal: CrystalName = _field("SrTiO3", "Crystal and zone axis: SrTiO3 [001] or Si [110].")
    shape: tuple[Side, Side] = _field((256, 256), "Rows and columns of the frame.", "px")
    pixel_size_nm: float = _field(0.02, "Scan step; decides how hard the reconstruction is.", "nm", ge=0.002, le=0.1)
    energy_kev: float = _field(200.0, "Beam energy; higher resolves more.", "keV", ge=20, le=1000)
    semi_angle_mrad: float = _field(25.0, "Probe semi-angle; larger resolves more.", "mrad", ge=2, le=60)
    source_size_nm: float = _field(0.07, "Effective source size (FWHM); larger blurs.", "nm", ge=0, le=0.5)
    z_exponent: float = _field(1.7, "Column intensity grows as atomic number to this power.", "", ge=1, le=2)
    rotation_deg: float = _field(0.0, "In-plane rotation of the crystal.", "deg", ge=-180, le=180)
    vacancies: float = _field(0.0, "Fraction of the columns that is missing.", "", ge=0, le=0.5)
    intensity_scatter: float = _field(0.0, "Relative standard deviation of the column intensities.", "", ge=0, le=0.5)
    displacement_nm: float = _field(0.0, "Standard deviation of random column displacements.", "nm", ge=0, le=0.05)
    seed: int = _field(0, "Chooses the crystal's position under the frame and every random defect.", "", ge=0, le=2**31 - 1)


class ScanParams(Params):
    """Which probe positions are measured, and in which order."""

    pattern: PatternName = _field("random", "How the measured positions are chosen.")
    ratio: float = _field(0.25, "Measured positions / all positions.", "", gt=0, le=1)
    hop: int = _field(1, "Line-hop: largest row change between neighbouring columns.", "px", ge=1, le=32)
    dwell_time_us: float = _field(10.0, "Time at each position.", "µs", gt=0, le=1e6)
    seed: int = _field(0, "Chooses the random positions.", "", ge=0, le=2**31 - 1)


class AcquisitionParams(Params):
    """What the detector makes of the frame at the scanned positions."""

    dose_e_per_px: float = _field(
        0.0, "Electrons detected at the frame's brightest position, with Poisson noise; 0 = noise-free.", "e⁻/px", ge=0, le=1e9
    )
    seed: int = _field(0, "Chooses the noise.", "", ge=0, le=2**31 - 1)


class ReconstructionParams(Params):
    """How the unmeasured positions are computed."""

    solver: SolverName = _field(
        "hqs", "hqs: Plug-and-Play with the denoiser; gp: Gaussian process; irls: few Fourier coefficients; cubic: interpolation."
    )
    checkpoint: str = _field("stem-tiny", "Denoiser: name of an installed checkpoint, or a .safetensors file.")
    start: Literal["auto", "gp", "irls"] = _field("auto", "First image; auto takes the one that predicts withheld measurements better.")
    iterations: int = _field(24, "Plug-and-Play steps at most; fewer are kept where withheld measurements say so.", "", ge=1, le=1000)
    data_step: Literal["krige", "replace"] = _field(
        "krige", "krige: a measurement corrects its neighbourhood too; replace: only its own pixel."
    )
    equivariant: bool = _field(True, "Denoise randomly turned, mirrored and shifted copies, so that no direction is preferred.")
    sigma_start: float = _field(0.2, "First denoising strength, relative to the intensity range.", "", ge=5e-5, le=0.5)
    sigma_end: float = _field(1e-4, "Last denoising strength; never below the measurement's own noise.", "", ge=5e-5, le=0.5)
    noise: Literal["auto", "none", "estimate"] = _field(
        "auto", "none: measured values are exact; estimate: they are noisy; auto: as the measurement says, else estimate."
    )
    withheld: float = _field(0.03, "Fraction of the measurements withheld to choose between starts and steps.", "", ge=0.01, le=0.5)
    seed: int = _field(0, "Chooses withheld positions and transformations.", "", ge=0, le=2**31 - 1)
    device: Device = _field("auto", "Where to compute; auto takes the GPU where there is one.")


class TrainingParams(Params):
    """How a denoiser is trained on simulated frames."""

    size: Literal["tiny", "base"] = _field("tiny", "Network size: about 1 or 4 million weights.")
    steps: int = _field(20000, "Training steps in all; the learning rate decays to zero over them.", "", ge=1, le=10**8)
    minutes: float = _field(0.0, "Time budget that overrides steps as the schedule's end; 0 = none.", "min", ge=0, le=10**5)
    batch: int = _field(16, "Patches per step.", "", ge=1, le=1024)
    patch_px: int = _field(64, "Side of a training patch.", "px", ge=32, le=512, multiple_of=8)
    learning_rate: float = _field(1e-3, "Largest step size of the optimiser.", "", gt=0, le=0.1)
    sigma_min: float = _field(5e-5, "Smallest noise level trained, relative to the intensity range.", "", gt=0, le=0.1)
    sigma_max: float = _field(0.5, "Largest noise level trained, relative to the intensity range.", "", gt=0, le=2)
    ema_decay: float = _field(0.999, "Weight averaging: share of the old average kept at each step.", "", ge=0, lt=1)
    save_every_s: float = _field(60.0, "Time between checkpoints.", "s", gt=0, le=10**5)
    precision: Literal["auto", "float32", "bfloat16"] = _field(
        "auto", "Arithmetic of the training steps; auto takes bfloat16 where the processor has it. Weights stay float32."
    )
    seed: int = _field(0, "Chooses the first weights and every training patch.", "", ge=0, le=2**31 - 1)
    device: Device = _field("auto", "Where to compute; auto takes the GPU where there is one.")
