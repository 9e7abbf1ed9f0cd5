"""The picture between files and codec, and what reading and writing share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaecodec.container import SIDE_MAX
from vaecodec.errors import PictureError


@dataclass
class Picture:
    """An 8-bit picture and its metadata, as stored in a file.

    pixels: (H, W, C) uint8 with C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha (not premultiplied).
    icc, exif, xmp: the bytes as the source file held them; `exif` starts at its TIFF header, without JPEG's
    "Exif" identifier. An EXIF orientation is not applied to the pixels.

    Raises: PictureError where `pixels` has another shape or type.
    """

    pixels: NDArray[np.uint8]
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if dtype != np.uint8 or len(shape) != 3 or not 1 <= shape[2] <= 4:
            raise PictureError(f"pixels must be uint8 of shape (H, W, 1..4), not {dtype} of shape {shape}")
        if not (1 <= shape[0] <= SIDE_MAX and 1 <= shape[1] <= SIDE_MAX):
            raise PictureError(f"a picture of {shape[1]} x {shape[0]} pixels has no place in the format")

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])
