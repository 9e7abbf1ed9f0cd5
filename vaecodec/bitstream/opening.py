"""Pillow's plugins under a limit of our own.

`Image.open` holds a picture against `Image.MAX_IMAGE_PIXELS`, which belongs to the whole process, and
may warn. `open_picture` asks the same plugins without that, checks the limit that it is given, and
touches nothing that others see.

Most plugins read headers while they open a file, and make room for pixels while they load them, so
that a check in between comes first. The others, in Pillow 11.3 to 13:

* WEBP makes room while it opens, and looks at the global in between: see `_Whole`.
* TIFF looks at the global while it loads: see `load`.
* ICO loads while it opens, and a picture within a picture may be larger than what is around it:
  ICO, ICNS, IPTC, BLP, GIF. Those, DCX, EPS, GBR, MIC and WMF hold it against the global, so that
  what is beyond twice that is refused (179 megapixels, if nobody has changed it); our own limit
  they meet once they are loaded.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from io import BytesIO
from typing import BinaryIO

from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile

from vaecodec.bitstream.limits import check_size
from vaecodec.errors import PictureError

PREFIX = 16  # bytes by which plugins know their format
WEBP_HEADER = 30  # bytes that say how large a WebP picture is
BEGINNINGS = {  # of files, and the plugin that reads them: most pictures need no other
    b"\x89PNG": "Png",
    b"\xff\xd8\xff": "Jpeg",
    b"RIFF": "WebP",
    b"II*\0": "Tiff",
    b"MM\0*": "Tiff",
    b"P5": "Ppm",
    b"P6": "Ppm",
}
# What Pillow reads with one more package only, by bytes 4 to 12: its name, the package's module, and what brings it.
OTHERS = {
    b"JXL \r\n\x87\n": ("JPEG XL", "pillow_jxl", "imagecodecs or pillow-jxl-plugin"),
    **dict.fromkeys(
        (b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")),
        ("HEIF", "pillow_heif", "pillow-heif"),
    ),
}
JXL_CODESTREAM = b"\xff\x0a"  # a JPEG XL file without boxes
REFUSALS = (SyntaxError, IndexError, TypeError, struct.error)  # of a plugin: the file is none of its format
UNSUPPORTED = re.compile(  # what plugins say of files that are whole, and yet nothing for them
    "not supported|unsupported|unimplemented|unknown|cannot handle|not available|invalid palette size"
    "|cannot find loader|unable to locate|cannot read this",
    re.I,
)
RARE = ("lzma", "webp", "zstd")  # compressions of TIFF that not every libtiff has: it does not say so


def open_picture(file: BinaryIO, max_pixels: int | None = None, formats: Sequence[str] | None = None) -> ImageFile:
    """Find a picture's format and read its header, not its pixels: see `load`.

    Args: file: seekable. max_pixels: None or 0 for no limit. formats: Pillow's names; by default all.
    Raises: LimitError; PictureError where it is in none of the formats, or of a kind that a plugin does not support;
        for a damaged picture whatever a plugin raises.
    """
    file.seek(0)
    start = file.read(WEBP_HEADER)
    asked: set[str] = set()
    why = ""
    for make_known in (partial(_plugin_for, start), Image.preinit, Image.init):  # one, those for common formats, all
        make_known()
        names = [name for name in formats or Image.ID if name in Image.OPEN and name not in asked]
        sure = [name for name in names if Image.OPEN[name][1]]
        last = [name for name in names if name not in sure]  # such as TGA: they may take the files of others for theirs
        for name in sure + (last if make_known is Image.init else []):
            asked.add(name)
            factory, accepts = Image.OPEN[name]
            file.seek(0)
            try:
                known = not accepts or accepts(start[:PREFIX])
                if not known or isinstance(known, str):  # a reason why this Pillow cannot read it
                    why = known or why
                    continue
                if name == "WEBP":
                    check_size(*_webp_size(start), max_pixels)
                image = factory(_Whole(file.read()) if name == "WEBP" else file, "")
            except REFUSALS as error:
                why = _unsupported(name, error) if accepts and is_unsupported(error) else why
                continue
            except Exception as error:
                if is_unsupported(error):
                    raise PictureError(_unsupported(name, error)) from error
                raise
            check_size(*image.size, max_pixels)
            return image
    raise PictureError(
        why or _needed(start) or "not a picture in a format that can be read, or one damaged at its start"
    )


def is_unsupported(error: Exception) -> bool:
    """Whether what a plugin raises says that a file is beyond it, not that the file is damaged."""
    return isinstance(error, NotImplementedError) or bool(UNSUPPORTED.search(str(error)))


def _unsupported(format: str, error: Exception) -> str:
    return f"this kind of {format} file is not supported ({' '.join(str(error).split())})"


def other_format(start: bytes) -> tuple[str, str, str] | None:
    """One of OTHERS, by the first bytes of a file."""
    return OTHERS[b"JXL \r\n\x87\n"] if start.startswith(JXL_CODESTREAM) else OTHERS.get(start[4:12])


def _needed(start: bytes) -> str:
    """Which package is missing for a file that begins so; "" where none is known that helps."""
    other = other_format(start)
    if other is None:
        return ""
    if sys.modules.get(other[1]):
        return f"this kind of {other[0]} file is not supported"
    return f"{other[0]} is not supported without another package: pip install {other[2]}"


def _plugin_for(start: bytes) -> None:
    """Load the plugin that a file's beginning asks for, if there is one."""
    for beginning, plugin in BEGINNINGS.items():
        if start.startswith(beginning):
            with suppress(ImportError):
                import_module(f"PIL.{plugin}ImagePlugin")
    if other := other_format(start):
        with suppress(ImportError):
            module = import_module(other[1])
            if hasattr(module, "register_heif_opener"):
                module.register_heif_opener()


def load(image: Image.Image) -> None:
    """Load the pixels of an image, if they are not there yet. A TIFF's go into memory that it is given.

    Where Pillow makes that, it first holds its size against the global limit.
    """
    if image.format != "TIFF":
        image.load()
        return
    from PIL.TiffImagePlugin import TiffImageFile

    if isinstance(image, TiffImageFile) and image.tile and image._im is None:
        size = image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]
        image.im = Image.new(image.mode, size, None).im  # None: not to be filled first
    compression = image.info.get("compression")
    try:
        image.load()
    except OSError as error:
        if compression in RARE:
            raise NotImplementedError(f"TIFF with {compression}: {error}") from error
        raise


class _Whole(BytesIO):
    """A WebP file that gives no more than its beginning where less than all of it is asked for.

    The plugin takes the rest in one piece. From a longer beginning it would learn the size before
    it decodes, and hold it against the global limit.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size if size is None or size < 0 else min(size, PREFIX))


def _webp_size(start: bytes) -> tuple[int, int]:
    """Width and height by the first bytes of a WebP file; of what is too short for that, none."""
    start = start.ljust(WEBP_HEADER, b"\0")
    if start[12:16] == b"VP8X":
        return int.from_bytes(start[24:27], "little") + 1, int.from_bytes(start[27:30], "little") + 1
    if start[12:16] == b"VP8L":
        (fields,) = struct.unpack_from("<I", start, 21)
        return (fields & 0x3FFF) + 1, (fields >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", start, 26)
    return width & 0x3FFF, height & 0x3FFF
