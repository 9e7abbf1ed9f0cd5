"""y_hat to pixels, band by band: tiles are decoded, and g_s and the filters follow row by row, in bounded memory.

What is drawn is one array, in which no tile border shows. Threads share it by stripes of columns, each with a margin as
wide as what a pixel sees.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.header import CELL, Header
from vaecodec.bitstream.tiles import EMPTY, Tile
from vaecodec.codec.latents import decode_tile
from vaecodec.codec.pixels import paste
from vaecodec.codec.runtime import Progress
from vaecodec.codec.team import Coming, Team
from vaecodec.codec.windows import inner, stripes, tile_shape
from vaecodec.core.networks import filter_pixels
from vaecodec.model.architecture import Config
from vaecodec.model.loop_filter import REACH, Filters
from vaecodec.model.native import Networks


class Pixels(Protocol):
    """Pixels (H, W, C) to be written, or those of them that are there."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, place: tuple[slice, slice], /) -> NDArray[np.uint8]: ...


def synthesis_margin(cfg: Config) -> int:
    """Positions of y that a pixel sees beyond its own: the networks' and, through the filter, one more."""
    return cfg.margin + 1


class Band:
    """y_hat of the tiles of some rows and columns, each being decoded by a team."""

    def __init__(
        self,
        networks: Networks,
        header: Header,
        tiles: Mapping[int, Tile] | Sequence[Tile],
        rows: range,
        columns: range,
        team: Team,
        groups: int | None = None,
        strict: bool = True,
    ) -> None:
        """tiles: by number, those of these rows and columns at least. groups, strict: see `decode_tile`."""
        side, q = header.tile_side // CELL, header.quality
        self.top, self.left, self.side = rows.start * side, columns.start * side, side
        self.bottom = min(rows.stop * side, -(-header.height // CELL))
        self.right = min(columns.stop * side, -(-header.width // CELL))
        self.channels = networks.weights.cfg.M
        self.tiles: dict[tuple[int, int, int], Coming[tuple[NDArray[np.int16], bool]]] = {}
        for row in rows:
            for column in columns:
                number = row * header.grid[1] + column
                if tiles[number].lanes_log2 != EMPTY:
                    h, w = tile_shape(header, row, column)

                    def work(tile: Tile = tiles[number], h: int = h, w: int = w) -> tuple[NDArray[np.int16], bool]:
                        return decode_tile(networks, q, tile, h, w, groups, strict)

                    self.tiles[row, column, number] = team.begin(work)

    def y_hat(self, damaged: set[int] | None = None, progress: Progress | None = None) -> NDArray[np.int16]:
        """(n, w, M) in 1/16 step. damaged: gets the numbers of tiles that have a fault, of which y_hat is 0.
        progress: called with the share done.

        Raises: CorruptFileError, where faults raise.
        """
        band = np.zeros((self.bottom - self.top, self.right - self.left, self.channels), np.int16)
        for k, ((row, column, number), coming) in enumerate(self.tiles.items(), 1):
            y_hat, fault = coming.result()
            if not fault:
                i, j = row * self.side - self.top, column * self.side - self.left
                band[i : i + y_hat.shape[0], j : j + y_hat.shape[1]] = y_hat
            elif damaged is not None:
                damaged.add(number)
            if progress:
                progress(k / len(self.tiles))
        self.tiles.clear()
        return band


class Synthesis:
    """Writes pixels as bands of y_hat come in; `done` rows of positions are whole by now."""

    def __init__(self, networks: Networks, q: int, pixels: Pixels, filters: Filters, team: Team) -> None:
        """q: 0..1000. filters: those of a band must be there before it is added."""
        self.team = team
        self.height, width = (-(-n // CELL) for n in pixels.shape[:2])
        parts = stripes(width, team.count, synthesis_margin(networks.weights.cfg))
        self.stripes = [Stripe(networks, q, self.height, *part, pixels, filters) for part in parts]
        self.margin = synthesis_margin(networks.weights.cfg)
        self.added = self.done = 0

    def add(self, y_hat: NDArray[np.int16]) -> list[Coming[None]]:
        """The next rows (n, w, M) of y_hat. Their pixels are there once `wait` has been called with what this gives."""
        self.added += len(y_hat)
        last = self.added == self.height
        return [self.team.begin(lambda stripe=stripe: stripe.add(y_hat, last)) for stripe in self.stripes]  # type: ignore[misc]

    def wait(self, begun: list[Coming[None]]) -> None:
        """Until rows that were added are pixels, as far as those below them let them be."""
        for future in begun:
            future.result()
        self.done = self.height if self.added == self.height else max(self.done, self.added - self.margin)


class Columns(ABC):
    """Some columns from above: rows of y_hat come in, samples of those that have all that they see go out to `draw`."""

    def __init__(self, networks: Networks, q: int, height: int, width: int) -> None:
        self.height = height
        self.rows = networks.decoder.rows(q, height, width)
        self.still = Still(2 * networks.weights.cfg.margin + 3)
        # Six rows of samples, of which three have their pixels, then those of a row of positions, all within reach.
        self.planes = np.zeros((3, 2 * REACH + CELL, CELL * width + 2 * REACH), np.int16)
        self.out = 0  # rows of positions that have gone through g_s

    @abstractmethod
    def draw(self, row: int, first: int, planes: NDArray[np.int16]) -> None:
        """What a row of positions looks like, from its line `first` on: planes (3, n + 6, ...) around n lines."""

    def add(self, y_hat: NDArray[np.int16], last: bool) -> None:
        """The next rows of y_hat (n, width, M); whether they are the last ones."""
        for row in y_hat:
            self._push(row)
        while last and self.out < self.height:
            self._push(None)
        if last:
            self._end()

    def _push(self, row: NDArray[np.int16] | None) -> None:
        fresh = self.planes[:, 2 * REACH :, REACH:-REACH]
        if self.still.next(row):
            self.rows.height -= 1  # a row like those before it would leave all as it is: the core does not see it
        elif not self.rows.push(None if row is None else np.ascontiguousarray(row), fresh):
            return
        for side, edge in ((slice(0, REACH), REACH), (slice(-REACH, None), -REACH - 1)):
            self.planes[:, 2 * REACH :, side] = self.planes[:, 2 * REACH :, edge, None]
        if self.out == 0:
            self.planes[:, REACH : 2 * REACH] = self.planes[:, 2 * REACH, None]
        else:
            self.draw(self.out - 1, CELL - REACH, self.planes[:, : 3 * REACH])
        self.draw(self.out, 0, self.planes[:, REACH:])
        self.out += 1
        self.planes[:, : 2 * REACH] = self.planes[:, CELL:].copy()

    def _end(self) -> None:
        """The last pixels, below which the last samples are repeated."""
        self.planes[:, 2 * REACH : 3 * REACH] = self.planes[:, 2 * REACH - 1, None]
        self.draw(self.height - 1, CELL - REACH, self.planes[:, : 3 * REACH])


class Stripe(Columns):
    """Some columns of a picture, whose pixels are drawn."""

    def __init__(
        self,
        networks: Networks,
        q: int,
        height: int,
        part: slice,
        outer: slice,
        pixels: Pixels,
        filters: Filters,
    ) -> None:
        """part: its columns of positions; outer: those with their margin."""
        super().__init__(networks, q, height, outer.stop - outer.start)
        self.part, self.outer = part, outer
        self.pixels, self.filters = pixels, filters

    def add(self, y_hat: NDArray[np.int16], last: bool) -> None:
        """The next rows of y_hat (n, w, M) of the whole width; whether they are the last ones."""
        super().add(y_hat[:, self.outer], last)

    def draw(self, row: int, first: int, planes: NDArray[np.int16]) -> None:
        top = row * CELL + first
        count = min(planes.shape[1] - 2 * REACH, self.pixels.shape[0] - top)
        if count <= 0:
            return
        for _, columns, kernel in self.filters.parts(slice(row, row + 1), self.part):
            left, right = columns.start * CELL, min(columns.stop * CELL, self.pixels.shape[1])
            where = inner(self.outer, columns, CELL).start
            around = planes[:, : count + 2 * REACH, where : where + right - left + 2 * REACH]
            there = self.pixels[top : top + count, left:right]
            if there.shape[2] == 3:
                filter_pixels(kernel.values, around, there)
            else:
                rgb = np.empty((count, right - left, 3), np.uint8)
                filter_pixels(kernel.values, around, rgb)
                paste(there, rgb)


class Still:
    """Whether rows of zeros have come for so long that one more changes nothing: they are under overlays, and in files
    that say much and hold little."""

    def __init__(self, rows: int) -> None:
        self.rows, self.count = rows, 0

    def next(self, row: NDArray[np.int16] | None) -> bool:
        if row is None or row.any():
            self.count = 0
            return False
        self.count += 1
        return self.count > self.rows


def bands_of(
    networks: Networks, header: Header, tiles: Sequence[Tile], bands: Sequence[range], team: Team, strict: bool = True
) -> Iterator[Band]:
    """The bands of a picture, each begun when the one before it is handed out."""
    coming: Band | None = None
    columns = range(header.grid[1])
    for k, rows in enumerate(bands):
        now = coming or Band(networks, header, tiles, rows, columns, team, strict=strict)
        coming = None
        if team.count > 1 and k + 1 < len(bands):
            coming = Band(networks, header, tiles, bands[k + 1], columns, team, strict=strict)
        yield now
