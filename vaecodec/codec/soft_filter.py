"""What filters do, in PyTorch, for the efforts that refine latents; the core has the filters that decoders use
(vaecodec/core/filter.h)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vaecodec.bitstream.header import CELL
from vaecodec.codec.filter_fit import Fit
from vaecodec.codec.windows import inner
from vaecodec.model.architecture import FILTER_ONE, PIXEL_ONE
from vaecodec.model.loop_filter import CHROMA, CLIP, LUMA, REACH, SAMPLE_MAX, SAMPLE_ONE, Filter, Filters, Offsets

STRIP = 256  # rows that are looked at together, so that they stay in a cache


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
                there = wanted[inner(part[0], r, CELL), inner(part[1], c, CELL)]
                row, column = (inner(o, p, CELL).start for o, p in zip(outer, (r, c), strict=True))
                size = slice(row, row + there.shape[0]), slice(column, column + there.shape[1])
                its = around(planes, *size).numpy().astype(np.int16)
                self.of_tile.setdefault(number, Fit()).add(its, there.numpy().astype(np.int16))

    def settle(self, lmbda: float) -> None:
        """Give tiles the filters that are worth their bits, and the others the default. lmbda: see `Fit.best`."""
        for number, fit in self.of_tile.items():
            if best := fit.best(lmbda, self.filters.default):
                self.filters.of_tile[number] = best
            else:
                self.filters.of_tile.pop(number, None)
