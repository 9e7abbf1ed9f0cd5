"""A trained model made larger.

    python -m tools.train.grow MODEL OUT.pt --channels M --pictures FOLDER
    python -m tools.train.grow MODEL OUT.pt --mid CHANNEL

More latent channels are the same function: new channels begin as rows of the DCT, those that the synthesis of MODEL (a
checkpoint or a model file) cannot represent and the pictures have most of, missing luma first. Nothing else looks at
them yet. A third group of channels, from --mid on, has two context steps more, which begin with what those of the
second group know: at first a few per cent worse, as they see other features. Go on with
`tools/train/train.py ... --config M=384,mid=128 --init OUT.pt`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from tools.train.checkpoint import load_any
from tools.train.data import Crops
from vaecodec.model.architecture import INDEX_ONE, PIXEL_ONE, TABLES
from vaecodec.model.exact import space_to_depth
from vaecodec.model.networks import Model, dct_basis

CROPS = 256
LUMA = 256  # rows of the basis
LIKE = 32  # the step of a new channel is the mean of this many last ones


def missing_rows(synthesis: Tensor, blocks: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Rows of `dct_basis` to add to a linear synthesis (768, M); their mean squares in what it leaves of blocks."""
    basis = dct_basis().double()
    span, _ = torch.linalg.qr(synthesis.double())
    rest = blocks.double() - blocks.double() @ span @ span.T
    energy = (rest @ basis.T).square().mean(0)
    wanted = energy.clone()
    wanted[:LUMA] += torch.where((basis[:LUMA] @ span).square().sum(1) < 0.5, energy.max(), 0.0)
    rows = wanted.argsort(descending=True)[:count]
    return rows, energy[rows].float()


def grow(old: Model, m: int, blocks: Tensor) -> Model:
    """`old` with m latent channels. blocks: (n, 768) cells of pictures, in levels minus 128."""
    model, before = Model(replace(old.cfg, M=m)), old.cfg.M
    rows, energy = missing_rows(old.g_s.shortcut.weight.detach(), blocks, m - before)
    state, source = model.state_dict(), old.state_dict()
    high, high_before = m - old.cfg.low, before - old.cfg.low
    for name, target in state.items():
        have = source[name]
        target.zero_()
        if name.startswith("context.") and ".leave." in name and have.shape != target.shape:
            target[:high_before] = have[:high_before]  # means
            target[high : high + high_before] = have[high_before:]  # indices
        else:
            target[tuple(slice(n) for n in have.shape)] = have
    basis = dct_basis()[rows]
    state["g_a.shortcut"][before:] = basis
    state["g_s.shortcut.weight"][:, before:] = basis.T * (PIXEL_ONE / 2)
    step = source["step.value"][:, -LIKE:].mean(1, keepdim=True)
    state["step.value"][:, before:] = step
    index = 7 * ((energy.sqrt() / step.exp()).clamp_min(1e-4).log2() + 3)
    state["index_bias.value"][:, before:] = index.clamp(-8, TABLES) * INDEX_ONE / 128
    model.load_state_dict(state)
    return model


@torch.no_grad()
def with_third_group(old: Model, mid: int) -> Model:
    """`old`, which has two groups of channels, with the second ending at `mid`. Phase 0 of the third adds nothing of
    its own yet to the features."""
    model, low = Model(replace(old.cfg, mid=mid)), old.cfg.low
    state, source = model.state_dict(), old.state_dict()
    for name, target in state.items():
        if not name.startswith("context.") or name.startswith(("context.0.", "context.1.")):
            target.copy_(source[name])
            continue
        _, step, part, *_ = name.split(".")
        have = source[name.replace(f".{step}.", f".{2 + int(step) % 2}.", 1)]
        if part == "leave":  # means, then indices
            group = slice(mid - low, None) if int(step) > 3 else slice(0, mid - low)
            target.copy_(torch.cat([half[group] for half in have.chunk(2)]))
        elif step == "4":
            if part == "enter":
                target.zero_()
        else:
            target.copy_(have[tuple(slice(n) for n in target.shape)])
    model.load_state_dict(state)
    return model


@torch.no_grad()
def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--channels", type=int, metavar="M", help="latent channels")
    p.add_argument("--mid", type=int, metavar="CHANNEL", help="where the second of three groups of channels ends")
    p.add_argument("--pictures", type=Path, help="for --channels: what new ones have to represent")
    args = p.parse_args()
    model = load_any(args.model)
    if args.channels:
        blocks = space_to_depth(Crops(args.pictures, 256, seed=1).batch(CROPS).float() - 128, 16).reshape(-1, 768)
        model = grow(model, args.channels, blocks)
    if args.mid:
        model = with_third_group(model, args.mid)
    torch.save({"config": model.cfg.to_dict(), "ema": model.state_dict()}, args.out)


if __name__ == "__main__":
    main()
