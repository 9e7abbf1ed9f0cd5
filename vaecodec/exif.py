"""EXIF as Pillow reads and writes it, and one-line messages of its errors; reading and writing share them."""

from __future__ import annotations

import warnings

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

INCH = 2
UNITS = {INCH: 1.0, 3: 2.54}  # dots per inch for one per unit; 3: the centimetre
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif.load(data or b"")
            descriptive(exif).tobytes()
    except Exception:  # Pillow raises all kinds of errors for bad bytes
        return None
    return exif


def orientation(exif: bytes | None) -> int:
    """The EXIF orientation, 1..8; 1 where there is none that makes sense."""
    parsed = parse_exif(exif)
    value = parsed.get(ExifTags.Base.Orientation) if parsed else None
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
    parsed = parse_exif(exif)
    if parsed is None:
        return None
    unit = UNITS.get(parsed.get(ExifTags.Base.ResolutionUnit, INCH))
    found = (parsed.get(tag) for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution))
    values = [float(v) * unit for v in found if unit and isinstance(v, (int, float, IFDRational)) and 1 <= v < 65536]
    return (values[0], values[1]) if len(values) == 2 else None


def well_formed(exif: bytes) -> bool:
    """Whether Pillow can read and write it, with an orientation, if any, that is a number."""
    parsed = parse_exif(exif)
    return parsed is not None and isinstance(parsed.get(ExifTags.Base.Orientation, 1), int)


def sentence(error: Exception) -> str:
    """An error of Pillow's on one line."""
    return " ".join(str(error).split()) or type(error).__name__
