"""Latents of tiles to coded sections and back: one traversal, `Model.contexts`, for both directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaecodec.bitstream.container import Tile
from vaecodec.codec.defaults import RDOQ_WEIGHT
from vaecodec.entropy import rans, trellis
from vaecodec.errors import CorruptFileError
from vaecodec.model.networks import (
    ANCHOR_STEP,
    INDEX_ONE,
    MEAN_ONE,
    R_MAX,
    SKIPPED_MAX,
    STEP_ONE,
    Y_MAX,
    Z_MAX,
    Model,
    quality_lambda,
)
from vaecodec.model.weights import Weights

Z_CELL = 4  # positions of y per side of one position of z


def z_tables(weights: Weights, q: int, positions: int) -> tuple[rans.Tables, NDArray[np.int64]]:
    """The tables of the nearest quality anchor, and the one of each z symbol of a tile: its channel, innermost."""
    anchor = (q + ANCHOR_STEP // 2) // ANCHOR_STEP
    return weights.z_tables[anchor], np.tile(np.arange(weights.model.cfg.N), positions)


def z_features(model: Model, z_hat: Tensor, q: Tensor, h: int, w: int) -> Tensor:
    """h_s(z_hat), cropped to the h x w positions of y."""
    return model.h_s(z_hat, q)[:, :h, :w]


def step_lambda(weights: Weights, q: int) -> Tensor:
    """(M,) what an error of one quantiser step in a channel costs, in bits: the loss is bpp + lambda * MSE, and
    MSE is the mean over 3 colours. Exact where the synthesis is orthonormal."""
    qs = torch.full((1,), q)
    return quality_lambda(qs) * (weights.model.steps(qs)[0, 0, 0] / STEP_ONE) ** 2 / 3


def choose_tables(weights: Weights, mean: Tensor, index: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The y table of each element (mean and index are in 1/16), and which elements of a step's mask are coded with it:
    all but those that are sure to be near 0."""
    table = (index * (1 / INDEX_ONE)).round()
    table = torch.where(mean.abs() > SKIPPED_MAX, table.clamp_min(weights.skip), table)
    return table, mask & (table >= weights.skip)


class Coded(NamedTuple):
    """The symbols of a run before they are coded: for each tile the table and the value of each symbol."""

    tables: rans.Tables
    table: list[NDArray[np.int64]]
    value: list[NDArray[np.int64]]
    dependent: bool


@dataclass
class Symbols:
    """The symbols of tiles of one shape and what the decoder will make of them."""

    runs: list[Coded]  # z, then for each of the four steps of y its dependent symbols and its others
    z_hat: Tensor  # (B, ceil(h/4), ceil(w/4), N)
    y_hat: Tensor  # (B, h, w, M) in 1/16 step
    coded: Tensor  # (B, h, w, M) bool: what is not skipped

    def bits(self) -> float:
        """What the tables charge, without what lanes and lengths cost."""
        total = 0.0
        for tables, table, value, _ in self.runs:
            t, v = np.concatenate(table), np.concatenate(value)
            total += float(tables.bits[t, tables.symbols(t, v)[0]].sum(dtype=np.float64))
        return total


def encode_tiles(
    weights: Weights, q: int, z: Tensor, y: Tensor, rdoq_weight: float = RDOQ_WEIGHT
) -> tuple[list[Tile], Tensor]:
    """Code tiles of one shape (see `quantise`). Returns a Tile for each, without alpha and overlay, and y_hat."""
    symbols = quantise(weights, q, z, y, rdoq_weight)
    return pack_tiles(symbols.runs, len(y)), symbols.y_hat


# Random numbers of a shape, added to what choices between symbols cost, in bits.
Noise = Callable[[tuple[int, ...]], Tensor]
# What may look on while symbols are chosen: step, tables, which elements are coded, and their values.
Watch = Callable[[int, Tensor, Tensor, Tensor], None]


def quantise(
    weights: Weights,
    q: int,
    z: Tensor,
    y: Tensor,
    rdoq_weight: float = RDOQ_WEIGHT,
    watch: Watch | None = None,
    noise: Noise | None = None,
) -> Symbols:
    """The symbols of tiles of one shape, step by step.

    Args:
        q: 0..1000. z: (B, ceil(h/4), ceil(w/4), N) float. y: (B, h, w, M) float, in quantiser steps.
        rdoq_weight: of the error in `rdoq`; infinite for plain rounding.
        watch: called for each step of y, with tensors (B, h, w, channels of its group).
        noise: see `rdoq`.
    """
    model, count = weights.model, len(y)
    qs = torch.full((1,), q)
    lmbda = step_lambda(weights, q) * rdoq_weight
    z_hat = z.round().clamp(-Z_MAX, Z_MAX)
    tables, table = z_tables(weights, q, z_hat[0, ..., 0].numel())
    values = [v.numpy().astype(np.int64).ravel() for v in z_hat]
    coded = [Coded(tables, [table] * count, values, False)]
    kept = torch.zeros(y.shape, dtype=torch.bool)

    def code(i: int, mean: Tensor, index: Tensor, mask: Tensor) -> Tensor:
        start, stop = model.groups[i // 2]
        t, present = choose_tables(weights, mean, index, mask)
        d = y[..., start:stop] - mean * (1 / MEAN_ONE)
        dependent = t >= weights.dependent
        places = [flat_places(present & dependent), flat_places(present & ~dependent)]
        r, t, offset = choose_symbols(weights, d, t, places, lmbda[start:stop], noise)
        kept[..., start:stop] |= present
        if watch:
            watch(i, t, present, r)
        for at, follows in zip(places, (True, False), strict=True):
            coded.append(Coded(weights.y_tables, select(t, at), select(r, at), follows))
        return reconstruct(offset, mean)

    y_hat = model.contexts(z_features(model, z_hat, qs, y.shape[1], y.shape[2]), qs, code)
    return Symbols(coded, z_hat, y_hat, kept)


def choose_symbols(
    weights: Weights,
    d: Tensor,
    table: Tensor,
    places: list[Places],
    lmbda: Tensor,
    noise: Noise | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Symbols of a step: their values, their tables, and what they add to the mean, in 1/16 step.

    Args:
        d: (B,h,w,n) residuals, in steps. table: of each, for quantiser 0.
        places: of those that are coded by trellis, and of the others that are coded.
        lmbda: (n,) what a squared step of error costs, in bits; infinite where bits do not count.
    """
    rates = bool(lmbda.isfinite().all())
    at, others = ([torch.from_numpy(p) for p in tiles] for tiles in places)
    r = torch.zeros_like(d)
    for b, i in enumerate(others):
        r[b].view(-1)[i] = d[b].flatten()[i].round_().clamp_(-R_MAX, R_MAX)
    if rates:
        r = rdoq(r, d, table, lmbda, weights.y_tables, noise)
    offset = r * MEAN_ONE
    if any(map(len, at)):
        table, lmbda = table.clone(), lmbda if rates else torch.ones_like(lmbda)
        parts = [
            (a.flatten()[i].numpy(), t.flatten()[i].long().numpy(), lmbda[i % len(lmbda)].numpy())
            for i, a, t in zip(at, d, table, strict=True)
        ]
        perturb = (lambda cost: noise(cost.shape).numpy()) if noise else None
        chosen = trellis.choose(parts, weights.y_tables, rates, perturb)
        for b, (i, value, quantiser) in enumerate(zip(at, *chosen, strict=True)):
            r[b].view(-1)[i] = torch.from_numpy(value).float()
            table[b].view(-1)[i] += torch.from_numpy(quantiser * rans.QUANTISER_ROWS)
            offset[b].view(-1)[i] = torch.from_numpy(trellis.offsets(value, quantiser)).float()
    return r, table, offset


def rdoq(r: Tensor, d: Tensor, table: Tensor, lmbda: Tensor, tables: rans.Tables, noise: Noise | None = None) -> Tensor:
    """Move residuals one towards zero where the bits saved are worth more than the error made.

    Rate-distortion optimised quantisation, each residual by itself; the decoder knows nothing of it.

    Args:
        r, d: rounded and exact residuals (B,h,w,n), in steps. table: of each.
        lmbda: (n,) what a squared step of error costs, in bits.
        noise: in bits, for choices at random (`refine`).
    """
    at = r.flatten().nonzero()[:, 0]
    r_at, d_at, t_at = (v.flatten()[at] for v in (r, d, table))
    nearer = r_at - r_at.sign()
    bits = torch.from_numpy(tables.bits)
    low = torch.from_numpy(tables.low)[t_at.long()]
    last = torch.from_numpy(tables.size)[t_at.long()] - 1
    both = torch.stack((r_at, nearer)).long() - low
    both = torch.where((both < 0) | (both > last), last, both)
    saved = bits[t_at.long(), both[0]] - bits[t_at.long(), both[1]]
    error = ((d_at - nearer) ** 2 - (d_at - r_at) ** 2) * lmbda[at % r.shape[-1]]
    if noise:
        saved += noise(saved.shape) - noise(saved.shape)
    out = r.flatten().clone()
    out[at] = torch.where(saved > error, nearer, r_at)
    return out.view_as(r)


# Of each tile, where some of its elements are in raster order with channels innermost, ascending.
Places = list[NDArray[np.int64]]


def flat_places(mask: Tensor) -> Places:
    """Where a mask (B, h, w, n) is set."""
    return [np.flatnonzero(tile.numpy()) for tile in mask]


def select(values: Tensor, places: Places) -> list[NDArray[np.int64]]:
    """The values (B, h, w, n) at places, of each tile."""
    return [v.numpy().reshape(-1).take(at).astype(np.int64) for v, at in zip(values, places, strict=True)]


def reconstruct(offset: Tensor, mean: Tensor) -> Tensor:
    """y_hat in 1/16 step, before any use clamped."""
    return (offset + mean).clamp_(-Y_MAX, Y_MAX)


def pack_tiles(coded: Sequence[Coded], count: int) -> list[Tile]:
    """Entropy-code the runs of `count` tiles."""
    escapes = [bytearray() for _ in range(count)]
    total, bits = [0] * count, [0.0] * count
    runs: list[rans.Run] = []
    for tables, table, value, dependent in coded:
        symbols = []
        for b in range(count):
            s, escaped = tables.symbols(table[b], value[b])
            escapes[b] += rans.pack_escapes(value[b][escaped])
            symbols.append(s)
            total[b] += len(s)
            bits[b] += float(tables.bits[table[b], s].sum(dtype=np.float64))
        runs.append(rans.Run(tables, table, symbols, dependent))
    lanes = [rans.lanes_for(n, cost) for n, cost in zip(total, bits, strict=True)]
    states, words = rans.encode(runs, lanes)
    tiles = []
    for b in range(count):
        of_tile = [w[b] for w in words]
        z, low, high = of_tile[0], b"".join(of_tile[1:5]), b"".join(of_tile[5:])
        coded_parts = {"escapes": bytes(escapes[b]), "z": z, "low": low, "high": high}
        tiles.append(Tile.empty(lanes[b], states[b]).having(**coded_parts))
    return tiles


class Reader:
    """The symbols of some tiles of one shape, run by run, with their escapes.

    Args: most: how many symbols a tile can have. strict: whether a fault of a tile raises, or ends that tile alone; see
        `rans.Decoder`.
    """

    def __init__(self, tiles: Sequence[Tile], most: int, strict: bool = True) -> None:
        self.strict = strict
        words = [b"".join(bytes(s) for s in t.words) for t in tiles]
        self.decoder = rans.Decoder([t.states for t in tiles], words, None if strict else [t.truncated for t in tiles])
        # A symbol takes at most a word and three bytes of escape: refuse more before unpacking it.
        for b, tile in enumerate(tiles):
            if len(words[b]) > 2 * most or len(tile.escapes) > 3 * most:
                self.decoder.fault(b, "a tile has more data than symbols")
        lengths = np.array([[len(s) // 2 for s in t.words] for t in tiles])
        self.left_after = lengths.sum(1, keepdims=True) - lengths.cumsum(1)  # words left after each section
        self.escapes = [self._escapes(b, tile) for b, tile in enumerate(tiles)]
        self.escaped = [0] * len(tiles)

    def _escapes(self, b: int, tile: Tile) -> NDArray[np.int32]:
        """All escapes of a tile; none where they are damaged. Raises CorruptFileError where faults raise."""
        try:
            return rans.unpack_escapes(b"" if self.decoder.ended[b] else tile.escapes, R_MAX)
        except CorruptFileError as error:
            self.decoder.fault(b, str(error))
            return np.zeros(0, np.int32)

    def read(
        self, tables: rans.Tables, table: Sequence[NDArray[np.int64]], dependent: bool = False
    ) -> tuple[list[NDArray[np.int32]], list[NDArray[np.integer]]]:
        """Values of the next run, and the quantiser of each (see `rans.Decoder.decode`). Raises CorruptFileError.

        What cannot be read is 0 of quantiser 0: what the prior expects.
        """
        out = []
        symbols, quantisers = self.decoder.decode(tables, table, dependent)
        for b, (t, s, quantiser) in enumerate(zip(table, symbols, quantisers, strict=True)):
            unread = quantiser == rans.UNREAD
            quantiser[unread] = 0
            t = t + quantiser * rans.QUANTISER_ROWS
            value = tables.low[t] + s
            at = np.flatnonzero((s == tables.size[t] - 1) & ~unread)
            if len(at):
                begin, end = self.escaped[b], self.escaped[b] + len(at)
                if end > len(self.escapes[b]):  # what follows this run depends on them
                    self.decoder.fault(b, "a tile has too few escapes", missing=True)
                escapes = self.escapes[b][begin:end]
                value[at] = 0
                value[at[: len(escapes)]] = escapes
                self.escaped[b] = end
            value[unread] = 0
            out.append(value)
        return out, quantisers

    def end_section(self, section: int) -> None:
        """Raises CorruptFileError unless exactly sections 0..section of each tile that is whole have been read."""
        for b in np.flatnonzero((self.decoder.left() != self.left_after[:, section]) & self.decoder.whole()):
            self.decoder.fault(b, "a tile's section does not end where its length says")

    def finish(self) -> None:
        """Raises CorruptFileError unless, of tiles that are whole, everything was read and the coder is back at its
        start."""
        self.decoder.finish()
        there = np.array([len(escapes) for escapes in self.escapes])
        for b in np.flatnonzero((there != self.escaped) & self.decoder.whole()):
            self.decoder.fault(b, "a tile has too many escapes")


def decode_z(
    weights: Weights, q: int, tiles: Sequence[Tile], h: int, w: int, strict: bool = True
) -> tuple[Tensor, Reader]:
    """z_hat (B, ceil(h/4), ceil(w/4), N) of tiles of h x w positions, and the reader of what follows.

    Args: strict: see `Reader`. Raises: CorruptFileError.
    """
    cfg, zh, zw = weights.model.cfg, -(-h // Z_CELL), -(-w // Z_CELL)
    reader = Reader(tiles, zh * zw * cfg.N + h * w * cfg.M, strict)
    tables, table = z_tables(weights, q, zh * zw)
    z = np.stack(reader.read(tables, [table] * len(tiles))[0])
    z_hat = torch.from_numpy(z).float().view(len(tiles), zh, zw, -1).clamp_(-Z_MAX, Z_MAX)
    reader.end_section(0)
    return z_hat, reader


def decode_tiles(
    weights: Weights,
    q: int,
    tiles: Sequence[Tile],
    h: int,
    w: int,
    groups: int = 2,
    damaged: list[bool] | None = None,
) -> Tensor:
    """Decode tiles of h x w positions. Returns y_hat (B, h, w, M) in 1/16 step.

    Args:
        groups: 1 to read the low channels alone; the others are 0.
        damaged: if given, no fault raises; it gets whether each tile has one, other than that its end is missing.
            Symbols that cannot be read are what the prior expects: r = 0.

    Raises: CorruptFileError.
    """
    model = weights.model
    z_hat, reader = decode_z(weights, q, tiles, h, w, damaged is None)

    def code(i: int, mean: Tensor, index: Tensor, mask: Tensor) -> Tensor:
        t, present = choose_tables(weights, mean, index, mask)
        follows = t >= weights.dependent
        offset = torch.zeros_like(mean)
        for mask, dependent in ((present & follows, True), (present & ~follows, False)):
            places = flat_places(mask)
            values, quantisers = reader.read(weights.y_tables, select(t, places), dependent)
            for o, at, value, quantiser in zip(offset, places, values, quantisers, strict=True):
                o.numpy().reshape(-1)[at] = trellis.offsets(value, quantiser) if dependent else value * MEAN_ONE
        if i % 2:
            reader.end_section(1 + i // 2)
        return reconstruct(offset, mean)

    qs = torch.full((1,), q)
    y_hat = model.contexts(z_features(model, z_hat, qs, h, w), qs, code, groups)
    if groups == 1:
        y_hat = torch.nn.functional.pad(y_hat, (0, model.cfg.M - y_hat.shape[-1]))
    else:
        reader.finish()
    if damaged is not None:
        damaged.extend(reader.decoder.damaged.tolist())
    return y_hat
