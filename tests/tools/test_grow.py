"""tools/train/grow.py: more latent channels, the same function."""

from __future__ import annotations

import torch
from torch import Tensor

from tools.train.grow import grow, missing_rows, with_third_group
from vaecodec.model.architecture import Config
from vaecodec.model.networks import Model, dct_basis


@torch.no_grad()
def test_the_new_channels_change_nothing_yet() -> None:
    torch.manual_seed(1)
    old = Model(Config(C=8, M=24, N=4, D=8, low=8))
    old.start_from_dct(torch.linspace(9, 1, 768).exp())
    for p in old.parameters():
        p += 0.02 * torch.randn_like(p)
    new = grow(old, 40, torch.randn(500, 768) * 20)
    x, q = torch.randint(0, 256, (1, 64, 128, 3)).float() - 128, torch.tensor([600])
    y_old, y_new = (m.g_a(x, q, m.steps(q)) for m in (old, new))
    torch.testing.assert_close(y_new[..., :24], y_old)
    assert y_new[..., 24:].abs().max() > 0
    torch.testing.assert_close(new.h_a(y_new), old.h_a(y_old))
    seen: list[list[Tensor]] = []
    for m in (old, new):
        means: list[Tensor] = []

        def code(i: int, mean: Tensor, index: Tensor, mask: Tensor, means: list = means) -> Tensor:
            means.append(torch.stack((mean, index))[..., : 8 if i < 2 else 16])
            return torch.ones_like(mean)

        y_hat = m.contexts(m.h_s(torch.ones(1, 1, 2, 4), q), q, code)
        y_hat[..., 24:] = 0
        means.append(m.g_s(y_hat, q, m.steps(q)))
        seen.append(means)
    for a, b in zip(*seen, strict=True):
        torch.testing.assert_close(a, b)


@torch.no_grad()
def test_a_third_group_begins_with_what_the_second_knows() -> None:
    torch.manual_seed(2)
    old = Model(Config(C=8, M=24, N=4, D=8, low=8))
    for p in old.parameters():
        p += 0.05 * torch.randn_like(p)
    new = with_third_group(old, 12)
    assert new.groups == ((0, 8), (8, 12), (12, 24)) and len(new.context) == 6
    q, seen = torch.tensor([400]), []
    for m in (old, new):
        means: list[Tensor] = []

        def code(i: int, mean: Tensor, index: Tensor, mask: Tensor, means: list = means) -> Tensor:
            means.append(torch.stack((mean, index)))
            return torch.zeros_like(mean)

        m.contexts(m.h_s(torch.ones(1, 1, 2, 4), q), q, code)
        seen.append(means)
    for step in (0, 1):
        torch.testing.assert_close(seen[1][step], seen[0][step])
    torch.testing.assert_close(seen[1][2], seen[0][2][..., :4])
    assert seen[1][4].shape[-1] == 12 and seen[1][4].abs().max() > 0


def test_missing_rows_are_what_the_synthesis_lacks() -> None:
    basis = dct_basis()
    have = torch.cat((basis[:200], basis[300:400]))
    blocks = torch.randn(400, 768) @ basis * 0.1 + 30 * torch.randn(400, 1) * basis[500]
    rows, energy = missing_rows(have.T, blocks, 57)
    assert set(rows.tolist()) == {*range(200, 256), 500}
    assert energy[rows.tolist().index(500)] > 500
