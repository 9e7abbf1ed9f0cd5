"""The lossless alpha plane of a tile: PNG-filtered rows (types None, Sub, Up), then zlib."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from vaecodec.errors import CorruptFileError

NONE, SUB, UP = range(3)


def pack_alpha(plane: NDArray[np.uint8]) -> bytes:
    """zlib of the filtered rows of an (h, w) plane; each row by the filter with the smallest sum of magnitudes
    (the heuristic of the PNG specification, section 12.7)."""
    sub, up = plane.copy(), plane.copy()
    sub[:, 1:] -= plane[:, :-1]
    up[1:] -= plane[:-1]
    candidates = np.stack((plane, sub, up))
    cost = np.abs(candidates.view(np.int8).astype(np.int16)).sum(2, dtype=np.int64)
    choice = cost.argmin(0).astype(np.uint8)
    rows = candidates[choice, np.arange(len(plane))]
    return zlib.compress(np.concatenate((choice[:, None], rows), axis=1).tobytes(), 9)


def unpack_alpha(data: bytes | memoryview, height: int, width: int) -> NDArray[np.uint8]:
    """(height, width) uint8. Raises CorruptFileError unless the data inflate to exactly that many rows."""
    expected = height * (width + 1)
    inflater = zlib.decompressobj()
    try:
        # One byte more than is right shows a longer stream without inflating it.
        raw = inflater.decompress(bytes(data), expected + 1)
    except zlib.error as error:
        raise CorruptFileError("a tile's alpha section is damaged") from error
    if len(raw) != expected or not inflater.eof or inflater.unused_data:
        raise CorruptFileError("a tile's alpha section has a wrong size")
    rows = np.frombuffer(raw, np.uint8).reshape(height, width + 1)
    if rows[:, 0].max() > UP:
        raise CorruptFileError("a tile's alpha section uses an unknown filter")
    out = rows[:, 1:].copy()
    for i, kind in enumerate(rows[:, 0]):
        if kind == SUB:
            np.cumsum(out[i], out=out[i], dtype=np.uint8)
        elif kind == UP and i:
            out[i] += out[i - 1]
    return out
