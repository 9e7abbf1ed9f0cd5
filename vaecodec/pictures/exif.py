"""EXIF as Pillow reads and writes it, and one-line messages of its errors; reading and writing share them."""

from __future__ import annotations

import struct
from contextlib import suppress

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

INCH = 2
UNITS = {INCH: 1.0, 3: 2.54}  # dots per inch for one per unit; 3: the centimetre
NUMBERS = {3: "H", 4: "I", 5: "II"}  # how numbers of a type lie in EXIF; two make a fraction
EXIF_IDENTIFIER = b"Exif\0\0"  # before the EXIF block in a JPEG marker, no part of it

# The tags of a TIFF that describe the photograph, not how its samples lie in the file
_DESCRIPTION = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Rating,
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
)
_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)


def descriptive(source: Image.Exif) -> Image.Exif:
    """A copy with the tags that describe the photograph and nothing that describes the file."""
    exif = Image.Exif()
    for tag in _DESCRIPTION:
        if tag in source:
            exif[tag] = source[tag]
    for ifd in _DIRECTORIES:
        if directory := dict(source.get_ifd(ifd)):
            directory.pop(ExifTags.IFD.Interop, None)  # an offset into the old file
            exif[ifd] = directory
    return exif


def parse_exif(data: bytes | None) -> Image.Exif | None:
    """None where the bytes are no EXIF, or one that Pillow cannot write again."""
    exif = Image.Exif()
    try:
        exif.load(data or b"")
        descriptive(exif).tobytes()
    except Exception:  # Pillow raises all kinds of errors for bad bytes
        return None
    return exif


def numbers(exif: bytes | None) -> dict[int, float]:
    """The numbers in the first directory of an EXIF block, by tag; of several in a tag the first.

    What is damaged is left out. Pillow would warn of it, and whether that is heard, or stops the
    program, is for the whole process to say.
    """
    data = (exif or b"").removeprefix(EXIF_IDENTIFIER)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    found: dict[int, float] = {}
    if order is None:
        return found
    with suppress(struct.error):
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (entries,) = struct.unpack_from(f"{order}H", data, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind, count, offset = struct.unpack_from(f"{order}HHII", data, at)
            with suppress(struct.error, ZeroDivisionError, KeyError):
                inside = count * struct.calcsize(NUMBERS[kind]) <= 4  # of the entry
                top, *bottom = struct.unpack_from(order + NUMBERS[kind], data, at + 8 if inside else offset)
                found.setdefault(tag, top / bottom[0] if bottom else top)
    return found


def orientation(exif: bytes | None) -> int:
    """The EXIF orientation, 1..8; 1 where there is none that makes sense."""
    value = numbers(exif).get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def orientation_exif(value: int) -> bytes:
    """An EXIF block with nothing but an orientation."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    return exif.tobytes().removeprefix(EXIF_IDENTIFIER)


def density_exif(dpi: tuple[float, float]) -> bytes:
    """An EXIF block with nothing but a resolution, in dots per inch across and down."""
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = (IFDRational(round(v * 100), 100) for v in dpi)
    exif[ExifTags.Base.ResolutionUnit] = INCH
    return exif.tobytes().removeprefix(EXIF_IDENTIFIER)


def density(exif: bytes | None) -> tuple[float, float] | None:
    """Dots per inch across and down, or None where the EXIF names no sensible ones."""
    tags = numbers(exif)
    unit = UNITS.get(int(tags.get(ExifTags.Base.ResolutionUnit, INCH)))
    x, y = (tags.get(tag, 0.0) for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution))
    return (x * unit, y * unit) if unit and 1 <= x < 65536 and 1 <= y < 65536 else None


def well_formed(exif: bytes) -> bool:
    """Whether Pillow can read and write it, with an orientation, if any, that is a number."""
    parsed = parse_exif(exif)
    return parsed is not None and isinstance(parsed.get(ExifTags.Base.Orientation, 1), int)


def sentence(error: Exception) -> str:
    """An error of Pillow's on one line."""
    return " ".join(str(error).split()) or type(error).__name__
