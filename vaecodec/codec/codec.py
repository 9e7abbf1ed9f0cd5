"""Pictures to `.vaec` bytes and back, band by band.

    picture -> array -> y, z (g_a, h_a) -> symbols (latents) -> TILE chunks -> bytes, and back,

with an overlay of exact pixels beside the latents in tiles that were drawn, not photographed.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from vaecodec.arguments import BytesLike, as_bytes, as_limit, as_number, as_region, as_whole
from vaecodec.bitstream import container, limits, recovery
from vaecodec.bitstream.alpha import pack_alpha
from vaecodec.bitstream.container import CELL, QUALITY_MAX, Header, Tile
from vaecodec.bitstream.limits import MAX_PIXELS
from vaecodec.bitstream.overlay import Overlay, available, unpack_overlay
from vaecodec.codec import ratecontrol, refine, scaled, screen
from vaecodec.codec.effort import EFFORTS, Effort
from vaecodec.codec.latents import Z_CELL, encode_tiles
from vaecodec.codec.ratecontrol import Found, Target
from vaecodec.codec.scaled import Partial
from vaecodec.codec.settings import own_settings
from vaecodec.codec.synthesis import (
    Analysis,
    Rolling,
    Synthesis,
    as_rgb,
    bands,
    decode_band,
    fit_filters,
    paste,
    patched,
    together,
)
from vaecodec.codec.trial import sampled_error
from vaecodec.errors import VaecError
from vaecodec.model.exact import float32_is_exact
from vaecodec.model.loop_filter import Filters
from vaecodec.model.networks import quality_lambda
from vaecodec.model.weights import DEFAULT, Weights, find, load
from vaecodec.pictures.picture import Picture, pieces
from vaecodec.pictures.preview import FROM, make_preview
from vaecodec.pictures.reading import as_picture

TILE_MAX = container.TILE_UNIT * container.TILE_UNITS_MAX
EFFORT = 3  # of 1..9, where nothing is said
Progress = Callable[[float], None]
Look = Callable[[Weights, Tensor, range], None]  # at y_hat of some rows of tiles


class Codec:
    """A loaded model that codes any number of pictures. Files of other models are decoded too, if those can be found.

    Args:
        model: a model file; the one in the package by default.
        threads: CPU threads for the networks, in the calls of this codec alone; PyTorch's own setting by default, and
            where it cannot be left alone otherwise (settings.py). Never changes the bytes decoded.

    Raises: UnsupportedError where the model file cannot be used.
    """

    def __init__(self, model: str | Path | None = None, threads: int | None = None) -> None:
        if threads is not None and as_whole(threads, "threads") < 1:
            raise VaecError(f"{threads} threads cannot code anything")
        self.threads = min(int(threads), os.cpu_count() or 1) if threads else None
        if model is not None and not isinstance(model, (str, os.PathLike)):
            raise VaecError(f"a model is the path of a file, not {type(model).__name__}")
        self._others: dict[tuple[str, bytes], Codec] = {}  # by name and hash of their model
        with own_settings(self.threads):
            self.weights = load(Path(model) if model else DEFAULT)  # `exactly` hands out those to compute with

    def encode(
        self,
        image: ArrayLike | Image.Image | Picture,
        quality: float = 75,
        *,
        effort: int = EFFORT,
        tile: int | None = None,
        preview: bool | None = None,
        progress: Progress | None = None,
    ) -> bytes:
        """Code a picture.

        Args:
            image: a Picture, a PIL image with its metadata, or an array (see `as_picture`).
            quality: 0..100, steps of 0.1 count.
            effort: 1..9, higher is slower and better for its size; decoding takes the same time.
            tile: side of the tiles in pixels, a multiple of 64 up to 1024; by default one tile up to
                1024 x 1024, and equal ones above. preview: whether a small picture goes ahead of it, by default
                with large ones (preview.py). progress: called with the share done, 0..1.

        Raises: VaecError where an argument is out of range.
        """
        picture = as_picture(image)
        parts = self.encode_parts(picture, quality, effort=effort, tile=tile, preview=preview, progress=progress)
        return b"".join(parts)

    def encode_to(
        self,
        image: ArrayLike | Image.Image | Picture,
        target: Target,
        *,
        effort: int = EFFORT,
        tile: int | None = None,
        preview: bool | None = None,
        progress: Progress | None = None,
    ) -> Found:
        """Code a picture at the best quality that keeps to a size, or at the lowest that reaches a likeness.

        Takes several trials. A size is met within 1 % where quality 100 needs as much.
        Args: see `encode`. Raises: VaecError where an argument is out of range or no quality meets the target.
        """
        effort = as_whole(effort, "effort")
        return ratecontrol.encode_to(self, as_picture(image), target, effort, tile, preview, progress)

    def encode_parts(
        self,
        picture: Picture,
        quality: float = 75,
        *,
        effort: int = EFFORT,
        tile: int | None = None,
        preview: bool | None = None,
        progress: Progress | None = None,
        decoded: NDArray[np.uint8] | None = None,
    ) -> Iterator[bytes]:
        """The same file as `encode`, in pieces, each tile as soon as it is coded.

        Args: decoded: of the picture's shape, filled with what the file decodes to once all pieces are there; this
            takes less than decoding it.
        """
        quality, effort = as_number(quality, "quality"), as_whole(effort, "effort")
        if not 0 <= quality <= 100:
            raise VaecError(f"quality {quality:g} is not within 0..100")
        if effort not in EFFORTS:
            raise VaecError(f"effort {effort} is not one of 1..9")
        if not self.weights.encodes:
            raise VaecError(f"model {self.weights.name} ({self.weights.hash.hex()}) is retired: it only decodes")
        pixels, how = picture.pixels, EFFORTS[effort]
        header = self._header(pixels, round(quality * QUALITY_MAX / 100), tile)
        yield container.SIGNATURE + container.pack_chunk("HEAD", header.pack())
        if preview or (preview is None and picture.width * picture.height >= FROM and available()):
            yield container.pack_chunk("prev", make_preview(pixels))
        for name, kind in container.METADATA.items():
            data = getattr(picture, name)
            if data is not None:
                yield container.pack_chunk(kind, as_bytes(data, name))
        overlays, tiles = self._tiles(header, pixels, how, progress, decoded)
        for index, coded in enumerate(tiles):
            alpha, overlay = b"", overlays.get(index)
            if header.alpha == container.ALPHA_CODED:
                alpha = pack_alpha(header.cut(pixels, index)[..., -1])
            yield container.tile_chunk(index, coded.having(alpha=alpha, overlay=overlay.data if overlay else b""))
        yield container.pack_chunk("DONE", b"")
        if decoded is not None:
            for index, overlay in overlays.items():
                part = header.cut(decoded, index)
                paste(part, *unpack_overlay(overlay.data, *part.shape[:2]))
            if header.alpha:
                decoded[..., -1] = np.concatenate([rows[..., -1] for rows in pieces(pixels)])

    def _header(self, pixels: NDArray[np.uint8], q: int, tile: int | None) -> Header:
        height, width, channels = pixels.shape
        if tile is None:
            side = max(height, width)
            count = -(-side // TILE_MAX)
            tile = -(-side // (count * container.TILE_UNIT)) * container.TILE_UNIT if count > 1 else TILE_MAX
        tile = as_whole(tile, "tile side")
        if tile % container.TILE_UNIT or not container.TILE_UNIT <= tile <= TILE_MAX:
            raise VaecError(f"tile side {tile} is not a multiple of {container.TILE_UNIT} up to {TILE_MAX}")
        alpha, value = container.ALPHA_NONE, 0
        if channels in (2, 4):
            value = int(pixels[:1][0, 0, -1])
            constant = all((rows[..., -1] == value).all() for rows in pieces(pixels))
            alpha = container.ALPHA_CONSTANT if constant else container.ALPHA_CODED
            value = value if constant else 0
        return Header(
            version=container.VERSION,
            width=width,
            height=height,
            colour=container.CHANNELS.index(channels),
            depth=8,
            quality=q,
            tile=tile // container.TILE_UNIT,
            alpha=alpha,
            alpha_value=value,
            model=self.weights.name,
            model_hash=self.weights.hash,
        )

    def _tiles(
        self,
        header: Header,
        pixels: NDArray[np.uint8],
        how: Effort,
        progress: Progress | None,
        decoded: NDArray[np.uint8] | None,
    ) -> tuple[dict[int, Overlay], Iterable[Tile]]:
        """The overlays of tiles that were drawn, and what the networks make of all tiles beneath them."""
        if not how.overlays or not available():
            return {}, self._code(header, pixels, how, progress, (), decoded)
        worth = float(quality_lambda(torch.tensor(header.quality, device="cpu"))) / 3  # bits for a sample's error
        drafts: dict[int, screen.Draft] = {}
        for index in range(math.prod(header.grid)):
            if draft := screen.find(as_rgb(header.cut(pixels, index)), worth):
                drafts[index] = draft
        tiles, alone = None, {index: screen.LEAST * float(d.blocks.sum()) for index, d in drafts.items()}
        if unsure := {index: draft for index, draft in drafts.items() if not draft.sure()}:
            tiles, errors = self._trial(header, pixels, unsure, part_of(progress, 0, 0.5), decoded)
            for index, error in errors.items():
                alone[index] = screen.GAIN * (8 * len(tiles[index].pack()) + worth * error)
            progress = part_of(progress, 0.5, 1)
        overlays: dict[int, Overlay] = {}
        for index, draft in drafts.items():
            if draft.possible(alone[index]) and (overlay := draft.overlay(alone[index], how.thorough)):
                overlays[index] = overlay
        if tiles and not overlays and how == EFFORTS[EFFORT]:
            if progress:
                progress(1)
            return {}, tiles
        beneath = (
            patched(pixels, header, {index: drafts[index].beneath() for index in overlays}) if overlays else pixels
        )
        covered = {index for index, overlay in overlays.items() if overlay.covers}
        return overlays, self._code(header, beneath, how, progress, covered, decoded)

    def _trial(
        self,
        header: Header,
        pixels: NDArray[np.uint8],
        unsure: dict[int, screen.Draft],
        progress: Progress | None,
        decoded: NDArray[np.uint8] | None,
    ) -> tuple[list[Tile], dict[int, float]]:
        """All tiles as the networks alone code them, and about the squared error that this makes in the unsure ones.

        One coding decides about all of them, and is the file where no overlay comes of it.
        """
        errors: dict[int, float] = {}

        def look(weights: Weights, y_hat: Tensor, band: range) -> None:
            for index in unsure.keys() & range(band.start * header.grid[1], band.stop * header.grid[1]):
                top, left, height, width = (-(-n // CELL) for n in header.tile_box(index))
                top -= band.start * header.tile_side // CELL
                its = y_hat[top : top + height, left : left + width]
                errors[index] = sampled_error(weights, header.quality, unsure[index].rgb, its, unsure[index].blocks)

        return list(self._code(header, pixels, EFFORTS[EFFORT], progress, (), decoded, look)), errors

    def _code(
        self,
        header: Header,
        pixels: NDArray[np.uint8],
        how: Effort,
        progress: Progress | None = None,
        covered: Collection[int] = (),
        decoded: NDArray[np.uint8] | None = None,
        look: Look | None = None,
    ) -> Iterator[Tile]:
        """The latents of all tiles, in order, none for those covered. `decoded`: what the decoder will see in them."""
        with self.exactly() as weights:
            analysis = Analysis(weights, header, pixels)
            filters = Filters.read(weights.model, header, {})
            synthesis = None if decoded is None else Synthesis(weights, header, decoded, filters)
        rows = header.grid[0]
        alone = how.iterations or how.filters  # these work on one row of tiles at a time
        for band in bands(header, 1 if alone else None):

            def part(share: float, band: range = band) -> None:
                if progress:
                    progress((band.start + share * len(band)) / rows)

            with self.exactly() as weights:  # not around a yield: what it sets must not show between two pieces
                tiles, y_hat = encode_band(weights, header, analysis, band, how, filters, covered, part)
                if how.filters:
                    fitted = fit_filters(weights, header, analysis, band.start, y_hat, filters.default)
                    for index in fitted.keys() - covered:
                        tiles[index] = tiles[index].having(filter=fitted[index].pack(filters.default))
                        filters.add(index, tiles[index])
                if synthesis:
                    synthesis.add(weights, y_hat)
                if look:
                    look(weights, y_hat, band)
            yield from (tiles[index] for index in sorted(tiles))
            part(1)

    def decode(
        self,
        data: BytesLike,
        *,
        max_pixels: int | None = MAX_PIXELS,
        out: NDArray[np.uint8] | None = None,
        progress: Progress | None = None,
    ) -> Picture:
        """Reconstruct a picture: the same pixels on every machine.

        Args:
            data: a whole file. max_pixels: refuse larger pictures before any work; None for no limit.
            out: an array (H, W, C) uint8 to write into, of any strides; undefined after an error.

        Returns: pixels (H, W, C) uint8, `out` if given, and the metadata as stored.
        Raises: NotVaecError, TruncatedError, CorruptFileError, UnsupportedError, LimitError; VaecError where `out` does
            not fit.
        """
        codec, layout, tiles = self.open(data, max_pixels)
        header = layout.header
        shape = header.height, header.width, header.channels
        if out is not None and not isinstance(out, np.ndarray):
            raise VaecError(f"out must be a writeable uint8 array of shape {shape}, not {type(out).__name__}")
        if out is not None and (out.shape != shape or out.dtype != np.uint8 or not out.flags.writeable):
            raise VaecError(f"out must be a writeable uint8 array of shape {shape}, not {out.dtype} of {out.shape}")
        pixels = np.empty(shape, np.uint8) if out is None else out
        top = 0
        for strip in codec._strips(header, tiles, progress):
            pixels[top : top + len(strip)] = strip
            top += len(strip)
        return Picture(pixels, **layout.metadata)

    def decode_rows(
        self, data: BytesLike, *, max_pixels: int | None = MAX_PIXELS, progress: Progress | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        """Reconstruct a picture from above, (n, W, C) uint8 at a time, in memory that does not grow with its height.

        Args and errors: as `decode`.
        """
        codec, layout, tiles = self.open(data, max_pixels)
        return codec._strips(layout.header, tiles, progress)

    def _strips(self, header: Header, tiles: list[Tile], progress: Progress | None) -> Iterator[NDArray[np.uint8]]:
        """The pixels of each row of tiles. Those at its lower edge are there once the next row's latents are."""
        pixels = Rolling(header)
        with self.exactly() as weights:
            filters = Filters.read(weights.model, header, dict(enumerate(tiles)))
            synthesis = Synthesis(weights, header, pixels, filters)
        rows, columns = header.grid
        boxes = [header.tile_box(index) for index in range(rows * columns)]
        done = 0
        for band in bands(header):
            with self.exactly() as weights:  # not around a yield: what it sets must not show between two strips
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

    def decode_partial(self, data: BytesLike, *, max_pixels: int | None = MAX_PIXELS) -> Partial:
        """Reconstruct what can be had of a truncated or damaged file: see `Partial`.

        Raises: NotVaecError, CorruptFileError, UnsupportedError, LimitError where nothing can be had.
        """
        found = recovery.salvage(as_bytes(data), as_limit(max_pixels, "max_pixels"))
        codec = self._for(found.header)
        with codec.exactly() as weights:
            return scaled.partial(weights, found)

    def decode_region(
        self, data: BytesLike, region: tuple[int, int, int, int], *, max_pixels: int | None = MAX_PIXELS
    ) -> Picture:
        """Reconstruct a part of a picture from the tiles that it needs: the same pixels as in the whole.

        Args: region: left, top, width, height, in pixels as they are stored. max_pixels: of the part.
        Raises: as `decode`; VaecError where the region is not within the picture.
        """
        region, limit = as_region(region), as_limit(max_pixels, "max_pixels")
        codec, layout, tiles = self.open(data, None)
        limits.check_region(layout.header, region, limit)
        with codec.exactly() as weights:
            return Picture(scaled.region(weights, layout.header, tiles, region), **layout.metadata)

    def decode_scaled(self, data: BytesLike, scale: int, *, max_pixels: int | None = MAX_PIXELS) -> Picture:
        """Reconstruct a picture at 1/scale of its size, rounded up, with a fraction of the work.

        Near to the whole picture's mean over squares of that many pixels, not equal to it; see `scaled.scaled`.
        Args: scale: 2, 4 or 8. max_pixels: of what is made; the whole may have twice as many. Raises: as `decode`.
        """
        scale, limit = as_whole(scale, "scale"), as_limit(max_pixels, "max_pixels")
        codec, layout, tiles = self.open(data, None)
        limits.check_scale(layout.header, scale, limit)
        with codec.exactly() as weights:
            return Picture(scaled.scaled(weights, layout.header, tiles, scale), **layout.metadata)

    def decode_within(self, data: BytesLike, size: int, *, max_pixels: int | None = MAX_PIXELS) -> Picture:
        """Reconstruct a picture of at most `size` pixels each way, in proportion, with no more work than that needs.

        A smaller picture stays as it is. Args: max_pixels: of what is made; the whole may have twice as many.
        Raises: as `decode`; VaecError where size is not positive.
        """
        data, size, limit = as_bytes(data), as_whole(size, "size"), as_limit(max_pixels, "max_pixels")
        header, _ = next(container.walk(data))
        limits.check_within(header, size, limit)
        scale = limits.scale_within(header, size)
        picture = self.decode(data, max_pixels=None) if scale == 1 else self.decode_scaled(data, scale, max_pixels=None)
        return replace(picture, pixels=scaled.shrunk(picture.pixels, size))

    def open(self, data: BytesLike, max_pixels: int | None) -> tuple[Codec, container.Layout, list[Tile]]:
        """The structure of a file, and the codec of its model: this one, or another."""
        layout = container.parse(as_bytes(data), max_pixels=as_limit(max_pixels, "max_pixels"))
        codec = self._for(layout.header)
        return codec, layout, [container.unpack_tile(layout.header, t) for t in layout.tiles]

    def _for(self, header: Header) -> Codec:
        """A codec that has a file's model. Raises: UnsupportedError where there is none."""
        wanted = header.model, header.model_hash
        if wanted == (self.weights.name, self.weights.hash):
            return self
        if wanted not in self._others:
            other = copy.copy(self)
            with own_settings(self.threads):
                other.weights = find(*wanted)
            self._others[wanted] = other
        return self._others[wanted]

    @contextmanager
    def exactly(self) -> Iterator[Weights]:
        """Settings to compute under (settings.py), and the weights whose products are exact under them. The caller's
        may be others the next time, and then the weights are."""
        with own_settings(self.threads):
            yield self.weights if float32_is_exact() else self.weights.wide


def encode_band(
    weights: Weights,
    header: Header,
    analysis: Analysis,
    band: range,
    how: Effort,
    filters: Filters,
    covered: Collection[int],
    progress: Progress,
) -> tuple[dict[int, Tile], Tensor]:
    """Tiles of some rows by number, those covered without latents, and y_hat (n, w, M) int16, in 1/16 step."""
    side, q, columns = header.tile_side // CELL, header.quality, header.grid[1]
    seen = analysis.band(weights, band.start * side, min(band.stop * side, analysis.h))
    y, z = seen.y[seen.inner], seen.z
    if how.iterations:
        x, known = analysis.under(seen), replace(filters, of_tile=dict(filters.of_tile), top=seen.start)
        y, z = refine.refine(weights, q, x, seen.y, z, seen.inner, known, how.iterations, progress)
    tiles = {index: Tile.empty() for index in range(band.start * columns, band.stop * columns)}
    y_hat = torch.zeros(y.shape, dtype=torch.int16)
    for places in together(header, band, range(columns)):
        coded = [place for place in places if place[0] * columns + place[1] not in covered]
        if not coded:
            continue
        cuts = [tuple(slice(n * side, (n + 1) * side) for n in (row - band.start, column)) for row, column in coded]
        z_cuts = [tuple(slice(s.start // Z_CELL, s.stop // Z_CELL) for s in cut) for cut in cuts]
        z_tiles, y_tiles = torch.stack([z[cut] for cut in z_cuts]), torch.stack([y[cut] for cut in cuts])
        made = zip(*encode_tiles(weights, q, z_tiles, y_tiles, how.trimming), strict=True)
        for (row, column), cut, (tile, its) in zip(coded, cuts, made, strict=True):
            tiles[row * columns + column], y_hat[cut] = tile, its.to(torch.int16)
    return tiles, y_hat


def part_of(progress: Progress | None, first: float, last: float) -> Progress | None:
    """The progress of a part of the work, which ends where `last` of all is done."""
    return (lambda share: progress(first + share * (last - first))) if progress else None
