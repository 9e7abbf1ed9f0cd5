"""What each effort gains and costs: python tools/bench_effort.py PICTURES... [--efforts 1,2,3,...]

BD-rate of each effort against the first one and against JPEG (4:2:0, optimised, progressive), by the bytes of real
files and RGB-PSNR (PCHIP): of the mean curve, and the mean over pictures. And seconds for a megapixel to encode and to
decode, medians over the pictures.
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
from vaecodec.codec import Codec
from vaecodec.effort import EFFORTS

JPEG_QUALITIES = (5, 10, 20, 40, 65, 85, 94, 98)
COLUMNS = (
    "BD-rate against the first",
    "mean over pictures",
    "against JPEG",
    "mean over pictures",
    "encode, s/Mpx",
    "decode, s/Mpx",
)
Curves = dict[Path, list[tuple[float, float]]]  # of each picture: bpp, dB


def against(anchor: Curves, test: Curves) -> str:
    """BD-rate of the mean curve, and the mean over pictures."""
    whole = bd_rate(*(np.mean(list(curves.values()), axis=0).tolist() for curves in (anchor, test)))[0]
    each = statistics.mean(bd_rate(anchor[path], test[path])[0] for path in anchor)
    return f"{whole:+.2f} % | {each:+.2f} %"


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--efforts", default=",".join(map(str, EFFORTS)))
    p.add_argument("--qualities", default="20,40,60,80")
    p.add_argument("--model", type=Path)
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    codec, pictures = Codec(args.model), {path: load(path) for path in args.pictures}
    jpeg = {path: [jpeg_point(x, q) for q in JPEG_QUALITIES] for path, x in pictures.items()}
    first: Curves = {}
    print("| Effort |", " | ".join(COLUMNS), "|")
    print("|" + " ---: |" * (1 + len(COLUMNS)))
    for effort in map(int, args.efforts.split(",")):
        curves: Curves = {path: [] for path in pictures}
        times = []
        for quality in map(float, args.qualities.split(",")):
            for path, x in pictures.items():
                pixels = x.shape[0] * x.shape[1]
                start = time.perf_counter()
                data = codec.encode(x, quality, effort=effort)
                coded = time.perf_counter()
                decoded = codec.decode(data).pixels
                times.append([1e6 * t / pixels for t in (coded - start, time.perf_counter() - coded)])
                curves[path].append((8 * len(data) / pixels, psnr(x, decoded)))
        first = first or curves
        encode, decode = (statistics.median(t) for t in zip(*times, strict=True))
        rates = f"{against(first, curves)} | {against(jpeg, curves)}"
        print(f"| {effort} | {rates} | {encode:.2f} | {decode:.2f} |", flush=True)


if __name__ == "__main__":
    main()
