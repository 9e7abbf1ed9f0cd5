"""The two quantisers of dependent symbols and the choice among their points, in NumPy: slow twins of the core."""

from __future__ import annotations

import numpy as np

from vaecodec.entropy import rans

HALF = 13  # half a spacing, in 1/16 of a quantiser step


def offsets(value: np.ndarray, quantiser: np.ndarray) -> np.ndarray:
    """What dependent symbols add to the mean, in 1/16 of a step."""
    return (HALF * (2 * value - np.sign(value) * quantiser)).astype(np.int32)


def price(
    k: np.ndarray, kind: int, d: np.ndarray, row: np.ndarray, lmbda: np.ndarray, tables: rans.Tables, bits: np.ndarray
) -> np.ndarray:
    """Costs (n,) of magnitudes k of one kind, row being the table; see `candidates`."""
    quantiser, parity = divmod(kind, 2)
    error = np.abs(d) - np.maximum(2 * k - quantiser, 0) * np.float32(HALF / 16)
    symbol, escaped = tables.symbols(row, np.where(d < 0, -k, k))
    cost = lmbda * error * error + bits[row, symbol]
    return np.where(escaped & (symbol % 2 != parity), np.inf, cost)  # an escape moves the machine by its own parity


def candidates(
    d: np.ndarray, table: np.ndarray, lmbda: np.ndarray, tables: rans.Tables, bits: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The best symbol of each kind, (4, n): its cost in bits, and its value.

    Args:
        d: (n,) residuals in steps. table: of quantiser 0; `rans.QUANTISER_ROWS` further are those of quantiser 1.
        lmbda: (n,) what a squared step of error costs, in bits. bits: of each table's symbols.
    """
    cost, value = np.empty((4, len(d)), np.float32), np.empty((4, len(d)), np.int32)
    for kind in range(4):
        quantiser, parity = divmod(kind, 2)
        row = table.astype(np.int64) + quantiser * rans.QUANTISER_ROWS
        # The nearest of this parity, and, where it pays, the next one nearer to 0.
        k = 2 * np.rint(np.abs(d) * np.float32(4 / HALF) + np.float32(quantiser / 4 - parity / 2)) + parity
        k = np.maximum(k, parity).astype(np.int32)
        nearer = np.maximum(k - 2, parity)
        costs = [price(m, kind, d, row, lmbda, tables, bits) for m in (k, nearer)]
        better = (k > 1) & (costs[1] < costs[0])
        cost[kind] = np.where(better, costs[1], costs[0])
        value[kind] = np.where(d < 0, -1, 1) * np.where(better, nearer, k)
    return cost, value
