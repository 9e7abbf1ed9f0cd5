"""Pixels of another gamma or other primaries to sRGB, relative to white, by Bradford's adaptation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Chromaticities = tuple[float, ...]  # x and y of white, red, green and blue, as in PNG's cHRM
SRGB: Chromaticities = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
LEVELS = np.arange(256) / 255


@dataclass(frozen=True)
class Converter:
    """gamma: samples are light to that power, as in PNG's gAMA; None: by sRGB's curve. matrix: from light in red, green
    and blue of the picture to that of sRGB; None: they are the same."""

    gamma: float | None
    matrix: NDArray[np.float64] | None

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pixels (n, W, C) with other colours; alpha stays."""
        out, colours = pixels.copy(), pixels.shape[2] - (pixels.shape[2] in (2, 4))
        table = (light(LEVELS) if self.gamma is None else LEVELS ** (1 / self.gamma)).astype(np.float32)
        if self.matrix is None or colours == 1:
            out[..., :colours] = samples(table)[pixels[..., :colours]]
        else:
            out[..., :colours] = samples(table[pixels[..., :colours]] @ self.matrix.T.astype(np.float32))
        return out


def light(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of sRGB's values within 0..1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def samples(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Of sRGB, the nearest there are."""
    light = light.clip(0, 1)
    values = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(values * 255).astype(np.uint8)


def to_srgb(chromaticities: Chromaticities) -> NDArray[np.float64]:
    """The matrix from light in these primaries to that in sRGB's.

    Raises: ZeroDivisionError, numpy.linalg.LinAlgError where there is none.
    """
    source, target = to_xyz(chromaticities), to_xyz(SRGB)
    whites = (BRADFORD @ matrix.sum(axis=1) for matrix in (target, source))
    adapted: NDArray[np.float64] = np.linalg.inv(BRADFORD) @ np.diag(np.divide(*whites)) @ BRADFORD @ source
    matrix: NDArray[np.float64] = np.linalg.inv(target) @ adapted
    if not np.isfinite(matrix).all():
        raise ZeroDivisionError("white has no colour")
    return matrix


def to_xyz(chromaticities: Chromaticities) -> NDArray[np.float64]:
    """The matrix from light in primaries to XYZ."""
    white, *primaries = (
        np.array((x / y, 1, (1 - x - y) / y)) for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True)
    )
    columns = np.stack(primaries, axis=1)
    return columns * np.linalg.solve(columns, white)
