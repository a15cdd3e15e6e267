"""The optimiser moves the weights themselves, along orthogonal directions inside the network."""

import pytest
import torch

from napari_stem_inpaint.denoisers.networks import DRUNet, on_device
from napari_stem_inpaint.optimiser import MuonAdam


def prepared():
    torch.manual_seed(0)
    network = on_device(DRUNet((8, 16), blocks=1, contrasts=4), torch.device("cpu"))
    torch.nn.init.normal_(network.tail.weight, std=0.1)
    return network, MuonAdam(network, 1e-2)


def gradients(network, seed):
    torch.manual_seed(seed)
    network(torch.rand(2, 1, 32, 32), torch.tensor([0.1, 0.01])).square().mean().backward()


def test_every_weight_moves_and_every_gradient_is_forgotten():
    network, optimiser = prepared()
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    gradients(network, 1)
    optimiser.step(1e-2)
    for n, p in network.named_parameters():
        assert not torch.equal(before[n], p), n
        assert p.grad is None


def test_a_step_inside_is_orthogonal():
    network, optimiser = prepared()
    (name, weights), *_ = optimiser.inner.items()
    before = weights.detach().clone()
    gradients(network, 1)
    optimiser.step(1e-2)
    step = (before - weights.detach()).permute(0, 2, 3, 1).flatten(1)
    values = torch.linalg.svdvals(step) / (1e-2 * 0.2 * max(step.shape) ** 0.5)
    assert name.startswith("down")
    assert 0.5 < float(values.min()) < float(values.max()) < 1.5


def test_it_goes_on_as_if_it_had_not_stopped():
    (one, a), (two, b) = prepared(), prepared()
    for seed in range(3):
        gradients(one, seed)
        a.step(1e-2)
    for seed in range(2):
        gradients(two, seed)
        b.step(1e-2)
    resumed = MuonAdam(two, 1e-2)
    resumed.restore({n: t.clone() for n, t in b.tensors().items()}, 2)
    gradients(two, 2)
    resumed.step(1e-2)
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-7, rtol=0)


def test_a_state_of_another_network_is_refused():
    _, optimiser = prepared()
    with pytest.raises(KeyError):
        optimiser.restore({}, 1)
