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


def inks_profile() -> bytes:
    """A profile of inks: a table of two points an ink, to Lab, as simple as the format allows."""
    grid = np.array(np.meshgrid(*[[0, 1]] * 4, indexing="ij")).reshape(4, -1).T
    lab = [(int(65280 * (1 - 0.2 * c - 0.2 * m - 0.1 * y) * (1 - 0.9 * k)), 32768 + 4000 * (m - c), 32768 + 9000 * y)
           for c, m, y, k in grid.tolist()]  # fmt: skip
    head = struct.pack(">4s4x4B9i2H", b"mft2", 4, 3, 2, 0, 65536, 0, 0, 0, 65536, 0, 0, 0, 65536, 2, 2)
    table = head + struct.pack(">8H", *[0, 65535] * 4)
    table += b"".join(struct.pack(">3H", *values) for values in lab) + struct.pack(">6H", *[0, 65535] * 3)
    text = struct.pack(">4s4xI", b"desc", 5) + b"inks\0" + bytes(80)
    white = struct.pack(">4s4x3i", b"XYZ ", 63190, 65536, 54061)
    parts, tags, body, at = [(b"A2B0", table), (b"desc", text), (b"wtpt", white)], b"", b"", 128 + 4 + 12 * 3
    for name, data in parts:
        tags += struct.pack(">4sII", name, at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    start = struct.pack(">I4sI4s4s4s12x4s", at + len(body), b"", 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp")
    return (
        start.ljust(68, b"\0")
        + struct.pack(">3i", 63190, 65536, 54061).ljust(60, b"\0")
        + struct.pack(">I", 3)
        + tags
        + body
    )
