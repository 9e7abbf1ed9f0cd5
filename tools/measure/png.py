"""Time and size of decoded pictures as PNG files, by level of zlib.

    python -m tools.measure.png PICTURES... [--qualities 50,75,90] [--levels 1,2,3,4,6]

Every picture is coded and decoded at each quality, and written at each level: by the package's own writer, and for
comparison by Pillow at its level 4. The table has processor time for a megapixel, the median of some repetitions, and
bytes for a pixel, both over all pictures.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from tools.train.data import load
from vaecodec import Codec, Picture
from vaecodec.pictures.png import write_png

REPEATS = 5
PILLOW = 4  # its level that was used before


def ours(pixels: np.ndarray, level: int) -> int:
    """Bytes of the file."""
    target = BytesIO()
    write_png(Picture(pixels), target, level)
    return target.tell()


def pillows(pixels: np.ndarray, level: int) -> int:
    """The same by Pillow."""
    target = BytesIO()
    Image.fromarray(pixels).save(target, "PNG", compress_level=level)
    return target.tell()


def measured(write: Callable[[np.ndarray, int], int], level: int, pictures: list[np.ndarray]) -> tuple[float, float]:
    """Milliseconds for a megapixel, and bytes for a pixel."""
    seconds, size = 0.0, 0
    for pixels in pictures:
        times = []
        for _ in range(REPEATS):
            start = time.process_time()
            length = write(pixels, level)
            times.append(time.process_time() - start)
        seconds, size = seconds + statistics.median(times), size + length
    count = sum(pixels.shape[0] * pixels.shape[1] for pixels in pictures)
    return seconds / count * 1e9, size / count


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--qualities", default="50,75,90")
    p.add_argument("--levels", default="1,2,3,4,6")
    args = p.parse_args()
    codec, qualities = Codec(threads=1), [float(q) for q in args.qualities.split(",")]
    exact = [load(path) for path in args.pictures]
    decoded = {q: [codec.decode(codec.encode(pixels, q, effort=2)).pixels for pixels in exact] for q in qualities}
    print("| level |" + "".join(f" q {q:g}, ms/Mpx | bytes/pixel |" for q in qualities))
    print("| --- |" + " ---: | ---: |" * len(qualities))
    rows = [(str(level), ours, int(level)) for level in args.levels.split(",")]
    for name, write, level in [*rows, (f"Pillow, {PILLOW}", pillows, PILLOW)]:
        cells = [measured(write, level, decoded[q]) for q in qualities]
        print(f"| {name} |" + "".join(f" {ms:.0f} | {size:.3f} |" for ms, size in cells), flush=True)


if __name__ == "__main__":
    main()
