"""Sample data for napari's File menu: simulated when opened, so that nothing has to be shipped."""

from __future__ import annotations

from ..frames import Frame
from ..params import ScanParams, SimulationParams
from .layers import KEY, LayerData, contrast, frame_layer, measurement_layers

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


def _params(**changed: object) -> SimulationParams:
    return SimulationParams.model_validate({"shape": (SIDE_PX, SIDE_PX), "pixel_size_nm": PIXEL_SIZE_NM, **changed})


def _sample(params: SimulationParams, scan: ScanParams) -> list[LayerData]:
    """Return truth, mask and measured image, noise-free, with one contrast."""
    from ..scans import make_scan
    from ..simulation.acquisition import acquire
    from ..simulation.imaging import simulate

    made = simulate(params)
    frame = Frame(made.image, made.pixel_size_nm, f"{'Defective ' if params.vacancies else ''}{params.crystal}", made.metadata)
    measurement = acquire(frame, make_scan(frame.shape, scan))
    limits = contrast(measurement.values[measurement.mask])
    array, keywords, kind = frame_layer(frame, limits=limits)
    truth = array, {**keywords, "name": f"{frame.name} truth"}, kind
    identity = keywords["metadata"][KEY]["id"]
    mask, measured = measurement_layers(measurement, limits=limits, truth=identity)
    return [truth, mask, measured]
