"""Files with exactly one thing wrong."""

from __future__ import annotations

from typing import Any

from tests.forgery import packed_fields, unpacked
from vaecodec.bitstream.chunks import SIGNATURE, pack_chunk, read_chunks
from vaecodec.bitstream.container import parse
from vaecodec.bitstream.tiles import Tile

Chunks = list[tuple[str, bytes]]


def split(data: bytes) -> Chunks:
    return [(c.type, bytes(c.data)) for c in read_chunks(data)]


def join(chunks: Chunks) -> bytes:
    return SIGNATURE + b"".join(pack_chunk(kind, body) for kind, body in chunks)


def with_header(data: bytes, **fields: Any) -> bytes:
    """The file with other header fields (`forgery.unpacked`), None for those that go; the checksum is right."""
    chunks = split(data)
    changed = {name: value for name, value in (unpacked(chunks[0][1]) | fields).items() if value is not None}
    return join([("HEAD", packed_fields(changed)), *chunks[1:]])


def with_tile(data: bytes, body: bytes) -> bytes:
    """The file with its first tile replaced, without an index."""
    chunks = [chunk for chunk in split(data) if chunk[0] != "tIDX"]
    first = next(i for i, (kind, _) in enumerate(chunks) if kind == "TILE")
    return join([*chunks[:first], ("TILE", b"\0" + body), *chunks[first + 1 :]])


def first_tile(data: bytes) -> Tile:
    file = parse(data)
    return file.tiles[0].tile(file.header)
