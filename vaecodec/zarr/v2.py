"""The codec of numcodecs, for arrays in Zarr's format 2 and all else that takes such codecs."""
# ruff: noqa: E402 (below what says that it is not installed)

from __future__ import annotations

from typing import Any

import numpy as np

from vaecodec.arguments import as_bytes
from vaecodec.codec.defaults import EFFORT, QUALITY
from vaecodec.errors import VaecError
from vaecodec.extras import need
from vaecodec.zarr import chunks

need("numcodecs", "vaecodec.zarr.v2")
from numcodecs.abc import Codec
from numcodecs.compat import ndarray_copy


class Vaec(Codec):  # type: ignore[misc]  # which has no types
    """Lossy, for chunks that are pictures: uint8 (H, W) or (H, W, 3), with or without axes of 1 ahead.

    Args: quality: 0..100. effort: 1..9. Raises: VaecError for others, and for other chunks.
    """

    codec_id = "vaec"

    def __init__(self, quality: float = QUALITY, effort: int = EFFORT) -> None:
        self._coding = chunks.Coding(quality, effort)
        self.quality, self.effort = quality, effort

    def encode(self, buf: Any) -> bytes:
        """A chunk, as an array in its shape, to the bytes of a file."""
        chunk = np.asarray(buf)
        if not chunk.flags.c_contiguous:  # who decodes takes the pixels in the order of rows
            raise VaecError("vaec codes chunks in the order C, not F")
        return self._coding.encode(chunk)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """The pixels, (H, W) or (H, W, 3) uint8; in `out`, where that is given: an array of as many values."""
        return ndarray_copy(chunks.decode(as_bytes(buf)), out)
