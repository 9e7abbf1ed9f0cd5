"""Pictures as the codec's encoder codes them by default, before the entropy coder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaecodec.codec.analysis import Analysis
from vaecodec.codec.latents import Symbols, quantise
from vaecodec.codec.team import Team
from vaecodec.codec.tuning import worth_of
from vaecodec.model.native import Networks


def symbols_of(networks: Networks, q: int, pixels: NDArray[np.uint8]) -> Symbols:
    """Those of a picture (H, W, 3) as one tile, at quality q, 0..1000."""
    analysis = Analysis(networks, q, pixels, 1)
    seen = analysis.band(0, analysis.h, Team(1, None))
    return quantise(networks, q, seen.z, seen.y, worth=worth_of(networks.weights, q, seen.y))
