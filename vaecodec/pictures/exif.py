"""EXIF as Pillow reads and writes it, and one-line messages of its errors; reading and writing share them.

Pillow is imported where it is needed: numbers in an EXIF block are found without it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x112, 0x11A, 0x11B, 0x128  # tags
DESCRIPTIVE = (  # tags in the first directory of a TIFF file that say something of the photograph
    *(0x10D, 0x10E, 0x10F, 0x110, 0x11D),  # DocumentName, ImageDescription, Make, Model, PageName
    *(X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT),
    *(0x131, 0x132, 0x13B, 0x13C, 0x8298),  # Software, DateTime, Artist, HostComputer, Copyright
    *(0x4746, 0x4749, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),  # Rating and its percentage, XPTitle to XPSubject
)
INCH = 2
UNITS = {INCH: 1.0, 3: 2.54}  # dots per inch for one per unit; 3: the centimetre
NUMBERS = {3: "H", 4: "I", 5: "II"}  # how numbers of a type lie in EXIF; two make a fraction
EXIF_IDENTIFIER = b"Exif\0\0"  # before the EXIF block in a JPEG marker, no part of it


def descriptive(source: Image.Exif) -> Image.Exif:
    """A copy with the tags that describe the photograph and nothing that describes the file."""
    from PIL import ExifTags, Image

    exif = Image.Exif()
    for tag in DESCRIPTIVE:
        if tag in source:
            exif[tag] = source[tag]
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if directory := dict(source.get_ifd(ifd)):
            directory.pop(ExifTags.IFD.Interop, None)  # an offset into the old file
            exif[ifd] = directory
    return exif


def parse_exif(data: bytes | None) -> Image.Exif | None:
    """None where the bytes are no EXIF, or one that Pillow cannot write again."""
    from PIL import Image

    exif = Image.Exif()
    try:
        exif.load(data or b"")
        descriptive(exif).tobytes()
    except Exception:  # Pillow raises all kinds of errors for bad bytes
        return None
    return exif


def entries(exif: bytes | None) -> Iterator[tuple[str, int, int, int, int]]:
    """Of each entry in the first directory of an EXIF block: the byte order, its tag, its type, how many values it has,
    and where these begin.

    What is damaged is left out. Pillow would warn of it, and whether that is heard, or stops the
    program, is for the whole process to say.
    """
    data, skipped = exif or b"", 0
    if data.startswith(EXIF_IDENTIFIER):
        data, skipped = data[len(EXIF_IDENTIFIER) :], len(EXIF_IDENTIFIER)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return
    with suppress(struct.error):
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, length, offset = struct.unpack_from(f"{order}HHII", data, at)
            inside = length * struct.calcsize(NUMBERS.get(kind, "")) <= 4  # of the entry
            yield order, tag, kind, length, (at + 8 if inside else offset) + skipped


def numbers(exif: bytes | None) -> dict[int, float]:
    """The numbers in the first directory of an EXIF block, by tag; of several in a tag the first."""
    found: dict[int, float] = {}
    for order, tag, kind, _, at in entries(exif):
        with suppress(struct.error, ZeroDivisionError, KeyError):
            top, *bottom = struct.unpack_from(order + NUMBERS[kind], exif or b"", at)
            found.setdefault(tag, top / bottom[0] if bottom else top)
    return found


def orientation(exif: bytes | None) -> int:
    """The EXIF orientation, 1..8; 1 where there is none that makes sense."""
    value = numbers(exif).get(ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def with_orientation(exif: bytes, value: int) -> bytes:
    """An EXIF block that says another orientation where it says one; the rest stays, byte for byte."""
    changed = bytearray(exif)
    for order, tag, kind, _, at in entries(exif):
        if tag == ORIENTATION and kind in NUMBERS:
            with suppress(struct.error):
                struct.pack_into(order + NUMBERS[kind][0], changed, at, value)
    return bytes(changed)


def orientation_exif(value: int) -> bytes:
    """An EXIF block with nothing but an orientation."""
    from PIL import Image

    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif.tobytes().removeprefix(EXIF_IDENTIFIER)


def density_exif(dpi: tuple[float, float]) -> bytes:
    """An EXIF block with nothing but a resolution, in dots per inch across and down."""
    from PIL import Image
    from PIL.TiffImagePlugin import IFDRational

    exif = Image.Exif()
    exif[X_RESOLUTION], exif[Y_RESOLUTION] = (IFDRational(round(v * 100), 100) for v in dpi)
    exif[RESOLUTION_UNIT] = INCH
    return exif.tobytes().removeprefix(EXIF_IDENTIFIER)


def density(exif: bytes | None) -> tuple[float, float] | None:
    """Dots per inch across and down, or None where the EXIF names no sensible ones."""
    tags = numbers(exif)
    unit = UNITS.get(int(tags.get(RESOLUTION_UNIT, INCH)))
    x, y = (tags.get(tag, 0.0) for tag in (X_RESOLUTION, Y_RESOLUTION))
    return (x * unit, y * unit) if unit and 1 <= x < 65536 and 1 <= y < 65536 else None


def well_formed(exif: bytes) -> bool:
    """Whether Pillow can read and write it, with an orientation, if any, that is a number."""
    parsed = parse_exif(exif)
    return parsed is not None and isinstance(parsed.get(ORIENTATION, 1), int)


def sentence(error: Exception) -> str:
    """An error of Pillow's on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def turned_upright(exif: bytes) -> bytes:
    """The same EXIF block with an orientation of 1, if it has one: for pixels that have been turned."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    changed = bytearray(exif)
    if order and orientation(exif) != 1:
        with suppress(struct.error):
            (start,) = struct.unpack_from(f"{order}I", exif, 4)
            (entries,) = struct.unpack_from(f"{order}H", exif, start)
            for at in range(start + 2, start + 2 + 12 * entries, 12):
                tag, kind = struct.unpack_from(f"{order}HH", exif, at)
                if tag == ORIENTATION and kind in NUMBERS:
                    struct.pack_into(order + NUMBERS[kind][0], changed, at + 8, 1)
    return bytes(changed)
