"""From an observation to a picture: turns between what was observed and what the model knows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vaecodec.restoration.cleaner import Cleaner, Levels, shifts
from vaecodec.restoration.operators import Operator
from vaecodec.restoration.prior import Prior

Progress = Callable[[float], None]

AVERAGED = 8  # last turns, whose mean is taken


def denoise(
    cleaner: Cleaner, x: Levels, sigma: float, *, count: int | None = None, progress: Progress | None = None
) -> Levels:
    """Remove normal noise of `sigma` levels, in a second round guided by the result of the first where that helps.

    Args: x: (H, W, 3) levels. count: of shifts; time and quality grow with it.
    """
    count = count or cleaner.SHIFTS
    if not cleaner.GUIDED:
        return cleaner.clean(x, sigma, shifts(count), progress=progress)

    def half_done(first: float) -> Progress | None:
        return (lambda share: progress(first + share / 2)) if progress else None

    once = cleaner.clean(x, sigma, shifts(count), progress=half_done(0))
    return cleaner.clean(x, sigma, shifts(count, seed=1), once, half_done(0.5))


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
    observed. The mean of the last turns, each with another shift of the grid, is taken.
    """
    x = operator.start(observed)
    total = np.zeros_like(x)
    levels = operator.levels(noise)
    for k, (sigma, shift) in enumerate(zip(levels, shifts(len(levels)), strict=True)):
        x = operator.fit(prior.clean(x, float(sigma), [shift]), observed, noise, float(sigma))
        if k >= len(levels) - AVERAGED:
            total += x
        if progress:
            progress((k + 1) / len(levels))
    return operator.crop(total / np.float32(AVERAGED))
