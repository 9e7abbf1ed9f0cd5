"""Train the denoising encoder: python -m tools.train.train_denoiser PICTURES OUT --minutes 120

The decoder and the entropy model are those of a shipped model and stand still. First the latents of the noisy picture
are drawn to those that g_a gives of the clean one, which is cheap; then the codec's own loss counts, bits and error
of the decoded picture against the clean one. Resumes from OUT. Needs torch, numpy and pillow only where --model is a
checkpoint, runs on a CPU or a CUDA device.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tools.train.checkpoint import load_any
from tools.train.data import Crops, find_pictures, load
from tools.train.loss import fast_bf16, forward, uniform_noise
from tools.train.ranks import needs_one
from tools.train.train import optimisers
from vaecodec.bitstream.header import QUALITY_MAX
from vaecodec.model.architecture import PIXEL_ONE, STEP_ONE, Config, quality_lambda
from vaecodec.model.networks import Model
from vaecodec.restoration.network import DenoisingAnalysis

BLOCKS = 10
SIGMAS = (3.0, 75.0)  # log-uniform
MISJUDGED = 0.1  # the noise level that the network is told is off by so much, relative
GREY = 0.1  # share of grey pictures
CODED_FROM = 0.4  # share of a run from g_a after which the codec's loss counts
DECAY_FROM = 0.5  # share of the run after which the learning rate falls
EVAL_SIGMAS = (15, 25, 50)
EVAL_QUALITY = QUALITY_MAX


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, help="folder of training pictures (searched recursively)")
    p.add_argument("out", type=Path, help="folder for denoiser.pt; resumed if it has one")
    p.add_argument("--model", type=Path, required=True, help="checkpoint or shipped model to train for")
    p.add_argument("--init", type=Path, help="start from the denoiser.pt of another run, or a shipped denoiser")
    p.add_argument("--minutes", type=float, default=60, help="wall-clock budget of the whole run, over all resumes")
    p.add_argument("--lr", type=float, default=4e-4)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--size", type=int, default=192, help="side of the crops, a multiple of 64")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--eval-minutes", type=float, default=10)
    p.add_argument("--compile", action="store_true")
    p.add_argument("--seed", type=int, default=1)
    return p.parse_args()


def spoil(x: Tensor, sigma: Tensor) -> Tensor:
    """x (B,H,W,3) uint8 with normal noise of sigma (B,) levels, rounded and clipped as in a file; float."""
    noise = torch.randn(x.shape, device=x.device) * sigma[:, None, None, None]
    return (x + noise).round().clamp(0, 255)


def draw(crops: Crops, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Clean x (B,H,W,3) uint8, noisy float, and sigma (B,) as the network is told it."""
    x = crops.batch(batch)
    low, high = (math.log(s) for s in SIGMAS)
    sigma = (low + (high - low) * torch.rand(batch)).exp()
    y = spoil(x, sigma)
    grey = torch.rand(batch) < GREY
    if grey.any():
        x[grey] = x[grey].float().mean(-1, keepdim=True).round().to(torch.uint8).expand_as(x[grey])
        y[grey] = spoil(x[grey][..., :1], sigma[grey]).expand_as(x[grey])
        # The same noise in three colours is all in one of the opponent colours: as strong as sqrt 3 times as much.
        sigma = torch.where(grey, sigma * math.sqrt(3), sigma)
    return x, y, sigma * (MISJUDGED * torch.randn(batch)).exp()


def expected(sigma: Tensor) -> Tensor:
    """About the error that is left of noise of sigma, in levels squared: what errors are weighed by."""
    return 0.8 * (1 + sigma) ** 1.35


def latent_loss(model: Model, denoiser: DenoisingAnalysis, x: Tensor, y: Tensor, q: Tensor, sigma: Tensor) -> Tensor:
    """Error of the latents against those of the clean picture, in levels squared."""
    step = model.steps(q)
    with torch.no_grad():
        wanted = model.g_a(x.float() - 128, q, step).float()
    found = denoiser(y - 128, q, step, sigma).float()
    error = ((found - wanted) * (step / STEP_ONE)).square().sum((1, 2, 3)) / x[0].numel()
    return (error / expected(sigma)).mean()


def coded_loss(model: Model, denoiser: DenoisingAnalysis, x: Tensor, y: Tensor, q: Tensor, sigma: Tensor) -> Tensor:
    """The codec's, bpp + lambda * MSE, of the clean picture."""
    bf16 = torch.is_autocast_enabled(x.device.type)
    bits, x_hat = forward(model, y, q, uniform_noise(model, x), bf16, g_a=partial(denoiser, sigma=sigma))
    bpp = bits / (x.shape[1] * x.shape[2])
    lam = quality_lambda(q)
    mse = (x_hat - (x.float() - 128)).square().mean((1, 2, 3))
    return ((bpp + lam * mse) / (0.3 + 3 * lam.sqrt() + lam * expected(sigma))).mean()


@torch.no_grad()
def evaluate(model: Model, denoiser: DenoisingAnalysis, pictures: list[Tensor], sigma: float) -> float:
    """Mean PSNR of pictures (1,H,W,3) uint8 with noise, denoised and decoded, unquantised."""
    found = []
    generator = torch.Generator().manual_seed(0)
    for x in pictures:
        q = torch.tensor([EVAL_QUALITY], device=x.device)
        noise = torch.randn(x.shape, generator=generator).to(x.device) * sigma
        y = (x + noise).round().clamp(0, 255)
        step = model.steps(q)
        y_hat = denoiser(y - 128, q, step, torch.tensor([sigma], device=x.device)) * 16
        z = (model.g_s(y_hat, q, step) / PIXEL_ONE + 128).round().clamp(0, 255)
        found.append(10 * math.log10(255**2 / (z - x.float()).square().mean().item()))
    return float(np.mean(found)) if found else math.nan


def trained(path: Path, cfg: Config) -> dict[str, Tensor]:
    """The weights of a run (.pt) or of a shipped denoiser (.safetensors), whatever model it is for."""
    if path.suffix != ".safetensors":
        return torch.load(path, map_location="cpu", weights_only=True)["ema"]
    from vaecodec.model.tensors import tensor_file
    from vaecodec.restoration.denoiser import build  # needs safetensors, which the trainer otherwise does without

    with tensor_file(path, "denoiser") as file:
        return build(file, cfg).state_dict()


class Run:
    """A training run: everything that a checkpoint must hold to go on to the step."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.device = args, torch.device(args.device)
        torch.manual_seed(args.seed)
        self.model = load_any(args.model).to(self.device).requires_grad_(False)
        self.denoiser = DenoisingAnalysis(self.model.cfg, BLOCKS)
        self.denoiser.start_from(self.model.g_a)
        self.crops = Crops(args.pictures, args.size, args.seed)
        self.path = args.out / "denoiser.pt"
        self.step, self.seconds = 0, 0.0
        saved = torch.load(self.path, map_location="cpu", weights_only=True) if self.path.exists() else None
        self.coded_from = 0.0 if args.init else CODED_FROM  # what another run has learnt is not to be lost
        if saved is None and args.init:
            self.denoiser.load_state_dict(trained(args.init, self.model.cfg))
        self.denoiser.to(self.device)
        self.ema = {k: v.clone() for k, v in self.denoiser.state_dict().items()}
        self.optimisers = optimisers(nn.ModuleDict({"g_a": self.denoiser}), args.lr, True)
        if saved is not None:
            self.denoiser.load_state_dict(saved["denoiser"])
            self.ema = {k: v.to(self.device) for k, v in saved["ema"].items()}
            for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
                optimiser.load_state_dict(state)
            self.step, self.seconds = saved["step"], saved["seconds"]
            torch.manual_seed(args.seed + self.step)
            self.crops.rng = np.random.default_rng([args.seed, self.step])

    def save(self) -> None:
        state = {
            "blocks": BLOCKS,
            "denoiser": self.denoiser.state_dict(),
            "ema": self.ema,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "seconds": self.seconds,
        }
        temporary = self.path.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.path)

    @property
    def progress(self) -> float:
        return self.seconds / (60 * self.args.minutes)

    def train_step(self, losses: tuple, bf16: bool) -> float:
        t = max(0.0, min(1.0, (self.progress - DECAY_FROM) / (1 - DECAY_FROM)))
        factor = min(1.0, (self.step + 1) / 200) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * t)))
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["base"] * factor
            optimiser.zero_grad(set_to_none=True)
        n = self.args.batch
        x, y, sigma = (part.to(self.device) for part in draw(self.crops, n))
        q = (torch.arange(n) + torch.rand(n)) / n * (QUALITY_MAX + 1)
        q = q.long().clamp(0, QUALITY_MAX).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            loss = losses[self.progress >= self.coded_from](self.model, self.denoiser, x, y, q, sigma)
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(self.denoiser.parameters(), 1.0))
        self.step += 1
        if math.isfinite(norm):
            for optimiser in self.optimisers:
                optimiser.step()
            decay = min(0.999, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(list(self.ema.values()), list(self.denoiser.state_dict().values()), 1 - decay)
        return loss.item()


def heldout(folder: Path, device: torch.device, count: int = 8, side: int = 384) -> list[Tensor]:
    """Centres of a few held-out pictures, (1,H,W,3) uint8."""
    found: list[Tensor] = []
    for path in find_pictures(folder, heldout=True):
        x = load(path)
        if min(x.shape[:2]) >= side and len(found) < count:
            i, j = (x.shape[0] - side) // 2, (x.shape[1] - side) // 2
            found.append(torch.from_numpy(np.ascontiguousarray(x[None, i : i + side, j : j + side])).to(device))
    return found


def main() -> None:
    args = arguments()
    needs_one("tools.train.train_denoiser")
    args.out.mkdir(parents=True, exist_ok=True)
    run, bf16 = Run(args), fast_bf16(torch.device(args.device))
    losses = tuple(torch.compile(f, dynamic=False) if args.compile else f for f in (latent_loss, coded_loss))
    pictures = heldout(args.pictures, run.device)
    own = DenoisingAnalysis(run.model.cfg, BLOCKS).to(run.device)
    last, total, since = time.monotonic(), 0.0, 0
    next_eval = run.seconds + 60 * min(2, args.eval_minutes)
    while run.progress < 1:
        total += run.train_step(losses, bf16)
        since += 1
        now = time.monotonic()
        run.seconds += now - last
        last = now
        if run.seconds >= next_eval or run.progress >= 1:
            own.load_state_dict(run.ema)
            figures = "  ".join(f"{s}: {evaluate(run.model, own, pictures, s):.2f} dB" for s in EVAL_SIGMAS)
            print(f"step {run.step}  minutes {run.seconds / 60:.1f}  loss {total / since:.4f}  {figures}", flush=True)
            total, since = 0.0, 0
            run.save()
            next_eval = run.seconds + 60 * args.eval_minutes
            last = time.monotonic()
    run.save()


if __name__ == "__main__":
    main()
