"""Encoder effort: better latents by gradient steps through the decoder, from one quantised y_hat to the next.

L = bits + lambda * SSE / 3 is looked at where it counts, at a y_hat that the decoder could see. Near it, for a change u
in quantiser steps, L is about g u + w u^2: the synthesis is close to orthonormal, so the curvature is that of the step
alone, w = lambda * step^2 / 3. Each iteration moves the target y towards the lowest point of that parabola and lets
`quantise` choose the symbols with their true tables.

Chosen greedily, symbols move together and stick. So they are drawn: each from its Gibbs distribution, at a temperature
(in bits) that falls to nought, while the target averages what the draws ask for. This is mean-field annealing
(Peterson and Anderson 1987), and takes a fifth of the iterations of stochastic Gumbel annealing, which draws mixtures
of symbols instead (Yang et al. 2020, arXiv:2006.04240); docs/experiments.md has both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from vaecodec.bands import inner, windows
from vaecodec.container import CELL
from vaecodec.latents import Z_CELL, Symbols, quantise, step_worth, z_features
from vaecodec.likelihood import index_scale, logistic_bits
from vaecodec.model import MEAN_ONE, PIXEL_ONE, quality_lambda
from vaecodec.weights import Weights

STRIDES = (0.2, 0.3)  # shares of the way to the lowest point that the target goes, with many and few iterations
TEMPERATURE = 3.0  # bits, at first
TRIM = 1.0  # weight of the error in `latents.trim`: less than for the analysis's own y
WINDOW = 32  # positions of y per side of a window of g_s with gradients: some 300 MB


def refine(
    weights: Weights,
    q: int,
    x: Tensor,
    y: Tensor,
    z: Tensor,
    band: slice,
    side: int,
    iterations: int,
    progress: Callable[[float], None] | None = None,
) -> Tensor:
    """Targets for `quantise` that cost less than the analysis's own y.

    Args:
        q: 0..1000. x: (H, W, 3) levels minus 128 of the rows that y covers, not padded.
        y: (rows, w, M) in quantiser steps. z: (ceil(n / 4), ceil(w / 4), N) for the n rows of y in `band`.
        side: of a tile, in positions. progress: called with the share done, 0..1.

    Returns: (n, w, M), the best of all iterations by true bits and the distortion of the float networks.
    """
    worth = step_worth(weights, q)
    scale = float(quality_lambda(torch.tensor(q))) / 3
    columns = [slice(c, min(c + side, y.shape[1])) for c in range(0, y.shape[1], side)]
    z_hat = [z[None, :, c.start // Z_CELL : -(-c.stop // Z_CELL)] for c in columns]
    target, around = y[band], y * MEAN_ONE
    rng = torch.Generator().manual_seed(0)
    best, chosen = math.inf, target
    stride = min(max(6 / max(iterations, 1), STRIDES[0]), STRIDES[1])
    for k in range(iterations + 1):
        # The first draw is at nought, so that the start is among what is compared.
        temperature = TEMPERATURE * max(0, iterations - 1 - k) / iterations if k else 0.0
        noise = partial(gumbel, temperature, rng) if temperature else None
        tiles = [
            quantise(weights, q, t, target[None, :, c], TRIM, noise=noise) for t, c in zip(z_hat, columns, strict=True)
        ]
        around[band] = torch.cat([t.y_hat[0] for t in tiles], dim=1)
        last = k == iterations
        with half():
            error, slope = distortion(weights, q, x, around, band, gradient=not last)
        loss = sum(t.bits() for t in tiles) + scale * error
        if not temperature and loss < best:
            best, chosen = loss, target
        if progress:
            progress((k + 1) / (iterations + 1))
        if last:
            break
        with half():
            slope = slope * scale + torch.cat([rate_slope(weights, q, t) for t in tiles], dim=1)
        lowest = around[band] * (1 / MEAN_ONE) - slope / (2 * worth)
        target = target.lerp(lowest, stride)
    return chosen


def half() -> torch.autocast:
    """bfloat16 where the processor has it: gradients take two thirds of the time and serve as well."""
    has: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # of newer PyTorch versions
    return torch.autocast("cpu", torch.bfloat16, enabled=bool(has.get("avx512_bf16") or has.get("amx_bf16")))


def gumbel(temperature: float, rng: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """What turns the cheapest of some choices into a draw from their Gibbs distribution, in bits."""
    u = torch.rand(shape, generator=rng, dtype=torch.float32).clamp(1e-12, 1 - 1e-7)
    return temperature * (-u.log()).log()


def distortion(weights: Weights, q: int, x: Tensor, y_hat: Tensor, band: slice, gradient: bool) -> tuple[float, Tensor]:
    """Squared error over the pixels of the band and of rows near it, and its slope (n, w, M) per quantiser step.

    Args: x, band: see `refine`. y_hat: (rows, w, M) in 1/16 step. gradient: whether the slope is wanted.
    """
    model, qs = weights.soft, torch.full((1,), q)
    rows, w, _ = y_hat.shape
    margin = model.g_s.margin
    # A change in the band shows in rows beyond it: those whose own margin is known count.
    first = min(margin, band.start)
    last = max(rows - margin, band.stop)
    error, slope = 0.0, torch.zeros_like(y_hat)
    for r, c, outer_r, outer_c in windows(first, last, w, rows, margin, WINDOW):
        wanted = x[r.start * CELL : r.stop * CELL, c.start * CELL : c.stop * CELL]
        leaf = y_hat[outer_r, outer_c][None].requires_grad_(gradient)
        with torch.set_grad_enabled(gradient):
            x_hat = model.g_s(leaf, qs, model.steps(qs))[0, inner(outer_r, r, CELL), inner(outer_c, c, CELL)]
            x_hat = x_hat[: wanted.shape[0], : wanted.shape[1]] * (1 / PIXEL_ONE)
            e = (x_hat - wanted).square().sum()
        if gradient:
            slope[outer_r, outer_c] += torch.autograd.grad(e, leaf)[0][0]
        error += float(e)
    return error, slope[band] * MEAN_ONE


def rate_slope(weights: Weights, q: int, tile: Symbols) -> Tensor:
    """Slope (h, w, M) of a tile's bits by y_hat, per quantiser step, through the contexts of later symbols only:
    a symbol's own bits are for `quantise` to weigh."""
    model, qs = weights.soft, torch.full((1,), q)
    leaf = tile.y_hat.clone().requires_grad_()
    bits: list[Tensor] = []

    def code(i: int, mean: Tensor, index: Tensor, mask: Tensor) -> Tensor:
        start, stop = model.groups[i // 2]
        d = (tile.y_hat[..., start:stop] - mean) * (1 / MEAN_ONE)
        coded = mask & tile.coded[..., start:stop]
        bits.append((logistic_bits(d, index_scale(index)) * coded).sum())
        return leaf[..., start:stop]

    with torch.enable_grad():
        model.contexts(z_features(model, tile.z_hat, qs, *leaf.shape[1:3]), qs, code)
        return torch.autograd.grad(torch.stack(bits).sum(), leaf)[0][0] * MEAN_ONE
