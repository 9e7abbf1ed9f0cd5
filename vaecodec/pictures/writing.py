"""`Picture` to picture files; what a format cannot hold is told in the notes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, BinaryIO

import numpy as np

from vaecodec.bitstream.cicp import name_of
from vaecodec.bitstream.container import METADATA
from vaecodec.bitstream.header import SIDE_MAX
from vaecodec.errors import PictureError
from vaecodec.pictures import PNG_LEVEL
from vaecodec.pictures.exif import orientation
from vaecodec.pictures.picture import Picture, row_chunks
from vaecodec.pictures.png import write_png


@dataclass(frozen=True)
class Output:
    """What a format can hold. Metadata: the most bytes of each kind; a kind that is not named is not held.

    plugin: the module of Pillow that writes it. options: for that.
    """

    plugin: str
    modes: tuple[str, ...]
    metadata: dict[str, int] = field(default_factory=dict)
    side_max: int = SIDE_MAX
    options: dict[str, Any] = field(default_factory=dict)


_ALL = ("L", "LA", "RGB", "RGBA")
_LONG = dict.fromkeys(("icc", "exif", "xmp"), 2**31 - 64)
_MARKER = 65533  # bytes in a JPEG marker
_JPEG = {"icc": 255 * (_MARKER - 14), "exif": _MARKER - 6, "xmp": _MARKER - 29}
_OUTPUTS = {
    "PNG": Output("Png", _ALL, {**_LONG, "cicp": 4}),
    "JPEG": Output("Jpeg", ("L", "RGB"), _JPEG, 65500, {"quality": 95, "subsampling": "4:4:4"}),
    "WEBP": Output("WebP", ("RGB", "RGBA"), _LONG, 16383, {"lossless": True, "exact": True}),
    "TIFF": Output("Tiff", _ALL, _LONG),  # uncompressed: through libtiff Pillow cannot write the EXIF directories
    "AVIF": Output("Avif", ("L", "RGB", "RGBA"), _LONG, 65536, {"quality": 90, "subsampling": "4:4:4"}),
    "JPEG2000": Output("Jpeg2K", _ALL),
    "BMP": Output("Bmp", ("L", "RGB")),
    "PPM": Output("Ppm", ("L", "RGB")),
    "TGA": Output("Tga", _ALL, side_max=65535),
    "QOI": Output("Qoi", ("RGB", "RGBA")),
    "GIF": Output("Gif", _ALL, side_max=65535),
}
_ENDINGS = {
    **{".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"},
    **{".avif": "AVIF", ".jp2": "JPEG2000", ".bmp": "BMP", ".ppm": "PPM", ".pgm": "PPM", ".pnm": "PPM"},
    **{".tga": "TGA", ".qoi": "QOI", ".gif": "GIF"},
}
_OURS = ("PNG", "PPM")  # written without Pillow


def format_of(path: str | PurePath) -> str:
    """Pillow's name of the format that the ending of a file name stands for, whatever its case.

    Raises: PictureError where there is none that can be written.
    """
    ending = PurePath(path).suffix.lower()
    name = _ENDINGS.get(ending)
    if name and _writes(name):
        return name
    what = f"{ending} files" if ending else "a file without an ending"
    raise PictureError(f"cannot write {what}; use one of {' '.join(e for e, f in _ENDINGS.items() if _writes(f))}")


def _writes(name: str) -> bool:
    """Whether a format can be written here: AVIF is not in every Pillow."""
    if name in _OURS:
        return True
    from vaecodec.pictures.to_pillow import can_save

    return can_save(name, _OUTPUTS[name].plugin)


def write_picture(picture: Picture, target: BinaryIO, format: str, png_level: int = PNG_LEVEL) -> list[str]:
    """Write a picture to a seekable stream in a format that `format_of` names.

    png_level: of zlib, 0..9, for PNG. Returns notes on what the format could not hold. Pixels are turned by the EXIF
    orientation only where the format holds no EXIF; transparency goes onto white where it holds no alpha.
    Raises: PictureError where the format cannot hold the picture at all; OSError where writing fails.
    """
    output, notes = _OUTPUTS[format], []
    if max(picture.width, picture.height) > output.side_max:
        raise PictureError(f"{format} holds at most {output.side_max} pixels in width and height")
    lost: dict[str, Any] = {}  # kinds of metadata, each None
    for kind in METADATA:
        size, limit = len(getattr(picture, kind) or b""), output.metadata.get(kind, 0)
        if size > limit:
            lost[kind] = None
            what = kind.upper() if kind != "cicp" else f"colour space ({name_of(picture.cicp or b'')})"
            notes.append(f"its {what} is {'too long for' if limit else 'not held by'} {format}")
    turn = orientation(picture.exif) if "exif" in lost else 1
    held = replace(picture, **lost)
    if format == "PNG" and turn == 1:
        write_png(held, target, png_level)
    elif format == "PPM" and turn == 1 and picture.pixels.shape[2] in (1, 3):
        _write_ppm(held, target)
    else:
        from vaecodec.pictures.to_pillow import save

        notes += save(held, target, format, output.modes, output.options, turn)
    return notes


def _write_ppm(picture: Picture, target: BinaryIO) -> None:
    """As Pillow does, but without the whole picture in memory."""
    magic = "P5" if picture.pixels.shape[2] == 1 else "P6"
    target.write(f"{magic}\n{picture.width} {picture.height}\n255\n".encode())
    for rows in row_chunks(picture.pixels):
        target.write(np.ascontiguousarray(rows).data)
