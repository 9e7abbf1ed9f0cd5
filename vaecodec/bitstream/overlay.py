"""The overlay of a tile: exact pixels over the synthesised ones, a lossless WebP bitstream (VP8L, RFC 9649 section 3).

Pixels with alpha 255 replace what g_s makes, those with alpha 0 do not. Screens, text and drawings need it: a
transform spends many bits on a sharp edge between two colours, a palette next to none.

Pillow is imported where an overlay is: photographs have none.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaecodec.errors import CorruptFileError, UnsupportedError

RIFF_HEADER = 20  # what a WebP file has before its VP8L bitstream; the same in all of them but for two lengths
VP8L_SIGNATURE = 0x2F
OPAQUE = 255


@dataclass(frozen=True)
class Overlay:
    """The overlay of a tile, and whether it leaves nothing of the tile to the networks."""

    data: bytes
    covers: bool


def available() -> bool:
    """Whether this Pillow can read and write WebP, as all its wheels can."""
    from PIL import features

    return bool(features.check("webp"))


def pack_overlay(rgb: NDArray[np.uint8], mask: NDArray[np.bool_], *, thorough: bool = False) -> bytes:
    """The pixels of rgb (h, w, 3) where mask (h, w) is set; empty if nowhere.

    thorough: a few per cent smaller, twenty times slower.
    """
    if not mask.any():
        return b""
    from PIL import Image, WebPImagePlugin  # noqa: F401 (or `save` would load all plugins)

    # Pillow's defaults clear the colours below alpha 0 to whatever codes best.
    rgba = np.dstack((rgb, np.where(mask, OPAQUE, 0).astype(np.uint8)))
    buffer = io.BytesIO()
    quality, method = (100, 6) if thorough else (75, 4)
    Image.fromarray(rgba).save(buffer, "WEBP", lossless=True, quality=quality, method=method)
    data = buffer.getvalue()
    (length,) = struct.unpack_from("<I", data, RIFF_HEADER - 4)
    if data[8:16] != b"WEBPVP8L":  # an encoder may use the extended form
        raise RuntimeError("libwebp wrote no simple lossless file")
    return data[RIFF_HEADER : RIFF_HEADER + length]


def unpack_overlay(data: bytes | memoryview, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Colours (height, width, 3) and mask (height, width). Raises CorruptFileError, UnsupportedError."""
    if not available():
        raise UnsupportedError("the file has overlays, which need a Pillow with WebP")
    from vaecodec.bitstream.opening import open_picture

    data = bytes(data)
    if len(data) < 5 or data[0] != VP8L_SIGNATURE:
        raise CorruptFileError("a tile's overlay is not a lossless WebP bitstream")
    (fields,) = struct.unpack_from("<I", data, 1)
    if (fields & 0x3FFF, fields >> 14 & 0x3FFF) != (width - 1, height - 1):
        raise CorruptFileError("a tile's overlay has another size than the tile")
    padded = data + b"\0" * (len(data) % 2)
    riff = b"RIFF" + struct.pack("<I", len(padded) + RIFF_HEADER - 8) + b"WEBPVP8L" + struct.pack("<I", len(data))
    try:
        with open_picture(io.BytesIO(riff + padded), formats=["WEBP"]) as image:
            rgba = np.asarray(image.convert("RGBA"))
    except Exception as error:  # Pillow's plugins raise many kinds
        raise CorruptFileError("a tile's overlay is damaged") from error
    alpha = rgba[..., 3]
    if not ((alpha == 0) | (alpha == OPAQUE)).all():
        raise CorruptFileError("a tile's overlay is half transparent somewhere")
    return rgba[..., :3], alpha == OPAQUE
