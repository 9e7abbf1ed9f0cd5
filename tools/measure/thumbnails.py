"""Pillow's `thumbnail()` of `.vaec` files and of JPEG files, with `draft` and from the whole picture.

    python -m tools.measure.thumbnails PICTURES... [--sizes 64,96,160,256]

Each picture is coded at quality 75. The table has the mean PSNR of thumbnails by `draft` against those of the whole
decoded picture, and against those of the source, and seconds of processor time for a `.vaec` file.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path

import numpy as np
from PIL import Image

import vaecodec
from tools.train.data import psnr

QUALITY = 75
GAP = 2.0  # Pillow's own; without one it asks for no draft


def thumbnail(file: bytes, size: int, gap: float | None) -> tuple[np.ndarray, float]:
    """Pixels, and seconds."""
    image, start = Image.open(io.BytesIO(file)), time.process_time()
    image.thumbnail((size, size), reducing_gap=gap)
    return np.array(image), time.process_time() - start


def as_jpeg(image: Image.Image) -> bytes:
    target = io.BytesIO()
    image.save(target, "JPEG", quality=QUALITY)
    return target.getvalue()


def figures(path: Path, size: int) -> list[float]:
    """A line of the table for one picture."""
    with Image.open(path) as image:
        source = image.convert("RGB")
    wanted = source.copy()
    wanted.thumbnail((size, size), reducing_gap=None)
    found, times = list[float](), list[float]()
    for file in (vaecodec.encode(source, QUALITY), as_jpeg(source)):
        (draft, quick), (whole, slow) = (thumbnail(file, size, gap) for gap in (GAP, None))
        found += [min(psnr(draft, whole), 99), psnr(draft, np.array(wanted))]
        times += [quick, slow]
    return [*found, *times[:2]]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--sizes", default="64,96,160,256")
    args = p.parse_args()
    vaecodec.register()
    figures(args.pictures[0], 64)  # the first loads what all need
    print("| pixels | draft to whole | draft to source | JPEG: the same | JPEG: the same | s, draft | s, whole |")
    print("| ---: " * 7 + "|")
    for size in map(int, args.sizes.split(",")):
        *likeness, quick, slow = np.mean([figures(path, size) for path in args.pictures], axis=0)
        cells = [str(size), *(f"{value:.1f}" for value in likeness), f"{quick:.3f}", f"{slow:.3f}"]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
