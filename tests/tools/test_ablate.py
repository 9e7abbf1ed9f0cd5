"""tools/measure/ablate.py: what is taken away is gone, and the rest still works."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.sample_pictures import picture
from tools.measure import ablate
from tools.train.loss import forward
from vaecodec.model.architecture import Config
from vaecodec.model.networks import Model

CONFIG = Config(C=8, M=16, N=4, D=8, low=4, blocks_a=5, blocks_s=6, blocks_h=1, blocks_c=1)


def model_without(name: str) -> Model:
    torch.manual_seed(1)
    model = Model(CONFIG)
    with torch.no_grad():  # fresh layers begin at zero, and would hide everything
        for parameter in model.parameters():
            if parameter.ndim == 2 and not parameter.any():
                parameter.normal_(std=0.1)
    ablate.CHANGES[name](model)
    return model


def seen_by(model: Model, step: int) -> set[int]:
    """The steps before it whose symbols a context step's means depend on."""
    f, q = torch.randn(1, 4, 4, CONFIG.D, generator=torch.Generator().manual_seed(2)) * 100, torch.tensor([500])
    z_hat = torch.zeros(1, 1, 1, CONFIG.N)

    def means(changed: int | None) -> Tensor:
        found: list[Tensor] = []

        def code(i: int, mean: Tensor, index: Tensor, mask: Tensor) -> Tensor:
            found.append(mean)
            return torch.full_like(mean, 160.0 if i == changed else 16.0)

        with torch.no_grad():
            model.contexts(model.h_s(z_hat, q) + 0 * f, q, code)
        return found[step]

    return {i for i in range(step) if not torch.equal(means(i), means(None))}


@pytest.mark.parametrize(
    "name, seen",
    [
        ("everything", [set(), {0}, {0, 1}, {0, 1, 2}]),
        ("no context: each step sees h_s alone", [set(), set(), set(), set()]),
        ("no second phase: half a group does not see the other half", [set(), set(), {0, 1}, {0, 1}]),
        ("the high channels do not see the low ones", [set(), {0}, set(), {2}]),
    ],
)
def test_contexts(name: str, seen: list[set[int]]) -> None:
    model = model_without(name)
    assert [seen_by(model, step) for step in range(4)] == seen


@pytest.mark.parametrize("name, said", [("everything", True), ("no hyperprior", False)])
def test_z_says_nothing(name: str, said: bool) -> None:
    x, q, model = torch.from_numpy(picture(64, 64, 3))[None], torch.tensor([500]), model_without(name)
    heard: list[Tensor] = []
    model.h_s.register_forward_hook(lambda _module, inputs, _f: heard.append(inputs[0]))
    with torch.no_grad():
        bits, _ = forward(model, x, q, None)
    assert torch.isfinite(bits).all()
    assert bool(heard[0].any()) is said


def test_g_s_is_linear() -> None:
    q = torch.tensor([500])
    a, b = (torch.randn(1, 4, 4, CONFIG.M, generator=torch.Generator().manual_seed(n)) * 50 for n in (3, 4))
    for name, linear in (("everything", False), ("g_s linear", True)):
        model = model_without(name)
        with torch.no_grad():
            whole, parts, nothing = (
                model.g_s(y, q, model.steps(q)) for y in (a + b, torch.cat((a, b)), torch.zeros_like(a))
            )
        assert torch.allclose(whole[0] + nothing[0], parts.sum(0), atol=0.5) is linear


def test_blocks() -> None:
    assert len(model_without("g_s with three of six blocks").g_s.blocks) == 3
    assert len(model_without("g_a with three of five blocks").g_a.blocks) == 3
