"""tools/train/candidates.py: every candidate is what it says, costs the decoder no more, and can be learned."""

from __future__ import annotations

import pytest
import torch

from tests.sample_pictures import picture
from tools.train.candidates import CANDIDATES, Basis, Candidate, ElementStep, TableBank, candidate, fold, haar
from tools.train.loss import forward, uniform_noise, z_bits
from tools.train.screening import work
from vaecodec.model.architecture import Config
from vaecodec.model.exact import Block
from vaecodec.model.networks import Model

CONFIG = Config(C=40, M=64, N=8, D=16, low=8, blocks_a=3, blocks_s=3, blocks_h=1, blocks_c=1)
SMALL = Config(C=80, M=384, N=48, D=96)  # what the candidates are compared at


def made(names: str, cfg: Config = CONFIG) -> Candidate:
    torch.manual_seed(1)
    return candidate(names, cfg)


def x() -> torch.Tensor:
    return torch.from_numpy(picture(64, 128, 3))[None]


@pytest.mark.parametrize("name", CANDIDATES)
def test_decoder_costs_no_more(name: str) -> None:
    base, analysis = work(made("base", SMALL), 128)
    decoder, _ = work(fold(made(name, SMALL)), 128)
    assert 0.97 * base < decoder < 1.03 * base
    assert (work(fold(made(name, SMALL)), 128)[1] > 1.03 * analysis) is (name == "analysis")


@pytest.mark.parametrize("names", [*CANDIDATES, "relu+twoscale8+analysis+haar"])
def test_every_parameter_learns(names: str) -> None:
    """Off the grid and on it; what begins at zero hides what is before it, so it is filled first."""
    model = made(names)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2 and not parameter.any():
                parameter.normal_(std=0.05)
        model.h_a.down2.bias.fill_(50.0)  # else z is all zeros
    unused = {"filter.value"} | ({"z_mean", "z_log_scale"} if "bank" in names else set())
    for grid in (False, True):
        model.set_grid(grid)
        bits, pixels = forward(model, x(), torch.tensor([500]), uniform_noise(model, x()))
        (bits.sum() + (pixels - x()).square().mean()).backward()
        still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
        assert still == unused
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        model.zero_grad()


def test_base_is_the_model() -> None:
    torch.manual_seed(1)
    model, q = Model(CONFIG), torch.tensor([500])
    with torch.no_grad():
        for a, b in zip(forward(model, x(), q, None), forward(made("base"), x(), q, None), strict=True):
            assert torch.equal(a, b)


def test_relu_replaces_every_gate() -> None:
    assert not any(isinstance(m, Block) for m in made("relu+twoscale16+analysis").modules())


@pytest.mark.parametrize("name", ["twoscale8", "twoscale16"])
def test_two_scales_on_the_grid_are_integers(name: str) -> None:
    model, q = made(name), torch.tensor([500])
    model.set_grid(True)
    with torch.no_grad():
        for parameter in model.g_s.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
        y_hat = (torch.randn(1, 4, 4, CONFIG.M) * 50).round()
        pixels = model.g_s(y_hat, q, model.steps(q))
    assert torch.equal(pixels, pixels.round())
    assert pixels.shape == (1, 64, 64, 3)


def test_element_step_widens_what_it_names() -> None:
    """Twice the step for one channel: its symbols get half as large, the pixels stay about the same."""
    model, q = made("step"), torch.tensor([900])
    assert isinstance(model.element_step, ElementStep)
    model.start_from_dct(torch.linspace(2, 1, 768))
    bits, pixels = forward(model, x(), q, None)
    with torch.no_grad():
        model.element_step.leave.bias[:] = 2.0  # exponents of 2
    coarse_bits, coarse = forward(model, x(), q, None)
    assert torch.all(coarse_bits < bits)
    levels = x().float() - 128
    error, coarse_error = ((p - levels).square().mean().item() for p in (pixels, coarse))
    assert error < coarse_error < 40 * error
    assert model.element_step(torch.zeros(1, 1, 1, CONFIG.D))[0, 0, 0, 0] == 4


def test_bank_of_one_table_is_that_table() -> None:
    model, z, q = made("base"), torch.randn(2, 1, 2, CONFIG.N).round(), torch.tensor([0, 1000])
    plain = z_bits(model, z, q, True)
    bank = TableBank(CONFIG, 1)
    with torch.no_grad():
        bank.mean.zero_()
        bank.log_scale.zero_()
    model.z_bank = bank
    for exact in (True, False):
        assert torch.allclose(z_bits(model, z, q, exact), plain)


def test_bank_takes_the_best_table() -> None:
    bank, q = TableBank(CONFIG, 2), torch.tensor([500])
    with torch.no_grad():
        bank.mean[:, 0], bank.mean[:, 1], bank.log_scale[:] = -3, 3, 0
    z = torch.full((1, 1, 1, CONFIG.N), 3.0)
    best, soft = bank(z, q, True), bank(z, q, False)
    alone = TableBank(CONFIG, 1)
    with torch.no_grad():
        alone.mean[:], alone.log_scale[:] = 3, 0
    assert torch.allclose(best, alone(z, q, True) + 1)  # a bit says which
    assert torch.all(soft <= best)


def test_haar_is_orthonormal() -> None:
    for n in (2, 4, 8):
        assert torch.allclose(haar(n) @ haar(n).T, torch.eye(n), atol=1e-6)
    assert torch.allclose(haar(4)[0], torch.full((4,), 0.5))


def test_haar_is_another_way_to_write_the_same_weights() -> None:
    torch.manual_seed(1)
    base, model, q = Model(CONFIG), made("haar"), torch.tensor([500])
    assert sum(isinstance(m, Basis) for m in model.modules()) == 8
    folded = fold(made("haar"))
    weights = folded.state_dict()
    assert weights.keys() == base.state_dict().keys()
    with torch.no_grad():
        for a, b in zip(forward(model, x(), q, None), forward(folded, x(), q, None), strict=True):
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-2)
        for name, a in base.state_dict().items():
            assert torch.allclose(a, weights[name], atol=1e-5), name
