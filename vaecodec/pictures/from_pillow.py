"""What Pillow opens to `Picture`.

No pixel changes silently: what a conversion costs is told in the notes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from vaecodec.bitstream.opening import load, open_picture
from vaecodec.errors import PictureError
from vaecodec.pictures.cmyk import to_rgb
from vaecodec.pictures.colour import colours_of
from vaecodec.pictures.frames import count_of
from vaecodec.pictures.picture import Picture, is_large, strips
from vaecodec.pictures.png_rows import Rows, survey
from vaecodec.pictures.stored import before_loading, metadata_of

MODES = ("", "L", "LA", "RGB", "RGBA")  # Pillow's mode by number of channels


def from_image(
    image: Image.Image, opened: Callable[[], BinaryIO] | None = None, by_rows: bool = False
) -> tuple[Picture, list[str]]:
    """A Pillow image as a Picture, with notes. by_rows: see `read_picture`.

    opened: opens the file it was opened from once more, which helps to keep 16-bit precision.

    Raises: PictureError for Lab, floating-point and other colours without a place in the format.
    """
    notes: list[str] = []
    # What loading takes away: the layout of the samples, and with a TIFF the open file that holds its tags.
    raw, held = _rawmode(image), before_loading(image, opened)
    single = image.format == "TIFF" or count_of(image) == 1  # pages stand for themselves
    deep = _deep_samples(raw, opened, image.tell()) if opened and single else None
    colours = colours_of(image, opened)
    pixels, large = None, by_rows and is_large(*image.size)
    if large and image.format == "PNG" and opened and (found := _png_by_rows(opened)):
        pixels, image, said = found
        notes += said
    plain = image.mode in ("L", "RGB") and deep is None and ";16" not in raw and "transparency" not in image.info
    if pixels is None and large and plain:
        pixels = _on_disk(image, raw)
    if pixels is None:
        load(image)
        pixels = _in_pillow(image) if large and plain else _pixels(image, raw, deep, notes)
    pixels = colours.apply(pixels, notes)
    metadata = metadata_of(image, held)
    if image.mode == "CMYK":
        metadata["icc"] = None
    return Picture(pixels, **metadata, cicp=colours.cicp), notes + held.notes


def _rawmode(image: Image.Image) -> str:
    """How the samples lie in the file, in Pillow's words; "" where the plugin does not say or says several things."""
    names = {_tile_rawmode(tile) for tile in getattr(image, "tile", ())}
    return names.pop() if len(names) == 1 else ""


def _tile_rawmode(tile: Any) -> str:
    args = tile[3]
    return str(args[0] if isinstance(args, tuple) and args else args)


def _on_disk(image: Image.Image, raw: str) -> NDArray[np.uint8] | None:
    """`Strips` of an image whose samples lie in its file as they are, whole rows of it in order; None of any other."""
    tiles, path = getattr(image, "tile", ()), getattr(getattr(image, "fp", None), "name", None)
    if raw != image.mode or not isinstance(path, str) or image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        return None
    channels = len(image.mode)
    row = image.width * channels
    end = 0  # rows
    for kind, (left, top, right, bottom), offset, args in tiles:
        plain = args == (raw, 0, 1) or args == raw
        if (kind, left, right, top) != ("raw", 0, image.width, end) or not plain:
            return None
        if offset + (bottom - top) * row > os.path.getsize(path):
            return None  # Pillow will say so
        end = bottom
    if end != image.height:
        return None

    def fetch(first: int, last: int) -> NDArray[np.uint8]:
        parts = []
        for _, (_, top, _, bottom), offset, _ in tiles:
            upper, lower = max(first, top), min(last, bottom)
            if upper < lower:
                parts.append(np.fromfile(path, np.uint8, (lower - upper) * row, offset=offset + (upper - top) * row))
        samples = np.concatenate(parts)
        if len(samples) != (last - first) * row:
            raise PictureError("the picture was cut off while it was read")
        return samples.reshape(last - first, image.width, channels)

    return strips((image.height, image.width, channels), fetch)


def _png_by_rows(opened: Callable[[], BinaryIO]) -> tuple[NDArray[np.uint8], Image.Image, list[str]] | None:
    """`Strips` of a plain PNG file, an image with its metadata, and notes; None of any other."""
    with opened() as file:
        found = survey(file)
    if found is None:
        return None
    small, notes = open_picture(BytesIO(found.small), formats=["PNG"]), list[str]()
    raw = _rawmode(small)
    load(small)
    samples = _pixels(small, raw, None, notes)[0]
    rows, channels = Rows(opened, found), samples.shape[1]
    if channels == found.channels:
        return strips(rows.shape, rows.fetch), small, notes
    if found.channels > 1:  # a transparent colour
        return None

    def fetch(first: int, last: int) -> NDArray[np.uint8]:
        return samples[rows.fetch(first, last)[..., 0]]

    return strips((found.height, found.width, channels), fetch), small, notes


def _in_pillow(image: Image.Image) -> NDArray[np.uint8]:
    """`Strips` of a loaded image, which takes four bytes a pixel of colour: not a second copy besides."""

    def fetch(first: int, last: int) -> NDArray[np.uint8]:
        rows = Image.new(image.mode, (image.width, last - first), None)
        rows.paste(image, (0, -first))  # not `crop`, which looks at Pillow's global limit
        part = np.asarray(rows)
        return part if part.ndim == 3 else part[:, :, None]

    return strips((image.height, image.width, len(image.mode)), fetch)


def _deep_samples(raw: str, opened: Callable[[], BinaryIO], page: int) -> NDArray[np.uint16] | None:
    """(H, W, C) of a 16-bit colour picture in full precision; None for all others.

    Pillow keeps the high byte of such samples. Read with the byte order swapped it keeps the low byte, so that
    two readings give both. Grey with alpha takes one: read as RGBA, its four bytes are all there.
    """

    def read(rawmode: str) -> NDArray[np.uint16]:
        with opened() as file, open_picture(file) as image:
            image.seek(page)
            image.tile = [
                tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
                for tile in image.tile
            ]
            load(image)
            return np.array(image).astype(np.uint16)

    if raw == "LA;16B":
        both = read("RGBA")
        return both[..., 0::2] * np.uint16(256) + both[..., 1::2]
    mode, _, order = raw.partition(";16")
    if mode not in ("RGB", "RGBA", "RGBX") or order not in _SWAPPED:
        return None
    high, low = read(raw), read(f"{mode};16{_SWAPPED[order]}")
    return high * np.uint16(256) + low


_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def _pixels(image: Image.Image, raw: str, deep: NDArray[np.uint16] | None, notes: list[str]) -> NDArray[np.uint8]:
    """(H, W, C) of a loaded image; adds to `notes` what was converted. `deep`: from `_deep_samples`."""
    mode, key = image.mode, image.info.get("transparency")
    if deep is not None or mode.startswith("I"):
        samples = _integers(image) if deep is None else deep
        peak = _peak(image, raw, samples)
        notes.append(
            "32-bit samples within 0..255 are taken as they are"
            if peak == 255
            else "samples of more than 8 bits are reduced to 8"
        )
        return _with_key(_to_8bit(samples, peak), samples, key, notes)
    if ";16" in raw:
        notes.append("16-bit samples are cut to 8 bits")
    if mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        notes.append("its palette is converted to RGB")
    elif mode == "CMYK":
        image = to_rgb(image, image.info.get("icc_profile"), notes)
    elif mode in _CONVERSIONS:
        image = image.convert(_CONVERSIONS[mode])
        if mode == "1":
            notes.append("1-bit samples become 8-bit grey")
    elif mode not in MODES:
        raise PictureError(f"{_COLOURS.get(mode, mode)} pictures are not supported; convert it to 8-bit RGB first")
    pixels = np.array(image)
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    if raw in _STRETCH and isinstance(key, int):
        key = min(key * _STRETCH[raw], 255)
    return pixels if mode in ("P", "PA") else _with_key(pixels, pixels, key, notes)


_CONVERSIONS = {"1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
_STRETCH = {"1": 255, "L;2": 85, "L;4": 17}  # Pillow stretches these samples to 8 bits, but not the key
_COLOURS = {"LAB": "CIE Lab", "F": "floating-point"}


def _integers(image: Image.Image) -> NDArray[np.uint16]:
    """(H, W, 1) of an image in one of Pillow's modes of wide integers. Raises PictureError beyond 16 bits."""
    values = np.array(image)[:, :, None]
    if values.min() < 0 or values.max() > 65535:
        raise PictureError("samples beyond 16 bits are not supported; convert it to 8 or 16 bits first")
    return values.astype(np.uint16)


def _peak(image: Image.Image, raw: str, samples: NDArray[np.uint16]) -> int:
    """What is white in an image of more than 8 bits: Pillow gives a 12-bit TIFF as it is, other samples with 16 bits.

    32-bit samples have no white that anybody agrees on (ImageMagick: 2^32 - 1, which makes all others black). Those
    that fit into 8 bits are mostly meant so: labels, or what was computed. Pillow's conversion to L takes them so, too.
    """
    if image.mode == "I" and ";16" not in raw and image.format != "PPM" and samples.max() <= 255:
        return 255
    return 4095 if getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample) == (12,) else 65535


def _to_8bit(samples: NDArray[np.uint16], peak: int) -> NDArray[np.uint8]:
    """The nearest of 256 levels, (v * 255 + 32767) // 65535 for 16 bits; by table, which takes less memory."""
    levels = np.minimum(np.arange(65536, dtype=np.uint32), peak)
    return ((levels * 255 + peak // 2) // peak).astype(np.uint8)[samples]


def _with_key(pixels: NDArray[np.uint8], samples: NDArray[Any], key: object, notes: list[str]) -> NDArray[np.uint8]:
    """Add the alpha that a transparent colour (PNG's tRNS) stands for: `samples` (H, W, C) equal to it are clear."""
    colour = key if isinstance(key, tuple) else (key,)
    if len(colour) != samples.shape[2] or not all(isinstance(value, int) for value in colour):
        return pixels
    opaque = (samples != np.array(colour, np.int64)).any(axis=2, keepdims=True)
    notes.append("its transparent colour becomes alpha")
    return np.concatenate([pixels, opaque.astype(np.uint8) * np.uint8(255)], axis=2)
