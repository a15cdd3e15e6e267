"""Sample data for napari's File menu: simulated when opened, so that nothing has to be shipped."""

from __future__ import annotations

from ..frames import Frame
from ..params import AcquisitionParams, ScanParams, SimulationParams
from .layer_data import KEY, LayerData, contrast, frame_layer, measurement_layers
from .preloading import aside

SIDE_PX = 256
PIXEL_SIZE_NM = 0.02


def perfect_srtio3() -> list[LayerData]:
    """SrTiO3 [001], a quarter of the positions at random."""
    return _sample(_params(crystal="SrTiO3"), ScanParams(ratio=0.25))


def line_hop_si() -> list[LayerData]:
    """Si [110], a quarter of the positions by line hopping."""
    return _sample(_params(crystal="Si"), ScanParams(pattern="line-hop", ratio=0.25))


def defective_srtio3() -> list[LayerData]:
    """SrTiO3 [001] with vacancies, scattered intensities and displaced columns, a quarter of the positions at random."""
    defects = {"vacancies": 0.05, "intensity_scatter": 0.15, "displacement_nm": 0.005}
    return _sample(_params(crystal="SrTiO3", seed=1, **defects), ScanParams(ratio=0.25, seed=1))


def low_dose_perovskite() -> list[LayerData]:
    """BaTiO3 [001] with vacancies and dopants, 500 electrons at the brightest position, a quarter of the positions at random."""
    params = _params(crystal="BaTiO3", seed=2, vacancies=0.05, dopants=0.03, displacement_nm=0.005)
    return _sample(params, ScanParams(ratio=0.25, seed=2), AcquisitionParams(dose_e_per_px=500))


def nanoparticle() -> list[LayerData]:
    """A gold particle on a film, a third of the positions by blue noise."""
    return _sample(_params(crystal="Au", scene="nanoparticle", seed=3), ScanParams(pattern="blue-noise", ratio=0.33, seed=3))


def _params(**changed: object) -> SimulationParams:
    return SimulationParams.model_validate({"shape": (SIDE_PX, SIDE_PX), "pixel_size_nm": PIXEL_SIZE_NM, **changed})


def _sample(params: SimulationParams, scan: ScanParams, acquisition: AcquisitionParams | None = None) -> list[LayerData]:
    """Return truth, mask and measured image with one contrast."""
    from ..scans import make_scan
    from ..simulation.acquisition import acquire
    from ..simulation.imaging import simulate

    made = aside(lambda: simulate(params))
    kind = "Defective " if params.vacancies else "Particle of " if params.scene == "nanoparticle" else ""
    frame = Frame(made.image, made.pixel_size_nm, f"{kind}{params.crystal}", made.metadata)
    measurement = aside(lambda: acquire(frame, make_scan(frame.shape, scan), acquisition or AcquisitionParams()))
    limits = contrast(measurement.values[measurement.mask])
    array, keywords, layer = frame_layer(frame, limits=limits)
    truth = array, {**keywords, "name": f"{frame.name} truth"}, layer
    identity = keywords["metadata"][KEY]["id"]
    mask, measured = measurement_layers(measurement, limits=limits, truth=identity)
    return [truth, mask, measured]
