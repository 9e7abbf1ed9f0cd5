"""The header of a `.vaec` file: the chunk HEAD. Standard library only. See bitstream_spec.md, section 3."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from vaecodec.bitstream.chunks import pack_varint, unpack_varint
from vaecodec.bitstream.limits import CELL as CELL  # the geometry of the format, for all who read it here
from vaecodec.errors import CorruptFileError, UnsupportedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 9
SIDE_MAX = 2**31 - 1
QUALITY_MAX = 1000
TILE_UNIT = 64  # pixels per side of one position of z; tile sides are multiples of it
TILE_UNITS_MAX = 16

GREY, RGB, GREY_ALPHA, RGB_ALPHA = range(4)
COLOURS = ("grey", "RGB", "grey+alpha", "RGB+alpha")
CHANNELS = (1, 3, 2, 4)
ALPHA_NONE, ALPHA_CONSTANT, ALPHA_CODED = range(3)

# Flags behind the version. Two bits for the colour, two for alpha.
HAS_TILE, HAS_MODEL, HAS_FEATURES, RESERVED = 1 << 4, 1 << 5, 1 << 6, 1 << 7

# Bits of `features`. A decoder refuses what it does not know of the first 16; the others may be ignored.
PROGRESSIVE = 1 << 0
KNOWN, NEEDED = PROGRESSIVE, (1 << 16) - 1


class Known(NamedTuple):
    """A model of the registry: its name and the first 8 bytes of its hash."""

    name: str
    hash: bytes


# By number. 1 is the one that every decoder has.
MODELS = {1: Known("base", bytes.fromhex("14198f26b6838975"))}


@dataclass(frozen=True)
class Header:
    """The HEAD chunk; `pack` and `unpack` go through its fields in the order of the file."""

    width: int
    height: int
    colour: int
    quality: int  # 0..1000
    model: str
    model_hash: bytes
    tile: int = TILE_UNITS_MAX  # side of a tile in units of 64 pixels
    alpha: int = ALPHA_NONE
    alpha_value: int = 0
    features: int = 0
    version: int = VERSION  # that a decoder needs at least

    def check(self) -> None:
        """Raise CorruptFileError where a field is out of range or contradicts another."""
        for name, low, high in RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise CorruptFileError(f"header field {name} is {value}, not within {low}..{high}")
        has_alpha = self.colour in (GREY_ALPHA, RGB_ALPHA)
        if has_alpha != (self.alpha != ALPHA_NONE) or (self.alpha != ALPHA_CONSTANT and self.alpha_value):
            raise CorruptFileError("the header's alpha fields contradict its colour type")
        if not (0 < len(self.model) <= 8 and all(33 <= ord(c) <= 126 for c in self.model)):
            raise CorruptFileError("the header's model name is not 1 to 8 printable ASCII characters")

    def pack(self) -> bytes:
        self.check()
        number = next((n for n, known in MODELS.items() if known == (self.model, self.model_hash)), 0)
        flags = self.colour | self.alpha << 2 | HAS_TILE * (self.tile != TILE_UNITS_MAX)
        flags |= HAS_MODEL * (number != 1) | HAS_FEATURES * bool(self.features)
        parts = [struct.pack("<BBH", self.version, flags, self.quality)]
        parts += [pack_varint(self.width), pack_varint(self.height)]
        if self.alpha == ALPHA_CONSTANT:
            parts.append(bytes([self.alpha_value]))
        if flags & HAS_TILE:
            parts.append(bytes([self.tile]))
        if flags & HAS_MODEL:
            parts.append(pack_varint(number))
            if not number:
                parts.append(struct.pack("<8s8s", self.model.encode("ascii"), self.model_hash))
        if flags & HAS_FEATURES:
            parts.append(pack_varint(self.features))
        return b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Header:
        """Raises UnsupportedError for what needs another decoder, CorruptFileError for anything out of range."""
        data = memoryview(data)
        if not data:
            raise CorruptFileError("the header is empty")
        if data[0] != VERSION:
            raise UnsupportedError(f"format version {data[0]}; this decoder reads version {VERSION}")
        if len(data) < 4:
            raise CorruptFileError("the header is cut off")
        version, flags, quality = struct.unpack_from("<BBH", data)
        if flags & RESERVED:
            raise CorruptFileError("a reserved flag of the header is set")
        width, at = unpack_varint(data, 4)
        height, at = unpack_varint(data, at)
        alpha = flags >> 2 & 3
        alpha_value, at = byte(data, at) if alpha == ALPHA_CONSTANT else (0, at)
        tile, at = byte(data, at) if flags & HAS_TILE else (TILE_UNITS_MAX, at)
        known, at = unpack_model(data, at) if flags & HAS_MODEL else (MODELS[1], at)
        features, at = unpack_varint(data, at) if flags & HAS_FEATURES else (0, at)
        # What follows is of later versions, which a decoder of this one need not know.
        if (flags & HAS_TILE and tile == TILE_UNITS_MAX) or (flags & HAS_FEATURES and not features):
            raise CorruptFileError("a header field that could be left out is there")
        header = cls(width, height, flags & 3, quality, *known, tile, alpha, alpha_value, features, version)
        header.check()
        if unknown := features & NEEDED & ~KNOWN:
            raise UnsupportedError(f"needs features {unknown:#x}, which this decoder does not have")
        return header

    def having(self, features: int) -> Header:
        """The same header with a feature more."""
        return replace(self, features=self.features | features)

    @property
    def progressive(self) -> bool:
        """Whether the tiles' high channels follow behind all the others."""
        return bool(self.features & PROGRESSIVE)

    @property
    def channels(self) -> int:
        return CHANNELS[self.colour]

    @property
    def tile_side(self) -> int:
        """Pixels."""
        return self.tile * TILE_UNIT

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.height // self.tile_side), -(-self.width // self.tile_side)

    def tile_box(self, index: int) -> tuple[int, int, int, int]:
        """(top, left, height, width) in pixels of tile `index` in raster order, clipped to the picture."""
        row, column = divmod(index, self.grid[1])
        top, left = row * self.tile_side, column * self.tile_side
        return top, left, min(self.tile_side, self.height - top), min(self.tile_side, self.width - left)

    def crop(self, pixels: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """The part of pixels (height, width, ...) that tile `index` covers, a view."""
        top, left, height, width = self.tile_box(index)
        return pixels[top : top + height, left : left + width]


RANGES = (
    ("version", VERSION, VERSION),
    ("width", 1, SIDE_MAX),
    ("height", 1, SIDE_MAX),
    ("colour", GREY, RGB_ALPHA),
    ("quality", 0, QUALITY_MAX),
    ("tile", 1, TILE_UNITS_MAX),
    ("alpha", ALPHA_NONE, ALPHA_CODED),
    ("alpha_value", 0, 255),
)


def byte(data: memoryview, at: int) -> tuple[int, int]:
    """A number of one byte, and the offset behind it. Raises: CorruptFileError."""
    if at >= len(data):
        raise CorruptFileError("the header is cut off")
    return data[at], at + 1


def unpack_model(data: memoryview, at: int) -> tuple[Known, int]:
    """A model and the offset behind it. Raises: CorruptFileError; UnsupportedError for a number that is not known."""
    number, at = unpack_varint(data, at)
    if not number:
        if at + 16 > len(data):
            raise CorruptFileError("the header is cut off")
        name, digest = struct.unpack_from("<8s8s", data, at)
        return Known(name.rstrip(b"\0").decode("latin-1"), digest), at + 16
    if number == 1:
        raise CorruptFileError("a header field that could be left out is there")
    if number not in MODELS:
        raise UnsupportedError(f"needs model number {number}, which this decoder does not have")
    return MODELS[number], at
