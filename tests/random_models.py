"""Models of random integers: any that the overflow proof lets pass, so that sums come near all their bounds."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from conftest import VECTORS

from vaecodec.model import weights
from vaecodec.model.architecture import ANCHORS, Config, Layer, Table, decoding, encoding
from vaecodec.model.weights import ENCODER, Weights

SMALL = weights.load(VECTORS / "small.safetensors")
# Numbers of channels below, at and above the 32 that the core fills up to; without blocks, and with an odd number.
CONFIGS = (
    Config(C=5, M=7, N=3, D=6, low=2, blocks_a=1, blocks_s=1, blocks_h=0, blocks_c=1),
    Config(C=32, M=64, N=32, D=32, low=32, blocks_a=2, blocks_s=2, blocks_h=1, blocks_c=0),
    Config(C=40, M=70, N=33, D=65, low=33, blocks_a=3, blocks_s=3, blocks_h=2, blocks_c=2),
    Config(C=8, M=9, N=4, D=8, low=1, blocks_a=0, blocks_s=0, blocks_h=0, blocks_c=0),
    Config(C=32, M=70, N=32, D=40, low=3, mid=37, blocks_a=1, blocks_s=1, blocks_h=1, blocks_c=1),
)


def layer_of(rng: np.random.Generator, layer: Layer) -> dict[str, np.ndarray]:
    """Weights, biases and exponents: rows that use all their room or less of it, and outputs of all sizes."""
    shape, rows = (layer.outputs, layer.inputs), layer.outputs
    w = rng.integers(-32767, 32768, shape) * (rng.random(shape) < rng.choice([0.2, 1], (rows, 1)))
    room = (2.0**layer.bits - 1) * rng.choice([1e-3, 0.1, 1], rows, p=[0.1, 0.3, 0.6])
    share = rng.choice([0.0, 0.01, 0.5], rows, p=[0.5, 0.4, 0.1])  # of it that the bias takes
    part = (1 - share) * room / layer.limit / np.maximum(np.abs(w).sum(1), 1)
    w = np.trunc(w * np.minimum(part, 1)[:, None])
    b = np.trunc(np.minimum(share * room, 2.0**31 - 1) * rng.choice([-1, 1], rows))
    largest = np.abs(w).sum(1) * layer.limit + np.abs(b) + 1
    k = np.rint(np.log2(largest) - rng.uniform(9, 14, rows)).clip(0, 24)
    k = np.where(rng.random(rows) < 0.05, rng.integers(0, 25, rows), k)
    kinds = zip("wbk", (w, b, k), (np.int16, np.int32, np.int8), strict=True)
    return {name: a.astype(dtype) for name, a, dtype in kinds}


def numbers(rng: np.random.Generator, cfg: Config) -> dict[str, Any]:
    """All tensors of networks, those of the encoder too."""
    found: dict[str, Any] = {}
    for path, layer in decoding(cfg).items():
        if isinstance(layer, Table):
            found[f"{path}.t"] = rng.integers(layer.low, layer.high + 1, (ANCHORS, layer.columns)).astype(np.int16)
        else:
            its = layer_of(rng, layer)
            layer.check(*its.values())
            found |= {f"{path}.{name}": a for name, a in its.items()}
    found["filter.t"][...] = 0
    for path, shape in encoding(cfg).items():
        scale = rng.choice([0.01, 0.3]) / (1 if len(shape) == 1 else shape[-1] ** 0.5)
        found[ENCODER + path] = (rng.normal(0, 1, shape) * scale).astype(np.float16)
    return found


@cache
def model(which: int, seed: int) -> Weights:
    """One of `CONFIGS`, with the small model's tables of y, and none of z."""
    rng = np.random.default_rng(seed)
    skip, dependent = (int(n) for n in rng.integers(0, 64, 2))
    tensors = numbers(rng, CONFIGS[which])
    return Weights("random", bytes(8), skip, dependent, CONFIGS[which], tensors, SMALL.y_tables, ())
