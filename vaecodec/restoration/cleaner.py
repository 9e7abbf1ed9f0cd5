"""What takes noise out of pictures, window by window and with the grid of cells shifted: a Prior or a Denoiser."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaecodec.bitstream.header import CELL, QUALITY_MAX
from vaecodec.codec.runtime import Progress, part_of
from vaecodec.model import trained
from vaecodec.model.architecture import LAMBDA_RANGE, MEAN_ONE, PIXEL_ONE, Z_CELL
from vaecodec.model.exact import half
from vaecodec.model.weights import Weights

Levels = NDArray[np.floating]  # (H, W, 3), 8-bit levels, not clipped
Shift = tuple[int, int]  # rows and columns that the grid of cells is moved by, 0..15
WINDOW = 512  # pixels per side that are worked on at once, without the margin
MARGIN = CELL * Z_CELL  # pixels around a window, thrown away


class Cleaner(ABC):
    """Takes normal noise out of pictures."""

    SHIFTS: ClassVar[int]  # how many are worth their time
    GUIDED: ClassVar[bool]  # whether another round, with the result of the first as a guide, makes it better
    FINER: ClassVar[int]  # quality (0..1000) of the networks, above the one whose lambda fits the noise

    def __init__(self, weights: Weights, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.model = trained.soft(weights) if device == "cpu" else copy.deepcopy(trained.soft(weights)).to(device)

    @torch.no_grad()
    def clean(
        self,
        x: Levels,
        sigma: float,
        shifts: Sequence[Shift] = ((0, 0),),
        guide: Levels | None = None,
        progress: Progress | None = None,
    ) -> Levels:
        """The mean picture behind x, if x has normal noise of `sigma` levels in each sample.

        Args:
            shifts: the mean over these is taken, which hides the grid (cycle spinning, Coifman and Donoho 1995).
            guide: a cleaner picture, if GUIDED. progress: called with the share done.
        """
        total = np.zeros_like(x)
        for k, shift in enumerate(shifts):
            part = part_of(progress, k / len(shifts), (k + 1) / len(shifts))
            total += self._clean(x, sigma, shift, guide, part)
        return total / np.float32(len(shifts))

    def _clean(self, x: Levels, sigma: float, shift: Shift, guide: Levels | None, progress: Progress | None) -> Levels:
        height, width, _ = x.shape
        pad = [(s, (-size - s) % MARGIN) for s, size in zip(shift, (height, width), strict=True)]
        padded = [np.pad(p, (*pad, (0, 0)), mode="symmetric") for p in (x, guide) if p is not None]
        out = np.empty_like(padded[0])
        q = torch.tensor([quality_for(sigma, self.FINER)], device=self.device)
        for rows, outer_rows, inner_rows in spans(out.shape[0]):
            for columns, outer_columns, inner_columns in spans(out.shape[1]):
                parts = [torch.from_numpy(p[outer_rows, outer_columns])[None].to(self.device) - 128 for p in padded]
                with half():
                    step = self.model.steps(q)
                    y_hat = self.latents(q, step, sigma, *parts)
                    x_hat = self.model.g_s(y_hat * MEAN_ONE, q, step)[0].float() * (1 / PIXEL_ONE) + 128
                out[rows, columns] = x_hat[inner_rows, inner_columns].cpu().numpy()
                if progress:  # of the windows above, and of those in this row of them
                    done = rows.start * out.shape[1] + (rows.stop - rows.start) * columns.stop
                    progress(done / out[..., 0].size)
        return out[shift[0] :, shift[1] :][:height, :width]

    @abstractmethod
    def latents(self, q: Tensor, step: Tensor, sigma: float, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """y (1, h / 16, w / 16, M) in steps of one window (1, h, w, 3), in levels minus 128, sides multiples of 64."""


def quality_for(sigma: float, finer: int = 0) -> int:
    """The quality (0..1000) that suits noise of sigma: where lambda / 3 = 1 / (2 ln 2 sigma^2), or so much above."""
    low, high = LAMBDA_RANGE
    wanted = 3 / (2 * math.log(2) * max(sigma, 1e-3) ** 2)
    q = QUALITY_MAX * math.log(wanted / low) / math.log(high / low) + finer
    return round(min(max(q, 0), QUALITY_MAX))


def spans(size: int) -> list[tuple[slice, slice, slice]]:
    """Windows along one side: each alone, with its margin, and where it lies within that."""
    found = []
    for first in range(0, size, WINDOW):
        last = min(first + WINDOW, size)
        outer = slice(max(0, first - MARGIN), min(size, last + MARGIN))
        found.append((slice(first, last), outer, slice(first - outer.start, last - outer.start)))
    return found


def shifts(count: int, seed: int = 0) -> list[Shift]:
    """So many shifts, spread over the cell, none twice until all are used."""
    order = np.random.default_rng(seed).permutation(CELL * CELL)
    return [divmod(int(order[k % len(order)]), CELL) for k in range(count)]
