"""What an error is worth to the eye: weights by channel and place, for files that are tuned to look good.

Errors count less in fine detail, and in places that have much of it, which hides them (as `tune=iq` of libaom has it).
Only encoders know of it. Everything is exact or rounded by IEEE 754, so that a picture makes the same file everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.header import CELL
from vaecodec.model.architecture import STEP_ONE
from vaecodec.model.weights import ENCODER, Weights

# Chosen on the held-out pictures, see docs/log/experiments.md.
FREQUENCY = 4.5  # at which an error counts for half of what it does in flat areas
FLAT = 2.6  # how much that is
MASKING = 0.15  # the exponent by which an error's weight falls with the energy around it
ENERGY = 128.0  # levels squared, a pixel: where the weight is 1
OCTAVES, STEPS = 16, 4  # of energy, and the weights for each
FROM = np.rint(
    CELL**2 * (2.0 ** (np.arange(1, OCTAVES * STEPS) / STEPS) - 1)
)  # the lowest energy of each but the first
BY_ENERGY = (2.0 ** ((np.arange(OCTAVES * STEPS) + 0.5) / STEPS) / ENERGY) ** -MASKING
FRACTION = 2.0**24  # what makes integers of a float16


@dataclass(frozen=True)
class Worth:
    """Factors on what an error costs: channel (M,), place (h, w) float32."""

    channel: NDArray[np.float32]
    place: NDArray[np.float32]

    def part(self, rows: slice, columns: slice) -> Worth:
        """Of some places."""
        return Worth(self.channel, self.place[rows, columns])

    def __call__(self, lmbda: NDArray[np.float32]) -> NDArray[np.float32]:
        """What lambdas (M,) of channels are in each place: (h, w, M)."""
        return self.place[..., None] * (lmbda * self.channel)


def worth_of(weights: Weights, q: int, y: NDArray[np.float32]) -> Worth:
    """Of the errors in y (h, w, M), in quantiser steps of quality q, 0..1000: by what the eye sees of them."""
    channel, detail = channels(weights)
    levels = np.rint(y * (weights.row("step", q) / STEP_ONE * detail).astype(np.float32)).astype(np.float64)
    energy = np.einsum("hwm,hwm->hw", levels, levels)  # of integers far below 2^53: exact in any order
    return Worth(channel, BY_ENERGY[np.searchsorted(FROM, energy, "right")].astype(np.float32))


def plain(channels: int, shape: tuple[int, int]) -> Worth:
    """Of errors that all count alike."""
    return Worth(np.ones(channels, np.float32), np.ones(shape, np.float32))


@lru_cache(maxsize=4)
def channels(weights: Weights) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The weight of each channel (M,), and whether it has detail of luma: neither chroma nor a mean.

    By the rows of the linear branch of g_a, functions of 16 x 16 pixels. The frequency of one, in half waves a cell, is
    that of the wave which has as much energy in differences between neighbours.
    """
    rows = (weights.tensors[f"{ENCODER}g_a.shortcut"].astype(np.float64) * FRACTION).astype(np.int64)
    cells = rows.reshape(-1, CELL, CELL, 3)
    energy, sums = total(cells), total(cells.sum(-1))
    differences = total(np.diff(cells, axis=1)) + total(np.diff(cells, axis=2))
    frequency = np.sqrt(differences / np.maximum(energy, 1)) * (CELL / math.pi)
    detail = (2 * sums > 3 * energy) & (frequency > 0.5)
    return (FLAT * FREQUENCY / (FREQUENCY + frequency)).astype(np.float32), detail


def total(functions: NDArray[np.int64]) -> NDArray[np.int64]:
    """The energy of each of some functions (M, ...)."""
    return np.square(functions).reshape(len(functions), -1).sum(1)
