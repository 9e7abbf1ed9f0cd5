"""A part of a picture from the tiles that it needs, the same pixels as in the whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.container import File
from vaecodec.bitstream.header import CELL, Header
from vaecodec.bitstream.limits import Region
from vaecodec.bitstream.tiles import Tile
from vaecodec.codec.decoder import finish_tile
from vaecodec.codec.runtime import Runtime
from vaecodec.codec.synthesis import Band, Synthesis, synthesis_margin
from vaecodec.codec.team import team
from vaecodec.model.loop_filter import Filters


def decode_region(runtime: Runtime, file: File, wanted: Region) -> NDArray[np.uint8]:
    """Pixels (height, width, C) of a region, from the tiles that it and the synthesis's margin touch."""
    header = file.header
    left, top, width, height = wanted
    margin, side = synthesis_margin(runtime.weights.cfg), header.tile_side // CELL
    # Positions of y that the region's pixels depend on, and the tiles they are in.
    rows = cells(top, height, header.height, margin)
    columns = cells(left, width, header.width, margin)
    tile_rows, tile_columns = (range(r.start // side, -(-r.stop // side)) for r in (rows, columns))
    pixels = np.empty((len(rows) * CELL, len(columns) * CELL, header.channels), np.uint8)
    numbers = (r * header.grid[1] + c for r in tile_rows for c in tile_columns)
    tiles = {n: file.tiles[n].tile(header) for n in numbers}
    filters = Filters.read(runtime.weights, header, tiles, rows.start, columns.start)
    with team(runtime.threads) as threads:
        y_hat = Band(runtime.networks, header, tiles, tile_rows, tile_columns, threads).y_hat()
        y_hat = y_hat[rows.start - tile_rows.start * side :, columns.start - tile_columns.start * side :]
        synthesis = Synthesis(runtime.networks, header.quality, pixels, filters, threads)
        synthesis.wait(synthesis.add(y_hat[: len(rows), : len(columns)]))
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
    seen = pixels[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    part = whole[max(0, -y) :, max(0, -x) :][: seen.shape[0], : seen.shape[1]]
    part[...] = seen
    finish_tile(header, tile, whole)
    seen[...] = part
