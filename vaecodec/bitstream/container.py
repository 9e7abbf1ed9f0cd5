"""The `.vaec` container: signature, chunks, header, tile sections. See bitstream_spec.md.

Standard library only: `vaecodec info` must not load a network. All integers are little-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from vaecodec.bitstream.cicp import is_cicp
from vaecodec.bitstream.limits import CELL as CELL  # the geometry of the format, for all who read it here
from vaecodec.bitstream.limits import check_size
from vaecodec.errors import CorruptFileError, NotVaecError, TruncatedError, UnsupportedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The high bit shows 7-bit transport, CR LF shows a newline conversion, 0x1A stops a DOS `type`.
SIGNATURE = b"\x9bVAEC\r\n\x1a"
VERSION = 8
SIDE_MAX = 2**31 - 1
QUALITY_MAX = 1000
TILE_UNIT = 64  # pixels per side of one position of z; tile sides are multiples of it
TILE_UNITS_MAX = 16
LANES_LOG2_MAX = 7
CHUNK_OVERHEAD = 12  # length, type, CRC
CHUNK_START = struct.Struct("<I4s")
EMPTY = 255  # in place of log2 of lanes: the tile has no latents
TILE_SMALLEST = CHUNK_OVERHEAD + 9  # a tile chunk: its number, EMPTY and 7 section lengths

GREY, RGB, GREY_ALPHA, RGB_ALPHA = range(4)
COLOURS = ("grey", "RGB", "grey+alpha", "RGB+alpha")
CHANNELS = (1, 3, 2, 4)
ALPHA_NONE, ALPHA_CONSTANT, ALPHA_CODED = range(3)
METADATA = {"cicp": "cICP", "icc": "iccp", "exif": "exif", "xmp": "xmpp"}  # Picture field -> chunk type
METADATA_CHUNKS = frozenset((*METADATA.values(), "prev"))  # at most one of each, ahead of the tiles
SECTIONS = ("escapes", "z", "low", "high", "alpha", "overlay", "filter")


@dataclass(frozen=True)
class Header:
    """The HEAD chunk. `LAYOUT` drives reading, writing and range checks."""

    version: int
    width: int
    height: int
    colour: int
    depth: int
    quality: int  # 0..1000
    tile: int  # side of a tile in units of 64 pixels
    alpha: int
    alpha_value: int
    model: str
    model_hash: bytes

    # name, struct code, smallest, largest; text and bytes have no range
    LAYOUT: ClassVar[tuple[tuple[str, str, int, int], ...]] = (
        ("version", "B", 1, 255),
        ("width", "I", 1, SIDE_MAX),
        ("height", "I", 1, SIDE_MAX),
        ("colour", "B", GREY, RGB_ALPHA),
        ("depth", "B", 1, 16),
        ("quality", "H", 0, QUALITY_MAX),
        ("tile", "B", 1, TILE_UNITS_MAX),
        ("alpha", "B", ALPHA_NONE, ALPHA_CODED),
        ("alpha_value", "B", 0, 255),
        ("model", "8s", 0, 0),
        ("model_hash", "8s", 0, 0),
    )
    STRUCT: ClassVar[struct.Struct] = struct.Struct("<" + "".join(code for _, code, _, _ in LAYOUT))

    def check(self) -> None:
        """Raise CorruptFileError where a field is out of range or contradicts another."""
        for name, _, low, high in self.LAYOUT:
            value = getattr(self, name)
            if high and not low <= value <= high:
                raise CorruptFileError(f"header field {name} is {value}, not within {low}..{high}")
        has_alpha = self.colour in (GREY_ALPHA, RGB_ALPHA)
        if has_alpha != (self.alpha != ALPHA_NONE) or (self.alpha != ALPHA_CONSTANT and self.alpha_value):
            raise CorruptFileError("the header's alpha fields contradict its colour type")
        if not self.model or not all(33 <= ord(c) <= 126 for c in self.model):
            raise CorruptFileError("the header's model name is not printable ASCII")

    def pack(self) -> bytes:
        self.check()
        values = [getattr(self, f.name) for f in fields(self)]
        return self.STRUCT.pack(*(v.encode("ascii") if isinstance(v, str) else v for v in values))

    @classmethod
    def unpack(cls, data: bytes) -> Header:
        """Raises UnsupportedError for another version or depth, CorruptFileError for anything out of range."""
        if not data:
            raise CorruptFileError("the header is empty")
        if data[0] != VERSION:
            raise UnsupportedError(f"format version {data[0]}; this decoder reads version {VERSION}")
        if len(data) != cls.STRUCT.size:
            raise CorruptFileError(f"the header has {len(data)} bytes, not {cls.STRUCT.size}")
        values = dict(zip((name for name, *_ in cls.LAYOUT), cls.STRUCT.unpack(data), strict=True))
        name = values["model"].rstrip(b"\0")
        values["model"] = name.decode("latin-1")
        header = cls(**values)
        header.check()
        if header.depth != 8:
            raise UnsupportedError(f"bit depth {header.depth}; this decoder reads depth 8")
        return header

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


class Sliced(Protocol):
    """The bytes of a file that is not in memory, see `files.OnDemand`."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> memoryview: ...


Source = bytes | memoryview | Sliced  # of a whole file


class Chunk(NamedTuple):
    """A chunk as it lies in the file: `start` is the offset of its first byte."""

    type: str
    start: int
    data: memoryview

    @property
    def size(self) -> int:
        return len(self.data) + CHUNK_OVERHEAD

    @property
    def critical(self) -> bool:
        return self.type[0].isupper()


def pack_chunk(kind: str, data: bytes) -> bytes:
    """length (u32), type (4 letters), data, CRC-32 (u32) of type and data."""
    body = kind.encode("ascii") + data
    return struct.pack("<I", len(data)) + body + struct.pack("<I", zlib.crc32(body))


def chunks(data: Source) -> Iterator[Chunk]:
    """The chunks of a file up to and including DONE, each checked before it is given out.

    Raises: NotVaecError, TruncatedError, CorruptFileError.
    """
    view = memoryview(data) if isinstance(data, (bytes, bytearray, memoryview)) else data
    head = bytes(view[: len(SIGNATURE)])
    if head != SIGNATURE:
        if head and SIGNATURE.startswith(head):
            raise TruncatedError("the file ends inside the signature")
        if head[:5] == SIGNATURE[:5]:
            raise NotVaecError("the signature is damaged: the file was probably transferred as text")
        raise NotVaecError("not a .vaec file")
    at, end = len(SIGNATURE), len(view)
    kind = b""
    while kind != b"DONE":
        if end - at < CHUNK_OVERHEAD:
            raise TruncatedError(f"the file ends at byte {end}, before its DONE chunk")
        length, kind = CHUNK_START.unpack(view[at : at + 8])
        if not (kind.isalpha() and kind.isascii()):
            raise CorruptFileError(f"no chunk type at byte {at + 4}")
        if length > end - at - CHUNK_OVERHEAD:
            raise TruncatedError(f"chunk {kind.decode()} at byte {at} reaches past the end of the file")
        body = view[at + 8 : at + 12 + length]
        data = body[:length]
        if zlib.crc32(data, zlib.crc32(kind)).to_bytes(4, "little") != body[length:]:
            raise CorruptFileError(f"chunk {kind.decode()} at byte {at} has a wrong checksum")
        yield Chunk(kind.decode(), at, data)
        at += length + CHUNK_OVERHEAD
    if length:
        raise CorruptFileError("the DONE chunk is not empty")
    if at != end:
        raise CorruptFileError(f"{end - at} bytes follow the DONE chunk")


@dataclass(frozen=True)
class Tile:
    """The sections of a TILE chunk. z, low and high share one stream of 16-bit words behind the lanes' states."""

    lanes_log2: int  # or EMPTY
    states: memoryview | bytes  # 4 bytes a lane
    sections: tuple[memoryview | bytes, ...]  # in the order of SECTIONS
    truncated: bool = False  # whether the end is missing

    @classmethod
    def empty(cls, lanes_log2: int = EMPTY, states: memoryview | bytes = b"") -> Tile:
        """A tile whose y_hat is 0: an overlay hides what the networks would make. Or one to be filled (`having`)."""
        return cls(lanes_log2, states, (b"",) * len(SECTIONS))

    def having(self, **sections: bytes) -> Tile:
        """The same tile with other sections of these names."""
        named = dict(zip(SECTIONS, self.sections, strict=True)) | sections
        return replace(self, sections=tuple(named.values()))

    @property
    def escapes(self) -> memoryview | bytes:
        return self.sections[0]

    @property
    def words(self) -> tuple[memoryview | bytes, ...]:
        """Sections z, low and high."""
        return self.sections[1:4]

    @property
    def alpha(self) -> memoryview | bytes:
        return self.sections[4]

    @property
    def overlay(self) -> memoryview | bytes:
        return self.sections[5]

    @property
    def filter(self) -> memoryview | bytes:
        return self.sections[6]

    def pack(self) -> bytes:
        lengths = b"".join(pack_varint(len(s)) for s in self.sections)
        return bytes([self.lanes_log2]) + lengths + b"".join(bytes(s) for s in (self.states, *self.sections))

    @classmethod
    def unpack(cls, data: memoryview, truncated: bool = False) -> Tile:
        """Raises CorruptFileError where lengths and data disagree. truncated: whether data may end too early."""
        if not data or (data[0] > LANES_LOG2_MAX and data[0] != EMPTY):
            raise CorruptFileError("a tile's lane count is out of range")
        at, lengths = 1, []
        for _ in SECTIONS:
            length, at = unpack_varint(data, at)
            lengths.append(length)
        if data[0] == EMPTY and any((*lengths[:4], lengths[6])):
            raise CorruptFileError("a tile without latents has data for them")
        lengths.insert(0, 0 if data[0] == EMPTY else 4 << data[0])
        missing = sum(lengths) - (len(data) - at)
        if missing and not (truncated and missing > 0):
            raise CorruptFileError("a tile's section lengths do not add up to its size")
        if any(n % 2 for n in lengths[2:5]):
            raise CorruptFileError("a tile's coded section has an odd length")
        parts = []
        for n in lengths:
            parts.append(data[at : at + n])
            at += n
        if truncated and missing:  # whole words of what is coded, the other sections whole or not at all
            if len(parts[0]) < lengths[0]:
                raise CorruptFileError("a tile's entropy coder states are missing")
            words = [p[: len(p) // 2 * 2] for p in parts[2:5]]
            parts = [p if len(p) == n else p[:0] for p, n in zip(parts, lengths, strict=True)]
            parts[2:5] = words
        return cls(data[0], parts[0], tuple(parts[1:]), missing > 0)


def unpack_tile(header: Header, data: memoryview, truncated: bool = False) -> Tile:
    """A tile of a picture, from what stands behind its number; see `Tile.unpack`. Raises: CorruptFileError."""
    tile = Tile.unpack(data, truncated)
    if bool(tile.alpha) != (header.alpha == ALPHA_CODED) and not tile.truncated:
        raise CorruptFileError("a tile's alpha section contradicts the header")
    return tile


def pack_varint(value: int) -> bytes:
    """Unsigned LEB128: 7 bits a byte, low bits first, the high bit set on all but the last."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def unpack_varint(data: memoryview, at: int) -> tuple[int, int]:
    """Value and the offset behind it; at most 5 bytes, shortest form only."""
    value = 0
    for n in range(5):
        if at + n >= len(data):
            raise CorruptFileError("a tile ends inside its header")
        byte = data[at + n]
        value |= (byte & 127) << (7 * n)
        if byte < 128:
            if n and not byte:
                raise CorruptFileError("a length is not in its shortest form")
            return value, at + n + 1
    raise CorruptFileError("a length has more than 5 bytes")


def tile_chunk(number: int, tile: Tile) -> bytes:
    """The chunk of a tile: its number in raster order, by which it is known when others are lost, and its content."""
    return pack_chunk("TILE", pack_varint(number) + tile.pack())


@dataclass(frozen=True)
class File:
    """A file that was parsed: its header, and what its chunks hold. No pixel has been decoded. size: in bytes."""

    size: int
    header: Header
    tiles: tuple[memoryview, ...]  # without their numbers
    metadata: dict[str, bytes]  # Picture field -> bytes as stored
    preview: bytes | None

    def unpacked(self) -> list[Tile]:
        """The sections of its tiles. Raises: CorruptFileError."""
        return [unpack_tile(self.header, tile) for tile in self.tiles]


def walk(data: Source, *, max_pixels: int | None = None) -> Iterator[tuple[Header, Chunk]]:
    """The header and each chunk of a file, every rule checked that needs no decoding; nothing is kept.

    Raises: NotVaecError, TruncatedError, CorruptFileError, UnsupportedError, LimitError.
    """
    header: Header | None = None
    tiles, ancillary = 0, set(METADATA_CHUNKS)
    for chunk in chunks(data):
        if (header is None) != (chunk.type == "HEAD"):
            raise CorruptFileError("the first chunk, and no other, must be HEAD")
        if header is None:
            header = Header.unpack(bytes(chunk.data))
            check_header(header, len(data), max_pixels)
        elif chunk.type == "TILE":
            number, _ = unpack_varint(chunk.data, 0)
            if number != tiles:
                raise CorruptFileError(f"tile {number} stands where tile {tiles} must")
            tiles += 1
        elif chunk.type in METADATA_CHUNKS:
            if chunk.type not in ancillary or tiles:
                raise CorruptFileError(f"chunk {chunk.type} is repeated or stands behind a tile")
            ancillary.remove(chunk.type)
            if chunk.type == "cICP" and not is_cicp(bytes(chunk.data)):
                raise CorruptFileError("chunk cICP is not four numbers, of full-range RGB")
        elif chunk.critical and chunk.type != "DONE":
            raise UnsupportedError(f"chunk {chunk.type} is needed to decode this file and not known to this decoder")
        yield header, chunk
    assert header is not None
    rows, columns = header.grid
    if tiles != rows * columns:
        raise CorruptFileError(f"the file has {tiles} tiles, not {rows * columns}")


def parse(data: Source, *, max_pixels: int | None = None) -> File:
    """The structure of a file. Raises: as `walk`."""
    tiles: list[memoryview] = []
    ancillary: dict[str, bytes] = {}
    for header, chunk in walk(data, max_pixels=max_pixels):  # noqa: B007 (the last one is returned)
        if chunk.type == "TILE":
            tiles.append(chunk.data[unpack_varint(chunk.data, 0)[1] :])
        elif chunk.type in METADATA_CHUNKS:
            ancillary[chunk.type] = bytes(chunk.data)
    metadata = {name: ancillary[kind] for name, kind in METADATA.items() if kind in ancillary}
    return File(len(data), header, tuple(tiles), metadata, ancillary.get("prev"))


def check_header(header: Header, file_size: int, max_pixels: int | None) -> None:
    """Refuse a size before anything is allocated for it: by the caller's limit, then by what the file can hold [H7].

    Raises: LimitError, TruncatedError.
    """
    check_size(header.width, header.height, max_pixels, header.tile_side)
    rows, columns = header.grid
    if rows * columns * TILE_SMALLEST > file_size:
        raise TruncatedError(f"the file is too short for its {rows * columns} tiles")
