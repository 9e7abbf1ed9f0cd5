"""The filter of a tile: what a few numbers can take away of what the synthesis does wrong throughout it.

One network makes all pictures, and it makes them from cells of 8 x 8 pixels: it is a little too sharp for some, too
soft for others, and knows no small differences from large ones between pixels. So each pixel is moved by its
differences to those around it, as VVC's adaptive loop filter does (Tsai et al. 2013, "Adaptive loop filtering for video
coding", IEEE JSTSP 7(6)), once by the differences as they are and once by the clipped ones, which leave edges alone
(Taquet et al. 2019, "Non-linear adaptive loop filter", PCS). The model has a filter for each quality; a tile may have a
better one, which the encoder finds by least squares. bitstream_spec.md, section 9, has the arithmetic: integers below
2**24, so that float32 is exact in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.header import CELL, Header
from vaecodec.bitstream.tiles import Tile
from vaecodec.errors import CorruptFileError
from vaecodec.model.architecture import FILTER_ONE

if TYPE_CHECKING:
    from vaecodec.model.weights import Weights

REACH = 3  # pixels
Offsets = tuple[tuple[int, int], ...]


def diamond(reach: int) -> Offsets:
    """Half of a diamond without its middle; the other half has the same coefficients."""
    around = ((i, j) for i in range(reach + 1) for j in range(-reach, reach + 1) if abs(i) + abs(j) <= reach)
    return tuple((i, j) for i, j in around if i > 0 or j > 0)


LUMA, CHROMA = diamond(3), diamond(2)
KINDS = (len(LUMA), len(LUMA), len(CHROMA), len(CHROMA))  # luma, its clipped differences, chroma, its clipped ones
SAMPLE_ONE = 8  # samples are integers in 1/8 level
SAMPLE_MAX = 1024
CLIP = 4 * SAMPLE_ONE  # differences of chroma are clipped at 4 levels; those of luma, which counts four times, too
OUT_ONE = 4 * FILTER_ONE * SAMPLE_ONE  # what comes out is in 1/4096 level
WORTH = (64, 1, 192, 2)  # what each kind adds to a filter's strength: 1/256 of the most that a coefficient can make
STRENGTH_MAX = 56000  # keeps all sums below 2**24
ZEROS_MAX = 16  # of a code: no filter within STRENGTH_MAX differs by more
LONGEST = 150  # bytes, more than any filter within STRENGTH_MAX takes


@dataclass(frozen=True)
class Filter:
    """Coefficients in 1/128, `KINDS` of each kind, the offsets in order."""

    values: tuple[int, ...]

    @classmethod
    def of_model(cls, weights: Weights, q: int) -> Filter:
        """That of a quality, 0..1000."""
        return cls(tuple(weights.row("filter", q).tolist()))

    def pack(self, default: Filter) -> bytes:
        """Differences to the default, as exponential Golomb codes of 0, -1, 1, -2, ... = 0, 1, 2, 3, ...; zeros to a
        byte."""
        differences = [v - d for v, d in zip(self.values, default.values, strict=True)]
        codes = [f"{u + 1:b}" for u in (2 * v if v >= 0 else -2 * v - 1 for v in differences)]
        bits = "".join("0" * (len(code) - 1) + code for code in codes)
        return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")

    @classmethod
    def unpack(cls, data: bytes | memoryview, default: Filter) -> Filter:
        """Raises CorruptFileError."""
        if len(data) > LONGEST:
            raise CorruptFileError("a tile's filter is too long")
        bits = "".join(f"{byte:08b}" for byte in bytes(data))
        values, at = [], 0
        for usual in default.values:
            one = bits.find("1", at)
            end = 2 * one - at + 1
            if one < 0 or one - at > ZEROS_MAX or end > len(bits):
                raise CorruptFileError("a tile's filter is cut off")
            u = int(bits[one:end], 2) - 1
            values.append(usual + (-(u + 1) // 2 if u % 2 else u // 2))
            at = end
        if len(bits) - at >= 8 or "1" in bits[at:]:
            raise CorruptFileError("data follow a tile's filter")
        found = cls(tuple(values))
        if found.strength() > STRENGTH_MAX:
            raise CorruptFileError("a tile's filter is too strong")
        return found

    def kinds(self) -> list[tuple[int, ...]]:
        """The coefficients of each kind."""
        ends = np.cumsum(KINDS)
        return [self.values[end - n : end] for end, n in zip(ends, KINDS, strict=True)]

    def strength(self) -> int:
        """What STRENGTH_MAX bounds."""
        return sum(weight * sum(map(abs, part)) for weight, part in zip(WORTH, self.kinds(), strict=True))


def check_defaults(anchors: NDArray[np.int64]) -> None:
    """Raises ValueError where a filter between the model's, (anchors, numbers), would be too strong."""
    most = np.maximum(np.abs(anchors[:-1]), np.abs(anchors[1:]))
    if any(Filter(tuple(row)).strength() > STRENGTH_MAX for row in most.tolist()):
        raise ValueError("a filter is too strong")


@dataclass
class Filters:
    """The filters of a picture's tiles, by number, for an array of positions whose corner is at `top`, `left`."""

    default: Filter
    side: int  # of a tile, in positions
    columns: int  # of tiles
    of_tile: dict[int, Filter] = field(default_factory=dict)
    top: int = 0
    left: int = 0

    @classmethod
    def read(cls, weights: Weights, header: Header, tiles: Mapping[int, Tile], top: int = 0, left: int = 0) -> Filters:
        """Those of some tiles, by number. Raises CorruptFileError."""
        found = cls(Filter.of_model(weights, header.quality), header.tile_side // CELL, header.grid[1], {}, top, left)
        for number, tile in tiles.items():
            found.add(number, tile)
        return found

    def add(self, number: int, tile: Tile) -> None:
        """That of one more tile, if it has one of its own. Raises CorruptFileError."""
        if tile.filter:
            self.of_tile[number] = Filter.unpack(tile.filter, self.default)

    def parts(self, rows: slice, columns: slice) -> Iterator[tuple[slice, slice, Filter]]:
        """Some positions of the array, split into what has one filter each."""
        if not self.of_tile:
            yield rows, columns, self.default
            return
        for r, c, number in self.by_tile(rows, columns):
            yield r, c, self.of_tile.get(number, self.default)

    def by_tile(self, rows: slice, columns: slice) -> Iterator[tuple[slice, slice, int]]:
        """Some positions of the array, split into what lies in one tile each, and its number."""
        for r, row in split(rows, self.side, self.top):
            for c, column in split(columns, self.side, self.left):
                yield r, c, row * self.columns + column


def split(part: slice, side: int, origin: int) -> Iterator[tuple[slice, int]]:
    """`part`, counted from `origin` on, split into what lies in one tile each, and its row or column."""
    for number in range((origin + part.start) // side, -(-(origin + part.stop) // side)):
        first = number * side - origin
        yield slice(max(part.start, first), min(part.stop, first + side)), number
