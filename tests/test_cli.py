"""The command line: the documented lines, and one sentence for every wrong input."""

import contextlib
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

import napari_stem_inpaint as nsi
from napari_stem_inpaint.cli import main
from napari_stem_inpaint.denoisers.registry import installed
from napari_stem_inpaint.io import read_measurement, read_scan
from napari_stem_inpaint.simulation.presets import PRESETS

LINES = """
simulate --crystal SrTiO3 --shape 64 64 --pixel-size-nm 0.02 --seed 1 --out frame.tif
scan --shape 64 64 --pattern line-hop --ratio 0.25 --seed 1 --out mask.tif
scan --shape 64 64 --pattern random --ratio 0.25 --seed 1 --out positions.csv
acquire frame.tif --scan mask.tif --dose-e-per-px 1000 --out measured.tif
""".strip().splitlines()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with a frame, a mask, positions and a measurement, to work in."""
    monkeypatch.chdir(tmp_path)
    for line in LINES:
        assert main(line.split()) == 0
    return tmp_path


def test_an_interrupt_that_a_callback_swallows_stops_all_the_same(folder, monkeypatch, capsys):
    """Python drops what is raised in a callback from C; the command ends after the step, and writes nothing."""
    seen = []

    def swallowing(*_, **__):
        for index in range(100):
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            seen.append(index)
            yield nsi.Iterate(index, 100, np.zeros((64, 64), np.float32), 0.0, 0.0, "step", {})

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("napari_stem_inpaint.reconstruction.iterate", swallowing)
    assert main("reconstruct measured.tif --mask mask.tif --out result.tif".split()) == 130
    assert seen == [0]
    assert "stopped." in capsys.readouterr().err
    assert not Path("result.tif").exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_report(folder, capsys):
    assert main("reconstruct measured.tif --solver gp --out result.tif".split()) == 0
    line = "report result.tif --measurement measured.tif --energy-kev 200 --semi-angle-mrad 25 --out"
    assert main([*line.split(), "page.pdf"]) == 0
    assert Path("page.pdf").read_bytes()[:4] == b"%PDF"
    assert main([*line.split(), "page.png", "--reference", "frame.tif"]) == 0
    assert main([*line.split(), "page.doc"]) == 2
    assert "must end in .pdf or .png" in capsys.readouterr().err


def test_reconstruct_and_evaluate(folder, capsys):
    assert main("reconstruct measured.tif --mask mask.tif --solver gp --reference frame.tif --out result.tif".split()) == 0
    told = dict(line.split() for line in capsys.readouterr().out.splitlines()[1:])
    assert main("evaluate result.tif --reference frame.tif --mask mask.tif".split()) == 0
    again = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert again == told
    assert float(again["sre_db"]) > 15
    (result,) = nsi.read("result.tif")
    assert result.pixel_size_nm == pytest.approx((0.02, 0.02))
    assert result.metadata["recipe"]["reconstruction"]["solver"] == "gp"


def test_the_command_and_python_give_the_same_bits(folder):
    assert main("reconstruct measured.tif --mask mask.tif --iterations 2 --out result.tif".split()) == 0
    frame = nsi.simulate(nsi.SimulationParams(crystal="SrTiO3", shape=(64, 64), pixel_size_nm=0.02, seed=1))
    path = nsi.make_scan(frame.shape, nsi.ScanParams(pattern="line-hop", ratio=0.25, seed=1))
    scan = nsi.Scan.from_mask(path.mask)  # a mask file keeps no order: it is scanned row by row
    m = nsi.acquire(frame, scan, nsi.AcquisitionParams(dose_e_per_px=1000))
    np.testing.assert_array_equal(nsi.read("result.tif")[0].image, nsi.reconstruct(m, nsi.ReconstructionParams(iterations=2)).image)


def test_positions_serve_as_mask(folder):
    assert main("acquire frame.tif --scan positions.csv --out other.tif".split()) == 0
    assert read_measurement("other.tif").mask.mean() == 0.25


def test_every_field_is_an_option(capsys):
    for name, model in (("simulate", nsi.SimulationParams), ("reconstruct", nsi.ReconstructionParams), ("train", nsi.TrainingParams)):
        with pytest.raises(SystemExit):
            main([name, "--help"])
        text = capsys.readouterr().out
        for field in model.model_fields:
            assert "--" + field.replace("_", "-") in text


@pytest.fixture
def bad(folder) -> Path:
    """Files that are wrong, each in its own way."""
    ones = np.ones((64, 64), np.float32)
    np.save("nan.npy", np.where(np.eye(64), np.nan, ones))
    np.save("constant.npy", ones)
    np.save("complex.npy", ones * 1j)
    np.save("three.npy", np.random.default_rng(0).random((3, 64, 64)))
    np.save("empty.npy", np.zeros((0, 64)))
    np.save("none.npy", np.zeros((64, 64), bool))
    np.save("all.npy", np.ones((64, 64), bool))
    np.save("small.npy", np.eye(8, dtype=bool))
    tifffile.imwrite("rgb.tif", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8), photometric="rgb")
    Path("zero.tif").write_bytes(b"")
    Path("text.pt").write_text("weights")
    Path("text.tif").write_text("not an image")
    whole = Path(str(next(Path(nsi.__file__).parent.glob("denoisers/checkpoints/*.safetensors")))).read_bytes()
    Path("cut.safetensors").write_bytes(whole[: len(whole) // 2])
    return folder


WRONG = [
    ("reconstruct nan.npy --mask all.npy --out out.tif", "64 measured positions hold NaN"),
    ("reconstruct measured.tif --mask none.npy --out out.tif", "no position|nothing"),
    ("reconstruct measured.tif --mask small.npy --out out.tif", "shape"),
    ("reconstruct constant.npy --mask all.npy --out out.tif", "equal"),
    ("reconstruct three.npy --mask all.npy --out out.tif", "choose one with --index N.*or give a folder as --out"),
    ("report frame.tif --measurement measured.tif --out out.png", "frame.tif is no reconstruction"),
    ("report measured.tif --measurement measured.tif --out out.png", "measured.tif is no reconstruction"),
    ("acquire three.npy --scan all.npy --out out.tif", "3 images; choose one with --index N"),
    ("evaluate three.npy --reference frame.tif", "3 images; save the one"),
    ("reconstruct constant.npy --mask nan --out out.tif", "No pixel of the image is NaN"),
    ("reconstruct complex.npy --mask all.npy --out out.tif", "complex"),
    ("reconstruct empty.npy --mask all.npy --out out.tif", "empty"),
    ("reconstruct zero.tif --mask all.npy --out out.tif", "empty"),
    ("reconstruct rgb.tif --mask all.npy --out out.tif", "colour|grey"),
    ("reconstruct text.tif --mask all.npy --out out.tif", "cannot be read"),
    ("reconstruct frame.tif --out out.tif", "mask"),
    ("reconstruct missing.tif --mask all.npy --out out.tif", "no file"),
    ("reconstruct measured.tif --checkpoint text.pt --out out.tif", "damaged, or holds more than weights"),
    ("reconstruct measured.tif --checkpoint cut.safetensors --out out.tif", "damaged"),
    ("reconstruct measured.tif --checkpoint nonesuch --out out.tif", "there are stem-.*bm3d, or give the path"),
    ("reconstruct measured.tif --out nowhere/out.tif", "folder"),
    ("reconstruct measured.tif --out out.pdf", "must end in"),
    ("reconstruct measured.tif --iterations 0 --out out.tif", "iterations"),
    ("simulate --pixel-size-nm nan --out out.tif", "pixel_size_nm"),
    ("simulate --shape 4 64 --out out.tif", "shape"),
    ("simulate --dopants 0.1 --dopant Unobtainium --out out.tif", "no chemical element"),
    ("simulate --zone-axis 000 --out out.tif", "no direction"),
    ("simulate --zone-axis up --out out.tif", "three whole numbers"),
    ("simulate --cif missing.cif --out out.tif", "no file"),
    ("simulate --cif zero.tif --out out.tif", "empty"),
    ("simulate --cif text.pt --out out.tif", "crystal structure|cannot be read"),
    ("simulate --crystal graphene --zone-axis 110 --out out.tif", "single layer"),
    ("simulate --energy-kev -5 --out out.tif", "energy_kev"),
    ("simulate --shape 8192 8192 --pixel-size-nm 0.1 --out out.tif", "GB"),
    ("simulate --shape 64 64 --engine multislice --out out.tif", "napari-stem-inpaint.multislice"),
    ("simulate --scene surface --truth columns.csv --out out.tif", "no atomic columns"),
    ("simulate --truth columns.xls --out out.tif", "must end in .csv"),
    ("scan --shape 8 8 --pattern list --out out.tif", "needs a file"),
    ("scan --shape 8 8 --pattern list --positions missing.csv --out out.tif", "no file"),
    ("scan --shape 40000 40000 --out out.tif", "GB"),
    ("scan --shape 8 8 --beam-current-pa -1 --out out.tif", "beam_current_pa"),
    ("acquire frame.tif --scan all.npy --readout-noise-e 2 --out out.tif", "dose"),
    ("scan --shape 0 64 --out out.tif", "two positive numbers"),
    ("acquire frame.tif --scan small.npy --out out.tif", "shape"),
    ("evaluate frame.tif --reference small.npy", "same shape"),
    ("train --out out.pt", "safetensors"),
    ("train --frames constant.npy --out out.safetensors", "smaller than a patch"),
    ("train --frames missing.npy --out out.safetensors", "no file"),
    ("train --start-from nonesuch --out out.safetensors", "no checkpoint"),
    ("checkpoints text.pt", "damaged, or holds more than weights"),
    ("checkpoints add text.pt", "damaged, or holds more than weights"),
    ("checkpoints add cut.safetensors", "damaged"),
    ("checkpoints add stem-tiny", "already"),
    ("checkpoints add stem-tiny --name ../up", "letters, digits"),
    ("checkpoints remove stem-tiny", "not one of your checkpoints"),
    ("checkpoints add one two", "takes nothing, a name"),
]


@pytest.mark.parametrize(("line", "said"), WRONG, ids=[line for line, _ in WRONG])
def test_bad_input_is_one_sentence_code_2_and_nothing_written(bad, capsys, line, said):
    before = {p.name for p in bad.iterdir()}
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("stem-inpaint: ")
    assert err.count("\n") == 1
    assert re.search(said, err)
    assert {p.name for p in bad.iterdir()} == before


def test_a_wrong_option_is_told_by_the_parser(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["simulate", "--crystal", "Unobtainium", "--out", "x.tif"])
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert "invalid choice" in err
    assert err.endswith("; see stem-inpaint simulate --help\n")
    assert err.count("\n") == 1


def test_a_missing_option_is_told_by_the_parser(capsys):
    with pytest.raises(SystemExit):
        main(["simulate"])
    assert capsys.readouterr().err == "stem-inpaint: the following arguments are required: --out; see stem-inpaint simulate --help\n"


def test_units_keep_their_letters(capsys):
    with pytest.raises(SystemExit):
        main(["scan", "--help"])
    assert "--dwell-time-us µs" in capsys.readouterr().out


def test_a_failed_computation_is_code_1(folder, monkeypatch, capsys):
    def broken(*args, **kwargs):
        raise RuntimeError("device lost")

    monkeypatch.setattr("napari_stem_inpaint.reconstruction_run.krige_step", broken)
    assert main("reconstruct measured.tif --out out.tif".split()) == 1
    assert "device lost" in capsys.readouterr().err
    assert not Path("out.tif").exists()


def test_checkpoints_are_listed_and_described(capsys):
    assert main(["checkpoints"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"^stem-tiny \(\d\.\d MiB, installed\): .*nm/px", listed, re.MULTILINE)
    assert "tv (classical): " in listed
    assert main(["checkpoints", "stem-tiny"]) == 0
    card = capsys.readouterr().out.rpartition("sha256")[0]
    assert json.loads(card)["licence"] == "BSD-3-Clause"


def test_a_checkpoint_is_added_used_and_removed(folder, capsys):
    source = str(installed()["stem-tiny"])
    assert main(["checkpoints", "add", source, "--name", "mine"]) == 0
    assert main(["checkpoints"]) == 0
    assert "mine (4.1 MiB, yours): " in capsys.readouterr().out
    assert main(["checkpoints", "add", source, "--name", "mine"]) == 2
    assert main(["checkpoints", "add", source, "--name", "mine", "--replace"]) == 0
    assert main("reconstruct measured.tif --checkpoint mine --iterations 1 --out r.tif".split()) == 0
    assert main(["checkpoints", "remove", "mine"]) == 0
    assert main(["checkpoints", "mine"]) == 2


def test_what_a_checkpoint_does_not_know_is_said(folder, capsys):
    assert main("simulate --shape 48 48 --pixel-size-nm 0.06 --out coarse.tif".split()) == 0
    assert main("scan --shape 48 48 --out mask.npy".split()) == 0
    assert main("acquire coarse.tif --scan mask.npy --out coarse_measured.tif".split()) == 0
    capsys.readouterr()
    assert main("reconstruct coarse_measured.tif --iterations 1 --out r.tif".split()) == 0
    assert "knows pixel sizes from 0.008 to 0.045 nm, but this frame's is 0.06 nm" in capsys.readouterr().err


def test_train_writes_a_checkpoint_that_reconstructs(folder, monkeypatch):
    monkeypatch.setattr("napari_stem_inpaint.training.validation_frames", lambda: torch.rand(3, 1, 32, 32))
    assert main("train --steps 2 --batch 1 --patch-px 32 --out mine.safetensors".split()) == 0
    assert main("reconstruct measured.tif --checkpoint mine.safetensors --iterations 1 --out r.tif".split()) == 0
    assert "stem-inpaint train --steps 2 --batch 1 --patch-px 32 --out mine.safetensors" in Path("mine.safetensors").read_bytes().decode(
        errors="ignore"
    )


def test_the_installed_command_runs():
    done = subprocess.run([sys.executable, "-m", "napari_stem_inpaint.cli", "--version"], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["stem-inpaint", nsi.__version__]


def test_presets_truth_and_remarks(folder, capsys):
    assert main("simulate --preset silicon-twin --shape 48 48 --pixel-size-nm 0.05 --truth truth.csv --out twin.tif".split()) == 0
    assert "beyond Nyquist" in capsys.readouterr().err
    lines = Path("truth.csv").read_text(encoding="utf-8").splitlines()
    frame = nsi.simulate(PRESETS["Silicon twin"].simulation.model_copy(update={"shape": (48, 48), "pixel_size_nm": 0.05}))
    np.testing.assert_array_equal(nsi.read("twin.tif")[0].image, frame.image)
    assert len(lines) == 1 + len(frame.columns)
    assert "twin boundary" in "\n".join(lines)


def test_a_scan_states_its_statistics_and_its_times(folder, capsys):
    line = "scan --shape 32 32 --pattern spiral --dwell-time-us 4 --settling-time-us 2 --pixel-size-nm 0.1 --out path.csv"
    assert main(line.split()) == 0
    out = capsys.readouterr().out
    assert "0.25000 of 0.25 wanted" in out
    assert "e⁻/Å²" in out
    assert read_scan("path.csv", (32, 32)).settling_time_us == 2.0


def test_a_preset_brings_its_detector(folder):
    assert main("acquire frame.tif --scan positions.csv --preset low-dose-si --seed 3 --out noisy.tif".split()) == 0
    assert read_measurement("noisy.tif").noise == "poisson"


def test_a_preset_is_where_a_training_starts_from(folder, monkeypatch):
    asked = []
    monkeypatch.setattr("napari_stem_inpaint.training.train", lambda params, out: asked.append(params) or (step for step in ()))
    for words in ("--preset fine-tune", "--preset fine-tune --minutes 3"):
        main(f"train {words} --frames {folder} --out {folder / 'a.safetensors'}".split())
    assert [p.minutes for p in asked] == [20, 3]
    assert {p.start_from for p in asked} == {nsi.ReconstructionParams().checkpoint}


def test_a_quality_is_a_set_of_values_that_options_override(tmp_path):
    out = tmp_path / "result.tif"
    folder = Path(__file__).parents[1] / "sample_data"
    assert main(["reconstruct", str(folder / "srtio3_measured.tif"), "--quality", "fast", "--seed", "4", "--out", str(out)]) == 0
    made = nsi.read(out)[0].metadata["recipe"]["reconstruction"]
    assert made == nsi.ReconstructionParams(solver="one-pass", seed=4).model_dump(mode="json")
