"""The pair of functions that programs expect of imagecodecs: arrays to bytes and back, into memory that is there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaecodec.api import default_codec
from vaecodec.arguments import BytesLike, as_whole, refuse_lossless
from vaecodec.codec.codec import Codec
from vaecodec.codec.defaults import EFFORT, QUALITY
from vaecodec.errors import VaecError
from vaecodec.pictures.reading import PictureLike


def vaec_encode(
    data: PictureLike,
    /,
    level: float | None = None,
    *,
    effort: int | None = None,
    lossless: bool | None = None,
    numthreads: int | None = None,
    out: int | bytearray | memoryview | None = None,
) -> bytes | memoryview:
    """Code an array (H, W) or (H, W, C), or what else `encode` takes, as imagecodecs' encoders do.

    Args:
        level: the quality, 0..100; 75 by default. Others are refused, not clipped.
        effort: 1..9; 3 by default. numthreads: how many there may be; by default as many as there are processors.
        lossless: must be left out or false.
        out: memory to write into; a number, of bytes to expect, changes nothing.

    Returns: the file's bytes; those of `out` that it takes, where that is given.
    Raises: as `encode`; VaecError where `out` is too short or cannot be written into.
    """
    refuse_lossless(lossless)
    file = _codec(numthreads).encode(
        data, QUALITY if level is None else level, effort=EFFORT if effort is None else effort
    )
    if out is None or isinstance(out, int):
        return file
    view = memoryview(out)
    if view.readonly or not view.contiguous or view.nbytes < len(file):
        raise VaecError(f"out must be {len(file)} bytes or more that can be written into")
    view = view.cast("B")[: len(file)]
    view[:] = file
    return view


def vaec_decode(
    data: BytesLike, /, *, numthreads: int | None = None, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Decode a `.vaec` file as imagecodecs' decoders do: (H, W) uint8 for grey, (H, W, C) for all others.

    Args: out: an array of that shape to write into, of any strides; it is returned.
    Raises: as `decode`.
    """
    planes = out[..., None] if isinstance(out, np.ndarray) and out.ndim == 2 else out
    pixels = _codec(numthreads).decode(data, out=planes).pixels
    if out is not None:
        return out
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _codec(threads: int | None) -> Codec:
    """The package's model, with so many threads; 0, as in imagecodecs, is the same as None."""
    count = 0 if threads is None else as_whole(threads, "numthreads")
    if count < 0:
        raise VaecError(f"{count} threads cannot code anything")
    return default_codec().with_threads(count) if count else default_codec()
