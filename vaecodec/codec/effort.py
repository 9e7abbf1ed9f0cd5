"""How hard an encoder tries."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vaecodec.codec import refine
from vaecodec.model.networks import TRIM

QUALITY, EFFORT = 75.0, 3  # by default; quality 0..100, effort 1..9


@dataclass(frozen=True)
class Effort:
    """What an encoder does beyond rounding."""

    trimming: float = TRIM  # weight of the error where symbols are moved towards zero, see `latents.trim`
    overlays: bool = True  # see screen.py
    iterations: int = 0  # of refine.py
    filters: bool = False  # see loop_filter.py
    thorough: bool = False  # libwebp's slowest setting for overlays


EFFORTS = {
    1: Effort(trimming=math.inf, overlays=False),
    2: Effort(overlays=False),
    3: Effort(),
    4: Effort(filters=True),
    5: Effort(refine.WEIGHT, iterations=2, filters=True),
    6: Effort(refine.WEIGHT, iterations=8, filters=True),
    7: Effort(refine.WEIGHT, iterations=12, filters=True, thorough=True),
    8: Effort(refine.WEIGHT, iterations=16, filters=True, thorough=True),
    9: Effort(refine.WEIGHT, iterations=24, filters=True, thorough=True),
}
