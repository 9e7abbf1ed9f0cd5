"""Structural dissimilarity, 1 - MS-SSIM from half the resolution on: part of what training and `refine` make small."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

# Of the five scales of Wang, Simoncelli, Bovik (2003) the finest, which counts 0.04 there, is left to the MSE.
SCALES = (0.2856, 0.3001, 0.2363, 0.1333)
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
WINDOW = torch.exp(-(torch.arange(-5, 6, dtype=torch.float32, device="cpu") ** 2) / (2 * 1.5**2))
WINDOW /= WINDOW.sum()


def smooth(maps: Tensor) -> Tensor:
    """Local means (B,C,H-10,W-10) of maps (B,C,H,W)."""
    n = maps.shape[1]
    w = WINDOW.to(maps.device).expand(n, 1, 1, 11)
    return conv2d(conv2d(maps, w, groups=n), w.transpose(2, 3), groups=n)


def dissimilarity(x: Tensor, x_hat: Tensor) -> Tensor:
    """1 - MS-SSIM (B,) of pictures (B,H,W,3) in levels 0..255, without its finest scale and those too coarse for them.

    All four scales take sides of 176; where a side is below 22 there is none, and the result 0.
    """
    a, b = x.permute(0, 3, 1, 2), x_hat.permute(0, 3, 1, 2)
    product = torch.ones(len(x), device=x.device)
    scales = [weight for k, weight in enumerate(SCALES) if min(x.shape[1:3]) >> (k + 1) >= len(WINDOW)]
    for k, weight in enumerate(scales):
        a, b = avg_pool2d(a, 2), avg_pool2d(b, 2)
        mean_a, mean_b, aa, bb, ab = smooth(torch.cat((a, b, a * a, b * b, a * b), 1)).chunk(5, 1)
        similar = (2 * (ab - mean_a * mean_b) + C2) / (aa - mean_a**2 + bb - mean_b**2 + C2)
        if k == len(scales) - 1:
            similar = similar * (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
        product = product * similar.mean((1, 2, 3)).clamp(min=1e-3) ** weight
    return 1 - product
