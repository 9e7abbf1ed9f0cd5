"""Weights of a checkpoint or of a shipped model into a trainable Model.

`python -m tools.train.checkpoint RUN/checkpoint.pt SMALL.pt` keeps what a run can start from with --init:
the averaged weights as float16, without the optimiser's state.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import torch

from tools.train.candidates import candidate
from vaecodec.model.architecture import Config
from vaecodec.model.networks import Model


def load_checkpoint(path: Path) -> Model:
    """The averaged (EMA) weights of a checkpoint written by tools/train/train.py."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    model = candidate(saved.get("candidate", "base"), Config(**saved["config"]))
    untrained = {"filter.value": model.filter.value}  # not in checkpoints of before format 8
    model.load_state_dict(untrained | saved["ema"])
    return model


def load_any(path: Path) -> Model:
    """A trainable model from a checkpoint (.pt) or a shipped model file (.safetensors)."""
    if path.suffix != ".safetensors":
        return load_checkpoint(path)
    from vaecodec.model.trained import exact, melt  # needs safetensors, which the trainer otherwise does without
    from vaecodec.model.weights import load

    model = copy.deepcopy(exact(load(path)))
    melt(model)
    return model


def load_weights(model: Model, path: Path) -> None:
    """Start `model` from a checkpoint or a model file of the same architecture (grow.py makes another M)."""
    model.load_state_dict(load_any(path).state_dict())


def load_part(model: Model, path: Path, prefixes: tuple[str, ...]) -> None:
    """What has one of these prefixes, from a checkpoint or a model file; the rest of `model` stays."""
    model.load_state_dict(
        model.state_dict() | {k: v for k, v in load_any(path).state_dict().items() if k.startswith(prefixes)}
    )


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    saved = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
    ema = {name: x.half() if x.is_floating_point() else x for name, x in saved["ema"].items()}
    kept = {name: saved[name] for name in ("config", "candidate") if name in saved}
    torch.save(kept | {"ema": ema, "step": saved["step"]}, sys.argv[2])


if __name__ == "__main__":
    main()
