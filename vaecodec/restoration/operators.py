"""How pictures may have been observed: linear maps with their adjoints."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vaecodec.errors import VaecError
from vaecodec.restoration.cleaner import Levels

Floats = NDArray[np.floating]
CONJUGATE = 8  # steps of conjugate gradients at most
FLOOR = 0.5  # levels: noise below this is taken as this, so that equations stay well posed


@dataclass(frozen=True)
class Turns:
    """How a picture is found (solver.py). levels: of noise, that it is taken to have turn by turn. averaged: last turns
    whose mean is taken. momentum: share of a turn's change that is made once more. loose: how many times the level of
    noise a fit may be away from the clean picture."""

    levels: Floats
    averaged: int = 8
    momentum: float = 0.0
    loose: float = 1.0


class Operator(ABC):
    """How `observed` came from a picture (H, W, 3)."""

    def crop(self, x: Levels) -> Levels:
        """The part of a restored picture that was meant: all of it."""
        return x

    @abstractmethod
    def start(self, observed: Floats) -> Levels:
        """A first guess at the picture."""

    def turns(self, noise: float) -> Turns:
        """Where the noise of the observation is `noise`."""
        return Turns(falling(40, noise, 60))

    @abstractmethod
    def fit(self, v: Levels, observed: Floats, noise: float, sigma: float) -> Levels:
        """The picture that fits what was observed, with noise of that deviation, and is near v, within `sigma`."""


class Linear(Operator):
    """observed = forward(picture) + noise. A new one needs `forward` and `adjoint`, and a test that they are that."""

    @abstractmethod
    def forward(self, x: Levels) -> Floats:
        """What would be observed."""

    @abstractmethod
    def adjoint(self, observed: Floats) -> Levels:
        """The transpose: <forward(x), b> = <x, adjoint(b)>."""

    def start(self, observed: Floats) -> Levels:
        back = self.adjoint(observed)
        gain = self.adjoint(self.forward(np.ones_like(back)))
        return back / np.maximum(gain, 1e-3)

    def fit(self, v: Levels, observed: Floats, noise: float, sigma: float) -> Levels:
        """The x of the least ||forward(x) - observed||^2 / noise^2 + ||x - v||^2 / sigma^2.

        By conjugate gradients on d = x - v: (A'A + k) d = A'(observed - A v), k = noise^2 / sigma^2.
        """
        k = np.float32((max(noise, FLOOR) / sigma) ** 2)
        d = np.zeros_like(v)
        p = r = self.adjoint(observed - self.forward(v))
        first = energy = float(np.vdot(r, r))
        for _ in range(CONJUGATE):
            if energy <= 1e-5 * first:
                break
            image = self.adjoint(self.forward(p)) + k * p
            step = np.float32(energy / float(np.vdot(p, image)))
            d, r = d + step * p, r - step * image
            before, energy = energy, float(np.vdot(r, r))
            p = r + np.float32(energy / before) * p
        return v + d


class Mask(Linear):
    """Some pixels are known: where `known` (H, W) is set."""

    def __init__(self, known: NDArray[np.bool_]) -> None:
        if not known.any():
            raise VaecError("the mask leaves nothing of the picture")
        self.known = known[..., None].astype(np.float32)

    def forward(self, x: Levels) -> Floats:
        return x * self.known

    def adjoint(self, observed: Floats) -> Levels:
        return observed * self.known

    def start(self, observed: Floats) -> Levels:
        return filled(observed * self.known, self.known)


class Blur(Linear):
    """A kernel (odd sides, sum 1). What lies beyond the border is not known, so the picture behind is larger by the
    kernel less one; `crop` gives the part that was observed."""

    def __init__(self, kernel: Floats) -> None:
        if kernel.ndim != 2 or not (kernel.shape[0] % 2 and kernel.shape[1] % 2):
            raise VaecError(f"a blur of shape {kernel.shape} has no centre: two odd numbers are needed")
        self.kernel = np.ascontiguousarray(kernel[::-1, ::-1], np.float32)
        self.margin = kernel.shape[0] // 2, kernel.shape[1] // 2
        self.cached: tuple[list[int], torch.Tensor] = ([], torch.zeros(0))

    @classmethod
    def gaussian(cls, deviation: float) -> Blur:
        n = np.arange(-math.ceil(3 * deviation), math.ceil(3 * deviation) + 1)
        row = np.exp(-(n**2) / (2 * deviation**2))
        kernel = np.outer(row, row)
        return cls((kernel / kernel.sum()).astype(np.float32))

    @classmethod
    def motion(cls, length: float, angle: float) -> Blur:
        """A straight line of that length in pixels; angle in degrees, counterclockwise from the x axis."""
        reach = math.ceil(length / 2)
        kernel = np.zeros((2 * reach + 1,) * 2, np.float32)
        for t in np.linspace(-length / 2, length / 2, 16 * reach + 1):
            y, x = reach - t * math.sin(math.radians(angle)), reach + t * math.cos(math.radians(angle))
            i, j = min(int(y), 2 * reach - 1), min(int(x), 2 * reach - 1)
            kernel[i : i + 2, j : j + 2] += np.outer((1 - y + i, y - i), (1 - x + j, x - j)).astype(np.float32)
        return cls(kernel / kernel.sum())

    def forward(self, x: Levels) -> Floats:
        """By Fourier transforms; what they carry round the border is left out."""
        (down, across), (h, w) = self.margin, x.shape[:2]
        return self._multiply(x, False)[2 * down : h, 2 * across : w]

    def adjoint(self, observed: Floats) -> Levels:
        x = np.pad(observed, [(2 * m, 0) for m in self.margin] + [(0, 0)])
        return self._multiply(x, True)[: x.shape[0], : x.shape[1]]

    def _multiply(self, x: Levels, conjugate: bool) -> Floats:
        """The product of spectra, of a size that transforms are fast for."""
        size = [-(-n // 32) * 32 for n in x.shape[:2]]
        if self.cached[0] != size:
            self.cached = size, torch.fft.rfft2(torch.from_numpy(self.kernel), s=size)
        spectrum = self.cached[1].conj() if conjugate else self.cached[1]
        planes = torch.fft.rfft2(torch.from_numpy(x).permute(2, 0, 1), s=size) * spectrum
        return np.ascontiguousarray(torch.fft.irfft2(planes, s=size).permute(1, 2, 0).numpy())

    def start(self, observed: Floats) -> Levels:
        return np.pad(observed, [(m, m) for m in self.margin] + [(0, 0)], mode="edge")

    def turns(self, noise: float) -> Turns:
        """Few ones: what was observed is near to the picture, and each turn goes far."""
        return Turns(falling(max(10, 2 * noise), noise, 14), averaged=6, momentum=0.8, loose=2)

    def crop(self, x: Levels) -> Levels:
        """Without the border that was only needed to explain what was observed."""
        (top, left), (h, w) = self.margin, x.shape[:2]
        return x[top : h - top, left : w - left]


class Downsampling(Linear):
    """Means over squares of `factor` pixels; what was observed is (H / factor, W / factor, 3)."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def forward(self, x: Levels) -> Floats:
        h, w, c = x.shape
        return x.reshape(h // self.factor, self.factor, w // self.factor, self.factor, c).mean(axis=(1, 3))

    def adjoint(self, observed: Floats) -> Levels:
        return observed.repeat(self.factor, 0).repeat(self.factor, 1) / np.float32(self.factor**2)

    def start(self, observed: Floats) -> Levels:
        return enlarged(observed, self.factor)


class Projections(Linear):
    """Of each square of `side` pixels, and each colour, products with random vectors: compressed sensing (Gan 2007).

    Args: shape: (H, W) of the picture, multiples of `side`. share: of the pixels' number. The vectors are orthonormal.
    """

    def __init__(self, shape: tuple[int, int], share: float, side: int = 32, seed: int = 0) -> None:
        if shape[0] % side or shape[1] % side:
            raise VaecError(f"a picture of {shape[1]} x {shape[0]} has no whole squares of {side} pixels")
        count = max(1, round(share * side * side))
        normal = np.random.default_rng(seed).standard_normal((side * side, count))
        self.basis = np.linalg.qr(normal)[0].astype(np.float32)  # (side^2, count)
        self.shape, self.side = shape, side

    def start(self, observed: Floats) -> Levels:
        grey = np.full((*self.shape, 3), 128, np.float32)
        return self.fit(grey, observed, 0, 1000)

    def turns(self, noise: float) -> Turns:
        """From far away and slowly: nothing is known where it is."""
        return Turns(falling(100, noise, 120))

    def forward(self, x: Levels) -> Floats:
        """(squares, colours, products)."""
        (h, w), s = self.shape, self.side
        squares = x.reshape(h // s, s, w // s, s, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, s * s)
        return squares @ self.basis

    def adjoint(self, observed: Floats) -> Levels:
        (h, w), s = self.shape, self.side
        squares = (observed @ self.basis.T).reshape(h // s, w // s, 3, s, s)
        return np.ascontiguousarray(squares.transpose(0, 3, 1, 4, 2)).reshape(h, w, 3)


def falling(first: float, last: float, count: int) -> Floats:
    """Levels of noise from `first` to `last`, in equal ratios."""
    return np.geomspace(first, max(3, min(last, first)), count, dtype=np.float32)


def filled(values: Floats, weights: Floats) -> Floats:
    """values (H, W, C) where weights (H, W, 1) are positive, elsewhere means of what is near (push and pull).

    Each level of a pyramid holds weighted means over 2 x 2; holes take the level above, interpolated (Gortler et al.,
    The Lumigraph, 1996).
    """
    h, w = values.shape[:2]
    if weights.min() > 0 or (h, w) == (1, 1):
        return values / np.maximum(weights, 1e-12)
    pad = [(0, h % 2), (0, w % 2), (0, 0)]
    sums = [
        p.reshape(p.shape[0] // 2, 2, p.shape[1] // 2, 2, -1).sum(axis=(1, 3))
        for p in (np.pad(values, pad), np.pad(weights, pad))
    ]
    scale = np.minimum(1, sums[1]) / np.maximum(sums[1], 1e-12)
    above = enlarged(filled(sums[0] * scale, sums[1] * scale), 2)[:h, :w]
    return values + (1 - weights) * above


def enlarged(x: Floats, factor: int) -> Floats:
    """(H factor, W factor, C), bicubic."""
    size = x.shape[1] * factor, x.shape[0] * factor
    planes = [
        Image.fromarray(np.ascontiguousarray(p)).resize(size, Image.Resampling.BICUBIC) for p in np.moveaxis(x, 2, 0)
    ]
    return np.stack([np.asarray(p) for p in planes], axis=2)
