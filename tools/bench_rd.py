"""Rate and distortion in real file bytes: python tools/bench_rd.py PICTURES [--csv FILE] [--sweep]

Codes every picture of a folder with vaecodec and with the codecs of Pillow, and prints the mean curves
(mean bits per pixel, mean RGB-PSNR of the decoded 8-bit pixels) and PCHIP BD-rates over the PSNR range
that two curves share. `--csv` keeps one row per picture, codec and setting. `--sweep` instead walks
vaecodec's dial in steps of 5 and checks that size and PSNR never fall. Needs the `bench` extra.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.bdrate import bd_rate
from tools.data import find_pictures, jpeg_point, load, psnr
from vaecodec.codec import Codec
from vaecodec.picture import Picture

SWEEP = range(0, 101, 5)
# The anchors' best settings for this measure. (JPEG's are in `jpeg_point`, which the trainer shares.)
PILLOW: dict[str, dict[str, Any]] = {
    "webp": {"method": 6},
    "avif": {"subsampling": "4:4:4", "speed": 6, "advanced": {"tune": "psnr"}},
}
PILLOW_QUALITIES = {"webp": (5, 20, 40, 60, 80, 95), "avif": (20, 35, 50, 65, 80, 92)}


@dataclass(frozen=True)
class Row:
    """One picture, coded once. Times are None where they were not taken."""

    dataset: str
    picture: str
    w: int
    h: int
    codec: str
    setting: int
    bytes: int
    bpp: float
    psnr: float
    enc_s: float | None
    dec_s: float | None


# (pixels, setting) -> bytes, PSNR, seconds to encode and to decode
Measure = Callable[[np.ndarray, int], tuple[int, float, float | None, float | None]]


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in text.split(","))


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, help="folder of pictures (searched recursively)")
    p.add_argument("--csv", type=Path, help="write one row per picture, codec and setting")
    p.add_argument("--qualities", type=numbers, default=(5, 20, 40, 60, 80, 95), help="of vaecodec")
    p.add_argument("--jpeg", type=numbers, default=(5, 10, 20, 40, 65, 85, 94, 98), help="qualities of JPEG")
    p.add_argument("--codecs", default=",".join(available()), help="anchors (default: %(default)s)")
    p.add_argument("--sweep", action="store_true", help="walk the quality dial and check that it is monotone")
    p.add_argument("--heldout", action="store_true", help="only the pictures that tools/heldout.txt names")
    p.add_argument("--model", type=Path, help="another model than the shipped one")
    p.add_argument("--threads", type=int, default=2)
    return p.parse_args()


def available() -> list[str]:
    return ["jpeg", *(name for name in PILLOW if features.check(name))]


def vaecodec(codec: Codec) -> Measure:
    def measure(x: np.ndarray, setting: int) -> tuple[int, float, float, float]:
        start = time.perf_counter()
        data = codec.encode(Picture(pixels=x), setting)
        middle = time.perf_counter()
        decoded = codec.decode(data).pixels
        return len(data), psnr(x, decoded), middle - start, time.perf_counter() - middle

    return measure


def jpeg(x: np.ndarray, setting: int) -> tuple[int, float, None, None]:
    bpp, decibel = jpeg_point(x, setting)
    return round(bpp * x.shape[0] * x.shape[1] / 8), decibel, None, None


def pillow(name: str, threads: int) -> Measure:
    options = PILLOW[name] | ({"max_threads": threads} if name == "avif" else {})

    def measure(x: np.ndarray, setting: int) -> tuple[int, float, float, float]:
        buffer, image = io.BytesIO(), Image.fromarray(x)
        start = time.perf_counter()
        image.save(buffer, name, quality=setting, **options)
        middle = time.perf_counter()
        decoded = np.asarray(Image.open(buffer).convert("RGB"))
        return buffer.tell(), psnr(x, decoded), middle - start, time.perf_counter() - middle

    return measure


def mean_curve(rows: Sequence[Row]) -> dict[int, tuple[float, float]]:
    """Setting -> mean bpp and mean PSNR over the pictures."""
    points: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        points.setdefault(row.setting, []).append((row.bpp, row.psnr))
    return {setting: (float(np.mean(p, 0)[0]), float(np.mean(p, 0)[1])) for setting, p in sorted(points.items())}


def report_curves(rows: Sequence[Row]) -> None:
    """Print the mean curves and the BD-rate of every codec against every anchor."""
    names = list(dict.fromkeys(row.codec for row in rows))
    curves = {name: mean_curve([row for row in rows if row.codec == name]) for name in names}
    print(f"{'codec':<10}{'setting':>8}{'bpp':>9}{'PSNR':>9}")
    for name, curve in curves.items():
        for setting, (bpp, decibel) in curve.items():
            print(f"{name:<10}{setting:>8}{bpp:>9.4f}{decibel:>9.3f}")
    print("\nBD-rate (PCHIP, RGB-PSNR, mean curves)")
    for test in names:
        for anchor in names[1:]:
            if test != anchor:
                percent, low, high = bd_rate(list(curves[anchor].values()), list(curves[test].values()))
                print(f"{test:<10}against {anchor:<6}{percent:>+8.2f} %   over {low:.2f} to {high:.2f} dB")


def falls(curve: dict[int, tuple[float, float]]) -> list[str]:
    """Where a curve over rising quality loses size or PSNR."""
    points = list(curve.items())
    return [
        f"{name} falls from {a[i]:.4f} to {b[i]:.4f} between quality {p} and {q}"
        for (p, a), (q, b) in pairwise(points)
        for i, name in enumerate(("bpp", "PSNR"))
        if b[i] < a[i]
    ]


def report_sweep(rows: Sequence[Row]) -> bool:
    """Print the mean curve of the dial and every step back; returns whether the mean curve has none."""
    curve = mean_curve(rows)
    print(f"{'quality':>8}{'bpp':>9}{'PSNR':>9}")
    for quality, (bpp, decibel) in curve.items():
        print(f"{quality:>8}{bpp:>9.4f}{decibel:>9.3f}")
    mean = falls(curve)
    single = [
        f"{picture}: {line}"
        for picture in dict.fromkeys(row.picture for row in rows)
        for line in falls(mean_curve([row for row in rows if row.picture == picture]))
    ]
    print(f"\nmean curve: {'monotone' if not mean else f'{len(mean)} steps back'} in size and PSNR")
    print(f"single pictures: {len(single)} steps back")
    print("".join(f"  {line}\n" for line in [*mean, *single]), end="")
    return not mean


def main() -> None:
    args = arguments()
    names = [name for name in args.codecs.split(",") if name]
    if unknown := set(names) - set(available()):
        raise SystemExit(f"not available: {', '.join(sorted(unknown))}")
    files = sorted(find_pictures(args.pictures, heldout=True))
    if not args.heldout:
        files = sorted(files + find_pictures(args.pictures, heldout=False))
    if not files:
        raise SystemExit(f"{args.pictures}: no pictures")

    codec = Codec(threads=args.threads) if args.model is None else Codec(threads=args.threads, model=args.model)
    plan: list[tuple[str, Measure, Sequence[int]]] = [
        ("vaecodec", vaecodec(codec), SWEEP if args.sweep else args.qualities)
    ]
    for name in [] if args.sweep else names:
        plan.append(
            ("jpeg", jpeg, args.jpeg) if name == "jpeg" else (name, pillow(name, args.threads), PILLOW_QUALITIES[name])
        )

    rows: list[Row] = []
    dataset = args.pictures.resolve().name
    for number, path in enumerate(files, 1):
        if sys.stderr.isatty():
            print(f"\r{number}/{len(files)}  {path.name:<40}", end="", file=sys.stderr)
        x = load(path)
        h, w = x.shape[:2]
        for name, measure, settings in plan:
            for setting in settings:
                size, decibel, enc_s, dec_s = measure(x, setting)
                bpp = size * 8 / (w * h)
                rows.append(Row(dataset, path.name, w, h, name, setting, size, bpp, decibel, enc_s, dec_s))
    if sys.stderr.isatty():
        print(f"\r{'':60}\r", end="", file=sys.stderr)
    if args.csv:
        with args.csv.open("w", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(f.name for f in fields(Row))
            writer.writerows(astuple(row) for row in rows)
    print(f"{len(files)} pictures of {args.pictures}, {args.threads} threads\n")
    if not args.sweep:
        report_curves(rows)
    elif not report_sweep(rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
