"""Files with exactly one thing wrong."""

from __future__ import annotations

import dataclasses
import struct

from vaecodec.bitstream.chunks import SIGNATURE, pack_chunk, read_chunks
from vaecodec.bitstream.container import parse
from vaecodec.bitstream.tiles import SECTIONS, Tile

Chunks = list[tuple[str, bytes]]


def split(data: bytes) -> Chunks:
    return [(c.type, bytes(c.data)) for c in read_chunks(data)]


def join(chunks: Chunks) -> bytes:
    return SIGNATURE + b"".join(pack_chunk(kind, body) for kind, body in chunks)


def with_header(data: bytes, offset: int, code: str, value: int) -> bytes:
    """The file with one header field overwritten, the checksum right again."""
    chunks = split(data)
    head = bytearray(chunks[0][1])
    struct.pack_into("<" + code, head, offset, value)
    return join([("HEAD", bytes(head)), *chunks[1:]])


def with_tile(data: bytes, body: bytes) -> bytes:
    """The file with its first tile replaced."""
    chunks = split(data)
    first = next(i for i, (kind, _) in enumerate(chunks) if kind == "TILE")
    return join([*chunks[:first], ("TILE", b"\0" + body), *chunks[first + 1 :]])


def first_tile(data: bytes) -> Tile:
    return Tile.unpack(parse(data).tiles[0])


def edit(tile: Tile, **sections: bytes) -> Tile:
    named = dict(zip(SECTIONS, tile.sections, strict=True)) | sections
    return dataclasses.replace(tile, sections=tuple(named.values()))
