"""Encoder effort: better latents by gradient steps through the decoder, from one quantised y_hat to the next.

L = bits + lambda * D / 3 is looked at where it counts, at a y_hat that the decoder could see; D is the squared error
behind the tiles' filters, with a share for structure (`Distortion`). Near it, for a change u in quantiser steps, L is
about g u + c w u^2, where w = lambda * step^2 / 3 is what an orthonormal synthesis would have and c a measured
constant. Each iteration moves the target y towards the lowest point of that parabola and lets `quantise` choose the
symbols with their true tables. So with z, whose g is the slope of y's bits; its curvature is Fisher's information,
which bits have where they are those of probabilities: the mean square of that slope.

Chosen greedily, symbols move together and stick. So they are drawn: each from its Gibbs distribution, at a temperature
(in bits) that falls to 0, while the target averages what the draws ask for. This is mean-field annealing
(Peterson and Anderson 1987), and takes a fifth of the iterations of stochastic Gumbel annealing, which draws mixtures
of symbols instead (Yang et al. 2020, arXiv:2006.04240); docs/log/experiments.md has both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaecodec.bitstream.header import CELL
from vaecodec.codec.analysis import Analysed
from vaecodec.codec.defaults import REFINED
from vaecodec.codec.latents import Symbols, quantise, step_lambda, z_tables
from vaecodec.codec.soft_filter import Fits, as_planes, filtered
from vaecodec.codec.tuning import Worth, plain
from vaecodec.codec.windows import inner, windows
from vaecodec.metrics.ms_ssim import dissimilarity
from vaecodec.model import trained
from vaecodec.model.architecture import MEAN_ONE, PIXEL_ONE, Z_CELL, Z_MAX, quality_lambda
from vaecodec.model.exact import half
from vaecodec.model.likelihood import index_scale, logistic_bits
from vaecodec.model.loop_filter import OUT_ONE, Filters, split
from vaecodec.model.native import Networks
from vaecodec.model.networks import z_features
from vaecodec.model.weights import Weights

# Measured, see docs/log/experiments.md.
CURVATURE = 0.7  # of L by y, times w: g_s is less steep than an orthonormal transform, but symbols move together
TEMPERATURE = 3.0  # bits, at first
Z_CURVATURE = 0.5  # of the bits of y by z, times Fisher's
Z_STRIDE = 0.2
Z_TEMPERATURE = 2.0  # times that of y
Z_REACH = 3  # what z moves by in an iteration, at most, and how far from its target symbols are looked for
FIT_EVERY = 8  # iterations
STRUCTURE = 0.1  # share of 1 - MS-SSIM in the distortion: structure is kept, and PSNR costs next to nothing
Draw = Callable[[tuple[int, ...]], Tensor]  # random numbers of a shape, see `Noise` in latents.py
WINDOW = 32  # positions of y per side of a window of g_s with gradients: some 300 MB


def refine(
    networks: Networks,
    q: int,
    x: NDArray[np.float32],
    seen: Analysed,
    filters: Filters,
    iterations: int,
    progress: Callable[[float], None] | None = None,
    worth: Worth | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Targets for `quantise` that cost less than the analysis's own y and z.

    Args:
        q: 0..1000. x: (H, W, 3) levels minus 128 of the rows that `seen.y` covers, not padded.
        filters: of the picture's tiles as far as they are known, the first row of y being their top. Those of the band
            are fitted on the way. progress: called with the share done, 0..1. worth: of errors, where they do not all
            count alike.

    Returns: (n, w, M) for y and the integers (ceil(n / 4), ceil(w / 4), N) of z for the n rows of the band, the best of
    all iterations by true bits and the distortion of the float networks.
    """
    weights, band = networks.weights, seen.inner
    scale = quality_lambda(q) * REFINED / 3
    y, z = torch.from_numpy(seen.y), torch.from_numpy(np.ascontiguousarray(seen.z))
    target, around = y[band], y * MEAN_ONE
    worth = worth or plain(weights.cfg.M, (target.shape[0], target.shape[1]))
    lmbda = torch.from_numpy(worth(step_lambda(weights, q) * REFINED))
    distortion, hyper = Distortion(weights, q, torch.from_numpy(x), band, filters, worth), Hyper(weights, q, z)
    rng = torch.Generator().manual_seed(0)
    best, chosen = math.inf, (target, z)
    stride = 0.5 * iterations**-0.35  # the share of the way to the lowest point that the target goes
    for k in range(iterations + 1):
        last = k == iterations
        # The first draw is at 0, so that the start is among what is compared.
        temperature = TEMPERATURE * max(0, iterations - 1 - k) / iterations if k else 0.0
        z_hat = hyper.draw(partial(gumbel, Z_TEMPERATURE * temperature, rng))
        noise = partial(gumbel, temperature, rng) if temperature else None
        tiles = draw(networks, q, z_hat, target, filters.side, noise, worth)
        around[band] = torch.from_numpy(np.concatenate([t.y_hat for t in tiles], axis=1)).float()
        error, slope = distortion(around, gradient=not last, fit=k % FIT_EVERY == 0 and not last)
        loss = sum(t.bits() for t in tiles) + scale * error
        if not temperature and loss < best:
            best, chosen = loss, (target, z_hat)
        if progress:
            progress((k + 1) / (iterations + 1))
        if not last:
            y_slope, z_slope = rate_slopes(weights, q, tiles)
            # Weights of channels are those of the slope: as if the synthesis were orthonormal.
            slope *= torch.from_numpy(worth.channel) * scale
            lowest = around[band] * (1 / MEAN_ONE) - (slope + y_slope) / (2 * CURVATURE * lmbda)
            target = target.lerp(lowest, stride)
            hyper.move(z_hat, z_slope)
    return chosen[0].numpy(), chosen[1].numpy()


def draw(
    networks: Networks, q: int, z_hat: Tensor, target: Tensor, side: int, noise: Draw | None, worth: Worth
) -> list[Symbols]:
    """The symbols of each tile of a band, from the left, for z_hat (h, w, N) and a target (n, w, M) of y. side: of the
    tiles, in positions of y. noise: see `quantise`."""
    tiles, numbers = [], (lambda shape: noise(shape).numpy()) if noise else None
    for columns, _ in split(slice(0, target.shape[1]), side, 0):
        z = z_hat[:, columns.start // Z_CELL : -(-columns.stop // Z_CELL)].numpy()
        its = worth.part(slice(None), columns)
        tiles.append(quantise(networks, q, z, target[:, columns].numpy(), REFINED, numbers, its))
    return tiles


class Hyper:
    """Where z is on its way: a target, and what its symbols cost."""

    def __init__(self, weights: Weights, q: int, z: Tensor) -> None:
        tables, table = z_tables(weights, q, 1)
        table, values = table[:, None], np.arange(-Z_MAX, Z_MAX + 1)[None].repeat(len(table), 0)
        self.bits = torch.from_numpy(tables.bits[table, tables.symbols(table, values)[0]])  # of each channel's symbols
        self.target = z
        self.curvature: Tensor | None = None  # (N,) of a squared step from the target, in bits

    def draw(self, noise: Draw) -> Tensor:
        """Integers (h, w, N) near the target: the cheapest by bits and distance and noise; at first the nearest."""
        nearest = self.target.round().clamp_(-Z_MAX, Z_MAX)
        if self.curvature is None:
            return nearest
        choices = torch.stack([nearest + i for i in range(-Z_REACH, Z_REACH + 1)]).clamp_(-Z_MAX, Z_MAX)
        bits = self.bits[torch.arange(len(self.bits)), choices.long() + Z_MAX]
        cost = bits + self.curvature * (choices - self.target).square() + noise(bits.shape)
        return choices.gather(0, cost.argmin(0, keepdim=True))[0]

    def move(self, z_hat: Tensor, slope: Tensor) -> None:
        """Take the target some of the way to the lowest point near z_hat, by the slope there of the bits of y."""
        fisher = slope.square().mean((0, 1)) * (Z_CURVATURE * math.log(2) / 2) + 1e-3  # above 0 for any channel
        self.curvature = fisher if self.curvature is None else self.curvature.lerp(fisher, 0.1)
        step = (slope / (2 * self.curvature)).clamp(-Z_REACH, Z_REACH)
        self.target = self.target.lerp(z_hat - step, Z_STRIDE)


def gumbel(temperature: float, rng: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """What turns the cheapest of some choices into a draw from their Gibbs distribution, in bits."""
    u = torch.rand(shape, generator=rng, dtype=torch.float32).clamp(1e-12, 1 - 1e-7)
    return temperature * (-u.log()).log()


class Distortion:
    """What a picture has lost where a band of y shows: over its rows and those near it, window by window,

        e (e / e0) ** -s (u / u0) ** s

    with e the squared error, by what it is worth in each place, u = 1 - MS-SSIM (ms_ssim.py), s = STRUCTURE, and e0 and
    u0 what they are at first. So it begins as that error, and a change of either counts by what it is to the whole,
    whatever picture and quality.
    """

    def __init__(self, weights: Weights, q: int, x: Tensor, band: slice, filters: Filters, worth: Worth) -> None:
        """x, filters, worth: see `refine`. band: rows of y."""
        self.model, self.q, self.x, self.band, self.filters = (
            trained.soft(weights),
            torch.full((1,), q),
            x,
            band,
            filters,
        )
        rows = band.start, -(-len(x) // CELL) - band.stop  # beyond the band: as its nearest ones
        self.place = torch.from_numpy(np.pad(worth.place, (rows, (0, 0)), "edge"))
        self.first: dict[tuple[int, int], tuple[float, float]] = {}  # e0 and u0 of the window at a row and a column

    def __call__(self, y_hat: Tensor, gradient: bool, fit: bool) -> tuple[float, Tensor]:
        """The distortion, and its slope (n, w, M) per quantiser step, 0 where no `gradient` is wanted.

        Args: y_hat: (rows, w, M) in 1/16 step. fit: whether to find better filters for the next time.
        """
        rows, w, _ = y_hat.shape
        margin = self.model.g_s.margin
        # A change in the band shows in rows beyond it: those whose own margin is known count.
        first = min(margin, self.band.start)
        last = max(rows - margin, self.band.stop)
        total, slope, fits = 0.0, torch.zeros_like(y_hat), Fits(self.filters, self.band)
        for r, c, outer_r, outer_c in windows(first, last, w, rows, margin, WINDOW):
            wanted = self.x[r.start * CELL : r.stop * CELL, c.start * CELL : c.stop * CELL]
            leaf = y_hat[outer_r, outer_c][None].requires_grad_(gradient)
            with torch.set_grad_enabled(gradient):
                with half():
                    made = self.model.g_s(leaf, self.q, self.model.steps(self.q))[0].float()
                planes = as_planes(made.detach())
                x_hat = made[inner(outer_r, r, CELL), inner(outer_c, c, CELL)] * (1 / PIXEL_ONE)
                # What the filters do is taken for given: they move a pixel by little of what its neighbours do.
                seen = filtered(self.filters, planes, (r, c), (outer_r, outer_c)).permute(1, 2, 0) * (1 / OUT_ONE)
                x_hat = (x_hat + (seen - x_hat.detach()))[: wanted.shape[0], : wanted.shape[1]]
                lost = self.of_window((r, c), wanted, x_hat)
            if gradient:
                slope[outer_r, outer_c] += torch.autograd.grad(lost, leaf)[0][0]
            total += float(lost)
            if fit:
                fits.add(planes, wanted, (r, c), (outer_r, outer_c))
        if fit:
            fits.settle(float(quality_lambda(int(self.q))) / 3)
        return total, slope[self.band] * MEAN_ONE

    def of_window(self, at: tuple[slice, slice], x: Tensor, x_hat: Tensor) -> Tensor:
        place = self.place[at].repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)[: x.shape[0], : x.shape[1]]
        e = ((x_hat - x).square() * place[..., None]).sum() + 1e-4
        u = dissimilarity(x[None] + 128, x_hat[None] + 128)[0] + 1e-4
        e0, u0 = self.first.setdefault((at[0].start, at[1].start), (float(e.detach()), float(u.detach())))
        return e0 * (e / e0) ** (1 - STRUCTURE) * (u / u0) ** STRUCTURE


def rate_slopes(weights: Weights, q: int, tiles: list[Symbols]) -> tuple[Tensor, Tensor]:
    """`tile_slopes` of tiles beside one another, joined."""
    with half():
        y, z = zip(*(tile_slopes(weights, q, t) for t in tiles), strict=True)
    return torch.cat(y, dim=1), torch.cat(z, dim=1)


def tile_slopes(weights: Weights, q: int, tile: Symbols) -> tuple[Tensor, Tensor]:
    """Slopes of a tile's bits of y by y_hat (h, w, M), per quantiser step, and by z_hat (ceil(h / 4), ceil(w / 4), N).

    By y_hat through the contexts of later symbols only: a symbol's own bits are for `quantise` to weigh."""
    model, qs = trained.soft(weights), torch.full((1,), q)
    y_hat, z_hat = (torch.from_numpy(a).float()[None] for a in (tile.y_hat, tile.z_hat))
    y_leaf, z_leaf = (t.clone().requires_grad_() for t in (y_hat, z_hat))
    places = torch.zeros(y_hat.shape, dtype=torch.bool)
    places.view(-1)[torch.from_numpy(np.concatenate(tile.places)).long()] = True
    bits: list[Tensor] = []

    def code(i: int, mean: Tensor, index: Tensor, mask: Tensor) -> Tensor:
        start, stop = model.groups[i // 2]
        d = (y_hat[..., start:stop] - mean) * (1 / MEAN_ONE)
        coded = mask & places[..., start:stop]
        bits.append((logistic_bits(d, index_scale(index)) * coded).sum())
        return y_leaf[..., start:stop]

    with torch.enable_grad():
        model.contexts(z_features(model, z_leaf, qs, *y_leaf.shape[1:3]), qs, code)
        y_slope, z_slope = torch.autograd.grad(torch.stack(bits).sum(), (y_leaf, z_leaf))
    return y_slope[0] * MEAN_ONE, z_slope[0]
