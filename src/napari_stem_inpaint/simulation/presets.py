"""Ready-made experiments: a specimen in a microscope, and what happens while it is scanned."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..params import AcquisitionParams, SimulationParams


@dataclass(frozen=True)
class Preset:
    """What is looked at, and how it is acquired."""

    simulation: SimulationParams = field(default_factory=SimulationParams)
    acquisition: AcquisitionParams = field(default_factory=AcquisitionParams)


def _noisy(dose: float, **movement: float) -> AcquisitionParams:
    return AcquisitionParams.model_validate({"dose_e_per_px": dose, "readout_noise_e": 1.0, **movement})


PRESETS: dict[str, Preset] = {
    "Clean SrTiO3": Preset(SimulationParams()),
    "Clean Si": Preset(SimulationParams(crystal="Si")),
    "Low-dose Si": Preset(SimulationParams(crystal="Si", pixel_size_nm=0.015), _noisy(12.0, row_jitter_nm=0.004)),
    "Drifting perovskite with vacancies": Preset(
        SimulationParams(crystal="SrTiO3", vacancies=0.08, intensity_scatter=0.08, displacement_nm=0.004),
        _noisy(60.0, drift_nm_per_s=0.5, drift_direction_deg=-30.0, row_jitter_nm=0.004, scan_noise_nm=0.01, flyback_lag_nm=0.05),
    ),
    "Ferroelectric with strain": Preset(
        SimulationParams(crystal="PbTiO3", strain=0.03, pixel_size_nm=0.025, rotation_deg=4.0), _noisy(150.0, row_jitter_nm=0.003)
    ),
    "Gold nanoparticle on carbon": Preset(
        SimulationParams(crystal="Au", scene="nanoparticle", particle_nm=3.2, contamination_nm=3.0, zone_axis="110"), _noisy(40.0)
    ),
    "Gold grain boundary": Preset(
        SimulationParams(crystal="Au", scene="grain-boundary", zone_axis="001", misorientation_deg=22.0, pixel_size_nm=0.0129),
        _noisy(80.0, row_jitter_nm=0.004),
    ),
    "Silicon twin": Preset(SimulationParams(crystal="Si", scene="twin", pixel_size_nm=0.015), _noisy(100.0)),
    "Oxide interface": Preset(
        SimulationParams(crystal="SrTiO3", scene="interface", second_crystal="LaAlO3", intensity_scatter=0.05), _noisy(200.0)
    ),
    "Dislocation in GaAs": Preset(SimulationParams(crystal="GaAs", scene="dislocation"), _noisy(100.0)),
    "Doped MoS2": Preset(
        SimulationParams(
            crystal="MoS2", dopants=0.03, dopant="W", vacancies=0.03, energy_kev=80.0, semi_angle_mrad=30.0, pixel_size_nm=0.02
        ),
        _noisy(25.0, scan_noise_nm=0.006),
    ),
    "Single platinum atoms on graphene": Preset(
        SimulationParams(
            crystal="graphene", scene="isolated-atoms", dopant="Pt", energy_kev=80.0, semi_angle_mrad=30.0, contamination_nm=0.5
        ),
        _noisy(15.0),
    ),
    "Oxygen columns by ABF": Preset(
        SimulationParams(crystal="SrTiO3", zone_axis="110", contrast="abf", pixel_size_nm=0.0092), _noisy(300.0)
    ),
    "Edge of a wedge": Preset(SimulationParams(crystal="LaAlO3", scene="edge", contamination_nm=1.0, pixel_size_nm=0.025), _noisy(80.0)),
    "Defocused, astigmatic": Preset(SimulationParams(crystal="SrTiO3", C10=60.0, C12=40.0, phi12=0.6), _noisy(100.0)),
    "Rough surface in the SEM": Preset(SimulationParams(scene="surface", pixel_size_nm=1.0), _noisy(60.0)),
}
