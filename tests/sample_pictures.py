"""Synthetic pictures for tests, the same on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tools.train.data import psnr


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """(H, W, C) uint8: slopes, a disc with a sharp edge, and noise in one quarter. Integer arithmetic only."""
    rng = np.random.default_rng(seed)
    i, j = np.arange(height)[:, None], np.arange(width)[None, :]
    planes = []
    for c in range(channels):
        slope = (i * (3 + c) + j * (5 - c)) // 2 % 256
        disc = (i - height // 2) ** 2 + (j - width // 3) ** 2 < (min(height, width) // 4) ** 2
        planes.append(np.where(disc, 230 - 60 * c, slope))
    out = np.stack(planes, axis=-1)
    noisy = rng.integers(0, 256, (height - height // 2, width - width // 2, channels))
    out[height // 2 :, width // 2 :] = noisy
    return out.astype(np.uint8)


def noisy(pixels: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """With normal noise, rounded and clipped as in a file."""
    noise = np.random.default_rng(0).normal(0, sigma, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def close(x: NDArray[np.floating], pixels: NDArray[np.uint8]) -> float:
    """PSNR of levels that are not rounded yet."""
    return psnr(np.rint(x).clip(0, 255).astype(np.uint8), pixels)
