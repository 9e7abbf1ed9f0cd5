"""How well restoration works: python -m tools.measure.restoration PICTURES... [--only denoise,code,...] [--crop N]

Against what is used elsewhere (pip install -e '.[restoration]'): BM3D, OpenCV's inpainting, biharmonic inpainting, and
total variation. PSNR and MS-SSIM are means over the pictures, of 8-bit results; seconds are medians of processor time
for a megapixel. --crop: the centre of so many pixels of each picture, for what takes long. --noise, --methods: fewer
than all. --save: pictures of each method.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tools.measure.bdrate import bd_rate
from tools.train.data import load, psnr
from vaecodec.codec import Codec
from vaecodec.metrics.scores import decibel, ms_ssim
from vaecodec.pictures.picture import Picture
from vaecodec.pictures.reading import as_picture
from vaecodec.restoration.cleaner import quality_for
from vaecodec.restoration.jpeg import Jpeg
from vaecodec.restoration.operators import Blur, Linear, Mask, Operator, Projections
from vaecodec.restoration.recipes import Denoise, Models
from vaecodec.restoration.solver import restore

Pixels = np.ndarray
Methods = dict[str, Callable[[], Pixels]]
Case = tuple[str, Pixels, Methods]  # what, the true picture, methods
QUALITIES = (10, 20, 30, 40, 50, 60, 70)
TV_STEPS = 200


def levels(x: Pixels) -> Pixels:
    return np.rint(x).clip(0, 255).astype(np.uint8)


def structure(y: Pixels, x: Pixels) -> float:
    """MS-SSIM in dB; not a number for small pictures."""
    found = ms_ssim(*(p if p.ndim == 3 else p[..., None] for p in (y, x)))
    return float("nan") if found is None else decibel(found)


def noisy(x: Pixels, sigma: float) -> Pixels:
    """With normal noise, rounded and clipped as in a file."""
    return levels(x + np.random.default_rng(0).normal(0, sigma, x.shape))


def ours(models: Models, x: Pixels, sigma: float, fast: bool = False) -> Pixels:
    """Of a picture (H, W) or (H, W, 3)."""
    picture = Picture(x if x.ndim == 3 else x[..., None])
    return Denoise(sigma, fast).apply(models, picture)[0].pixels.reshape(x.shape)


def by_prior(models: Models, x: Pixels, sigma: float) -> Pixels:
    """The same without anything that was trained on noise."""
    alone = Models(models.weights)
    alone.__dict__["denoiser"] = alone.prior
    return ours(alone, x, sigma)


def restored(models: Models, operator: Operator, observed: Pixels, noise: float = 0.0) -> Pixels:
    return levels(restore(models.prior, operator, observed.astype(np.float32), noise))


def coded(codec: Codec, x: Pixels, quality: float) -> Pixels:
    return codec.decode(codec.encode(as_picture(x), quality)).pixels.reshape(x.shape)


def biharmonic(x: Pixels, missing: Pixels) -> Pixels:
    from skimage.restoration import inpaint_biharmonic

    return levels(255 * inpaint_biharmonic(x / 255, missing, channel_axis=-1))


def bm3d(x: Pixels, sigma: float) -> Pixels:
    from bm3d import bm3d as grey
    from bm3d import bm3d_rgb

    y = x / 255
    return levels(255 * (bm3d_rgb(y, sigma / 255) if x.ndim == 3 else grey(y, sigma / 255)))


def total_variation(operator: Linear, observed: Pixels, weight: float) -> Pixels:
    """min |A x - b|^2 / 2 + weight TV(x), |A| <= 1: FISTA (Beck and Teboulle 2009), proximal step by scikit-image."""
    from skimage.restoration import denoise_tv_chambolle

    x = before = operator.start(observed).astype(np.float64)
    t = 1.0
    for _ in range(TV_STEPS):
        faster = (1 + (1 + 4 * t * t) ** 0.5) / 2
        y = x + (t - 1) / faster * (x - before)
        y = y + operator.adjoint((observed - operator.forward(y.astype(np.float32))).astype(np.float32))
        before, t = x, faster
        x = denoise_tv_chambolle(y / 255, weight=weight / 255, max_num_iter=20, channel_axis=-1) * 255
    return levels(x)


def denoising(x: Pixels, models: Models, codec: Codec) -> Iterator[Case]:
    for sigma in (15, 25, 50):
        y = noisy(x, sigma)
        methods: Methods = {
            "noisy": partial(np.copy, y),
            "ours": partial(ours, models, y, sigma),
            "ours, --fast": partial(ours, models, y, sigma, fast=True),
            "by the prior": partial(by_prior, models, y, sigma),
            "BM3D": partial(bm3d, y, sigma),
            "coded as it is": partial(coded, codec, y, quality_for(sigma) / 10),
        }
        yield f"noise of {sigma}", x, methods


def grey(x: Pixels, models: Models, codec: Codec) -> Iterator[Case]:
    """The same of grey pictures, as the literature's."""
    yield from denoising(levels(x @ np.array([0.299, 0.587, 0.114])), models, codec)


def inpainting(x: Pixels, models: Models, codec: Codec) -> Iterator[Case]:
    import cv2

    rng, (h, w) = np.random.default_rng(1), x.shape[:2]
    masks = {f"{100 * share:.0f} % missing": rng.random((h, w)) < share for share in (0.5, 0.8, 0.95)}
    masks["text"], masks["scratches"] = np.zeros((2, h, w), bool)
    drawing = np.zeros((h, w), np.uint8)
    for row in range(30, h, 40):
        cv2.putText(drawing, "the quick brown fox jumps over the lazy dog " * 3, (4, row), 0, 0.7, 1, 2)
    masks["text"] = drawing > 0
    drawing = np.zeros((h, w), np.uint8)
    for ends in rng.integers(0, min(h, w), (12, 4)).tolist():
        cv2.line(drawing, tuple(ends[:2]), tuple(ends[2:]), 1, 4)
    masks["scratches"] = drawing > 0
    for name, missing in masks.items():
        holes, spoilt = missing.astype(np.uint8), x * ~missing[..., None]
        operator = Mask(~missing)
        methods: Methods = {
            "ours": partial(restored, models, operator, spoilt),
            "OpenCV Telea": partial(cv2.inpaint, spoilt, holes, 3, cv2.INPAINT_TELEA),
            "OpenCV Navier-Stokes": partial(cv2.inpaint, spoilt, holes, 3, cv2.INPAINT_NS),
            "biharmonic": partial(biharmonic, spoilt, missing),
        }
        yield name, x, methods


def sensing(x: Pixels, models: Models, codec: Codec) -> Iterator[Case]:
    rng = np.random.default_rng(2)
    x = x[: x.shape[0] // 32 * 32, : x.shape[1] // 32 * 32]
    operators: dict[str, Linear] = {"10 % of the pixels": Mask(rng.random(x.shape[:2]) < 0.1)}
    operators |= {f"projections, {100 * s:.0f} %": Projections(x.shape[:2], s) for s in (0.1, 0.25)}
    for name, operator in operators.items():
        b = operator.forward(x.astype(np.float32))
        methods: Methods = {"ours": partial(restored, models, operator, b)}
        for weight in (1, 3, 10):
            methods[f"total variation, {weight}"] = partial(total_variation, operator, b, weight)
        yield name, x, methods


def artefacts(x: Pixels, models: Models, codec: Codec) -> Iterator[Case]:
    for quality in (10, 20):
        file = io.BytesIO()
        Image.fromarray(x).save(file, "JPEG", quality=quality)
        with Image.open(file) as image:
            operator, y = Jpeg.of(image), np.asarray(image.convert("RGB"))
        methods: Methods = {
            "the JPEG": partial(np.copy, y),
            "ours": partial(restored, models, operator, y),
        }
        yield f"JPEG of quality {quality}", x, methods


def coding(pictures: dict[Path, Pixels], models: Models, codec: Codec, sigma: float = 25) -> None:
    """BD-rate of files of noisy pictures against the true ones: cleaned by BM3D, by us, and not at all."""
    curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
    sources: dict[str, list[Pixels]] = defaultdict(list)
    for x in pictures.values():
        y = noisy(x, sigma)
        sources["BM3D, then coded"].append(bm3d(y, sigma))
        sources["encode --denoise"].append(ours(models, y, sigma))
        sources["noisy, as it is"].append(y)
    print("| quality | " + " | ".join(sources) + " |\n| ---: |" + " ---: |" * len(sources))
    for quality in QUALITIES:
        cells = []
        for name, given in sources.items():
            points = []
            for x, y in zip(pictures.values(), given, strict=True):
                data = codec.encode(y, quality)
                points.append((8 * len(data) / x[..., 0].size, psnr(codec.decode(data).pixels, x)))
            bpp, db = np.mean(points, axis=0)
            curves[name].append((float(bpp), float(db)))
            cells.append(f"{bpp:.3f} bpp {db:.2f} dB")
        print(f"| {quality} | {' | '.join(cells)} |", flush=True)
    saved = bd_rate(curves["BM3D, then coded"], curves["encode --denoise"])[0]
    print(f"\nBD-rate of encode --denoise against BM3D, then coded: {saved:+.1f} %")


def blurred(x: Pixels, models: Models, codec: Codec) -> Iterator[Case]:
    for deviation in (1, 1.5, 3):
        operator = Blur.gaussian(deviation)
        wider = np.pad(x, [(n, n) for n in operator.margin] + [(0, 0)], mode="reflect").astype(np.float32)
        y = levels(operator.forward(wider))
        methods: Methods = {
            "the blurred": partial(np.copy, y),
            "ours": partial(restored, models, operator, y, 1.0),
        }
        yield f"blur of {deviation}", x, methods


SETS = {
    "denoise": denoising,
    "grey": grey,
    "inpaint": inpainting,
    "sensing": sensing,
    "jpeg": artefacts,
    "blur": blurred,
}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--only", default=",".join([*SETS, "code"]))
    p.add_argument("--crop", type=int)
    p.add_argument("--noise", type=float, nargs="+")
    p.add_argument("--methods", nargs="+")
    p.add_argument("--save", type=Path)
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    codec = Codec()
    models, pictures = Models(codec.weights), {path: load(path) for path in args.pictures}
    if args.crop:
        for path, x in pictures.items():
            top, left = (max(0, n - args.crop) // 2 for n in x.shape[:2])
            pictures[path] = np.ascontiguousarray(x[top : top + args.crop, left : left + args.crop])
    if args.save:
        args.save.mkdir(parents=True, exist_ok=True)
    for name in args.only.split(","):
        print(f"\n{name}\n", flush=True)
        if name == "code":
            coding(pictures, models, codec)
            continue
        found: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
        for path, x in pictures.items():
            for what, true, methods in SETS[name](x, models, codec):
                if args.noise and what not in [f"noise of {sigma:g}" for sigma in args.noise]:
                    continue
                for method, make in methods.items():
                    if args.methods and method not in args.methods:
                        continue
                    start = time.process_time()
                    with torch.no_grad():
                        y = make()
                    seconds = (time.process_time() - start) * 1e6 / (true.shape[0] * true.shape[1])
                    found[what, method].append((psnr(y, true), structure(y, true), seconds))
                    if args.save:
                        Image.fromarray(y).save(args.save / f"{path.stem}-{what}-{method}.png".replace(" ", "_"))
        print("| what | method | PSNR, dB | MS-SSIM, dB | s/Mpx |\n| --- | --- | ---: | ---: | ---: |")
        for (what, method), figures in found.items():
            db, similar, seconds = zip(*figures, strict=True)
            means = f"{statistics.mean(db):.2f} | {statistics.mean(similar):.2f}"
            print(f"| {what} | {method} | {means} | {statistics.median(seconds):.1f} |", flush=True)


if __name__ == "__main__":
    main()
