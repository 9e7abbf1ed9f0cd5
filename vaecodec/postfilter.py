"""The filter of a tile: 24 numbers that take away what the synthesis does wrong throughout it.

One network makes all pictures, so it is a little too sharp for some and too soft for others. As VVC's adaptive loop
filter does (Tsai et al. 2013, "Adaptive loop filtering for video coding", IEEE JSTSP 7(6)), the encoder finds by least
squares what a small symmetric filter can mend, one for luma and one for the differences to it, and sends it.
bitstream_spec.md, section 10, has the arithmetic: integers below 2**24, so that float32 is exact in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaecodec.container import CELL, Header, Tile
from vaecodec.errors import CorruptFileError
from vaecodec.model import PIXEL_ONE

REACH = 3  # pixels
# Half of a diamond without its middle; the other half has the same coefficients.
OFFSETS = tuple(
    (i, j)
    for i in range(REACH + 1)
    for j in range(-REACH, REACH + 1)
    if abs(i) + abs(j) <= REACH and (i > 0 or (i == 0 and j > 0))
)
ONE = 128  # the integer that stands for 1 in a coefficient
SUM_MAX = 448  # of |chroma| + |luma - chroma| over the offsets: keeps all sums below 2**24
SAMPLE_ONE = 16  # samples are integers in 1/16 level
SAMPLE_MAX = 2048
OUT_ONE = 4 * ONE * SAMPLE_ONE  # what comes out is in 1/8192 level
LONGEST = 64  # bytes, more than any filter within SUM_MAX takes
STRIP = 64  # rows that are looked at together by `Fit`


@dataclass(frozen=True)
class Filter:
    """Coefficients of the offsets, in 1/128."""

    luma: tuple[int, ...]
    chroma: tuple[int, ...]

    def pack(self) -> bytes:
        """Luma, then chroma, as exponential Golomb codes of 0, -1, 1, -2, ... = 0, 1, 2, 3, ...; zeros to a byte."""
        codes = [f"{u + 1:b}" for u in (2 * v if v >= 0 else -2 * v - 1 for v in self.luma + self.chroma)]
        bits = "".join("0" * (len(code) - 1) + code for code in codes)
        return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Filter:
        """Raises CorruptFileError."""
        if len(data) > LONGEST:
            raise CorruptFileError("a tile's filter is too long")
        bits = "".join(f"{byte:08b}" for byte in bytes(data))
        values, at = [], 0
        for _ in range(2 * len(OFFSETS)):
            one = bits.find("1", at)
            end = 2 * one - at + 1
            if one < 0 or end > len(bits):
                raise CorruptFileError("a tile's filter is cut off")
            u = int(bits[one:end], 2) - 1
            values.append(-(u + 1) // 2 if u % 2 else u // 2)
            at = end
        if len(bits) - at >= 8 or "1" in bits[at:]:
            raise CorruptFileError("data follow a tile's filter")
        found = cls(tuple(values[: len(OFFSETS)]), tuple(values[len(OFFSETS) :]))
        if found.strength() > SUM_MAX:
            raise CorruptFileError("a tile's filter is too strong")
        return found

    def strength(self) -> int:
        """What SUM_MAX bounds."""
        return sum(abs(c) + abs(y - c) for y, c in zip(self.luma, self.chroma, strict=True))

    def __call__(self, planes: Tensor) -> Tensor:
        """(3, h, w) in 1/8192 level, of planes (4, h + 6, w + 6); see `as_planes`. Exact."""
        inside = shifted(planes, 0, 0)
        middle = -2 * sum(self.chroma), -2 * sum(self.luma)
        total = torch.cat((inside[:3] * (4 * middle[0]), inside[3:] * (middle[1] - middle[0])))
        for (i, j), luma, chroma in zip(OFFSETS, self.luma, self.chroma, strict=True):
            if luma or chroma:
                pair = shifted(planes, i, j) + shifted(planes, -i, -j)
                total[:3].add_(pair[:3], alpha=4 * chroma)
                total[3].add_(pair[3], alpha=luma - chroma)
        return total[:3].add_(total[3]).add_(inside[:3], alpha=4 * ONE)


def as_planes(x_hat: Tensor) -> Tensor:
    """R, G, B and R + 2 G + B, (4, H + 6, W + 6), in 1/16 level, of x_hat (H, W, 3) in 1/64; its edges repeated."""
    x = (x_hat.permute(2, 0, 1) * (SAMPLE_ONE / PIXEL_ONE)).round_().clamp_(-SAMPLE_MAX, SAMPLE_MAX - 1)
    x = torch.nn.functional.pad(x[None], (REACH,) * 4, mode="replicate")[0]
    return torch.cat((x, (x[:1] + 2 * x[1:2] + x[2:])))


def shifted(planes: Tensor, i: int, j: int) -> Tensor:
    """Their inside, without `REACH` on each side, i rows and j columns on."""
    h, w = planes.shape[1] - 2 * REACH, planes.shape[2] - 2 * REACH
    return planes[:, REACH + i : REACH + i + h, REACH + j : REACH + j + w]


@dataclass
class Filters:
    """The filters of a picture's tiles, by number, for an array of positions whose corner is at `top`, `left`."""

    side: int  # of a tile, in positions
    columns: int  # of tiles
    of_tile: dict[int, Filter] = field(default_factory=dict)
    top: int = 0
    left: int = 0

    @classmethod
    def read(cls, header: Header, tiles: list[Tile], top: int = 0, left: int = 0) -> Filters:
        """Raises CorruptFileError."""
        found = {number: Filter.unpack(tile.filter) for number, tile in enumerate(tiles) if tile.filter}
        return cls(header.tile_side // CELL, header.grid[1], found, top, left)

    def parts(self, rows: slice, columns: slice) -> Iterator[tuple[slice, slice, Filter]]:
        """Those of some positions of the array that lie in a tile with a filter, tile by tile."""
        for r, row in cut(rows, self.side, self.top):
            for c, column in cut(columns, self.side, self.left):
                if kernel := self.of_tile.get(row * self.columns + column):
                    yield r, c, kernel


def cut(part: slice, side: int, origin: int) -> Iterator[tuple[slice, int]]:
    """The pieces of `part`, counted from `origin` on, that lie in one tile each, and its row or column."""
    for number in range((origin + part.start) // side, -(-(origin + part.stop) // side)):
        first = number * side - origin
        yield slice(max(part.start, first), min(part.stop, first + side)), number


class Fit:
    """Least squares: which filter brings a tile nearest to its picture, for what it costs."""

    def __init__(self) -> None:
        n = 2 * len(OFFSETS)
        self.gram, self.slope = np.zeros((n, n)), np.zeros(n)

    def add(self, planes: Tensor, wanted: Tensor) -> None:
        """More of the tile: planes (4, h + 6, w + 6) and what they ought to be, (3, h, w) in levels minus 128."""
        for top in range(0, wanted.shape[1], STRIP):
            strip = planes[:, top : top + STRIP + 2 * REACH]
            inside = shifted(strip, 0, 0)
            error = (wanted[:, top : top + STRIP] * SAMPLE_ONE - inside[:3]).flatten()
            pairs = torch.stack([shifted(strip, i, j) + shifted(strip, -i, -j) - 2 * inside for i, j in OFFSETS])
            luma = pairs[:, 3:].expand(-1, 3, -1, -1)
            features = torch.cat((luma, 4 * pairs[:, :3] - luma)).flatten(1) * (1 / (4 * ONE))
            self.gram += (features @ features.T).double().numpy()
            self.slope += (features @ error).double().numpy()

    def best(self, worth: float) -> Filter | None:
        """The filter that saves most; None where none saves anything.

        Args: worth: of a squared error of one level in a sample, in bits.
        """
        worth /= SAMPLE_ONE**2
        ridge = 1e-6 * np.trace(self.gram) + 1e-9
        start = np.linalg.solve(self.gram + ridge * np.eye(len(self.slope)), self.slope)
        values = np.rint(start).astype(np.int64)
        cost = self._cost(values, worth)
        for _ in range(4):  # one coefficient after the other, until nothing gets better
            before = cost
            for k in range(len(values)):
                for value in (values[k] - 1, values[k] + 1, values[k] // 2, 0):
                    other = values.copy()
                    other[k] = value
                    if (its := self._cost(other, worth)) < cost:
                        values, cost = other, its
            if cost == before:
                break
        found = Filter(*(tuple(part.tolist()) for part in np.split(values, 2)))
        return found if cost < 0 and found.strength() <= SUM_MAX else None

    def _cost(self, values: NDArray[np.int64], worth: float) -> float:
        """Bits, against no filter."""
        bits = 2 * np.floor(np.log2(2 * np.abs(values) + 0.5)).clip(0) + 1  # of the codes of `pack`
        saved = values @ (2 * self.slope - self.gram @ values) * worth
        return float(bits.sum() - saved)
