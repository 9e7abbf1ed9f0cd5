"""Pictures to `.vaec` bytes and back, band by band.

    picture -> array -> y, z (g_a, h_a) -> symbols (latents) -> TILE chunks -> bytes, and back.

A band is one row of tiles. Analysis and synthesis run in windows with a margin as wide as their
receptive field, so memory follows the band, not the picture, and no tile border shows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from vaecodec import container, grid
from vaecodec.alpha import pack_alpha, unpack_alpha
from vaecodec.container import CELL, Header, Tile
from vaecodec.errors import CorruptFileError, UnsupportedError, VaecError
from vaecodec.grid import FEATURE_MAX
from vaecodec.latents import Z_CELL, decode_tiles, encode_tiles
from vaecodec.model import PIXEL_ONE, QUALITY_MAX
from vaecodec.picture import Picture
from vaecodec.reading import as_picture
from vaecodec.weights import DEFAULT, Weights, load

TILE_MAX = container.TILE_UNIT * container.TILE_UNITS_MAX
WINDOW = 48  # positions of y per side of a window, without its margin: a Kodak picture is one window
BATCH = 4 * 64**2  # positions of y in the tiles that are coded in lockstep: four tiles of the largest size
H_MARGIN = 4  # rows of y that h_a sees beyond its own, rounded up to positions of z
Progress = Callable[[float], None]


def float32_is_exact() -> bool:
    """Whether this process multiplies float32 matrices exactly on the grid (no bf16 or TF32 factors)."""
    if torch.get_float32_matmul_precision() != "highest":
        return False
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        x = (torch.arange(256 * 64) * 37 % (2 * FEATURE_MAX + 1) - FEATURE_MAX).float().view(1, 16, 16, 64)
        weight = (torch.arange(64 * 64) * 29 % 255 - 127).float().view(64, 64)  # sums below 2^24
        product = grid.matmul(x, weight, torch.zeros(64))
    return torch.equal(product.double(), x.double() @ weight.double().T)


class Codec:
    """A loaded model that codes any number of pictures.

    Args:
        model: a model file; the one in the package by default.
        threads: CPU threads for the networks; PyTorch's own setting by default. Never changes the bytes decoded.

    Raises: UnsupportedError where the model file cannot be used.
    """

    def __init__(self, model: str | Path | None = None, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise VaecError(f"{threads} threads cannot code anything")
        self.threads = min(threads, os.cpu_count() or 1) if threads else None
        self.path = Path(model) if model else DEFAULT
        self._load()

    def _load(self) -> None:
        self.exact32 = float32_is_exact()
        self.weights: Weights = load(self.path, torch.float32 if self.exact32 else torch.float64)

    def encode(
        self,
        image: ArrayLike | Image.Image | Picture,
        quality: float = 75,
        *,
        tile: int | None = None,
        progress: Progress | None = None,
    ) -> bytes:
        """Code a picture.

        Args:
            image: a Picture, a PIL image with its metadata, or an array (see `as_picture`).
            quality: 0..100, steps of 0.1 count.
            tile: side of the tiles in pixels, a multiple of 64 up to 1024; by default one tile up to
                1024 x 1024, and equal ones above. progress: called with the share done, 0..1.

        Raises: VaecError where an argument is out of range.
        """
        return b"".join(self.encode_parts(as_picture(image), quality, tile=tile, progress=progress))

    def encode_parts(
        self, picture: Picture, quality: float = 75, *, tile: int | None = None, progress: Progress | None = None
    ) -> Iterator[bytes]:
        """The same file as `encode`, in pieces, each tile as soon as it is coded."""
        if not isinstance(quality, (int, float)) or not 0 <= quality <= 100:
            raise VaecError(f"quality {quality!r} is not a number within 0..100")
        pixels = picture.pixels
        header = self._header(pixels, round(quality * QUALITY_MAX / 100), tile)
        yield container.SIGNATURE + container.pack_chunk("HEAD", header.pack())
        for name, kind in container.METADATA.items():
            data = getattr(picture, name)
            if data is not None:
                yield container.pack_chunk(kind, data)
        rows, columns = header.grid
        analysis = _Analysis(self.weights, header, pixels)
        for row in range(rows):
            with self._exact():  # not around a yield: what it sets must not show between two pieces
                band = self._encode_band(header, analysis, row)
            for index, coded in enumerate(band, row * columns):
                if header.alpha == container.ALPHA_CODED:
                    top, left, h, w = header.tile_box(index)
                    alpha = pack_alpha(pixels[top : top + h, left : left + w, -1])
                    coded = replace(coded, sections=(*coded.sections[:4], alpha))
                yield container.pack_chunk("TILE", coded.pack())
            if progress:
                progress((row + 1) / rows)
        yield container.pack_chunk("DONE", b"")

    def _header(self, pixels: NDArray[np.uint8], q: int, tile: int | None) -> Header:
        height, width, channels = pixels.shape
        if tile is None:
            side = max(height, width)
            count = -(-side // TILE_MAX)
            tile = -(-side // (count * container.TILE_UNIT)) * container.TILE_UNIT if count > 1 else TILE_MAX
        if tile != int(tile) or tile % container.TILE_UNIT or not container.TILE_UNIT <= tile <= TILE_MAX:
            raise VaecError(f"tile side {tile} is not a multiple of {container.TILE_UNIT} up to {TILE_MAX}")
        alpha, value = container.ALPHA_NONE, 0
        if channels in (2, 4):
            value = int(pixels[0, 0, -1])
            constant = bool((pixels[..., -1] == value).all())
            alpha = container.ALPHA_CONSTANT if constant else container.ALPHA_CODED
            value = value if constant else 0
        return Header(
            version=container.VERSION,
            width=width,
            height=height,
            colour=container.CHANNELS.index(channels),
            depth=8,
            quality=q,
            tile=int(tile) // container.TILE_UNIT,
            alpha=alpha,
            alpha_value=value,
            model=self.weights.name,
            model_hash=self.weights.hash,
        )

    def _encode_band(self, header: Header, analysis: _Analysis, row: int) -> list[Tile]:
        side = header.tile_side // CELL
        y, z = analysis.band(row * side, min((row + 1) * side, analysis.h))
        out: list[Tile] = []
        for first, last in batches(analysis.w, side):
            cut = [slice(c * side, (c + 1) * side) for c in range(first, last)]
            z_cut = [slice(s.start // Z_CELL, s.stop // Z_CELL) for s in cut]
            out += encode_tiles(
                self.weights,
                header.quality,
                torch.stack([z[:, s] for s in z_cut]),
                torch.stack([y[:, s] for s in cut]),
            )
        return out

    def decode(self, data: bytes, *, max_pixels: int | None = None, progress: Progress | None = None) -> Picture:
        """Reconstruct a picture: the same pixels on every machine.

        Args: data: a whole file. max_pixels: refuse larger pictures before any work; None for no limit.
        Returns: pixels (H, W, C) uint8 and the metadata as stored.
        Raises: NotVaecError, TruncatedError, CorruptFileError, UnsupportedError, LimitError.
        """
        layout = container.parse(data, max_pixels=max_pixels)
        header = layout.header
        mine = self.weights
        if header.model != mine.name or header.model_hash != mine.hash:
            raise UnsupportedError(
                f"needs model {header.model} ({header.model_hash.hex()}); "
                f"this decoder has {mine.name} ({mine.hash.hex()})"
            )
        tiles = [Tile.unpack(t) for t in layout.tiles]
        if any(bool(t.sections[4]) != (header.alpha == container.ALPHA_CODED) for t in tiles):
            raise CorruptFileError("a tile's alpha section contradicts the header")
        pixels = np.empty((header.height, header.width, header.channels), np.uint8)
        if header.alpha == container.ALPHA_CONSTANT:
            pixels[..., -1] = header.alpha_value
        with self._exact():
            synthesis = _Synthesis(self.weights, header, pixels)
            rows, columns = header.grid
            for row in range(rows):
                synthesis.add(self._decode_band(header, tiles[row * columns : (row + 1) * columns], row))
                if progress:
                    progress((row + 1) / rows)
        if header.alpha == container.ALPHA_CODED:
            for index, t in enumerate(tiles):
                top, left, h, w = header.tile_box(index)
                pixels[top : top + h, left : left + w, -1] = unpack_alpha(t.sections[4], h, w)
        return Picture(pixels, **layout.metadata)

    def _decode_band(self, header: Header, tiles: list[Tile], row: int) -> Tensor:
        """y_hat (rows, w, M) int16 of one band, in 1/16 step."""
        side = header.tile_side // CELL
        h = min(side, -(-header.height // CELL) - row * side)
        w = -(-header.width // CELL)
        parts: list[Tensor] = []
        for first, last in batches(w, side):
            y_hat = decode_tiles(self.weights, header.quality, tiles[first:last], h, min(side, w - first * side))
            parts += y_hat.to(torch.int16)
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    @contextmanager
    def _exact(self) -> Iterator[None]:
        """No gradients, no autocast, products that are exact, this codec's threads; all as before afterwards."""
        if float32_is_exact() != self.exact32:  # the caller has changed a global setting
            self._load()
        before = torch.get_num_threads()
        if self.threads and self.threads != before:
            torch.set_num_threads(self.threads)
        try:
            with torch.no_grad(), torch.autocast("cpu", enabled=False):
                yield
        finally:
            if torch.get_num_threads() != before:
                torch.set_num_threads(before)


def batches(w: int, side: int) -> Iterator[tuple[int, int]]:
    """Ranges of tile columns to code in lockstep: of one width, and not so many that memory follows the picture's."""
    full = w // side
    step = max(1, BATCH // side**2)
    for first in range(0, full, step):
        yield first, min(first + step, full)
    if w % side:
        yield full, full + 1


def windows(first: int, last: int, w: int, h: int, margin: int) -> Iterator[tuple[slice, slice, slice, slice]]:
    """Windows that cover rows first..last of an h x w grid: (rows, columns) of each, then with its margin."""
    for top in range(first, last, WINDOW):
        bottom = min(top + WINDOW, last)
        for left in range(0, w, WINDOW):
            right = min(left + WINDOW, w)
            outer_rows = slice(max(0, top - margin), min(h, bottom + margin))
            outer_columns = slice(max(0, left - margin), min(w, right + margin))
            yield slice(top, bottom), slice(left, right), outer_rows, outer_columns


def inner(outer: slice, part: slice, cell: int = 1) -> slice:
    """Where `part` lies within `outer`, in units of 1/cell positions."""
    return slice((part.start - outer.start) * cell, (part.stop - outer.start) * cell)


class _Bands:
    """A picture and the rows of y that are held of it, from `start` on."""

    y: Tensor  # (rows, w, M)

    def __init__(self, weights: Weights, header: Header, pixels: NDArray[np.uint8], blocks: int) -> None:
        self.model, self.pixels = weights.model, pixels
        self.h, self.w = -(-pixels.shape[0] // CELL), -(-pixels.shape[1] // CELL)
        self.q = torch.full((1,), header.quality)
        with torch.no_grad():
            self.step = self.model.steps(self.q)
        self.margin = -(-blocks // 2)  # each block reaches one position at 1/8, half of one of y
        self.start = 0


class _Analysis(_Bands):
    """y and z of a picture, band by band; each row of y is computed once."""

    def __init__(self, weights: Weights, header: Header, pixels: NDArray[np.uint8]) -> None:
        super().__init__(weights, header, pixels, weights.model.cfg.blocks_a)
        self.y = torch.zeros(0, self.w, self.model.cfg.M)

    def band(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        """y (last - first, w, M) and z (rows / 4, w / 4, N), rounded up, of the rows first..last of y."""
        low, high = max(0, first - H_MARGIN), min(self.h, last + H_MARGIN)
        have = self.start + len(self.y)
        rows = torch.empty(high - have, self.w, self.model.cfg.M)
        for r, c, outer_r, outer_c in windows(have, high, self.w, self.h, self.margin):
            y = self.model.g_a(self._crop(outer_r, outer_c), self.q, self.step)[0]
            rows[r.start - have : r.stop - have, c] = y[inner(outer_r, r), inner(outer_c, c)]
        self.y = torch.cat((self.y[low - self.start :], rows))
        self.start = low
        # By edge replication to whole positions of z.
        y = self.y.permute(2, 0, 1)[None]
        pad = (0, -self.w % Z_CELL, 0, -len(self.y) % Z_CELL)
        z = self.model.h_a(torch.nn.functional.pad(y, pad, mode="replicate").permute(0, 2, 3, 1))[0]
        begin = (first - low) // Z_CELL
        z = z[begin : begin - (first - last) // Z_CELL]
        return self.y[first - low : last - low], z

    def _crop(self, rows: slice, columns: slice) -> Tensor:
        """(1, H, W, 3) in levels minus 128, padded by edge replication to whole cells."""
        part = self.pixels[rows.start * CELL : rows.stop * CELL, columns.start * CELL : columns.stop * CELL]
        part = part[..., :3] if part.shape[2] >= 3 else np.repeat(part[..., :1], 3, axis=2)
        pad = [(0, -part.shape[0] % CELL), (0, -part.shape[1] % CELL), (0, 0)]
        return torch.from_numpy(np.pad(part, pad, mode="edge")).float()[None] - 128


class _Synthesis(_Bands):
    """Writes pixels as bands of y_hat come in; each window waits until its margin is there."""

    def __init__(self, weights: Weights, header: Header, pixels: NDArray[np.uint8]) -> None:
        super().__init__(weights, header, pixels, weights.model.cfg.blocks_s)
        self.done = 0  # the row up to which pixels are written
        self.y = torch.zeros(0, self.w, self.model.cfg.M, dtype=torch.int16)  # |y_hat| < 2^14

    def add(self, y_hat: Tensor) -> None:
        """The next rows (n, w, M) of y_hat."""
        self.y = torch.cat((self.y, y_hat))
        have = self.start + len(self.y)
        ready = have if have == self.h else max(self.done, have - self.margin)
        for r, c, outer_r, outer_c in windows(self.done, ready, self.w, self.h, self.margin):
            y = self.y[inner(slice(self.start, have), outer_r), outer_c][None].float()
            x_hat = self.model.g_s(y, self.q, self.step)[0]
            self._write(x_hat[inner(outer_r, r, CELL), inner(outer_c, c, CELL)], r, c)
        self.done = ready
        keep = max(0, ready - self.margin)
        self.y = self.y[keep - self.start :]
        self.start = keep

    def _write(self, x_hat: Tensor, rows: slice, columns: slice) -> None:
        target = self.pixels[rows.start * CELL : rows.stop * CELL, columns.start * CELL : columns.stop * CELL]
        h, w, channels = target.shape
        x_hat = (x_hat[:h, :w] * (1 / PIXEL_ONE)).round_().add_(128).clamp_(0, 255)
        rgb = x_hat.to(torch.uint8).numpy()
        if channels >= 3:
            target[..., :3] = rgb
        else:
            r, g, b = (rgb[..., i].astype(np.uint16) for i in range(3))
            target[..., 0] = (r + 2 * g + b + 2) >> 2
