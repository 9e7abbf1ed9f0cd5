"""Pixels to y and z, band by band: g_a row by row, h_a over a band, in bounded memory.

A band is a row of tiles, or several of a narrow picture. What it sees of the picture has no tile border.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.header import CELL
from vaecodec.codec.pixels import as_rgb
from vaecodec.codec.runtime import Progress
from vaecodec.codec.team import Team
from vaecodec.codec.windows import stripes
from vaecodec.model.architecture import Z_CELL
from vaecodec.model.native import Networks

H_MARGIN = 4  # positions of y that h_a sees beyond its own, rounded up to positions of z
ROWS = 8  # of positions, whose pixels are fetched together
H_WINDOW = 64  # columns of y that h_a sees at a time, a multiple of positions of z


@dataclass(frozen=True)
class Analysed:
    """A band as the encoder's networks see it. `y`: (rows, w, M) in steps, with rows beyond it, from `start` of the
    picture on; the band is its rows `inner`. `z`: (n / 4, w / 4, N), rounded up, for the n rows of the band."""

    y: NDArray[np.float32]
    z: NDArray[np.float32]
    start: int
    inner: slice


class Analysis:
    """y and z of a picture (H, W, C), band by band; each row of y is computed once."""

    def __init__(self, networks: Networks, q: int, pixels: NDArray[np.uint8], count: int) -> None:
        """count: of threads that share the work."""
        self.networks, self.pixels = networks, pixels
        self.h, self.w = (-(-n // CELL) for n in pixels.shape[:2])
        parts = stripes(self.w, count, -(-networks.weights.cfg.blocks_a // 2))
        self.stripes = [Stripe(networks, q, self.h, *part) for part in parts]
        self.y = np.zeros((0, self.w, networks.weights.cfg.M), np.float32)  # rows that are held, from `start` on
        self.start = 0

    def band(self, first: int, last: int, team: Team, progress: Progress | None = None) -> Analysed:
        """The rows first..last of y, each band after the one above it. progress: called with the share done."""
        low, high = max(0, first - H_MARGIN), min(self.h, last + H_MARGIN)
        held = self.y[low - self.start :]
        self.y = np.empty((high - low, *held.shape[1:]), np.float32)
        self.y[: len(held)], self.start = held, low
        self._fill(self.y[len(held) :], team, progress)
        lefts = range(0, self.w, H_WINDOW)
        z = np.concatenate(team.map(self._z, lefts), axis=1)[(first - low) // Z_CELL :][: -(-(last - first) // Z_CELL)]
        return Analysed(self.y, z, low, slice(first - low, last - low))

    def _fill(self, y: NDArray[np.float32], team: Team, progress: Progress | None) -> None:
        """The next rows of y. Pixels are fetched here, once, as they may come from a file."""
        for stripe in self.stripes:
            stripe.left = y
        while missing := len(self.stripes[0].left):
            rows = self._cells(self.stripes[0].analysis.row, min(missing, ROWS))
            team.map(lambda stripe, rows=rows: stripe.push(rows), self.stripes)  # type: ignore[misc]
            if progress:
                progress(1 - len(self.stripes[0].left) / len(y))

    def _cells(self, row: int, count: int) -> NDArray[np.uint8]:
        """The pixels of some rows of positions, (16 n, 16 w, 3), by edge replication to whole positions."""
        rows = as_rgb(self.pixels[row * CELL : (row + count) * CELL])
        missing = -rows.shape[0] % CELL, -rows.shape[1] % CELL
        return np.pad(rows, (*((0, n) for n in missing), (0, 0)), "edge") if any(missing) else rows

    def _z(self, left: int) -> NDArray[np.float32]:
        """z of the rows that are held and some columns."""
        start = max(0, left - H_MARGIN)
        z = self.networks.encoder.z(self.y[:, start : left + H_WINDOW + H_MARGIN])
        return z[:, (left - start) // Z_CELL :][:, : H_WINDOW // Z_CELL]

    def under(self, band: Analysed) -> NDArray[np.float32]:
        """The pixels under the rows of its `y`: (H, W, 3) in levels minus 128, not padded."""
        return self.levels(slice(band.start, band.start + len(band.y)), slice(0, self.w))

    def levels(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """The pixels of some positions: (H, W, 3) in levels minus 128, not padded."""
        part = self.pixels[rows.start * CELL : rows.stop * CELL, columns.start * CELL : columns.stop * CELL]
        return as_rgb(part).astype(np.float32) - 128


class Stripe:
    """Some columns of a picture from above: what g_a makes of them."""

    left: NDArray[np.float32]  # rows of y (n, w, M) of the whole width that are to be written

    def __init__(self, networks: Networks, q: int, height: int, part: slice, outer: slice) -> None:
        """part: its columns of positions; outer: those with their margin."""
        self.height, self.part, self.outer = height, part, outer
        self.analysis = networks.encoder.rows(q, height, outer.stop - outer.start)

    def push(self, pixels: NDArray[np.uint8]) -> None:
        """Rows of positions (16 n, 16 w, 3); none behind the last. They are taken while rows are left."""
        columns = slice(self.outer.start * CELL, self.outer.stop * CELL)
        skipped = self.part.start - self.outer.start
        for row in range(max(1, len(pixels) // CELL)):
            cells = pixels[row * CELL : (row + 1) * CELL, columns]
            y = self.analysis.push(np.ascontiguousarray(cells) if len(cells) else None)
            if y is not None:
                self.left[0, self.part] = y[skipped : skipped + self.part.stop - self.part.start]
                self.left = self.left[1:]
