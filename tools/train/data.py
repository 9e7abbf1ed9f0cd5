"""Training pictures: a folder in memory, random crops, and the held-out set."""

from __future__ import annotations

import io
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tools.train.ranks import ALONE, Ranks
from vaecodec.model.exact import space_to_depth
from vaecodec.model.networks import dct_basis

HELDOUT = Path(__file__).with_name("heldout.txt")
SUFFIXES = {".png", ".webp", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}


def heldout_names() -> set[str]:
    """File names of the pictures that choose the weights and are never trained on."""
    return set(HELDOUT.read_text().split())


def find_pictures(folder: Path, heldout: bool) -> list[Path]:
    """Pictures below a folder, sorted: the held-out ones or the others."""
    names = heldout_names()
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    return [p for p in files if (p.name in names) == heldout]


def load(path: Path) -> np.ndarray:
    """(H, W, 3) uint8."""
    with Image.open(path) as im:
        return np.asarray(im.convert("RGB"))


class Cut(NamedTuple):
    """Where a crop is, and what is done to it."""

    picture: int
    reduced: int  # 2: twice as large, reduced by a box filter
    top: int
    left: int
    flip: bool
    transpose: bool


class Crops:
    """Random crops from pictures held in memory, flipped and transposed, some reduced 2x by a box filter
    (the photographs are stored with 4:2:0 chroma; reduced ones show the model full chroma)."""

    def __init__(self, folder: Path, size: int, seed: int) -> None:
        self.size = size
        self.rng = np.random.default_rng(seed)
        pictures = (load(p) for p in find_pictures(folder, heldout=False))
        self.pictures = [p for p in pictures if min(p.shape[:2]) >= size]
        if not self.pictures:
            raise SystemExit(f"{folder}: no picture of at least {size} x {size} pixels")
        weight = np.array([math.sqrt(p.shape[0] * p.shape[1]) for p in self.pictures])
        self.weight = weight / weight.sum()

    def draw(self) -> Cut:
        """A random crop, before any pixel is touched."""
        picture = int(self.rng.choice(len(self.pictures), p=self.weight))
        height, width = self.pictures[picture].shape[:2]
        n = 2 if min(height, width) >= 2 * self.size and self.rng.random() < 0.5 else 1
        top, left = (int(self.rng.integers(s - self.size * n + 1)) for s in (height, width))
        return Cut(picture, n, top, left, self.rng.random() < 0.5, self.rng.random() < 0.5)

    def pixels(self, cut: Cut) -> np.ndarray:
        """(size, size, 3) uint8."""
        side = self.size * cut.reduced
        crop = self.pictures[cut.picture][cut.top : cut.top + side, cut.left : cut.left + side]
        if cut.reduced == 2:
            crop = np.round(crop.reshape(self.size, 2, self.size, 2, 3).mean((1, 3), dtype=np.float32)).astype(np.uint8)
        if cut.flip:
            crop = crop[:, ::-1]
        return crop.transpose(1, 0, 2) if cut.transpose else crop

    def batch(self, n: int, ranks: Ranks = ALONE) -> Tensor:
        """(n, size, size, 3) uint8; of several processes each gets its share of the n."""
        cuts = ranks.share([self.draw() for _ in range(n)])
        return torch.from_numpy(np.ascontiguousarray(np.stack([self.pixels(cut) for cut in cuts])))

    def checksums(self) -> list[int]:
        """One for each picture: what processes compare that must have the same ones."""
        return [zlib.crc32(p.data) for p in self.pictures]

    def spectrum(self, n: int = 256) -> Tensor:
        """(768,) mean square of the block-DCT coefficients (see `dct_basis`) of n crops, in levels squared."""
        x = self.batch(n).float() - 128
        return (space_to_depth(x, 16) @ dct_basis().T).square().mean((0, 1, 2))


def jpeg(x: np.ndarray, quality: int) -> tuple[float, np.ndarray]:
    """bpp and pixels of Pillow's JPEG: 4:2:0, optimised, progressive."""
    buffer = io.BytesIO()
    Image.fromarray(x).save(buffer, "JPEG", quality=quality, optimize=True, progressive=True, subsampling="4:2:0")
    decoded = np.asarray(Image.open(buffer).convert("RGB"))
    return len(buffer.getvalue()) * 8 / (x.shape[0] * x.shape[1]), decoded


def jpeg_point(x: np.ndarray, quality: int) -> tuple[float, float]:
    """(bpp, RGB-PSNR) of that."""
    bpp, decoded = jpeg(x, quality)
    return bpp, psnr(x, decoded)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """As `scores.psnr`, but of any types, and a number where the two are equal, as it enters means."""
    mse = np.mean((a.astype(np.float64) - b) ** 2)
    return 10 * math.log10(255**2 / max(mse, 1e-10))
