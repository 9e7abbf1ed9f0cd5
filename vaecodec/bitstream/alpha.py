"""The lossless alpha plane of a tile: the green samples of a lossless WebP bitstream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream import vp8l

GREEN = 1


def pack_alpha(plane: NDArray[np.uint8], *, thorough: bool = False) -> bytes:
    """An (h, w) plane, as grey. thorough: see `vp8l.pack`."""
    return vp8l.pack(np.repeat(plane[..., None], 3, axis=2), thorough)


def unpack_alpha(data: bytes | memoryview, height: int, width: int) -> NDArray[np.uint8]:
    """(height, width) uint8. Raises CorruptFileError, UnsupportedError."""
    return vp8l.unpack(data, height, width, "transparency")[..., GREEN]
