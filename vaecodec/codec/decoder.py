"""`.vaec` files to pictures, band by band, from above."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.alpha import unpack_alpha
from vaecodec.bitstream.header import ALPHA_CODED, ALPHA_CONSTANT, CELL, Header
from vaecodec.bitstream.overlay import unpack_overlay
from vaecodec.bitstream.tiles import Tile
from vaecodec.codec.pixels import Rolling, paste
from vaecodec.codec.runtime import Progress, Runtime, part_of
from vaecodec.codec.synthesis import Synthesis, bands_of
from vaecodec.codec.team import team
from vaecodec.codec.windows import bands
from vaecodec.errors import VaecError
from vaecodec.model.loop_filter import Filters

ROWS = 8  # of positions that are drawn together


def whole(
    runtime: Runtime, header: Header, tiles: list[Tile], out: NDArray[np.uint8] | None, progress: Progress | None
) -> NDArray[np.uint8]:
    """All pixels (H, W, C), in `out` if given. Raises: VaecError where it does not fit."""
    shape = header.height, header.width, header.channels
    if out is not None and not isinstance(out, np.ndarray):
        raise VaecError(f"out must be a writeable uint8 array of shape {shape}, not {type(out).__name__}")
    if out is not None and (out.shape != shape or out.dtype != np.uint8 or not out.flags.writeable):
        raise VaecError(f"out must be a writeable uint8 array of shape {shape}, not {out.dtype} of {out.shape}")
    pixels = np.empty(shape, np.uint8) if out is None else out
    top = 0
    for strip in strips(runtime, header, tiles, progress):
        pixels[top : top + len(strip)] = strip
        top += len(strip)
    return pixels


def finish_tile(header: Header, tile: Tile, pixels: NDArray[np.uint8]) -> None:
    """Put a tile's overlay and transparency onto what the networks made of it (h, w, C). Raises: CorruptFileError."""
    if tile.overlay:
        paste(pixels, *unpack_overlay(tile.overlay, *pixels.shape[:2]))
    if header.alpha == ALPHA_CODED:
        pixels[..., -1] = unpack_alpha(tile.alpha, *pixels.shape[:2])
    elif header.alpha == ALPHA_CONSTANT:
        pixels[..., -1] = header.alpha_value


def strips(
    runtime: Runtime, header: Header, tiles: list[Tile], progress: Progress | None
) -> Iterator[NDArray[np.uint8]]:
    """The pixels of each row of tiles. Those at its lower edge are there once the next row's latents are."""
    pixels = Rolling(header)
    filters = Filters.read(runtime.weights, header, dict(enumerate(tiles)))
    rows, columns = header.grid
    boxes = [header.tile_box(index) for index in range(rows * columns)]
    done = 0
    for written in reconstruct(runtime, header, tiles, filters, pixels, progress=progress):
        while done < len(boxes) and sum(boxes[done][::2]) <= written:
            strip = pixels.take(boxes[done][2])
            for (_, left, _, width), tile in zip(boxes[done : done + columns], tiles[done:], strict=False):
                finish_tile(header, tile, strip[:, left : left + width])
            yield strip
            done += columns


def reconstruct(
    runtime: Runtime,
    header: Header,
    tiles: list[Tile],
    filters: Filters,
    pixels: NDArray[np.uint8] | Rolling,
    damaged: set[int] | None = None,
    progress: Progress | None = None,
) -> Iterator[int]:
    """Write what the networks make of tiles into pixels (H, W, C), from above. Yields how many rows of them are there.

    damaged: takes the numbers of tiles that cannot be decoded; by default they raise CorruptFileError.
    """

    def tell(start: int, count: int, share: float) -> None:
        """Of so many rows of positions from `start` on; to decode and to draw them take about as long."""
        if progress:
            progress((start + count * share) / synthesis.height)

    with team(runtime.threads) as threads:
        synthesis = Synthesis(runtime.networks, header.quality, pixels, filters, threads)
        parts = bands_of(runtime.networks, header, tiles, list(bands(header)), threads, strict=damaged is None)
        for band in parts:
            of_band = partial(tell, band.top, band.bottom - band.top)
            y_hat = band.y_hat(damaged, part_of(of_band, 0, 0.5))
            for number in damaged or ():
                filters.of_tile.pop(number, None)
            for row in range(0, len(y_hat), ROWS):
                synthesis.wait(synthesis.add(y_hat[row : row + ROWS]))
                yield min(synthesis.done * CELL, header.height)
                of_band(0.5 + min(row + ROWS, len(y_hat)) / len(y_hat) / 2)
