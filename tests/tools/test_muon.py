"""The trainer's optimiser for matrices."""

from __future__ import annotations

import copy

import pytest
import torch

from tools.train.muon import Muon, orthogonalise
from tools.train.train import optimisers
from vaecodec.model.architecture import Config
from vaecodec.model.networks import Model


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(3, 5), (64, 32), (2, 48, 80)])
def test_directions_are_nearly_orthogonal(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    g = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 1e-3
    singular = torch.linalg.svdvals(orthogonalise(g, dtype))
    assert 0.4 < singular.min() and singular.max() < 1.3
    aligned = (orthogonalise(g, dtype) * g).sum((-2, -1)) / torch.linalg.svdvals(g).sum(-1)
    assert (aligned > 0.6).all()  # 1 for the nearest orthogonal matrix


def test_it_fits_a_matrix() -> None:
    torch.manual_seed(1)
    wanted, x = torch.randn(12, 8), torch.randn(200, 8)
    weight = torch.zeros(12, 8, requires_grad=True)
    optimiser = Muon([weight], lr=0.4)
    first = (x @ wanted.T).square().mean()
    for step in range(60):
        loss = (x @ (weight - wanted).T).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.param_groups[0]["lr"] = 0.4 * (1 - step / 60)
        optimiser.step()
    assert loss < 0.01 * first


def test_state_comes_back() -> None:
    torch.manual_seed(1)
    weight = torch.randn(6, 4, requires_grad=True)
    twin = weight.detach().clone().requires_grad_()
    one, two = Muon([weight], lr=0.1), Muon([twin], lr=0.1)
    for optimiser, p in ((one, weight), (two, twin)):
        p.grad = torch.ones(6, 4)
        optimiser.step()
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    for optimiser, p in ((one, weight), (two, twin)):
        p.grad = torch.eye(6, 4)
        optimiser.step()
    assert torch.equal(weight, twin)


@pytest.mark.parametrize("muon", [False, True])
def test_every_parameter_has_one_optimiser(muon: bool) -> None:
    model = Model(Config(C=4, M=8, N=2, D=4, low=4))
    found = optimisers(model, 1e-3, muon)
    assert len(found) == 1 + muon
    params = [id(p) for o in found for group in o.param_groups for p in group["params"]]
    assert sorted(params) == sorted(id(p) for p in model.parameters())
