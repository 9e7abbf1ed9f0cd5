"""The analysis that was trained on noise (network.py) and the codec's own synthesis, as a Cleaner; its file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor

from vaecodec.model.architecture import Config
from vaecodec.model.exact import declared
from vaecodec.model.tensors import Declared, TensorFile, check_tensors, tensor_file
from vaecodec.model.weights import DEFAULT, Weights
from vaecodec.restoration.cleaner import Cleaner
from vaecodec.restoration.network import DenoisingAnalysis

SHIPPED = DEFAULT.with_suffix(".denoiser.safetensors")
FORMAT = "vaecodec-denoiser-1"


class Denoiser(Cleaner):
    """A DenoisingAnalysis and the codec's own g_s.

    Raises: UnsupportedError where the file is no denoiser, or one for another model.
    """

    SHIFTS = 4
    GUIDED = False
    FINER = 300

    def __init__(self, weights: Weights, device: str = "cpu", path: Path = SHIPPED) -> None:
        super().__init__(weights, device)
        self.analysis = load(path, weights).to(device)

    def latents(self, q: Tensor, step: Tensor, sigma: float, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return self.analysis(x, q, step, torch.tensor([sigma], dtype=torch.float32, device=x.device))


def pack(analysis: DenoisingAnalysis, model_hash: bytes) -> bytes:
    """A denoiser's file: float16, for the model of that hash."""
    tensors = {name: value.numpy().astype(np.float16) for name, value in analysis.state_dict().items()}
    metadata = {"format": FORMAT, "model": model_hash.hex(), "blocks": str(len(analysis.blocks))}
    return bytes(save(tensors, metadata))


def load(path: Path, weights: Weights) -> DenoisingAnalysis:
    """The denoiser of a model. Raises: UnsupportedError."""
    with tensor_file(path, "denoiser") as file:
        if file.metadata.get("model") != weights.hash.hex():
            raise ValueError(f"it is none for model {weights.name} {weights.hash.hex()}")
        return build(file, weights.cfg).eval().requires_grad_(False)


def build(file: TensorFile, cfg: Config) -> DenoisingAnalysis:
    """The network of a denoiser's file. Raises: ValueError where it is none, or does not fit the architecture."""
    blocks = file.metadata.get("blocks", "")
    if file.metadata.get("format") != FORMAT or not re.fullmatch("[1-9]|[1-5][0-9]|6[0-4]", blocks):
        raise ValueError(f"it is none of format {FORMAT}")
    analysis = declared(lambda: DenoisingAnalysis(cfg, int(blocks)))
    half = np.dtype(np.float16)
    check_tensors(file.tensors, {k: Declared(half, tuple(v.shape)) for k, v in analysis.state_dict().items()})
    numbers = {name: torch.from_numpy(value).float() for name, value in file.read().items()}
    if not all(value.isfinite().all() for value in numbers.values()):
        raise ValueError("one of its numbers is not finite")
    analysis.load_state_dict(numbers, assign=True)
    return analysis
