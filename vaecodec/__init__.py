"""vaecodec: a learned image codec with a file format of its own.

    data = vaecodec.encode(image, quality=75)   # an array, a tensor, a PIL image or a file -> bytes
    array = vaecodec.decode(data)               # bytes or a file -> (H, W, C) uint8, the same on every machine

For many pictures make one `vaecodec.Codec`. After `vaecodec.register()` Pillow opens and saves .vaec files. Importing
this package loads neither torch nor NumPy, nor typing, which would take as long as all the rest.
"""

from __future__ import annotations

from vaecodec.errors import (
    CorruptFileError,
    LimitError,
    NotVaecError,
    PictureError,
    TruncatedError,
    UnsupportedError,
    VaecError,
)
from vaecodec.version import __version__

TYPE_CHECKING = False  # as that of typing: what checks types takes it for True
if TYPE_CHECKING:
    from typing import Any

    from vaecodec.api import decode, decode_batch, decode_image, encode
    from vaecodec.bitstream.info import read_info
    from vaecodec.buffers import vaec_decode, vaec_encode
    from vaecodec.codec.codec import Codec
    from vaecodec.codec.ratecontrol import Target
    from vaecodec.pictures.picture import Picture
    from vaecodec.pillow_plugin import register
    from vaecodec.tensors import decode_vaec

__all__ = [
    "Codec",
    "CorruptFileError",
    "LimitError",
    "NotVaecError",
    "Picture",
    "PictureError",
    "Target",
    "TruncatedError",
    "UnsupportedError",
    "VaecError",
    "__version__",
    "decode",
    "decode_batch",
    "decode_image",
    "decode_vaec",
    "encode",
    "read_info",
    "register",
    "vaec_decode",
    "vaec_encode",
]

_HOME = {
    "Codec": "vaecodec.codec.codec",
    "Picture": "vaecodec.pictures.picture",
    "Target": "vaecodec.codec.ratecontrol",
    "encode": "vaecodec.api",
    "decode": "vaecodec.api",
    "decode_batch": "vaecodec.api",
    "decode_image": "vaecodec.api",
    "read_info": "vaecodec.bitstream.info",
    "register": "vaecodec.pillow_plugin",
    "decode_vaec": "vaecodec.tensors",
    "vaec_decode": "vaecodec.buffers",
    "vaec_encode": "vaecodec.buffers",
}


def __getattr__(name: str) -> Any:
    """Load what needs torch or NumPy when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
