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

import torch
from torch import Tensor

from vaecodec.model.architecture import MEAN_ONE, STEP_ONE, Z_MAX
from vaecodec.model.likelihood import index_scale
from vaecodec.model.networks import z_features
from vaecodec.restoration.cleaner import Cleaner

GUIDED = 0.7  # share of the noise that is taken out of latents whose scale comes from a clean picture


class Prior(Cleaner):
    """Pictures as the model knows them. Nothing is trained for it. A guide is where the hyperprior is taken from."""

    SHIFTS = 8
    GUIDED = True
    FINER = 200

    def latents(self, q: Tensor, step: Tensor, sigma: float, x: Tensor, guide: Tensor | None = None) -> Tensor:
        model = self.model
        y = model.g_a(x, q, step)
        z = model.h_a(y if guide is None else model.g_a(guide, q, step)).round().clamp(-Z_MAX, Z_MAX)
        noise = sigma * (1 if guide is None else GUIDED) * STEP_ONE / step[0, 0, 0]

        def code(i: int, mean: Tensor, index: Tensor, mask: Tensor) -> Tensor:
            start, stop = model.groups[i // 2]
            d = y[..., start:stop] - mean * (1 / MEAN_ONE)
            return posterior_mean(d, index_scale(index) * (math.pi / math.sqrt(3)), noise[start:stop]) * MEAN_ONE + mean

        features = z_features(model, z, q, y.shape[1], y.shape[2])
        return model.contexts(features, q, code) * (1 / MEAN_ONE)


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
