"""Cards and the registry: what is known by name, what lies outside a denoiser's ranges, what is refused before it is read."""

import subprocess
import sys
import time

import pytest
import torch
from test_denoisers import card, network

from napari_stem_inpaint.denoisers import registry
from napari_stem_inpaint.denoisers.cards import read_card
from napari_stem_inpaint.denoisers.checkpoint import save_checkpoint
from napari_stem_inpaint.errors import CheckpointError


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.FOLDER, str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.mark.parametrize(
    ("pixel", "noise", "said"),
    [
        ((0.02, 0.02), 0.0, []),
        (None, 0.1, []),
        ((0.02, 0.05), 0.0, ["knows pixel sizes from 0.01 to 0.04 nm, but this frame's is 0.05 nm"]),
        ((0.005, 0.005), 0.0, ["knows pixel sizes"]),
        ((0.02, 0.02), 0.7, ["knows noise up to 0.5 of the intensity range, but this frame's is about 0.7"]),
        ((0.06, 0.06), 0.7, ["knows pixel sizes", "knows noise"]),
    ],
)
def test_what_lies_outside_the_ranges_is_said(pixel, noise, said):
    found = card().remarks(pixel, noise)
    assert len(found) == len(said)
    assert all(part in sentence for part, sentence in zip(said, found, strict=True))


def test_classical_and_foreign_denoisers_promise_no_range():
    assert card(sigma_range=(0, 0), pixel_size_range_nm=(0, 0)).remarks((1.0, 1.0), 10.0) == []


def test_the_list_needs_no_torch():
    code = "import sys, napari_stem_inpaint.denoisers.registry as r; [k.summary() for k in r.known()]; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_ones_own_are_added_listed_and_removed(tmp_path, own):
    file = tmp_path / "x.safetensors"
    save_checkpoint(file, network().state_dict(), card())
    kept = registry.add(file, "mine")
    assert kept.parent == own
    assert read_card(kept).name == "mine"
    assert [(k.name, k.origin) for k in registry.known() if k.origin == "yours"] == [("mine", "yours")]
    with pytest.raises(CheckpointError, match="already"):
        registry.add(file, "mine")
    registry.add(file, "mine", replace=True)
    assert [p.name for p in own.iterdir()] == ["mine.safetensors"]
    registry.remove("mine")
    assert registry.users_own() == {}


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "x" * 80, "ä"])
def test_nicknames_are_plain(tmp_path, name):
    file = tmp_path / "@.safetensors"
    save_checkpoint(file, network().state_dict(), card())
    with pytest.raises(CheckpointError, match="letters, digits"):
        registry.add(file, name)


def test_a_nickname_hides_nothing(tmp_path, own):
    own.mkdir()
    save_checkpoint(own / "stem-tiny.safetensors", network().state_dict(), card())
    assert registry.find_file("stem-tiny") == registry.installed()["stem-tiny"]


def test_a_damaged_one_is_listed_as_such(own):
    own.mkdir()
    (own / "broken.safetensors").write_bytes(b"nothing")
    (one,) = [k for k in registry.known() if k.origin == "yours"]
    assert "damaged" in one.summary()


def test_a_look_at_the_header_finds_a_file_that_is_cut_short(tmp_path):
    file, pickled = tmp_path / "x.safetensors", tmp_path / "x.pth"
    save_checkpoint(file, network().state_dict(), card())
    torch.save(network().state_dict(), pickled)
    for path in (file, pickled):
        registry.check_header(str(path), "denoise")
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(CheckpointError, match="damaged"):
            registry.check_header(str(path), "denoise")


def test_a_look_at_the_header_accepts_what_pytorch_wrote_long_ago(tmp_path):
    torch.save(network().state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    registry.check_header(str(tmp_path / "old.pth"), "denoise")
    with pytest.raises(CheckpointError, match="a one-pass network is needed here"):
        registry.check_header("stem-tiny", "inpaint")
    registry.check_header("tv", "denoise")


def test_only_what_was_trained_here_is_trained_further(tmp_path):
    assert registry.find_trainable("stem-tiny").is_file()
    torch.save(network().state_dict(), tmp_path / "theirs.pth")
    for name, words in ((str(tmp_path / "theirs.pth"), "not trained by this program"), ("tv", "learns nothing")):
        with pytest.raises(CheckpointError, match=words):
            registry.find_trainable(name)


def test_altered_weights_are_found(tmp_path):
    file = tmp_path / "x.safetensors"
    save_checkpoint(file, network().state_dict(), card())
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="not those that were saved"):
        registry.load_denoiser(str(file))


@pytest.mark.parametrize("name", ["huge.safetensors", "huge.pt", "huge.pth", "huge.ts", "huge.pt2"])
def test_ten_gigabytes_are_refused_at_once(tmp_path, name):
    file = tmp_path / name
    with file.open("wb") as f:
        f.truncate(10 * 2**30)
    began = time.perf_counter()
    with pytest.raises(CheckpointError, match=r"10\.0 GiB"):
        registry.load_denoiser(str(file))
    assert time.perf_counter() - began < 5
