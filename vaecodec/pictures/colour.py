"""The colour space that a picture file names besides an ICC profile: cICP, sRGB, gAMA and cHRM of PNG, nclx of AVIF.

What the numbers of cICP can say is taken so, and pixels stay. From what they cannot say pixels are converted to sRGB.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.cicp import SRGB, is_cicp
from vaecodec.pictures.picture import Strips, strips
from vaecodec.pictures.to_srgb import Chromaticities, Converter, to_srgb

if TYPE_CHECKING:
    from PIL import Image

Change = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]  # of pixels (n, W, C)

D65, C = (0.3127, 0.3290), (0.310, 0.316)
PRIMARIES: dict[int, Chromaticities] = {  # by their number in H.273
    1: (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06),
    4: (*C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (*C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
GAMMAS = {1 / 2.2: 13, 1 / 2.8: 5, 1.0: 8}  # by gAMA the number of the curve: sRGB's is written as 1 / 2.2
GREY = ("1", "L", "LA", "I", "I;16")  # modes of Pillow
BOXES = 2**20  # bytes of an AVIF file in which its colour space is looked for
NO_RGB = "the cICP of the file is not one of RGB, and not kept"
STRETCHED = "samples of 16..235 are stretched to 0..255"
CONVERTED = "colours are converted to sRGB from what gAMA and cHRM say"
DAMAGED = "the cHRM of the file makes no sense, and is not used"


@dataclass(frozen=True)
class Colours:
    """What a file says of its colours. change: what has to be done to the pixels, and notes on that."""

    cicp: bytes | None = None
    change: Change | None = None
    notes: tuple[str, ...] = ()

    def apply(self, pixels: NDArray[np.uint8], notes: list[str]) -> NDArray[np.uint8]:
        """The pixels (H, W, C) after the change, in place where they are an array; adds to `notes`."""
        change = self.change
        notes += self.notes
        if change is None:
            return pixels
        if isinstance(pixels, Strips):
            return strips(pixels.shape, lambda first, last: change(pixels[first:last]))
        for row in range(0, len(pixels), 64):
            pixels[row : row + 64] = change(pixels[row : row + 64])
        return pixels


def colours_of(image: Image.Image, opened: Callable[[], BinaryIO] | None) -> Colours:
    """The colours of an image that Pillow has opened and not yet loaded. opened: opens its file once more.

    PNG says that cICP goes before an ICC profile, that before sRGB, that before gAMA and cHRM.
    """
    own, icc = image.info.get("cicp"), image.info.get("icc_profile")
    if isinstance(own, bytes) and is_cicp(own):
        return Colours(own)
    found: bytes | None = None
    if image.format == "PNG":
        with file_of(image, opened) as file:
            found = png_chunk(file, b"cICP") if file else None
    elif image.format == "AVIF" and not icc:
        with file_of(image, opened) as file:
            found = nclx(file.read(BOXES)) if file else None
    if found == SRGB and not icc:
        return Colours()
    if found and is_cicp(found):
        return Colours(found)
    if found and found[2:] == b"\0\0":
        return Colours(found[:2] + SRGB[2:], stretched, (STRETCHED,))
    said = (NO_RGB,) if found else ()
    plain = bool(icc) or "srgb" in image.info
    others = Colours() if plain else described(dict(image.info), image.mode in GREY)
    return replace(others, notes=said + others.notes)


@contextmanager
def file_of(image: Image.Image, opened: Callable[[], BinaryIO] | None) -> Iterator[BinaryIO | None]:
    """The file of an image from its beginning, if there still is one."""
    if opened:
        with opened() as file:
            yield file
        return
    held: Any = getattr(image, "fp", None) if getattr(image, "tile", None) else None
    if held is None or held.closed:
        yield None
        return
    at = held.tell()
    held.seek(0)
    try:
        yield held
    finally:
        held.seek(at)


def png_chunk(file: BinaryIO, wanted: bytes) -> bytes | None:
    """The data of a chunk ahead of the pixels of a PNG file."""
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
        length = int.from_bytes(head[:4], "big")
        if head[4:] == wanted:
            return file.read(min(length, BOXES))
        file.seek(length + 4, 1)
    return None


def nclx(data: bytes) -> bytes | None:
    """The colour space of an AVIF file as cICP has it; None where it names none, or several.

    Samples are RGB of full range once they are decoded, whatever it says of that. 2 stands for no colour space.
    """
    for kind in (b"meta", b"iprp", b"ipco"):
        data = next(boxes(data, kind), b"")[4 if kind == b"meta" else 0 :]
    found = {box[4:8] for box in boxes(data, b"colr") if box[:4] == b"nclx"}
    if len(found) != 1:
        return None
    primaries, curve = struct.unpack(">HH", found.pop().ljust(4, b"\0"))
    primaries, curve = primaries if primaries != 2 else 1, curve if curve != 2 else 13
    return bytes((primaries, curve, 0, 1)) if max(primaries, curve) < 256 else None


def boxes(data: bytes, wanted: bytes) -> Iterator[bytes]:
    """The content of the boxes of a kind, which data of a file of the ISO base format are made of."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        header, end = 8, at + size
        if size == 1 and at + 16 <= len(data):
            header, end = 16, at + int.from_bytes(data[at + 8 : at + 16], "big")
        elif size < 8:  # 0: to the end of the file
            end = len(data)
        if kind == wanted:
            yield data[at + header : end]
        at = max(end, at + header)


def described(info: dict[Any, Any], grey: bool) -> Colours:
    """The colours that gamma and chromaticity stand for, which Pillow makes of gAMA and cHRM."""
    gamma, chromaticities = info.get("gamma"), info.get("chromaticity")
    if not (isinstance(gamma, float) and gamma > 0):
        gamma = None
    if grey or not isinstance(chromaticities, tuple):
        chromaticities = PRIMARIES[1]
    primaries = next((number for number, these in PRIMARIES.items() if near(chromaticities, these, 0.001)), None)
    curve = 13 if gamma is None else next((n for g, n in GAMMAS.items() if near((gamma,), (g,), 0.005)), None)
    if primaries and curve:
        cicp = bytes((primaries, curve, 0, 1))
        return Colours(None if cicp == SRGB else cicp)
    matrix, notes = None, [CONVERTED]
    try:
        matrix = None if primaries == 1 else to_srgb(chromaticities)
    except (ZeroDivisionError, np.linalg.LinAlgError):
        notes = [DAMAGED] if curve == 13 else [CONVERTED, DAMAGED]
    return Colours(None, Converter(None if curve == 13 else gamma, matrix), tuple(notes))


def near(values: tuple[float, ...], others: tuple[float, ...], difference: float) -> bool:
    """Whether they are the same, as a file writes them."""
    return all(abs(value - other) <= difference for value, other in zip(values, others, strict=True))


def stretched(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels (n, W, C) of narrow range with colours of full range; alpha has that anyway."""
    out, colours = pixels.copy(), pixels.shape[2] - (pixels.shape[2] in (2, 4))
    table = np.rint((np.arange(256) - 16) * (255 / 219)).clip(0, 255).astype(np.uint8)
    out[..., :colours] = table[pixels[..., :colours]]
    return out
