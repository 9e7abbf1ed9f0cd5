"""Is line art with smooth edges as good as its AVIF of equal bytes?

    python -m tools.make.drawings drawings && python -m tools.measure.drawings drawings

For each picture and each quality: what the default effort makes of it, and what AVIF (Pillow's, speed 6, 4:4:4 and
4:2:0, libavif's default tuning) does in as many bytes, in a straight line between the two of its qualities about that
size. Exits with 1 if the mean PSNR at a quality is below that of either.
"""

from __future__ import annotations

import argparse
import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaecodec.bitstream import container
from vaecodec.codec import Codec
from vaecodec.metrics.scores import psnr, ssimulacra2, ssimulacra2_source

QUALITIES = (30.0, 50.0, 75.0)
SAMPLINGS = ("4:4:4", "4:2:0")
LOSSLESS = 80.0  # dB that an exact picture counts for, or no mean would be finite
Scores = NDArray[np.float64]  # PSNR, SSIMULACRA2
Pixels = NDArray[np.uint8]


def scores(pixels: Pixels, decoded: Pixels, source: str) -> Scores:
    similar = ssimulacra2(pixels, decoded, source)
    return np.array((min(psnr(pixels, decoded), LOSSLESS), math.nan if similar is None else similar))


class Avif:
    """The curve of one picture at whole qualities, each coded once."""

    def __init__(self, pixels: Pixels, sampling: str, source: str) -> None:
        self.pixels, self.sampling, self.source = pixels, sampling, source
        self.files: dict[int, bytes] = {}

    def file(self, quality: int) -> bytes:
        if quality not in self.files:
            buffer = io.BytesIO()
            how = {"quality": quality, "subsampling": self.sampling, "speed": 6, "max_threads": 1}
            Image.fromarray(self.pixels).save(buffer, "AVIF", **how)
            self.files[quality] = buffer.getvalue()
        return self.files[quality]

    def scores(self, quality: int) -> Scores:
        with Image.open(io.BytesIO(self.file(quality))) as image:
            return scores(self.pixels, np.asarray(image.convert("RGB")), self.source)

    def within(self, size: int) -> Scores:
        """What it gives in so many bytes."""
        low, high = 0, 100
        if len(self.file(high)) <= size:
            return self.scores(high)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if len(self.file(middle)) <= size else (low, middle)
        a, b = (math.log(len(self.file(quality))) for quality in (low, high))
        share = (math.log(size) - a) / (b - a)
        return (1 - share) * self.scores(low) + share * self.scores(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    codec, source = Codec(threads=args.threads), ssimulacra2_source()
    found: dict[float, list[list[Scores]]] = {quality: [] for quality in QUALITIES}
    print(f"SSIMULACRA2 by {source}\n")
    names = ("vaec", *(f"AVIF {sampling}" for sampling in SAMPLINGS))
    print("| Picture | quality | bytes | of it overlay |" + "".join(f" {n}, dB |" for n in names), end="")
    print("".join(f" {n}, SSIMULACRA2 |" for n in names) + "\n| --- |" + 9 * " ---: |", flush=True)
    for path in sorted(args.pictures.glob("*.png")):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        rivals = [Avif(pixels, sampling, source) for sampling in SAMPLINGS]
        for quality in QUALITIES:
            data = codec.encode(pixels, quality)
            overlay = sum(len(tile.overlay) for tile in container.parse(data).unpacked())
            row = [scores(pixels, codec.decode(data).pixels, source), *(rival.within(len(data)) for rival in rivals)]
            found[quality].append(row)
            print(f"| {path.stem} | {quality:g} | {len(data)} | {overlay / len(data):.0%} |" + columns(row), flush=True)
    below = []
    for quality, rows in found.items():
        means = list(np.mean(rows, axis=0))
        print(f"| mean | {quality:g} | | |" + columns(means))
        below += [f"{quality:g}"] if means[0][0] < max(mean[0] for mean in means[1:]) else []
    if below:
        raise SystemExit("below AVIF at quality " + ", ".join(below))


def columns(row: list[Scores]) -> str:
    return "".join(f" {s[0]:.2f} |" for s in row) + "".join(f" {s[1]:.1f} |" for s in row)


if __name__ == "__main__":
    main()
