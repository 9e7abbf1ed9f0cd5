"""What each effort gains and costs: python -m tools.measure.effort PICTURES... [--efforts 1,2,3,...] [--structure]

BD-rate of each effort against the first one and against JPEG (4:2:0, optimised, progressive), by the bytes of real
files and RGB-PSNR (PCHIP): of the mean curve, and the mean over pictures. With --structure against the first one by
MS-SSIM (in dB) and SSIMULACRA2 too. And seconds for a megapixel to encode and to decode, medians over the pictures.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from tools.measure.bdrate import bd_rate
from tools.train.data import jpeg_point, load, psnr
from vaecodec.codec import Codec
from vaecodec.codec.defaults import EFFORTS
from vaecodec.metrics.scores import decibel, ms_ssim, ssimulacra2, ssimulacra2_source

JPEG_QUALITIES = (5, 10, 20, 40, 65, 85, 94, 98)
MEASURES = ("PSNR", "MS-SSIM", "SSIMULACRA2")
Curves = dict[Path, list[tuple[float, float]]]  # of each picture: bpp, and what it is measured by


def measures(x: np.ndarray, decoded: np.ndarray, structure: bool) -> list[float]:
    """By each of MEASURES, or by the first alone."""
    if not structure:
        return [psnr(x, decoded)]
    similar, score = ms_ssim(x, decoded), ssimulacra2(x, decoded, ssimulacra2_source())
    if similar is None or score is None:
        raise SystemExit("a picture is too small for MS-SSIM")
    return [psnr(x, decoded), decibel(similar), score]


def against(anchor: Curves, test: Curves) -> str:
    """BD-rate of the mean curve, and the mean over pictures."""
    whole = bd_rate(*(np.mean(list(curves.values()), axis=0).tolist() for curves in (anchor, test)))[0]
    each = statistics.mean(bd_rate(anchor[path], test[path])[0] for path in anchor)
    return f"{whole:+.2f} % | {each:+.2f} %"


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--efforts", default=",".join(map(str, EFFORTS)), help="with a tuning or not: 3,3:ssim")
    p.add_argument("--qualities", default="20,40,60,80")
    p.add_argument("--structure", action="store_true", help="MS-SSIM and SSIMULACRA2 too")
    p.add_argument("--model", type=Path)
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    codec, pictures = Codec(args.model, threads=args.threads), {path: load(path) for path in args.pictures}
    jpeg = {path: [jpeg_point(x, q) for q in JPEG_QUALITIES] for path, x in pictures.items()}
    used = MEASURES[: len(MEASURES) if args.structure else 1]
    first: list[Curves] = []
    pairs = [f"by {m} against the first" for m in used] + ["against JPEG"]
    columns = [c for pair in pairs for c in (pair, "mean over pictures")] + ["encode, s/Mpx", "decode, s/Mpx"]
    print("| Effort |", " | ".join(columns), "|")
    print("|" + " ---: |" * (1 + len(columns)))
    for name in args.efforts.split(","):
        effort, _, tune = name.partition(":")
        curves: list[Curves] = [{path: [] for path in pictures} for _ in used]
        times = []
        for quality in map(float, args.qualities.split(",")):
            for path, x in pictures.items():
                pixels = x.shape[0] * x.shape[1]
                start = time.perf_counter()
                data = codec.encode(x, quality, effort=int(effort), tune=tune or None)
                coded = time.perf_counter()
                decoded = codec.decode(data).pixels
                times.append([1e6 * t / pixels for t in (coded - start, time.perf_counter() - coded)])
                for curve, value in zip(curves, measures(x, decoded, args.structure), strict=True):
                    curve[path].append((8 * len(data) / pixels, value))
        first = first or curves
        encode, decode = (statistics.median(t) for t in zip(*times, strict=True))
        rates = [against(a, b) for a, b in zip([*first, jpeg], [*curves, curves[0]], strict=True)]
        print(f"| {name} | {' | '.join(rates)} | {encode:.2f} | {decode:.2f} |", flush=True)


if __name__ == "__main__":
    main()
