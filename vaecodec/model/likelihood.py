"""The smooth stand-in for the probability tables, for gradients: a discretised logistic."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vaecodec.model.architecture import INDEX_ONE


def logistic_bits(r: Tensor, scale: Tensor) -> Tensor:
    """Bits of the unit interval around r under a zero-mean logistic of the given scale; stable in the tails.

    log P = logsigmoid((1/2 - |r|)/s) + logsigmoid((1/2 + |r|)/s) + log(1 - exp(-1/s)).
    """
    r, inverse = r.abs(), 1 / scale
    log_p = F.logsigmoid((0.5 - r) * inverse) + F.logsigmoid((0.5 + r) * inverse) + torch.log(1 - torch.exp(-inverse))
    return log_p * (-1 / math.log(2))


def index_scale(index: Tensor) -> Tensor:
    """Logistic scale of a scale index in 1/16: sigma = 2 ** (index / 7 - 3), scale = sigma * sqrt(3) / pi."""
    return torch.exp(index.float() * (math.log(2) / (7 * INDEX_ONE)) + math.log(math.sqrt(3) / (8 * math.pi)))
