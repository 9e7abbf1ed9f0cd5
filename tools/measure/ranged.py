"""How much of a large file is read for a part of its picture: python -m tools.measure.ranged PICTURES...

Squares of the pictures side by side are coded at quality 75. Then regions of 512 x 512 in the middle of four tiles that
meet, along the diagonal, are decoded from a file that counts what is read of it. The largest figures are shown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from tools.measure.huge import tiled
from tools.train.data import load
from vaecodec.bitstream import container
from vaecodec.codec.codec import Codec
from vaecodec.pictures.picture import Picture
from vaecodec.remote import Ranged

SIDE = 512


class Counted(Ranged):
    """The bytes of a file as they are read from a server, and how many of them, in how many requests."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size, self.start, self.bytes, self.parts = data, len(data), b"", 0, 0

    def read(self, start: int, stop: int) -> bytes:
        self.bytes += stop - start
        self.parts += 1
        return self.data[start:stop]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--megapixels", default="12,100")
    args = p.parse_args()
    codec, pictures = Codec(), [load(path) for path in args.pictures]
    print("| megapixels | file, MB | read, kB | of the file | requests | s |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for mega in map(float, args.megapixels.split(",")):
        side = round((mega * 1e6) ** 0.5)
        data = b"".join(codec.encode_parts(Picture(tiled(pictures, side)), 75, effort=2))
        read, parts, seconds = map(max, zip(*regions(codec, data), strict=True))
        cells = f"{mega:g}", f"{len(data) / 1e6:.1f}", f"{read / 1e3:.0f}", f"{read / len(data):.1%}", str(parts)
        print(f"| {' | '.join(cells)} | {seconds:.2f} |", flush=True)


def regions(codec: Codec, data: bytes) -> Iterator[tuple[int, int, float]]:
    """Bytes, requests and seconds of a region around each corner of tiles along the diagonal."""
    header = container.parse(data, max_pixels=None).header
    for corner in range(header.tile_side, header.width - SIDE // 2, header.tile_side):
        file, first, start = Counted(data), corner - SIDE // 2, time.perf_counter()
        found = container.parse_indexed(file)
        assert found is not None
        codec.decode_region(found, (first, first, SIDE, SIDE))
        yield file.bytes, file.parts, time.perf_counter() - start


if __name__ == "__main__":
    main()
