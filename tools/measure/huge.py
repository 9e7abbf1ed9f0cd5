"""Time and memory of huge pictures.

    python -m tools.measure.huge PICTURES... [--megapixels 1,4,16,64,100] [--format ppm]

For each size a square picture is made of the pictures, side by side, and the command line encodes and decodes it, to
the same format, in a process of its own, whose processor time and peak memory the system tells. PPM and PNG files are
read and written by rows. The memory is that of the whole process:
Python, PyTorch and the model (the first row of the table: a picture of one pixel) are in it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tools.measure.measured import vaecodec
from tools.train.data import load
from vaecodec.pictures.picture import Picture, strips
from vaecodec.pictures.reading import read_picture
from vaecodec.pictures.writing import format_of, write_picture

ROWS = 256


def tiled(pictures: list[np.ndarray], side: int) -> np.ndarray:
    """(side, side, 3) of the pictures over and over, made row by row: see `Strips`."""
    h, w = (min(p.shape[axis] for p in pictures) for axis in (0, 1))
    columns = -(-side // w)

    def line(row: int) -> np.ndarray:
        chosen = [pictures[(row // h * columns + c) % len(pictures)] for c in range(columns)]
        return np.concatenate([p[row % h, :w] for p in chosen])[:side]

    return strips((side, side, 3), lambda first, last: np.stack([line(row) for row in range(first, last)]))


def run(*arguments: str | Path) -> tuple[float, float]:
    """Processor seconds and peak megabytes."""
    code, seconds, memory = vaecodec(*arguments)
    if code:
        sys.exit(f"vaecodec {' '.join(map(str, arguments))} failed")
    return seconds, memory / 1e6


def distance(a: Path, b: Path) -> float:
    """PSNR in dB of two picture files, by rows."""
    one, other = (read_picture(path, None, by_rows=True)[0].pixels for path in (a, b))
    total = 0.0
    for first in range(0, one.shape[0], ROWS):
        difference = one[first : first + ROWS].astype(np.int32) - other[first : first + ROWS]
        total += float(np.square(difference).sum(dtype=np.int64))
    return 10 * float(np.log10(255**2 * one.shape[0] * one.shape[1] * 3 / total))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--megapixels", default="1,4,16,64,100")
    p.add_argument("--format", default="ppm")
    p.add_argument("--quality", default="50")
    p.add_argument("--threads", default="1")
    args = p.parse_args()
    Image.MAX_IMAGE_PIXELS = None
    pictures = [load(path) for path in args.pictures]
    print("| megapixels | encode, s | s/Mpx | peak, MB | decode, s | s/Mpx | peak, MB | bpp | PSNR, dB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for size in ["0", *args.megapixels.split(",")]:
        side = max(1, round((float(size) * 1e6) ** 0.5))
        with tempfile.TemporaryDirectory() as folder:
            source, coded, back = (Path(folder, name) for name in ("a." + args.format, "a.vaec", "b." + args.format))
            with source.open("wb") as handle:
                write_picture(Picture(tiled(pictures, side)), handle, format_of(source))
            options = ["--threads", args.threads, "--max-pixels", "0"]
            encode = run("encode", source, coded, "-q", args.quality, *options)
            decode = run("decode", coded, back, *options)
            mega = side**2 / 1e6
            cells = [f"{mega:.4g}"]
            for seconds, memory in (encode, decode):
                cells += [f"{seconds:.1f}", f"{seconds / mega:.2f}" if float(size) else "", f"{memory:.0f}"]
            bpp = coded.stat().st_size * 8 / side**2
            cells += [f"{bpp:.3f}", f"{distance(source, back):.2f}"] if float(size) else ["", ""]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
