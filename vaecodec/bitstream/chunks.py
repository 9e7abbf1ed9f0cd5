"""The outermost layer of a `.vaec` file: its signature, and chunks with their checksums. See bitstream_spec.md.

Standard library only: `vaecodec info` must not load a network. All integers are little-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Container, Iterator
from typing import NamedTuple, Protocol

from vaecodec.errors import CorruptFileError, NotVaecError, TruncatedError

# The high bit shows 7-bit transport, CR LF shows a newline conversion, 0x1A stops a DOS `type`.
SIGNATURE = b"\x9bVAEC\r\n\x1a"
CHUNK_OVERHEAD = 12  # length, type, CRC
VARINT_MAX = 5  # bytes
CHUNK_START = struct.Struct("<I4s")


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
        """Whether a decoder that does not know it must give up."""
        return self.type[0].isupper()


def pack_chunk(kind: str, data: bytes) -> bytes:
    """length (u32), type (4 letters), data, CRC-32 (u32) of type and data."""
    body = kind.encode("ascii") + data
    return struct.pack("<I", len(data)) + body + struct.pack("<I", zlib.crc32(body))


def read_chunks(data: Source, stop: Container[str] = ()) -> Iterator[Chunk]:
    """The chunks of a file, each checked before it is given out; up to the first of a type in `stop`.

    Raises: NotVaecError, TruncatedError, CorruptFileError.
    """
    view = memoryview(data) if isinstance(data, (bytes, bytearray, memoryview)) else data
    check_signature(bytes(view[: len(SIGNATURE)]))
    at, end = len(SIGNATURE), len(view)
    while at < end:
        if end - at < CHUNK_OVERHEAD:
            raise TruncatedError(f"the file ends at byte {end}, inside a chunk")
        length, kind = CHUNK_START.unpack(view[at : at + 8])
        if not (kind.isalpha() and kind.isascii() and kind[2:3].isupper()):
            raise CorruptFileError(f"no chunk type at byte {at + 4}")
        if kind.decode() in stop:
            return
        if length > end - at - CHUNK_OVERHEAD:
            raise TruncatedError(f"chunk {kind.decode()} at byte {at} reaches past the end of the file")
        body = view[at + 8 : at + 12 + length]
        data = body[:length]
        if zlib.crc32(data, zlib.crc32(kind)).to_bytes(4, "little") != body[length:]:
            raise CorruptFileError(f"chunk {kind.decode()} at byte {at} has a wrong checksum")
        yield Chunk(kind.decode(), at, data)
        at += length + CHUNK_OVERHEAD


def check_signature(head: bytes) -> None:
    """Of the first bytes of a file. Raises: NotVaecError, TruncatedError."""
    if head == SIGNATURE:
        return
    if head and SIGNATURE.startswith(head):
        raise TruncatedError("the file ends inside the signature")
    if head[:5] == SIGNATURE[:5]:
        raise NotVaecError("the signature is damaged: the file was probably transferred as text")
    raise NotVaecError("not a .vaec file")


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
    for n in range(VARINT_MAX):
        if at + n >= len(data):
            raise CorruptFileError("a number is cut off")
        byte = data[at + n]
        value |= (byte & 127) << (7 * n)
        if byte < 128:
            if n and not byte:
                raise CorruptFileError("a number is not in its shortest form")
            return value, at + n + 1
    raise CorruptFileError("a number has more than 5 bytes")
