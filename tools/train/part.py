"""Training a part of a model on examples that are made once, while the rest stands still: entropy.py, synthesis.py."""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tools.train.checkpoint import load_any
from tools.train.loss import fast_bf16
from tools.train.train import optimisers
from vaecodec.bitstream.header import QUALITY_MAX
from vaecodec.model.networks import Model

RISE, HOLD, LEAST = 100, 0.3, 0.01  # of the learning rate: steps, share of the run, share at the end
EMA = 0.998
Batch = Callable[[int, np.random.Generator], tuple[Tensor, ...]]


class Examples:
    """Arrays of a folder, a row for each example, and its quality in q."""

    def __init__(self, folder: Path, names: str) -> None:
        self.arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in names]
        self.q = np.load(folder / "q.npy")
        self.order = np.argsort(self.q, kind="stable")

    @classmethod
    def make(
        cls, folder: Path, names: str, count: int, rng: np.random.Generator, one: Callable[[int], tuple[NDArray, ...]]
    ) -> Examples:
        """So many of them. What is in the folder already is used again.

        Args:
            names: of the arrays, a letter each. one: makes a row of each array, at a quality.
        """
        if not (folder / "q.npy").exists():
            folder.mkdir(parents=True, exist_ok=True)
            q = rng.integers(0, QUALITY_MAX + 1, count)
            rows = (one(int(k)) for k in q)
            first = next(rows)
            arrays = [
                np.lib.format.open_memmap(folder / f"{name}.npy", "w+", row.dtype, (count, *row.shape))
                for name, row in zip(names, first, strict=True)
            ]
            for i, found in enumerate(itertools.chain([first], rows)):
                for array, row in zip(arrays, found, strict=True):
                    array[i] = row
            np.save(folder / "q.npy", q)
        return cls(folder, names)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[NDArray, ...]:
        """Rows of n of them, which span the whole dial, and their qualities."""
        places = self.order[((np.arange(n) + rng.random(n)) / n * len(self.order)).astype(int)]
        return (*(array[places] for array in self.arrays), self.q[places])


def schedule(step: int, steps: int) -> float:
    """Factor on the learning rate."""
    t = max(0.0, (step / steps - HOLD) / (1 - HOLD))
    return min(1.0, (step + 1) / RISE) * (LEAST + (1 - LEAST) * 0.5 * (1 + math.cos(math.pi * t)))


def train(
    model: Model,
    trained: tuple[str, ...],
    batch: Batch,
    loss_of: Callable[..., Tensor],
    args: argparse.Namespace,
    judge: Callable[[Model], str],
    grid_from: float = 1.0,
) -> None:
    """Train what has one of these prefixes. Every --interval steps, OUT/checkpoint.pt and what `judge` says of it.

    grid_from: share of the run after which the decoder side is on the grid, and no longer in bfloat16.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(trained))
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    ema = {name: value.clone() for name, value in model.state_dict().items()}
    found, rng = optimisers(model, args.lr, muon=True), np.random.default_rng(args.seed)
    compute = torch.compile(loss_of, dynamic=False) if args.compile else loss_of
    bf16 = fast_bf16(torch.device("cpu"))
    total, begun = 0.0, time.perf_counter()
    for step in range(args.steps):
        if step >= grid_from * args.steps and not model.grid:
            model.set_grid(True)
        for group in itertools.chain.from_iterable(o.param_groups for o in found):
            group["lr"] = group["base"] * schedule(step, args.steps)
        for optimiser in found:
            optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16 and not model.grid):
            loss = compute(model, *batch(args.batch, rng))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in found:
            optimiser.step()
        now, kept = model.state_dict(), min(EMA, (1 + step) / (10 + step))
        torch._foreach_lerp_([ema[name] for name in names], [now[name] for name in names], 1 - kept)
        total += loss.item()
        if (step + 1) % args.interval == 0 or step + 1 == args.steps:
            path = args.out / "checkpoint.pt"
            torch.save({"config": model.cfg.to_dict(), "ema": ema, "step": step + 1}, path)
            rate = (step + 1) / (time.perf_counter() - begun)
            print(f"step {step + 1}  loss {total / (step + 1):.4f}  {rate:.2f} steps/s", flush=True)
            print(f"  {judge(load_any(path))}", flush=True)


def parser(doc: str | None) -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--init", type=Path, required=True, help="a model file")
    p.add_argument("--go-on", type=Path, help="a checkpoint to begin with: the part that is trained")
    p.add_argument("--crops", type=int, default=8000, help="how many examples to make")
    p.add_argument("--size", type=int, default=256)
    p.add_argument("--steps", type=int, default=5000)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--lr", type=float, default=1.5e-4)
    p.add_argument("--interval", type=int, default=250)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--compile", action="store_true")
    return p
