"""Networks and checkpoint files: the identity as sigma → 0, whole round trips, and what is refused."""

import json
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import napari_stem_inpaint as nsi
from napari_stem_inpaint.denoisers.cards import Card, read_card
from napari_stem_inpaint.denoisers.checkpoint import OVERLAP_PX, load_checkpoint, save_checkpoint
from napari_stem_inpaint.denoisers.networks import ARCHITECTURES, NETWORKS, DRUNet, NAFUNet, build_network
from napari_stem_inpaint.denoisers.registry import installed, load_denoiser
from napari_stem_inpaint.errors import CheckpointError
from napari_stem_inpaint.metrics import sre_db

TINY = {"channels": (4, 8), "blocks": 1, "contrasts": 2}


def network(kind=DRUNet) -> nn.Module:
    torch.manual_seed(0)
    net = kind(**TINY)
    torch.nn.init.normal_(net.tail.weight, std=0.1)  # it starts at zero, which would hide faults
    return net


def card(**values) -> Card:
    facts = {
        "name": "test",
        "description": "A test.",
        "architecture": "drunet",
        "config": network().config,
        "sigma_range": (1e-4, 0.5),
        "pixel_size_range_nm": (0.01, 0.04),
        "training_command": "",
        "training_data": "none",
    }
    return Card(**(facts | values))


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    path = tmp_path / "test.safetensors"
    save_checkpoint(path, network().state_dict(), card())
    return path


@pytest.mark.parametrize("kind", [DRUNet, NAFUNet])
@pytest.mark.parametrize("shape", [(64, 64), (33, 47), (5, 9), (1, 20), (1, 1)])
def test_any_shape_comes_back_in_its_shape(shape, kind):
    x = torch.rand(2, 1, *shape)
    assert network(kind)(x, torch.full((2,), 0.1)).shape == x.shape


@pytest.mark.parametrize("kind", [DRUNet, NAFUNet])
def test_the_denoiser_becomes_the_identity_as_sigma_vanishes(kind):
    x, net = torch.rand(1, 1, 32, 32), network(kind)
    with torch.no_grad():
        for sigma in (1e-2, 1e-4, 1e-6):
            change = float((net(x, torch.tensor([sigma])) - x).abs().max())
            assert 0 < change < 100 * sigma


def test_its_highpass_sees_no_constant():
    net = network()
    with torch.no_grad():
        a, b = (net(torch.full((1, 1, 32, 32), v), torch.tensor([1e-5])) for v in (0.5, 0.5 + 1e-7))
    assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(("name", "millions"), [("drunet-tiny", 1), ("drunet-base", 4), ("naf-unet", 0.75)])
def test_sizes(name, millions):
    assert sum(p.numel() for p in build_network(*NETWORKS[name]).parameters()) / 1e6 == pytest.approx(millions, rel=0.1)


def test_a_checkpoint_rebuilds_its_network(checkpoint):
    denoiser = load_checkpoint(checkpoint)
    x = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        for denoiser.half, error in ((False, 1e-6), (True, 0.1 * 0.03)):
            torch.testing.assert_close(denoiser(x, 0.1), network()(x, torch.tensor([0.1])), rtol=0, atol=error)
    assert read_card(checkpoint) == denoiser.card == card()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stem-tiny", "stem-base", "stem-naf"])
def test_seams_are_invisible(name):
    """In parts and as a whole agree to 50 dB, wherever the parts meet, and no part costs memory for the whole."""
    frame = nsi.simulate(nsi.SimulationParams(shape=(200, 328), pixel_size_nm=0.02, vacancies=0.05)).image
    clean = torch.as_tensor(frame / frame.max())[None, None]
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    denoiser = load_denoiser(name, "cpu")
    whole = denoiser(noisy, 0.1)
    denoiser.tile_px = 128
    sides: set[int] = set()
    denoiser.network.register_forward_pre_hook(lambda _, given: sides.update(given[0].shape[-2:]))
    parts = denoiser(noisy, 0.1)
    assert max(sides) <= 192 + 2 * OVERLAP_PX
    assert len(sides) > 1
    assert sre_db(parts[0, 0].numpy(), whole[0, 0].numpy()) > 50


def test_a_stop_is_asked_for_inside_a_pass(checkpoint):
    denoiser, ticks = load_checkpoint(checkpoint), []
    denoiser.on_every_layer(lambda: ticks.append(1))
    denoiser(torch.rand(1, 1, 32, 32), 0.1)
    assert len(ticks) >= 3


def test_a_write_that_fails_leaves_the_old_file_whole(checkpoint, monkeypatch):
    before = checkpoint.read_bytes()

    def half(path, data):
        with path.open("wb") as file:
            file.write(data[:100])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(CheckpointError, match="disk full"):
        save_checkpoint(checkpoint, network().state_dict(), card())
    assert checkpoint.read_bytes() == before
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


class Canary:
    """Writes a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


@pytest.mark.parametrize("name", ["evil.pt", "evil.pth", "evil.safetensors"])
def test_a_pickle_is_refused_and_runs_nothing(tmp_path, name):
    canary = tmp_path / "canary"
    (tmp_path / name).write_bytes(pickle.dumps(Canary(str(canary))))
    with pytest.raises(CheckpointError):
        load_denoiser(str(tmp_path / name))
    assert not canary.exists()
    pickle.loads((tmp_path / name).read_bytes())
    assert canary.exists()  # the canary was alive


def test_damaged_and_foreign_files_are_refused(tmp_path, checkpoint):
    whole = checkpoint.read_bytes()
    for cut in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        checkpoint.write_bytes(whole[:cut])
        with pytest.raises(CheckpointError, match="damaged"):
            load_checkpoint(checkpoint)
    checkpoint.write_bytes((10**12).to_bytes(8, "little") + b"{}")  # a header that claims a terabyte
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(checkpoint)
    bare = tmp_path / "bare.safetensors"
    save_file(network().state_dict(), bare)
    with pytest.raises(CheckpointError, match="no model card"):
        load_checkpoint(bare)
    text = tmp_path / "notes.pt"
    text.write_text("hello")
    with pytest.raises(CheckpointError, match="damaged, or holds more than weights"):
        load_denoiser(str(text))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": "transformer"}, "architecture"),
        ({"config": {"channels": [4, 8], "blocks": 2, "contrasts": 2}}, "do not fit"),
        ({"config": {"layers": 3}}, "does not fit"),
    ],
)
def test_a_card_that_lies_is_refused(tmp_path, change, said):
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, network().state_dict(), card(**change))
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(path)


def test_nan_weights_are_refused(tmp_path):
    weights = network().state_dict()
    weights["tail.weight"][0, 0, 0, 0] = float("nan")
    save_checkpoint(tmp_path / "x.safetensors", weights, card())
    with pytest.raises(CheckpointError, match="NaN"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_unknown_names_list_the_known(tmp_path):
    with pytest.raises(CheckpointError, match=r"there are stem-.*bm3d"):
        load_denoiser("nonesuch")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_denoiser(str(tmp_path / "missing.safetensors"))


def test_the_shipped_checkpoint_says_where_it_comes_from_and_denoises():
    path = installed()["stem-tiny"]
    shipped = read_card(path)
    assert shipped.architecture in ARCHITECTURES
    assert shipped.training_command.startswith("stem-inpaint train ")
    assert re.search(r"SrTiO3, Si.* excluded", shipped.training_data)
    assert min(shipped.psnr_gain_db.values()) > 0
    json.loads(shipped.model_dump_json())
