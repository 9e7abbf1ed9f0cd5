"""All of a picture, smaller, with a fraction of the work."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray

from vaecodec.bitstream import container
from vaecodec.bitstream.alpha import unpack_alpha
from vaecodec.bitstream.container import CELL, Header, Tile
from vaecodec.bitstream.overlay import unpack_overlay
from vaecodec.codec.synthesis import bands, decode_band, paste
from vaecodec.model.exact import depth_to_space
from vaecodec.model.networks import PIXEL_ONE, Y_PIXEL_MAX
from vaecodec.model.weights import Weights

LOW_ONLY = 8  # from this scale on the low channels alone show all that can be seen
CHUNK = 64  # positions of y in a row of those that are made pixels at a time


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
