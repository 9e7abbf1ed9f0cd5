"""Weights of a checkpoint or of a shipped model into a trainable Model."""

from __future__ import annotations

from pathlib import Path

import torch

from vaecodec.model import Config, Model


def load_checkpoint(path: Path) -> Model:
    """The averaged (EMA) weights of a checkpoint written by tools/train.py."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    model = Model(Config(**saved["config"]))
    model.load_state_dict(saved["ema"])
    return model


def load_weights(model: Model, path: Path) -> None:
    """Start `model` from a checkpoint (.pt) or a shipped model file (.safetensors) of the same architecture."""
    if path.suffix == ".safetensors":
        from vaecodec.weights import load, melt  # needs safetensors, which the trainer otherwise does without

        source = load(path).model
        melt(source)
    else:
        source = load_checkpoint(path)
    model.load_state_dict(source.state_dict())
