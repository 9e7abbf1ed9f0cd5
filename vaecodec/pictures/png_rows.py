"""PNG files, read by rows: plain ones of 8 bits, so that a large picture need not be in memory.

What stands in a file besides its pixels Pillow reads, from a small file of the same chunks: see `survey`.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vaecodec.core import png_filters
from vaecodec.errors import PictureError
from vaecodec.pictures.png import SIGNATURE, chunk

HEADER = ">IIBBBBB"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples of a pixel by PNG's colour type; 3: the number of a colour
STEP = 2**23  # bytes of rows between two bookmarks
PIECE = 2**14  # bytes of the file that are read at a time
OTHERS_MAX = 2**26  # bytes of chunks without pixels in a file that is read here
ANIMATED = (b"acTL", b"fcTL", b"fdAT")
NUMBERS = 256  # of a sample


@dataclass(frozen=True)
class Survey:
    """What a look through a file's chunks finds.

    start: where the first chunk of pixels lies. small: a file with the same chunks, but for the pixels, of which there
    are 256 in a row: where a pixel is one sample, those of all its values in order, else zeros.
    """

    height: int
    width: int
    channels: int
    start: int
    small: bytes


def survey(file: BinaryIO) -> Survey | None:
    """Look through a file. None where it is not one that is read here: it may still be one for Pillow.

    Raises: OSError.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(len(SIGNATURE) + 8 + 13 + 4)
    if len(head) < len(SIGNATURE) + 25 or head[:16] != SIGNATURE + b"\0\0\0\rIHDR":
        return None
    width, height, depth, colour, *methods = struct.unpack_from(HEADER, head, 16)
    if not (width and height) or depth != 8 or colour not in CHANNELS or any(methods):
        return None
    samples = bytes(range(NUMBERS)) if CHANNELS[colour] == 1 else bytes(NUMBERS * CHANNELS[colour])
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + samples))
    small = bytearray(SIGNATURE + chunk(b"IHDR", struct.pack(HEADER, NUMBERS, 1, depth, colour, *methods)))
    start, at = 0, len(head)
    while at + 12 <= size and len(small) < OTHERS_MAX:
        file.seek(at)
        before = file.read(8)
        (length,), kind = struct.unpack(">I", before[:4]), before[4:]
        if kind in ANIMATED:
            return None
        if kind == b"IDAT":
            small += b"" if start else pixels
            start = start or at
        else:
            small += before + file.read(min(length + 4, OTHERS_MAX))
        if kind == b"IEND":
            break
        at += 12 + length
    return Survey(height, width, CHANNELS[colour], start, bytes(small)) if start and len(small) < OTHERS_MAX else None


@dataclass(frozen=True)
class Bookmark:
    """Where a row begins. at, left: in the file, and how much of a chunk of pixels is left there. inflater: as it is
    there, with what it was given and has not taken yet. above: the row before."""

    at: int
    left: int
    inflater: Any
    above: NDArray[np.uint8]


class Rows:
    """The rows of a PNG file, (n, W, C) of its samples as they are, from any row on.

    A stream of zlib is read from its beginning. So a bookmark is kept every few rows, and reading begins at the last
    one before the rows that are wanted.
    """

    def __init__(self, opened: Callable[[], BinaryIO], found: Survey) -> None:
        self.opened, self.shape = opened, (found.height, found.width, found.channels)
        self.size = found.width * found.channels
        self.step = max(1, STEP // (1 + self.size))
        self.marks = [Bookmark(found.start, 0, zlib.decompressobj(), np.zeros(self.size, np.uint8))]
        self.held, self.rows = -1, np.empty((0, self.size), np.uint8)  # the step that was read last

    def fetch(self, first: int, last: int) -> NDArray[np.uint8]:
        """Raises: PictureError where the file is damaged; OSError."""
        out = np.empty((last - first, self.size), np.uint8)
        begin = first // self.step
        for number in range(min(begin, len(self.marks) - 1), -(-last // self.step)):
            if number != self.held:
                self.rows, self.held = self.rows[:0].copy(), -1  # not the old rows besides the new ones
                self.rows, self.held = self.read(number), number
            top = number * self.step
            low, high = max(first, top), min(last, top + len(self.rows))
            if low < high:
                out[low - first : high - first] = self.rows[low - top : high - top]
        return out.reshape(-1, *self.shape[1:])

    def read(self, number: int) -> NDArray[np.uint8]:
        """The rows (n, size) behind a bookmark, at the end of which there is the next one."""
        mark = self.marks[number]
        count = min(self.step, self.shape[0] - number * self.step)
        inflater, filtered = mark.inflater.copy(), np.empty(count * (1 + self.size), np.uint8)
        with self.opened() as file:
            try:
                at, left = inflate(file, mark.at, mark.left, inflater, filtered)
                rows = png_filters.unfilter(filtered.reshape(count, -1), self.shape[2], mark.above)
            except (zlib.error, ValueError) as error:
                raise PictureError(f"the picture is damaged or truncated ({error})") from error
        if number + 1 == len(self.marks):
            self.marks.append(Bookmark(at, left, inflater, rows[-1].copy()))
        return rows


def inflate(file: BinaryIO, at: int, left: int, inflater: Any, out: NDArray[np.uint8]) -> tuple[int, int]:
    """Fill an array from chunks of pixels. at, left, inflater: see `Bookmark`; the inflater moves on.

    Returns: at and left behind what it was given. Raises: zlib.error; ValueError where the pixels end before.
    """
    file.seek(at)
    data, done = inflater.unconsumed_tail, 0
    while done < len(out):
        if not data:
            data, left = piece(file, left)
        part = inflater.decompress(data, len(out) - done)
        if not part and (inflater.eof or not data):
            raise ValueError("its pixels end too early")
        out[done : done + len(part)] = np.frombuffer(part, np.uint8)
        data, done = inflater.unconsumed_tail, done + len(part)
    return file.tell(), left


def piece(file: BinaryIO, left: int) -> tuple[bytes, int]:
    """Some bytes of the chunks of pixels, and how many are left in the last chunk; no bytes where the chunks end."""
    while not left:
        head = file.read(8)
        if head[4:] != b"IDAT":
            return b"", 0
        left = int.from_bytes(head[:4], "big")
        if not left:
            file.seek(4, os.SEEK_CUR)  # over its checksum
    data = file.read(min(left, PIECE))
    if len(data) == left:
        file.seek(4, os.SEEK_CUR)
    return data, left - len(data)
