"""The `.vaec` container: which chunks a file has, in which order, and what they hold. See bitstream_spec.md.

Standard library only: `vaecodec info` must not load a network.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from vaecodec.bitstream.chunks import (
    CHUNK_OVERHEAD,
    CHUNK_START,
    VARINT_MAX,
    Chunk,
    Source,
    pack_varint,
    read_chunks,
    unpack_varint,
)
from vaecodec.bitstream.cicp import is_cicp
from vaecodec.bitstream.header import Header
from vaecodec.bitstream.limits import check_size
from vaecodec.bitstream.tiles import PARTS, TILE_SMALLEST, Coded, Tile
from vaecodec.errors import CorruptFileError, TruncatedError, UnsupportedError

METADATA = {"cicp": "cICP", "icc": "iCCP", "exif": "eXIf", "xmp": "xMPp"}  # Picture field -> chunk type
PREVIEW, INDEX = "pREV", "tIDX"
ONCE = frozenset((*METADATA.values(), PREVIEW, INDEX))  # at most one of each, ahead of the tiles
INDEX_WITHIN = 64  # chunks from a file's start in which an index is looked for: each is a read
TILES = ("TILE", *PARTS)


@dataclass(frozen=True)
class File:
    """A file that was parsed: its header, and what its chunks hold. No pixel has been decoded. size: in bytes."""

    size: int
    header: Header
    tiles: Sequence[Coded]
    metadata: dict[str, bytes]  # Picture field -> bytes as stored
    preview: bytes | None

    def unpacked(self) -> list[Tile]:
        """The sections of its tiles. Raises: CorruptFileError."""
        return [coded.tile(self.header) for coded in self.tiles]


def kinds_of(header: Header) -> tuple[str, ...]:
    """The chunks of a tile: first all of the first kind, then all of the next."""
    return PARTS if header.progressive else ("TILE",)


class Order:
    """The order of the chunks of a file, rule by rule."""

    def __init__(self, header: Header) -> None:
        self.kinds = kinds_of(header)
        self.count = header.grid[0] * header.grid[1]
        self.left = set(ONCE)
        self.tiles = 0  # chunks of tiles so far
        self.last = ""

    @property
    def complete(self) -> bool:
        return self.tiles == self.count * len(self.kinds)

    def check(self, chunk: Chunk) -> None:
        """Raises: CorruptFileError where a chunk may not stand here; UnsupportedError for one that is not known."""
        if chunk.type == "HEAD":
            raise CorruptFileError("the first chunk, and no other, must be HEAD")
        if self.complete:
            raise CorruptFileError(f"chunk {chunk.type} stands behind the last tile")
        if chunk.type in TILES:
            self._tile(chunk)
        elif chunk.type in ONCE:
            if chunk.type not in self.left or self.tiles:
                raise CorruptFileError(f"chunk {chunk.type} is repeated or stands behind a tile")
            self.left.remove(chunk.type)
            if chunk.type == METADATA["cicp"] and not is_cicp(bytes(chunk.data)):
                raise CorruptFileError("chunk cICP is not four numbers, of full-range RGB")
        elif chunk.critical:
            raise UnsupportedError(f"chunk {chunk.type} is needed to decode this file and not known to this decoder")
        self.last = chunk.type

    def _tile(self, chunk: Chunk) -> None:
        if chunk.type != self.kinds[self.tiles // self.count]:
            raise CorruptFileError(f"chunk {chunk.type} stands where {self.kinds[self.tiles // self.count]} must")
        if INDEX not in self.left and not self.tiles and self.last != INDEX:
            raise CorruptFileError(f"chunk {INDEX} does not stand right before the first tile")
        number, _ = unpack_varint(chunk.data, 0)
        if number != self.tiles % self.count:
            raise CorruptFileError(f"tile {number} stands where tile {self.tiles % self.count} must")
        self.tiles += 1


def walk(data: Source, *, max_pixels: int | None = None, tiles: bool = True) -> Iterator[tuple[Header, Chunk]]:
    """The header and each chunk of a file, every rule checked that needs no decoding; nothing is kept.

    tiles: whether theirs too, or but those ahead of them.

    Raises: NotVaecError, TruncatedError, CorruptFileError, UnsupportedError, LimitError.
    """
    header, order = None, None
    for chunk in read_chunks(data, () if tiles else TILES):
        if header is None or order is None:
            if chunk.type != "HEAD":
                raise CorruptFileError("the first chunk, and no other, must be HEAD")
            header = Header.unpack(chunk.data)
            check_header(header, len(data), max_pixels)
            order = Order(header)
        else:
            order.check(chunk)
        yield header, chunk
    if order is None or (tiles and not order.complete):
        raise TruncatedError("the file ends before its last tile")


def parse(data: Source, *, max_pixels: int | None = None) -> File:
    """The structure of a file. Raises: as `walk`."""
    tiles: list[Coded] = []
    ancillary: dict[str, bytes] = {}
    lengths: list[int] = []
    for header, chunk in walk(data, max_pixels=max_pixels):  # noqa: B007 (the last one is returned)
        if chunk.type in TILES:
            number, at = unpack_varint(chunk.data, 0)
            lengths.append(len(chunk.data))
            if number == len(tiles):
                tiles.append(Coded(()))
            tiles[number] = Coded((*tiles[number].parts, chunk.data[at:]))
        elif chunk.type in ONCE:
            ancillary[chunk.type] = bytes(chunk.data)
    if ancillary.get(INDEX, pack_index(lengths)) != pack_index(lengths):
        raise CorruptFileError("the index of tiles is not right")
    return File(len(data), header, tuple(tiles), metadata_of(ancillary), ancillary.get(PREVIEW))


def metadata_of(ancillary: dict[str, bytes]) -> dict[str, bytes]:
    """By field of a Picture, from what chunks of these types hold."""
    return {name: ancillary[kind] for name, kind in METADATA.items() if kind in ancillary}


def pack_index(lengths: Sequence[int]) -> bytes:
    """The data of a chunk tIDX: how long the data of each chunk of a tile are, in the order of the file."""
    return b"".join(map(pack_varint, lengths))


def unpack_index(data: memoryview) -> list[int]:
    """The lengths that an index tells. Raises: CorruptFileError."""
    lengths, at = [], 0
    while at < len(data):
        length, at = unpack_varint(data, at)
        lengths.append(length)
    return lengths


class Indexed(Sequence[Coded]):
    """The tiles of a file with an index, each read when it is asked for, its checksum compared."""

    def __init__(self, data: Source, header: Header, first: int, lengths: list[int]) -> None:
        """first: the offset of the first chunk of a tile."""
        self.data, self.header = data, header
        self.places = []
        for length in lengths:
            self.places.append((first, length))
            first += length + CHUNK_OVERHEAD
        self.number = header.grid[0] * header.grid[1]

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, number):  # type: ignore[no-untyped-def]
        """Raises: CorruptFileError where there is another chunk."""
        if isinstance(number, slice):
            return [self[n] for n in range(*number.indices(self.number))]
        if not 0 <= number < self.number:
            raise IndexError(f"there is no tile {number}")
        kinds = enumerate(kinds_of(self.header))
        return Coded(tuple(self._chunk(k * self.number + number, kind.encode(), number) for k, kind in kinds))

    def _chunk(self, place: int, kind: bytes, number: int) -> memoryview:
        start, length = self.places[place]
        view = self.data[start : start + length + CHUNK_OVERHEAD]
        body = memoryview(view)
        found, there = CHUNK_START.unpack(body[:8])
        data = body[8 : 8 + length]
        if (found, there) != (length, kind) or zlib.crc32(data, zlib.crc32(kind)).to_bytes(4, "little") != body[-4:]:
            raise CorruptFileError(f"tile {number} is not where the index says, or is damaged")
        told, at = unpack_varint(data, 0)
        if told != number:
            raise CorruptFileError(f"tile {told} stands where tile {number} must")
        return data[at:]


def parse_indexed(data: Source, *, max_pixels: int | None = None) -> File | None:
    """The structure of a file with an index, without its tiles, which are read when they are wanted; None where it has
    no index near its start, or one that does not tell where they are, as other chunks may stand among them. So a part
    of a large file, or of one far away, costs little reading.

    Raises: as `walk`, for what has been read.
    """
    ancillary: dict[str, bytes] = {}
    for header, chunk in islice(walk(data, max_pixels=max_pixels, tiles=False), INDEX_WITHIN):
        if chunk.type in ONCE:
            ancillary[chunk.type] = bytes(chunk.data)
        if chunk.type == INDEX:
            chunks, first = header.grid[0] * header.grid[1] * len(kinds_of(header)), chunk.start + chunk.size
            lengths = unpack_index(chunk.data) if len(chunk.data) <= VARINT_MAX * chunks else []
            if len(lengths) != chunks or first + sum(lengths) + CHUNK_OVERHEAD * chunks != len(data):
                return None  # other chunks among the tiles, or a wrong index: `parse` tells
            tiles = Indexed(data, header, first, lengths)
            return File(len(data), header, tiles, metadata_of(ancillary), ancillary.get(PREVIEW))
    return None


def check_header(header: Header, file_size: int, max_pixels: int | None) -> None:
    """Refuse a size before anything is allocated for it: by the caller's limit, then by what the file can hold [H7].

    Raises: LimitError, TruncatedError.
    """
    check_size(header.width, header.height, max_pixels, header.tile_side)
    rows, columns = header.grid
    if rows * columns * TILE_SMALLEST > file_size:
        raise TruncatedError(f"the file is too short for its {rows * columns} tiles")
