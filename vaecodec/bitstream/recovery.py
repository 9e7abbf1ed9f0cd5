"""What is left of a truncated or damaged file: every chunk that is whole, wherever it stands.

Standard library only, as container.py.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile

from vaecodec.bitstream import container
from vaecodec.bitstream.chunks import CHUNK_OVERHEAD, unpack_varint
from vaecodec.bitstream.cicp import SRGB, is_cicp
from vaecodec.bitstream.container import METADATA
from vaecodec.bitstream.header import Header
from vaecodec.bitstream.tiles import Coded
from vaecodec.errors import CorruptFileError, NotVaecError

WORK = 16  # bytes checked for each byte of the file, at most: names of chunks may occur by chance, or by malice


@dataclass(frozen=True)
class Recovered:
    """What is left of a file.

    tiles: those that are whole, by number. truncated: in the same way those of which a part is there, as the file ends
    in it or behind it. whole: whether the file has no fault.
    """

    header: Header
    tiles: dict[int, Coded]
    truncated: dict[int, Coded]
    metadata: dict[str, bytes]  # Picture field -> bytes
    whole: bool


def recover(data: bytes, max_pixels: int | None = None) -> Recovered:
    """Find the header, tiles and metadata of a file, by their checksums.

    Raises: NotVaecError, UnsupportedError, LimitError; CorruptFileError where the header is lost, TruncatedError where
        there is less left than its tiles take at the least.
    """
    try:
        container.parse(data)
        whole = True
    except NotVaecError:
        if b"HEAD" not in data[:64]:
            raise
        whole = False
    except CorruptFileError:  # truncated ones too
        whole = False
    heads = list(whole_chunks(data, b"HEAD"))
    if not heads:
        raise CorruptFileError("the header is lost, and with it everything")
    header = Header.unpack(heads[0])
    container.check_header(header, len(data), max_pixels)
    tiles, truncated = tiles_left(data, header)
    found = {name: list(whole_chunks(data, kind.encode())) for name, kind in METADATA.items()}
    metadata = {name: bytes(some[0]) for name, some in found.items() if some}
    if not is_cicp(metadata.get("cicp", SRGB)):
        del metadata["cicp"]
    return Recovered(header, tiles, truncated, metadata, whole)


def tiles_left(data: bytes, header: Header) -> tuple[dict[int, Coded], dict[int, Coded]]:
    """The tiles that are whole, and those whose beginning is there: all parts up to one that is lost or cut off."""
    kinds, count = [kind.encode() for kind in container.kinds_of(header)], header.grid[0] * header.grid[1]
    there = [numbered(whole_chunks(data, kind), count) for kind in kinds]
    ends = [numbered(truncated_chunk(data, kind), count) for kind in kinds]
    whole: dict[int, Coded] = {}
    begun: dict[int, Coded] = {}
    for number in range(count):
        parts = [of_kind[number] for of_kind in takewhile(lambda of, n=number: n in of, there)]  # type: ignore[misc]
        if len(parts) == len(kinds):
            whole[number] = Coded(tuple(parts))
            continue
        if number in ends[len(parts)]:
            parts.append(ends[len(parts)][number])
        if parts:
            begun[number] = Coded(tuple(parts))
    return whole, begun


def numbered(chunks: Iterable[memoryview], count: int) -> dict[int, memoryview]:
    """Tiles by their number, 0..count - 1, without it."""
    tiles: dict[int, memoryview] = {}
    for chunk in chunks:
        try:
            number, at = unpack_varint(chunk, 0)
        except CorruptFileError:
            continue
        if number < count:
            tiles.setdefault(number, chunk[at:])
    return tiles


def truncated_chunk(data: bytes, kind: bytes) -> Iterator[memoryview]:
    """What there is of the data of a chunk that the file ends in, if it is of that kind."""
    at = data.rfind(kind)
    if at >= 4:
        (length,) = struct.unpack_from("<I", data, at - 4)
        rest = memoryview(data)[at + 4 :]
        if len(rest) < length + 4:
            yield rest[:length]


def whole_chunks(data: bytes, kind: bytes) -> Iterator[memoryview]:
    """The data of every chunk of a kind whose checksum is right."""
    view, left, at = memoryview(data), WORK * len(data), -1
    while (at := data.find(kind, at + 1)) >= 0:
        if at < 4:
            continue
        (length,) = struct.unpack_from("<I", view, at - 4)
        if length + CHUNK_OVERHEAD > len(view) - at + 4:
            continue
        left -= length
        if left < 0:
            return
        (crc,) = struct.unpack_from("<I", view, at + 4 + length)
        if zlib.crc32(view[at : at + 4 + length]) == crc:
            yield view[at + 4 : at + 4 + length]
            at += 3 + length  # not within it
