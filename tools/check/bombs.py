"""Small files that say much: python -m tools.check.bombs [NAME...]

Files made to cost as much as they can for their size, thin, tall and square, are read in every way, each by a process
of its own (on Unix): whole, in part, a region, an eighth, the preview, a thumbnail, by Pillow, `info`; pictures are
encoded. Each is compared with an ordinary square picture that is as much work (`limits.worked`), by a line through two
sizes of it. Printed are the exit codes, and the most that a way took beyond that square, in processor seconds and
megabytes. A bomb may take a second for each megapixel of work, half a second for each megabyte of its file and at the
least, and 500 MB; what takes more, or ends in a traceback, is marked with "!", and the exit code is 1.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from vaecodec.bitstream import container
from vaecodec.bitstream.chunks import SIGNATURE, pack_chunk
from vaecodec.bitstream.header import PROGRESSIVE, RGB, RGB_ALPHA, Header
from vaecodec.bitstream.limits import MAX_PIXELS, MAX_SIDE, worked
from vaecodec.bitstream.tiles import Tile, tile_chunks
from vaecodec.cli import main as main_of_vaecodec
from vaecodec.codec import Codec
from vaecodec.model.weights import DEFAULT, load
from vaecodec.pillow_plugin import register

PLUGIN = "plugin"  # in place of a command: Pillow opens the file
MORE_SECONDS, MORE_MB = 1.0, 500  # for each megapixel of work, and in all
LEAST_SECONDS = 0.5
SECONDS_A_MB = 0.5  # of a file, for its checksums and chunks; an ordinary one of a megabyte holds some megapixels
WAYS = {
    "decode": ["decode"],
    "partial": ["decode", "--partial"],
    "region": ["decode", "--region", "0,0,1,1"],
    "1/8": ["decode", "--scale", "1/8"],
    "preview": ["decode", "--preview"],
    "thumbnail": ["thumbnail"],
    "plugin": [PLUGIN],
    "info": ["info"],
}
SQUARES = (512, 1984)  # sides of the ordinary pictures, which get no preview


@dataclass(frozen=True)
class Bomb:
    """A file, and the pixels of a square that is as much work."""

    data: bytes
    work: int
    encoded: bool = False  # a picture, to encode


def header(width: int, height: int, **fields: int) -> Header:
    weights = load(DEFAULT)
    values = {"colour": RGB, "quality": 0} | fields
    return Header(width, height, model=weights.name, model_hash=weights.hash, **values)


def start(head: Header) -> bytes:
    return SIGNATURE + pack_chunk("HEAD", head.pack())


def file(head: Header, tile: Tile | None, *others: bytes) -> Bomb:
    """A file all of whose tiles are alike."""
    rows, columns = head.grid
    chunks = [tile_chunks(n, tile, head.progressive) for n in range(rows * columns)] if tile else []
    data = start(head) + b"".join([*others, *(chunk for of_kind in zip(*chunks, strict=True) for chunk in of_kind)])
    return Bomb(data, worked(head.width, head.height, head.tile_side))


def one_lane(words: bytes = b"", state: int = 65536) -> Tile:
    """All symbols in one lane, which needs as many rounds."""
    return Tile.empty(0, struct.pack("<I", state)).having(z=words)


def overlay(width: int, height: int) -> bytes:
    """The shortest lossless WebP of one colour."""
    stream = BytesIO()
    Image.new("RGBA", (width, height), (1, 2, 3, 255)).save(stream, "WEBP", lossless=True)
    return stream.getvalue()[20:]


def png(width: int, height: int) -> Bomb:
    """Noise, one row or one column of it over and over, in a small file."""
    part = np.random.default_rng(0).integers(0, 256, (min(height, 64), min(width, 64), 3), np.uint8)
    pixels = np.resize(part, (height, width, 3))
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return Bomb(stream.getvalue(), worked(width, height, 1024), True)


def coded(side: int, width: int, height: int) -> Bomb:
    """A file of tiles that are alike, and have latents."""
    flat = np.full((min(side, height), min(side, width), 3), 99, np.uint8)
    tile = container.parse(Codec(threads=1).encode(flat, 0, tile=side, effort=2)).unpacked()[0]
    return file(header(width, height, tile=side // 64), tile)


def alone(width: int, height: int) -> Bomb:
    """A file that ends behind its header."""
    return Bomb(start(header(width, height)), 2**20)


def preview() -> Bomb:
    """A preview far larger than one may be."""
    stream = BytesIO()
    Image.new("RGB", (16383, 16383)).save(stream, "WEBP", quality=1)
    return file(header(1, 1), Tile.empty(), pack_chunk("pREV", stream.getvalue()))


def alpha(head: Header) -> Bomb:
    """Transparency that unpacks to many times its bytes."""
    section = overlay(*head.tile_box(0)[:1:-1])
    return file(replace(head, colour=RGB_ALPHA, alpha=2), Tile.empty().having(alpha=section))


def covered(head: Header) -> Bomb:
    """Tiles under overlays of one colour."""
    return file(head, Tile.empty().having(overlay=overlay(*head.tile_box(0)[:1:-1])))


def bombs() -> Iterator[tuple[str, Callable[[], Bomb]]]:
    """Their names, and how they are made."""
    square, long = header(1024, 1024), header(MAX_SIDE, 1)
    side, empty = 2**31 - 1, Tile.empty()
    yield "the header of 2^62 pixels alone", lambda: alone(side, side)
    yield "the header of 2^25 x 1 alone", lambda: alone(2**25, 1)
    yield "the header of 1 x 2^25 alone", lambda: alone(1, 2**25)
    yield "2^24 x 1, no latents", lambda: file(header(2**24, 1), empty)
    yield "1 x 2^17, no latents", lambda: file(header(1, 2**17), empty)
    yield "32768 x 1, no latents", lambda: file(long, empty)
    yield "1 x 16384, tiles of 64", lambda: coded(64, 1, 16384)
    yield "16384 x 1, tiles of 64", lambda: coded(64, 16384, 1)
    yield "1 x 32768", lambda: coded(1024, 1, 32768)
    yield "32768 x 1", lambda: coded(1024, 32768, 1)
    yield "32768 x 1024, no latents", lambda: file(header(MAX_SIDE, 1024), empty)
    yield "1024 x 32768, no latents", lambda: file(header(1024, MAX_SIDE), empty)
    yield "32768 x 512", lambda: coded(1024, 32768, 512)
    yield "1 x 16384, one lane to a tile of 64", lambda: file(header(1, 16384, tile=1), one_lane())
    yield "4096 x 4096, each tile of 64 damaged", lambda: file(header(4096, 4096, tile=1), one_lane(bytes(400), 99999))
    yield "a megapixel without latents", lambda: file(square, empty)
    yield "a megapixel, one lane without words", lambda: file(square, one_lane())
    yield "a megapixel, one lane, four words", lambda: file(square, one_lane(bytes(8)))
    yield "a megapixel of alpha", lambda: alpha(square)
    yield "32768 x 1 of alpha", lambda: alpha(long)
    yield "a megapixel under overlays", lambda: covered(square)
    yield "32768 x 1 under overlays", lambda: covered(long)
    yield "a preview of 268 megapixels", preview
    yield "67 megapixels without latents", lambda: file(header(8192, 8192), empty)
    yield "67 megapixels under overlays", lambda: covered(header(8192, 8192))
    yield "2 MB of empty chunks", lambda: file(header(1, 1), empty, pack_chunk("noNe", b"") * 166_000)
    yield "48 MB of empty chunks", lambda: file(header(1, 1), empty, pack_chunk("noNe", b"") * 4_000_000)
    yield "48 MB of index", lambda: file(header(1, 1), empty, pack_chunk("tIDX", b"\1" * 48_000_000))
    yield "67 megapixels in parts", lambda: file(header(8192, 8192, tile=1, features=PROGRESSIVE), one_lane())
    yield "419 megapixels without latents", lambda: file(header(20480, 20480), empty)
    yield "2^30 pixels without latents", lambda: file(header(2**15, 2**15), empty)
    yield "a PNG of 2^22 x 1", lambda: png(2**22, 1)
    yield "a PNG of 32768 x 1", lambda: png(MAX_SIDE, 1)
    yield "a PNG of 1 x 32768", lambda: png(1, MAX_SIDE)
    yield "a PNG of 32768 x 512", lambda: png(MAX_SIDE, 512)


def run(data: bytes, *command: str) -> tuple[int, float, float]:
    """The exit code of a command, or less the signal that ended it, processor seconds and peak megabytes: in a fork of
    this process, which has loaded PyTorch."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "a.vaec" if data[:8] == SIGNATURE else "a.png")
        source.write_bytes(data)
        alone = command[0] in (PLUGIN, "info")
        threads = ["--threads", "1"] if command[0] in ("encode", "decode") else []
        target = Path(folder, "out.vaec" if command[0] == "encode" else "out.png")
        arguments = [*command, *threads, str(source), *([] if alone else [str(target)])]
        child = os.fork()
        if not child:
            os._exit(silently(arguments))
        _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3


def silently(arguments: list[str]) -> int:
    """The exit code of a command whose words go nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    try:
        plugin(arguments[1]) if arguments[0] == PLUGIN else main_of_vaecodec(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # a traceback
        return 70
    return 0


def plugin(source: str) -> None:
    """Exits with 1 where Pillow cannot load a file."""
    register()
    try:
        with Image.open(source) as image:
            image.load()
    except (OSError, Image.DecompressionBombError) as error:  # the latter is Pillow's own limit
        sys.exit(str(error))


class Squares:
    """What ordinary square pictures take, by a line through two of them; nothing is less than a pixel's."""

    def __init__(self) -> None:
        self.costs: dict[str, list[tuple[float, float]]] = {}

    def __call__(self, way: str, work: int) -> tuple[float, float]:
        """Seconds and megabytes."""
        if way not in self.costs:
            command = ["encode"] if way == "encode" else WAYS[way]
            self.costs[way] = [run(self.picture(way, side), *command)[1:] for side in SQUARES]
        (s0, m0), (s1, m1) = self.costs[way]
        share = (work - SQUARES[0] ** 2) / (SQUARES[1] ** 2 - SQUARES[0] ** 2)
        return max(0.0, s0 + share * (s1 - s0)), max(m0 + share * (m1 - m0), min(m0, m1))

    @staticmethod
    def picture(way: str, side: int) -> bytes:
        rng = np.random.default_rng(0)
        small = Image.fromarray(rng.integers(0, 256, (side // 16, side // 16, 3), np.uint8))
        pixels = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))
        if way != "encode":
            return Codec(threads=1).encode(pixels, 50)
        stream = BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return stream.getvalue()


def main() -> int:
    squares, failed = Squares(), False
    ways = ", ".join(WAYS)
    print(f"| file | bytes | Mpx of work | exit codes ({ways}; or encode) | s more, at most | MB more, at most |")
    print("| --- | ---: | ---: | --- | --- | --- |")
    for name, make in bombs():
        if sys.argv[1:] and not any(wanted in name for wanted in sys.argv[1:]):
            continue
        bomb = make()
        work = min(bomb.work, 2 * MAX_PIXELS)
        codes, seconds, megabytes = [], {}, {}
        for way, command in {"encode": ["encode"]}.items() if bomb.encoded else WAYS.items():
            code, taken, used = run(bomb.data, *command)
            ordinary = squares(way, work)
            codes.append(str(code))
            seconds[way], megabytes[way] = max(0.0, taken - ordinary[0]), max(0.0, used - ordinary[1])
        slow, large = max(seconds, key=seconds.__getitem__), max(megabytes, key=megabytes.__getitem__)
        allowed = max(LEAST_SECONDS, MORE_SECONDS * work / 1e6, SECONDS_A_MB * len(bomb.data) / 1e6)
        bad = (
            seconds[slow] > allowed
            or megabytes[large] > MORE_MB
            or any(int(code) not in (0, 1, 3, 5) for code in codes)
        )
        failed |= bad
        print(
            f"| {name} | {len(bomb.data)} | {bomb.work / 1e6:.1f} | {' '.join(codes)} | {seconds[slow]:.1f} ({slow}) "
            f"| {megabytes[large]:.0f} ({large}){' !' if bad else ''} |",
            flush=True,
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
