"""PNG files, written by rows: no more than some rows need to be in memory, and Pillow does not."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vaecodec.core import png_filters
from vaecodec.pictures import PNG_LEVEL
from vaecodec.pictures.exif import density
from vaecodec.pictures.picture import Picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = (0, 0, 4, 2, 6)  # PNG's colour type by number of channels
XMP = b"XML:com.adobe.xmp"
STEP = 2**18  # bytes of rows that are filtered at a time, which stay in a processor's cache
METRE = 100 / 2.54  # inches


def write_png(picture: Picture, target: BinaryIO, level: int = PNG_LEVEL) -> None:
    """Write a picture with all its metadata. The pixels may be `Strips`: they are read once, from above.

    level: of zlib, 0..9. Raises: OSError where writing fails.
    """
    height, width, channels = picture.pixels.shape
    target.write(SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, COLOURS[channels], 0, 0, 0)))
    if picture.cicp:
        target.write(chunk(b"cICP", picture.cicp))
    if picture.icc:
        target.write(chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.icc)))
    if dpi := density(picture.exif):  # many programs look at the file's own field alone
        target.write(chunk(b"pHYs", struct.pack(">IIB", *(round(each * METRE) for each in dpi), 1)))
    if picture.exif:
        target.write(chunk(b"eXIf", picture.exif))
    if picture.xmp:
        target.write(chunk(b"iTXt", XMP + bytes(5) + picture.xmp))
    packer, above = zlib.compressobj(level, memLevel=9), np.zeros(width * channels, np.uint8)
    rows = max(1, STEP // len(above))
    for first in range(0, height, rows):
        part = as_rows(picture.pixels[first : first + rows])
        data = packer.compress(png_filters.filter_rows(part, channels, above).data)
        if data:
            target.write(chunk(b"IDAT", data))
        above = part[-1].copy()
    target.write(chunk(b"IDAT", packer.flush()) + chunk(b"IEND", b""))


def as_rows(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels (n, W, C) as rows of bytes, in one piece."""
    return np.ascontiguousarray(pixels).reshape(len(pixels), -1)


def chunk(kind: bytes, data: bytes) -> bytes:
    """With its length ahead and its checksum behind it."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
