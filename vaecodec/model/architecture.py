"""What the networks are made of: numbers of channels, units, ranges, and the layers of a model by name.

Plain data, which needs no PyTorch. networks.py has the same layers to be trained; native.py runs them in the core.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.header import QUALITY_MAX

FEATURE_ONE = 128  # the integer that stands for 1.0 in a feature
FEATURE_MAX = 2047  # features are 12-bit signed integers
FLOAT32_BITS = 24  # significand bits of float32: integers below 2**24 are exact
FLOAT64_BITS = 53
WIDE_FRACTION = 9  # wide layers take inputs on the grid of 2**-9
WEIGHT_MAX = 32767  # weights are stored as int16
EXPONENT_MAX = 24

ANCHORS = 9  # quality anchors, every 125
ANCHOR_STEP = QUALITY_MAX // (ANCHORS - 1)
LAMBDA_RANGE = (0.0004, 0.5)  # log-linear over q

STEP_ONE = 64  # quantiser steps are integers in 1/64 of an 8-bit level
MEAN_ONE = 16  # means, and so y_hat, are integers in 1/16 of a step
Y_MAX = 16383  # |y_hat| in 1/16 step
SKIPPED_MAX = 16  # |mean| in 1/16 step of a latent that is not coded: farther out, a wrong mean would ruin pixels
R_MAX = 32767  # |r|, a coded residual, in steps
Z_MAX = 63  # |z_hat|
Z_CELL = 4  # positions of y per side of one position of z
PIXEL_ONE = 64  # x_hat is an integer in 1/64 of an 8-bit level
X_MAX = 2**20  # |output of the shortcut|, in 1/64 level
Y_PIXEL_MAX = 2**23  # |y_hat * step|, in 1/1024 level
TABLES = 64  # scale indices; index i stands for sigma = 2 ** (i / 7 - 3)
INDEX_ONE = 16  # the networks predict the index in 1/16
FILTER_ONE = 128  # the integer that stands for 1 in a coefficient of loop_filter.py
FILTER_NUMBERS = 36  # of them in a filter
FILM_ONE = 64  # the integer that stands for 1 in the scale of g_s's features

Number = TypeVar("Number")  # an int or a float, an array or a tensor of them


@dataclass(frozen=True)
class Config:
    """Architecture numbers; part of the model file and of its hash."""

    C: int = 160  # channels of g_a and g_s at 1/8
    M: int = 384  # channels of y
    N: int = 96  # channels of z
    D: int = 192  # channels of the entropy networks at 1/16
    low: int = 32  # channels of the first group
    mid: int = 0  # where a second group ends and a third begins; 0: there are two
    blocks_a: int = 5
    blocks_s: int = 6
    blocks_h: int = 1
    blocks_c: int = 2  # blocks per context step

    def to_dict(self) -> dict[str, int]:
        """As a model file has it: without what is left out there."""
        return {name: value for name, value in asdict(self).items() if value or name != "mid"}

    @property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """First channel and end of the groups of y: the low ones, and one or two of the others."""
        ends = [0, self.low, *([self.mid] if self.mid else []), self.M]
        return tuple(itertools.pairwise(ends))

    @property
    def known(self) -> tuple[int, ...]:
        """How many channels of y_hat each context step may look at."""
        return tuple(end for group in self.groups for end in group)

    @property
    def margin(self) -> int:
        """Positions of y that a pixel sees beyond its own: each block of g_s reaches one position at 1/8."""
        return -(-self.blocks_s // 2)


class Layer(NamedTuple):
    """An exact layer of a decoder. limit: of its inputs' magnitudes. taps: 0 of a 1x1 layer, 9 of a depthwise one."""

    outputs: int
    inputs: int
    limit: float = FEATURE_MAX
    wide: bool = False

    @property
    def bits(self) -> int:
        """What sums may take: significand bits less the fraction bits of the inputs."""
        return FLOAT64_BITS - WIDE_FRACTION if self.wide else FLOAT32_BITS

    def check(self, w: NDArray, b: NDArray, k: NDArray) -> None:
        """Raises ValueError where weights (outputs, inputs), biases and exponents fail the overflow proof."""
        if k.min() < 0 or k.max() > EXPONENT_MAX:
            raise ValueError("a layer's exponent is out of range")
        sums = np.abs(w.astype(np.int64)).sum(1) * self.limit + np.abs(b.astype(np.int64))
        if (sums >= 2.0**self.bits).any():
            raise ValueError("a layer's weights fail the overflow proof")


class Table(NamedTuple):
    """A row of integers for each quality: linear between anchors."""

    columns: int
    low: int
    high: int

    def check(self, t: NDArray) -> None:
        """Raises ValueError where anchors are out of range."""
        if t.min() < self.low or t.max() > self.high:
            raise ValueError("a quality table is out of range")


def block(path: str, n: int) -> Iterator[tuple[str, Layer]]:
    """The layers of a block of n channels."""
    yield f"{path}.w1", Layer(2 * n, n)
    yield f"{path}.dw", Layer(2 * n, 9)
    yield f"{path}.w2", Layer(n, n)


def decoding(cfg: Config) -> dict[str, Layer | Table]:
    """What decoders need, by path: exact layers and quality tables."""
    found: dict[str, Layer | Table] = {
        "step": Table(cfg.M, 1, 32767),
        "index_bias": Table(cfg.M, -2047, 2047),
        "filter": Table(FILTER_NUMBERS, -2047, 2047),
        "h_s.enter": Layer(4 * cfg.D, cfg.N, limit=Z_MAX * 16),
        "h_s.up": Layer(4 * cfg.D, cfg.D),
        "h_s.bias": Table(cfg.D, -FEATURE_MAX, FEATURE_MAX),
        "g_s.enter": Layer(4 * cfg.C, cfg.M, limit=Y_PIXEL_MAX / 512, wide=True),
        "g_s.shortcut": Layer(768, cfg.M, limit=Y_PIXEL_MAX / 512, wide=True),
        "g_s.film_scale": Table(cfg.C, 0, 511),
        "g_s.film_bias": Table(cfg.C, -FEATURE_MAX, FEATURE_MAX),
        "g_s.leave": Layer(192, cfg.C),
    }
    found |= block("h_s.block1", cfg.D)
    for i in range(cfg.blocks_h):
        found |= block(f"h_s.blocks.{i}", cfg.D)
    for i in range(cfg.blocks_s):
        found |= block(f"g_s.blocks.{i}", cfg.C)
    for s, known in enumerate(cfg.known):
        start, stop = cfg.groups[s // 2]
        if known:
            found[f"context.{s}.enter"] = Layer(cfg.D, known)
        for i in range(cfg.blocks_c):
            found |= block(f"context.{s}.blocks.{i}", cfg.D)
        found[f"context.{s}.leave"] = Layer(2 * (stop - start), cfg.D)
    return found


def encoding(cfg: Config) -> dict[str, tuple[int, ...]]:
    """The shapes of all other numbers, which serve encoders only, by path."""
    layers = [("g_a.enter", cfg.C, 192), ("g_a.leave", cfg.M, 4 * cfg.C), ("h_a.enter", cfg.D, cfg.M)]
    layers += [("h_a.down1", cfg.D, 4 * cfg.D), ("h_a.down2", cfg.N, 4 * cfg.D)]
    blocks = [(f"g_a.blocks.{i}", cfg.C) for i in range(cfg.blocks_a)] + [(f"h_a.block{i}", cfg.D) for i in (1, 2)]
    layers += [(path, *layer[:2]) for name, n in blocks for path, layer in block(name, n)]
    found: dict[str, tuple[int, ...]] = {"g_a.film.value": (ANCHORS, cfg.C), "g_a.shortcut": (cfg.M, 768)}
    for path, outputs, inputs in layers:
        found |= {f"{path}.weight": (outputs, inputs), f"{path}.bias": (outputs,)}
    return found | {"z_mean": (ANCHORS, cfg.N), "z_log_scale": (ANCHORS, cfg.N)}


def quality_lambda(q: Number) -> Number:
    """Lagrange multiplier of quality q (0..1000): loss = bpp + lambda * MSE in 8-bit levels squared."""
    low, high = LAMBDA_RANGE
    return low * (high / low) ** (q / QUALITY_MAX)  # type: ignore[operator]


def table_row(anchors: NDArray, q: int) -> NDArray[np.int64]:
    """The row (n,) of a quality table (ANCHORS, n) for quality q, 0..1000:

    (A[k] * (125 - f) + A[k+1] * f + 62) // 125 with k = min(q // 125, 7), f = q - 125 k.
    """
    k = min(q // ANCHOR_STEP, ANCHORS - 2)
    f = q - k * ANCHOR_STEP
    a = anchors[k : k + 2].astype(np.int64)
    return (a[0] * (ANCHOR_STEP - f) + a[1] * f + ANCHOR_STEP // 2) // ANCHOR_STEP
