"""The analysis that was trained on noise (network.py) and the codec's own synthesis, as a Cleaner; its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor

from vaecodec.errors import UnsupportedError
from vaecodec.grid import float32_by_default
from vaecodec.model import Config
from vaecodec.restoration.cleaner import Cleaner
from vaecodec.restoration.network import DenoisingAnalysis
from vaecodec.weights import DEFAULT, Weights, read_file

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
    metadata, tensors = read_file(path)
    if metadata.get("format") != FORMAT or metadata.get("model") != weights.hash.hex():
        raise UnsupportedError(f"{path}: no denoiser for model {weights.name} {weights.hash.hex()}")
    try:
        return build(metadata, tensors, weights.model.cfg).eval().requires_grad_(False)
    except (KeyError, ValueError, RuntimeError) as error:
        raise UnsupportedError(f"{path}: unusable denoiser: {error}") from error


def build(metadata: dict[str, str], tensors: dict[str, NDArray[np.generic]], cfg: Config) -> DenoisingAnalysis:
    """The network of a denoiser's file. Raises: KeyError, ValueError, RuntimeError where it does not fit."""
    with float32_by_default():
        analysis = DenoisingAnalysis(cfg, int(metadata["blocks"]))
    analysis.load_state_dict({name: torch.from_numpy(value).float() for name, value in tensors.items()})
    return analysis
