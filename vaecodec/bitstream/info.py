"""What a file says about itself, without decoding it. Needs neither torch nor NumPy."""

from __future__ import annotations

from dataclasses import dataclass

from vaecodec.arguments import BytesLike, as_bytes
from vaecodec.bitstream import container
from vaecodec.bitstream.cicp import name_of
from vaecodec.bitstream.container import CHUNK_OVERHEAD
from vaecodec.files import OnDemand


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
    parts: dict[str, int]

    @property
    def bpp(self) -> float:
        """Bits per pixel of the whole file."""
        return self.size * 8 / (self.width * self.height)


def read_info(data: BytesLike | OnDemand) -> Info:
    """Look through a file's structure, checksums included, without keeping any of it.

    Raises: NotVaecError, TruncatedError, CorruptFileError, UnsupportedError.
    """
    parts = {"framing": len(container.SIGNATURE), "header": 0, "lanes": 0}
    parts |= dict.fromkeys(container.SECTIONS, 0) | dict.fromkeys(container.METADATA, 0) | {"other": 0}
    names = {"HEAD": "header"} | {kind: name for name, kind in container.METADATA.items()}
    tiles, space = 0, ""
    for header, chunk in container.walk(data if isinstance(data, OnDemand) else as_bytes(data)):
        parts["framing"] += CHUNK_OVERHEAD
        if chunk.type != "TILE":
            parts[names.get(chunk.type, "other")] += len(chunk.data)
            if chunk.type == "cICP":
                space = name_of(bytes(chunk.data))
            continue
        tiles += 1
        _, at = container.unpack_varint(chunk.data, 0)
        tile = container.unpack_tile(header, chunk.data[at:])
        parts["lanes"] += len(tile.states)
        for name, section in zip(container.SECTIONS, tile.sections, strict=True):
            parts[name] += len(section)
        parts["framing"] += len(chunk.data) - len(tile.states) - sum(map(len, tile.sections))
    return Info(
        size=sum(parts.values()),
        width=header.width,
        height=header.height,
        colour=container.COLOURS[header.colour],
        colour_space=space or ("ICC profile" if parts["icc"] else "sRGB"),
        depth=header.depth,
        quality=header.quality / 10,
        version=header.version,
        model=header.model,
        model_hash=header.model_hash.hex(),
        tile_side=header.tile_side,
        tiles=tiles,
        parts=parts,
    )
