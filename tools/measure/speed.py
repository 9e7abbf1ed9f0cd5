"""Speed of the codec and of others: python -m tools.measure.speed [PICTURES...] [--with PYTHON]

In one run, by turns, on one thread each, from array to bytes and back: the native core; the PyTorch path of before
(torch_path.py); libavif and libjxl at the quality that comes nearest to the PSNR of the .vaec file; and compressai's
mbt2018_mean (mbt2018.py), which needs NumPy below 2 and so runs as a child, in the interpreter that --with names.
The pictures are the first one, and a 4000x3000 mosaic of all of them.

Times are medians of processor time, with models loaded. Beside them: the work of the core's networks against the most
that the machine reaches in a loop (work.py); whole processes of the command line, by the clock too, which other
processes slow down; and the size of what is installed.
Peak memory is not told on Windows. What cannot be measured is said to be absent.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from PIL import Image

from tools.measure.mbt2018 import Absent, Child
from tools.measure.measured import vaecodec
from tools.measure.work import NETWORKS, clocked, kmac_of_networks, peak, spent
from vaecodec.bench.codecs import BenchCodec, Options, catalogue
from vaecodec.bench.environment import processor
from vaecodec.codec import Codec
from vaecodec.core.networks import kernels
from vaecodec.metrics.scores import psnr

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests" / "data" / "kodim23.png"
LARGE = (3000, 4000)  # height and width of the 12-megapixel picture
MBT = 4  # quality of mbt2018_mean: N=128, M=192
# Codecs of `vaecodec bench` and their dials, in the order of rising PSNR.
DIALS: dict[str, Sequence[float]] = {
    "avif": range(101),
    "avif-444-psnr": range(101),
    "jxl": [8 * 0.985**i for i in range(250)],  # distances 8 to 0.19
}
NAME = 37  # columns of names
BASE = "numpy", "pillow", "click", "safetensors"  # what vaecodec needs


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="*", default=[SAMPLE])
    p.add_argument("--quality", type=float, default=75)
    p.add_argument("--repeats", type=int, nargs=2, default=(9, 3), metavar="N", help="of the first, of the large one")
    p.add_argument("--with", dest="other", default=sys.executable, metavar="PYTHON", help="that has compressai")
    return p.parse_args()


def load(path: Path) -> np.ndarray:
    """(H, W, 3) uint8."""
    with Image.open(path) as im:
        return np.asarray(im.convert("RGB"))


def mosaic(pictures: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """(height, width, 3): the pictures, cut to their common size, over and over in raster order."""
    h, w = (min(p.shape[axis] for p in pictures) for axis in (0, 1))
    rows, columns = -(-height // h), -(-width // w)
    cells = [pictures[i % len(pictures)][:h, :w] for i in range(rows * columns)]
    lines = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    return np.ascontiguousarray(np.concatenate(lines)[:height, :width])


@dataclass
class Rival:
    """A codec and a picture: what runs it, and what came of it."""

    name: str
    encode: Callable[[], float] | None = None  # each gives processor seconds
    decode: Callable[[], float] | None = None
    bpp: float | None = None
    psnr: float | None = None
    note: str = ""  # versions, or why it is absent
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, name: str, x: np.ndarray, encode: Callable[[], bytes], decode: Callable[[], np.ndarray], note: str
    ) -> Rival:
        """encode, decode: in this process."""
        bpp, quality = len(encode()) * 8 / x[..., 0].size, psnr(x, decode())
        return cls(name, lambda: spent(encode), lambda: spent(decode), bpp, quality, note)


def ours(x: np.ndarray, codec: Codec, quality: float) -> Iterator[Rival]:
    """The core, then the path of before. Raises: AssertionError where their pixels differ."""
    data = codec.encode(x, quality)
    kernel = f"kernel {list(kernels())[-1]}"
    core = Rival.of("vaecodec, core", x, lambda: codec.encode(x, quality), lambda: codec.decode(data).pixels, kernel)
    yield core
    try:
        from tools.measure import torch_path
    except ImportError as error:
        yield Rival("vaecodec, PyTorch", note=f"absent: {error}")
        return
    coded = torch_path.encode(codec, x, quality)
    for file in (data, coded):
        assert np.array_equal(torch_path.decode(codec, file), codec.decode(file).pixels), "pixels differ"
    yield Rival.of(
        "vaecodec, PyTorch",
        x,
        lambda: torch_path.encode(codec, x, quality),
        lambda: torch_path.decode(codec, coded),
        f"PyTorch {distribution('torch').version}; pixels equal to the core's",
    )


def others(x: np.ndarray, wanted: float) -> Iterator[Rival]:
    """The codecs of DIALS at the PSNR wanted."""
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # to decode
    known = catalogue(Options(threads=1))
    for name, dial in DIALS.items():
        codec = known[name]
        if reason := codec.missing():
            yield Rival(codec.label, note=f"absent: {reason}")
            continue
        setting, data = matched(codec, dial, x, wanted)
        yield Rival.of(
            codec.label,
            x,
            lambda codec=codec, setting=setting: codec.encode(x, setting),  # type: ignore[misc]
            lambda codec=codec, data=data: codec.decode(data),  # type: ignore[misc]
            f"{codec.version()}; at {setting:.3g}",
        )


def matched(codec: BenchCodec, dial: Sequence[float], x: np.ndarray, wanted: float) -> tuple[float, bytes]:
    """The setting whose PSNR comes nearest, by bisection, and its file."""
    low, high, best = 0, len(dial) - 1, (float("inf"), 0.0, b"")
    while low <= high:
        middle = (low + high) // 2
        data = codec.encode(x, dial[middle])
        above = psnr(x, codec.decode(data)) - wanted
        best = min(best, (abs(above), dial[middle], data))
        low, high = (middle + 1, high) if above < 0 else (low, middle - 1)
    return best[1], best[2]


def mbt(x: np.ndarray, python: str, folder: Path) -> tuple[Rival, Child | None]:
    """compressai's, in the other interpreter."""
    name, path = f"mbt2018_mean quality {MBT}", folder / f"{x.shape[1]}.npy"
    np.save(path, x)
    try:
        child = Child(python, path, MBT)
    except Absent as reason:
        return Rival(name, note=f"absent: {reason}; see --with"), None
    note = f"{child.versions}; untrained"
    return Rival(name, lambda: child.seconds("encode"), lambda: child.seconds("decode"), note=note), child


def compare(x: np.ndarray, codec: Codec, quality: float, python: str, repeats: int) -> list[Rival]:
    """All rivals with their median seconds, by turns (A B A B)."""
    with tempfile.TemporaryDirectory() as folder:
        rivals = list(ours(x, codec, quality))
        assert rivals[0].psnr is not None
        rivals += others(x, rivals[0].psnr)
        last, child = mbt(x, python, Path(folder))
        rivals.append(last)
        for direction in NETWORKS:
            jobs = {r.name: job for r in rivals if (job := getattr(r, direction))}
            for name, seconds in medians(jobs, repeats).items():
                next(r for r in rivals if r.name == name).seconds[direction] = seconds
        if child:
            child.close()
    return rivals


def medians(jobs: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Median of what each job gives, run in turn (A B A B); all have run before."""
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            found[name].append(job())
    return {name: statistics.median(values) for name, values in found.items()}


def table(x: np.ndarray, rivals: list[Rival]) -> Iterator[str]:
    """A row for each rival, whether it is there or not; then what they are."""
    pair = "".join(f"  {f'{direction} s':>9}{'MP/s':>8}{'x core':>8}" for direction in NETWORKS)
    yield f"{named(x):<{NAME}}{'bpp':>6}{'PSNR':>7}{pair}"
    for r in rivals:
        line = f"{r.name:<{NAME}}{cell(r.bpp, 6, 3)}{cell(r.psnr, 7, 2)}"
        for direction in NETWORKS:
            seconds = r.seconds.get(direction)
            speed = None if seconds is None else x[..., 0].size / seconds / 1e6
            ratio = None if seconds is None else seconds / rivals[0].seconds[direction]
            line += f"  {cell(seconds, 9, 3)}{cell(speed, 8, 2)}{cell(ratio, 8, 2)}"
        yield line
    for r in rivals:
        yield f"  {r.name}: {r.note}"


def named(x: np.ndarray) -> str:
    return f"{x.shape[1]} x {x.shape[0]}"


def cell(number: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if number is None else f"{number:{width}.{digits}f}"


def networks(x: np.ndarray, codec: Codec, quality: float, repeats: int, most: float) -> Iterator[str]:
    """Where the core's time goes, and what its networks make of the peak `most`."""
    data, pixels, kmac = codec.encode(x, quality), x[..., 0].size, kmac_of_networks(codec.weights.cfg)
    yield f"{named(x) + ', core':<{NAME}}{'s':>9}{'share':>8}{'kMAC/px':>9}{'GMAC/s':>8}{'of peak':>9}"
    jobs = {"encode": lambda: codec.encode(x, quality), "decode": lambda: codec.decode(data)}
    for direction, job in jobs.items():
        runs = [parts_of(job, NETWORKS[direction]) for _ in range(repeats)]
        parts = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for name, seconds in parts.items():
            work = sum(kmac[n] for n in (NETWORKS[direction] if name == "networks" else (name,)) if n in kmac)
            line = f"{f'  {direction}: {name}':<{NAME}}{seconds:9.4f}{seconds / parts['all']:8.0%}"
            if work and seconds:
                speed = work * 1000 * pixels / seconds
                line += f"{work:9.2f}{speed / 1e9:8.1f}{speed / most:9.0%}"
            yield line


def parts_of(job: Callable[[], object], names: Sequence[str]) -> dict[str, float]:
    """Processor seconds of each part of a job, and of its networks together."""
    with clocked() as seconds:
        total = spent(job)
    parts = {name: seconds[name] for name in names} | {"networks": sum(seconds[name] for name in names)}
    parts |= {name: seconds[name] for name in ("filter", "symbols") if seconds[name]}
    return parts | {"the rest": total - sum(seconds.values()), "all": total}


def processes(pictures: Sequence[np.ndarray], quality: float, repeats: int) -> Iterator[str]:
    """Whole processes of the command line on one thread, from and to PNG files."""
    yield f"{'whole processes':<{NAME}}{'s':>9}{'of CPU':>9}{'peak MB':>9}"
    with tempfile.TemporaryDirectory() as folder:
        source, coded, target = (Path(folder, name) for name in ("source.png", "coded.vaec", "target.png"))
        for x in pictures:
            yield named(x)
            Image.fromarray(x).save(source, compress_level=1)
            options = "--threads", "1", "--force"
            yield command(repeats, "encode", source, coded, "-q", f"{quality:g}", *options)
            yield command(repeats, "decode", coded, target, *options)
        yield command(repeats, "info", coded)
    for code in ("import vaecodec", "pass"):
        yield process(f"python -c {code!r}", repeats, "-c", code)


def command(repeats: int, *words: str | Path) -> str:
    """A row of a command of vaecodec, with its peak memory."""
    code, _, memory = vaecodec(*words)
    assert not code, f"vaecodec {words[0]} failed"
    return f"{process(f'vaecodec {words[0]}', repeats, '-m', 'vaecodec', *words)}{memory / 1e6:9.0f}"


def process(name: str, repeats: int, *words: str | Path) -> str:
    """A row of a Python process: median seconds on the clock, and of the processor (0 on Windows)."""

    def run() -> tuple[float, float]:
        start, before = time.perf_counter(), os.times()
        subprocess.run([sys.executable, *words], check=True, cwd=ROOT, capture_output=True)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        return time.perf_counter() - start, spent

    seconds, spent = (statistics.median(column) for column in zip(*(run() for _ in range(repeats)), strict=True))
    return f"{f'  {name}':<{NAME}}{seconds:9.3f}{spent:9.3f}"


def disk() -> Iterator[str]:
    """Megabytes of what has to be installed."""
    own = [path for path in (ROOT / "vaecodec").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    sizes: dict[str, float | None] = {"vaecodec": sum(path.stat().st_size for path in own) / 1e6}
    for name in (*BASE, "torch"):
        try:
            files = [Path(str(f.locate())) for f in distribution(name).files or ()]
            sizes[name] = sum(path.stat().st_size for path in files if path.is_file()) / 1e6
        except PackageNotFoundError:
            sizes[name] = None
    base = sum(sizes[name] or 0 for name in ("vaecodec", *BASE))
    each = ", ".join(f"{name} {'absent' if size is None else f'{size:.0f}'}" for name, size in sizes.items())
    yield f"installed, MB: {base:.0f} without PyTorch ({each})"


def main() -> None:
    args = arguments()
    pictures, codec = [load(path) for path in args.pictures], Codec(threads=1)
    print(f"{processor()}, {platform.system()}, Python {platform.python_version()}, NumPy {np.__version__}")
    print(f"quality {args.quality:g}, effort 3, one thread; medians of {args.repeats[0]} and {args.repeats[1]}\n")
    most = peak()
    shown = pictures[0], mosaic(pictures, *LARGE)
    for x, repeats in zip(shown, args.repeats, strict=True):
        print(*table(x, compare(x, codec, args.quality, args.other, repeats)), sep="\n", end="\n\n", flush=True)
    print(f"peak of a 1x1 layer in a loop (tools/measure/work.py): {most / 1e9:.0f} GMAC/s")
    for x, repeats in zip(shown, args.repeats, strict=True):
        print(*networks(x, codec, args.quality, repeats, most), sep="\n", end="\n\n", flush=True)
    print(*processes(shown, args.quality, args.repeats[1]), sep="\n", end="\n\n")
    print(*disk(), sep="\n")


if __name__ == "__main__":
    main()
