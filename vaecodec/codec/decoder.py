"""`.vaec` files to pictures, band by band, from above."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.container import CELL, Header, Tile
from vaecodec.codec import scaled
from vaecodec.codec.runtime import Progress, Runtime
from vaecodec.codec.synthesis import Rolling, Synthesis, bands, decode_band
from vaecodec.errors import VaecError
from vaecodec.model.loop_filter import Filters


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


def strips(
    runtime: Runtime, header: Header, tiles: list[Tile], progress: Progress | None
) -> Iterator[NDArray[np.uint8]]:
    """The pixels of each row of tiles. Those at its lower edge are there once the next row's latents are."""
    pixels = Rolling(header)
    with runtime.exactly() as weights:
        filters = Filters.read(weights.model, header, dict(enumerate(tiles)))
        synthesis = Synthesis(weights, header, pixels, filters)
    rows, columns = header.grid
    boxes = [header.tile_box(index) for index in range(rows * columns)]
    done = 0
    for band in bands(header):
        with runtime.exactly() as weights:  # not around a yield: what it sets must not show between two strips
            synthesis.add(weights, decode_band(weights, header, tiles, band, range(columns)))
        written = min(synthesis.done * CELL, header.height)
        while done < len(boxes) and sum(boxes[done][::2]) <= written:
            strip = pixels.take(boxes[done][2])
            for (_, left, _, width), tile in zip(boxes[done : done + columns], tiles[done:], strict=False):
                scaled.finish_tile(header, tile, strip[:, left : left + width])
            yield strip
            done += columns
        if progress:
            progress(band.stop / rows)
