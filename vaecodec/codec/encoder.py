"""Pictures to the pieces of a `.vaec` file, band by band.

    picture -> array -> y, z (g_a, h_a) -> symbols (latents) -> TILE chunks -> bytes,

with an overlay of exact pixels beside the latents in tiles that were drawn, not photographed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vaecodec.arguments import as_bytes, as_number, as_whole, shown
from vaecodec.bitstream import container, vp8l
from vaecodec.bitstream.alpha import pack_alpha
from vaecodec.bitstream.chunks import CHUNK_OVERHEAD, SIGNATURE, pack_chunk
from vaecodec.bitstream.header import (
    ALPHA_CODED,
    ALPHA_CONSTANT,
    ALPHA_NONE,
    CELL,
    CHANNELS,
    PROGRESSIVE,
    QUALITY_MAX,
    TILE_UNIT,
    TILE_UNITS_MAX,
    Header,
)
from vaecodec.bitstream.overlay import Overlay, unpack_overlay
from vaecodec.bitstream.tiles import Tile, tile_chunks
from vaecodec.codec import screen
from vaecodec.codec.analysis import Analysed, Analysis
from vaecodec.codec.defaults import EFFORT, EFFORTS, TUNE, TUNES, Effort
from vaecodec.codec.filter_fit import fit_filter
from vaecodec.codec.latents import encode_tile
from vaecodec.codec.pixels import as_rgb, paste, patched
from vaecodec.codec.runtime import Progress, Runtime, part_of
from vaecodec.codec.synthesis import Synthesis
from vaecodec.codec.team import Team, team
from vaecodec.codec.trial import sampled_error
from vaecodec.codec.tuning import Worth, worth_of
from vaecodec.codec.windows import bands, tile_shape
from vaecodec.errors import UnsupportedError, VaecError
from vaecodec.extras import need_torch
from vaecodec.model.architecture import Z_CELL, quality_lambda
from vaecodec.model.loop_filter import Filters
from vaecodec.pictures.picture import Picture, row_chunks
from vaecodec.pictures.preview import FROM, make_preview

TILE_MAX = TILE_UNIT * TILE_UNITS_MAX
REFINING_FROM, REFINING_TO = 0.05, 0.9  # shares of a band's time between which it is refined, where it is
# Sides of pictures and their tiles. A part of a very large one is to need few of its bytes: 512 pixels and what they
# see are in four tiles at most. `tools/measure/ranged.py` on 100 megapixels: 2.5 % of the bytes where tiles of 1024
# take 4.2 %, in a file that is 0.5 % larger (2026-11-29).
LARGE, TILE_LARGE = 4096, 704
Look = Callable[[NDArray[np.int16], range], None]  # at y_hat of some rows of tiles


@dataclass(frozen=True)
class EncodeOptions:
    """How a picture is coded, beside its quality; see `Codec.encode`."""

    effort: int = EFFORT
    tile: int | None = None
    preview: bool | None = None
    progressive: bool = False
    tune: str = TUNE


def encode_parts(
    runtime: Runtime,
    picture: Picture,
    quality: float,
    options: EncodeOptions,
    progress: Progress | None = None,
    decoded: NDArray[np.uint8] | None = None,
) -> Iterator[bytes]:
    """A file in pieces: see `Codec.encode_parts`."""
    quality, effort = as_number(quality, "quality"), as_whole(options.effort, "effort")
    if not 0 <= quality <= 100:
        raise VaecError(f"quality {quality:g} is not within 0..100")
    if effort not in EFFORTS:
        raise VaecError(f"effort {effort} is not one of 1..9")
    if not runtime.weights.encodes:
        raise VaecError(f"model {runtime.weights.name} ({runtime.weights.hash.hex()}) is retired: it only decodes")
    if options.tune not in TUNES:
        raise VaecError(f"tune {shown(options.tune)} is not one of {', '.join(TUNES)}")
    pixels, how = picture.pixels, replace(EFFORTS[effort], tune=options.tune)
    if how.iterations:
        need_torch(f"effort {effort}")
    header = header_for(runtime, pixels, round(quality * QUALITY_MAX / 100), options)
    if header.alpha == ALPHA_CODED and not vp8l.available():
        raise UnsupportedError("the picture's transparency needs a Pillow with WebP")
    yield SIGNATURE + pack_chunk("HEAD", header.pack())
    if options.preview or (options.preview is None and picture.width * picture.height >= FROM and vp8l.available()):
        yield pack_chunk(container.PREVIEW, make_preview(pixels))
    for name, kind in container.METADATA.items():
        data = getattr(picture, name)
        if data is not None:
            yield pack_chunk(kind, as_bytes(data, name))
    overlays, tiles = code_tiles(runtime, header, pixels, how, progress, decoded)
    chunks = chunks_of(header, pixels, overlays, tiles, how.thorough)
    yield from chunks if header.grid == (1, 1) else with_index(chunks)
    if decoded is not None:
        for index, overlay in overlays.items():
            part = header.crop(decoded, index)
            paste(part, *unpack_overlay(overlay.data, *part.shape[:2]))
        if header.alpha:
            decoded[..., -1] = np.concatenate([rows[..., -1] for rows in row_chunks(pixels)])


def chunks_of(
    header: Header, pixels: NDArray[np.uint8], overlays: dict[int, Overlay], tiles: Iterable[Tile], thorough: bool
) -> Iterator[bytes]:
    """The chunks of all tiles, with their transparency and overlays; in a progressive file those of one kind first.

    thorough: see `pack_alpha`.
    """
    later: list[list[bytes]] = []
    for index, coded in enumerate(tiles):
        alpha, overlay = b"", overlays.get(index)
        if header.alpha == ALPHA_CODED:
            alpha = pack_alpha(header.crop(pixels, index)[..., -1], thorough=thorough)
        tile = coded.having(alpha=alpha, overlay=overlay.data if overlay else b"")
        first, *rest = tile_chunks(index, tile, header.progressive)
        yield first
        later.append(rest)
    for of_kind in zip(*later, strict=True):
        yield from of_kind


def with_index(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Chunks of tiles, ahead of them where each begins: so a part of the picture can be read by itself."""
    held = list(chunks)
    yield pack_chunk(container.INDEX, container.pack_index([len(chunk) - CHUNK_OVERHEAD for chunk in held]))
    yield from held


def header_for(runtime: Runtime, pixels: NDArray[np.uint8], q: int, options: EncodeOptions) -> Header:
    height, width, channels = pixels.shape
    tile = options.tile
    if tile is None:
        side = max(height, width)
        count = -(-side // (TILE_MAX if side <= LARGE else TILE_LARGE))
        tile = -(-side // (count * TILE_UNIT)) * TILE_UNIT if count > 1 else TILE_MAX
    tile = as_whole(tile, "tile side")
    if tile % TILE_UNIT or not TILE_UNIT <= tile <= TILE_MAX:
        raise VaecError(f"tile side {tile} is not a multiple of {TILE_UNIT} up to {TILE_MAX}")
    alpha, value = ALPHA_NONE, 0
    if channels in (2, 4):
        value = int(pixels[:1][0, 0, -1])
        constant = all((rows[..., -1] == value).all() for rows in row_chunks(pixels))
        alpha = ALPHA_CONSTANT if constant else ALPHA_CODED
        value = value if constant else 0
    return Header(
        width=width,
        height=height,
        colour=CHANNELS.index(channels),
        quality=q,
        model=runtime.weights.name,
        model_hash=runtime.weights.hash,
        tile=tile // TILE_UNIT,
        alpha=alpha,
        alpha_value=value,
        features=PROGRESSIVE if options.progressive else 0,
    )


def code_tiles(
    runtime: Runtime,
    header: Header,
    pixels: NDArray[np.uint8],
    how: Effort,
    progress: Progress | None,
    decoded: NDArray[np.uint8] | None,
) -> tuple[dict[int, Overlay], Iterable[Tile]]:
    """The overlays of tiles that were drawn, and what the networks make of all tiles beneath them."""
    if not how.overlays or not vp8l.available():
        return {}, code_bands(runtime, header, pixels, how, progress, (), decoded)
    quick = replace(EFFORTS[EFFORT], tune=how.tune)
    lmbda = quality_lambda(header.quality) / 3  # bits for a sample's error
    drafts: dict[int, screen.Draft] = {}
    for index in range(math.prod(header.grid)):
        if draft := screen.find(lambda index=index: as_rgb(header.crop(pixels, index)), lmbda):  # type: ignore[misc]
            drafts[index] = draft
    tiles, alone = None, {index: screen.LEAST * float(d.blocks.sum()) for index, d in drafts.items()}
    if unsure := {index: draft for index, draft in drafts.items() if not draft.sure()}:
        tiles, errors = code_for_trial(runtime, header, pixels, quick, unsure, part_of(progress, 0, 0.5), decoded)
        for index, error in errors.items():
            alone[index] = screen.GAIN * (8 * len(tiles[index].pack()) + lmbda * error)
        progress = part_of(progress, 0.5, 1)
    overlays: dict[int, Overlay] = {}
    for index, draft in drafts.items():
        if draft.possible(alone[index]) and (overlay := draft.overlay(alone[index], how.thorough)):
            overlays[index] = overlay
    if tiles and not overlays and how == quick:
        if progress:
            progress(1)
        return {}, tiles
    beneath = patched(pixels, header, {index: drafts[index].beneath for index in overlays}) if overlays else pixels
    covered = {index for index, overlay in overlays.items() if overlay.covers}
    return overlays, code_bands(runtime, header, beneath, how, progress, covered, decoded)


def code_for_trial(
    runtime: Runtime,
    header: Header,
    pixels: NDArray[np.uint8],
    how: Effort,
    unsure: dict[int, screen.Draft],
    progress: Progress | None,
    decoded: NDArray[np.uint8] | None,
) -> tuple[list[Tile], dict[int, float]]:
    """All tiles as the networks alone code them, and about the squared error that this makes in the unsure ones.

    One coding decides about all of them, and is the file where no overlay comes of it.
    """
    errors: dict[int, float] = {}

    def look(y_hat: NDArray[np.int16], band: range) -> None:
        for index in unsure.keys() & range(band.start * header.grid[1], band.stop * header.grid[1]):
            top, left, height, width = (-(-n // CELL) for n in header.tile_box(index))
            top -= band.start * header.tile_side // CELL
            its = y_hat[top : top + height, left : left + width]
            rgb, blocks = unsure[index].source(), unsure[index].blocks
            errors[index] = sampled_error(runtime.networks, header.quality, rgb, its, blocks)

    return list(code_bands(runtime, header, pixels, how, progress, (), decoded, look)), errors


def code_bands(
    runtime: Runtime,
    header: Header,
    pixels: NDArray[np.uint8],
    how: Effort,
    progress: Progress | None = None,
    covered: Collection[int] = (),
    decoded: NDArray[np.uint8] | None = None,
    look: Look | None = None,
) -> Iterator[Tile]:
    """The latents of all tiles, in order, none for those covered. `decoded`: what the decoder will see in them."""
    networks, rows = runtime.networks, header.grid[0]
    filters = Filters.read(runtime.weights, header, {})
    with team(runtime.threads) as threads:
        analysis = Analysis(networks, header.quality, pixels, threads.count)
        synthesis = None
        if decoded is not None:
            synthesis = Synthesis(networks, header.quality, decoded, filters, threads)
        for band in bands(header, 1 if how.iterations else None):
            part = part_of(progress, band.start / rows, band.stop / rows)
            tiles, y_hat = encode_band(runtime, header, analysis, band, how, filters, covered, part, threads)
            for index, tile in tiles.items():
                filters.add(index, tile)
            if synthesis:
                synthesis.wait(synthesis.add(y_hat))
            if look:
                look(y_hat, band)
            yield from (tiles[index] for index in sorted(tiles))
            if part:
                part(1)


def encode_band(
    runtime: Runtime,
    header: Header,
    analysis: Analysis,
    band: range,
    how: Effort,
    filters: Filters,
    covered: Collection[int],
    progress: Progress | None,
    team: Team,
) -> tuple[dict[int, Tile], NDArray[np.int16]]:
    """Tiles of some rows by number, those covered without latents, and y_hat (n, w, M), in 1/16 step."""
    side, columns = header.tile_side // CELL, header.grid[1]
    seen_at, refined_at = (REFINING_FROM, REFINING_TO) if how.iterations else (0.5, 0.5)
    rows = band.start * side, min(band.stop * side, analysis.h)
    seen = analysis.band(*rows, team, part_of(progress, 0, seen_at))
    y, z = seen.y[seen.inner], seen.z
    worth = worth_of(runtime.weights, header.quality, y) if how.tune == "ssim" else None
    if how.iterations:
        part = part_of(progress, seen_at, refined_at)
        y, z = refined(runtime, header, analysis, seen, filters, how.iterations, part, worth)
    pixels = analysis.pixels[rows[0] * CELL : rows[1] * CELL] if how.filters else None  # at once: they may be in a file
    tiles = {index: Tile.empty() for index in range(band.start * columns, band.stop * columns)}
    y_hat = np.zeros(y.shape, np.int16)

    def encode(index: int) -> None:
        row, column = divmod(index, columns)
        h, w = tile_shape(header, row, column)
        top, left = (row - band.start) * side, column * side
        z_tile = z[top // Z_CELL : -(-(top + h) // Z_CELL), left // Z_CELL : -(-(left + w) // Z_CELL)]
        part = slice(top, top + h), slice(left, left + w)
        its = worth.part(*part) if worth else None
        tile, y_hat[part] = encode_tile(runtime.networks, header.quality, z_tile, y[part], how.rdoq_weight, its)
        if pixels is not None:
            rgb = as_rgb(pixels[top * CELL : (top + h) * CELL, left * CELL : (left + w) * CELL])
            found = fit_filter(runtime.networks, header, index, rgb, y_hat[part], filters.default)
            tile = tile.having(filter=found.pack(filters.default)) if found else tile
        tiles[index] = tile

    team.map(encode, [index for index in tiles if index not in covered], part_of(progress, refined_at, 1))
    return tiles, y_hat


def refined(
    runtime: Runtime,
    header: Header,
    analysis: Analysis,
    seen: Analysed,
    filters: Filters,
    iterations: int,
    progress: Progress | None,
    worth: Worth | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """y and z of a band as efforts above 4 make them, by PyTorch."""
    from vaecodec.codec import refine, torch_settings

    x, known = analysis.under(seen), replace(filters, of_tile=dict(filters.of_tile), top=seen.start)
    with torch_settings.own_settings(runtime.threads):
        return refine.refine(runtime.networks, header.quality, x, seen, known, iterations, progress, worth)
