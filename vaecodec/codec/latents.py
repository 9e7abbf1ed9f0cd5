"""Latents of a tile to coded sections and back: one traversal, `y_of`, for both directions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaecodec import core
from vaecodec.bitstream.tiles import Tile
from vaecodec.codec.defaults import RDOQ_WEIGHT
from vaecodec.codec.tuning import Worth, plain
from vaecodec.entropy import rans, trellis
from vaecodec.entropy.rans import UNREAD, Run
from vaecodec.errors import CorruptFileError
from vaecodec.model.architecture import ANCHOR_STEP, MEAN_ONE, R_MAX, STEP_ONE, Z_CELL, Z_MAX, quality_lambda
from vaecodec.model.native import Networks
from vaecodec.model.weights import Weights

LOW_STEPS = 2  # the phases of the low channels, whose words have a section of their own
# Values of some coded elements, and their quantisers where they are dependent: of their tables, their places in y_hat
# (h, w, M), which has their means, and whether they are dependent.
Coder = Callable[
    [NDArray[np.uint16], NDArray[np.int32], NDArray[np.int16], bool],
    tuple[NDArray[np.int32], NDArray[np.uint8] | None],
]
# Random numbers of a shape, added to what choices between symbols cost, in bits.
Noise = Callable[[tuple[int, ...]], NDArray[np.float32]]


def z_tables(weights: Weights, q: int, positions: int) -> tuple[rans.Tables, NDArray[np.uint16]]:
    """The tables of the nearest quality anchor, and the one of each z symbol of a tile: its channel, innermost."""
    anchor = (q + ANCHOR_STEP // 2) // ANCHOR_STEP
    return weights.z_tables[anchor], np.tile(np.arange(weights.cfg.N, dtype=np.uint16), positions)


def step_lambda(weights: Weights, q: int) -> NDArray[np.float32]:
    """(M,) what an error of one quantiser step in a channel costs, in bits: the loss is bpp + lambda * MSE, and
    MSE is the mean over 3 colours. Exact where the synthesis is orthonormal."""
    return (quality_lambda(q) * (weights.row("step", q) / STEP_ONE) ** 2 / 3).astype(np.float32)


def y_of(
    networks: Networks,
    q: int,
    z_hat: NDArray[np.integer],
    shape: tuple[int, int],
    code: Coder,
    groups: int | None = None,
    after: Callable[[int], None] = lambda step: None,
) -> NDArray[np.int16]:
    """The one traversal that encoder and decoder share: z_hat (zh, zw, N) to y_hat (h, w, M) in 1/16 step.

    Two phases of a checkerboard over each group of channels, the low ones first. In each step, `code` tells the values
    of the elements that are coded, those that are dependent first.

    Args:
        groups: how many of the groups of channels, from the low one on, by default all; the others stay 0.
        after: called with the number of each step that is done.
    """
    weights, decoder = networks.weights, networks.decoder
    y_hat = np.zeros((*shape, weights.cfg.M), np.int16)
    features = decoder.features(q, z_hat, *shape)
    for step in range(2 * (groups or len(weights.cfg.groups))):
        tables, number = decoder.step(step, q, features, y_hat)
        start = weights.cfg.groups[step // 2][0]
        place, table = core.places(tables, weights.cfg.M, start, weights.dependent, number)
        for part, dependent in ((slice(0, number[0]), True), (slice(number[0], None), False)):
            value, quantiser = code(table[part], place[part], y_hat, dependent)
            core.add(y_hat, place[part], value, quantiser)
        after(step)
    return y_hat


@dataclass
class Symbols:
    """The symbols of a tile and what the decoder will make of them."""

    runs: list[Run]  # z, then for each step of y its dependent symbols and its others
    z_hat: NDArray[np.int16]  # (ceil(h/4), ceil(w/4), N)
    y_hat: NDArray[np.int16]  # (h, w, M) in 1/16 step
    places: list[NDArray[np.int32]]  # of the coded elements in y_hat, for each run but the first

    def bits(self) -> float:
        """What the tables charge, without what lanes and lengths cost."""
        return sum(run.bits(run.tables.symbols(run.table, run.value)[0]) for run in self.runs)


def quantise(
    networks: Networks,
    q: int,
    z: NDArray[np.floating],
    y: NDArray[np.float32],
    rdoq_weight: float = RDOQ_WEIGHT,
    noise: Noise | None = None,
    worth: Worth | None = None,
) -> Symbols:
    """The symbols of a tile, step by step.

    Args:
        q: 0..1000. z: (ceil(h/4), ceil(w/4), N). y: (h, w, M), in quantiser steps.
        rdoq_weight: of the error where symbols are chosen; infinite for plain rounding.
        noise: see `Noise`. worth: of errors, where they do not all count alike.
    """
    weights = networks.weights
    worth = worth or plain(weights.cfg.M, y.shape[:2])
    lmbda = worth(step_lambda(weights, q) * rdoq_weight).reshape(-1)
    rates = math.isfinite(rdoq_weight)
    z_hat = np.rint(z).clip(-Z_MAX, Z_MAX).astype(np.int16)
    tables, table = z_tables(weights, q, z_hat[..., 0].size)
    runs = [Run(tables, table, z_hat.ravel().astype(np.int32))]
    places = []
    flat = np.ascontiguousarray(y).reshape(-1)

    def code(
        table: NDArray[np.uint16], place: NDArray[np.int32], y_hat: NDArray[np.int16], dependent: bool
    ) -> tuple[NDArray[np.int32], NDArray[np.uint8] | None]:
        d = flat.take(place) - y_hat.reshape(-1).take(place) * np.float32(1 / MEAN_ONE)
        quantiser = None
        if dependent:
            cost = lmbda.take(place) if rates else np.ones(len(d), np.float32)
            value, quantiser = trellis.choose(d, table, cost, weights.y_tables, rates, noise)
            table = table + quantiser * np.uint16(rans.QUANTISER_ROWS)
        else:
            value = np.rint(d).clip(-R_MAX, R_MAX).astype(np.int32)
            if rates:
                value = rdoq(value, d, table, lmbda.take(place), weights.y_tables, noise)
        runs.append(Run(weights.y_tables, table, value, dependent))
        places.append(place)
        return value, quantiser

    y_hat = y_of(networks, q, z_hat, y.shape[:2], code)
    return Symbols(runs, z_hat, y_hat, places)


def rdoq(
    r: NDArray[np.int32],
    d: NDArray[np.float32],
    table: NDArray[np.uint16],
    lmbda: NDArray[np.float32],
    tables: rans.Tables,
    noise: Noise | None = None,
) -> NDArray[np.int32]:
    """Move residuals one towards zero where the bits saved are worth more than the error made.

    Rate-distortion optimised quantisation, each residual by itself; the decoder knows nothing of it.

    Args:
        r, d: rounded and exact residuals (n,), in steps. table: of each.
        lmbda: (n,) what a squared step of error costs, in bits. noise: see `Noise`.
    """
    at = np.flatnonzero(r)
    r_at, d_at, t_at = r[at], d[at], table[at]
    nearer = r_at - np.sign(r_at)
    bits = [tables.bits[t_at, tables.symbols(t_at, v)[0]] for v in (r_at, nearer)]
    saved = bits[0] - bits[1]
    error = ((d_at - nearer) ** 2 - (d_at - r_at) ** 2) * lmbda[at]
    if noise:
        saved += noise(saved.shape) - noise(saved.shape)
    out = r.copy()
    out[at] = np.where(saved > error, nearer, r_at)
    return out


def encode_tile(
    networks: Networks,
    q: int,
    z: NDArray[np.floating],
    y: NDArray[np.float32],
    rdoq_weight: float = RDOQ_WEIGHT,
    worth: Worth | None = None,
) -> tuple[Tile, NDArray[np.int16]]:
    """Code a tile (see `quantise`). Returns a Tile without alpha and overlay, and y_hat."""
    symbols = quantise(networks, q, z, y, rdoq_weight, worth=worth)
    return pack_tile(symbols.runs), symbols.y_hat


def pack_tile(runs: list[Run]) -> Tile:
    """Entropy-code the runs of a tile."""
    escapes, symbols, bits = bytearray(), [], 0.0
    for run in runs:
        symbol, escaped = run.tables.symbols(run.table, run.value)
        escapes += rans.pack_escapes(run.value[escaped])
        bits += run.bits(symbol)
        symbols.append(symbol)
    lanes = rans.lanes_for(sum(map(len, symbols)), bits)
    states, words = rans.encode(runs, symbols, lanes)
    z, low, high = words[0], b"".join(words[1 : 1 + 2 * LOW_STEPS]), b"".join(words[1 + 2 * LOW_STEPS :])
    return Tile.empty(lanes, states).having(escapes=bytes(escapes), z=z, low=low, high=high)


class Reader:
    """The symbols of a tile, run by run, with their escapes.

    Args: most: how many symbols the tile can have. strict: whether a fault raises, or ends the reading alone; see
        `rans.Decoder`.
    """

    def __init__(self, tile: Tile, most: int, strict: bool = True) -> None:
        words = b"".join(bytes(section) for section in tile.words)
        self.decoder = rans.Decoder(tile.states, words, None if strict else tile.truncated)
        # A symbol takes at most a word and three bytes of escape: refuse more before unpacking it.
        if len(words) > 2 * most or len(tile.escapes) > 3 * most:
            self.decoder.fault("a tile has more data than symbols")
        ends = np.cumsum([len(section) // 2 for section in tile.words])
        self.left_after = ends[-1] - ends  # words left after each section
        self.escapes, self.escaped = self._escapes(tile), 0

    def _escapes(self, tile: Tile) -> NDArray[np.int32]:
        """All escapes; none where they are damaged. Raises CorruptFileError where faults raise."""
        try:
            return rans.unpack_escapes(b"" if self.decoder.ended else tile.escapes, R_MAX)
        except CorruptFileError as error:
            self.decoder.fault(str(error))
            return np.zeros(0, np.int32)

    def read(
        self, tables: rans.Tables, table: NDArray[np.uint16], dependent: bool = False
    ) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Values of the next run, and the quantiser of each (see `rans.Decoder.decode`). Raises CorruptFileError.

        What cannot be read is 0 of quantiser 0: what the prior expects.
        """
        symbol, quantiser = self.decoder.decode(tables, table, dependent)
        unread = quantiser == UNREAD if self.decoder.ended else None
        if unread is not None:
            quantiser[unread] = 0
        value, used = core.values(table, quantiser, symbol, tables.low, tables.last, self.escapes[self.escaped :])
        if used < 0:  # what follows this run depends on the escapes that are missing
            self.decoder.fault("a tile has too few escapes", missing=True)
            value, used = self._without(tables, table, quantiser, symbol)
        self.escaped += used
        if unread is not None:
            value[unread] = 0
        return value, quantiser

    def _without(
        self,
        tables: rans.Tables,
        table: NDArray[np.uint16],
        quantiser: NDArray[np.uint8],
        symbol: NDArray[np.uint8],
    ) -> tuple[NDArray[np.int32], int]:
        """Values of a run with more escapes than there are: those that are missing are 0."""
        rows = table + quantiser * np.uint16(rans.QUANTISER_ROWS)
        missing = np.flatnonzero(symbol == tables.last[rows])
        there = np.zeros(len(missing), np.int32)
        left = self.escapes[self.escaped :]
        there[: len(left)] = left
        return core.values(table, quantiser, symbol, tables.low, tables.last, there)

    def end_section(self, section: int) -> None:
        """Raises CorruptFileError unless exactly sections 0..section of a tile that is whole have been read."""
        if self.decoder.whole and self.decoder.left != self.left_after[section]:
            self.decoder.fault("a tile's section does not end where its length says")

    def finish(self) -> None:
        """Raises CorruptFileError unless, of a tile that is whole, everything was read and the coder is back at its
        start."""
        self.decoder.finish()
        if self.decoder.whole and len(self.escapes) != self.escaped:
            self.decoder.fault("a tile has too many escapes")


def decode_z(
    weights: Weights, q: int, tile: Tile, h: int, w: int, strict: bool = True
) -> tuple[NDArray[np.int16], Reader]:
    """z_hat (ceil(h/4), ceil(w/4), N) of a tile of h x w positions, and the reader of what follows.

    Args: strict: see `Reader`. Raises: CorruptFileError.
    """
    cfg, zh, zw = weights.cfg, -(-h // Z_CELL), -(-w // Z_CELL)
    reader = Reader(tile, zh * zw * cfg.N + h * w * cfg.M, strict)
    tables, table = z_tables(weights, q, zh * zw)
    z_hat = reader.read(tables, table)[0].reshape(zh, zw, cfg.N).clip(-Z_MAX, Z_MAX).astype(np.int16)
    reader.end_section(0)
    return z_hat, reader


def decode_tile(
    networks: Networks, q: int, tile: Tile, h: int, w: int, groups: int | None = None, strict: bool = True
) -> tuple[NDArray[np.int16], bool]:
    """y_hat (h, w, M) in 1/16 step of a tile of h x w positions, and whether it is damaged.

    Args:
        groups: 1 to read the low channels alone, the others being 0; by default all.
        strict: whether faults raise. Else they make the tile damaged, unless its end is missing and that is all;
            symbols that cannot be read are what the prior expects: r = 0.

    Raises: CorruptFileError.
    """
    weights = networks.weights
    z_hat, reader = decode_z(weights, q, tile, h, w, strict)

    def code(
        table: NDArray[np.uint16], place: NDArray[np.int32], y_hat: NDArray[np.int16], dependent: bool
    ) -> tuple[NDArray[np.int32], NDArray[np.uint8] | None]:
        value, quantiser = reader.read(weights.y_tables, table, dependent)
        return value, quantiser if dependent else None

    def after(step: int) -> None:
        if step == LOW_STEPS - 1:
            reader.end_section(1)

    y_hat = y_of(networks, q, z_hat, (h, w), code, groups, after)
    if groups is None:
        reader.end_section(2)
        reader.finish()
    return y_hat, reader.decoder.damaged
