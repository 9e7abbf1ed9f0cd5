"""The networks of a model as the native core runs them: integers in, integers out, the same on every machine."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vaecodec.core import networks
from vaecodec.core.networks import AnalysisRows, Chain, Context, Exact, Film, Hyper, SynthesisRows
from vaecodec.model.architecture import (
    ANCHOR_STEP,
    ANCHORS,
    FEATURE_MAX,
    FEATURE_ONE,
    FILM_ONE,
    MEAN_ONE,
    STEP_ONE,
    WEIGHT_MAX,
    Y_MAX,
    Z_CELL,
)
from vaecodec.model.weights import ENCODER, Weights

SUM_BITS = 31  # of the sums of an encoder's layers, whose outputs need not be exact, only the same everywhere
PIXEL_MAX = 128  # a pixel less 128
FINER = 8  # how much finer than a decoder's an encoder's features are
FINE_ONE, FINE_MAX = FINER * FEATURE_ONE, FINER * FEATURE_MAX
BLOCK = "w1", "dw", "w2"  # a block's layers
Y_ONE = 64  # the integer that stands for a quantiser step in what h_a sees
INT16_MAX = 32767
FILM_SHIFT = 10  # the fraction bits of what scales the features of g_a


def quantised(weight: NDArray, bias: NDArray, limit: float) -> Exact:
    """A float layer on the grid, each output with the finest exponent for which no sum can overflow.

    Args: weight: (outputs, inputs). bias: in units of the output. limit: of the inputs' magnitudes.
    """
    w, b = weight.astype(np.float64), bias.astype(np.float64)
    room = 2.0**SUM_BITS - 2 - limit * 0.5 * w.shape[1]
    fits = room / np.maximum(np.abs(w).sum(1) * limit + np.abs(b), 1e-9)
    stores = (WEIGHT_MAX - 0.5) / np.maximum(np.abs(w).max(1), 1e-9)
    k = np.clip(np.floor(np.log2(np.minimum(fits, stores))), -40, 30).astype(np.int64)
    return Exact(np.rint(np.ldexp(w, k[:, None])), np.rint(np.ldexp(b, k)), k)


class Decoder:
    """h_s, the context steps and g_s of a model."""

    def __init__(self, weights: Weights) -> None:
        self.weights, cfg = weights, weights.cfg
        self.hyper = Hyper(
            self.exact("h_s.enter"),
            self.exact("h_s.up"),
            self.chain(["h_s.block1"], cfg.D),
            self.chain([f"h_s.blocks.{i}" for i in range(cfg.blocks_h)], cfg.D),
        )
        self.contexts = [self.context(s) for s in range(len(cfg.known))]
        chain = self.chain([f"g_s.blocks.{i}" for i in range(cfg.blocks_s)], cfg.C, film=cfg.blocks_s // 2)
        enter, shortcut, leave = (self.exact(f"g_s.{name}") for name in ("enter", "shortcut", "leave"))
        self.synthesis = networks.Synthesis(enter, shortcut, leave, chain)

    def exact(self, path: str) -> Exact:
        return Exact(*(self.weights.tensors[f"{path}.{name}"] for name in "wbk"))

    def chain(self, paths: list[str], channels: int, film: int = -1) -> Chain:
        blocks = [[self.exact(f"{path}.{name}") for name in BLOCK] for path in paths]
        return Chain(blocks, channels, FEATURE_MAX, FEATURE_ONE.bit_length() - 1, film)

    def context(self, s: int) -> Context:
        cfg, path = self.weights.cfg, f"context.{s}"
        enter = self.exact(f"{path}.enter") if cfg.known[s] else None
        chain = self.chain([f"{path}.blocks.{i}" for i in range(cfg.blocks_c)], cfg.D)
        return Context(enter, chain, self.exact(f"{path}.leave"), cfg.known[s], cfg.groups[s // 2], s % 2)

    def features(self, q: int, z_hat: NDArray[np.integer], h: int, w: int) -> NDArray[np.int16]:
        """h_s(z_hat), cropped to the h x w positions of y."""
        return self.hyper(z_hat, self.weights.row("h_s.bias", q), h, w)

    def step(
        self, s: int, q: int, features: NDArray[np.int16], y_hat: NDArray[np.int16]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Context step s; see `networks.Context`."""
        start, stop = self.weights.cfg.groups[s // 2]
        bias = self.weights.row("index_bias", q)[start:stop]
        return self.contexts[s](features, y_hat, bias, self.weights.skip, self.weights.dependent)

    def rows(self, q: int, height: int, width: int) -> SynthesisRows:
        """g_s of an array of positions, row by row."""
        scale, bias = (self.weights.row(f"g_s.film_{name}", q) for name in ("scale", "bias"))
        film = Film(scale, bias, FILM_ONE.bit_length() - 1)
        return SynthesisRows(self.synthesis, self.weights.row("step", q), film, height, width)

    def base(self, q: int, y_hat: NDArray[np.int16]) -> NDArray[np.int32]:
        """What the linear branch alone makes of y_hat (n, M) in 1/16 step: (n, 3, 16, 16) in 1/64 level."""
        return self.synthesis.base(y_hat, self.weights.row("step", q))


class Encoder:
    """g_a and h_a of a model. Its floats are put on the grid, one finer than a decoder's: so a picture makes the same
    file on every machine, for 0.1 % of BD-rate or less (docs/log/experiments.md)."""

    def __init__(self, weights: Weights) -> None:
        self.weights, cfg = weights, weights.cfg
        self.analysis = networks.Analysis(
            self.layer("g_a.enter", PIXEL_MAX, FINER),
            self.layer("g_a.leave", FINE_MAX),
            quantised(self.floats("g_a.shortcut"), np.zeros(cfg.M), PIXEL_MAX),
            self.chain([f"g_a.blocks.{i}" for i in range(cfg.blocks_a)], cfg.C, film=cfg.blocks_a // 2),
            factor=16 / FINE_ONE,
        )
        self.hyper = networks.HyperAnalysis(
            self.layer("h_a.enter", INT16_MAX, FINER * MEAN_ONE / Y_ONE),
            self.chain(["h_a.block1"], cfg.D),
            self.layer("h_a.down1", FINE_MAX),
            self.chain(["h_a.block2"], cfg.D),
            self.layer("h_a.down2", FINE_MAX),
            factor=4 / FINE_ONE,
        )

    def floats(self, name: str) -> NDArray[np.float64]:
        return self.weights.tensors[ENCODER + name].astype(np.float64)

    def layer(self, path: str, limit: float, finer: float = 1) -> Exact:
        """finer: how much finer the grid of the outputs is than that of the inputs."""
        return quantised(self.floats(f"{path}.weight") * finer, self.floats(f"{path}.bias") * FINE_ONE, limit)

    def chain(self, paths: list[str], channels: int, film: int = -1) -> Chain:
        blocks = [[self.layer(f"{path}.{name}", FINE_MAX) for name in BLOCK] for path in paths]
        return Chain(blocks, channels, FINE_MAX, FINE_ONE.bit_length() - 1, film)

    def film(self, q: int) -> Film:
        """What scales the features of g_a: linear between the anchors of a QualityTable."""
        k = min(q // ANCHOR_STEP, ANCHORS - 2)
        anchors = np.clip(self.floats("g_a.film.value")[k : k + 2] + 1, 0, 8)
        row = anchors[0] + (anchors[1] - anchors[0]) * (q - k * ANCHOR_STEP) / ANCHOR_STEP
        return Film(np.rint(row * (1 << FILM_SHIFT)), np.zeros_like(row), FILM_SHIFT)

    def rows(self, q: int, height: int, width: int) -> AnalysisRows:
        """g_a of an array of positions, row by row."""
        part = (STEP_ONE / self.weights.row("step", q)).astype(np.float32)
        return AnalysisRows(self.analysis, part, Y_MAX // MEAN_ONE, self.film(q), height, width)

    def z(self, y: NDArray[np.float32]) -> NDArray[np.float32]:
        """z (h / 4, w / 4, N) of y (h, w, M) in steps, by edge replication to whole positions of z."""
        pad = (0, -y.shape[0] % Z_CELL), (0, -y.shape[1] % Z_CELL), (0, 0)
        grid = np.rint(y * np.float32(Y_ONE)).clip(-INT16_MAX, INT16_MAX).astype(np.int16)
        return self.hyper(np.pad(grid, pad, "edge"))


class Networks:
    """A model's networks, each made when it is wanted first."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    @cached_property
    def decoder(self) -> Decoder:
        return Decoder(self.weights)

    @cached_property
    def encoder(self) -> Encoder:
        return Encoder(self.weights)
