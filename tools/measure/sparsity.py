"""How few numbers a picture can be made from: python -m tools.measure.sparsity PICTURES... [--plot FILE.png]

PSNR against the share of coefficients that are kept, of as many as the picture has samples: latents of the codec's
transform, the 8x8 DCT (JPEG's) and the wavelet of JPEG 2000, both in orthonormal opponent colours; the largest are
kept. Latents are improved for the decoder, which is not linear, by two steps of iterative hard thresholding
(Blumensath and Davies 2009). None is quantised. Needs the extras bench and restoration (SciPy, PyWavelets).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pywt
import torch
from scipy.fft import dctn, idctn

from tools.train.data import load, psnr
from vaecodec.bitstream.header import CELL
from vaecodec.model.architecture import MEAN_ONE, PIXEL_ONE, STEP_ONE
from vaecodec.model.networks import Model
from vaecodec.model.trained import soft
from vaecodec.model.weights import load as load_weights

SHARES = (0.2, 0.5, 1, 2, 4, 8, 16)  # per cent
AT = 32.0  # dB
QUALITIES = (200, 400, 600)  # of the decoder, the best of which is taken: 0..1000
PURSUIT = 2  # steps of iterative hard thresholding
STEP = 0.7  # of the gradient; the synthesis is close to orthonormal
LEVELS = 5  # of the wavelet
OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])

Pixels = np.ndarray


def rounded(x: Pixels) -> Pixels:
    return np.rint(x + 128).clip(0, 255).astype(np.uint8)


def largest(x: Pixels, count: int) -> Pixels:
    """The `count` largest elements, the others 0."""
    size = np.abs(x)
    return np.where(size >= np.partition(size.ravel(), -count)[-count], x, 0)


def by_dct(x: Pixels, counts: Sequence[int]) -> list[float]:
    """PSNR with so many coefficients."""
    h, w, _ = x.shape
    blocks = ((x - 128.0) @ OPPONENT.T).reshape(h // 8, 8, w // 8, 8, 3)
    spectrum = dctn(blocks, axes=(1, 3), norm="ortho")

    def back(count: int) -> Pixels:
        return idctn(largest(spectrum, count), axes=(1, 3), norm="ortho").reshape(h, w, 3) @ OPPONENT

    return [psnr(rounded(back(count)), x) for count in counts]


def by_wavelet(x: Pixels, counts: Sequence[int]) -> list[float]:
    planes = ((x - 128.0) @ OPPONENT.T).transpose(2, 0, 1)
    packed = [pywt.coeffs_to_array(pywt.wavedec2(p, "bior4.4", "periodization", LEVELS)) for p in planes]
    spectrum = np.stack([array for array, _ in packed])

    def back(count: int) -> Pixels:
        kept = largest(spectrum, count)
        found = [
            pywt.waverec2(pywt.array_to_coeffs(k, slices, "wavedec2"), "bior4.4", "periodization")
            for k, (_, slices) in zip(kept, packed, strict=True)
        ]
        return np.stack(found, axis=-1)[: x.shape[0], : x.shape[1]] @ OPPONENT

    return [psnr(rounded(back(count)), x) for count in counts]


class Latents:
    """The codec's transform, of one quality, on latents in levels."""

    def __init__(self, model: Model, quality: int) -> None:
        self.model, self.q = model, torch.tensor([quality])
        self.step = model.steps(self.q) / STEP_ONE

    def analyse(self, x: torch.Tensor) -> torch.Tensor:
        return self.model.g_a(x, self.q, self.step * STEP_ONE) * self.step

    def synthesise(self, y: torch.Tensor) -> torch.Tensor:
        return self.model.g_s(y / self.step * MEAN_ONE, self.q, self.step * STEP_ONE) * (1 / PIXEL_ONE)

    def keep(self, y: torch.Tensor, count: int) -> torch.Tensor:
        return torch.from_numpy(largest(y.detach().numpy(), count))

    def pursue(self, x: torch.Tensor, y: torch.Tensor, count: int) -> torch.Tensor:
        """y with `count` elements that make x better than its largest do."""
        y = self.keep(y, count)
        for _ in range(PURSUIT):
            with torch.enable_grad():
                y.requires_grad_(True)
                error = (self.synthesise(y) - x).square().sum() / 2
                (gradient,) = torch.autograd.grad(error, y)
            y = self.keep(y.detach() - STEP * gradient, count)
        return y


@torch.no_grad()
def by_latents(model: Model, x: Pixels, counts: Sequence[int]) -> list[float]:
    target = torch.from_numpy(x.astype(np.float32))[None] - 128
    transforms = [Latents(model, quality) for quality in QUALITIES]
    found = []
    for count in counts:
        best = []
        for transform in transforms:
            y = transform.pursue(target, transform.analyse(target), count)
            best.append(psnr(rounded(transform.synthesise(y)[0].numpy()), x))
        found.append(max(best))
    return found


def share_at(curve: Sequence[float]) -> float:
    """The share that gives AT dB, along the curve over SHARES."""
    if not curve[0] <= AT <= curve[-1]:
        return float("nan")
    return float(np.exp(np.interp(AT, curve, np.log(SHARES))))


def draw(curves: dict[str, Pixels], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    for (name, curve), marker in zip(curves.items(), "os^", strict=True):
        axes.semilogx(SHARES, curve.mean(0), marker=marker, label=name)
    axes.set_xlabel("coefficients kept, per cent of the samples")
    axes.set_xticks(SHARES, [f"{s:g}" for s in SHARES])
    axes.set_ylabel("mean PSNR, dB")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--plot", type=Path)
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    model = soft(load_weights())
    methods: dict[str, Callable[[Pixels, Sequence[int]], list[float]]] = {
        "8x8 DCT": by_dct,
        "wavelet": by_wavelet,
        "latents": lambda x, counts: by_latents(model, x, counts),
    }
    curves: dict[str, list[list[float]]] = {name: [] for name in methods}
    columns = " | ".join(methods)
    print(f"| share at {AT:g} dB, % | {columns} | latents / DCT |\n| --- | ---: | ---: | ---: | ---: |")
    for path in args.pictures:
        x = load(path)
        x = x[: x.shape[0] // CELL * CELL, : x.shape[1] // CELL * CELL]
        counts = [round(share * x.size / 100) for share in SHARES]
        for name, method in methods.items():
            curves[name].append(method(x, counts))
        shares = [share_at(curves[name][-1]) for name in methods]
        print(f"| {path.stem} | {' | '.join(f'{s:.2f}' for s in shares)} | {shares[2] / shares[0]:.2f} |", flush=True)
    means = {name: np.array(found) for name, found in curves.items()}
    shares = [share_at(curve.mean(0)) for curve in means.values()]
    print(f"| mean curve | {' | '.join(f'{s:.2f}' for s in shares)} | {shares[2] / shares[0]:.2f} |")
    print(f"\n| mean PSNR, dB, at | {columns} |\n| --- | ---: | ---: | ---: |")
    for i, share in enumerate(SHARES):
        print(f"| {share:g} % | {' | '.join(f'{curve[:, i].mean():.2f}' for curve in means.values())} |")
    if args.plot:
        draw(means, args.plot)


if __name__ == "__main__":
    main()
