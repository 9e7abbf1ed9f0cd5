"""From an observation to a picture: turns between what was observed and what the model knows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaecodec.codec.runtime import Progress, part_of
from vaecodec.restoration.cleaner import Cleaner, Levels, shifts
from vaecodec.restoration.operators import Operator
from vaecodec.restoration.prior import Prior

CLEANING = 0.7  # of a turn's time


def denoise(
    cleaner: Cleaner, x: Levels, sigma: float, *, count: int | None = None, progress: Progress | None = None
) -> Levels:
    """Remove normal noise of `sigma` levels, in a second round guided by the result of the first where that helps.

    Args: x: (H, W, 3) levels. count: of shifts; time and quality grow with it.
    """
    count = count or cleaner.SHIFTS
    if not cleaner.GUIDED:
        return cleaner.clean(x, sigma, shifts(count), progress=progress)

    once = cleaner.clean(x, sigma, shifts(count), progress=part_of(progress, 0, 0.5))
    return cleaner.clean(x, sigma, shifts(count, seed=1), once, part_of(progress, 0.5, 1))


def restore(
    prior: Prior,
    operator: Operator,
    observed: NDArray[np.float32],
    noise: float = 0.0,
    *,
    progress: Progress | None = None,
) -> Levels:
    """The picture behind `observed` = operator.forward(picture) + normal noise of deviation `noise`.

    Half-quadratic splitting: the picture is cleaned of falling levels of noise, each time drawn back to what was
    observed. With momentum (Nesterov 1983) a turn begins farther on, where the one before it was going. The mean of the
    last turns, each with another shift of the grid, is taken.
    """
    x = before = operator.start(observed)
    total, turns = np.zeros_like(x), operator.turns(noise)
    count = len(turns.levels)
    for k, (sigma, shift) in enumerate(zip(turns.levels.tolist(), shifts(count), strict=True)):
        ahead, before = x + np.float32(turns.momentum) * (x - before), x
        clean = prior.clean(ahead, sigma, [shift], progress=part_of(progress, k / count, (k + CLEANING) / count))
        x = operator.fit(clean, observed, noise, turns.loose * sigma)
        if k >= count - turns.averaged:
            total += x
        if progress:
            progress((k + 1) / count)
    return operator.crop(total / np.float32(turns.averaged))
