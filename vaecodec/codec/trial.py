"""What the networks alone make of a tile, by a sample of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.header import CELL
from vaecodec.codec.synthesis import Synthesis
from vaecodec.codec.team import Team
from vaecodec.model.loop_filter import Filter, Filters
from vaecodec.model.native import Networks

STRIP, STRIPS = 4, 24  # the sample: so many rows of positions of so many
MARGIN = 1  # positions beside a pixel's own that matter to it; the others that it sees hardly do


def sampled_error(
    networks: Networks, q: int, rgb: NDArray[np.uint8], y_hat: NDArray[np.int16], blocks: NDArray[np.float32]
) -> float:
    """About the squared error of all samples of a tile (H, W, 3) that is decoded from y_hat (h, w, M), in 1/16 step.

    Args: q: its quality, 0..1000. blocks: (h, w) what the errors of its positions are about in proportion to.
    """
    h, w, _ = y_hat.shape
    filters = Filters(Filter.of_model(networks.weights, q), max(h, w), 1)
    error = share = 0.0
    for first in range((min(h, STRIPS) - STRIP) // 2 if h > STRIP else 0, h, STRIPS):
        last = min(first + STRIP, h)
        outer = slice(max(0, first - MARGIN), min(h, last + MARGIN))
        made = np.empty(((outer.stop - outer.start) * CELL, w * CELL, 3), np.uint8)
        synthesis = Synthesis(networks, q, made, filters, Team(1, None))
        synthesis.wait(synthesis.add(y_hat[outer]))
        there = rgb[first * CELL : last * CELL].astype(np.int32)
        made = made[(first - outer.start) * CELL :, : there.shape[1]]
        error += float(np.square(made[: len(there)] - there).sum())
        share += float(blocks[first:last].sum())
    return error * float(blocks.sum()) / share if share else error
