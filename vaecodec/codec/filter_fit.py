"""The filter that suits a tile better than its quality's, by least squares.

Sums are of integers and the rest is single operations in a set order, so that a picture makes the same file everywhere.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vaecodec import core
from vaecodec.bitstream.header import CELL, Header
from vaecodec.codec.synthesis import Columns
from vaecodec.model.architecture import FILTER_ONE, quality_lambda
from vaecodec.model.loop_filter import (
    CHROMA,
    CLIP,
    KINDS,
    LUMA,
    OUT_ONE,
    REACH,
    SAMPLE_ONE,
    STRENGTH_MAX,
    Filter,
    Offsets,
)
from vaecodec.model.native import Networks

EVERY = 2  # rows of positions, of which one tells enough
MARGIN = 1  # positions beside a pixel's own that matter to it; the others that it sees hardly do
LINES = 16  # of pixels that are looked at together, so that they stay in a cache
BOUND = 2047  # on all numbers that are multiplied, see `vaec_gram`
# How many bits they lose for that, plain responses, which may be large, and errors: what is left is fine enough.
LUMA_BITS, CHROMA_BITS, ERROR_BITS = 3, 1, 2
ROUNDS = 4
# R, G and B are (luma + these times the two planes of chroma) / 4.
COLOURS = ((3, -1), (-1, -1), (-1, 3))
# What each coefficient moves a colour by: those of luma that, those of chroma so much of both planes.
OF_LUMA, OF_CHROMA = sum(KINDS[:2]), sum(KINDS[2:])
MIXES = [
    np.block(
        [
            [np.eye(OF_LUMA, dtype=np.int64), np.zeros((OF_LUMA, 2 * OF_CHROMA), np.int64)],
            [np.zeros((OF_CHROMA, OF_LUMA), np.int64), np.kron(ab, np.eye(OF_CHROMA, dtype=np.int64))],
        ]
    )
    for ab in COLOURS
]
UNITS = np.repeat(
    (1 << LUMA_BITS, 1, 1 << CHROMA_BITS, 1, 1 << CHROMA_BITS, 1, 1 << ERROR_BITS), (*KINDS, *KINDS[2:], len(COLOURS))
)  # of the numbers that are multiplied: those of a response are 1/32 level / 128, those of an error 1/32 level


class Fit:
    """Which filter brings some pixels nearest to what they should be, for what it costs."""

    def __init__(self) -> None:
        self.sums = np.zeros((OF_LUMA + 2 * OF_CHROMA + 3,) * 2, np.int64)

    def add(self, planes: NDArray[np.int16], wanted: NDArray[np.integer]) -> None:
        """More of them: planes (3, h + 6, w + 6), see `SynthesisRows.push`, and what the pixels should be, (h, w, 3) in
        levels minus 128."""
        for top in range(0, len(wanted), LINES):
            strip, there = planes[:, top : top + LINES + 2 * REACH], wanted[top : top + LINES]
            rows = np.empty((len(self.sums), *there.shape[:2]), np.int16)
            responses(strip[0], LUMA, LUMA_BITS, 4 * CLIP, rows[:OF_LUMA])
            for plane, out in zip(strip[1:], np.split(rows[OF_LUMA:-3], 2), strict=True):
                responses(plane, CHROMA, CHROMA_BITS, CLIP, out)
            light, first, second = strip[:, REACH:-REACH, REACH:-REACH]
            for out, (a, b), colour in zip(rows[-3:], COLOURS, np.moveaxis(there, 2, 0), strict=True):
                made = light + a * first + b * second
                out[:] = shorter(4 * SAMPLE_ONE * colour.astype(np.int16) - made, ERROR_BITS)
            core.gram(rows.clip(-BOUND, BOUND).reshape(len(rows), -1), self.sums)

    def normal(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The normal equations: gram times the best coefficients, in 1/128, is the slope."""
        sums = self.sums * np.outer(UNITS, UNITS)
        seen, errors = sums[:-3, :-3], sums[:-3, -3:]
        gram = sum(mix @ seen @ mix.T for mix in MIXES)
        slope = sum(mix @ its for mix, its in zip(MIXES, errors.T, strict=True))
        return gram.astype(np.float64), slope.astype(np.float64) * FILTER_ONE

    def best(self, lmbda: float, default: Filter) -> Filter | None:
        """The filter that saves most; None where none is better than the default.

        Args: lmbda: of a squared error of one level in a sample, in bits.
        """
        usual, lmbda = np.array(default.values), lmbda / OUT_ONE**2
        gram, slope = self.normal()
        ridge = 1e-6 * math.fsum(gram.diagonal()) / len(usual) + 1e-3
        change = np.rint(solved(gram, ridge, slope + ridge * usual)).astype(np.int64) - usual
        saving = Saving(gram, slope, usual.tolist(), change.tolist(), lmbda)
        for _ in range(ROUNDS):  # one coefficient after the other, until nothing gets better
            if not any([saving.improve(k) for k in range(len(usual))]):
                break
        found = Filter(tuple((usual + saving.change).tolist()))
        return found if saving.total() > 0 and found.strength() <= STRENGTH_MAX else None


def shorter(a: NDArray[np.int16], bits: int) -> NDArray[np.int16]:
    """Without its last bits, rounded."""
    return (a + (1 << bits >> 1)) >> bits


def responses(plane: NDArray[np.int16], offsets: Offsets, bits: int, bound: int, out: NDArray[np.int16]) -> None:
    """What each coefficient is multiplied by: plain differences to both pixels an offset away, then clipped ones.

    Args: plane: (h + 6, w + 6). bits: by which plain ones are shorter. out: (2 n, h, w), written.
    """
    (_, h, w), here = out.shape, plane[REACH:-REACH, REACH:-REACH]
    for k, (i, j) in enumerate(offsets):
        for sign in (1, -1):
            top, left = REACH + sign * i, REACH + sign * j
            u = plane[top : top + h, left : left + w] - here
            clipped = u.clip(-bound, bound)
            if sign > 0:
                out[k], out[len(offsets) + k] = u, clipped
            else:
                out[k] += u
                out[len(offsets) + k] += clipped
        out[k] = shorter(out[k], bits)


def solved(gram: NDArray[np.float64], ridge: float, slope: NDArray[np.float64]) -> NDArray[np.float64]:
    """x with (gram + ridge) x = slope, by Gauss's elimination. BLAS would round differently on another machine."""
    a = np.column_stack((gram + ridge * np.eye(len(gram)), slope))
    for k in range(len(a)):  # positive definite: no pivot is 0
        a[k] /= a[k, k]
        others = np.arange(len(a)) != k
        a[others] -= a[others, k, None] * a[k]
    return a[:, -1]


class Saving:
    """What a change of the default filter saves, in bits, and costs."""

    def __init__(
        self, gram: NDArray[np.float64], slope: NDArray[np.float64], usual: list[int], change: list[int], lmbda: float
    ) -> None:
        """lmbda: of a squared error, in the units of slope."""
        self.gram, self.change, self.lmbda = gram, change, lmbda
        self.first = slope.copy()  # what is left of the slope at the default, and at the change
        for row, value in zip(gram, usual, strict=True):
            self.first -= row * value
        self.left = self.first.copy()
        for row, value in zip(gram, change, strict=True):
            self.left -= row * value

    def improve(self, k: int) -> bool:
        """Change a coefficient for what saves more, if there is such a number."""
        now = self.change[k]
        most, best = 0.0, now
        for value in (now - 1, now + 1, int(now / 2), 0):
            d = value - now
            saved = d * (2 * self.left[k] - d * self.gram[k, k]) * self.lmbda - (bits(value) - bits(now))
            if d and saved > most:
                most, best = saved, value
        self.left -= self.gram[k] * (best - now)
        self.change[k] = best
        return best != now

    def total(self) -> float:
        """The bits saved, less those of the codes."""
        saved = (c * (a + b) for c, a, b in zip(self.change, self.first, self.left, strict=True))
        return math.fsum(saved) * self.lmbda - sum(map(bits, self.change))


def bits(change: int) -> int:
    """Of the code of a difference, see `Filter.pack`."""
    return 2 * (2 * change + 1 if change >= 0 else -2 * change).bit_length() - 1


class Look(Columns):
    """A tile as g_s makes it from what the tile alone says, of which a part goes into a fit."""

    def __init__(self, networks: Networks, q: int, rgb: NDArray[np.uint8], inside: tuple[slice, slice]) -> None:
        """rgb: (H, W, 3), what it should be. inside: rows and columns of positions that are looked at."""
        super().__init__(networks, q, *(-(-n // CELL) for n in rgb.shape[:2]))
        self.rgb, self.inside, self.fit = rgb, inside, Fit()

    def draw(self, row: int, first: int, planes: NDArray[np.int16]) -> None:
        rows, columns = self.inside
        if first or row % EVERY or not rows.start <= row < rows.stop:  # a sample is enough
            return
        left = columns.start * CELL
        wanted = self.rgb[row * CELL : row * CELL + planes.shape[1] - 2 * REACH, left : columns.stop * CELL]
        around = planes[:, : len(wanted) + 2 * REACH, left : left + wanted.shape[1] + 2 * REACH]
        self.fit.add(around, wanted.astype(np.int16) - 128)


def fit_filter(
    networks: Networks, header: Header, index: int, rgb: NDArray[np.uint8], y_hat: NDArray[np.int16], default: Filter
) -> Filter | None:
    """The filter that suits a tile (H, W, 3) of y_hat (h, w, M), in 1/16 step, better than the default, if any does."""
    places = zip(divmod(index, header.grid[1]), header.grid, y_hat.shape[:2], strict=True)
    rows, columns = (away(*place) for place in places)
    look = Look(networks, header.quality, rgb, (rows, columns))
    look.add(y_hat, last=True)
    return look.fit.best(quality_lambda(header.quality) / 3, default)


def away(number: int, count: int, size: int) -> slice:
    """What of the positions of tile `number` of `count` is away from borders behind which there are other tiles; all of
    a small one."""
    if size <= 4 * MARGIN:
        return slice(0, size)
    return slice(MARGIN if number else 0, size if number == count - 1 else size - MARGIN)
