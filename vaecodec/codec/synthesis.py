"""Windows over a picture and its latents: g_a, h_a and g_s band by band, in bounded memory.

A band is a row of tiles, or several of a narrow picture. Analysis and synthesis run in windows with a margin as wide
as their receptive field, so memory follows the band, not the picture, and no tile border shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaecodec.bitstream.container import CELL, EMPTY, Header, Tile
from vaecodec.codec.latents import Z_CELL, decode_tiles
from vaecodec.model.exact import half
from vaecodec.model.loop_filter import OUT_ONE, REACH, Filter, Filters, Fit, as_planes
from vaecodec.model.networks import quality_lambda
from vaecodec.model.weights import Weights
from vaecodec.pictures.picture import strips

WINDOW = 72 * 44  # positions of y in a window and its margin, more or less: a Kodak picture is one window
TALLEST = 64  # rows of y in a window, without its margin: those of the largest tile
BATCH = TALLEST**2  # positions of y in the tiles that are coded in lockstep: one of the largest size
H_MARGIN = 4  # positions of y that h_a sees beyond its own, rounded up to positions of z
H_WINDOW = 64  # columns of y that h_a sees at a time, a multiple of positions of z


def rows_at_once(header: Header) -> int:
    """How many rows of tiles make a band: one, or more of a narrow picture, whose tiles are coded together."""
    return max(1, BATCH // (header.tile_side // CELL * -(-header.width // CELL)))


def bands(header: Header, step: int | None = None) -> Iterator[range]:
    """The rows of tiles of each band of a picture; `step` of them, by default as many as `rows_at_once` says."""
    rows, step = header.grid[0], step or rows_at_once(header)
    for first in range(0, rows, step):
        yield range(first, min(first + step, rows))


def together(header: Header, rows: range, columns: range) -> Iterator[list[tuple[int, int]]]:
    """(row, column) of tiles to code in lockstep: of one shape, and not so many that memory follows the picture's."""
    for some_rows in alike(rows, header.height, header.tile_side):
        for some_columns in alike(columns, header.width, header.tile_side):
            h, w = tile_shape(header, some_rows.start, some_columns.start)
            step = max(1, BATCH // (h * w))
            places = [(row, column) for row in some_rows for column in some_columns]
            for first in range(0, len(places), step):
                yield places[first : first + step]


def alike(part: range, size: int, side: int) -> list[range]:
    """Rows or columns of tiles that are whole, and the one that the picture's edge may cut off."""
    whole = size // side
    parts = range(part.start, min(part.stop, whole)), range(max(part.start, whole), part.stop)
    return [part for part in parts if part]


def tile_shape(header: Header, row: int, column: int) -> tuple[int, int]:
    """Height and width of a tile in positions."""
    _, _, height, width = header.tile_box(row * header.grid[1] + column)
    return -(-height // CELL), -(-width // CELL)


def decode_band(
    weights: Weights,
    header: Header,
    tiles: Sequence[Tile],
    rows: range,
    columns: range,
    groups: int = 2,
    damaged: set[int] | None = None,
) -> Tensor:
    """y_hat (n, w, M) int16, in 1/16 step, of the tiles of some rows and columns; |y_hat| < 2^14.

    Args:
        tiles: all of the picture. groups: see `decode_tiles`.
        damaged: if given, no fault raises; it gets the numbers of tiles that have one, of which y_hat is 0.

    Raises: CorruptFileError.
    """
    side = header.tile_side // CELL
    top, left = rows.start * side, columns.start * side
    bottom, right = min(rows.stop * side, -(-header.height // CELL)), min(columns.stop * side, -(-header.width // CELL))
    band = torch.zeros(bottom - top, right - left, weights.model.cfg.M, dtype=torch.int16)
    for places in together(header, rows, columns):
        numbered = {row * header.grid[1] + column: (row, column) for row, column in places}
        coded = [n for n in numbered if tiles[n].lanes_log2 != EMPTY]
        if not coded:
            continue
        h, w = tile_shape(header, *places[0])
        faults: list[bool] | None = None if damaged is None else []
        y_hat = decode_tiles(weights, header.quality, [tiles[n] for n in coded], h, w, groups, faults)
        for k, n in enumerate(coded):
            if damaged is not None and faults and faults[k]:
                damaged.add(n)
                continue
            i, j = numbered[n][0] * side - top, numbered[n][1] * side - left
            band[i : i + h, j : j + w] = y_hat[k]
    return band


def windows(
    first: int, last: int, w: int, h: int, margin: int, size: int | None = None
) -> Iterator[tuple[slice, slice, slice, slice]]:
    """Windows that cover rows first..last of an h x w grid: (rows, columns) of each, then with its margin. As tall as a
    tile may be, where no `size` is given, and as wide as that leaves room for: so margins are looked at least often."""
    height = max(1, min(size or TALLEST, last - first))
    width = size or max(WINDOW // (height + 2 * margin) - 2 * margin, TALLEST // 4, 1)
    for top in range(first, last, height):
        bottom = min(top + height, last)
        for left in range(0, w, width):
            right = min(left + width, w)
            outer_rows = slice(max(0, top - margin), min(h, bottom + margin))
            outer_columns = slice(max(0, left - margin), min(w, right + margin))
            yield slice(top, bottom), slice(left, right), outer_rows, outer_columns


def inner(outer: slice, part: slice, cell: int = 1) -> slice:
    """Where `part` lies within `outer`, in units of 1/cell positions."""
    return slice((part.start - outer.start) * cell, (part.stop - outer.start) * cell)


def as_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, C) without its alpha, grey as R=G=B."""
    return pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)


def paste(pixels: NDArray[np.uint8], rgb: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None) -> None:
    """Write rgb (H, W, 3) into pixels (H, W, C), where the mask (H, W) is set, alpha untouched."""
    if pixels.shape[2] < 3:
        r, g, b = (rgb[..., i].astype(np.uint16) for i in range(3))
        rgb = ((r + 2 * g + b + 2) >> 2).astype(np.uint8)[..., None]
    np.copyto(pixels[..., : rgb.shape[2]], rgb, where=True if mask is None else mask[..., None])


def patched(pixels: NDArray[np.uint8], header: Header, patches: dict[int, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pixels (H, W, C) with some tiles (h, w, 3) in the place of their own: `Strips`, no second picture in memory."""

    def fetch(first: int, last: int) -> NDArray[np.uint8]:
        rows = pixels[first:last].copy()
        for index, patch in patches.items():
            top, left, height, width = header.tile_box(index)
            upper, lower = max(first, top), min(last, top + height)
            if upper < lower:
                paste(rows[upper - first : lower - first, left : left + width], patch[upper - top : lower - top])
        return rows

    return strips(pixels.shape, fetch)


class Bands:
    """A picture and the rows of y that are held of it, from `start` on. The networks are handed to each call anew: from
    one band to the next they may change from float32 to float64."""

    y: Tensor  # (rows, w, M)

    def __init__(self, weights: Weights, header: Header, pixels: Any, margin: int) -> None:
        self.pixels = pixels
        self.h, self.w = -(-pixels.shape[0] // CELL), -(-pixels.shape[1] // CELL)
        self.q = torch.full((1,), header.quality)
        with torch.no_grad():
            self.step = weights.model.steps(self.q)
        self.margin = margin
        self.start = 0


@dataclass(frozen=True)
class Analysed:
    """A band as the encoder's networks see it. `y`: (rows, w, M) in steps, with rows beyond it, from `start` of the
    picture on; the band is its rows `inner`. `z`: (n / 4, w / 4, N), rounded up, for the n rows of the band."""

    y: Tensor
    z: Tensor
    start: int
    inner: slice


class Analysis(Bands):
    """y and z of a picture, band by band; each row of y is computed once."""

    def __init__(self, weights: Weights, header: Header, pixels: NDArray[np.uint8]) -> None:
        super().__init__(weights, header, pixels, weights.model.g_a.margin)
        self.y = torch.zeros(0, self.w, weights.model.cfg.M, dtype=torch.float32)

    def band(self, weights: Weights, first: int, last: int) -> Analysed:
        """The rows first..last of y, each band after the one above it."""
        low, high = max(0, first - H_MARGIN), min(self.h, last + H_MARGIN)
        have = self.start + len(self.y)
        held, self.y = self.y[low - self.start :].clone(), torch.empty(0)  # not the old rows besides the new ones
        self.y, self.start = torch.empty(high - low, self.w, held.shape[2], dtype=torch.float32), low
        self.y[: len(held)] = held
        begin, parts = (first - low) // Z_CELL, []
        with half():
            for r, c, outer_r, outer_c in windows(have, high, self.w, self.h, self.margin):
                y = weights.model.g_a(self._crop(outer_r, outer_c), self.q, self.step)[0]
                self.y[inner(slice(low, high), r), c] = y[inner(outer_r, r), inner(outer_c, c)]
            for left in range(0, self.w, H_WINDOW):
                outer = slice(max(0, left - H_MARGIN), min(self.w, left + H_WINDOW + H_MARGIN))
                z = h_a(weights, self.y[:, outer])
                first_column = (left - outer.start) // Z_CELL
                columns = slice(first_column, first_column + H_WINDOW // Z_CELL)
                parts.append(z[begin : begin - (first - last) // Z_CELL, columns])
        return Analysed(self.y, torch.cat(parts, dim=1), low, slice(first - low, last - low))

    def under(self, band: Analysed) -> Tensor:
        """The pixels under the rows of its `y`: (H, W, 3) in levels minus 128, not padded."""
        return self.levels(slice(band.start, band.start + len(band.y)), slice(0, self.w))

    def levels(self, rows: slice, columns: slice) -> Tensor:
        """The pixels of some positions: (H, W, 3) in levels minus 128, not padded."""
        part = self.pixels[rows.start * CELL : rows.stop * CELL, columns.start * CELL : columns.stop * CELL]
        return torch.from_numpy(as_rgb(part).astype(np.float32)) - 128

    def _crop(self, rows: slice, columns: slice) -> Tensor:
        """(1, H, W, 3) in levels minus 128, padded by edge replication to whole cells."""
        part = self.levels(rows, columns).permute(2, 0, 1)[None]
        pad = (0, -part.shape[3] % CELL, 0, -part.shape[2] % CELL)
        return torch.nn.functional.pad(part, pad, mode="replicate").permute(0, 2, 3, 1)


def h_a(weights: Weights, y: Tensor) -> Tensor:
    """z (h / 4, w / 4, N) of y (h, w, M), by edge replication to whole positions of z."""
    pad = (0, -y.shape[1] % Z_CELL, 0, -y.shape[0] % Z_CELL)
    padded = torch.nn.functional.pad(y.permute(2, 0, 1)[None], pad, mode="replicate")
    return weights.model.h_a(padded.permute(0, 2, 3, 1))[0]


class Rolling:
    """Stands in for the pixels (H, W, C) of a picture while they are written downwards: as many rows of it as may be
    waiting for the latents below them, a row of tiles, and those of a band."""

    def __init__(self, header: Header) -> None:
        self.shape = header.height, header.width, header.channels
        self.start = 0
        waiting = (rows_at_once(header) + 1) * header.tile_side
        self.rows = np.empty((min(header.height, waiting), *self.shape[1:]), np.uint8)

    def __getitem__(self, place: tuple[slice, slice]) -> NDArray[np.uint8]:
        """A view of what is there."""
        rows, columns = place
        return self.rows[rows.start - self.start : rows.stop - self.start, columns]

    def take(self, count: int) -> NDArray[np.uint8]:
        """The next rows, whose place is free then."""
        taken = self.rows[:count].copy()
        self.rows[:-count] = self.rows[count:]
        self.start += count
        return taken


class Synthesis(Bands):
    """Writes pixels as bands of y_hat come in; each window waits until its margin is there."""

    def __init__(self, weights: Weights, header: Header, pixels: NDArray[np.uint8] | Rolling, filters: Filters) -> None:
        super().__init__(weights, header, pixels, synthesis_margin(weights))
        self.filters = filters  # those of a band must be there before it is added
        self.done = 0  # the row up to which pixels are written
        self.blank: dict[str, NDArray[np.uint8]] = {}  # pixels of windows of zeros, by shape and place
        self.y = torch.zeros(0, self.w, weights.model.cfg.M, dtype=torch.int16)  # |y_hat| < 2^14

    def add(self, weights: Weights, y_hat: Tensor) -> None:
        """The next rows (n, w, M) of y_hat."""
        self.y = torch.cat((self.y, y_hat))
        have = self.start + len(self.y)
        ready = have if have == self.h else max(self.done, have - self.margin)
        for r, c, outer_r, outer_c in windows(self.done, ready, self.w, self.h, self.margin):
            y = self.y[inner(slice(self.start, have), outer_r), outer_c]
            rgb = self._rgb(weights, y, (r, c), (outer_r, outer_c))
            part = self.pixels[r.start * CELL : r.stop * CELL, c.start * CELL : c.stop * CELL]
            paste(part, rgb[: part.shape[0], : part.shape[1]])
        self.done = ready
        keep = max(0, ready - self.margin)
        self.y = self.y[keep - self.start :].clone()  # a view would keep all of it
        self.start = keep

    def _rgb(
        self, weights: Weights, y: Tensor, part: tuple[slice, slice], outer: tuple[slice, slice]
    ) -> NDArray[np.uint8]:
        """The pixels of `part` that g_s makes of a window y (h, w, M) of rows and columns `outer`. Where all is 0, as
        it is under overlays and in files that say much and hold little, one window is like the other: it is made once.
        """
        alike = not y.any() and all(kernel is self.filters.default for _, _, kernel in self.filters.parts(*part))
        place = str((y.shape, *map(inner, outer, part)))
        if alike and place in self.blank:
            return self.blank[place]
        planes = as_planes(weights.model.g_s(y[None].float(), self.q, self.step)[0])
        rgb = levels(filtered(self.filters, planes, part, outer)).transpose(1, 2, 0)
        if alike:
            self.blank[place] = rgb
        return rgb


def filtered(filters: Filters, planes: Tensor, part: tuple[slice, slice], outer: tuple[slice, slice]) -> Tensor:
    """R, G and B (3, h, w) in 1/4096 level of rows and columns `part` of positions, of `as_planes` of those `outer`."""
    out = torch.empty(3, *((p.stop - p.start) * CELL for p in part), dtype=torch.float32)
    for r, c, kernel in filters.parts(*part):
        made = kernel(around(planes, inner(outer[0], r, CELL), inner(outer[1], c, CELL)))
        out[:, inner(part[0], r, CELL), inner(part[1], c, CELL)] = made
    return out


def levels(x: Tensor) -> NDArray[np.uint8]:
    """8-bit samples of what filters make."""
    rgb: NDArray[np.uint8] = (x * (1 / OUT_ONE)).round_().add_(128).clamp_(0, 255).to(torch.uint8).numpy()
    return rgb


def around(planes: Tensor, rows: slice, columns: slice) -> Tensor:
    """Some pixels of `as_planes`, and those within reach of them."""
    return planes[:, rows.start : rows.stop + 2 * REACH, columns.start : columns.stop + 2 * REACH]


def synthesis_margin(weights: Weights) -> int:
    """Positions of y that a pixel sees beyond its own: the networks' and, through the filter, one more."""
    return weights.model.g_s.margin + 1


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
    weights: Weights, header: Header, analysis: Analysis, row: int, y_hat: Tensor, default: Filter
) -> dict[int, Filter]:
    """The filters that suit the tiles of a row better than the default, by number.

    They are fitted where the band alone, y_hat (n, w, M) in 1/16 step, says what g_s will make of it: with few tiles to
    a band, not near the rows above and below.
    """
    margin, side, (n, w) = synthesis_margin(weights), header.tile_side // CELL, y_hat.shape[:2]
    first, last = margin if row else 0, n if row == header.grid[0] - 1 else n - margin
    filters = Filters(default, side, header.grid[1], top=row * side)
    fits = Fits(filters, slice(0, n))
    for r, c, outer_r, outer_c in windows(first, last, w, n, margin, side):
        planes = as_planes(weights.model.g_s(y_hat[outer_r, outer_c][None].float(), analysis.q, analysis.step)[0])
        wanted = analysis.levels(slice(row * side + r.start, row * side + r.stop), c)
        fits.add(planes, wanted, (r, c), (outer_r, outer_c))
    fits.settle(float(quality_lambda(analysis.q)) / 3)
    return filters.of_tile
