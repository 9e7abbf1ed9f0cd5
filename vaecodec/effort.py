"""How hard an encoder tries."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vaecodec import refine
from vaecodec.model import TRIM


@dataclass(frozen=True)
class Effort:
    """What an encoder does beyond rounding."""

    trimming: float = TRIM  # weight of the error where symbols are moved towards zero, see `latents.trim`
    overlays: bool = True  # see drawn.py
    iterations: int = 0  # of refine.py
    thorough: bool = False  # libwebp's slowest setting for overlays


EFFORTS = {
    1: Effort(trimming=math.inf, overlays=False),
    2: Effort(overlays=False),
    3: Effort(),
    4: Effort(refine.WEIGHT, iterations=2),
    5: Effort(refine.WEIGHT, iterations=4),
    6: Effort(refine.WEIGHT, iterations=8),
    7: Effort(refine.WEIGHT, iterations=16, thorough=True),
    8: Effort(refine.WEIGHT, iterations=36, thorough=True),
    9: Effort(refine.WEIGHT, iterations=72, thorough=True),
}
