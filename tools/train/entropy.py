"""Train the entropy networks alone, on fixed latents: python -m tools.train.entropy PICTURES OUT --init MODEL

h_s, the context steps and the biases of the index learn from the latents of crops, which the encoder of MODEL (a model
file) makes once and leaves in OUT. g_a and g_s have no part in it, so that a step is far less work than one of
train.py. The loss is that of settling (loss.py), with the error of y_hat in place of the picture's, weighed as the
encoder does by default (tuning.py). The learning rate rises for 100 steps, and falls as a cosine over the last 70 %.
Writes OUT/checkpoint.pt every --interval steps, for export_model.py.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tools.train.checkpoint import load_any
from tools.train.data import Crops
from tools.train.grow import with_third_group
from tools.train.loss import Residuals
from tools.train.train import HeldOut, optimisers
from vaecodec.bitstream.header import CELL, QUALITY_MAX
from vaecodec.codec.analysis import Analysis
from vaecodec.codec.defaults import RDOQ_WEIGHT
from vaecodec.codec.latents import step_lambda
from vaecodec.codec.team import Team
from vaecodec.codec.tuning import worth_of
from vaecodec.model import weights
from vaecodec.model.architecture import MEAN_ONE, Z_MAX, quality_lambda
from vaecodec.model.likelihood import index_scale, logistic_bits
from vaecodec.model.native import Networks
from vaecodec.model.networks import Model, z_features

TRAINED = ("h_s.", "context.", "index_bias.")
FINE = 64  # the integer that stands for a quantiser step in what is stored of y
RISE, HOLD, LEAST = 100, 0.3, 0.02  # of the learning rate: steps, share of the run, share at the end
EMA = 0.998


class Latents:
    """y (n, h, w, M) in 1/64 step, z (n, h / 4, w / 4, N) and qualities of crops of a model, in files of a folder."""

    def __init__(self, model: weights.Weights, folder: Path) -> None:
        self.model = model
        self.y, self.z, self.q = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in "yzq")
        self.order = np.argsort(self.q, kind="stable")

    @classmethod
    def make(cls, model: weights.Weights, crops: Crops, count: int, folder: Path) -> Latents:
        """Those of so many crops. What is in the folder already is used again."""
        if not (folder / "q.npy").exists():
            folder.mkdir(parents=True, exist_ok=True)
            networks, side, cfg = Networks(model), crops.size // CELL, model.cfg
            open_memmap = np.lib.format.open_memmap
            y = open_memmap(folder / "y.npy", "w+", np.int16, (count, side, side, cfg.M))
            z = open_memmap(folder / "z.npy", "w+", np.int8, (count, side // 4, side // 4, cfg.N))
            q = crops.rng.integers(0, QUALITY_MAX + 1, count)
            for i in range(count):
                seen = Analysis(networks, int(q[i]), crops.batch(1)[0].numpy(), 1).band(0, side, Team(1, None))
                y[i] = np.rint(seen.y * FINE).clip(-32767, 32767)
                z[i] = np.rint(seen.z).clip(-Z_MAX, Z_MAX)
            np.save(folder / "q.npy", q)
        return cls(model, folder)

    def batch(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """y in steps, z, q and what an error costs in each place (n, h, w, M), of n crops that span the whole dial."""
        places = self.order[((np.arange(n) + rng.random(n)) / n * len(self.order)).astype(int)]
        y, z, q = self.y[places].astype(np.float32) / FINE, self.z[places].astype(np.float32), self.q[places]
        cost = [worth_of(self.model, int(k), a)(step_lambda(self.model, int(k))) for k, a in zip(q, y, strict=True)]
        return torch.from_numpy(y), torch.from_numpy(z), torch.from_numpy(q), torch.from_numpy(np.stack(cost))


def loss_of(model: Model, y: Tensor, z: Tensor, q: Tensor, cost: Tensor) -> Tensor:
    """Mean of (bits + what the error of y_hat costs) a pixel, weighed as in `Loss`."""
    residuals = Residuals(model, y, cost * RDOQ_WEIGHT, settle=True)
    y_hat = model.contexts(z_features(model, z, q, *y.shape[1:3]), q, residuals)
    d, index = residuals.joined()
    spent = logistic_bits(d, index_scale(index)).sum((1, 2, 3))
    spent = spent + (cost * (y_hat * (1 / MEAN_ONE) - y).square()).sum((1, 2, 3))
    return (spent / (y.shape[1] * y.shape[2] * CELL**2) / (0.3 + 3 * quality_lambda(q).sqrt())).mean()


def schedule(step: int, steps: int) -> float:
    """Factor on the learning rate."""
    t = max(0.0, (step / steps - HOLD) / (1 - HOLD))
    return min(1.0, (step + 1) / RISE) * (LEAST + (1 - LEAST) * 0.5 * (1 + math.cos(math.pi * t)))


def train(model: Model, latents: Latents, args: argparse.Namespace, heldout: HeldOut | None) -> dict[str, Tensor]:
    """The averaged weights."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(TRAINED))
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    ema = {name: value.clone() for name, value in model.state_dict().items()}
    found, rng = optimisers(model, args.lr, muon=True), np.random.default_rng(args.seed)
    compute = torch.compile(loss_of, dynamic=False) if args.compile else loss_of
    total, begun = 0.0, time.perf_counter()
    for step in range(args.steps):
        for group in itertools.chain.from_iterable(o.param_groups for o in found):
            group["lr"] = group["base"] * schedule(step, args.steps)
        for optimiser in found:
            optimiser.zero_grad(set_to_none=True)
        loss = compute(model, *latents.batch(args.batch, rng))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in found:
            optimiser.step()
        now, kept = model.state_dict(), min(EMA, (1 + step) / (10 + step))
        torch._foreach_lerp_([ema[name] for name in names], [now[name] for name in names], 1 - kept)
        total += loss.item()
        if (step + 1) % args.interval == 0 or step + 1 == args.steps:
            save(model, ema, step + 1, args.out / "checkpoint.pt")
            rate = (step + 1) / (time.perf_counter() - begun)
            print(f"step {step + 1}  loss {total / (step + 1):.4f}  {rate:.2f} steps/s", flush=True)
            if heldout:
                print(f"  estimate {heldout(model, ema):.2f} %", flush=True)
    return ema


def save(model: Model, ema: dict[str, Tensor], step: int, path: Path) -> None:
    torch.save({"config": model.cfg.to_dict(), "ema": ema, "step": step}, path)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--init", type=Path, required=True, help="a model file")
    p.add_argument("--go-on", type=Path, help="a checkpoint whose entropy networks to begin with")
    p.add_argument("--mid", type=int, help="first give it a third group of channels, from here on")
    p.add_argument("--crops", type=int, default=12000)
    p.add_argument("--size", type=int, default=256)
    p.add_argument("--steps", type=int, default=5000)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--lr", type=float, default=1.5e-4)
    p.add_argument("--interval", type=int, default=250)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--compile", action="store_true")
    return p


def main() -> None:
    args = parser().parse_args()
    torch.manual_seed(args.seed)
    crops = Crops(args.pictures, args.size, args.seed)
    latents = Latents.make(weights.load(args.init), crops, args.crops, args.out / "latents")
    model = load_any(args.init)
    model = with_third_group(model, args.mid) if args.mid else model
    if args.go_on:
        begun = {name: value for name, value in load_any(args.go_on).state_dict().items() if name.startswith(TRAINED)}
        model.load_state_dict(model.state_dict() | begun)
    train(model, latents, args, HeldOut(args.pictures, torch.device("cpu")))


if __name__ == "__main__":
    main()
