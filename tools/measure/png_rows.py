"""Time and memory of a huge PNG file, written and read by rows, without the codec.

    python -m tools.measure.png_rows PICTURES... [--megapixels 100,400]

A square picture is made of the pictures, side by side. It is written by rows, read by rows as the encoder reads, a row
of tiles with a margin at a time, and loaded by Pillow, each in a process of its own. Seconds are the processor's, and
the memory is the peak of the whole process; what it had before, with the pictures, is in brackets.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vaecodec.pictures.picture import Picture, strips
from vaecodec.pictures.reading import read_picture
from vaecodec.pictures.writing import write_picture

TILE, MARGIN = 1024, 112


def write(path: Path, sources: list[Path], side: int) -> None:
    pixels = [np.asarray(Image.open(source).convert("RGB")) for source in sources]
    h, w = (min(p.shape[axis] for p in pixels) for axis in (0, 1))
    columns = [pixels[n % len(pixels)][:h, :w] for n in range(-(-side // w))]
    band = np.concatenate(columns, axis=1)[:, :side]
    del pixels, columns

    def fetch(first: int, last: int) -> np.ndarray:
        start, end = first % h, first % h + last - first
        return band[start:end] if end <= h else band.take(range(start, end), axis=0, mode="wrap")

    begin()
    with path.open("wb") as target:
        write_picture(Picture(strips((side, side, 3), fetch)), target, "PNG")


def read(path: Path, sources: list[Path], side: int) -> None:
    begin()
    pixels = read_picture(path, None, by_rows=True)[0].pixels
    for top in range(0, side, TILE):
        assert len(pixels[max(0, top - MARGIN) : top + TILE + MARGIN])


def load(path: Path, sources: list[Path], side: int) -> None:
    Image.MAX_IMAGE_PIXELS = None
    begin()
    with Image.open(path) as image:
        image.load()


started: list[float] = []  # seconds and megabytes


def begin() -> None:
    started[:] = time.process_time(), peak()


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def figures(work: Callable[..., None], *arguments: Any) -> str:
    work(*arguments)
    return f"{time.process_time() - started[0]:.1f} | {peak():.0f} ({started[1]:.0f})"


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--megapixels", default="100,400")
    args = p.parse_args()
    print("| megapixels | file, MB | write, s | peak, MB | read, s | peak, MB | Pillow, s | peak, MB |")
    print("|" + " ---: |" * 8)
    for size in args.megapixels.split(","):
        side = round((float(size) * 1e6) ** 0.5)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "a.png")
            cells = []
            for work in (write, read, load):
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    cells.append(pool.apply(figures, (work, path, args.pictures, side)))
            print(f"| {size} | {path.stat().st_size / 1e6:.0f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
