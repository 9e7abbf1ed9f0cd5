"""Small files that say much: python tools/bombs.py

Files made to cost as much as they can for their size are decoded by the command line, with and without --partial and
--preview, each in a process of its own. Printed are how it ended, and the processor seconds and the peak memory beyond
those of a picture of one pixel.
"""

from __future__ import annotations

import struct
import sys
import tempfile
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.measured import vaecodec
from vaecodec import container
from vaecodec.container import Header, Tile, pack_chunk, tile_chunk
from vaecodec.weights import DEFAULT, load

WAYS: tuple[list[str], ...] = ([], ["--partial"], ["--preview"])


def header(width: int, height: int, **fields: int) -> Header:
    weights = load(DEFAULT)
    values = {"colour": container.RGB, "quality": 0, "tile": 16, "alpha": 0, "alpha_value": 0} | fields
    return Header(container.VERSION, width, height, depth=8, model=weights.name, model_hash=weights.hash, **values)


def file(head: Header, tiles: list[Tile], *others: bytes) -> bytes:
    chunks = [*others, *(tile_chunk(n, tile) for n, tile in enumerate(tiles)), pack_chunk("DONE", b"")]
    return container.SIGNATURE + pack_chunk("HEAD", head.pack()) + b"".join(chunks)


def one_lane(words: bytes = b"") -> Tile:
    return Tile(0, struct.pack("<I", 65536), (b"", words, b"", b"", b"", b""))


def overlay(side: int) -> bytes:
    """The shortest lossless WebP of a square of one colour."""
    stream = BytesIO()
    Image.new("RGBA", (side, side), (1, 2, 3, 255)).save(stream, "WEBP", lossless=True)
    return stream.getvalue()[20:]


def bombs() -> dict[str, bytes]:
    square = header(1024, 1024)
    alpha = Tile.empty().having(alpha=zlib.compress(bytes(1024 * 1025), 9))
    preview = BytesIO()
    Image.new("RGB", (16383, 16383)).save(preview, "WEBP", quality=1)
    covered = Tile.empty().having(overlay=overlay(1024))
    side = 2**31 - 1
    return {
        "the header of 2^62 pixels, no tile": file(header(side, side), []),
        "a megapixel, one tile without latents": file(square, [Tile.empty()]),
        "a megapixel, one lane without words": file(square, [one_lane()]),
        "a megapixel, one lane, four words": file(square, [one_lane(bytes(8))]),
        "a megapixel of alpha that inflates": file(replace(square, colour=container.RGB_ALPHA, alpha=2), [alpha]),
        "a megapixel under an overlay of one colour": file(square, [covered]),
        "a preview of 268 megapixels": file(header(1, 1), [Tile.empty()], pack_chunk("prev", preview.getvalue())),
        "67 megapixels, 64 tiles without latents": file(header(8192, 8192), [Tile.empty()] * 64),
        "67 megapixels, 64 overlays": file(header(8192, 8192), [covered] * 64),
        "268 megapixels, 256 tiles without latents": file(header(16384, 16384), [Tile.empty()] * 256),
        "419 megapixels, 400 tiles without latents": file(header(20480, 20480), [Tile.empty()] * 400),
    }


def run(data: bytes, options: list[str]) -> tuple[str, float, float]:
    """How decoding ends, processor seconds, peak megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "a.vaec")
        source.write_bytes(data)
        code, seconds, memory = vaecodec("decode", *options, "--threads", "1", source, source.with_suffix(".png"))
        return f"refused ({code})" if code else "decoded", seconds, memory / 1e6


def main() -> None:
    _, seconds, memory = run(file(header(1, 1), [Tile.empty()]), [])
    print(f"One pixel: {seconds:.1f} s, {memory:.0f} MB. What the others take besides:\n")
    print("| file | bytes | decode | s | MB | --partial | s | MB | --preview | s | MB |")
    print("| --- | ---: " + "| --- | ---: | ---: " * 3 + "|")
    for name, data in bombs().items():
        cells = [name, str(len(data))]
        for options in WAYS:
            end, s, mb = run(data, options)
            cells += [end, f"{max(s - seconds, 0):.1f}", f"{max(mb - memory, 0):.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
