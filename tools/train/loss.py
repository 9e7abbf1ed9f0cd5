"""The training loss, bpp + lambda * distortion, and an estimate of rate and PSNR for the symbols really sent."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from tools.train.candidates import Candidate, nearest_anchor
from tools.train.ranks import ALONE, Ranks
from vaecodec.bitstream.header import QUALITY_MAX
from vaecodec.codec.defaults import RDOQ_WEIGHT
from vaecodec.metrics.ms_ssim import dissimilarity
from vaecodec.model.architecture import INDEX_ONE, MEAN_ONE, PIXEL_ONE, STEP_ONE, Y_MAX, Z_MAX, quality_lambda
from vaecodec.model.exact import round_ste
from vaecodec.model.likelihood import index_scale, logistic_bits
from vaecodec.model.networks import Model


@functools.cache
def fast_bf16(device: torch.device) -> bool:
    """Whether bf16 matrix products beat float32 ones: on GPUs, and on CPUs with instructions for them."""
    if device.type != "cpu":
        return True
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(768, 768, dtype=dtype)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            a @ a
            times.append(time.perf_counter() - start)
        seconds[dtype] = min(times)
    return seconds[torch.bfloat16] < seconds[torch.float32]


def rdoq(d: Tensor, scale: Tensor, lmbda: Tensor) -> Tensor:
    """Residuals as the encoder sends them: rounded, and one nearer to zero where that pays (`latents.rdoq`)."""
    r = d.round()
    nearer = r - r.sign()
    saved = logistic_bits(r, scale) - logistic_bits(nearer, scale)
    return torch.where(saved > ((d - nearer) ** 2 - (d - r) ** 2) * lmbda, nearer, r)


def z_bits(model: Model, z: Tensor, q: Tensor, exact: bool) -> Tensor:
    """Bits (B,) of z (B,h,w,N). exact: as a file has it, not what is best to train by."""
    if isinstance(model, Candidate) and model.z_bank is not None:
        return model.z_bank(z, q, exact)
    k = nearest_anchor(q)
    loc, scale = model.z_mean[k][:, None, None, :], model.z_log_scale[k][:, None, None, :].exp()
    return logistic_bits(z - loc, scale).sum((1, 2, 3))


class Residuals:
    """What the contexts leave of y (B,h,w,M), in quantiser steps, group by group: the `code` of `Model.contexts`.

    lmbda: see `rdoq`. settle: see `forward`.
    """

    def __init__(self, model: Model, y: Tensor, lmbda: Tensor, settle: bool) -> None:
        self.groups, self.y, self.lmbda, self.settle = model.groups, y, lmbda, settle
        self.coded: list[tuple[Tensor, Tensor]] = []  # (deviation from the mean, index) of each group

    def __call__(self, i: int, mean: Tensor, index: Tensor, mask: Tensor) -> Tensor:
        start, stop = self.groups[i // 2]
        d = self.y[..., start:stop] - mean * (1 / MEAN_ONE)
        if self.settle:
            # The symbol does not move with the mean, y_hat does; the bits, on average, feel the exact residual.
            r = rdoq(d.detach(), index_scale(index).detach(), self.lmbda[..., start:stop])
            d = r + d - d.detach()
        else:
            r = round_ste(d)
        if i % 2 == 0:
            self.coded.append((d, index))
        else:
            before = self.coded.pop()
            self.coded.append((torch.where(mask, d, before[0]), torch.where(mask, index, before[1])))
        return (r * MEAN_ONE + mean).clamp(-Y_MAX, Y_MAX)

    def joined(self) -> tuple[Tensor, Tensor]:
        """Deviations and indices of all groups, (B,h,w,M)."""
        d, index = zip(*self.coded, strict=True)
        return torch.cat(d, dim=-1), torch.cat(index, dim=-1)


def forward(
    model: Model,
    x: Tensor,
    q: Tensor,
    noise: tuple[Tensor, Tensor] | None,
    bf16: bool = False,
    settle: bool = False,
    g_a: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Bits (B,) and x_hat (B,H,W,3) in levels minus 128, for x (B,H,W,3) uint8, sides multiples of 64.

    With uniform `noise` for z and y (see `uniform_noise`) the rate sees noisy values and x_hat rounded
    ones with straight-through gradients (Minnen and Singh 2020); without, both see rounded values. To `settle` is to
    train the decoder side alone, on symbols of rdoq as the encoder sends them. g_a: in place of the model's.
    """
    device = x.device.type
    step = model.steps(q)
    with torch.autocast(device, torch.bfloat16, enabled=bf16):
        y = (g_a or model.g_a)(x.float() - 128, q, step).float()
        z = model.h_a(y)
    if settle:
        y, z, step = y.detach(), z.detach(), step.detach()

    z_hat = round_ste(z).clamp(-Z_MAX, Z_MAX)
    bits = z_bits(model, z_hat if noise is None else z + noise[0], q, noise is None)
    # bf16 has 8 significant bits: too few for the grid, whose decoder side runs in float32.
    with torch.autocast(device, torch.bfloat16, enabled=bf16 and not model.grid):
        features = model.h_s(z_hat, q)
    if isinstance(model, Candidate) and model.element_step is not None:
        factor = model.element_step(features)
        y, step = y / factor, step * factor
    lmbda = quality_lambda(q)[:, None, None, None] * (step.detach() / STEP_ONE) ** 2 * (RDOQ_WEIGHT / 3)

    residuals = Residuals(model, y, lmbda, settle)
    with torch.autocast(device, torch.bfloat16, enabled=bf16 and not model.grid):
        y_hat = model.contexts(features, q, residuals)
        x_hat = model.g_s(y_hat, q, step)

    d, index = residuals.joined()
    if noise is None:
        d, index = d.round(), (index / INDEX_ONE).round() * INDEX_ONE
    elif not settle:
        d = d + noise[1]
    bits = bits + logistic_bits(d, index_scale(index)).sum((1, 2, 3))
    return bits, x_hat * (1 / PIXEL_ONE)


def uniform_noise(model: Model, x: Tensor, ranks: Ranks = ALONE) -> tuple[Tensor, Tensor]:
    """Noise in [-1/2, 1/2) of the shapes of z and y for pictures x (B,H,W,3), this process's share of a batch."""
    b, h, w, _ = x.shape
    z = ranks.share(torch.rand(b * ranks.size, h // 64, w // 64, model.cfg.N, device=x.device))
    y = ranks.share(torch.rand(b * ranks.size, h // 16, w // 16, model.cfg.M, device=x.device))
    return z - 0.5, y - 0.5


class Loss:
    """Mean over the batch of (bpp + lambda D) / (0.3 + 3 sqrt(lambda)), a random quality for each picture.

    The divisor keeps the high rates from drowning the low ones. The distortion D is the MSE with a share of
    `structure` for 1 - MS-SSIM: a relative change of that weighs as much as one of the MSE, whatever picture and rate.
    """

    def __init__(
        self,
        device: torch.device,
        compiled: bool = False,
        structure: float = 0.0,
        unlike: Callable[[Tensor, Tensor], Tensor] = dissimilarity,
        ranks: Ranks = ALONE,
    ) -> None:
        self.device, self.structure, self.unlike, self.ranks = device, structure, unlike, ranks
        self.bf16 = ranks.from_first(fast_bf16(device))
        self.forward = torch.compile(forward, dynamic=False) if compiled else forward

    def __call__(self, model: Model, x: Tensor, settle: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, mean bpp, mean MSE of this process's share (B,H,W,3) uint8 of a batch; see `forward` for settle.

        With a share for structure the loss stands for its gradient alone: its value means nothing.
        """
        # Stratified: each batch spans the whole dial.
        whole = len(x) * self.ranks.size
        q = (torch.arange(whole) + torch.rand(whole)) / whole * (QUALITY_MAX + 1)
        q = self.ranks.share(q.long().clamp(0, QUALITY_MAX)).to(self.device)
        bits, x_hat = self.forward(model, x, q, uniform_noise(model, x, self.ranks), self.bf16, settle)
        bpp = bits / (x.shape[1] * x.shape[2])
        mse = (x_hat - (x.float() - 128)).square().mean((1, 2, 3))
        lam, distortion = quality_lambda(q), mse
        if self.structure:
            unlike = (self.unlike(x.float(), x_hat + 128) + 1e-4).log()
            distortion = (1 - self.structure) * mse + self.structure * mse.detach() * unlike
        loss = ((bpp + lam * distortion) / (0.3 + 3 * lam.sqrt())).mean()
        return loss, bpp.mean().detach(), mse.mean().detach()


@torch.no_grad()
def reconstruct(model: Model, x: Tensor, quality: int) -> tuple[float, Tensor]:
    """bpp and rounded pixels 0..255 (1,H,W,3) of one picture (1,H,W,3) uint8, symbols of rdoq, bits estimated."""
    bits, x_hat = forward(model, x, torch.tensor([quality], device=x.device), None, settle=True)
    return bits.item() / (x.shape[1] * x.shape[2]), (x_hat.round() + 128).clamp(0, 255)


def evaluate(model: Model, x: Tensor, quality: int) -> tuple[float, float]:
    """bpp and RGB-PSNR of that."""
    bpp, pixels = reconstruct(model, x, quality)
    mse = (pixels - x.float()).square().mean().item()
    return bpp, 10 * math.log10(255**2 / max(mse, 1e-10))
