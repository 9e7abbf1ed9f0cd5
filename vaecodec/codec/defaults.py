"""The default quality and effort, and what each effort does: plain data, which needs no PyTorch to read."""

from __future__ import annotations

import math
from dataclasses import dataclass

QUALITY, EFFORT = 75.0, 3  # by default; quality 0..100, effort 1..9
TUNES = ("psnr", "ssim")
TUNE = "ssim"  # and "psnr" where a PSNR is to be reached
RDOQ_WEIGHT = 1.5  # weight of the error in `latents.rdoq`; chosen on the held-out pictures
REFINED = 0.75  # the same in refine.py: so files get both smaller and better; 1 only makes them better


@dataclass(frozen=True)
class Effort:
    """What an encoder does beyond rounding."""

    rdoq_weight: float = RDOQ_WEIGHT  # weight of the error where symbols are moved towards zero, see `latents.rdoq`
    overlays: bool = True  # see screen.py
    iterations: int = 0  # of refine.py
    filters: bool = False  # see loop_filter.py
    thorough: bool = False  # libwebp's slowest setting for overlays
    tune: str = TUNE  # what errors are weighed by, see tuning.py


EFFORTS = {
    1: Effort(rdoq_weight=math.inf, overlays=False),
    2: Effort(overlays=False, filters=True),
    3: Effort(filters=True),
    4: Effort(REFINED, iterations=1, filters=True),
    5: Effort(REFINED, iterations=2, filters=True),
    6: Effort(REFINED, iterations=8, filters=True),
    7: Effort(REFINED, iterations=12, filters=True, thorough=True),
    8: Effort(REFINED, iterations=16, filters=True, thorough=True),
    9: Effort(REFINED, iterations=24, filters=True, thorough=True),
}
