"""Pictures to `Picture`: files of all formats that Pillow opens, and what callers of the library may give.

Pillow itself is imported with the first file, or by the caller of whom an image comes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaecodec.arguments import Source, as_file, as_path, is_path, is_tensor, naming
from vaecodec.bitstream.chunks import SIGNATURE
from vaecodec.bitstream.limits import MAX_PIXELS, check_size
from vaecodec.errors import LimitError, PictureError, VaecError
from vaecodec.pictures.exif import sentence
from vaecodec.pictures.picture import Picture

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

PictureLike: TypeAlias = "ArrayLike | Tensor | Image.Image | Picture | Source"  # see `as_picture`


def read_picture(
    source: Path | bytes, max_pixels: int | None, *, by_rows: bool = False, frame: int | None = None
) -> tuple[Picture, list[str]]:
    """Read a picture; its format is found from its bytes. None or 0 for `max_pixels` sets no limit.

    by_rows: the pixels of a large picture may be `Strips`, which are in memory once at most, or not at all.
    frame: which picture of an animation or a file of several pages, from 1; None: the first, with a note.

    Returns the picture and notes for the user about what was converted.
    Raises: PictureError, LimitError; OSError where the file cannot be read.
    """

    from vaecodec.bitstream.opening import open_picture
    from vaecodec.pictures import jxl
    from vaecodec.pictures.frames import take_frame
    from vaecodec.pictures.from_pillow import from_image

    def opened() -> BinaryIO:
        return BytesIO(source) if isinstance(source, bytes) else source.open("rb")

    with opened() as file:
        start = file.read(12)
        file.seek(0)
        if not start:
            raise PictureError("the file is empty")
        if start.startswith(SIGNATURE[:5]):
            raise PictureError("this is a .vaec file already")
        if jxl.is_ours(start):
            file.seek(0)
            return jxl.read_jxl(file.read(), max_pixels, frame)
        with _in_a_sentence(), open_picture(file, max_pixels) as image:
            notes = take_frame(image, frame)
            check_size(*image.size, max_pixels)
            picture, more = from_image(image, opened, by_rows)
            check_size(*image.size, max_pixels)  # of an icon it may be another one by now
            return picture, notes + more


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    """What Pillow raises, as one of our errors: its plugins raise all kinds for bad bytes."""
    try:
        yield
    except (VaecError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "DecompressionBombError":  # what that is, opening.py says
            raise LimitError(f"a part of the picture is larger than Pillow allows ({sentence(error)})") from error
        from vaecodec.bitstream.opening import is_unsupported

        if is_unsupported(error):
            raise PictureError(f"this kind of picture is not supported ({sentence(error)})") from error
        raise PictureError(f"the picture is damaged or truncated ({sentence(error)})") from error


def as_picture(image: PictureLike, max_pixels: int | None = MAX_PIXELS) -> Picture:
    """A Picture from whatever is one.

    Args:
        image: an array (H, W) or (H, W, 1..4), or a PyTorch tensor (H, W) or (1..4, H, W), on any device. Either is
            uint8; uint16, whose values become (v * 255 + 32767) // 65535; or of floats within 0..1, which become
            round(255 v). Or a PIL image with its metadata; a Picture; or a file in any format that `read_picture`
            reads, by its path, as bytes or as a file object (see `as_file`).
        max_pixels: of a file; None for no limit.

    Raises: VaecError for anything else; OSError where a file cannot be read.
    """
    if isinstance(image, Picture):
        return image
    pillow = sys.modules.get("PIL.Image")  # where it is not loaded, nobody has an image of it
    if pillow and isinstance(image, pillow.Image):
        from vaecodec.pictures.from_pillow import from_image

        with _in_a_sentence():
            return from_image(image)[0]
    if is_path(image):
        with naming(image):
            return read_picture(as_path(image), max_pixels)[0]
    if isinstance(image, (bytes, bytearray)) or hasattr(image, "read") or _is_flat_view(image):
        return read_picture(as_file(image), max_pixels)[0]
    return Picture(_in_8_bits(_array(image)))


def _is_flat_view(image: object) -> bool:
    """Whether it is bytes in a row; a memoryview may be an array of several dimensions, too."""
    return isinstance(image, memoryview) and image.ndim == 1


def _array(image: Any) -> NDArray[Any]:
    """(H, W, C), C = 1..4, of any type, from an array or a tensor. Raises: VaecError."""
    tensor = is_tensor(image)
    try:
        array = _from_torch(image) if tensor else np.asarray(image)
    except Exception as error:  # of another library's object, which may raise anything
        raise VaecError(f"{type(image).__name__} is no picture ({sentence(error)})") from error
    shape = array.shape  # as the caller knows it
    if array.ndim == 3 and tensor:
        array = np.ascontiguousarray(array.transpose(1, 2, 0))
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4 or 0 in array.shape:
        needed = "(H, W) or (1..4, H, W)" if tensor else "(H, W) or (H, W, 1..4)"
        raise VaecError(f"{type(image).__name__} of shape {shape} is no picture: {needed} is needed")
    return array


def _from_torch(tensor: Any) -> NDArray[Any]:
    """The values, in one of NumPy's types: it has no bfloat16."""
    return (tensor.float() if tensor.is_floating_point() and tensor.itemsize < 4 else tensor).numpy(force=True)


def _in_8_bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Raises: VaecError where the type is none of those that `as_picture` names."""
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return ((array.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):  # a NaN is neither
            raise VaecError("an array of floats is a picture only with values within 0..1")
        return np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise VaecError(f"an array of {array.dtype} is no picture: uint8, uint16 or floats within 0..1 are needed")
    return array
