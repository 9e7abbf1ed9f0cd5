"""The model as a denoiser: the posterior mean of the latents under its own entropy model.

The restoration problem is to minimise ||A g_s(y) - b||^2 / (2 noise^2) + ln 2 * R(y) over y, R(y) being the bits that
the entropy model charges. Half-quadratic splitting (Geman and Yang 1995; with a denoiser in the place of the prior:
Venkatakrishnan et al. 2013) takes turns: a picture x that fits the observation and stays near g_s(y) (operators.py),
and a y that explains x = picture + noise of some sigma. This is the second half. The synthesis is close to orthonormal
(refine.py), so noise of sigma levels in a pixel is noise of sigma / step in a latent, and each latent can be had by
itself, in the order of the context steps: its mean and scale come from the latents before it, as in decoding.

Taken is the mean of its posterior, not the most probable value: it has the least squared error, and for the Laplacian
of the predicted scale it has a closed form. Then nothing is rounded: y is never coded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaecodec.container import CELL, QUALITY_MAX
from vaecodec.latents import Z_CELL, z_features
from vaecodec.likelihood import index_scale
from vaecodec.model import LAMBDA_RANGE, MEAN_ONE, PIXEL_ONE, STEP_ONE, Z_MAX
from vaecodec.refine import half
from vaecodec.weights import Weights

Levels = NDArray[np.floating]  # (H, W, 3), 8-bit levels, not clipped
Shift = tuple[int, int]  # rows and columns that the grid of cells is moved by, 0..15
FINER = 200  # quality (0..1000) above the one whose lambda fits the noise
WINDOW = 512  # pixels per side that are worked on at once, without the margin
MARGIN = CELL * Z_CELL  # pixels around a window, thrown away
GUIDED = 0.7  # share of the noise that is taken out of latents whose scale comes from a clean picture


class Prior:
    """Pictures as the model knows them. Nothing is trained for it."""

    def __init__(self, weights: Weights) -> None:
        self.model = weights.soft

    @torch.no_grad()
    def clean(
        self,
        x: Levels,
        sigma: float,
        shifts: Sequence[Shift] = ((0, 0),),
        guide: Levels | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Levels:
        """The mean picture behind x, if x has normal noise of `sigma` levels in each sample.

        Args:
            shifts: the mean over these is taken, which hides the grid (cycle spinning, Coifman and Donoho 1995).
            guide: a cleaner picture, from which the hyperprior is taken. progress: called with the share done.
        """
        total = np.zeros_like(x)
        for k, shift in enumerate(shifts):
            total += self._clean(x, sigma, shift, guide)
            if progress:
                progress((k + 1) / len(shifts))
        return total / np.float32(len(shifts))

    def _clean(self, x: Levels, sigma: float, shift: Shift, guide: Levels | None) -> Levels:
        height, width, _ = x.shape
        pad = [(s, (-size - s) % MARGIN) for s, size in zip(shift, (height, width), strict=True)]
        padded = [np.pad(p, (*pad, (0, 0)), mode="symmetric") for p in (x, x if guide is None else guide)]
        out = np.empty_like(padded[0])
        for rows, outer_rows, inner_rows in spans(out.shape[0]):
            for columns, outer_columns, inner_columns in spans(out.shape[1]):
                parts = [torch.from_numpy(p[outer_rows, outer_columns])[None] - 128 for p in padded]
                with half():
                    done = self._window(parts[0], parts[0] if guide is None else parts[1], sigma, guide is not None)
                out[rows, columns] = done[inner_rows, inner_columns]
        return out[shift[0] :, shift[1] :][:height, :width]

    def _window(self, x: Tensor, like: Tensor, sigma: float, guided: bool) -> Levels:
        """One window (1, h, w, 3), in levels minus 128, sides multiples of 64; `like`: where z is taken from."""
        model, q = self.model, torch.full((1,), quality_for(sigma))
        step = model.steps(q)
        y = model.g_a(x, q, step)
        z = model.h_a(model.g_a(like, q, step) if guided else y).round().clamp(-Z_MAX, Z_MAX)
        noise = sigma * (GUIDED if guided else 1) * STEP_ONE / step[0, 0, 0]

        def code(i: int, mean: Tensor, index: Tensor, mask: Tensor) -> Tensor:
            start, stop = model.groups[i // 2]
            d = y[..., start:stop] - mean * (1 / MEAN_ONE)
            return posterior_mean(d, index_scale(index) * (math.pi / math.sqrt(3)), noise[start:stop]) * MEAN_ONE + mean

        y_hat = model.contexts(z_features(model, z, q, y.shape[1], y.shape[2]), q, code)
        x_hat = model.g_s(y_hat, q, step)[0].float() * (1 / PIXEL_ONE) + 128
        return x_hat.numpy()


def posterior_mean(d: Tensor, deviation: Tensor, noise: Tensor) -> Tensor:
    """E[r | d] where d = r + n, r Laplacian of that standard deviation, n normal with standard deviation `noise`.

    With b = deviation / sqrt 2, t = noise / b and u = |d| / noise it is noise ((u - t) A + (u + t) B) / (A + B),
    A = erfcx((t - u) / sqrt 2), B = erfcx((t + u) / sqrt 2) (for example Hansen and Yu 2000, on Laplacian mixtures).
    """
    t = noise * math.sqrt(2) / deviation
    u = d.abs() / noise
    # Beyond 6 the first of the two alone counts: the shift by t is all there is.
    a = torch.special.erfcx(((t - u) * math.sqrt(0.5)).clamp_min(-6))
    b = torch.special.erfcx((t + u) * math.sqrt(0.5))
    return noise * ((u - t) * a + (u + t) * b) / (a + b) * d.sign()


def quality_for(sigma: float) -> int:
    """The quality (0..1000) whose prior suits noise of sigma: above the one where lambda / 3 = 1 / (2 ln 2 sigma^2)."""
    low, high = LAMBDA_RANGE
    wanted = 3 / (2 * math.log(2) * max(sigma, 1e-3) ** 2)
    q = QUALITY_MAX * math.log(wanted / low) / math.log(high / low) + FINER
    return round(min(max(q, 0), QUALITY_MAX))


def spans(size: int) -> list[tuple[slice, slice, slice]]:
    """Windows along one side: each alone, with its margin, and where it lies within that."""
    found = []
    for first in range(0, size, WINDOW):
        last = min(first + WINDOW, size)
        outer = slice(max(0, first - MARGIN), min(size, last + MARGIN))
        found.append((slice(first, last), outer, slice(first - outer.start, last - outer.start)))
    return found


def shifts(count: int, seed: int = 0) -> list[Shift]:
    """So many shifts, spread over the cell, none twice until all are used."""
    order = np.random.default_rng(seed).permutation(CELL * CELL)
    return [divmod(int(order[k % len(order)]), CELL) for k in range(count)]
