"""Muon: momentum whose matrices are replaced by the nearest orthogonal ones (Jordan et al. 2024), for 1x1 convolutions.

The step is scaled to about the root mean square of Adam's, so that both take the same learning rate
(Liu et al. 2025, "Muon is scalable for LLM training", section 2.2; a factor of 0.2 there).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic whose iterates bring all singular values near 1
ITERATIONS = 5
ADAM_RMS = 0.3


def orthogonalise(g: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Nearest semi-orthogonal matrices to g (..., m, n), roughly: singular values between 0.7 and 1.2.

    bfloat16 is enough inside, but 16 times as slow as float32 on a CPU without instructions for it.
    """
    a, b, c = NEWTON_SCHULZ
    x = g.to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(g.dtype)


class Muon(torch.optim.Optimizer):
    """For parameters of two dimensions; those of one shape are worked on together. dtype: see `orthogonalise`."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict],
        lr: float,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append(p)
            for shape, params in shapes.items():
                self._step(group, shape, params)

    def _step(self, group: dict, shape: torch.Size, params: list[Tensor]) -> None:
        directions = []
        for p in params:
            assert p.grad is not None
            buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
            buffer.lerp_(p.grad, 1 - group["momentum"])
            directions.append(p.grad.lerp(buffer, group["momentum"]))  # Nesterov's look ahead
        scale = ADAM_RMS * max(shape) ** 0.5
        for p, o in zip(params, orthogonalise(torch.stack(directions), self.dtype), strict=True):
            p.add_(o, alpha=-group["lr"] * scale)
