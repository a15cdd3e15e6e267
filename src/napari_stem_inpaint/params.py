"""Every number a user can set, once: default, range, unit and one-line effect.

The command line, the widgets, validation and the recipes all derive from these models. The fields' ``unit`` stands in
``json_schema_extra``; 0 stands for "off" or "automatic" where the description says so.
"""

# No "from __future__ import annotations" here: magicgui has to see real types.
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

CrystalName = Literal[
    "SrTiO3", "BaTiO3", "PbTiO3", "LaAlO3", "MgO", "TiO2", "CeO2", "Si", "Ge", "GaAs", "GaN",
    "Au", "Al", "Pt", "Cu", "Fe", "MoS2", "WS2", "graphene", "hBN",
]  # fmt: skip
SceneName = Literal[
    "crystal", "edge", "nanoparticle", "twin", "grain-boundary", "dislocation", "interface", "isolated-atoms", "amorphous", "surface",
]  # fmt: skip
PatternName = Literal[
    "random", "line-hop", "jittered-grid", "blue-noise", "interleaved-rows", "random-rows", "grid",
    "spiral", "fermat-spiral", "lissajous", "list",
]  # fmt: skip
SolverName = Literal[
    "apgd", "hqs", "pgd", "admm", "drs", "red", "one-pass", "fire", "gp", "irls", "tv", "wavelet", "dct", "dictionary",
    "nearest", "linear", "cubic", "biharmonic",
]  # fmt: skip
PLUG_AND_PLAY: tuple[SolverName, ...] = ("apgd", "hqs", "pgd", "admm", "drs", "red")  # those with a denoiser
ONE_PASS: tuple[SolverName, ...] = ("one-pass", "fire")  # those with a one-pass network
INTERPOLATIONS: tuple[SolverName, ...] = ("nearest", "linear", "cubic", "biharmonic")  # those that take the measurements as they are
Device = Literal["auto", "cpu", "cuda", "mps"]
Side = Annotated[int, Field(ge=8, le=8192)]
Seed: dict[str, Any] = {"ge": 0, "le": 2**31 - 1}


def _field(default: Any, effect: str, unit: str = "", group: str = "", drag: tuple[float, ...] = (), **limits: Any) -> Any:
    """``drag``: what a slider spans, where that is not all that is allowed."""
    return Field(default, description=effect, json_schema_extra={"unit": unit, "group": group, "drag": list(drag)}, **limits)


def _aberration(effect: str, drag: float) -> Any:
    return _field(0.0, effect, "Å", "Aberrations", (-drag, drag), ge=-1e9, le=1e9)


def _azimuth(coefficient: str) -> Any:
    return _field(0.0, f"Azimuth of {coefficient}.", "rad", "Aberrations", ge=-6.3, le=6.3)


class Params(BaseModel):
    """Base of the parameter models: frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SimulationParams(Params):
    """A simulated frame: a crystal, what is done to it, and the microscope that looks at it.

    The aberration coefficients have abTEM's names, units (Å, rad) and signs: ``C10`` is minus the defocus.
    """

    crystal: CrystalName = _field("SrTiO3", "The crystal.", group="Crystal")
    cif: str = _field("", "A CIF file to take the crystal from, instead of the built-in ones.", group="Crystal")
    zone_axis: str = _field("", "Direction of the beam, such as 001 or 1 -1 0; empty = the crystal's usual one.", group="Crystal")
    thickness_nm: float = _field(10.0, "Thickness along the beam; single layers stay single layers.", "nm", "Crystal", gt=0, le=200)
    rotation_deg: float = _field(0.0, "In-plane rotation of the crystal.", "deg", "Crystal", ge=-180, le=180)

    scene: SceneName = _field("crystal", "What the crystal is part of.", group="Scene")
    vacancies: float = _field(0.0, "Fraction of the columns that is missing.", "", "Scene", ge=0, le=0.9)
    dopants: float = _field(0.0, "Fraction of the columns whose main element is replaced.", "", "Scene", ge=0, le=0.9)
    dopant: str = _field("La", "The element that replaces it.", group="Scene")
    intensity_scatter: float = _field(0.0, "Relative standard deviation of the column intensities.", "", "Scene", ge=0, le=0.5)
    displacement_nm: float = _field(0.0, "Standard deviation of random column displacements.", "nm", "Scene", ge=0, le=0.05)
    strain: float = _field(0.0, "Largest local strain of a smooth displacement field.", "", "Scene", ge=0, le=0.2)
    contamination_nm: float = _field(0.0, "Thickness of an amorphous carbon film on top.", "nm", "Scene", ge=0, le=50)
    second_crystal: CrystalName = _field("BaTiO3", "Interface: the crystal on the other side.", group="Scene")
    misorientation_deg: float = _field(12.0, "Grain boundary: rotation from one grain to the other.", "deg", "Scene", ge=-180, le=180)
    particle_nm: float = _field(3.0, "Nanoparticle: its diameter.", "nm", "Scene", ge=0.3, le=500)

    shape: tuple[Side, Side] = _field((256, 256), "Rows and columns of the frame.", "px", "Frame")
    pixel_size_nm: float = _field(0.02, "Scan step; decides how hard the reconstruction is.", "nm", "Frame", ge=0.002, le=1)
    contrast: Literal["haadf", "abf"] = _field("haadf", "haadf: bright columns; abf: dark columns, light elements visible.", group="Frame")
    z_exponent: float = _field(1.76, "HAADF: an atom's intensity grows as its atomic number to this power.", "", "Frame", ge=1, le=2)
    engine: Literal["convolution", "multislice"] = _field(
        "convolution", "convolution: milliseconds; multislice: abTEM, where it is installed, in minutes to days.", group="Frame"
    )
    seed: int = _field(0, "Chooses the crystal's position under the frame and everything random.", "", "Frame", **Seed)

    energy_kev: float = _field(200.0, "Beam energy; higher resolves more.", "keV", "Probe", ge=20, le=1000)
    semi_angle_mrad: float = _field(25.0, "Probe semi-angle; larger resolves more.", "mrad", "Probe", ge=2, le=60)
    source_size_nm: float = _field(0.07, "Effective source size (FWHM); larger blurs.", "nm", "Probe", ge=0, le=0.5)
    focal_spread_nm: float = _field(0.0, "Standard deviation of the defocus by chromatic aberration.", "nm", "Probe", ge=0, le=50)

    C10: float = _aberration("Minus the defocus.", 1e3)
    C12: float = _aberration("Twofold astigmatism.", 1e3)
    phi12: float = _azimuth("C12")
    C21: float = _aberration("Axial coma.", 1e5)
    phi21: float = _azimuth("C21")
    C23: float = _aberration("Threefold astigmatism.", 1e5)
    phi23: float = _azimuth("C23")
    C30: float = _aberration("Spherical aberration.", 5e6)
    C32: float = _aberration("Star aberration of third order.", 5e6)
    phi32: float = _azimuth("C32")
    C34: float = _aberration("Fourfold astigmatism.", 5e6)
    phi34: float = _azimuth("C34")
    C41: float = _aberration("Coma of fourth order.", 1e8)
    phi41: float = _azimuth("C41")
    C43: float = _aberration("Three-lobe aberration.", 1e8)
    phi43: float = _azimuth("C43")
    C45: float = _aberration("Fivefold astigmatism.", 1e8)
    phi45: float = _azimuth("C45")
    C50: float = _aberration("Spherical aberration of fifth order.", 1e9)
    C52: float = _aberration("Star aberration of fifth order.", 1e9)
    phi52: float = _azimuth("C52")
    C54: float = _aberration("Rosette aberration.", 1e9)
    phi54: float = _azimuth("C54")
    C56: float = _aberration("Sixfold astigmatism.", 1e9)
    phi56: float = _azimuth("C56")


class ScanParams(Params):
    """Which probe positions are measured, in which order, and when."""

    pattern: PatternName = _field("random", "How the measured positions are chosen.")
    ratio: float = _field(0.25, "Measured positions / all positions.", "", gt=0, le=1)
    border: bool = _field(
        False, "Measure the outermost rows and columns too, and thin out the rest for it: nothing is extrapolated, and borders are sound."
    )
    hop: int = _field(1, "Line-hop: largest row change between neighbouring columns.", "px", ge=1, le=32)
    positions: str = _field("", "List: the CSV file of positions (row,column) in order.")
    densify: float = _field(2.0, "In regions drawn as denser: how many times as many positions.", "", ge=1, le=100)
    visits: int = _field(1, "How often the whole pattern is gone through.", "", ge=1, le=1000)
    dwell_time_us: float = _field(10.0, "Time at each position.", "µs", gt=0, le=1e6)
    flyback_time_us: float = _field(0.0, "Wait after each return to the start of a row.", "µs", ge=0, le=1e6)
    settling_time_us: float = _field(0.0, "Wait after each other jump beyond the neighbouring position.", "µs", ge=0, le=1e6)
    seed: int = _field(0, "Chooses the random positions.", "", **Seed)


class AcquisitionParams(Params):
    """What the microscope makes of the specimen at the scanned positions: movements in time order, then the detector.

    Every effect is off by default and has a random stream of its own.
    """

    dose_e_per_px: float = _field(
        0.0,
        "Electrons detected at the frame's brightest position, with Poisson noise; 0 = noise-free.",
        "e⁻/px",
        "Detector",
        (0, 1e4),
        ge=0,
        le=1e9,
    )
    readout_noise_e: float = _field(0.0, "Standard deviation of the amplifier's noise, in electrons.", "e⁻", "Detector", ge=0, le=1e6)
    afterglow: float = _field(0.0, "Part of each reading's signal that arrives later.", "", "Detector", ge=0, le=0.9)
    afterglow_time_us: float = _field(20.0, "Time in which the late signal decays to 1/e.", "µs", "Detector", gt=0, le=1e6)
    bits: Literal[0, 8, 12, 16] = _field(0, "Digitisation; 0 = none, and gain and offset without effect.", "", "Detector")
    gain: float = _field(
        0.0,
        "Digital counts per electron; 0: the frame's brightest position fills four fifths above the offset.",
        "",
        "Detector",
        ge=0,
        le=1e6,
    )
    offset_counts: float = _field(0.0, "Digital counts without any electron, as room for the noise.", "", "Detector", ge=0, le=65535)
    drift_nm_per_s: float = _field(0.0, "Speed at which the specimen drifts.", "nm/s", "Movement", ge=0, le=1000)
    drift_direction_deg: float = _field(0.0, "Where the specimen goes: 0 = right, 90 = up.", "deg", "Movement", ge=-360, le=360)
    wander_nm: float = _field(0.0, "Random walk of the specimen: its standard deviation after a second.", "nm", "Movement", ge=0, le=100)
    row_jitter_nm: float = _field(0.0, "Standard deviation of each row's displacement.", "nm", "Movement", ge=0, le=10)
    row_jitter_correlation: float = _field(0.5, "Correlation of the displacements of neighbouring rows.", "", "Movement", ge=0, lt=1)
    scan_noise_nm: float = _field(0.0, "Standard deviation of slow (1/f) noise of the probe's position.", "nm", "Movement", ge=0, le=10)
    flyback_lag_nm: float = _field(
        0.0, "How far the probe still is from the start of a row when it is sent back there.", "nm", "Movement", ge=0, le=100
    )
    flyback_lag_time_us: float = _field(50.0, "Time in which the flyback lag decays to 1/e.", "µs", "Movement", gt=0, le=1e6)
    response_time_us: float = _field(
        0.0, "Time constant with which the probe follows the scan; 0 = at once.", "µs", "Movement", ge=0, le=1e5
    )
    beam_current_pa: float = _field(30.0, "Beam current, for the dose in e⁻/Å².", "pA", "Damage", gt=0, le=1e6)
    critical_dose_e_per_a2: float = _field(
        0.0, "Dose at which the intensity has faded to 1/e; 0 = the beam does no damage.", "e⁻/Å²", "Damage", ge=0, le=1e12
    )
    seed: int = _field(0, "Chooses the noise and the random movements.", "", **Seed)


class ReconstructionParams(Params):
    """How the unmeasured positions are computed."""

    solver: SolverName = _field(
        "apgd",
        "Plug-and-Play with the denoiser: apgd (accelerated), hqs (half-quadratic splitting), pgd, admm, drs, red; "
        "with the one-pass network: one-pass (fast), fire (restores what it measures anew of each image); "
        "without a network: gp (Gaussian process), irls (few Fourier coefficients), tv (total variation), wavelet, dct, "
        "dictionary (of the frame's own patches), nearest, linear, cubic, biharmonic.",
    )
    checkpoint: str = _field("stem-tiny", "Denoiser: the name of a checkpoint or of a classical one, or a file.")
    inpainter: str = _field("stem-one-pass", "One-pass network: the name of a checkpoint, or a file.")
    start: Literal["auto", "gp", "irls", "one-pass"] = _field(
        "auto", "First image; auto takes the one that predicts withheld measurements better."
    )
    iterations: int = _field(24, "Plug-and-Play steps at most; fewer are kept where withheld measurements say so.", "", ge=1, le=1000)
    data_step: Literal["auto", "krige", "replace"] = _field(
        "auto", "krige: a measurement corrects its neighbourhood too; replace: only its own pixel; auto: tries both where there is noise."
    )
    equivariance: Literal["off", "rotations", "mirrors", "shifts", "small-rotations", "all"] = _field(
        "all", "Denoise moved copies, so that no direction and no place is preferred; all: turned by quarters, mirrored and shifted."
    )
    averaging: Literal["one", "last", "all"] = _field(
        "one", "How many moved copies: one, drawn at random, in each step; or every one and their mean, in the last steps or in all."
    )
    mean_of_last: int = _field(1, "Images of the last steps whose mean is taken.", "", ge=1, le=100)
    tolerance: float = _field(
        0.0, "Stop where a step changes the image by less, as an RMS relative to the intensity range; 0 = go on.", "", ge=0, le=1
    )
    sigma_start: float = _field(0.2, "First denoising strength, relative to the intensity range.", "", ge=5e-5, le=0.5)
    sigma_end: float = _field(1e-4, "Last denoising strength; never below the measurement's own noise.", "", ge=5e-5, le=0.5)
    noise: Literal["auto", "none", "estimate"] = _field(
        "auto", "none: measured values are exact; estimate: they are noisy; auto: as the measurement says, else estimate."
    )
    noise_std: float = _field(
        0.0, "The noise's standard deviation, in the units of the image, where it is known; 0 = estimated.", "", ge=0, le=1e9
    )
    withheld: float = _field(0.03, "Fraction of the measurements withheld to choose between starts and steps.", "", ge=0.01, le=0.5)
    seed: int = _field(0, "Chooses withheld positions and transformations.", "", **Seed)
    device: Device = _field("auto", "Where to compute; auto takes the GPU where there is one.")


class JudgeParams(Params):
    """What is known of the microscope that made the frame, to judge its spectrum by."""

    energy_kev: float = _field(0.0, "Energy of the electrons; 0 = not known.", "keV", ge=0, le=1000)
    semi_angle_mrad: float = _field(0.0, "Convergence semi-angle of the probe; 0 = not known.", "mrad", ge=0, le=200)


class TrainingParams(Params):
    """How a network is trained on simulated frames."""

    task: Literal["denoise", "inpaint"] = _field(
        "denoise", "denoise: a denoiser for Plug-and-Play; inpaint: a one-pass network, from an interpolated image to the result."
    )
    network: Literal["drunet-tiny", "drunet-base", "naf-unet"] = _field(
        "drunet-tiny", "Network: drunet-tiny and drunet-base have 1 and 4 million weights; naf-unet has 0.8 million, at half resolution."
    )
    start_from: str = _field("", "Checkpoint to train further, in place of a new network.")
    frames: str = _field("", "File or folder of your own frames to learn from as well; noisy ones are recorrupted.")
    frames_share: float = _field(0.5, "Share of the patches that are cut from your own frames.", "", ge=0, le=1)
    steps: int = _field(20000, "Training steps in all; the learning rate decays to zero over them.", "", ge=1, le=10**8)
    minutes: float = _field(0.0, "Time budget that overrides steps as the schedule's end; 0 = none.", "min", ge=0, le=10**5)
    batch: int = _field(8, "Patches per step.", "", ge=1, le=1024)
    patch_px: int = _field(96, "Side of a training patch.", "px", ge=32, le=512, multiple_of=8)
    learning_rate: float = _field(3e-3, "Largest step size of the optimiser; less to train a checkpoint further.", "", gt=0, le=0.1)
    sigma_min: float = _field(5e-5, "Smallest noise level trained, relative to the intensity range.", "", gt=0, le=0.1)
    sigma_max: float = _field(0.5, "Largest noise level trained, relative to the intensity range.", "", gt=0, le=2)
    ema_decay: float = _field(0.999, "Weight averaging: share of the old average kept at each step.", "", ge=0, lt=1)
    validate_every: int = _field(500, "Steps between validations; the best weights are kept.", "", ge=1, le=10**8)
    save_every_s: float = _field(60.0, "Time between saves of what a resume needs.", "s", gt=0, le=10**5)
    workers: int = _field(0, "Processes that make training images beside the training; of use with a GPU.", "", ge=0, le=256)
    precision: Literal["auto", "float32", "bfloat16"] = _field(
        "auto", "Arithmetic of the training steps; auto takes bfloat16 where the processor has it. Weights stay float32."
    )
    seed: int = _field(0, "Chooses the first weights and every training patch.", "", **Seed)
    device: Device = _field("auto", "Where to compute; auto takes the GPU where there is one.")


class BenchmarkParams(Params):
    """Which solvers are compared, on how much of the fixed suite."""

    suite: Literal["quick", "standard", "full"] = _field(
        "standard",
        "quick: eight small cases; standard: SrTiO3 and Si at four pixel sizes, with the first seed one condition varied at a time "
        "and four more crystals; full: every combination, for a cluster.",
    )
    solvers: str = _field(
        "apgd,hqs,one-pass,irls,gp,biharmonic,cubic,tv,wavelet,dct,dictionary", "Solvers to compare, separated by commas."
    )
    checkpoints: str = _field("stem-tiny", "Denoisers for those that take one, separated by commas.")
    seeds: int = _field(8, "Frames and masks per condition; not for quick.", "", ge=1, le=100)
    device: Device = _field("auto", "Where to compute; auto takes the GPU where there is one.")

    @field_validator("solvers")
    @classmethod
    def _known(cls, words: str) -> str:
        unknown = [word for word in _words(words) if word not in get_args(SolverName)]
        if unknown or not _words(words):
            raise ValueError(f"{', '.join(unknown) or 'nothing'} is no solver; known are {', '.join(get_args(SolverName))}.")
        return words

    def methods(self) -> list[tuple[str, str]]:
        """Return pairs of solver and checkpoint; the latter is empty where a solver takes none."""
        return [
            (solver, checkpoint)
            for solver in _words(self.solvers)
            for checkpoint in (_words(self.checkpoints) if solver in PLUG_AND_PLAY else [""])
        ]


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
