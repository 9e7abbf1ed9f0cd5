"""The artefacts of JPEG: what its file says of each block's coefficients is kept, the rest is the model's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from vaecodec.errors import VaecError
from vaecodec.restoration.cleaner import Levels
from vaecodec.restoration.operators import Floats, Operator, Turns

NARROW = 0.3  # of a step: most coefficients lie nearer to the middle than half a step


class Jpeg(Operator):
    """A JPEG file's picture: each coefficient of its 8 x 8 blocks is known to part of a step of its quantiser.

    Args: tables: quantiser steps (8, 8) of luma, red and blue chroma, rows of vertical frequency. coarser: how many
        rows and columns of pixels a row and a column of chroma stand for.
    """

    def __init__(self, tables: Sequence[Floats], coarser: tuple[int, int]) -> None:
        self.tables = tables
        self.coarser = ((1, 1), coarser, coarser)

    @classmethod
    def of(cls, image: Image.Image) -> Jpeg:
        """For a picture that Pillow opened from a JPEG file. Raises VaecError for others, and for CMYK and RGB ones."""
        layers, steps = getattr(image, "layer", ()), getattr(image, "quantization", {})
        if len(layers) not in (1, 3) or (len(layers) == 3 and image.info.get("adobe_transform") == 0):
            raise VaecError("this is no JPEG file of grey, or of luma and chroma")
        layers = [layers[min(i, len(layers) - 1)] for i in range(3)]
        if any(len(steps.get(layer[3], ())) != 64 for layer in layers):
            raise VaecError("the JPEG file lacks a quantisation table")
        tables = [np.maximum(np.array(steps[layer[3]], np.float32).reshape(8, 8), 1) for layer in layers]
        coarser = [luma / max(chroma, 1) for luma, chroma in zip(layers[0][1:3], layers[1][1:3], strict=True)]
        if layers[1][1:3] != layers[2][1:3] or any(c not in (1, 2, 4) for c in coarser):
            raise VaecError("the JPEG file has an unusual ratio of luma and chroma")
        return cls(tables, (int(coarser[1]), int(coarser[0])))

    def start(self, observed: Floats) -> Levels:
        return observed

    def turns(self, noise: float) -> Turns:
        """The same level all the time, above that of the steps of the lowest frequencies."""
        return Turns(np.full(16, math.sqrt(float(self.tables[0][:3, :3].mean())), np.float32))

    def fit(self, v: Levels, observed: Floats, noise: float, sigma: float) -> Levels:
        """The nearest picture to v in whose blocks each coefficient is where the file says, to NARROW steps."""
        planes, known = v @ TO_YCC.T, observed @ TO_YCC.T
        for i, (table, coarser) in enumerate(zip(self.tables, self.coarser, strict=True)):
            mine, its = (to_blocks(shrunk(p[..., i], coarser)) for p in (planes, known))
            middle = np.rint(its / table) * table
            moved = from_blocks(np.clip(mine, middle - NARROW * table, middle + NARROW * table) - mine)
            moved = moved.repeat(coarser[0], 0).repeat(coarser[1], 1)
            planes[..., i] += moved[: v.shape[0], : v.shape[1]]
        return planes @ FROM_YCC.T


def shrunk(plane: Floats, factors: tuple[int, int]) -> Floats:
    """Means over rectangles of so many rows and columns, as JPEG's chroma; both sides filled up to whole blocks."""
    sides = [8 * f for f in factors]
    pad = [(0, -n % side) for n, side in zip(plane.shape, sides, strict=True)]
    (down, across), plane = factors, np.pad(plane, pad, mode="edge")
    h, w = plane.shape
    return plane.reshape(h // down, down, w // across, across).mean(axis=(1, 3))


def to_blocks(plane: Floats) -> Floats:
    """The DCT of each 8 x 8 block, (rows, columns, 8, 8), of levels less 128."""
    h, w = plane.shape
    blocks = plane.reshape(h // 8, 8, w // 8, 8).swapaxes(1, 2) - 128
    return np.asarray(DCT @ blocks @ DCT.T)


def from_blocks(coefficients: Floats) -> Floats:
    """The plane of `to_blocks`, without its 128."""
    rows, columns = coefficients.shape[:2]
    return (DCT.T @ coefficients @ DCT).swapaxes(1, 2).reshape(8 * rows, 8 * columns)


def _dct() -> Floats:
    n = np.arange(8)
    dct = np.cos(np.pi * (n + 0.5) * n[:, None] / 8) / 2
    dct[0] /= np.sqrt(2)
    return dct.astype(np.float32)


DCT = _dct()
# ITU-T T.871 (JFIF), without the offsets of chroma, which cancel: all that counts are differences of planes.
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
FROM_YCC = np.linalg.inv(TO_YCC.astype(np.float64)).astype(np.float32)
