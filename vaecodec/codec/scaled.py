"""Less than the whole picture from less than the whole work: a region, or all of it smaller."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from vaecodec.bitstream import container
from vaecodec.bitstream.alpha import unpack_alpha
from vaecodec.bitstream.container import CELL, Header, Tile
from vaecodec.bitstream.limits import Region
from vaecodec.bitstream.overlay import unpack_overlay
from vaecodec.bitstream.recovery import Salvaged
from vaecodec.codec.synthesis import Synthesis, bands, decode_band, paste, synthesis_margin
from vaecodec.errors import CorruptFileError
from vaecodec.model.exact import depth_to_space
from vaecodec.model.loop_filter import REACH, Filters
from vaecodec.model.networks import PIXEL_ONE, Y_PIXEL_MAX
from vaecodec.model.weights import Weights
from vaecodec.pictures.picture import Picture

LOW_ONLY = 8  # from this scale on the low channels alone show all that can be seen
CHUNK = 64  # positions of y in a row of those that are made pixels at a time


def finish_tile(header: Header, tile: Tile, pixels: NDArray[np.uint8]) -> None:
    """Put a tile's overlay and transparency onto what the networks made of it (h, w, C). Raises: CorruptFileError."""
    if tile.overlay:
        paste(pixels, *unpack_overlay(tile.overlay, *pixels.shape[:2]))
    if header.alpha == container.ALPHA_CODED:
        pixels[..., -1] = unpack_alpha(tile.alpha, *pixels.shape[:2])
    elif header.alpha == container.ALPHA_CONSTANT:
        pixels[..., -1] = header.alpha_value


def region(weights: Weights, header: Header, tiles: list[Tile], wanted: Region) -> NDArray[np.uint8]:
    """Pixels (height, width, C) of a region, from the tiles that it and the synthesis's margin touch."""
    left, top, width, height = wanted
    margin, side = synthesis_margin(weights), header.tile_side // CELL
    # Positions of y that the region's pixels depend on, and the tiles they are in.
    rows = cells(top, height, header.height, margin)
    columns = cells(left, width, header.width, margin)
    tile_rows, tile_columns = (range(r.start // side, -(-r.stop // side)) for r in (rows, columns))
    y_hat = decode_band(weights, header, tiles, tile_rows, tile_columns)
    y_hat = y_hat[rows.start - tile_rows.start * side :, columns.start - tile_columns.start * side :]
    y_hat = y_hat[: len(rows), : len(columns)]
    pixels = np.empty((len(rows) * CELL, len(columns) * CELL, header.channels), np.uint8)
    alone = replace(header, width=pixels.shape[1], height=pixels.shape[0])
    touched = {n: tiles[n] for r in tile_rows for n in (r * header.grid[1] + c for c in tile_columns)}
    filters = Filters.read(weights.model, header, touched, rows.start, columns.start)
    Synthesis(weights, alone, pixels, filters).add(weights, y_hat)
    pixels = pixels[top - rows.start * CELL :, left - columns.start * CELL :][:height, :width]
    for row in range(top // header.tile_side, -(-(top + height) // header.tile_side)):
        for column in range(left // header.tile_side, -(-(left + width) // header.tile_side)):
            index = row * header.grid[1] + column
            finish_part(header, tiles[index], index, pixels, (left, top))
    return pixels


def cells(first: int, count: int, size: int, margin: int) -> range:
    """Positions of y under `count` pixels from `first` on and within a margin of them, of a picture of that size."""
    return range(max(0, first // CELL - margin), min(-(-size // CELL), -(-(first + count) // CELL) + margin))


def finish_part(header: Header, tile: Tile, index: int, pixels: NDArray[np.uint8], corner: tuple[int, int]) -> None:
    """`finish_tile` for what of a tile is within pixels (H, W, C), whose corner is at (left, top) of the picture."""
    top, left, height, width = header.tile_box(index)
    whole = np.empty((height, width, header.channels), np.uint8)
    y, x = top - corner[1], left - corner[0]  # the tile's corner in pixels
    inside = pixels[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    part = whole[max(0, -y) :, max(0, -x) :][: inside.shape[0], : inside.shape[1]]
    part[...] = inside
    finish_tile(header, tile, whole)
    inside[...] = part


@dataclass(frozen=True)
class Partial:
    """What is left of a damaged file.

    picture: grey where tiles are lost. lost: (left, top, width, height) of each lost tile. coarse: of the tile that the
    file ends in, made of what there is of it. margin: pixels around those that may differ from the undamaged picture;
    everything else is as it was, to the bit. whole: whether the file has no fault at all.
    """

    picture: Picture
    lost: list[Region]
    coarse: list[Region]
    margin: int
    whole: bool


def partial(weights: Weights, found: Salvaged) -> Partial:
    """Make what can be made of the tiles that are there."""
    header = found.header
    pixels = np.full((header.height, header.width, header.channels), 255, np.uint8)
    rows, columns = header.grid
    tiles: list[Tile] = [Tile.empty()] * (rows * columns)
    lost: set[int] = set()
    coarse: set[int] = set()
    filters = Filters.read(weights.model, header, {})

    for number in range(rows * columns):
        try:
            if number in found.cut:
                tiles[number] = container.unpack_tile(header, found.cut[number], cut=True)
                coarse.add(number)
            else:
                tiles[number] = container.unpack_tile(header, found.tiles[number])
            filters.add(number, tiles[number])
        except (KeyError, CorruptFileError):
            lost.add(number)
    synthesis = Synthesis(weights, header, pixels, filters)
    for band in bands(header):
        damaged: set[int] = set()
        y_hat = decode_band(weights, header, tiles, band, range(columns), damaged=damaged)
        for number in damaged:
            filters.of_tile.pop(number, None)
        lost |= damaged
        synthesis.add(weights, y_hat)
    for number in set(range(rows * columns)) - lost:
        try:
            finish_tile(header, tiles[number], header.cut(pixels, number))
        except CorruptFileError:
            if not tiles[number].cut:
                lost.add(number)

    def areas(numbers: set[int]) -> list[Region]:
        return [(left, top, w, h) for top, left, h, w in map(header.tile_box, sorted(numbers))]

    margin, picture = weights.model.g_s.margin * CELL + REACH, Picture(pixels, **found.metadata)
    return Partial(picture, areas(lost), areas(coarse - lost), margin, found.whole and not lost)


def scaled(weights: Weights, header: Header, tiles: list[Tile], scale: int) -> NDArray[np.uint8]:
    """All of a picture at 1/scale: (ceil(H / scale), ceil(W / scale), C).

    The synthesis's linear branch alone, averaged over squares of that side: what the nonlinear branch adds is nearly
    all detail. At 1/8 the low channels are read alone.
    """
    columns, side = header.grid[1], header.tile_side // scale
    groups = 1 if scale >= LOW_ONLY else 2
    out = np.empty((-(-header.height // scale), -(-header.width // scale), header.channels), np.uint8)
    blank: dict[tuple[int, ...], NDArray[np.uint8]] = {}  # pixels of where all is 0, by shape
    for band_rows in bands(header):
        y_hat = decode_band(weights, header, tiles, band_rows, range(columns), groups)
        y_hat = y_hat[..., : weights.model.groups[groups - 1][1]]
        band = out[band_rows.start * side : band_rows.stop * side]
        for first in range(0, y_hat.shape[1], CHUNK):
            y = y_hat[:, first : first + CHUNK]
            if y.any() or y.shape not in blank:
                rgb = linear(weights, header.quality, y, scale)
                if not y.any():
                    blank[y.shape] = rgb
            else:
                rgb = blank[y.shape]
            part = band[:, first * CELL // scale : (first + CHUNK) * CELL // scale]
            paste(part, rgb[: part.shape[0], : part.shape[1]])
        for row, column in itertools.product(band_rows, range(columns)):
            index, top = row * columns + column, (row - band_rows.start) * side
            pixels = band[top : top + side, column * side : (column + 1) * side]
            finish_scaled(header, tiles[index], index, pixels, scale)
    return out


def shrunk(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(H, W, C) made smaller, in proportion, until no side is above `size`."""
    from PIL import Image

    height, width, channels = pixels.shape
    if max(height, width) <= size:
        return pixels
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    image.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=None)
    return np.asarray(image).reshape(image.height, image.width, channels)


def linear(weights: Weights, q: int, y_hat: torch.Tensor, scale: int) -> NDArray[np.uint8]:
    """Pixels (16h / scale, 16w / scale, 3) that the linear branch makes of the first channels (h, w, n), exactly."""
    model, n = weights.model, y_hat.shape[-1]
    y = y_hat[None].double() * model.steps(torch.full((1,), q))[..., :n]
    weight, bias = model.g_s.shortcut.effective()
    base = torch.nn.functional.linear(y.clamp(-Y_PIXEL_MAX, Y_PIXEL_MAX) / 512, weight[:, :n], bias)
    base = depth_to_space(base.round(), 16)
    mean = torch.nn.functional.avg_pool2d(base.permute(0, 3, 1, 2), scale)[0].permute(1, 2, 0)
    rgb = (mean / PIXEL_ONE).round().add(128).clamp(0, 255)
    return rgb.to(torch.uint8).numpy()


def finish_scaled(header: Header, tile: Tile, index: int, pixels: NDArray[np.uint8], scale: int) -> None:
    """`finish_tile` for a tile at 1/scale, (h, w, C): overlays and transparency are averaged."""
    _, _, height, width = header.tile_box(index)
    if tile.overlay:
        colours, mask = unpack_overlay(tile.overlay, height, width)
        share = averaged(mask[..., None], scale)
        mean = averaged(colours * mask[..., None], scale) / np.maximum(share, 1e-9)
        rgb = np.empty((*pixels.shape[:2], 3), np.uint8)
        rgb[...] = pixels[..., :3] if header.channels >= 3 else pixels[..., :1]
        paste(pixels, np.rint(rgb + share * (mean - rgb)).astype(np.uint8))
    if header.alpha == container.ALPHA_CODED:
        pixels[..., -1] = np.rint(averaged(unpack_alpha(tile.alpha, height, width)[..., None], scale))[..., 0]
    elif header.alpha == container.ALPHA_CONSTANT:
        pixels[..., -1] = header.alpha_value


def averaged(samples: NDArray[np.generic], scale: int) -> NDArray[np.float64]:
    """Means of samples (H, W, n) over squares, those at the lower and right edges over what is there."""
    sums = np.asarray(samples, np.float64)
    for axis in (0, 1):
        edges = np.arange(0, sums.shape[axis], scale)
        counts = np.diff(edges, append=sums.shape[axis])
        sums = np.add.reduceat(sums, edges, axis=axis) / np.expand_dims(counts, tuple({0, 1, 2} - {axis}))
    return sums
