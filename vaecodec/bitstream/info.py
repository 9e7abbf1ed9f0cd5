"""What a file says about itself, without decoding it. Needs neither torch nor NumPy."""

from __future__ import annotations

from dataclasses import dataclass

from vaecodec.arguments import Source, as_file, as_path, is_path, naming
from vaecodec.bitstream import container
from vaecodec.bitstream.chunks import CHUNK_OVERHEAD, SIGNATURE, unpack_varint
from vaecodec.bitstream.cicp import name_of
from vaecodec.bitstream.header import COLOURS
from vaecodec.bitstream.tiles import SECTIONS, read_head
from vaecodec.errors import CorruptFileError
from vaecodec.files import OnDemand
from vaecodec.remote import Ranged, Remote


@dataclass(frozen=True)
class Info:
    """The facts of a `.vaec` file. Sizes are bytes; `parts` adds up to `size`."""

    size: int
    width: int
    height: int
    colour: str
    colour_space: str  # in words
    depth: int
    quality: float  # 0..100
    version: int
    model: str
    model_hash: str
    tile_side: int
    tiles: int
    progressive: bool
    parts: dict[str, int]

    @property
    def bpp(self) -> float:
        """Bits per pixel of the whole file."""
        return self.size * 8 / (self.width * self.height)


def read_info(data: Source | OnDemand | Ranged) -> Info:
    """Look through a file's structure, checksums included, without keeping any of it.

    Of a file elsewhere only what is ahead of its tiles is read: `parts` has these as one, "tiles".
    Args: data: the file's bytes, its path or URL, or a file object, which is read from where it stands and not closed.
    Raises: NotVaecError, TruncatedError, CorruptFileError, UnsupportedError; OSError where it cannot be read.
    """
    with naming(data):
        if is_path(data) and isinstance(path := as_path(data), Remote):
            data = Ranged(path)
        return _info(data if isinstance(data, (OnDemand, Ranged)) else as_file(data))


def _info(data: bytes | OnDemand | Ranged) -> Info:
    parts = {"framing": len(SIGNATURE), "header": 0, "lanes": 0}
    parts |= dict.fromkeys(SECTIONS, 0) | dict.fromkeys(container.METADATA, 0) | {"other": 0}
    names = {"HEAD": "header"} | {kind: name for name, kind in container.METADATA.items()}
    tiles, space = 0, ""
    far = isinstance(data, Ranged)
    for header, chunk in container.walk(data, tiles=not far):  # noqa: B007 (the last one is returned)
        parts["framing"] += CHUNK_OVERHEAD
        if chunk.type not in container.TILES:
            parts[names.get(chunk.type, "other")] += len(chunk.data)
            if chunk.type == "cICP":
                space = name_of(bytes(chunk.data))
            continue
        _, at = unpack_varint(chunk.data, 0)
        content = chunk.data[at:]
        parts["framing"] += at
        if chunk.type == "HIGH":
            parts["high"] += len(content)
        elif chunk.type != "LOWC":
            tiles += 1
            _, lengths, begin = read_head(content)
            high = len(content) - begin - sum(lengths.values()) if chunk.type == "TILE" else 0
            if high < 0:
                raise CorruptFileError("a tile's section lengths are more than its size")
            parts["framing"] += begin
            parts["high"] += high
            parts["lanes"] += lengths.pop("states")
            for name, length in lengths.items():
                parts[name] += length
    if far:
        tiles = header.grid[0] * header.grid[1]
        parts = {name: size for name, size in parts.items() if name not in (*SECTIONS, "lanes")}
        parts["tiles"] = len(data) - sum(parts.values())
    return Info(
        size=sum(parts.values()),
        width=header.width,
        height=header.height,
        colour=COLOURS[header.colour],
        colour_space=space or ("ICC profile" if parts["icc"] else "sRGB"),
        depth=8,
        quality=header.quality / 10,
        version=header.version,
        model=header.model,
        model_hash=header.model_hash.hex(),
        tile_side=header.tile_side,
        tiles=tiles,
        progressive=header.progressive,
        parts=parts,
    )
