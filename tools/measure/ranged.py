"""How much of a large file is read for a part of its picture: python -m tools.measure.ranged PICTURES...

Squares of the pictures side by side are coded at quality 75. Then a region of 512 x 512 in the middle, where four tiles
meet if they are many, is decoded from a file that counts what is read of it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tools.measure.huge import tiled
from tools.train.data import load
from vaecodec.bitstream import container
from vaecodec.codec.codec import Codec
from vaecodec.pictures.picture import Picture

SIDE = 512


class Counted:
    """The bytes of a file, and how many of them were asked for, in how many parts."""

    def __init__(self, data: bytes) -> None:
        self.data, self.bytes, self.parts = data, 0, 0

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, part: slice) -> memoryview:
        wanted = memoryview(self.data)[part]
        self.bytes += len(wanted)
        self.parts += 1
        return wanted


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--megapixels", default="12,100")
    args = p.parse_args()
    codec, pictures = Codec(), [load(path) for path in args.pictures]
    print("| megapixels | file, MB | read, kB | of the file | parts | s |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for mega in map(float, args.megapixels.split(",")):
        side = round((mega * 1e6) ** 0.5)
        file = Counted(b"".join(codec.encode_parts(Picture(tiled(pictures, side)), 75, effort=2)))
        start, first = time.perf_counter(), (side - SIDE) // 2
        found = container.parse_indexed(file)
        assert found is not None
        codec.decode_region(found, (first, first, SIDE, SIDE))
        seconds, share = time.perf_counter() - start, file.bytes / len(file)
        cells = f"{mega:g}", f"{len(file) / 1e6:.1f}", f"{file.bytes / 1e3:.0f}", f"{share:.1%}", str(file.parts)
        print(f"| {' | '.join(cells)} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
