"""What each part of the networks is worth: python -m tools.measure.ablate PICTURES [--steps 200] [--model FILE]

Takes one part away from trained networks and trains what is left, all of it, for equal steps on equal crops; prints the
BD-rate against the networks with all parts, trained in the same way (estimated bits of the centres of held-out
pictures, PCHIP of the mean curves). What is left has not settled after so few steps: a part is worth that much at most.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tools.measure.bdrate import bd_rate
from tools.train.checkpoint import load_any
from tools.train.data import Crops
from tools.train.loss import Loss
from tools.train.train import HeldOut, Run, optimisers
from vaecodec.model.networks import Model
from vaecodec.model.weights import DEFAULT

LR = 2e-4
STRUCTURE = 0.15
Change = Callable[[Model], None]


def unseen(first: int = 0, last: int | None = None) -> Callable:
    """A hook for a context step that hides channels first..last of what is decoded so far."""

    def hook(_step: nn.Module, inputs: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        f, y_known = inputs
        if y_known is not None:
            y_known = y_known.clone()
            y_known[..., first:last] = 0
        return f, y_known

    return hook


def without_context(model: Model) -> None:
    for step in model.context:
        step.register_forward_pre_hook(unseen())


def without_second_phases(model: Model) -> None:
    """Neither sees the symbols of the phase before it."""
    model.context[1].register_forward_pre_hook(unseen())
    model.context[3].register_forward_pre_hook(unseen(model.cfg.low))


def without_groups(model: Model) -> None:
    """The high channels begin with h_s's features again, and see none of the low ones."""
    features: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, f: Tensor) -> None:
        features[:] = [f]

    model.h_s.register_forward_hook(keep)
    model.context[2].register_forward_pre_hook(lambda _step, inputs: (features[0], inputs[1]))
    for step in (model.context[2], model.context[3]):
        step.register_forward_pre_hook(unseen(0, model.cfg.low))


def without_hyperprior(model: Model) -> None:
    """z is 0, and costs nothing."""
    model.h_a.register_forward_hook(lambda _module, _inputs, z: z * 0)
    with torch.no_grad():
        model.z_mean.zero_()
        model.z_log_scale.fill_(-8)


def without_detail(model: Model) -> None:
    """g_s is its linear shortcut alone."""
    model.g_s.leave.register_forward_hook(lambda _module, _inputs, out: out * 0)


def with_half_the_blocks(part: str) -> Change:
    def change(model: Model) -> None:
        module: Any = model.get_submodule(part)
        module.blocks = nn.ModuleList(list(module.blocks)[::2])

    return change


CHANGES: dict[str, Change] = {
    "everything": lambda model: None,
    "no context: each step sees h_s alone": without_context,
    "no second phase: half a group does not see the other half": without_second_phases,
    "the high channels do not see the low ones": without_groups,
    "no hyperprior": without_hyperprior,
    "g_s linear": without_detail,
    "g_s with three of six blocks": with_half_the_blocks("g_s"),
    "g_a with three of five blocks": with_half_the_blocks("g_a"),
}


class Rest(Run):
    """A training run of a model with a change, by steps, not by minutes."""

    def __init__(self, args: argparse.Namespace, crops: Crops, change: Change) -> None:
        self.args, self.device, self.crops = args, torch.device("cpu"), crops
        torch.manual_seed(args.seed)
        crops.rng = np.random.default_rng(args.seed)
        self.model = load_any(args.model)
        change(self.model)
        self.step, self.skipped, self.settled = 0, 0, False
        self.norms: deque[float] = deque(maxlen=200)
        self.ema = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.optimisers = optimisers(self.model, LR, True)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path)
    p.add_argument("--model", type=Path, default=DEFAULT, help="a checkpoint or a model file")
    p.add_argument("--steps", type=int, default=200)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--size", type=int, default=128, help="side of the crops, a multiple of 64")
    p.add_argument("--seed", type=int, default=1)
    p.set_defaults(adam=0)
    args = p.parse_args()
    crops, heldout = Crops(args.pictures, args.size, args.seed), HeldOut(args.pictures, torch.device("cpu"))
    whole: list[tuple[float, float]] = []
    print("| networks | BD-rate | against JPEG |\n| --- | ---: | ---: |")
    for name, change in CHANGES.items():
        run, loss_of = Rest(args, crops, change), Loss(torch.device("cpu"), structure=STRUCTURE)
        while run.progress < 1:
            run.train_step(loss_of)
        curve = heldout.curve(run.model, run.ema)
        whole = whole or curve
        print(f"| {name} | {bd_rate(whole, curve)[0]:+.1f} % | {bd_rate(heldout.jpeg, curve)[0]:+.1f} % |", flush=True)


if __name__ == "__main__":
    main()
