"""The picture between files and codec, and what reading and writing share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.cicp import is_cicp
from vaecodec.bitstream.header import SIDE_MAX
from vaecodec.errors import PictureError
from vaecodec.pictures.exif import orientation, with_orientation

BY_ROWS_FROM = 2**25  # pixels of a picture whose copies in memory are worth some trouble to avoid


@dataclass
class Picture:
    """An 8-bit picture and its metadata, as stored in a file.

    pixels: (H, W, C) uint8 with C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha (not premultiplied).
    icc, exif, xmp: the bytes as the source file held them; `exif` starts at its TIFF header, without JPEG's
    "Exif" identifier. An EXIF orientation is not applied to the pixels.
    cicp: the colour space, four bytes of ITU-T H.273 as in PNG: primaries, transfer characteristics, 0, 1. It goes
    before the ICC profile; without either the pixels are sRGB.

    Raises: PictureError where `pixels` has another shape or type, or `cicp` is something else.
    """

    pixels: NDArray[np.uint8]
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    cicp: bytes | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.pixels, (np.ndarray, Strips)):
            raise PictureError(f"pixels must be uint8 of shape (H, W, 1..4), not {type(self.pixels).__name__}")
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if dtype != np.uint8 or len(shape) != 3 or not 1 <= shape[2] <= 4:
            raise PictureError(f"pixels must be uint8 of shape (H, W, 1..4), not {dtype} of shape {shape}")
        if not (1 <= shape[0] <= SIDE_MAX and 1 <= shape[1] <= SIDE_MAX):
            raise PictureError(f"a picture of {shape[1]} x {shape[0]} pixels has no place in the format")
        if self.cicp is not None and not (isinstance(self.cicp, bytes) and is_cicp(self.cicp)):
            raise PictureError("cicp must be four bytes, the third 0 and the last 1: full-range RGB")

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def orientation(self) -> int:
        """How the pixels are to be turned, as EXIF counts: 1..8, 1 for upright."""
        return orientation(self.exif)

    def upright(self) -> Picture:
        """Turned as its EXIF says, and with an EXIF and XMP that say so; itself where nothing is to be turned."""
        turn = self.orientation
        if turn == 1:
            return self
        exif = with_orientation(self.exif or b"", 1)
        xmp = self.xmp and _XMP_ORIENTATION.sub(rb"\g<1>1", self.xmp)
        return replace(self, pixels=turned(np.asarray(self.pixels), turn), exif=exif, xmp=xmp)


_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:>|=["']))[2-8]""")


def turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Pixels (H, W, C) as an EXIF orientation wants them: (W, H, C) from 5 on."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    down, across = (-1 if orientation in turns else 1 for turns in ((3, 4, 7, 8), (2, 3, 6, 7)))
    return np.ascontiguousarray(pixels[::down, ::across])


class Strips:
    """Stands in for the pixels (H, W, C) uint8 of a picture that is too large to be held besides what it is made of.

    A slice of it is an array. Rows come from `fetch(first, last)`, and the last that were fetched are kept.
    """

    dtype, ndim = np.dtype(np.uint8), 3

    def __init__(self, shape: tuple[int, ...], fetch: Callable[[int, int], NDArray[np.uint8]]) -> None:
        self.shape, self.fetch = shape, fetch
        self.first, self.rows = 0, np.empty((0, *shape[1:]), np.uint8)

    def __getitem__(self, place: Any) -> NDArray[np.uint8]:
        rows, *others = place if isinstance(place, tuple) else (place,)
        first, last, _ = rows.indices(self.shape[0])
        if not self.first <= first <= last <= self.first + len(self.rows):
            self.rows = self.rows[:0].copy()  # not the old rows besides the new ones
            self.first, self.rows = first, self.fetch(first, last)
        return self.rows[first - self.first : last - self.first][(slice(None), *others)]

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, *_: Any, **__: Any) -> NDArray[np.uint8]:
        return self.fetch(0, self.shape[0])


def is_large(width: int, height: int) -> bool:
    """Whether a picture is better taken by rows than held."""
    return width * height >= BY_ROWS_FROM


def strips(shape: tuple[int, ...], fetch: Callable[[int, int], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """`Strips`, for code that only slices an array by rows."""
    return cast("NDArray[np.uint8]", Strips(shape, fetch))


def from_above(shape: tuple[int, ...], rows: Iterator[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """`Strips` of rows (n, W, C) as they come; what has been asked for once is gone."""
    held, top = np.empty((0, *shape[1:]), np.uint8), 0

    def fetch(first: int, last: int) -> NDArray[np.uint8]:
        nonlocal held, top
        held, top = held[first - top :], first
        while len(held) < last - first:
            held = np.concatenate((held, next(rows))) if len(held) else next(rows)
        return held[: last - first]

    return strips(shape, fetch)


def row_chunks(pixels: NDArray[np.uint8], height: int = 512) -> Iterator[NDArray[np.uint8]]:
    """All rows of pixels, from above: an array whole, `Strips` so many at a time."""
    if not isinstance(pixels, Strips):
        yield pixels
        return
    for first in range(0, pixels.shape[0], height):
        yield pixels[first : first + height]
