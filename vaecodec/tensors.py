"""Pictures as PyTorch's tensors, in the shape of torchcodec's and torchvision's decoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vaecodec.api import decode_image
from vaecodec.arguments import Source, shown
from vaecodec.bitstream.limits import MAX_PIXELS
from vaecodec.errors import VaecError
from vaecodec.extras import need_torch

if TYPE_CHECKING:
    from torch import Tensor

MODES = {"UNCHANGED": "", "GRAY": "L", "GRAY_ALPHA": "LA", "RGB": "RGB", "RGB_ALPHA": "RGBA"}  # as Pillow has them
ALIASES = {"RGBA": "RGB_ALPHA"}


def decode_vaec(
    source: Source,
    *,
    mode: str = "RGB",
    upright: bool = False,
    scale: int = 1,
    max_size: int | None = None,
    max_pixels: int | None = MAX_PIXELS,
) -> Tensor:
    """Decode a `.vaec` file to a uint8 tensor (C, H, W), as torchcodec's decoders do for other formats.

    Args:
        source: the file's path, its bytes (or a uint8 tensor (N,) of them), or a file object.
        mode: GRAY (C = 1), GRAY_ALPHA (2), RGB (3), RGB_ALPHA (4), or UNCHANGED for what the file has; in any case of
            letters, or a member of torchvision's `ImageReadMode`. Alpha is dropped, or 255 where there is none.
        upright: turn it as its EXIF says.
        scale, max_size, max_pixels: as of `decode`.

    Raises: as `decode`; VaecError for another mode, and where there is no PyTorch.
    """
    need_torch("decode_vaec")
    known = as_mode(mode)
    picture = decode_image(source, upright=upright, scale=scale, max_size=max_size, max_pixels=max_pixels)
    return as_tensor(picture.pixels, known)


def as_mode(mode: object) -> str:
    """A name in MODES. Raises: VaecError."""
    name = getattr(mode, "name", mode)  # of a member of an enumeration
    found = ALIASES.get(name.upper(), name.upper()) if isinstance(name, str) else ""
    if found not in MODES:
        raise VaecError(f"mode {shown(mode)} is not one of {', '.join(MODES)}")
    return found


def as_tensor(pixels: NDArray[np.uint8], mode: str = "UNCHANGED") -> Tensor:
    """(C, H, W) of pixels (H, W, C), in one of MODES: the grey of colours is Pillow's, by ITU-R 601."""
    import torch

    channels = len(MODES[mode]) or pixels.shape[2]
    if channels != pixels.shape[2]:
        from PIL import Image

        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert(MODES[mode])
        pixels = np.asarray(image).reshape(*pixels.shape[:2], channels)
    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))
