"""Networks from elsewhere: the published layouts give the published functions, and nothing in a file runs when it is opened."""

import json
import pickle
import warnings
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from test_denoisers import Canary
from torch import nn
from torch.nn import functional as F

from napari_stem_inpaint.denoisers import registry
from napari_stem_inpaint.denoisers.foreign import LEAST_SIGMA
from napari_stem_inpaint.denoisers.registry import load_denoiser
from napari_stem_inpaint.errors import CheckpointError

IMAGE = torch.rand(2, 1, 32, 40, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.FOLDER, str(tmp_path / "own"))


def weights(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))) / (shape[1] * 9) ** 0.5


def drunet(colours: int) -> dict[str, torch.Tensor]:
    """The published layout, of other widths."""
    c, blocks = (4, 6, 8, 10), 2
    state = {"m_head.weight": weights(c[0], colours + 1, 3, 3), "m_tail.weight": weights(colours, c[0], 3, 3)}
    for n in (1, 2, 3):
        a, b = c[n - 1], c[n]
        state |= {f"m_down{n}.{k}.res.{i}.weight": weights(a, a, 3, 3) for k in range(blocks) for i in (0, 2)}
        state |= {f"m_up{n}.{k}.res.{i}.weight": weights(a, a, 3, 3) for k in range(1, blocks + 1) for i in (0, 2)}
        state |= {f"m_down{n}.{blocks}.weight": weights(b, a, 2, 2), f"m_up{n}.0.weight": weights(b, a, 2, 2)}
    state |= {f"m_body.{k}.res.{i}.weight": weights(c[3], c[3], 3, 3) for k in range(blocks) for i in (0, 2)}
    return state


def drunet_by_hand(w: dict[str, torch.Tensor], x: torch.Tensor, sigma: float) -> torch.Tensor:
    def block(h, name):
        return h + F.conv2d(F.relu(F.conv2d(h, w[f"{name}.res.0.weight"], padding=1)), w[f"{name}.res.2.weight"], padding=1)

    x1 = F.conv2d(torch.cat([x, torch.full_like(x[:, :1], sigma)], 1), w["m_head.weight"], padding=1)
    skips = [x1]
    h = x1
    for n in (1, 2, 3):
        h = F.conv2d(block(block(h, f"m_down{n}.0"), f"m_down{n}.1"), w[f"m_down{n}.2.weight"], stride=2)
        skips.append(h)
    h = block(block(h, "m_body.0"), "m_body.1")
    for n in (3, 2, 1):
        h = F.conv_transpose2d(h + skips[n], w[f"m_up{n}.0.weight"], stride=2)
        h = block(block(h, f"m_up{n}.1"), f"m_up{n}.2")
    return F.conv2d(h + skips[0], w["m_tail.weight"], padding=1)


def layers(count: int, colours: int = 1) -> list[tuple[torch.Tensor, torch.Tensor]]:
    widths = [colours, *[5] * (count - 1), colours]
    return [(weights(b, a, 3, 3), weights(b, 1).flatten()) for a, b in pairwise(widths)]


def dncnn_by_hand(convolutions, x, dilations):
    for n, ((w, b), d) in enumerate(zip(convolutions, dilations, strict=True)):
        x = F.conv2d(F.relu(x) if n else x, w, b, padding=d, dilation=d)
    return x


def saved(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_dpirs_drunet(tmp_path, colours, suffix):
    state = drunet(colours)
    denoiser = load_denoiser(str(saved(state, tmp_path / f"net{suffix}")))
    assert denoiser.card.architecture == "dpir-drunet"
    expected = drunet_by_hand(state, IMAGE.expand(-1, colours, -1, -1), 0.1).mean(1, keepdim=True)
    torch.testing.assert_close(denoiser(IMAGE, 0.1), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("count", "dilations"), [(5, (1,) * 5), (7, (1, 2, 3, 4, 3, 2, 1))])
def test_kairs_dncnn_and_ircnn(tmp_path, count, dilations):
    convolutions = layers(count)
    state = {f"model.{2 * n}.{kind}": t for n, pair in enumerate(convolutions) for kind, t in zip(("weight", "bias"), pair, strict=True)}
    denoiser = load_denoiser(str(saved({"params": state}, tmp_path / "net.pth")))
    torch.testing.assert_close(denoiser(IMAGE, 0.1), IMAGE - dncnn_by_hand(convolutions, IMAGE, dilations), atol=1e-5, rtol=1e-4)


def test_deepinvs_dncnn(tmp_path):
    convolutions = layers(6)
    names = ["in_conv", *(f"conv_list.{n}" for n in range(4)), "out_conv"]
    state = {f"{n}.{k}": t for n, pair in zip(names, convolutions, strict=True) for k, t in zip(("weight", "bias"), pair, strict=True)}
    denoiser = load_denoiser(str(saved({"state_dict": state}, tmp_path / "net.pt")))
    torch.testing.assert_close(denoiser(IMAGE, 0.1), IMAGE + dncnn_by_hand(convolutions, IMAGE, (1,) * 6), atol=1e-5, rtol=1e-4)


def test_they_become_the_identity_and_take_any_shape(tmp_path):
    denoiser = load_denoiser(str(saved(drunet(1), tmp_path / "net.pth")))
    least, less = (float((denoiser(IMAGE, s) - IMAGE).abs().max()) for s in (LEAST_SIGMA, LEAST_SIGMA / 100))
    assert less == pytest.approx(least / 100, rel=1e-2)
    assert denoiser(torch.rand(1, 1, 13, 7), 0.1).shape == (1, 1, 13, 7)


def test_added_they_become_checkpoints_without_pickles(tmp_path):
    file = saved(drunet(1), tmp_path / "net.pth")
    kept = registry.add(file, "natural")
    assert kept.suffix == ".safetensors"
    torch.testing.assert_close(load_denoiser("natural")(IMAGE, 0.1), load_denoiser(str(file))(IMAGE, 0.1))
    assert load_denoiser("natural").card.licence == "unknown"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"layer.weight": torch.zeros(3)}, "unknown architecture; known are dpir-drunet, kair-dncnn, deepinv-dncnn"),
        ({"m_head.weight": torch.zeros(4, 2, 3, 3)}, "do not fit"),
        (drunet(1) | {"m_tail.weight": torch.full((1, 4, 3, 3), float("nan"))}, "NaN"),
        ([1, 2], "names and tensors"),
        ({"epoch": 3}, "names and tensors"),
    ],
)
def test_other_state_dicts_are_refused(tmp_path, state, said):
    with pytest.raises(CheckpointError, match=said):
        load_denoiser(str(saved(state, tmp_path / "net.pt")))


def test_cut_files_are_refused(tmp_path):
    file = saved(drunet(1), tmp_path / "net.pt")
    whole = file.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:cut])
        with pytest.raises(CheckpointError, match="damaged"):
            load_denoiser(str(file))


# --- programs


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, image: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return image - sigma.view(-1, 1, 1, 1) * self.layer(image)


class Blind(Net):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image - self.layer(image)


class Mapped(Net):
    def forward(self, image: torch.Tensor, noise_map: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.cat([image, noise_map], 1)[:, :1])


def scripted(network: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(network), str(path))
    return path


def exported(network: nn.Module, path: Path, arguments: tuple[torch.Tensor, ...]) -> Path:
    free = torch.export.Dim.DYNAMIC
    shapes = ({0: free, 2: free, 3: free}, *({0: free},) * (len(arguments) - 1))
    torch.export.save(torch.export.export(network.eval(), arguments, dynamic_shapes=shapes), path)
    return path


@pytest.mark.parametrize("suffix", [".ts", ".pt"])
@pytest.mark.parametrize("kind", [Net, Blind, Mapped])
def test_torchscript(tmp_path, kind, suffix):
    torch.manual_seed(0)
    network = kind()
    denoiser = load_denoiser(str(scripted(network, tmp_path / f"net{suffix}")))
    sigma = torch.full((2,), 0.1)
    expected = network(*{Net: (IMAGE, sigma), Blind: (IMAGE,), Mapped: (IMAGE, torch.full_like(IMAGE, 0.1))}[kind])
    torch.testing.assert_close(denoiser(IMAGE, 0.1), expected)


@pytest.mark.slow
def test_an_exported_program(tmp_path):
    network = Net()
    file = exported(network, tmp_path / "net.pt2", (torch.rand(2, 1, 32, 32), torch.rand(2)))
    torch.testing.assert_close(load_denoiser(str(file))(IMAGE, 0.1), network(IMAGE, torch.full((2,), 0.1)))
    assert registry.add(file, "program").name == "program.pt2"
    torch.testing.assert_close(load_denoiser("program")(IMAGE, 0.1), network(IMAGE, torch.full((2,), 0.1)))


def test_another_signature_is_refused(tmp_path):
    class Wrong(Net):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image[..., ::2]

    with pytest.raises(CheckpointError, match="accepts neither"):
        load_denoiser(str(scripted(Wrong(), tmp_path / "net.ts")))


def rewritten(file: Path, change) -> None:
    with zipfile.ZipFile(file) as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in change(parts).items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "line",
    [
        'z = torch.from_file("{}", True, 4)',
        'f = torch.from_file\n    z = f("{}", True, 4)',
        'z = ops.aten.from_file("{}", True, 4)',
        'z = (ops#\n    .aten.from_file)("{}", True, 4)',
        'z = torch.from_file \\\n    ("{}", True, 4)',
        'z = getattr(torch, "from_" "file")("{}", True, 4)',
        'z = getattr(torch, "from\\x5ffile")("{}", True, 4)',
        'torch.save(image, "{}")',
    ],
)
def test_torchscript_that_reaches_for_files_is_refused(tmp_path, line):
    canary = tmp_path / "canary"
    file = scripted(Net(), tmp_path / "net.ts")

    def reaching(parts):
        (name,) = (n for n in parts if n.endswith("test_foreign.py"))
        head, arrow, body = parts[name].decode().partition("-> Tensor:\n")
        return parts | {name: f"{head}{arrow}    {line.format(canary)}\n{body}".encode()}

    rewritten(file, reaching)
    with pytest.raises(CheckpointError, match="could read or write files"):
        load_denoiser(str(file))
    assert not canary.exists()


@pytest.mark.slow
def test_an_exported_program_that_would_run_code_is_refused(tmp_path):
    canary = tmp_path / "canary"
    evil = pickle.dumps(Canary(str(canary)))

    def pickled_weight(parts):
        (config,) = (n for n in parts if n.endswith("weights_config.json"))
        told = json.loads(parts[config])
        told["config"]["layer.bias"]["use_pickle"] = True
        folder = config.rpartition("/")[0]
        return parts | {config: json.dumps(told).encode(), f"{folder}/{told['config']['layer.bias']['path_name']}": evil}

    def pickled_inputs(parts):
        (name,) = (n for n in parts if "sample_inputs" in n)
        return parts | {name: evil}

    def library(parts):
        return parts | {next(iter(parts)).partition("/")[0] + "/data/aotinductor/model/x.so": b"\0"}

    def expression(parts):
        (name,) = (n for n in parts if n.endswith("models/model.json"))
        told = json.loads(parts[name])
        told["graph_module"]["expr_str"] = f"open({str(canary)!r}, 'w')"
        return parts | {name: json.dumps(told).encode()}

    for change in (pickled_weight, pickled_inputs, library, expression):
        file = exported(Net(), tmp_path / "net.pt2", (torch.rand(2, 1, 32, 32), torch.rand(2)))
        rewritten(file, change)
        with pytest.raises(CheckpointError, match=r"run code|plain exported"):
            load_denoiser(str(file))
        assert not canary.exists()
    (tmp_path / "none.pt2").write_bytes(b"no archive")
    with pytest.raises(CheckpointError, match="damaged"):
        load_denoiser(str(tmp_path / "none.pt2"))


def edited(file: Path, old: str, new: str) -> None:
    def change(parts):
        (name,) = (n for n in parts if n.endswith("models/model.json"))
        text = parts[name].decode()
        assert old in text
        return parts | {name: text.replace(old, new).encode()}

    rewritten(file, change)


@pytest.mark.slow
def test_an_exported_programs_names_and_trees_run_nothing(tmp_path, monkeypatch):
    """Its loader pastes names into Python and imports what a tree specification names."""
    canary = tmp_path / "canary"
    (tmp_path / "imported.py").write_text(f"open({str(canary)!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    file = exported(Net(), tmp_path / "net.pt2", (torch.rand(2, 1, 32, 32), torch.rand(2)))
    whole = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        model = json.loads(archive.read(next(n for n in archive.namelist() if n.endswith("models/model.json"))))
    target = next(node["target"] for node in model["graph_module"]["graph"]["nodes"])
    enumerated = json.dumps({"__enum__": True, "fqn": "imported:X", "name": "y"})
    leaf = {"type": None, "context": None, "children_spec": []}
    tree = json.dumps([1, {"type": "builtins.tuple", "context": enumerated, "children_spec": [leaf]}])
    spec = model["graph_module"]["module_call_graph"][0]["signature"]["out_spec"]
    for old, new in (
        ('"sigma"', json.dumps(f"sigma=open({str(canary)!r}, chr(119))")),
        (json.dumps(spec), json.dumps(tree)),
        (json.dumps(target), '"_operator.attrgetter"'),
        (json.dumps(target), '"torch.ops.aten.from_file.default"'),
        (json.dumps(target), '"imported.X"'),
    ):
        file.write_bytes(whole)
        edited(file, old, new)
        with pytest.raises(CheckpointError, match="run code"):
            load_denoiser(str(file))
        assert not canary.exists()
