"""What can be made of a truncated or damaged file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecodec.bitstream.header import CELL
from vaecodec.bitstream.limits import Region
from vaecodec.bitstream.recovery import Recovered
from vaecodec.bitstream.tiles import Tile
from vaecodec.codec.decoder import finish_tile, reconstruct
from vaecodec.codec.runtime import Runtime
from vaecodec.errors import CorruptFileError
from vaecodec.model.loop_filter import REACH, Filters
from vaecodec.pictures.picture import Picture


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


def partial(runtime: Runtime, found: Recovered) -> Partial:
    """Make what can be made of the tiles that are there."""
    header = found.header
    filters = Filters.read(runtime.weights, header, {})
    tiles, lost = readable(found, filters)
    pixels = np.full((header.height, header.width, header.channels), 255, np.uint8)
    for _ in reconstruct(runtime, header, tiles, filters, pixels, damaged=lost):
        pass
    for number in set(range(len(tiles))) - lost:
        try:
            finish_tile(header, tiles[number], header.crop(pixels, number))
        except CorruptFileError:
            if not tiles[number].truncated:
                lost.add(number)

    def areas(numbers: set[int]) -> list[Region]:
        return [(left, top, w, h) for top, left, h, w in map(header.tile_box, sorted(numbers))]

    margin, picture = runtime.weights.cfg.margin * CELL + REACH, Picture(pixels, **found.metadata)
    return Partial(picture, areas(lost), areas(found.truncated.keys() - lost), margin, found.whole and not lost)


def readable(found: Recovered, filters: Filters) -> tuple[list[Tile], set[int]]:
    """The sections of all tiles, those that are lost being empty, and the numbers of these; filters get the others'."""
    tiles: list[Tile] = [Tile.empty()] * (found.header.grid[0] * found.header.grid[1])
    lost: set[int] = set()
    for number in range(len(tiles)):
        try:
            truncated = number in found.truncated
            coded = (found.truncated if truncated else found.tiles)[number]
            tiles[number] = coded.tile(found.header, truncated)
            filters.add(number, tiles[number])
        except (KeyError, CorruptFileError):
            lost.add(number)
    return tiles, lost
