"""What everyday use costs: python -m tools.measure.everyday PICTURES... [--only start,targets,batch,parts,thumbnails]

start: seconds from the shell. targets: what --target-size gives at 20, 60 and 100 kB. batch: throughput of -j 2 against
-j 1 --threads 1 on 1-megapixel pictures. parts: a region, scales and Image.open on 100 megapixels made of the pictures.
thumbnails: the commands that make 256 pixels of 24 megapixels.
Medians of three where nothing else is said.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tools.measure import measured
from tools.train.data import load
from vaecodec.codec import Codec
from vaecodec.codec.ratecontrol import Target
from vaecodec.pictures.picture import Picture

SIZES = (20_000, 60_000, 100_000)
REGION = (4500, 4700, 512, 512)


def median(action: Callable[[], object], times: int = 3) -> float:
    """Seconds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def shell(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "vaecodec", *map(str, arguments)], check=True, capture_output=True)


def mosaic(pictures: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """The pictures side by side and again, until they fill height x width."""
    out = np.empty((height, width, 3), np.uint8)
    count = 0
    for top in range(0, height, 512):
        for left in range(0, width, 512):
            part = out[top : top + 512, left : left + 512]
            source = pictures[count % len(pictures)]
            part[...] = np.tile(source, (2, 2, 1))[: part.shape[0], : part.shape[1]]
            count += 1
    return out


def start(pictures: list[Path], folder: Path) -> None:
    target = folder / "a.vaec"
    shell("encode", pictures[0], target)
    for name, arguments in {
        "--help": ("--help",),
        "info": ("info", target),
        "verify": ("verify", target),
        "encode": ("encode", "-f", pictures[0], target),
    }.items():
        print(f"| `vaecodec {name}` | {median(partial(shell, *arguments), 5):.2f} s |", flush=True)


def targets(pictures: list[Path], _folder: Path) -> None:
    codec, worst, short, times = Codec(), 0.0, [], []
    for path in pictures:
        picture = Picture(load(path))
        once = median(partial(codec.encode, picture))
        for size in SIZES:
            begun = time.perf_counter()
            found = codec.encode_to(picture, Target(size=size))
            times.append((time.perf_counter() - begun) / once)
            assert len(found.data) <= size
            if found.short:
                short.append(f"{path.name} at {size // 1000} kB ({len(found.data)} bytes)")
            else:
                worst = max(worst, 1 - len(found.data) / size)
    print(f"| target sizes: farthest below | {100 * worst:.2f} % |")
    print(f"| the time of a plain encode: median, most | {statistics.median(times):.1f}, {max(times):.1f} |")
    print(f"| smaller at quality 100 | {', '.join(short) or 'none'} |", flush=True)


def batch(pictures: list[Path], folder: Path, count: int) -> None:
    (folder / "many").mkdir()
    big = mosaic([load(path) for path in pictures], 1000 * 3, 1000 * 3)
    for n in range(count):
        top, left = 97 * n % 2000, 61 * n % 2000
        Image.fromarray(big[top : top + 1000, left : left + 1000]).save(folder / "many" / f"{n}.png", compress_level=1)
    seconds = {}
    for name, options in {"1": ("-j", 1, "--threads", 1), "2": ("-j", 2)}.items():
        out = folder / f"out{name}"
        begun = time.perf_counter()
        shell("encode", "-r", folder / "many", "--out-dir", out, *options)
        seconds[name] = time.perf_counter() - begun
        shutil.rmtree(out)
    gain = seconds["1"] / seconds["2"]
    print(f"| {count} pictures of 1 megapixel, `-j 2` against `-j 1 --threads 1` | {gain:.2f} x |", flush=True)


def parts(pictures: list[Path], folder: Path) -> None:
    from vaecodec import pillow_plugin  # noqa: F401

    codec = Codec()
    data = codec.encode(mosaic([load(path) for path in pictures], 10_000, 10_000), 50)
    path = folder / "big.vaec"
    path.write_bytes(data)
    codec.decode_region(data, REGION)
    print(f"| a region of 512 x 512 of 100 megapixels | {median(lambda: codec.decode_region(data, REGION)):.2f} s |")
    print(f"| `Image.open` of it | {1000 * median(lambda: Image.open(path).close(), 20):.1f} ms |")
    small = codec.encode(mosaic([load(path) for path in pictures], 2000, 3000), 75)
    whole = median(lambda: codec.decode(small))
    for scale in (2, 4, 8):
        share = median(partial(codec.decode_scaled, small, scale)) / whole
        print(f"| `--scale 1/{scale}` of 6 megapixels, share of a full decode | {100 * share:.0f} % |", flush=True)


def thumbnails(pictures: list[Path], folder: Path) -> None:
    source, target = folder / "large.vaec", folder / "small.png"
    source.write_bytes(Codec().encode(mosaic([load(path) for path in pictures], 4000, 6000)))
    for arguments in (("decode", "--max-size", "256"), ("thumbnail", "-s", "256")):
        whole = (*arguments, "-f", source, target)
        seconds = median(partial(shell, *whole), 9)
        busy = statistics.median(measured.vaecodec(*whole)[1] for _ in range(9))
        print(f"| `{' '.join(arguments)}` | {seconds:.2f} s | {busy:.2f} s of processor time |", flush=True)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--only", default="start,targets,batch,parts,thumbnails")
    p.add_argument("--count", type=int, default=200, help="pictures of the batch")
    args = p.parse_args()
    print("| What | Measured |\n| --- | ---: |")
    measures = {"start": start, "targets": targets, "parts": parts, "thumbnails": thumbnails}
    with tempfile.TemporaryDirectory() as name:
        for what in args.only.split(","):
            if what == "batch":
                batch(args.pictures, Path(name), args.count)
            else:
                measures[what](args.pictures, Path(name))


if __name__ == "__main__":
    main()
