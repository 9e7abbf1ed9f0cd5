"""Filters that suit a tile better than its quality's, by least squares; and what filters do, in PyTorch.

The core has the filters that decoders use (vaecodec/core/filter.h). Here they are for efforts that look for better
ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaecodec.bitstream.header import CELL, Header
from vaecodec.codec.analysis import Analysis
from vaecodec.codec.windows import inner, windows
from vaecodec.model import trained
from vaecodec.model.architecture import FILTER_ONE, PIXEL_ONE, quality_lambda
from vaecodec.model.loop_filter import (
    CHROMA,
    CLIP,
    KINDS,
    LUMA,
    REACH,
    SAMPLE_MAX,
    SAMPLE_ONE,
    STRENGTH_MAX,
    Filter,
    Filters,
    Offsets,
)
from vaecodec.model.weights import Weights

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


def applied(of: Filter, planes: Tensor) -> Tensor:
    """R, G and B (3, h, w) in 1/4096 level, of planes (3, h + 6, w + 6); see `as_planes`. Exact."""
    h, w = (n - 2 * REACH for n in planes.shape[1:])
    out = torch.empty(3, h, w, dtype=planes.dtype)
    luma, luma_clipped, chroma, chroma_clipped = of.kinds()
    for top in range(0, h, STRIP):
        strip = planes[:, top : top + STRIP + 2 * REACH]
        light = corrections(strip[0], LUMA, luma, luma_clipped, 4 * CLIP)
        colour = corrections(strip[1:], CHROMA, chroma, chroma_clipped, CLIP)
        rgb = out[:, top : top + STRIP]
        torch.sub(light, colour[0], out=rgb[1]).sub_(colour[1])
        torch.add(rgb[1], colour[0], alpha=4, out=rgb[0])
        torch.add(rgb[1], colour[1], alpha=4, out=rgb[2])
    return out


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


def filtered(filters: Filters, planes: Tensor, part: tuple[slice, slice], outer: tuple[slice, slice]) -> Tensor:
    """R, G and B (3, h, w) in 1/4096 level of rows and columns `part` of positions, of `as_planes` of those `outer`."""
    out = torch.empty(3, *((p.stop - p.start) * CELL for p in part), dtype=torch.float32)
    for r, c, kernel in filters.parts(*part):
        made = applied(kernel, around(planes, inner(outer[0], r, CELL), inner(outer[1], c, CELL)))
        out[:, inner(part[0], r, CELL), inner(part[1], c, CELL)] = made
    return out


def around(planes: Tensor, rows: slice, columns: slice) -> Tensor:
    """Some pixels of `as_planes`, and those within reach of them."""
    return planes[:, rows.start : rows.stop + 2 * REACH, columns.start : columns.stop + 2 * REACH]


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


class Fits:
    """Fits of the filters of a band's tiles, window by window."""

    def __init__(self, filters: Filters, band: slice) -> None:
        """band: its rows, counted like those of the filters."""
        self.filters, self.band = filters, band
        self.of_tile: dict[int, Fit] = {}

    def add(self, planes: Tensor, wanted: Tensor, part: tuple[slice, slice], outer: tuple[slice, slice]) -> None:
        """A window: `as_planes` of rows and columns `outer` of positions, and what the pixels of `part` should be,
        (H, W, 3) in levels minus 128, not padded."""
        for r, c, number in self.filters.by_tile(*part):
            if self.band.start <= r.start < self.band.stop:
                there = wanted[inner(part[0], r, CELL), inner(part[1], c, CELL)].permute(2, 0, 1)
                row, column = (inner(o, p, CELL).start for o, p in zip(outer, (r, c), strict=True))
                size = slice(row, row + there.shape[1]), slice(column, column + there.shape[2])
                self.of_tile.setdefault(number, Fit()).add(around(planes, *size), there)

    def settle(self, lmbda: float) -> None:
        """Give tiles the filters that are worth their bits, and the others the default. lmbda: see `Fit.best`."""
        for number, fit in self.of_tile.items():
            if best := fit.best(lmbda, self.filters.default):
                self.filters.of_tile[number] = best
            else:
                self.filters.of_tile.pop(number, None)


def fit_filters(
    weights: Weights, header: Header, analysis: Analysis, row: int, y_hat: NDArray[np.int16], default: Filter
) -> dict[int, Filter]:
    """The filters that suit the tiles of a row better than the default, by number.

    They are fitted where the band alone, y_hat (n, w, M) in 1/16 step, says what g_s will make of it: with few tiles to
    a band, not near the rows above and below.
    """
    margin, side, (n, w) = weights.cfg.margin + 1, header.tile_side // CELL, y_hat.shape[:2]
    first, last = margin if row else 0, n if row == header.grid[0] - 1 else n - margin
    filters = Filters(default, side, header.grid[1], top=row * side)
    fits = Fits(filters, slice(0, n))
    model, q = trained.exact(weights), torch.full((1,), header.quality)
    for r, c, outer_r, outer_c in windows(first, last, w, n, margin, side):
        y = torch.from_numpy(y_hat[outer_r, outer_c]).float()[None]
        wanted = torch.from_numpy(analysis.levels(slice(row * side + r.start, row * side + r.stop), c))
        planes = as_planes(model.g_s(y, q, model.steps(q))[0])
        fits.add(planes, wanted, (r, c), (outer_r, outer_c))
    fits.settle(quality_lambda(header.quality) / 3)
    return filters.of_tile
