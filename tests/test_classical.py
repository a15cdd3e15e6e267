"""Classical denoisers: they remove noise, and leave alone what has none."""

import pytest
import torch
from helpers import SMALL

import napari_stem_inpaint as nsi
from napari_stem_inpaint.denoisers.classical import CLASSICAL
from napari_stem_inpaint.denoisers.registry import CLASSICAL_NAMES, load_denoiser
from napari_stem_inpaint.errors import CheckpointError


def test_names_and_dict_agree():
    assert tuple(CLASSICAL) == CLASSICAL_NAMES


@pytest.mark.parametrize("name", CLASSICAL_NAMES)
def test_noise_goes_and_the_image_stays(name):
    if name == "bm3d":
        pytest.importorskip("bm3d")
    image = nsi.simulate(nsi.SimulationParams(**SMALL)).image
    clean = torch.as_tensor(image / image.max()).expand(2, 1, -1, -1).double()
    denoiser, ticks = load_denoiser(name), []
    denoiser.on_every_layer(lambda: ticks.append(1))
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    restored = denoiser(noisy, 0.1)
    assert restored.dtype == noisy.dtype
    assert float((restored - clean).std()) < 0.06
    assert len(ticks) == 2
    assert float((denoiser(clean, 1e-5) - clean).abs().max()) < 1e-4


def test_what_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bm3d", None)
    with pytest.raises(CheckpointError, match=r"pip install .*\[bm3d\]"):
        load_denoiser("bm3d")(torch.zeros(1, 1, 16, 16), 0.1)
