"""The functions of the package: arrays or PIL images to bytes and back, with a model that stays loaded."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaecodec.arguments import BytesLike, as_bytes, as_whole
from vaecodec.bitstream.info import Info, read_info
from vaecodec.bitstream.limits import MAX_PIXELS
from vaecodec.codec.codec import Codec
from vaecodec.codec.defaults import EFFORT, QUALITY
from vaecodec.codec.ratecontrol import Target
from vaecodec.errors import VaecError
from vaecodec.pictures.metadata import replaced
from vaecodec.pictures.picture import Picture
from vaecodec.pictures.reading import as_picture

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Info", "decode", "decode_batch", "encode", "read_info"]


@lru_cache(maxsize=1)
def default_codec() -> Codec:
    """The package's model, loaded once."""
    return Codec()


def encode(
    image: ArrayLike | Image.Image | Picture,
    /,
    quality: float | None = None,
    *,
    target_size: float | None = None,
    target_bpp: float | None = None,
    target_psnr: float | None = None,
    target_ssimulacra2: float | None = None,
    effort: int = EFFORT,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    tile: int | None = None,
    preview: bool | None = None,
    progressive: bool = False,
) -> bytes:
    """Code a picture into the bytes of a `.vaec` file.

    Args:
        image: (H, W) or (H, W, C) uint8 or uint16 array, C = 1 grey, 2 grey+alpha, 3 RGB, 4 RGB+alpha;
            or a PIL image, whose ICC profile, EXIF and XMP are kept.
        quality: 0..100, in steps of 0.1; 75 by default. 100 is the best lossy quality, not lossless.
        target_size, target_bpp, target_psnr, target_ssimulacra2: instead of a quality, what the file must reach:
            bytes or bits per pixel that it never exceeds, dB or a score that it reaches. Takes several trials.
        effort: 1..9, higher is slower and better for its size; decoding takes the same time.
        icc_profile, exif, xmp: metadata to store instead of the image's own; b"" removes it.
        tile: side of the tiles in pixels, a multiple of 64 up to 1024.
        preview: whether a small picture goes ahead of it, by default with large ones.
        progressive: whether the first part of the file shows the whole picture, without its details.

    Raises: VaecError where an argument is not usable, or no quality reaches the target.
    """
    targets = {"size": target_size, "bpp": target_bpp, "psnr": target_psnr, "ssimulacra2": target_ssimulacra2}
    wanted = {name: value for name, value in targets.items() if value is not None}
    if quality is not None and wanted:
        raise VaecError("quality and a target exclude each other")
    target = Target(**wanted) if wanted else None
    given = {"icc": icc_profile, "exif": exif, "xmp": xmp}
    metadata = {name: None if data is None else as_bytes(data, name) for name, data in given.items()}
    picture, codec = replaced(as_picture(image), metadata), default_codec()
    how: dict[str, Any] = {"effort": effort, "tile": tile, "preview": preview, "progressive": progressive}
    if target:
        return codec.encode_to(picture, target, **how).data
    return codec.encode(picture, QUALITY if quality is None else quality, **how)


def decode(
    data: BytesLike,
    /,
    *,
    region: tuple[int, int, int, int] | None = None,
    scale: int = 1,
    max_size: int | None = None,
    max_pixels: int | None = MAX_PIXELS,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Decode the bytes of a `.vaec` file: (H, W, C) uint8, the same pixels on every machine.

    Args:
        region: (left, top, width, height) of the part that is wanted, equal to the crop of the whole.
        scale: 2, 4 or 8 for a picture of 1/2, 1/4 or 1/8 of the size, with a fraction of the work.
        max_size: of the longer side; larger pictures are made smaller in proportion.
        max_pixels: refuse to make larger pictures, or ones that are far more work; None for no limit.
        out: an array of the whole picture's shape to write into.

    Raises: NotVaecError, TruncatedError, CorruptFileError, UnsupportedError, LimitError; VaecError where more than
        one of region, scale, max_size and out is given, or one is out of range.
    """
    scale = as_whole(scale, "scale")
    if (region is not None) + (scale != 1) + (max_size is not None) + (out is not None) > 1:
        raise VaecError("region, scale, max_size and out exclude each other")
    codec = default_codec()
    if region is not None:
        return codec.decode_region(data, region, max_pixels=max_pixels).pixels
    if scale != 1:
        return codec.decode_scaled(data, scale, max_pixels=max_pixels).pixels
    if max_size is not None:
        return codec.decode_within(data, max_size, max_pixels=max_pixels).pixels
    return codec.decode(data, max_pixels=max_pixels, out=out).pixels


def decode_batch(files: Iterable[BytesLike], /, *, max_pixels: int | None = MAX_PIXELS) -> list[NDArray[np.uint8]]:
    """Decode several files in turn, with the model loaded once. Raises: as `decode`, with the first that fails."""
    if not isinstance(files, Iterable):
        raise VaecError(f"a batch is a list of files, each as bytes, not {type(files).__name__}")
    return [decode(data, max_pixels=max_pixels) for data in files]
