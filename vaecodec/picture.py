"""Pictures in and out: everything Pillow opens becomes a `Picture`, and a `Picture` becomes a file again.

No pixel changes silently: what a conversion costs is told in the notes that reading and writing return.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngInfo

from vaecodec.container import METADATA, SIDE_MAX, SIGNATURE
from vaecodec.errors import LimitError, PictureError, VaecError

MODES = ("", "L", "LA", "RGB", "RGBA")  # Pillow's mode by number of channels
EXIF_IDENTIFIER = b"Exif\0\0"  # before the EXIF block in a JPEG marker, no part of it


@dataclass
class Picture:
    """An 8-bit picture and its metadata, as stored in a file.

    pixels: (H, W, C) uint8 with C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha (not premultiplied).
    icc, exif, xmp: the bytes as the source file held them; `exif` starts at its TIFF header, without JPEG's
    "Exif" identifier. An EXIF orientation is not applied to the pixels.

    Raises: PictureError where `pixels` has another shape or type.
    """

    pixels: NDArray[np.uint8]
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if dtype != np.uint8 or len(shape) != 3 or not 1 <= shape[2] <= 4:
            raise PictureError(f"pixels must be uint8 of shape (H, W, 1..4), not {dtype} of shape {shape}")
        if not (1 <= shape[0] <= SIDE_MAX and 1 <= shape[1] <= SIDE_MAX):
            raise PictureError(f"a picture of {shape[1]} x {shape[0]} pixels has no place in the format")

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


# Reading


def read_picture(source: Path | bytes, max_pixels: int | None) -> tuple[Picture, list[str]]:
    """Read a picture; its format is found from its bytes. None or 0 for `max_pixels` sets no limit.

    Returns the picture and notes for the user about what was converted.
    Raises: PictureError, LimitError; OSError where the file cannot be read.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    if not data:
        raise PictureError("the file is empty")
    if data.startswith(SIGNATURE[:5]):
        raise PictureError("this is a .vaec file already")
    try:
        with _pillow_limit(max_pixels or None), Image.open(BytesIO(data)) as image:
            if max_pixels and image.width * image.height > max_pixels:
                raise LimitError(f"{image.width} x {image.height} is more than the limit of {max_pixels} pixels")
            return from_image(image, data)
    except (VaecError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise LimitError(f"the picture is larger than the limit of {max_pixels} pixels") from None
    except UnidentifiedImageError:
        raise PictureError("not a picture in a format that can be read, or one damaged at its start") from None
    except Exception as error:  # Pillow's plugins raise all kinds of errors for bad bytes
        raise PictureError(f"the picture is damaged or truncated ({_sentence(error)})") from error


def from_image(image: Image.Image, data: bytes | None = None) -> tuple[Picture, list[str]]:
    """A Pillow image as a Picture, with notes. `data`, the bytes it was opened from, helps to keep 16-bit precision.

    Raises: PictureError for CMYK, several frames and other things without a place in the format.
    """
    notes = []
    frames = getattr(image, "n_frames", 1)
    if image.format == "MPO" and frames > 1:  # a camera's photograph with a preview or a second view behind it
        notes.append(f"the first of {frames} pictures in the file is kept")
    elif frames > 1 and image.format != "PSD":  # PSD: the "frames" are layers, Pillow gives them merged
        raise PictureError(f"the file has {frames} frames or pages; extract the one to encode first")
    # What loading takes away: the layout of the samples, and with a TIFF the open file that holds its tags.
    raw = _rawmode(image)
    exif = _tiff_exif(image, notes) if image.format == "TIFF" else None
    deep = _deep_samples(raw, data) if data else None
    image.load()
    pixels = _pixels(image, raw, deep, notes)
    if any(content.startswith(b"http://ns.adobe.com/xmp/extension/") for _, content in getattr(image, "applist", ())):
        notes.append("the extended part of its XMP is not kept")
    icc, xmp = image.info.get("icc_profile"), image.info.get("xmp")
    return Picture(pixels, _stored(icc), exif or _stored_exif(image), _stored(xmp)), notes


def _stored(value: object) -> bytes | None:
    """Bytes from `Image.info`, where a text chunk of the same name may have put something else."""
    return value if isinstance(value, bytes) and value else None


def _stored_exif(image: Image.Image) -> bytes | None:
    """EXIF from its TIFF header on, byte for byte."""
    exif = _stored(image.info.get("exif"))
    profile = image.info.get("Raw profile type exif")  # ImageMagick's text chunk in older PNG files
    if exif is None and isinstance(profile, str):
        try:
            exif = bytes.fromhex("".join(profile.split("\n")[3:]))
        except ValueError:
            return None
    return exif.removeprefix(EXIF_IDENTIFIER) or None if exif else None


# The tags of a TIFF that describe the photograph, not how its samples lie in the file
_DESCRIPTION = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)
_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)


def _descriptive(source: Image.Exif) -> Image.Exif:
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


def _tiff_exif(image: Image.Image, notes: list[str]) -> bytes | None:
    """EXIF made from a TIFF's tags. Pillow turns the pixels of a TIFF as it loads, so orientation 1 is stored."""
    try:
        exif = _descriptive(image.getexif())
        if not len(exif):
            return None
        exif[ExifTags.Base.Orientation] = 1
        return exif.tobytes().removeprefix(EXIF_IDENTIFIER)
    except Exception as error:  # Pillow raises all kinds of errors for bad bytes
        notes.append(f"its EXIF is damaged and not kept ({_sentence(error)})")
        return None


_limit_lock = threading.Lock()


@contextmanager
def _pillow_limit(max_pixels: int | None) -> Iterator[None]:
    """Pillow's limit is a global: set it, silence its warnings, and put everything back.

    Pillow raises from twice the limit on; `read_picture` checks the limit itself. This one guards what plugins
    allocate while opening. Pictures are read one at a time because of it.
    """
    with _limit_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _rawmode(image: Image.Image) -> str:
    """How the samples lie in the file, in Pillow's words; "" where the plugin does not say or says several things."""
    names = {_tile_rawmode(tile) for tile in getattr(image, "tile", ())}
    return names.pop() if len(names) == 1 else ""


def _tile_rawmode(tile: Any) -> str:
    args = tile[3]
    return str(args[0] if isinstance(args, tuple) and args else args)


def _deep_samples(raw: str, data: bytes) -> NDArray[np.uint16] | None:
    """(H, W, C) of a 16-bit colour picture in full precision; None for all others.

    Pillow keeps the high byte of such samples. Read with the byte order swapped it keeps the low byte, so that
    two readings give both. Grey with alpha takes one: read as RGBA, its four bytes are all there.
    """

    def read(rawmode: str) -> NDArray[np.uint16]:
        with Image.open(BytesIO(data)) as image:
            assert isinstance(image, ImageFile)
            image.tile = [
                tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
                for tile in image.tile
            ]
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
        notes.append("samples of more than 8 bits are reduced to 8")
        # Pillow gives a 12-bit TIFF as it is and all others stretched to 16 bits
        bits = getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample)
        return _with_key(_to_8bit(samples, 4095 if bits == (12,) else 65535), samples, key, notes)
    if ";16" in raw:
        notes.append("16-bit samples are cut to 8 bits")
    if mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        notes.append("its palette is converted to RGB")
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


# Writing


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
    image, said = _image(picture.pixels, output, format)
    notes += said
    turn = None if "exif" in held else _TURNS.get(orientation(picture.exif))
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
        raise PictureError(f"{format} cannot hold this picture ({_sentence(error)})") from error
    return notes


def _image(pixels: NDArray[np.uint8], output: _Output, format: str) -> tuple[Image.Image, list[str]]:
    """The Pillow image in a mode that the format holds, and notes."""
    notes = []
    channels = pixels.shape[2]
    if channels in (2, 4) and not any("A" in mode for mode in output.modes):
        alpha = pixels[..., -1:].astype(np.uint16)
        pixels = pixels[..., :-1]
        if alpha.min() < 255:
            pixels = ((pixels * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
            notes.append(f"transparency is laid onto white: {format} holds no alpha")
    if format == "GIF" and channels > 1:
        notes.append("GIF holds 256 colours and no half transparency")
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if image.mode not in output.modes:
        image = image.convert("RGBA" if "A" in image.mode else "RGB")
    return image, notes


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _parse_exif(data: bytes | None) -> Image.Exif | None:
    """None where the bytes are no EXIF, or one that Pillow cannot write again."""
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif.load(data or b"")
            _descriptive(exif).tobytes()
    except Exception:  # Pillow raises all kinds of errors for bad bytes
        return None
    return exif


def orientation(exif: bytes | None) -> int:
    """The EXIF orientation, 1..8; 1 where there is none that makes sense."""
    parsed = _parse_exif(exif)
    value = parsed.get(ExifTags.Base.Orientation) if parsed else None
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _metadata_options(held: dict[str, bytes], format: str, notes: list[str]) -> dict[str, Any]:
    """The options by which Pillow's encoder for the format takes the metadata."""
    options: dict[str, Any] = {"icc_profile": held["icc"]} if "icc" in held else {}
    exif, xmp = held.get("exif"), held.get("xmp")
    if format in ("TIFF", "AVIF") and exif and _parse_exif(exif) is None:
        notes.append(f"its EXIF is damaged and not written to {format}")
        exif = None
    if format == "TIFF":  # both are tags of the file itself
        tags = _descriptive(_parse_exif(exif) or Image.Exif())
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


def _sentence(error: Exception) -> str:
    """An error of Pillow's on one line."""
    return " ".join(str(error).split()) or type(error).__name__
