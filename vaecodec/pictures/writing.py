"""`Picture` to picture files; what a format cannot hold is told in the notes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from vaecodec.bitstream.container import METADATA, SIDE_MAX
from vaecodec.errors import PictureError
from vaecodec.pictures.exif import EXIF_IDENTIFIER, density, descriptive, orientation, parse_exif, sentence, well_formed
from vaecodec.pictures.picture import Picture, row_chunks

MODES = ("", "L", "LA", "RGB", "RGBA")  # Pillow's mode by number of channels


@dataclass(frozen=True)
class _Output:
    """What a format can hold. Metadata: the most bytes of each kind; a kind that is not named is not held."""

    modes: tuple[str, ...]
    metadata: dict[str, int] = field(default_factory=dict)
    side_max: int = SIDE_MAX
    options: dict[str, Any] = field(default_factory=dict)


_ALL = ("L", "LA", "RGB", "RGBA")
_LONG = {kind: 2**31 - 64 for kind in METADATA}
_MARKER = 65533  # bytes in a JPEG marker
_JPEG = {"icc": 255 * (_MARKER - 14), "exif": _MARKER - 6, "xmp": _MARKER - 29}
_OUTPUTS = {
    # Level 4 writes 12 megapixels in 0.7 s, level 6 in 1.8 s for 6 % less.
    "PNG": _Output(_ALL, _LONG, options={"compress_level": 4}),
    "JPEG": _Output(("L", "RGB"), _JPEG, 65500, {"quality": 95, "subsampling": "4:4:4"}),
    "WEBP": _Output(("RGB", "RGBA"), _LONG, 16383, {"lossless": True, "exact": True}),
    "TIFF": _Output(_ALL, _LONG),  # uncompressed: through libtiff Pillow cannot write the EXIF directories
    "AVIF": _Output(("L", "RGB", "RGBA"), _LONG, 65536, {"quality": 90, "subsampling": "4:4:4"}),
    "JPEG2000": _Output(_ALL),
    "BMP": _Output(("L", "RGB")),
    "PPM": _Output(("L", "RGB")),
    "TGA": _Output(_ALL, side_max=65535),
    "QOI": _Output(("RGB", "RGBA")),
    "GIF": _Output(_ALL, side_max=65535),
}
_ENDINGS = {
    **{".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"},
    **{".avif": "AVIF", ".jp2": "JPEG2000", ".bmp": "BMP", ".ppm": "PPM", ".pgm": "PPM", ".pnm": "PPM"},
    **{".tga": "TGA", ".qoi": "QOI", ".gif": "GIF"},
}


def format_of(path: str | PurePath) -> str:
    """Pillow's name of the format that the ending of a file name stands for, whatever its case.

    Raises: PictureError where there is none that can be written.
    """
    ending = PurePath(path).suffix.lower()
    name = _ENDINGS.get(ending)
    Image.init()
    if name in Image.SAVE:
        return name
    what = f"{ending} files" if ending else "a file without an ending"
    raise PictureError(f"cannot write {what}; use one of {' '.join(e for e, f in _ENDINGS.items() if f in Image.SAVE)}")


def write_picture(picture: Picture, target: BinaryIO, format: str) -> list[str]:
    """Write a picture to a seekable stream in a format that `format_of` names.

    Returns notes on what the format could not hold. Pixels are turned by the EXIF orientation only where the
    format holds no EXIF; transparency goes onto white where it holds no alpha.
    Raises: PictureError where the format cannot hold the picture at all; OSError where writing fails.
    """
    output, notes = _OUTPUTS[format], []
    if max(picture.width, picture.height) > output.side_max:
        raise PictureError(f"{format} holds at most {output.side_max} pixels in width and height")
    held = {}
    for kind in METADATA:
        if value := getattr(picture, kind):
            limit = output.metadata.get(kind, 0)
            if len(value) <= limit:
                held[kind] = value
            else:
                notes.append(f"its {kind.upper()} is {'too long for' if limit else 'not held by'} {format}")
    turn = None if "exif" in held else TURNS.get(orientation(picture.exif))
    if format == "PPM" and turn is None and picture.pixels.shape[2] in (1, 3):
        _write_ppm(picture, target)
        return notes
    image, said = _image(picture.pixels, output, format)
    notes += said
    if turn is not None:
        image = image.transpose(turn)
        notes.append("turned upright, as its EXIF says")
    if len(image.mode) > 2 and picture.pixels.shape[2] < 3 and held.get("icc", b"")[16:20] == b"GRAY":
        del held["icc"]
        notes.append(f"its grey ICC does not fit the RGB of {format}")
    options = {**output.options, **_metadata_options(held, format, notes)}
    try:
        image.save(target, format, **options)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's encoders raise all kinds of errors for what they cannot do
        if isinstance(error, OSError) and error.errno is not None:  # the disk, not the encoder
            raise
        raise PictureError(f"{format} cannot hold this picture ({sentence(error)})") from error
    return notes


def _write_ppm(picture: Picture, target: BinaryIO) -> None:
    """As Pillow does, but without the whole picture in memory."""
    magic = "P5" if picture.pixels.shape[2] == 1 else "P6"
    target.write(f"{magic}\n{picture.width} {picture.height}\n255\n".encode())
    for rows in row_chunks(picture.pixels):
        target.write(np.ascontiguousarray(rows).data)


def _image(pixels: NDArray[np.uint8], output: _Output, format: str) -> tuple[Image.Image, list[str]]:
    """The Pillow image in a mode that the format holds, and notes."""
    notes = []
    if format == "GIF" and pixels.shape[2] > 1:
        notes.append("GIF holds 256 colours and no half transparency")
    image, top = None, 0
    for rows in row_chunks(pixels):
        part, said = _part(rows, output, format)
        notes += [note for note in said if note not in notes]
        if len(rows) == pixels.shape[0]:
            return part, notes
        if image is None:
            image = Image.new(part.mode, pixels.shape[1::-1])
        image.paste(part, (0, top))
        top += len(rows)
    assert image is not None
    return image, notes


def _part(pixels: NDArray[np.uint8], output: _Output, format: str) -> tuple[Image.Image, list[str]]:
    """Some rows of it."""
    notes = []
    channels = pixels.shape[2]
    if channels in (2, 4) and not any("A" in mode for mode in output.modes):
        alpha = pixels[..., -1:].astype(np.uint16)
        pixels = pixels[..., :-1]
        if alpha.min() < 255:
            pixels = ((pixels * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
            notes.append(f"transparency is laid onto white: {format} holds no alpha")
    if format == "AVIF" and channels in (2, 4) and pixels[..., -1].min() < 255:
        notes.append("AVIF changes transparency a little")
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if image.mode not in output.modes:
        image = image.convert("RGBA" if "A" in image.mode else "RGB")
    return image, notes


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _metadata_options(held: dict[str, bytes], format: str, notes: list[str]) -> dict[str, Any]:
    """The options by which Pillow's encoder for the format takes the metadata."""
    options: dict[str, Any] = {"icc_profile": held["icc"]} if "icc" in held else {}
    if format in ("PNG", "JPEG") and (dpi := density(held.get("exif"))):
        options["dpi"] = dpi  # many programs look at the file's own field alone
    exif, xmp = held.get("exif"), held.get("xmp")
    if format in ("TIFF", "AVIF") and exif and not well_formed(exif):
        notes.append(f"its EXIF is damaged and not written to {format}")
        exif = None
    if format == "TIFF":  # both are tags of the file itself
        tags = descriptive(parse_exif(exif) or Image.Exif())
        tags[ExifTags.Base.Orientation] = orientation(exif)
        if xmp:
            tags[ExifTags.Base.XMLPacket] = xmp
        return {**options, "exif": tags.tobytes()}
    if exif:
        options["exif"] = EXIF_IDENTIFIER + exif  # PNG and WebP take it off again
    if xmp and format == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp)
    elif xmp:
        options["xmp"] = xmp
    return options
