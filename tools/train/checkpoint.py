"""Weights of a checkpoint or of a shipped model into a trainable Model."""

from __future__ import annotations

from pathlib import Path

import torch

from tools.train.candidates import candidate
from vaecodec.model.networks import Config, Model


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
    from vaecodec.model.weights import load, melt  # needs safetensors, which the trainer otherwise does without

    model = load(path).model
    melt(model)
    return model


def load_weights(model: Model, path: Path) -> None:
    """Start `model` from a checkpoint or a model file of the same architecture (grow.py makes another M)."""
    model.load_state_dict(load_any(path).state_dict())
