"""Chunks of arrays as the bytes of files."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaecodec.api import default_codec
from vaecodec.arguments import as_number, as_whole
from vaecodec.codec.codec import Codec
from vaecodec.codec.defaults import EFFORT, EFFORTS, QUALITY
from vaecodec.errors import VaecError

LOADING = threading.Lock()


@dataclass(frozen=True)
class Coding:
    """How chunks are coded: quality 0..100 and effort 1..9, as of `vaecodec.encode`. Raises: VaecError for others."""

    quality: float = QUALITY
    effort: int = EFFORT

    def __post_init__(self) -> None:
        if not 0 <= as_number(self.quality, "quality") <= 100:
            raise VaecError(f"quality {self.quality:g} is not within 0..100")
        if as_whole(self.effort, "effort") not in EFFORTS:
            raise VaecError(f"effort {self.effort} is not one of 1..9")

    def encode(self, chunk: NDArray[Any]) -> bytes:
        """Raises: VaecError where it is no picture."""
        check_type(chunk.dtype)
        pixels = np.ascontiguousarray(chunk).reshape(picture_shape(chunk.shape))
        return codec().encode(pixels, self.quality, effort=self.effort, preview=False)


def decode(data: bytes, shape: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """The pixels of a chunk, in its shape; without one as (H, W) or (H, W, 3).

    Raises: what `vaecodec.decode` does; VaecError for a picture that does not fill the shape.
    """
    pixels = codec().decode(data).pixels
    wanted = pixels.shape if shape is None else picture_shape(shape)
    if pixels.shape != wanted:
        raise VaecError(f"the chunk is a picture of shape {pixels.shape}, not {wanted}")
    if shape is None:
        return pixels[..., 0] if pixels.shape[2] == 1 else pixels
    return pixels.reshape(shape)


def picture_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Height, width and channels, 1 or 3, of a chunk of this shape. Raises: VaecError where it is no picture."""
    coloured = len(shape) > 2 and shape[-1] in (1, 3)
    sides, channels = (shape[:-1], shape[-1]) if coloured else (shape, 1)
    if len(sides) < 2 or max(sides[:-2], default=1) > 1:
        raise VaecError(f"a chunk of vaec is (H, W) or (H, W, 3), with or without axes of 1 ahead, not {tuple(shape)}")
    return sides[-2], sides[-1], channels


def check_type(dtype: Any) -> None:
    """Raises: VaecError where an array's values are no samples."""
    if np.dtype(dtype) != np.uint8:
        raise VaecError(f"vaec codes chunks of uint8, not of {np.dtype(dtype)}")


def codec() -> Codec:
    """The model of this process, loaded once, though Zarr begins with many chunks at a time: each has one thread."""
    with LOADING:
        return default_codec().with_threads(1)
