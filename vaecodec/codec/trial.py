"""What the networks alone make of a tile, by a sample of it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaecodec.bitstream.container import CELL
from vaecodec.codec.synthesis import filtered, levels, windows
from vaecodec.model.loop_filter import Filter, Filters, as_planes
from vaecodec.model.weights import Weights

STRIP, STRIPS = 4, 24  # the sample: so many rows of positions of so many
MARGIN = 1  # positions beside a pixel's own that matter to it; the others that it sees hardly do


def sampled_error(
    weights: Weights, q: int, rgb: NDArray[np.uint8], y_hat: Tensor, blocks: NDArray[np.float32]
) -> float:
    """About the squared error of all samples of a tile (H, W, 3) that is decoded from y_hat (h, w, M), in 1/16 step.

    Args: q: its quality, 0..1000. blocks: (h, w) what the errors of its positions are about in proportion to.
    """
    h, w, _ = y_hat.shape
    quality = torch.full((1,), q)
    filters = Filters(Filter.of_model(weights.model, q), max(h, w), 1)
    error = share = 0.0
    for first in range((min(h, STRIPS) - STRIP) // 2 if h > STRIP else 0, h, STRIPS):
        for r, c, outer_r, outer_c in windows(first, min(first + STRIP, h), w, h, MARGIN):
            y = y_hat[outer_r, outer_c][None].float()
            planes = as_planes(weights.model.g_s(y, quality, weights.model.steps(quality))[0])
            made = levels(filtered(filters, planes, (r, c), (outer_r, outer_c))).transpose(1, 2, 0)
            there = rgb[r.start * CELL : r.stop * CELL, c.start * CELL : c.stop * CELL]
            error += float(np.square(made[: there.shape[0], : there.shape[1]].astype(np.int32) - there).sum())
            share += float(blocks[r, c].sum())
    return error * float(blocks.sum()) / share if share else error
