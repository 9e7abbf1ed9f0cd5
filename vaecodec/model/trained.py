"""Models in PyTorch: those of a file to be looked at, trained on or differentiated, and a trained one to a file."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from vaecodec.model.exact import Depthwise, Linear, declared
from vaecodec.model.networks import Model, QualityTable
from vaecodec.model.weights import ENCODER, FORMAT, Weights, check_name, model_hash


def decoding(model: Model) -> Iterator[tuple[str, Linear | Depthwise | QualityTable]]:
    """The modules that decoders need, by path: exact layers, and tables but that of g_a. Their numbers are integers."""
    for path, module in model.named_modules():
        exact = isinstance(module, (Linear, Depthwise)) and module.limit is not None
        if exact or (isinstance(module, QualityTable) and not path.startswith("g_a.")):
            yield path, module


def encoding(model: Model) -> dict[str, torch.Tensor]:
    """All other numbers, which serve encoders only."""
    exact = {path for path, _ in decoding(model)}
    return {key: value for key, value in model.state_dict().items() if key.rpartition(".")[0] not in exact}


def pack(name: str, model: Model, skip: int, dependent: int, tables: dict[str, NDArray]) -> bytes:
    """A model file. `tables` has {y,z}.{low,size,frequency}, frequencies less one so that they fit 16 bits."""
    check_name(name)
    tensors = dict(tables)
    for path, module in decoding(model):
        if isinstance(module, QualityTable):
            tensors[f"{path}.t"] = int16(module.integers())
        else:
            w, b, k = module.grid_weights()
            tensors |= {f"{path}.w": int16(w), f"{path}.b": b.numpy().astype(np.int32)}
            tensors[f"{path}.k"] = k.numpy().astype(np.int8)
    tensors |= {ENCODER + key: value.numpy().astype(np.float16) for key, value in encoding(model).items()}
    config = json.dumps(model.cfg.to_dict() | {"skip": skip, "dependent": dependent}, sort_keys=True)
    digest = model_hash(config, tensors)
    metadata = {"format": FORMAT, "name": name, "config": config, "hash": digest.hex()}
    return bytes(save({k: np.ascontiguousarray(v) for k, v in tensors.items()}, metadata))


def int16(t: torch.Tensor) -> NDArray[np.int16]:
    """Raises ValueError where a value does not fit."""
    if t.abs().max() > 32767:
        raise ValueError("a weight does not fit 16 bits")
    return t.numpy().astype(np.int16)


@lru_cache(maxsize=2)
def exact(weights: Weights) -> Model:
    """The networks of a file, in its integers. Made once for some weights."""
    model = declared(lambda: Model(weights.cfg))

    def get(name: str) -> torch.Tensor:
        return torch.from_numpy(weights.tensors[name])

    for path, module in decoding(model):
        if isinstance(module, QualityTable):
            module.freeze(get(f"{path}.t"))
        else:
            module.freeze(*(get(f"{path}.{name}") for name in "wbk"))
    encoder = {key: get(ENCODER + key).float() for key in encoding(model) if weights.encodes}
    model.load_state_dict(encoder, strict=False, assign=True)
    return model.eval().requires_grad_(False)


@lru_cache(maxsize=2)
def soft(weights: Weights) -> Model:
    """The same in plain float arithmetic, which gradients pass through. Made once for some weights."""
    model = copy.deepcopy(exact(weights))
    melt(model)
    return model.requires_grad_(False)


def melt(model: Model) -> None:
    """Make a loaded model trainable again: its weights stay, the frozen integers go."""
    for module in model.modules():
        if isinstance(module, (Linear, Depthwise, QualityTable)):
            module.frozen = None
    model.set_grid(False)
    model.train().requires_grad_(True)
