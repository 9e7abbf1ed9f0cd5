"""Lossless WebP bitstreams (VP8L, RFC 9649 section 3), as overlays and transparency are: packed and unpacked by Pillow.

A bitstream is what the VP8L chunk of a WebP file holds, without anything around it. Pillow is imported where there is
one: most photographs have none.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray

from vaecodec.errors import CorruptFileError, UnsupportedError

RIFF_HEADER = 20  # what a WebP file has before its VP8L bitstream; the same in all of them but for two lengths
HEADER = 5  # bytes: the signature, then 14 bits of width - 1, 14 of height - 1, alpha_is_used, 3 of the version
SIGNATURE = 0x2F
ALPHA_IS_USED = 1 << 28  # of the four bytes behind the signature


def available() -> bool:
    """Whether this Pillow can read and write WebP, as all its wheels can."""
    from PIL import features

    return bool(features.check("webp"))


def pack(pixels: NDArray[np.uint8], thorough: bool) -> bytes:
    """The bitstream of pixels (h, w, 3 or 4); colours below alpha 0 become whatever codes best.

    thorough: a few per cent smaller, twenty times slower.
    """
    from PIL import Image, WebPImagePlugin  # noqa: F401 (or `save` would load all plugins)

    buffer = io.BytesIO()
    quality, method = (100, 6) if thorough else (75, 4)
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, quality=quality, method=method)
    data = buffer.getvalue()
    (length,) = struct.unpack_from("<I", data, RIFF_HEADER - 4)
    if data[8:16] != b"WEBPVP8L":  # an encoder may use the extended form
        raise RuntimeError("libwebp wrote no simple lossless file")
    return data[RIFF_HEADER : RIFF_HEADER + length]


def unpack(data: bytes | memoryview, height: int, width: int, what: str) -> NDArray[np.uint8]:
    """The pixels (height, width, 4) of a tile's bitstream, whatever it says of the use of its alpha.

    Raises: CorruptFileError, UnsupportedError, which say that it is the `what` of the tile.
    """
    if not available():
        raise UnsupportedError(f"a tile's {what} needs a Pillow with WebP")
    from vaecodec.bitstream.opening import open_picture

    if len(data) < HEADER or data[0] != SIGNATURE:
        raise CorruptFileError(f"a tile's {what} is not a lossless WebP bitstream")
    (fields,) = struct.unpack_from("<I", data, 1)
    if (fields & 0x3FFF, fields >> 14 & 0x3FFF) != (width - 1, height - 1):
        raise CorruptFileError(f"a tile's {what} has another size than the tile")
    try:
        with open_picture(io.BytesIO(as_file(data, fields | ALPHA_IS_USED)), formats=["WEBP"]) as image:
            return np.asarray(image.convert("RGBA"))
    except Exception as error:  # Pillow's plugins raise many kinds
        raise CorruptFileError(f"a tile's {what} is damaged") from error


def as_file(data: bytes | memoryview, fields: int) -> bytes:
    """A WebP file of a bitstream, with other fields behind its signature."""
    padded = b"\x2f" + struct.pack("<I", fields) + bytes(data[HEADER:]) + b"\0" * (len(data) % 2)
    riff = b"RIFF" + struct.pack("<I", len(padded) + RIFF_HEADER - 8)
    return riff + b"WEBPVP8L" + struct.pack("<I", len(data)) + padded
