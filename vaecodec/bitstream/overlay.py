"""The overlay of a tile: exact pixels over the synthesised ones, a lossless WebP bitstream.

Pixels with alpha 255 replace what g_s makes, those with alpha 0 do not. Screens, text and drawings need it: a
transform spends many bits on a sharp edge between two colours, a palette next to none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream import vp8l
from vaecodec.errors import CorruptFileError

OPAQUE = 255


@dataclass(frozen=True)
class Overlay:
    """The overlay of a tile, and whether it leaves nothing of the tile to the networks."""

    data: bytes
    covers: bool


def pack_overlay(rgb: NDArray[np.uint8], mask: NDArray[np.bool_], *, thorough: bool = False) -> bytes:
    """The pixels of rgb (h, w, 3) where mask (h, w) is set; empty if nowhere. thorough: see `vp8l.pack`."""
    if not mask.any():
        return b""
    return vp8l.pack(np.dstack((rgb, np.where(mask, OPAQUE, 0).astype(np.uint8))), thorough)


def unpack_overlay(data: bytes | memoryview, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Colours (height, width, 3) and mask (height, width). Raises CorruptFileError, UnsupportedError."""
    rgba = vp8l.unpack(data, height, width, "overlay")
    alpha = rgba[..., 3]
    if not ((alpha == 0) | (alpha == OPAQUE)).all():
        raise CorruptFileError("a tile's overlay is half transparent somewhere")
    return rgba[..., :3], alpha == OPAQUE
