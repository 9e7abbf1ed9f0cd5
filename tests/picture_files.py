"""Picture files of many kinds."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from vaecodec.pictures.picture import Picture
from vaecodec.pictures.writing import write_picture

RGB, GREY, GREY_ALPHA, RGB_ALPHA = 3, 1, 2, 4
ORIENTATION = ExifTags.Base.Orientation


def noise(height: int, width: int, channels: int, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    high = np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(0, high, (height, width, channels), dtype)


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def written(picture: Picture, format: str) -> tuple[bytes, list[str]]:
    stream = BytesIO()
    notes = write_picture(picture, stream, format)
    return stream.getvalue(), notes


def exif_bytes(turn: int = 1, make: str = "Maker") -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    exif[ExifTags.Base.Make] = make
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ISOSpeedRatings: 200}
    return exif.tobytes().removeprefix(b"Exif\0\0")


def png(samples: np.ndarray, colour: int, depth: int = 16, chunks: bytes = b"") -> bytes:
    """A PNG of (H, W, C) samples of 8 or 16 bits, or of rows of packed bytes for fewer; Pillow cannot write these."""
    width = samples.shape[1] * (8 // depth if depth < 8 else 1)
    rows = samples.astype(">u2") if depth == 16 else samples.astype(np.uint8)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, len(samples), depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff16(samples: np.ndarray, order: str, deflate: bool) -> bytes:
    """A TIFF of (H, W, 3) uint16 in one strip, little (<) or big (>) endian."""
    height, width, channels = samples.shape
    strip = samples.astype(f"{order}u2").tobytes()
    strip = zlib.compress(strip) if deflate else strip
    ends = 8 + len(strip)
    bits_at = ends + len(strip) % 2
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, bits_at),
        (259, 4, 1, 8 if deflate else 1),
        (262, 4, 1, 2),
        (273, 4, 1, 8),
        (277, 4, 1, channels),
        (278, 4, 1, height),
        (279, 4, 1, len(strip)),
    ]
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", bits_at + 6) + strip
    out += b"\0" * (len(strip) % 2) + struct.pack(f"{order}3H", 16, 16, 16)
    out += struct.pack(f"{order}H", len(entries))
    return out + b"".join(struct.pack(f"{order}HHII", *e) for e in entries) + b"\0" * 4


def formula(samples: np.ndarray) -> np.ndarray:
    """Decision 1 of the reference design."""
    return ((samples.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8)
