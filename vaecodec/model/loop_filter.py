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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaecodec.bitstream.container import CELL, Header, Tile
from vaecodec.errors import CorruptFileError
from vaecodec.model.networks import FILTER_ONE, PIXEL_ONE, Model

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
LONGEST = 150  # bytes, more than any filter within STRENGTH_MAX takes
STRIP = 256  # rows that are looked at together, so that they stay in a cache
# R, G and B are (luma + these times the two planes of chroma) / 4.
COLOURS = ((3, -1), (-1, -1), (-1, 3))
# What each coefficient moves a colour by: those of luma that, those of chroma so much of both planes.
OF_LUMA, OF_CHROMA = sum(KINDS[:2]), sum(KINDS[2:])
MIXES = [
    np.block(
        [
            [np.eye(OF_LUMA), np.zeros((OF_LUMA, 2 * OF_CHROMA))],
            [np.zeros((OF_CHROMA, OF_LUMA)), np.kron(ab, np.eye(OF_CHROMA))],
        ]
    )
    for ab in COLOURS
]


@dataclass(frozen=True)
class Filter:
    """Coefficients in 1/128, `KINDS` of each kind, the offsets in order."""

    values: tuple[int, ...]

    @classmethod
    def of_model(cls, model: Model, q: int) -> Filter:
        """That of a quality, 0..1000."""
        return cls(tuple(int(v) for v in model.filter(torch.full((1,), q), True).flatten()))

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
            if one < 0 or end > len(bits):
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

    def __call__(self, planes: Tensor) -> Tensor:
        """R, G and B (3, h, w) in 1/4096 level, of planes (3, h + 6, w + 6); see `as_planes`. Exact."""
        h, w = (n - 2 * REACH for n in planes.shape[1:])
        out = torch.empty(3, h, w, dtype=planes.dtype)
        luma, luma_clipped, chroma, chroma_clipped = self.kinds()
        for top in range(0, h, STRIP):
            strip = planes[:, top : top + STRIP + 2 * REACH]
            light = corrections(strip[0], LUMA, luma, luma_clipped, 4 * CLIP)
            colour = corrections(strip[1:], CHROMA, chroma, chroma_clipped, CLIP)
            rgb = out[:, top : top + STRIP]
            torch.sub(light, colour[0], out=rgb[1]).sub_(colour[1])
            torch.add(rgb[1], colour[0], alpha=4, out=rgb[0])
            torch.add(rgb[1], colour[1], alpha=4, out=rgb[2])
        return out


def check_defaults(anchors: NDArray[np.int64]) -> None:
    """Raises ValueError where a filter between the model's, (anchors, numbers), would be too strong."""
    most = np.maximum(np.abs(anchors[:-1]), np.abs(anchors[1:]))
    if any(Filter(tuple(row)).strength() > STRENGTH_MAX for row in most.tolist()):
        raise ValueError("a filter is too strong")


def as_planes(x_hat: Tensor) -> Tensor:
    """R + 2 G + B, R - G and B - G, (3, H + 6, W + 6), in 1/8 level, of x_hat (H, W, 3) in 1/64; edges repeated."""
    x = (x_hat.permute(2, 0, 1) * (SAMPLE_ONE / PIXEL_ONE)).round_().clamp_(-SAMPLE_MAX, SAMPLE_MAX - 1)
    r, g, b = rgb = torch.nn.functional.pad(x[None], (REACH,) * 4, mode="replicate")[0]
    planes = torch.empty_like(rgb)
    torch.add(r, g, alpha=2, out=planes[0]).add_(b)
    torch.sub(r, g, out=planes[1])
    torch.sub(b, g, out=planes[2])
    return planes


def corrections(planes: Tensor, offsets: Offsets, plain: Sequence[int], clipped: Sequence[int], bound: int) -> Tensor:
    """Planes (..., h + 6, w + 6) filtered, (..., h, w), in 1/128 of their unit."""
    total = interior(planes) * FILTER_ONE
    for offset, a, b in zip(offsets, plain, clipped, strict=True):
        if a or b:
            u = differences(planes, offset)
            weighed = u.clamp(-bound, bound).mul_(b).add_(u, alpha=a) if b else u.mul_(a)
            total += both_ways(weighed, offset)
    return total


def interior(planes: Tensor) -> Tensor:
    """Without `REACH` on each side."""
    return planes[..., REACH:-REACH, REACH:-REACH]


def differences(planes: Tensor, offset: tuple[int, int]) -> Tensor:
    """What lies an offset (i, j) on, less what is here: of the interior, and of all that is that far before it."""
    i, j = offset
    h, w = (n - REACH for n in planes.shape[-2:])
    first, last = REACH - max(j, 0), w + max(-j, 0)
    return planes[..., REACH : h + i, first + j : last + j] - planes[..., REACH - i : h, first:last]


def both_ways(u: Tensor, offset: tuple[int, int]) -> Tensor:
    """The sum of odd functions of the differences to both pixels an offset away, u being those of `differences`."""
    i, j = offset
    h, w = u.shape[-2] - i, u.shape[-1] - abs(j)
    after, before = max(j, 0), max(-j, 0)
    return u[..., i:, after : after + w] - u[..., :h, before : before + w]


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
    def read(cls, model: Model, header: Header, tiles: Mapping[int, Tile], top: int = 0, left: int = 0) -> Filters:
        """Those of some tiles, by number. Raises CorruptFileError."""
        found = cls(Filter.of_model(model, header.quality), header.tile_side // CELL, header.grid[1], {}, top, left)
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


class Fit:
    """Least squares: which filter brings some pixels nearest to what they should be, for what it costs."""

    def __init__(self) -> None:
        n = sum(KINDS)
        self.gram, self.slope = np.zeros((n, n)), np.zeros(n)

    def add(self, planes: Tensor, wanted: Tensor) -> None:
        """More of them: planes (3, h + 6, w + 6) and what they should be, (3, h, w) in levels minus 128."""
        for top in range(0, wanted.shape[1], STRIP):
            strip = planes[:, top : top + STRIP + 2 * REACH]
            luma, chroma = responses(strip[0], LUMA, 4 * CLIP), responses(strip[1:], CHROMA, CLIP)
            seen = torch.cat((luma, *chroma.unbind(1))).flatten(1) * (1 / (4 * FILTER_ONE))
            light, first, second = interior(strip)
            made = torch.stack([light + a * first + b * second for a, b in COLOURS]) * (1 / 4)
            error = (wanted[:, top : top + STRIP] * SAMPLE_ONE - made).flatten(1)
            gram, slope = ((seen @ other.T).double().numpy() for other in (seen, error))
            for mix, its in zip(MIXES, slope.T, strict=True):
                self.gram += mix @ gram @ mix.T
                self.slope += mix @ its

    def best(self, lmbda: float, default: Filter) -> Filter | None:
        """The filter that saves most; None where none is better than the default.

        Args: lmbda: of a squared error of one level in a sample, in bits.
        """
        lmbda, usual = lmbda / SAMPLE_ONE**2, np.array(default.values)
        ridge = 1e-6 * np.trace(self.gram) / len(usual) + 1e-9
        start = np.linalg.solve(self.gram + ridge * np.eye(len(usual)), self.slope + ridge * usual)
        change = np.rint(start).astype(np.int64) - usual
        slope = self.slope - self.gram @ usual
        cost = self._cost(change, slope, lmbda)
        for _ in range(4):  # one coefficient after the other, until nothing gets better
            before = cost
            for k in range(len(change)):
                for value in {change[k] - 1, change[k] + 1, int(change[k] / 2), 0} - {change[k]}:
                    other = change.copy()
                    other[k] = value
                    if (its := self._cost(other, slope, lmbda)) < cost:
                        change, cost = other, its
            if cost == before:
                break
        found = Filter(tuple((usual + change).tolist()))
        return found if cost < 0 and found.strength() <= STRENGTH_MAX else None

    def _cost(self, change: NDArray[np.int64], slope: NDArray[np.float64], lmbda: float) -> float:
        """Bits of a change of the default, less what it saves."""
        bits = 2 * np.floor(np.log2(2 * np.abs(change) + 0.5)).clip(0) + 1  # of the codes of `pack`
        saved = change @ (2 * slope - self.gram @ change) * lmbda
        return float(bits.sum() - saved)


def responses(planes: Tensor, offsets: Offsets, bound: int) -> Tensor:
    """What each coefficient would be multiplied by, (2 n, ..., h, w): plain differences, then clipped ones."""
    u = [(offset, differences(planes, offset)) for offset in offsets]
    return torch.stack([both_ways(d, o) for o, d in u] + [both_ways(d.clamp(-bound, bound), o) for o, d in u])
