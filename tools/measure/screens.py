"""Is a screen, a chart, a text or a drawing ever larger than its JPEG at the same PSNR?

    python -m tools.make.screens screens && python -m tools.measure.screens screens

For each picture and each quality of JPEG (Pillow, 4:4:4, optimised, progressive): the smallest file, over
whole qualities 0..100, whose PSNR reaches the JPEG's, and its size over the JPEG's. A picture that does not
reach it fails. Exits with 1 if any is larger or fails.
"""

from __future__ import annotations

import argparse
import io
import math
from pathlib import Path

import numpy as np
from PIL import Image

from vaecodec.bitstream import container
from vaecodec.codec import Codec
from vaecodec.metrics.scores import psnr

JPEG_QUALITIES = (50, 85)


class Curve:
    """Size and PSNR of one picture at whole qualities, each coded once."""

    def __init__(self, codec: Codec, pixels: np.ndarray) -> None:
        self.codec, self.pixels = codec, pixels
        self.points: dict[int, tuple[int, float, int]] = {}

    def at(self, quality: int) -> tuple[int, float, int]:
        """(bytes, PSNR, bytes in overlays)."""
        if quality not in self.points:
            data = self.codec.encode(self.pixels, quality)
            overlay = sum(len(tile.overlay) for tile in container.parse(data).unpacked())
            self.points[quality] = len(data), psnr(self.codec.decode(data).pixels, self.pixels), overlay
        return self.points[quality]

    def reach(self, target: float) -> tuple[int, int, float, int] | None:
        """(quality, bytes, PSNR, overlay) of the lowest quality that reaches a PSNR, by bisection."""
        low, high = -1, 100
        if self.at(high)[1] < target:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.at(middle)[1] >= target else (middle, high)
        return high, *self.at(high)


def jpeg(image: Image.Image, quality: int) -> tuple[int, float]:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True, subsampling="4:4:4")
    return buffer.tell(), psnr(np.asarray(Image.open(buffer).convert("RGB")), np.asarray(image))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    codec, failed, ratios = Codec(args.model, threads=args.threads), [], []
    print("| Picture | JPEG | dB | bytes | quality | dB | bytes | of it overlay | size over JPEG's |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for path in sorted(args.pictures.glob("*.png")):
        image = Image.open(path).convert("RGB")
        curve = Curve(codec, np.asarray(image))
        for quality in JPEG_QUALITIES:
            size, target = jpeg(image, quality)
            found = curve.reach(target)
            row = f"| {path.stem} | {quality} | {target:.2f} | {size} | "
            if found is None:
                failed.append(path.stem)
                print(row + f"| {curve.at(100)[1]:.2f} | {curve.at(100)[0]} | | not reached |", flush=True)
                continue
            q, own, reached, overlay = found
            ratios.append(own / size)
            failed += [path.stem] if own > size else []
            print(row + f"{q} | {reached:.2f} | {own} | {overlay / own:.0%} | {own / size:.3f} |", flush=True)
    print(f"\n{len(ratios)} reached, geometric mean {math.exp(np.mean(np.log(ratios))):.3f}, largest {max(ratios):.3f}")
    if failed:
        raise SystemExit("larger than its JPEG, or not reached: " + ", ".join(failed))


if __name__ == "__main__":
    main()
