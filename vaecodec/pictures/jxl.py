"""JPEG XL by imagecodecs, where Pillow has no plugin for it. It gives the pixels; the rest is looked up here."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.limits import check_size
from vaecodec.bitstream.opening import JXL_CODESTREAM, other_format
from vaecodec.errors import PictureError
from vaecodec.pictures.colour import boxes
from vaecodec.pictures.exif import turned_upright
from vaecodec.pictures.frames import chosen
from vaecodec.pictures.picture import Picture

RATIOS = ((1, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # of width to height; the first is unused
WIDE = (9, 13, 18, 30)  # bits of a side
NO_PROFILE = "imagecodecs gives no colour profile of JPEG XL: its colours are taken for sRGB"
COMPRESSED = "its compressed metadata is not kept"


def is_ours(start: bytes) -> bool:
    """Whether a file that begins so is read here."""
    other = other_format(start)
    if other is None or other[1] != "pillow_jxl":
        return False
    return find_spec("pillow_jxl") is None and find_spec("imagecodecs") is not None


def read_jxl(data: bytes, max_pixels: int | None, frame: int | None) -> tuple[Picture, list[str]]:
    """A Picture and notes: see `read_picture`. The decoder turns it upright. Raises: PictureError, LimitError."""
    try:
        check_size(*size_of(codestream(data)), max_pixels)
        imagecodecs: Any = import_module("imagecodecs")
        samples = imagecodecs.jpegxl_decode(data)
    except (RuntimeError, IndexError) as error:  # imagecodecs' own is of the first kind
        raise PictureError(f"the picture is damaged or truncated ({error})") from error
    frames = samples[None] if samples.ndim == 2 or (samples.ndim == 3 and samples.shape[2] <= 4) else samples
    number, notes = chosen(len(frames), frame)
    pixels, more = as_8_bit(frames[number])
    exif, xmp = next(boxes(data, b"Exif"), b""), next(boxes(data, b"xml "), None)
    exif = exif[4 + int.from_bytes(exif[:4], "big") :]
    if next(boxes(data, b"brob"), None) is not None:
        more.append(COMPRESSED)
    return Picture(pixels, exif=turned_upright(exif) or None, xmp=xmp or None), [*notes, *more, NO_PROFILE]


def as_8_bit(samples: NDArray[Any]) -> tuple[NDArray[np.uint8], list[str]]:
    """(H, W, C) of (H, W) or (H, W, C) uint8 or uint16, and notes. Raises: PictureError for floats."""
    samples = samples if samples.ndim == 3 else samples[:, :, None]
    if samples.dtype == np.uint8:
        return samples, []
    if samples.dtype != np.uint16:
        raise PictureError("floating-point pictures are not supported; convert it to 8-bit RGB first")
    reduced = ((samples.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return reduced, ["samples of more than 8 bits are reduced to 8"]


def codestream(data: bytes) -> bytes:
    """The beginning of what is coded, within its boxes or without."""
    if data.startswith(JXL_CODESTREAM):
        return data[:32]
    return next(boxes(data, b"jxlc"), b"")[:32] or next(boxes(data, b"jxlp"), b"")[4:36]


def size_of(stream: bytes) -> tuple[int, int]:
    """Width and height. Raises: IndexError where the stream is too short for that."""
    value, at = int.from_bytes(stream[2:32], "little"), 0

    def bits(count: int) -> int:
        nonlocal at
        at += count
        if at > 8 * (len(stream) - 2):
            raise IndexError("it ends in its header")
        return value >> at - count & (1 << count) - 1

    def side(small: int) -> int:
        return 8 * (bits(5) + 1) if small else bits(WIDE[bits(2)]) + 1

    small = bits(1)
    height, ratio = side(small), bits(3)
    across, down = RATIOS[ratio]
    return (height * across // down if ratio else side(small)), height
