"""Tiles of a `.vaec` file: the sections of a chunk TILE, or of its parts in several. Standard library only.

See bitstream_spec.md, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from vaecodec.bitstream.chunks import CHUNK_OVERHEAD, pack_chunk, pack_varint, unpack_varint
from vaecodec.bitstream.header import ALPHA_CODED, Header
from vaecodec.errors import CorruptFileError

LANES_LOG2_MAX = 7
EMPTY = 8  # in place of log2 of lanes: the tile has no latents
# In the order of the file. `high` is what is left of a chunk: so a file that is cut off has the others.
SECTIONS = ("escapes", "z", "low", "filter", "alpha", "overlay", "high")
PARTS = ("BASE", "LOWC", "HIGH")  # the chunks of a tile in a progressive file, which end behind these sections:
ENDS = ("z", "overlay", "high")
WORDS = ("z", "low", "high")  # one stream of 16-bit words, cut in three
FLAGS = {"escapes": 16, "filter": 32, "alpha": 64, "overlay": 128}  # set where a section is not empty
TILE_SMALLEST = CHUNK_OVERHEAD + 2  # a tile chunk: its number and its flags

Bytes = memoryview | bytes


@dataclass(frozen=True)
class Tile:
    """The sections of a tile."""

    lanes_log2: int  # or EMPTY
    states: Bytes = b""  # 4 bytes a lane
    escapes: Bytes = b""
    z: Bytes = b""
    low: Bytes = b""
    filter: Bytes = b""
    alpha: Bytes = b""
    overlay: Bytes = b""
    high: Bytes = b""
    truncated: bool = False  # whether the end is missing

    @classmethod
    def empty(cls, lanes_log2: int = EMPTY, states: Bytes = b"") -> Tile:
        """A tile whose y_hat is 0: an overlay hides what the networks would make. Or one to be filled (`having`)."""
        return cls(lanes_log2, states)

    def having(self, **sections: bytes) -> Tile:
        """The same tile with other sections of these names."""
        return replace(self, **sections)  # type: ignore[arg-type]

    @property
    def words(self) -> tuple[Bytes, ...]:
        """Sections z, low and high."""
        return self.z, self.low, self.high

    @property
    def sections(self) -> tuple[Bytes, ...]:
        """In the order of SECTIONS."""
        return tuple(getattr(self, name) for name in SECTIONS)

    def pack(self) -> bytes:
        """What stands in a chunk TILE behind the tile's number."""
        return b"".join(self.split())

    def split(self) -> tuple[bytes, ...]:
        """The same in three parts, which in a progressive file stand in PARTS."""
        flags = self.lanes_log2 | sum(flag for name, flag in FLAGS.items() if getattr(self, name))
        lengths = b"".join(pack_varint(len(getattr(self, name))) for name in sized(flags))
        parts = [[bytes([flags]), lengths, bytes(self.states)], [], []]
        for name in SECTIONS:
            parts[part_of(name)].append(bytes(getattr(self, name)))
        return tuple(map(b"".join, parts))

    @classmethod
    def unpack(cls, data: memoryview, truncated: bool = False) -> Tile:
        """Raises CorruptFileError where lengths and data disagree. truncated: whether data may end too early."""
        lanes_log2, lengths, at = read_head(data)
        missing = sum(lengths.values()) - (len(data) - at)
        if missing > 0 and not truncated:
            raise CorruptFileError("a tile's section lengths are more than its size")
        parts = {}
        for name, n in lengths.items():
            parts[name] = data[at : at + n]
            at += n
        parts["high"] = data[at:]
        if lanes_log2 == EMPTY and parts["high"]:
            raise CorruptFileError("a tile without latents has data for them")
        if any(len(parts[name]) % 2 for name in WORDS) and not truncated:
            raise CorruptFileError("a tile's coded section has an odd length")
        if truncated:  # whole words of what is coded, the other sections whole or not at all
            if len(parts["states"]) < lengths["states"]:
                raise CorruptFileError("a tile's entropy coder states are missing")
            parts |= {name: p[:0] for name, p in parts.items() if len(p) < lengths.get(name, 0) and name not in WORDS}
            parts |= {name: parts[name][: len(parts[name]) // 2 * 2] for name in WORDS}
        return cls(lanes_log2, **parts, truncated=truncated and lanes_log2 != EMPTY)


def sized(flags: int) -> list[str]:
    """The sections whose lengths a tile with these flags tells, in the order of the file."""
    latents = () if flags & 15 == EMPTY else ("z", "low")
    return [name for name in SECTIONS if name in latents or flags & FLAGS.get(name, 0)]


def read_head(data: memoryview) -> tuple[int, dict[str, int], int]:
    """What a tile begins with: log2 of its lanes, the lengths of its states and of all sections but `high`, and where
    these begin. Raises: CorruptFileError."""
    if not data or (data[0] & 15 > LANES_LOG2_MAX and data[0] & 15 != EMPTY):
        raise CorruptFileError("a tile's lane count is out of range")
    flags, lanes_log2, at = data[0], data[0] & 15, 1
    if lanes_log2 == EMPTY and flags & (FLAGS["escapes"] | FLAGS["filter"]):
        raise CorruptFileError("a tile without latents has data for them")
    lengths = {"states": 0 if lanes_log2 == EMPTY else 4 << lanes_log2} | dict.fromkeys(SECTIONS[:-1], 0)
    for name in sized(flags):
        lengths[name], at = unpack_varint(data, at)
        if name in FLAGS and not lengths[name]:
            raise CorruptFileError("a tile's section that could be left out is there")
    return lanes_log2, lengths, at


def part_of(section: str) -> int:
    """In which part of a tile a section stands."""
    return sum(SECTIONS.index(section) > SECTIONS.index(end) for end in ENDS)


class Coded(NamedTuple):
    """A tile as it lies in a file, without its number: in one part, or in those of PARTS that are there."""

    parts: tuple[memoryview, ...]

    def tile(self, header: Header, truncated: bool = False) -> Tile:
        """Its sections. truncated: whether the end may be missing. Raises: CorruptFileError."""
        data = self.parts[0] if len(self.parts) == 1 else memoryview(b"".join(self.parts))
        tile = Tile.unpack(data, truncated)
        if not truncated and header.progressive and tuple(map(len, self.parts)) != tuple(map(len, tile.split())):
            raise CorruptFileError("a tile is not divided where it must be")
        if bool(tile.alpha) != (header.alpha == ALPHA_CODED) and not tile.truncated:
            raise CorruptFileError("a tile's alpha section contradicts the header")
        return tile


def tile_chunks(number: int, tile: Tile, progressive: bool = False) -> list[bytes]:
    """The chunk of a tile, or those of its parts: its number in raster order, by which it is known when others are
    lost, and its content."""
    kinds, parts = (PARTS, tile.split()) if progressive else (("TILE",), (tile.pack(),))
    return [pack_chunk(kind, pack_varint(number) + part) for kind, part in zip(kinds, parts, strict=True)]
