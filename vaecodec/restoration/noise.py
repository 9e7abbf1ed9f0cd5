"""How noisy a picture is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 16  # pixels per side of the squares that are looked at
FLATTEST = 0.1  # share of the squares that count


def noise_level(pixels: NDArray[np.generic]) -> float:
    """Standard deviation of the noise of a picture (H, W, C), in its own units; of all colours together.

    The second difference in both directions knows no linear gradients (Immerkaer 1996). Its mean magnitude is taken
    over squares, and the median of those with the least structure counts, for elsewhere it is texture.
    """
    x = np.asarray(pixels, np.float32)
    if min(x.shape[:2]) < 3:
        return 0.0
    down = x[:-2] - 2 * x[1:-1] + x[2:]
    both = down[:, :-2] - 2 * down[:, 1:-1] + down[:, 2:]
    size = np.abs(both).mean(axis=2)
    coarse = x[1:-1, 1:-1].mean(axis=2)
    # Where samples are clipped, noise cannot be seen.
    middle = x[1:-1, 1:-1]
    inside = (middle.min(axis=2) > 2) & (middle.max(axis=2) < 253)
    found = []
    for rows in range(0, max(1, size.shape[0] - BLOCK + 1), BLOCK):
        for columns in range(0, max(1, size.shape[1] - BLOCK + 1), BLOCK):
            square = slice(rows, rows + BLOCK), slice(columns, columns + BLOCK)
            if inside[square].mean() > 0.8:
                found.append((structure(coarse[square]), float(size[square].mean())))
    if not found:
        return 0.0
    flattest = sorted(found)[: max(1, round(FLATTEST * len(found)))]
    # The mean magnitude of a normal deviate is sqrt(2 / pi) of its deviation, the norm of the mask 6.
    return float(np.median([size for _, size in flattest]) * np.sqrt(np.pi / 2) / 6)


def structure(square: NDArray[np.float32]) -> float:
    """How much the means over 4 x 4 pixels differ, which noise does little to."""
    h, w = (n // 4 * 4 for n in square.shape)
    if not h or not w:
        return 0.0
    return float(square[:h, :w].reshape(h // 4, 4, w // 4, 4).mean(axis=(1, 3)).std())
