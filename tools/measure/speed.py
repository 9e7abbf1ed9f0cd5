"""Speed, work and memory of the codec: python -m tools.measure.speed [PICTURES...]

Times are medians of `--repeats` runs in one process with the model loaded, quality 75, from array to
bytes and back: the first picture, and a 4000x3000 mosaic of all of them. Peak memory is that of a
process of its own for each direction (not on Windows, which does not tell it). Multiply-accumulates are
those of the layers, whatever a kernel leaves out because inputs are 0.

Where compressai can be imported (the `train` environment, which is the one to run this in for the
comparison) its mbt2018_mean decodes the same picture in the same process, in turn with this codec;
its weights are untrained, which costs it nothing but a few coded bits.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vaecodec.bench.resources import peak_memory
from vaecodec.codec import Codec
from vaecodec.core.networks import kernels
from vaecodec.model.architecture import Config, Layer, decoding, encoding
from vaecodec.pictures.picture import Picture

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests" / "data" / "kodim23.png"
LARGE = (3000, 4000)  # height and width of the 12-megapixel picture
BASELINES = (4, 8)  # qualities of mbt2018_mean: N=128, M=192 and N=192, M=320


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="*", default=[SAMPLE])
    p.add_argument("--quality", type=int, default=75)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--repeats", type=int, default=5)
    p.add_argument("--child", choices=("encode", "decode"), help=argparse.SUPPRESS)  # PICTURES is then one pair IN OUT
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


def medians(jobs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each job, run in turn (A B A B) after one run to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(repeats):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(s) for name, s in seconds.items()}


def convolution_flops(x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any) -> int:
    return 2 * prod(out_shape) * prod(weight[1:])


# How many pixels a position of a layer's outputs stands for, by the beginning of its path: the first that fits.
PIXELS = {
    **{"g_s.enter": 256, "g_s.shortcut": 256, "g_s": 64, "context": 256},
    **{"h_s.enter": 4096, "h_s.block1": 1024, "h_s.up": 1024, "h_s": 256},
    **{"g_a.enter": 64, "g_a.blocks": 64, "g_a": 256},
    **{"h_a.enter": 256, "h_a.block1": 256, "h_a.down2": 4096, "h_a": 1024},
}


def kmac_of_codec(cfg: Config) -> dict[str, float]:
    """Multiply-accumulates per pixel, in thousands, of the networks of `encode` and `decode`."""
    decoder = {path: layer for path, layer in decoding(cfg).items() if isinstance(layer, Layer)}
    shapes = {path: (layer.outputs, layer.inputs) for path, layer in decoder.items()}
    matrices = {path: shape for path, shape in encoding(cfg).items() if path.endswith((".weight", ".shortcut"))}
    entropy = sum(work(path, shape) for path, shape in shapes.items() if not path.startswith("g_s"))
    synthesis = sum(work(path, shape) for path, shape in shapes.items() if path.startswith("g_s"))
    analysis = sum(work(path, shape) for path, shape in matrices.items())
    return {"encode": analysis + entropy, "decode": entropy + synthesis}


def work(path: str, shape: Sequence[int]) -> float:
    """Of a layer whose weights have this shape."""
    return prod(shape) / next(pixels for start, pixels in PIXELS.items() if path.startswith(start)) / 1000


def kmac_per_pixel(job: Callable[[], object], pixels: int) -> float:
    """Multiply-accumulates that torch really runs in a job. Watches operators, so it does not matter how
    a layer is spelt; exact.py calls oneDNN's convolution by name, which torch's counter has to be told."""
    import torch  # not above: the memory of a child must not show it
    from torch.utils.flop_counter import FlopCounterMode

    known = {torch.ops.aten.mkldnn_convolution: convolution_flops}
    with FlopCounterMode(display=False, custom_mapping=known) as counter:
        job()
    return counter.get_total_flops() / 2 / pixels / 1000


def child(args: argparse.Namespace) -> None:
    """Encode an .npy file, or decode into nothing; print this process's peak memory before and after."""
    source, target = args.pictures
    codec = Codec(threads=args.threads)
    print(peak_memory())
    if args.child == "encode":
        target.write_bytes(codec.encode(Picture(pixels=np.load(source)), args.quality))
    else:
        codec.decode(target.read_bytes())
    print(peak_memory())


def measure_memory(picture: np.ndarray, args: argparse.Namespace) -> dict[str, list[int]]:
    """Peak bytes of a fresh process that encodes the picture, and of one that decodes it: model loaded, and in all."""
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "picture.npy"), Path(folder, "picture.vaec")
        np.save(source, picture)
        for direction in ("encode", "decode"):
            options = ["--child", direction, "--quality", str(args.quality), "--threads", str(args.threads)]
            command = [sys.executable, "-m", "tools.measure.speed", *options, str(source), str(target)]
            output = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
            result[direction] = [int(line) for line in output.split()]
    return result


def startup(coded: bytes, repeats: int) -> dict[str, float]:
    """Median seconds of whole processes that load no network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.vaec")
        path.write_bytes(coded)
        commands = {
            "python -c pass": ["-c", "pass"],
            "import vaecodec": ["-c", "import vaecodec"],
            "vaecodec info": ["-m", "vaecodec", "info", str(path)],
        }

        def job(options: list[str]) -> Callable[[], object]:
            return lambda: subprocess.run([sys.executable, *options], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)

        return medians({name: job(options) for name, options in commands.items()}, repeats)


def baseline(quality: int, picture: np.ndarray, threads: int) -> Callable[[], object]:
    """A job that decodes the picture with compressai's mbt2018_mean."""
    import torch
    import torch.nn.functional as F
    from compressai.zoo import mbt2018_mean

    model = mbt2018_mean(quality=quality, pretrained=False).eval()
    model.update()
    x = torch.tensor(picture).permute(2, 0, 1)[None].float() / 255
    h, w = x.shape[2:]
    x = F.pad(x, (0, -w % 64, 0, -h % 64), mode="replicate")
    with torch.no_grad():
        coded = model.compress(x)

    def decode() -> object:
        torch.set_num_threads(threads)
        with torch.no_grad():
            return model.decompress(coded["strings"], coded["shape"])

    return decode


def main() -> None:
    args = arguments()
    if args.child:
        return child(args)
    pictures = [load(path) for path in args.pictures]
    codec = Codec(threads=args.threads)
    print(f"quality {args.quality}, {args.threads} threads, median of {args.repeats}; kernel {list(kernels())[-1]}\n")

    small = pictures[0]
    for x in (small, mosaic(pictures, *LARGE)):
        pixels = x.shape[0] * x.shape[1]
        data = codec.encode(Picture(pixels=x), args.quality)

        def encode(x: np.ndarray = x) -> object:
            return codec.encode(Picture(pixels=x), args.quality)

        def decode(data: bytes = data) -> object:
            return codec.decode(data)

        times = {k: v for job in (encode, decode) for k, v in medians({job.__name__: job}, args.repeats).items()}
        print(f"{x.shape[1]} x {x.shape[0]}, {len(data) * 8 / pixels:.3f} bpp")
        for job in (encode, decode):
            seconds, kmac = times[job.__name__], kmac_of_codec(codec.weights.cfg)[job.__name__]
            print(f"  {job.__name__}  {seconds:7.3f} s  {pixels / seconds / 1e6:6.2f} Mpx/s  {kmac:6.2f} kMAC/px")
    for direction, (loaded, peak) in measure_memory(x, args).items():
        print(f"  {direction}  peak memory {peak / 1e6:.0f} MB, of it {loaded / 1e6:.0f} MB before the work")

    print("\nstarting")
    for name, seconds in startup(data, args.repeats).items():
        print(f"  {name:<24}{seconds:7.3f} s")

    if importlib.util.find_spec("compressai") is None:
        print("\ncompressai is not installed here: no comparison")
        return
    data = codec.encode(Picture(pixels=small), args.quality)
    jobs: dict[str, Callable[[], object]] = {"vaecodec": lambda: codec.decode(data)}
    jobs |= {f"mbt2018_mean quality={q}": baseline(q, small, args.threads) for q in BASELINES}
    print(f"\ndecoding {small.shape[1]} x {small.shape[0]}, in turn")
    times = medians(jobs, args.repeats)
    for name, seconds in times.items():
        print(f"  {name:<24}{seconds:7.3f} s  {seconds / times['vaecodec']:6.2f} x vaecodec")


if __name__ == "__main__":
    main()
