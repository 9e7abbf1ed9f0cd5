"""What each effort gains and costs: python tools/bench_effort.py PICTURES... [--efforts 1,2,3,...]

BD-rate of each effort against effort 1 and against JPEG (4:2:0, optimised, progressive), by the bytes of real files
and RGB-PSNR (PCHIP, mean curves), and seconds for a megapixel to encode and to decode, medians over the pictures.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.bdrate import bd_rate
from tools.data import jpeg_point, load, psnr
from vaecodec.codec import EFFORTS, Codec

JPEG_QUALITIES = (5, 10, 20, 40, 65, 85, 94, 98)
Point = tuple[float, float]  # bpp, dB


def mean(points: list[Point]) -> Point:
    rate, quality = np.mean(points, axis=0)
    return float(rate), float(quality)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--efforts", default=",".join(map(str, EFFORTS)))
    p.add_argument("--qualities", default="20,40,60,80")
    p.add_argument("--model", type=Path)
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    codec, pictures = Codec(args.model), [load(path) for path in args.pictures]
    jpeg = [mean([jpeg_point(x, q) for x in pictures]) for q in JPEG_QUALITIES]
    first: list[Point] = []
    print("| Effort | BD-rate against effort 1 | against JPEG | encode, s/Mpx | decode, s/Mpx |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for effort in map(int, args.efforts.split(",")):
        curve, times = [], []
        for quality in map(float, args.qualities.split(",")):
            points = []
            for x in pictures:
                pixels = x.shape[0] * x.shape[1]
                start = time.perf_counter()
                data = codec.encode(x, quality, effort=effort)
                coded = time.perf_counter()
                decoded = codec.decode(data).pixels
                times.append([1e6 * t / pixels for t in (coded - start, time.perf_counter() - coded)])
                points.append((8 * len(data) / pixels, psnr(x, decoded)))
            curve.append(mean(points))
        first = first or curve
        encode, decode = (statistics.median(t) for t in zip(*times, strict=True))
        rates = f"{bd_rate(first, curve)[0]:+.2f} % | {bd_rate(jpeg, curve)[0]:+.2f} %"
        print(f"| {effort} | {rates} | {encode:.2f} | {decode:.2f} |", flush=True)


if __name__ == "__main__":
    main()
