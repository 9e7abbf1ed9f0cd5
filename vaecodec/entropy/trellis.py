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

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vaecodec import core
from vaecodec.entropy import rans

Floats = NDArray[np.float32]


def choose(
    d: Floats,
    table: NDArray[np.uint16],
    lmbda: Floats,
    tables: rans.Tables,
    rates: bool = True,
    noise: Callable[[tuple[int, ...]], Floats] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The cheapest symbols of the dependent residuals of one step of a tile: values and quantisers.

    Args:
        d: (n,) residuals in steps. table: of quantiser 0; `rans.QUANTISER_ROWS` further are those of quantiser 1.
        lmbda: (n,) what a squared step of error costs, in bits. rates: whether bits count, or the error alone.
        noise: what is added to costs, by their shape, for choices at random.
    """
    bits = tables.bits if rates else np.zeros_like(tables.bits)
    chains = rans.machines_for(len(d))
    cost, value = core.candidates(d, table, lmbda, tables.native, tables.low, tables.size, bits, chains)
    if noise:
        cost += noise(cost.shape)
    kind = core.best_path(cost).reshape(-1)[: len(d)]
    return value[kind, np.arange(len(d))], (kind >> 1).astype(np.uint8)
