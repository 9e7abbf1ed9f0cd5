"""The functions of the package: pictures to the bytes of files and back, with a model that stays loaded."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaecodec.arguments import BytesLike, Source, as_bytes, as_file, as_limit, as_whole, is_path, naming
from vaecodec.bitstream.info import Info, read_info
from vaecodec.bitstream.limits import MAX_PIXELS
from vaecodec.codec.codec import Codec
from vaecodec.codec.defaults import EFFORT, QUALITY
from vaecodec.codec.ratecontrol import Target
from vaecodec.codec.team import available
from vaecodec.errors import VaecError
from vaecodec.pictures.metadata import replaced
from vaecodec.pictures.picture import Picture
from vaecodec.pictures.reading import PictureLike, as_picture

__all__ = ["Info", "decode", "decode_batch", "decode_image", "encode", "read_info"]


@lru_cache(maxsize=1)
def default_codec() -> Codec:
    """The package's model, loaded once."""
    return Codec()


def encode(
    image: PictureLike,
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
    tune: str | None = None,
    max_pixels: int | None = MAX_PIXELS,
) -> bytes:
    """Code a picture into the bytes of a `.vaec` file.

    Args:
        image: an array (H, W) or (H, W, C), or a PyTorch tensor (H, W) or (C, H, W), C = 1 grey, 2 grey+alpha, 3 RGB,
            4 RGB+alpha, of uint8, uint16 or floats within 0..1; a PIL image or a `Picture`; or the path, the bytes or
            the file object of a picture in any format that Pillow reads. A text is a path. A file object is read from
            where it stands, and not closed. The ICC profile, EXIF and XMP are kept where there are any.
        quality: 0..100, in steps of 0.1; 75 by default. 100 is the best lossy quality, not lossless.
        target_size, target_bpp, target_psnr, target_ssimulacra2: instead of a quality, what the file must reach:
            bytes or bits per pixel that it never exceeds, dB or a score that it reaches. Takes several trials.
        effort: 1..9, higher is slower and better for its size; decoding takes the same time.
        icc_profile, exif, xmp: metadata to store instead of the image's own; b"" removes it.
        tile: side of the tiles in pixels, a multiple of 64 up to 1024.
        preview: whether a small picture goes ahead of it, by default with large ones.
        progressive: whether the first part of the file shows the whole picture, without its details.
        tune: what is best for the size: "ssim", which is near to what the eye sees, or "psnr". By default "ssim", and
            "psnr" with target_psnr.
        max_pixels: refuse a larger file; None for no limit.

    Raises: VaecError where an argument is not usable, or no quality reaches the target; PictureError and LimitError for
        a file; OSError where that cannot be read.
    """
    targets = {"size": target_size, "bpp": target_bpp, "psnr": target_psnr, "ssimulacra2": target_ssimulacra2}
    wanted = {name: value for name, value in targets.items() if value is not None}
    if quality is not None and wanted:
        raise VaecError("quality and a target exclude each other")
    target = Target(**wanted) if wanted else None
    given = {"icc": icc_profile, "exif": exif, "xmp": xmp}
    metadata = {name: None if data is None else as_bytes(data, name) for name, data in given.items()}
    picture, codec = replaced(as_picture(image, as_limit(max_pixels, "max_pixels")), metadata), default_codec()
    how: dict[str, Any] = {"effort": effort, "tile": tile, "preview": preview, "progressive": progressive}
    how["tune"] = tune
    if target:
        return codec.encode_to(picture, target, **how).data
    return codec.encode(picture, QUALITY if quality is None else quality, **how)


def decode(
    data: Source,
    /,
    *,
    region: tuple[int, int, int, int] | None = None,
    scale: int = 1,
    max_size: int | None = None,
    max_pixels: int | None = MAX_PIXELS,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Decode a `.vaec` file: (H, W, C) uint8 as they are stored, the same pixels on every machine.

    Args:
        data: the file's bytes (or a uint8 tensor (N,) of them), its path, or a file object, which is read from where it
            stands and not closed. A text is a path.
        region: (left, top, width, height) of the part that is wanted, equal to the crop of the whole.
        scale: 2, 4 or 8 for a picture of 1/2, 1/4 or 1/8 of the size, with a fraction of the work.
        max_size: of the longer side; larger pictures are made smaller in proportion.
        max_pixels: refuse to make larger pictures, or ones that are far more work; None for no limit.
        out: an array of the whole picture's shape to write into.

    Raises: NotVaecError, TruncatedError, CorruptFileError, UnsupportedError, LimitError; VaecError where more than
        one of region, scale, max_size and out is given, or one is out of range; OSError where the file cannot be read.
    """
    return decoded(default_codec(), data, region, scale, max_size, max_pixels, out).pixels


def decode_image(
    data: Source,
    /,
    *,
    upright: bool = False,
    region: tuple[int, int, int, int] | None = None,
    scale: int = 1,
    max_size: int | None = None,
    max_pixels: int | None = MAX_PIXELS,
) -> Picture:
    """Decode a `.vaec` file to a `Picture`: its pixels, ICC profile, EXIF, XMP, cICP and orientation.

    Args:
        upright: turn the pixels as the EXIF orientation says, which is 1 then. A region is counted before that.
        data, region, scale, max_size, max_pixels: as of `decode`.

    Raises: as `decode`.
    """
    picture = decoded(default_codec(), data, region, scale, max_size, max_pixels)
    return picture.upright() if upright else picture


def decode_batch(
    files: Iterable[Source],
    /,
    *,
    scale: int = 1,
    max_size: int | None = None,
    max_pixels: int | None = MAX_PIXELS,
    threads: int | None = None,
) -> list[NDArray[np.uint8]]:
    """Decode several files at the same time, each as `decode` does; the arrays are in the order of the files.

    Args:
        scale, max_size, max_pixels: as of `decode`.
        threads: how many files are decoded at a time, by default as many as the process has processors.

    Raises: as `decode`, with the first file that fails.
    """
    if is_path(files) or isinstance(files, BytesLike) or hasattr(files, "read") or not isinstance(files, Iterable):
        raise VaecError(f"a batch is a list of files (paths, bytes or file objects), not {type(files).__name__}")
    sources, codec = list(files), default_codec()
    if threads is not None and as_whole(threads, "threads") < 1:
        raise VaecError(f"{threads} threads cannot decode anything")
    count = max(1, min(len(sources), as_whole(threads, "threads") if threads else available()))
    alone = codec.with_threads(max(1, codec.threads // count))
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda data: decoded(alone, data, None, scale, max_size, max_pixels).pixels, sources))


def decoded(
    codec: Codec,
    data: Source,
    region: tuple[int, int, int, int] | None = None,
    scale: int = 1,
    max_size: int | None = None,
    max_pixels: int | None = MAX_PIXELS,
    out: NDArray[np.uint8] | None = None,
) -> Picture:
    """What `decode` and its like have in common: by this codec."""
    scale = as_whole(scale, "scale")
    if (region is not None) + (scale != 1) + (max_size is not None) + (out is not None) > 1:
        raise VaecError("region, scale, max_size and out exclude each other")
    if region is not None:
        return codec.decode_region(data, region, max_pixels=max_pixels)
    with naming(data):
        file = as_file(data)
        if scale != 1:
            return codec.decode_scaled(file, scale, max_pixels=max_pixels)
        if max_size is not None:
            return codec.decode_within(file, max_size, max_pixels=max_pixels)
        return codec.decode(file, max_pixels=max_pixels, out=out)
