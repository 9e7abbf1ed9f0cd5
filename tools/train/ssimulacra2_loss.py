"""SSIMULACRA2's distance, differentiable: part of what training may make small, in place of `structure`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from vaecodec.metrics.ssimulacra2 import ABSORBANCE, BIAS, C2, SCALES, WEIGHTS

RADIUS = 5
WINDOW = torch.exp(-(torch.arange(-RADIUS, RADIUS + 1.0) ** 2) / (2 * 1.5**2))
WINDOW /= WINDOW.sum()
LEAST_SIDE = 8
FLOOR = 1e-8  # under the fourth root of a mean, whose slope at 0 has no bound


def blurred(maps: Tensor) -> Tensor:
    """Maps (B,C,H,W) blurred along both axes, with zeros outside."""
    n = maps.shape[1]
    w = WINDOW.to(maps.device).expand(n, 1, 1, len(WINDOW))
    return conv2d(conv2d(maps, w, padding=(0, RADIUS), groups=n), w.transpose(2, 3), padding=(RADIUS, 0), groups=n)


def linear_light(x: Tensor) -> Tensor:
    """sRGB (B,3,H,W) in levels to linear light 0..1; out of range, clamped with a slope of 1 back into it."""
    clamped = x + (x.clamp(0, 255) - x).detach()
    level = clamped / 255
    return torch.where(level <= 0.04045, level / 12.92, ((level.clamp_min(0.04) + 0.055) / 1.055) ** 2.4)


def xyb(rgb: Tensor) -> Tensor:
    """Linear RGB (B,3,H,W) to XYB as SSIMULACRA2 moves it into 0..1."""
    absorbance = torch.from_numpy(ABSORBANCE).to(rgb)
    bias = float(BIAS)
    mixed = (torch.einsum("oc,bchw->bohw", absorbance, rgb) + bias).clamp_min(bias / 2)
    long, middle, short = (mixed ** (1 / 3) - bias ** (1 / 3)).unbind(1)
    y = 0.5 * (long + middle)
    return torch.stack((7 * (long - middle) + 0.42, y + 0.01, short - y + 0.55), 1)


def distance(x: Tensor, x_hat: Tensor) -> Tensor:
    """The weighted sum (B,) that SSIMULACRA2 makes a score of, for pictures (B,H,W,3) in levels 0..255; 0 if equal.

    With sides under 256 the coarsest of the six scales are missing, and each scale keeps its weights.
    """
    a, b = (linear_light(v.permute(0, 3, 1, 2)) for v in (x, x_hat))
    weights = torch.from_numpy(WEIGHTS).to(x).view(3, SCALES, 2, 3)  # plane, scale, norm, figure
    total = torch.zeros(len(x), device=x.device)
    for scale in range(SCALES):
        if min(a.shape[2:]) < LEAST_SIDE:
            break
        means, fourths = figures(xyb(a), xyb(b))
        total = total + (means * weights[:, scale, 0] + fourths * weights[:, scale, 1]).sum((1, 2))
        a, b = avg_pool2d(a, 2), avg_pool2d(b, 2)
    return total


def figures(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and 4-norm, (B,3,3) each, of SSIM, ringing and blur of the planes (B,3,H,W)."""
    mean_a, mean_b, aa, bb, ab = blurred(torch.cat((a, b, a * a, b * b, a * b), 1)).chunk(5, 1)
    covariance = 2 * (ab - mean_a * mean_b) + float(C2)
    variance = (aa - mean_a**2) + (bb - mean_b**2) + float(C2)
    ssim = 1 - (1 - (mean_a - mean_b) ** 2) * covariance / variance
    edges = (1 + (b - mean_b).abs()) / (1 + (a - mean_a).abs()) - 1
    errors = torch.stack((ssim, edges, -edges), 2).clamp_min(0)
    return errors.mean((3, 4)), (errors**4).mean((3, 4)).add(FLOOR**4).sqrt().sqrt()
