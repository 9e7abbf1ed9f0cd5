"""The networks: g_a, g_s, h_a, h_s and the context steps, after section 2 to 5 of the design.

    x (H,W,3) -> space_to_depth 8 -> 192 -1x1-> C -blocks at 1/8- -> space_to_depth 2 -1x1-> M = y
    y_hat (H/16,W/16,M) -1x1-> 4C -> depth_to_space 2 -blocks at 1/8- -1x1-> 192 -> depth_to_space 8 -> x_hat

plus a linear 16x16 block transform as a shortcut around both, which starts as the DCT. All tensors
are NHWC. Legend: B batch, H W picture, h w = H/16 W/16, M latent channels, N hyper-latent channels,
q quality 0..1000. Everything the decoder runs is exact (exact.py); g_a and h_a are plain floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vaecodec.bitstream.header import QUALITY_MAX
from vaecodec.model.architecture import (
    ANCHOR_STEP,
    ANCHORS,
    FEATURE_MAX,
    FEATURE_ONE,
    FILTER_NUMBERS,
    FILTER_ONE,
    INDEX_ONE,
    MEAN_ONE,
    PIXEL_ONE,
    STEP_ONE,
    TABLES,
    X_MAX,
    Y_MAX,
    Y_PIXEL_MAX,
    Z_MAX,
    Config,
    quality_lambda,
)
from vaecodec.model.exact import (
    Block,
    Linear,
    clamp_ste,
    depth_to_space,
    requantise,
    round_ste,
    set_grid,
    space_to_depth,
)


class QualityTable(nn.Module):
    """A row of integers for each quality: linear between integer anchors, every 125 qualities.

    Args:
        columns: n. unit: the integer that stands for 1. low, high: range of the integers.
        start: initial value, in units. log: train the logarithm.
    """

    def __init__(
        self, columns: int, unit: float, low: int, high: int, *, start: float = 0.0, log: bool = False
    ) -> None:
        super().__init__()
        self.unit, self.low, self.high, self.start, self.log = unit, low, high, start, log
        self.value = nn.Parameter(torch.zeros(ANCHORS, columns))
        self.frozen: Tensor | None = None

    def anchors(self) -> Tensor:
        """(ANCHORS, n), not yet rounded."""
        value = self.value.exp() if self.log else self.value + self.start
        return (value * self.unit).clamp(self.low, self.high)

    def integers(self) -> Tensor:
        """(ANCHORS, n) int64, what the model file holds."""
        return self.anchors().detach().round().long() if self.frozen is None else self.frozen

    def freeze(self, integers: Tensor) -> None:
        """Run from now on with these anchors. Raises ValueError where they are out of range."""
        if integers.shape != self.value.shape:
            raise ValueError(f"a quality table has shape {tuple(integers.shape)}")
        if integers.min() < self.low or integers.max() > self.high:
            raise ValueError("a quality table is out of range")
        value = integers.float() / self.unit
        self.value = nn.Parameter(value.log() if self.log else value - self.start)
        self.frozen = integers.long()

    def forward(self, q: Tensor, grid: bool) -> Tensor:
        """Rows (B, 1, 1, n) of qualities q (B,) int64, 0..1000; on the grid

        (A[k] * (125 - f) + A[k+1] * f + 62) // 125 with k = min(q // 125, 7), f = q - 125 k.
        """
        k = (q // ANCHOR_STEP).clamp_max(ANCHORS - 2)
        f = (q - k * ANCHOR_STEP)[:, None]
        if grid:
            a = self.integers()
            total = a[k] * (ANCHOR_STEP - f) + a[k + 1] * f + ANCHOR_STEP // 2
            exact = torch.div(total, ANCHOR_STEP, rounding_mode="floor").float()
            if not torch.is_grad_enabled():
                return exact[:, None, None, :]
        a = self.anchors()
        row = (a[k] * (ANCHOR_STEP - f) + a[k + 1] * f) / ANCHOR_STEP
        if grid:
            row = row + (exact - row).detach()
        return row[:, None, None, :]


class Analysis(nn.Module):
    """g_a: pixels to y, in quantiser steps. Float."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.enter = Linear(192, cfg.C)
        self.blocks = nn.ModuleList(Block(cfg.C, exact=False) for _ in range(cfg.blocks_a))
        self.film = QualityTable(cfg.C, 1.0, 0, 8, start=1.0)
        self.leave = Linear(4 * cfg.C, cfg.M, zero=True)
        self.shortcut = nn.Parameter(torch.zeros(cfg.M, 768))

    @property
    def margin(self) -> int:
        """Cells of 16 x 16 pixels that a position of y sees beyond its own."""
        return -(-len(self.blocks) // 2)

    def forward(self, x: Tensor, q: Tensor, step: Tensor) -> Tensor:
        """x (B,H,W,3) in 8-bit levels minus 128, H and W multiples of 16 -> y (B,h,w,M) in steps."""
        f = requantise(self.enter(space_to_depth(x, 8)), False)
        for i, block in enumerate(self.blocks):
            if i == len(self.blocks) // 2:
                f = f * self.film(q, False)
            f = block(f)
        detail = self.leave(space_to_depth(f, 2)).float() * (16 / FEATURE_ONE)
        with torch.autocast(x.device.type, enabled=False):
            y = nn.functional.linear(space_to_depth(x.float(), 16), self.shortcut) + detail
        return (y * STEP_ONE / step).clamp(-Y_MAX // MEAN_ONE, Y_MAX // MEAN_ONE)


class Synthesis(nn.Module):
    """g_s: y_hat to pixels. Exact."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.enter = Linear(cfg.M, 4 * cfg.C, limit=Y_PIXEL_MAX / 512, wide=True)
        self.shortcut = Linear(cfg.M, 768, limit=Y_PIXEL_MAX / 512, wide=True)
        self.blocks = nn.ModuleList(Block(cfg.C, exact=True) for _ in range(cfg.blocks_s))
        self.film_scale = QualityTable(cfg.C, 64, 0, 511, start=1.0)
        self.film_bias = QualityTable(cfg.C, FEATURE_ONE, -FEATURE_MAX, FEATURE_MAX)
        self.leave = Linear(cfg.C, 192, limit=FEATURE_MAX, zero=True)

    @property
    def margin(self) -> int:
        """Positions of y that a pixel sees beyond its own: each block reaches one position at 1/8, half of one of y."""
        return -(-len(self.blocks) // 2)

    def forward(self, y_hat: Tensor, q: Tensor, step: Tensor) -> Tensor:
        """y_hat (B,h,w,M) in 1/16 step -> x_hat (B,16h,16w,3) in 1/64 level, minus 128 levels."""
        grid = self.leave.grid
        # In half levels, on the grid of 1/512 half level: exact in float64.
        y = (y_hat.double() if grid else y_hat) * step
        y = y.clamp(-Y_PIXEL_MAX, Y_PIXEL_MAX) * (1 / 512)
        f = requantise(self.enter(y), grid).float()
        f = depth_to_space(f, 2)
        scale, bias = self.film_scale(q, grid), self.film_bias(q, grid)
        for i, block in enumerate(self.blocks):
            if i == len(self.blocks) // 2:
                f = requantise(f * scale * (1 / 64) + bias, grid)
            f = block(f)
        detail = depth_to_space(self.leave(f).float(), 8)
        with torch.autocast(y.device.type, enabled=False):
            base = depth_to_space(self.shortcut(y if grid else y.float()), 16)
        base = requantise(base, grid, X_MAX).float()
        return (round_ste(detail) if grid else detail) + base


class HyperAnalysis(nn.Module):
    """h_a: y to z. Float."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.enter = Linear(cfg.M, cfg.D)
        self.block1 = Block(cfg.D, exact=False)
        self.down1 = Linear(4 * cfg.D, cfg.D)
        self.block2 = Block(cfg.D, exact=False)
        self.down2 = Linear(4 * cfg.D, cfg.N)

    def forward(self, y: Tensor) -> Tensor:
        """y (B,h,w,M) in steps, h and w multiples of 4 -> z (B,h/4,w/4,N)."""
        f = self.block1(requantise(self.enter(y * 16), False))
        f = self.block2(requantise(self.down1(space_to_depth(f, 2)), False))
        return self.down2(space_to_depth(f, 2)).float() * (4 / FEATURE_ONE)


class HyperSynthesis(nn.Module):
    """h_s: z_hat to features for the context steps. Exact."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.enter = Linear(cfg.N, 4 * cfg.D, limit=Z_MAX * 16)
        self.block1 = Block(cfg.D, exact=True)
        self.up = Linear(cfg.D, 4 * cfg.D, limit=FEATURE_MAX)
        self.blocks = nn.ModuleList(Block(cfg.D, exact=True) for _ in range(cfg.blocks_h))
        self.bias = QualityTable(cfg.D, FEATURE_ONE, -FEATURE_MAX, FEATURE_MAX)

    def forward(self, z_hat: Tensor, q: Tensor) -> Tensor:
        """z_hat (B,h/4,w/4,N) integers -> features (B,h,w,D)."""
        grid = self.up.grid
        f = self.block1(depth_to_space(requantise(self.enter(z_hat * 16), grid), 2))
        f = depth_to_space(requantise(self.up(f), grid), 2)
        f = requantise(f + self.bias(q, grid), False)
        for block in self.blocks:
            f = block(f)
        return f


class ContextStep(nn.Module):
    """One step of the context: features and what is decoded so far -> mean and scale index. Exact."""

    def __init__(self, cfg: Config, known: int, group: int) -> None:
        super().__init__()
        self.known = known  # channels of y_hat this step may look at
        self.enter = Linear(known, cfg.D, limit=FEATURE_MAX) if known else None
        self.blocks = nn.ModuleList(Block(cfg.D, exact=True) for _ in range(cfg.blocks_c))
        self.leave = Linear(cfg.D, 2 * group, limit=FEATURE_MAX, zero=True)

    def forward(self, f: Tensor, y_known: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """f (B,h,w,D), y_known (B,h,w,known) in 1/16 step, 0 where not decoded yet
        -> f, mean (B,h,w,group) in 1/16 step, index (B,h,w,group) in 1/16, before the quality's bias.
        """
        grid = self.leave.grid
        if self.enter is not None:
            assert y_known is not None
            h = requantise(self.enter(y_known.clamp(-FEATURE_MAX, FEATURE_MAX)), grid)
            f = requantise(f + h, False)
        for block in self.blocks:
            f = block(f)
        out = self.leave(f).float()
        mean, index = (round_ste(out) if grid else out).chunk(2, dim=-1)
        return f, mean.clamp(-Y_MAX, Y_MAX), index


def checkerboard(h: int, w: int, channels: int, phase: int, device: torch.device | str = "cpu") -> Tensor:
    """(h, w, channels) bool: what phase 0 or 1 codes. Every phase covers every position, with every
    other channel, so that each sees its neighbours in space and in frequency."""
    i, j, c = (torch.arange(n, device=device) for n in (h, w, channels))
    return (i[:, None, None] + j[None, :, None] + c) % 2 == phase


def z_features(model: Model, z_hat: Tensor, q: Tensor, h: int, w: int) -> Tensor:
    """h_s(z_hat), cropped to the h x w positions of y."""
    return model.h_s(z_hat, q)[:, :h, :w]


# What `Model.contexts` calls to turn (step, mean, index, mask) into y_hat where the mask is set.
Coder = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class Model(nn.Module):
    """All networks and quality tables of the codec."""

    def __init__(self, cfg: Config | None = None) -> None:
        super().__init__()
        self.cfg = cfg = cfg or Config()
        self.g_a, self.g_s = Analysis(cfg), Synthesis(cfg)
        self.h_a, self.h_s = HyperAnalysis(cfg), HyperSynthesis(cfg)
        self.groups = cfg.groups
        self.context = nn.ModuleList(
            ContextStep(cfg, known, stop - start)
            for known, (start, stop) in zip(cfg.known, (g for g in cfg.groups for _ in (0, 1)), strict=True)
        )
        self.step = QualityTable(cfg.M, STEP_ONE, 1, 32767, log=True)
        lam = quality_lambda(torch.linspace(0, QUALITY_MAX, ANCHORS, device="cpu"))
        with torch.no_grad():
            # The high-rate optimum of a uniform quantiser: dD/dR gives step = sqrt(18 / (ln 2 * lambda)).
            self.step.value.copy_(torch.log(5.1 / lam.sqrt())[:, None])
        # In units of 8 indices, so that Adam moves it about as fast as the weights.
        self.index_bias = QualityTable(cfg.M, 8 * INDEX_ONE, -2047, 2047)
        self.filter = QualityTable(FILTER_NUMBERS, FILTER_ONE, -2047, 2047)  # fitted: tools/train/fit_filter.py
        self.z_mean = nn.Parameter(torch.zeros(ANCHORS, cfg.N))
        self.z_log_scale = nn.Parameter(torch.zeros(ANCHORS, cfg.N))

    @property
    def grid(self) -> bool:
        return self.g_s.leave.grid

    def set_grid(self, grid: bool) -> None:
        set_grid(self, grid)

    def steps(self, q: Tensor) -> Tensor:
        """Quantiser steps (B,1,1,M) of quality q, in 1/64 level."""
        return self.step(q, self.grid)

    def contexts(self, f: Tensor, q: Tensor, code: Coder, groups: int | None = None) -> Tensor:
        """The one traversal that training, encoder and decoder share.

        Two phases of a checkerboard over the low-frequency channels, then over each group of the rest.
        In each, `code` gets mean and index (in 1/16) and returns y_hat in 1/16 step.

        Args:
            f: (B,h,w,D) from h_s. q: (B,). groups: how many of the groups of channels, from the low one on; by default
                all.

        Returns: y_hat (B,h,w,M), or of the low channels alone, in 1/16 step.
        """
        bias = self.index_bias(q, self.grid)
        known: list[Tensor] = []
        for g, (start, stop) in enumerate(self.groups[:groups]):
            for phase in (0, 1):
                step = self.context[2 * g + phase]
                f, mean, index = step(f, torch.cat(known, dim=-1) if known else None)
                index = clamp_ste(index + bias[..., start:stop], 0, (TABLES - 1) * INDEX_ONE)
                mask = checkerboard(f.shape[1], f.shape[2], stop - start, phase, f.device)
                y_hat = torch.where(mask, code(2 * g + phase, mean, index, mask), 0.0)
                if phase == 0:
                    known.append(y_hat)
                else:
                    known[-1] = known[-1] + y_hat
        return torch.cat(known, dim=-1)

    def start_from_dct(self, spectrum: Tensor) -> None:
        """Start as a block-DCT codec whose entropy model knows the variance of each coefficient.

        Args:
            spectrum: (768,) mean square of each coefficient of (opponent colour) x (16x16 DCT), in levels squared.
        """
        order = spectrum.argsort(descending=True)[: self.cfg.M]
        basis = dct_basis()[order]
        with torch.no_grad():
            self.g_a.shortcut.copy_(basis)
            # The shortcut of g_s takes half levels and gives 1/64 levels.
            self.g_s.shortcut.weight.copy_(basis.T * (PIXEL_ONE / 2))
            sigma = spectrum[order].sqrt() / self.step.value.exp()
            self.index_bias.value.copy_((7 * (sigma.clamp_min(1e-4).log2() + 3)).clamp(-8, TABLES) * INDEX_ONE / 128)


def dct_basis() -> Tensor:
    """(768, 768) orthonormal rows: opponent colours (luma, red-blue, green) x 16x16 DCT-II.

    Columns are pixels of a 16x16x3 cell in the order of `space_to_depth`.
    """
    n = torch.arange(16, dtype=torch.float64)
    dct = torch.cos(math.pi * (n + 0.5) * n[:, None] / 16) * math.sqrt(2 / 16)
    dct[0] /= math.sqrt(2)
    colour = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=torch.float64)
    colour /= colour.norm(dim=1, keepdim=True)
    return torch.einsum("ui,vj,kc->kuvijc", dct, dct, colour).reshape(768, 768).float()
