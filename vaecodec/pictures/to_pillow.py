"""`Picture` to picture files by Pillow's encoders; `writing` says which formats these are, and what they hold."""

from __future__ import annotations

from importlib import import_module
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from vaecodec.errors import PictureError
from vaecodec.pictures.exif import EXIF_IDENTIFIER, density, descriptive, orientation, parse_exif, sentence, well_formed
from vaecodec.pictures.picture import Picture, row_chunks

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def can_save(format: str, plugin: str) -> bool:
    """Whether Pillow writes a format. The plugin of this name is loaded, and where it does not know the format, all."""
    if format not in Image.SAVE:
        import_module(f"PIL.{plugin}ImagePlugin")
    if format not in Image.SAVE:
        Image.init()
    return format in Image.SAVE


def save(
    picture: Picture, target: BinaryIO, format: str, modes: tuple[str, ...], options: dict[str, Any], turn: int
) -> list[str]:
    """Write a picture whose metadata the format holds, and return notes on what it does not hold of its pixels.

    modes: those of Pillow that the format has. options: for the encoder. turn: an EXIF orientation to apply.
    Raises: PictureError where the format cannot hold the picture at all; OSError where writing fails.
    """
    image, notes = _image(picture.pixels, modes, format)
    if turn != 1:
        image = image.transpose(TURNS[turn])
        notes.append("turned upright, as its EXIF says")
    held = {kind: data for kind in ("icc", "exif", "xmp") if (data := getattr(picture, kind))}
    if len(image.mode) > 2 and picture.pixels.shape[2] < 3 and held.get("icc", b"")[16:20] == b"GRAY":
        del held["icc"]
        notes.append(f"its grey ICC does not fit the RGB of {format}")
    options = {**options, **_metadata_options(held, format, notes)}
    try:
        image.save(target, format, **options)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's encoders raise all kinds of errors for what they cannot do
        if isinstance(error, OSError) and error.errno is not None:  # the disk, not the encoder
            raise
        raise PictureError(f"{format} cannot hold this picture ({sentence(error)})") from error
    return notes


def _image(pixels: NDArray[np.uint8], modes: tuple[str, ...], format: str) -> tuple[Image.Image, list[str]]:
    """The Pillow image in a mode that the format holds, and notes."""
    notes = []
    if format == "GIF" and pixels.shape[2] > 1:
        notes.append("GIF holds 256 colours and no half transparency")
    image, top = None, 0
    for rows in row_chunks(pixels):
        part, said = _part(rows, modes, format)
        notes += [note for note in said if note not in notes]
        if len(rows) == pixels.shape[0]:
            return part, notes
        if image is None:
            image = Image.new(part.mode, pixels.shape[1::-1])
        image.paste(part, (0, top))
        top += len(rows)
    assert image is not None
    return image, notes


def _part(pixels: NDArray[np.uint8], modes: tuple[str, ...], format: str) -> tuple[Image.Image, list[str]]:
    """Some rows of it."""
    notes = []
    channels = pixels.shape[2]
    if channels in (2, 4) and not any("A" in mode for mode in modes):
        alpha = pixels[..., -1:].astype(np.uint16)
        pixels = pixels[..., :-1]
        if alpha.min() < 255:
            pixels = ((pixels * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
            notes.append(f"transparency is laid onto white: {format} holds no alpha")
    if format == "AVIF" and channels in (2, 4) and pixels[..., -1].min() < 255:
        notes.append("AVIF changes transparency a little")
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if image.mode not in modes:
        image = image.convert("RGBA" if "A" in image.mode else "RGB")
    return image, notes


def _metadata_options(held: dict[str, bytes], format: str, notes: list[str]) -> dict[str, Any]:
    """The options by which Pillow's encoder for the format takes the metadata."""
    options: dict[str, Any] = {"icc_profile": held["icc"]} if "icc" in held else {}
    if format == "JPEG" and (dpi := density(held.get("exif"))):
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
        options["exif"] = EXIF_IDENTIFIER + exif  # WebP takes it off again
    if xmp:
        options["xmp"] = xmp
    return options
