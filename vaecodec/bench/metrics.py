"""Temporary."""

from __future__ import annotations

import math

import numpy as np


def mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a.astype(np.float64) - b) ** 2))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    m = mse(a, b)
    return 10 * math.log10(255**2 / m) if m else math.inf


def ms_ssim(a: np.ndarray, b: np.ndarray) -> float | None:
    import torch
    from pytorch_msssim import ms_ssim as f

    if min(a.shape[:2]) <= 160:
        return None
    t = [torch.from_numpy(np.ascontiguousarray(x)).permute(2, 0, 1)[None].float() for x in (a, b)]
    return float(f(*t, data_range=255))


def ssimulacra2(a: np.ndarray, b: np.ndarray, source: str) -> float | None:
    return None


def ssimulacra2_source() -> str:
    return "x"
