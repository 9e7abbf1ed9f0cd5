"""A second g_a that takes noise out: noisy pixels to the latents of the clean picture, in one pass.

The decoder and the entropy model are those of the codec, untouched: what it gives can be coded as it is, or decoded
at once. Starts as the codec's g_a (tools/train/train_denoiser.py), with more blocks, which know how strong noise is,
and a gate on the linear transform, which shrinks its coefficients where they are noise (Donoho and Johnstone 1994).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vaecodec.bitstream.header import QUALITY_MAX
from vaecodec.model.architecture import FEATURE_ONE, MEAN_ONE, STEP_ONE, Y_MAX, Config
from vaecodec.model.exact import Block, Linear, requantise, space_to_depth
from vaecodec.model.networks import Analysis, QualityTable

SIGMA_MAX = 100.0  # levels of noise, the end of the tables' scale


def noise_index(sigma: Tensor) -> Tensor:
    """Where on the scale of a QualityTable, 0 to 1000, noise of sigma (B,) levels stands: int64."""
    share = (1 + sigma).log() / math.log(1 + SIGMA_MAX)
    return (share * QUALITY_MAX).round().long().clamp(0, QUALITY_MAX)


class DenoisingAnalysis(nn.Module):
    """g_a for noisy pictures. Float.

    Args: blocks: how many, at 1/8 of the resolution.
    """

    def __init__(self, cfg: Config, blocks: int) -> None:
        super().__init__()
        self.enter = Linear(192, cfg.C)
        self.blocks = nn.ModuleList(Block(cfg.C, exact=False) for _ in range(blocks))
        self.film = QualityTable(cfg.C, 1.0, 0, 8, start=1.0)
        self.noise_film = nn.ModuleList(QualityTable(cfg.C, 1.0, 0, 8, start=1.0) for _ in range(2))
        self.leave = Linear(4 * cfg.C, cfg.M)
        self.gate = Linear(4 * cfg.C, cfg.M, zero=True)
        self.gate_bias = QualityTable(cfg.M, 1.0, -2, 2, start=1.0)  # by noise
        self.shortcut = nn.Parameter(torch.zeros(cfg.M, 768))

    def start_from(self, g_a: Analysis) -> None:
        """Begin as the codec's own, its blocks first."""
        with torch.no_grad():
            for name in ("enter", "leave", "film"):
                getattr(self, name).load_state_dict(getattr(g_a, name).state_dict())
            for mine, its in zip(self.blocks, g_a.blocks, strict=False):
                mine.load_state_dict(its.state_dict())
            self.shortcut.copy_(g_a.shortcut)

    def forward(self, x: Tensor, q: Tensor, step: Tensor, sigma: Tensor) -> Tensor:
        """x (B,H,W,3) in 8-bit levels minus 128, H and W multiples of 16, sigma (B,) of its noise in levels
        -> y (B,h,w,M) in steps."""
        n = noise_index(sigma)
        f = requantise(self.enter(space_to_depth(x, 8)), False) * self.noise_film[0](n, False)
        middle = len(self.blocks) // 2
        for i, block in enumerate(self.blocks):
            if i == middle:
                f = f * (self.film(q, False) * self.noise_film[1](n, False))
            f = block(f)
        f = space_to_depth(f, 2)
        detail = self.leave(f).float() * (16 / FEATURE_ONE)
        gate = (self.gate(f).float() * (1 / FEATURE_ONE) + self.gate_bias(n, False)).clamp(-0.5, 1.5)
        with torch.autocast(x.device.type, enabled=False):
            y = nn.functional.linear(space_to_depth(x.float(), 16), self.shortcut) * gate + detail
        return (y * STEP_ONE / step).clamp(-Y_MAX // MEAN_ONE, Y_MAX // MEAN_ONE)
