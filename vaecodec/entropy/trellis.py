"""Dependent quantisation: the symbols before say which of two quantisers a residual meets.

Quantiser 0 has the even, quantiser 1 the odd multiples of half a spacing, and both have 0. A machine
(vaecodec/core/machine.h), moved by the parity of each symbol, names the quantiser of the next one: the decoder follows
it, and the encoder finds the cheapest path with the Viterbi algorithm. Together the points are packed as in a lattice
of many dimensions, so the same error costs fewer bits (trellis-coded quantisation: Marcellin and Fischer 1990; in this
form Schwarz et al. 2019, "Hybrid video coding with trellis-coded quantization", DCC). Only where a symbol is not nearly
always 0: see `Weights.dependent`.

The dependent symbols of a context step are dealt to several machines in turn, so that they can be decoded side by side
(`rans.machines_for`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vaecodec import core
from vaecodec.entropy import rans
from vaecodec.entropy.rans import IntArray

HALF = 13  # half a spacing, in 1/16 of a quantiser step; measured, see docs/log/experiments.md
PIECE = 1 << 15  # symbols weighed at a time, so that they stay in a cache
Floats = NDArray[np.float32]


def offsets(value: IntArray, quantiser: IntArray) -> IntArray:
    """What dependent symbols add to the mean, in 1/16 of a step."""
    return (HALF * (2 * value - np.sign(value) * quantiser)).astype(np.int32)


def price(k: IntArray, kind: int, d: Floats, row: IntArray, lmbda: Floats, tables: rans.Tables, rates: bool) -> Floats:
    """Costs (n,) of magnitudes k of one kind, row being the table; see `candidates`."""
    quantiser, parity = divmod(kind, 2)
    error = np.abs(d) - np.maximum(2 * k - quantiser, 0) * np.float32(HALF / 16)
    cost: Floats = lmbda * error * error
    value = np.where(d < 0, -k, k)
    place = tables.origin.take(row) + value
    beyond = np.flatnonzero(k > tables.reach.take(row))
    if len(beyond):
        symbol, escaped = tables.symbols(row[beyond], value[beyond])
        place[beyond] = row[beyond] * tables.width + symbol
        cost[beyond[escaped & (symbol % 2 != parity)]] = np.inf  # an escape moves the machine by its own parity
    return cost + tables.bits.ravel().take(place) if rates else cost


def candidates(
    d: Floats, table: IntArray, lmbda: Floats, tables: rans.Tables, rates: bool
) -> tuple[Floats, NDArray[np.int32]]:
    """The best symbol of each kind, (4, n): its cost in bits, and its value.

    Args:
        d: (n,) residuals in steps. table: of quantiser 0; `rans.QUANTISER_ROWS` further are those of quantiser 1.
        lmbda: (n,) what a squared step of error costs, in bits. rates: whether bits count, or the error alone.
    """
    cost = np.empty((4, len(d)), np.float32)
    value = np.empty((4, len(d)), np.int32)
    for kind in range(4):
        quantiser, parity = divmod(kind, 2)
        row = table + quantiser * rans.QUANTISER_ROWS
        # The nearest of this parity, and, where it pays, the next one nearer to 0.
        k = 2 * np.rint(np.abs(d) * np.float32(4 / HALF) + np.float32(quantiser / 4 - parity / 2)) + parity
        k = np.maximum(k, parity).astype(np.int32)
        cost[kind] = price(k, kind, d, row, lmbda, tables, rates)
        at = np.flatnonzero(k > 1)
        nearer = price(k[at] - 2, kind, d[at], row[at], lmbda[at], tables, rates)
        better = nearer < cost[kind][at]
        cost[kind][at[better]] = nearer[better]
        k[at[better]] -= 2
        value[kind] = np.where(d < 0, -k, k)
    return cost, value


def choose(
    parts: Sequence[tuple[Floats, IntArray, Floats]],
    tables: rans.Tables,
    rates: bool = True,
    noise: Callable[[Floats], Floats] | None = None,
) -> tuple[list[NDArray[np.int32]], list[NDArray[np.int32]]]:
    """The cheapest symbols of the dependent residuals of one step, for each tile: values and quantisers.

    Args: parts: d, table, lmbda of each tile (see `candidates`). noise: added to costs, for choices at random.
    """
    bounds = np.cumsum([len(d) for d, _, _ in parts])[:-1]
    d, table, lmbda = (np.concatenate(x) for x in zip(*parts, strict=True))
    cost, value = np.empty((4, len(d)), np.float32), np.empty((4, len(d)), np.int32)
    for first in range(0, len(d), PIECE):
        piece = slice(first, first + PIECE)
        cost[:, piece], value[:, piece] = candidates(d[piece], table[piece], lmbda[piece], tables, rates)
    if noise:
        cost += noise(cost)
    kinds = [best_kinds(part) for part in np.split(cost, bounds, axis=1)]
    chosen = np.concatenate(kinds)
    return np.split(value[chosen, np.arange(len(chosen))], bounds), [k >> 1 for k in kinds]


def best_kinds(cost: Floats) -> NDArray[np.int32]:
    """The kinds (n,) of a tile's symbols, dealt to machines in turn, whose costs (4, n) are the least together."""
    count = cost.shape[1]
    chains = rans.machines_for(count)
    cells = np.pad(cost, ((0, 0), (0, -count % chains))).reshape(4, -1, chains)
    return core.best_path(np.ascontiguousarray(cells.swapaxes(0, 1))).reshape(-1)[:count]
