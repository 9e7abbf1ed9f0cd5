"""A second g_a that takes noise out: noisy pixels to the latents of the clean picture, in one pass.

The decoder and the entropy model are those of the codec, untouched: what it gives can be coded as it is, or decoded
at once. Starts as the codec's g_a (tools/train_denoiser.py), with more blocks, which know how strong the noise is, and
a gate on the linear transform, which shrinks its coefficients where they are noise (Donoho and Johnstone 1994).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor, nn

from vaecodec.container import QUALITY_MAX
from vaecodec.errors import UnsupportedError
from vaecodec.grid import FEATURE_ONE, Block, Linear, float32_by_default, requantise, space_to_depth
from vaecodec.model import MEAN_ONE, STEP_ONE, Y_MAX, Analysis, Config, QualityTable
from vaecodec.restoration.cleaner import Cleaner
from vaecodec.weights import DEFAULT, Weights, read_file

SHIPPED = DEFAULT.with_suffix(".denoiser.safetensors")
FORMAT = "vaecodec-denoiser-1"

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

    @property
    def margin(self) -> int:
        """Cells of 16 x 16 pixels that a position of y sees beyond its own."""
        return -(-len(self.blocks) // 2)

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


class Denoiser(Cleaner):
    """A DenoisingAnalysis and the codec's own g_s.

    Raises: UnsupportedError where the file is no denoiser, or one for another model.
    """

    SHIFTS = 4
    GUIDED = False
    FINER = 300

    def __init__(self, weights: Weights, device: str = "cpu", path: Path = SHIPPED) -> None:
        super().__init__(weights, device)
        self.analysis = load(path, weights).to(device)

    def latents(self, q: Tensor, step: Tensor, sigma: float, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return self.analysis(x, q, step, torch.tensor([sigma], dtype=torch.float32, device=x.device))


def pack(analysis: DenoisingAnalysis, model_hash: bytes) -> bytes:
    """A denoiser's file: float16, for the model of that hash."""
    tensors = {name: value.numpy().astype(np.float16) for name, value in analysis.state_dict().items()}
    metadata = {"format": FORMAT, "model": model_hash.hex(), "blocks": str(len(analysis.blocks))}
    return bytes(save(tensors, metadata))


def load(path: Path, weights: Weights) -> DenoisingAnalysis:
    """Raises: UnsupportedError."""
    metadata, tensors = read_file(path)
    if metadata.get("format") != FORMAT or metadata.get("model") != weights.hash.hex():
        raise UnsupportedError(f"{path}: no denoiser for model {weights.name} {weights.hash.hex()}")
    try:
        with float32_by_default():
            analysis = DenoisingAnalysis(weights.model.cfg, int(metadata["blocks"]))
        analysis.load_state_dict({name: torch.from_numpy(value).float() for name, value in tensors.items()})
    except (KeyError, ValueError, RuntimeError) as error:
        raise UnsupportedError(f"{path}: unusable denoiser: {error}") from error
    return analysis.eval().requires_grad_(False)
