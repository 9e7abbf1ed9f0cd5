"""Train the codec: python -m tools.train.train PICTURES OUT --minutes 120

Reads a folder of pictures, writes checkpoints and a CSV log to OUT, and resumes from there to the
step when called again. Needs torch, numpy and pillow only; runs on a CPU or a CUDA device. In several processes, on
one machine or more: torchrun --nproc-per-node 2 -m tools.train.train PICTURES OUT (see CONTRIBUTING.md).
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import shutil
import statistics
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tools.measure.bdrate import bd_rate
from tools.train.candidates import candidate
from tools.train.checkpoint import load_weights
from tools.train.data import Crops, find_pictures, jpeg_point, load
from tools.train.loss import Loss, evaluate, fast_bf16
from tools.train.muon import Muon
from tools.train.ranks import ALONE, Ranks, together
from vaecodec.model.architecture import Config
from vaecodec.model.exact import Linear
from vaecodec.model.networks import Model

GRID_FROM = 0.85  # share of the run after which the decoder side is rounded to the grid
SETTLE_FROM = 0.85  # share of the run after which the encoder stands still, see `loss.forward`
SETTLE_LR = 0.25  # factor on the learning rate there, falling again
DECAY_FROM = 0.45  # share of the run after which the learning rate falls
EVAL_QUALITIES = (50, 200, 400, 600, 800, 950)
EVAL_JPEG = (5, 10, 20, 40, 65, 85, 94, 98)
FIELDS = ("step", "minutes", "lr", "grid", "loss", "bpp", "psnr", "skipped", "steps_per_s", "heldout_bd_rate")
PATHS = {"pictures", "out", "init"}  # options that may differ from machine to machine


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, help="folder of training pictures (searched recursively)")
    p.add_argument("out", type=Path, help="folder for checkpoint.pt, best.pt and log.csv; resumed if it has the first")
    p.add_argument("--minutes", type=float, default=60, help="wall-clock budget of the whole run, over all resumes")
    p.add_argument("--steps", type=int, help="budget of the whole run in steps, instead of minutes")
    p.add_argument("--save-steps", type=int, default=100, help="with --steps: steps between checkpoints")
    p.add_argument("--stop-after", type=float, default=math.inf, help="leave this call after so many minutes")
    p.add_argument("--init", type=Path, help="start from a checkpoint's or shipped model's weights")
    p.add_argument("--lr", type=float, default=4e-4)
    p.add_argument(
        "--adam",
        type=float,
        nargs="?",
        default=0,
        const=math.inf,
        metavar="STEPS",
        help="Adam for the matrices too, instead of Muon, for the first STEPS (all of them by default)",
    )
    p.add_argument("--structure", type=float, default=0.3, help="share of 1 - MS-SSIM in the distortion, see loss.py")
    p.add_argument("--batch", type=int, default=8, help="crops a step, over all processes together")
    p.add_argument("--size", type=int, default=256, help="side of the crops, a multiple of 64")
    p.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="of several processes each takes a GPU of its own",
    )
    p.add_argument("--interval", type=int, default=200, help="steps between log lines")
    p.add_argument("--eval-minutes", type=float, default=10, help="minutes between quick R-D checks")
    p.add_argument("--compile", action="store_true", help="torch.compile the loss: over twice as fast where it works")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--candidate", default="base", help="parts exchanged, e.g. relu+haar, see candidates.py")
    p.add_argument("--config", default="", help="architecture, e.g. C=16,M=48 (default: the shipped one)")
    return p


def schedule(progress: float, step: int) -> float:
    """Factor on the learning rate: warm up, hold, a cosine down to 1 % where the encoder stops, one for the rest."""

    def cosine(begin: float, end: float) -> float:
        t = max(0.0, min(1.0, (progress - begin) / (end - begin)))
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * t))

    if progress >= SETTLE_FROM:
        return SETTLE_LR * cosine(SETTLE_FROM, 1)
    return min(1.0, (step + 1) / 300) * cosine(DECAY_FROM, SETTLE_FROM)


def optimisers(model: nn.Module, lr: float, muon: bool, ranks: Ranks = ALONE) -> list[torch.optim.Optimizer]:
    """Adam moves every weight by about lr a step; what is small or large by nature gets its own rate."""
    factors = {"g_a.shortcut": 0.1, "z_mean": 5.0, "z_log_scale": 5.0, "step.value": 2.0, "index_bias.value": 2.0}
    groups: dict[float, list[Tensor]] = {}
    matrices: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if muon and isinstance(model.get_submodule(name.rpartition(".")[0]), Linear) and parameter.ndim == 2:
            matrices.append(parameter)
        else:
            groups.setdefault(factors.get(name, 1.0), []).append(parameter)
    adam = [{"params": params, "lr": lr * f, "base": lr * f} for f, params in groups.items()]
    found: list[torch.optim.Optimizer] = [torch.optim.Adam(adam, betas=(0.9, 0.99), foreach=True)]
    if matrices:
        dtype = torch.bfloat16 if ranks.from_first(fast_bf16(matrices[0].device)) else torch.float32
        found.append(Muon([{"params": matrices, "base": lr}], lr, dtype=dtype))
    return found


class Run:
    """A training run: everything that a checkpoint must hold to go on to the step.

    The same in all of its processes, whose number is no part of it: another may go on. Only the first needs the
    checkpoint, and writes it.
    """

    ranks = ALONE

    def __init__(self, args: argparse.Namespace, crops: Crops, ranks: Ranks = ALONE) -> None:
        self.args, self.device, self.crops, self.ranks = args, torch.device(args.device), crops, ranks
        torch.manual_seed(args.seed)
        crops.rng = np.random.default_rng(args.seed)
        overrides = dict(item.split("=") for item in args.config.split(",") if item)
        self.model: Model = candidate(args.candidate, Config(**{k: int(v) for k, v in overrides.items()}))
        torch.manual_seed(args.seed)  # noise and qualities are the same whatever model that was
        self.step, self.seconds, self.skipped, self.settled = 0, 0.0, 0, False
        self.best = math.inf  # BD-rate of the quick checks, in per cent
        self.norms: deque[float] = deque(maxlen=200)
        self.path = args.out / "checkpoint.pt"
        saved = self.saved()
        if saved is None and args.init:
            load_weights(self.model, args.init)
        elif saved is None:
            self.model.start_from_dct(self.crops.spectrum())
        self.model.load_state_dict(ranks.from_first(self.model.state_dict()))  # another machine may round differently
        self.model.to(self.device)
        self.ema = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.optimisers = self.new_optimisers()
        if saved is not None:
            self.restore(saved)

    def saved(self) -> dict | None:
        """The checkpoint of the first process."""
        here = self.path.exists()
        wanted = self.ranks.from_first(here)
        self.ranks.agree(
            here and not wanted, "a checkpoint, but process 0 has none: number the machines as before (--node-rank)"
        )
        found = here and self.ranks.first
        return self.ranks.from_first(torch.load(self.path, map_location="cpu", weights_only=True) if found else None)

    def new_optimisers(self) -> list[torch.optim.Optimizer]:
        return optimisers(self.model, self.args.lr, self.step >= self.args.adam, self.ranks)

    def restore(self, saved: dict) -> None:
        self.model.load_state_dict(saved["model"])
        self.ema = {k: v.to(self.device) for k, v in saved["ema"].items()}
        self.step, self.seconds, self.skipped = saved["step"], saved["seconds"], saved["skipped"]
        self.optimisers = self.new_optimisers()
        for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.settled, self.best = saved["settled"], saved.get("best", math.inf)
        self.norms.extend(saved["norms"])
        torch.set_rng_state(saved["rng"])
        self.crops.rng = np.random.default_rng([self.args.seed, self.step])

    def keep(self, bd: float) -> None:
        """Save, and keep what is the best so far aside: a run may diverge, and goes on from there then."""
        better = bd < self.best  # never where there is nothing to check: NaN
        self.best = bd if better else self.best
        self.save()
        if better and self.ranks.first:
            shutil.copyfile(self.path, self.path.with_name("best.pt"))

    def save(self) -> None:
        if not self.ranks.first:
            return
        state = {
            "config": self.model.cfg.to_dict(),
            "candidate": self.args.candidate,
            "model": self.model.state_dict(),
            "ema": self.ema,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "seconds": self.seconds,
            "skipped": self.skipped,
            "settled": self.settled,
            "best": self.best,
            "norms": list(self.norms),
            "rng": torch.get_rng_state(),
        }
        temporary = self.path.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.path)

    @property
    def progress(self) -> float:
        if self.args.steps:
            return self.step / self.args.steps
        return self.seconds / (60 * self.args.minutes)

    def train_step(self, loss_of: Loss) -> tuple[float, float, float]:
        """One optimiser step; skipped when the loss or the gradient is not to be trusted. Loss, bpp and MSE of it."""
        grid, settle = self.progress >= GRID_FROM, self.progress >= SETTLE_FROM
        if settle and not self.settled:
            self.model.load_state_dict(self.ema)  # the encoder stays what it is now: its average is the better one
            self.settled = True
        if grid != self.model.grid:
            self.model.set_grid(grid)
        factor = schedule(self.progress, self.step)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["base"] * factor
            optimiser.zero_grad(set_to_none=True)
        x = self.crops.batch(self.args.batch, self.ranks).to(self.device)
        loss, bpp, mse = loss_of(self.model, x, settle)
        loss.backward()
        means = torch.stack([loss.detach(), bpp, mse])
        self.ranks.average([means, *(p.grad for p in self.model.parameters() if p.grad is not None)])
        loss, bpp, mse = means.tolist()
        median = statistics.median(self.norms) if len(self.norms) >= 20 else math.inf
        limit = 3 * median if median < math.inf else 1e6
        norm = self.ranks.from_first(float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)))
        self.step += 1
        finite = math.isfinite(norm) and math.isfinite(loss)
        if finite:  # bounded, so that the median can follow a lasting change but not a spike
            self.norms.append(min(norm, 20 * median))
        if not finite or norm > 20 * median:
            self.skipped += 1
        else:
            for optimiser in self.optimisers:
                optimiser.step()
            decay = min(0.999, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(list(self.ema.values()), list(self.model.state_dict().values()), 1 - decay)
        if self.step == self.args.adam:
            self.optimisers = self.new_optimisers()
        return loss, bpp, mse


class HeldOut:
    """Quick R-D check on the centres of a few held-out pictures: estimated bits, BD-rate against JPEG."""

    def __init__(self, folder: Path, device: torch.device, count: int = 8, side: int = 384) -> None:
        self.device = device
        self.pictures: list[np.ndarray] = []
        for path in find_pictures(folder, heldout=True):
            x = load(path)
            if min(x.shape[:2]) >= side and len(self.pictures) < count:
                i, j = (x.shape[0] - side) // 2, (x.shape[1] - side) // 2
                self.pictures.append(x[i : i + side, j : j + side].copy())
        points = [[jpeg_point(x, q) for x in self.pictures] for q in EVAL_JPEG]
        self.jpeg = [tuple(np.mean(p, axis=0)) for p in points] if self.pictures else []

    def __call__(self, model: Model, weights: dict[str, Tensor]) -> float:
        """BD-rate in per cent."""
        if not self.pictures:
            return math.nan
        curve = self.curve(model, weights)
        print("  held-out " + "  ".join(f"{b:.3f} bpp {p:.2f} dB" for b, p in curve), flush=True)
        return bd_rate(self.jpeg, curve)[0]

    def curve(self, model: Model, weights: dict[str, Tensor]) -> list[tuple[float, float]]:
        """Mean (bpp, dB) by quality of a model with other weights than its own."""
        own = {k: v.clone() for k, v in model.state_dict().items()}
        model.load_state_dict(weights)
        curve = []
        for q in EVAL_QUALITIES:
            points = [evaluate(model, torch.from_numpy(x)[None].to(self.device), q) for x in self.pictures]
            curve.append(tuple(np.mean(points, axis=0)))
        model.load_state_dict(own)
        return curve


class Log:
    """Rows of log.csv, and on the terminal; added to what is there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            self._write(FIELDS)

    def _write(self, row: Sequence[object]) -> None:
        with self.path.open("a", newline="") as handle:
            csv.writer(handle).writerow(row)

    def add(self, run: Run, means: np.ndarray, rate: float, bd: float | None) -> None:
        """means: (3,) loss, bpp, MSE since the last row; rate: steps per second; bd: BD-rate if checked."""
        loss, bpp, mse = means
        row = [run.step, f"{run.seconds / 60:.2f}", f"{run.args.lr * schedule(run.progress, run.step):.2e}"]
        row += [int(run.model.grid), f"{loss:.4f}", f"{bpp:.4f}", f"{10 * math.log10(255**2 / mse):.2f}"]
        row += [run.skipped, f"{rate:.2f}", "" if bd is None else f"{bd:.2f}"]
        self._write(row)
        print("  ".join(f"{k} {v}" for k, v in zip(FIELDS, row, strict=True)), flush=True)


def fit(run: Run, loss_of: Loss, heldout: HeldOut | None) -> None:
    """Train to the end of the run's budget, or of this call's; log and checkpoints go to its folder.

    Of several processes the first writes them, has heldout, and its clock counts; the others wait for it.
    """
    args, ranks = run.args, run.ranks
    log = Log(args.out / "log.csv") if ranks.first else None
    begun, last, sums, since = time.monotonic(), time.monotonic(), np.zeros(3), 0
    next_eval = math.inf if args.steps else run.seconds + 60 * min(2, args.eval_minutes)
    mark, at = time.monotonic(), run.step
    while run.progress < 1 and ranks.from_first(time.monotonic() - begun < 60 * args.stop_after):
        sums += run.train_step(loss_of)
        since += 1
        now = time.monotonic()
        run.seconds = ranks.from_first(run.seconds + now - last)
        last = now
        if ranks.first and sys.stderr.isatty():
            print(f"\r{run.progress:6.1%}  step {run.step}", end="", file=sys.stderr)
        due = run.seconds >= next_eval or run.progress >= 1
        if args.steps and run.step % args.save_steps == 0:
            run.save()
            last = time.monotonic()
        if run.step % args.interval and not due:
            continue
        bd = heldout(run.model, run.ema) if heldout and due else None
        if log:
            log.add(run, sums / since, (run.step - at) / (now - mark), bd)
        sums, since = np.zeros(3), 0
        if due:
            run.keep(math.inf if bd is None else bd)
            next_eval = run.seconds + 60 * args.eval_minutes
            last = time.monotonic()
        mark, at = time.monotonic(), run.step
    run.save()


def main() -> None:
    args = parser().parse_args()
    with together(args.device, args.batch) as ranks:
        if ranks.first:
            args.out.mkdir(parents=True, exist_ok=True)
        crops = Crops(args.pictures, args.size, args.seed)
        ranks.agree({k: v for k, v in vars(args).items() if k not in PATHS}, "other options than process 0")
        ranks.agree(crops.checksums(), "other pictures than process 0")
        run = Run(args, crops, ranks)
        loss_of = Loss(run.device, args.compile, args.structure, ranks=ranks)
        fit(run, loss_of, HeldOut(args.pictures, run.device) if ranks.first else None)


if __name__ == "__main__":
    main()
