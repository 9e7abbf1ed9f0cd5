"""BD-rate: the mean difference in rate of two rate-distortion curves, with PCHIP interpolation.

The trainer may import torch, numpy and pillow only, hence this file; tests compare it with SciPy.
"""

from __future__ import annotations

import numpy as np


def pchip(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Monotone cubic interpolation (Fritsch and Butland 1984, as SciPy's PchipInterpolator).

    Args: x strictly increasing (n,), y (n,), at (m,) within [x[0], x[-1]].
    """
    h, delta = np.diff(x), np.diff(y) / np.diff(x)
    d = np.zeros_like(y)
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    same = delta[:-1] * delta[1:] > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        d[1:-1] = np.where(same, (w1 + w2) / (w1 / delta[:-1] + w2 / delta[1:]), 0.0)

    def end(h0: float, h1: float, s0: float, s1: float) -> float:
        slope = ((2 * h0 + h1) * s0 - h0 * s1) / (h0 + h1)
        if np.sign(slope) != np.sign(s0):
            return 0.0
        return 3 * s0 if np.sign(s0) != np.sign(s1) and abs(slope) > abs(3 * s0) else slope

    d[0] = end(h[0], h[1], delta[0], delta[1])
    d[-1] = end(h[-1], h[-2], delta[-1], delta[-2])
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(h) - 1)
    t = (at - x[i]) / h[i]
    return (
        (1 + 2 * t) * (1 - t) ** 2 * y[i]
        + t * (1 - t) ** 2 * h[i] * d[i]
        + t * t * (3 - 2 * t) * y[i + 1]
        + t * t * (t - 1) * h[i] * d[i + 1]
    )


def bd_rate(anchor: list[tuple[float, float]], test: list[tuple[float, float]]) -> tuple[float, float, float]:
    """BD-rate in percent of `test` against `anchor`, over their common PSNR range.

    Args: curves of (bpp, PSNR in dB), any order. Returns: percent (negative is better), and the range in dB.
    """
    curves = []
    for curve in (anchor, test):
        rate, psnr = np.array(sorted(curve, key=lambda p: p[1])).T
        curves.append((psnr, np.log(rate)))
    low, high = max(c[0][0] for c in curves), min(c[0][-1] for c in curves)
    if high <= low:
        return float("nan"), low, high
    at = np.linspace(low, high, 1000)
    difference = np.mean(pchip(*curves[1], at) - pchip(*curves[0], at))
    return float(np.expm1(difference) * 100), low, high
