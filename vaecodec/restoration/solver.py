"""From an observation to a picture: turns between what was observed and what the model knows (see prior.py)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vaecodec.restoration.operators import Operator
from vaecodec.restoration.prior import Levels, Prior, shifts

Progress = Callable[[float], None]

SHIFTS = 8  # of the grid, averaged when noise is removed


def denoise(prior: Prior, x: Levels, sigma: float, *, count: int = SHIFTS, progress: Progress | None = None) -> Levels:
    """Remove normal noise of `sigma` levels: once as it is, then with the hyperprior of the result.

    Args: x: (H, W, 3) levels. count: of shifts; time and quality grow with it.
    """

    def half_done(first: float) -> Progress | None:
        return (lambda share: progress(first + share / 2)) if progress else None

    once = prior.clean(x, sigma, shifts(count), progress=half_done(0))
    return prior.clean(x, sigma, shifts(count, seed=1), once, half_done(0.5))


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
        if k >= len(levels) - SHIFTS:
            total += x
        if progress:
            progress((k + 1) / len(levels))
    return operator.crop(total / np.float32(SHIFTS))
