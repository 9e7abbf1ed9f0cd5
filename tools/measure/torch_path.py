"""The codec as it ran before it had a native core: its networks in PyTorch, for `speed.py` to compare with.

The same work in the same order: h_s and the context steps for each tile, g_s and the filter by windows; g_a and h_a in
bfloat16 where the processor has it. What is no network is the codec's own. Pixels are the core's, to the last bit;
files are not, for g_a and h_a are floats here.
"""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaecodec.bitstream.chunks import SIGNATURE, pack_chunk
from vaecodec.bitstream.container import PREVIEW
from vaecodec.bitstream.header import CELL, QUALITY_MAX, Header
from vaecodec.bitstream.tiles import EMPTY, tile_chunks
from vaecodec.codec import Codec, screen
from vaecodec.codec.decoder import finish_tile
from vaecodec.codec.encoder import EncodeOptions, header_for, with_index
from vaecodec.codec.filter_fit import fit_filter
from vaecodec.codec.latents import decode_tile, encode_tile
from vaecodec.codec.pixels import as_rgb, paste
from vaecodec.codec.soft_filter import as_planes, filtered
from vaecodec.codec.synthesis import synthesis_margin
from vaecodec.codec.torch_settings import own_settings
from vaecodec.codec.tuning import worth_of
from vaecodec.codec.windows import inner, windows
from vaecodec.core.networks import NOT_CODED
from vaecodec.model import native, trained
from vaecodec.model.architecture import INDEX_ONE, SKIPPED_MAX, TABLES, Z_CELL, quality_lambda
from vaecodec.model.exact import half
from vaecodec.model.loop_filter import OUT_ONE, Filter, Filters
from vaecodec.model.networks import checkerboard, z_features
from vaecodec.model.weights import Weights
from vaecodec.pictures.preview import FROM, make_preview


class TorchDecoder(native.Decoder):
    """h_s and the context steps in PyTorch, behind the calls of the native ones."""

    def __init__(self, weights: Weights) -> None:
        self.weights, self.model = weights, trained.exact(weights)

    def features(self, q: int, z_hat: NDArray[np.integer], h: int, w: int) -> NDArray:
        z = torch.from_numpy(z_hat.astype(np.float32))[None]
        return z_features(self.model, z, torch.full((1,), q), h, w)[0].contiguous().numpy()

    def step(
        self, s: int, q: int, features: NDArray, y_hat: NDArray[np.int16]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        (start, stop), known = self.weights.cfg.groups[s // 2], self.weights.cfg.known[s]
        seen = torch.from_numpy(y_hat[..., :known]).float()[None] if known else None
        f, mean, index = self.model.context[s](torch.from_numpy(features)[None], seen)
        features[...] = f[0].numpy()
        index = index + self.model.index_bias(torch.full((1,), q), True)[..., start:stop]
        table = (index.clamp(0, (TABLES - 1) * INDEX_ONE) * (1 / INDEX_ONE)).round()
        table = torch.where(mean.abs() > SKIPPED_MAX, table.clamp_min(self.weights.skip), table)[0]
        mask = checkerboard(table.shape[0], table.shape[1], stop - start, s % 2)
        coded = mask & (table >= self.weights.skip)
        np.copyto(y_hat[..., start:stop], mean[0].numpy().astype(np.int16), where=mask.numpy())
        dependent = int((coded & (table >= self.weights.dependent)).sum())
        numbers = np.array([dependent, int(coded.sum()) - dependent])
        return torch.where(coded, table, NOT_CODED).to(torch.uint8).numpy(), numbers


class TorchNetworks(native.Networks):
    """Networks whose latents are decoded by PyTorch."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self.model, self.decoder = trained.exact(weights), TorchDecoder(weights)


def boxes(header: Header) -> list[tuple[slice, slice]]:
    """Rows and columns of positions of each tile."""
    found = [header.tile_box(index) for index in range(prod(header.grid))]
    return [
        (slice(top // CELL, -(-(top + height) // CELL)), slice(left // CELL, -(-(left + width) // CELL)))
        for top, left, height, width in found
    ]


def decode(codec: Codec, data: bytes) -> NDArray[np.uint8]:
    """Pixels (H, W, C) of a file of the codec's own model."""
    file = codec.open(data)
    header, tiles = file.header, file.unpacked()
    pixels = np.empty((header.height, header.width, header.channels), np.uint8)
    with own_settings(codec.threads):
        networks, cells = TorchNetworks(codec.weights), boxes(header)
        y_hat = np.zeros((cells[-1][0].stop, cells[-1][1].stop, codec.weights.cfg.M), np.int16)
        for tile, box in zip(tiles, cells, strict=True):
            if tile.lanes_log2 != EMPTY:
                y_hat[box] = decode_tile(networks, header.quality, tile, *y_hat[box].shape[:2])[0]
        draw(networks, header.quality, y_hat, Filters.read(codec.weights, header, dict(enumerate(tiles))), pixels)
    for index, tile in enumerate(tiles):
        finish_tile(header, tile, header.crop(pixels, index))
    return pixels


def draw(
    networks: TorchNetworks, q: int, y_hat: NDArray[np.int16], filters: Filters, pixels: NDArray[np.uint8]
) -> None:
    """g_s and the filter of y_hat (h, w, M) in 1/16 step, window by window."""
    (h, w), model, quality = y_hat.shape[:2], networks.model, torch.full((1,), q)
    for *part, outer_r, outer_c in windows(0, h, w, h, synthesis_margin(networks.weights.cfg)):
        y = torch.from_numpy(y_hat[outer_r, outer_c]).float()[None]
        planes = as_planes(model.g_s(y, quality, model.steps(quality))[0])
        rgb = filtered(filters, planes, (part[0], part[1]), (outer_r, outer_c))
        levels = (rgb * (1 / OUT_ONE)).round_().add_(128).clamp_(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        there = pixels[part[0].start * CELL : part[0].stop * CELL, part[1].start * CELL : part[1].stop * CELL]
        paste(there, levels[: there.shape[0], : there.shape[1]])


def encode(codec: Codec, pixels: NDArray[np.uint8], quality: float) -> bytes:
    """A file of pixels (H, W, 3) at effort 3. Drawn tiles are looked for, but coded as the others. Tiles' filters are
    fitted to what the core makes of them."""
    header = header_for(codec, pixels, round(quality * QUALITY_MAX / 100), EncodeOptions())
    default = Filter.of_model(codec.weights, header.quality)
    parts = [SIGNATURE + pack_chunk("HEAD", header.pack())]
    if header.width * header.height >= FROM:
        parts.append(pack_chunk(PREVIEW, make_preview(pixels)))
    chunks: list[bytes] = []
    with own_settings(codec.threads):
        networks = TorchNetworks(codec.weights)
        y, z = analysed(networks, header.quality, pixels)
        for index, (r, c) in enumerate(boxes(header)):
            screen.find(lambda index=index: as_rgb(header.crop(pixels, index)), quality_lambda(header.quality) / 3)  # type: ignore[misc]
            z_box = slice(r.start // Z_CELL, -(-r.stop // Z_CELL)), slice(c.start // Z_CELL, -(-c.stop // Z_CELL))
            worth = worth_of(codec.weights, header.quality, y[r, c])
            tile, y_hat = encode_tile(networks, header.quality, z[z_box], y[r, c], worth=worth)
            rgb = as_rgb(header.crop(pixels, index))
            if found := fit_filter(codec.networks, header, index, rgb, y_hat, default):
                tile = tile.having(filter=found.pack(default))
            chunks += tile_chunks(index, tile)
    return b"".join([*parts, *(chunks if header.grid == (1, 1) else with_index(chunks))])


def analysed(
    networks: TorchNetworks, q: int, pixels: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """y (h, w, M) in steps and z of pixels, g_a window by window."""
    model, quality = networks.model, torch.full((1,), q)
    h, w = (-(-n // CELL) for n in pixels.shape[:2])
    y = torch.empty(h, w, networks.weights.cfg.M)
    with half():
        for r, c, outer_r, outer_c in windows(0, h, w, h, model.g_a.margin):
            crop = pixels[outer_r.start * CELL : outer_r.stop * CELL, outer_c.start * CELL : outer_c.stop * CELL]
            x = padded(torch.from_numpy(crop.astype(np.float32)) - 128, CELL)
            made = model.g_a(x, quality, model.steps(quality))[0]
            y[r, c] = made[inner(outer_r, r), inner(outer_c, c)].float()
        z = model.h_a(padded(y, Z_CELL))[0].float()
    return y.numpy(), z.numpy()


def padded(x: Tensor, cell: int) -> Tensor:
    """(1, H, W, C) of (H, W, C), by edge replication to whole cells."""
    pad = 0, -x.shape[1] % cell, 0, -x.shape[0] % cell
    return torch.nn.functional.pad(x.permute(2, 0, 1)[None], pad, mode="replicate").permute(0, 2, 3, 1)
