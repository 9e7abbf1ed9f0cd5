"""Finding what was drawn, not photographed: which pixels an overlay may be worth, and what to code beneath it.

Screens, text, charts: few colours, sharp edges, and neighbours that are equal to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaecodec.overlay import Overlay, pack_overlay

BLOCK = 16
EQUAL_SHARE = 0.2  # share of pixels equal to their left neighbour; photographs seldom have half of it
COLOURS_FEW, COLOURS_MAX = 16, 64  # in a block of 256 pixels: surely drawn; drawn if many neighbours are equal
EQUAL_IN_BLOCK = 0.4
MIXED_FROM, ALL_FROM = 0.05, 0.5  # shares of blocks of few colours from which an overlay over them, over all is tried
REDUCIBLE = 16384  # colours; k-means takes long for more, and a photograph reduced to a palette is no photograph
PALETTES = (256, 128, 64, 32, 16)  # sizes to which an overlay's colours may be reduced

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def looks_drawn(rgb: Pixels) -> bool:
    """Whether a closer look at (h, w, 3) is worth its time: many equal neighbours in some rows, or few colours."""
    if rgb.shape[1] < 2:
        return False
    same = rgb[::4, 1:] == rgb[::4, :-1]
    equal = (same[..., 0] & same[..., 1] & same[..., 2]).mean() >= EQUAL_SHARE
    return bool(equal or len(np.unique(pack(rgb[::8, ::7]))) <= COLOURS_MAX)


def masks(rgb: Pixels) -> Iterator[Mask]:
    """Candidate masks (h, w) for an overlay over rgb (h, w, 3): everything, blocks of few colours, nothing;
    none at all where too few blocks have few colours."""
    h, w, _ = rgb.shape
    padded = np.pad(rgb, ((0, -h % BLOCK), (0, -w % BLOCK), (0, 0)), mode="edge")
    shape = (padded.shape[0] // BLOCK, BLOCK, padded.shape[1] // BLOCK, BLOCK)
    packed = pack(padded)
    colours = np.sort(packed.reshape(shape).swapaxes(1, 2).reshape(shape[0], shape[2], -1), axis=2)
    distinct = 1 + (colours[..., 1:] != colours[..., :-1]).sum(2)
    equal = np.pad(packed[:, 1:] == packed[:, :-1], ((0, 0), (1, 0))).reshape(shape).mean((1, 3))
    few = (distinct <= COLOURS_FEW) | ((distinct <= COLOURS_MAX) & (equal >= EQUAL_IN_BLOCK))
    share = few.mean()
    if share >= ALL_FROM:
        yield np.ones((h, w), np.bool_)
    if MIXED_FROM <= share < 1:
        yield few.repeat(BLOCK, 0).repeat(BLOCK, 1)[:h, :w]
    if share >= MIXED_FROM:
        yield np.zeros((h, w), np.bool_)


def reductions(rgb: Pixels, mask: Mask) -> Iterator[Pixels]:
    """rgb as it is, then with the colours under the mask reduced to fewer and fewer (median cut and k-means, Pillow's);
    not where there are as many as in a photograph."""
    yield rgb
    inside = rgb[mask][None]
    count = len(np.unique(pack(inside)))
    for n in PALETTES if count <= REDUCIBLE else ():
        if n < count:
            reduced = Image.fromarray(inside).quantize(n, Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE)
            out = rgb.copy()
            out[mask] = np.asarray(reduced.convert("RGB"))[0]
            yield out


def pack(rgb: Pixels) -> NDArray[np.uint32]:
    """A number for each colour of (..., 3)."""
    r, g, b = (rgb[..., i].astype(np.uint32) for i in range(3))
    packed: NDArray[np.uint32] = r * np.uint32(65536) + g * np.uint32(256) + b
    return packed


def fill(rgb: Pixels, mask: Mask) -> Pixels:
    """rgb with what the mask hides replaced by something smooth that goes on from the rest: means over larger and
    larger squares ("push-pull", Gortler et al. 1996), so that the transform has next to nothing to code there."""
    if mask.all():
        return np.full_like(rgb, 128)
    return np.where(mask[..., None], np.rint(_pull(rgb.astype(np.float32), (~mask).astype(np.float32))), rgb).astype(
        np.uint8
    )


def _pull(colour: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, 3) with every position known, from those whose weight (h, w) is not 0; at least one is not."""
    if weight.all():
        return colour
    h, w = weight.shape
    pad = ((0, h % 2), (0, w % 2))
    fine_w = np.pad(weight, pad)
    fine = np.pad(colour, (*pad, (0, 0))) * fine_w[..., None]
    shape = (fine_w.shape[0] // 2, 2, fine_w.shape[1] // 2, 2)
    coarse_w = fine_w.reshape(shape).sum((1, 3))
    coarse = fine.reshape(*shape, 3).sum((1, 3)) / np.maximum(coarse_w, 1)[..., None]
    coarse = _pull(coarse, np.minimum(coarse_w, 1))
    return np.where(weight[..., None] > 0, colour, coarse.repeat(2, 0).repeat(2, 1)[:h, :w])


# Codes a tile (h, w, 3) and gives the bytes that it took and what it decodes to.
Trial = Callable[[Pixels], tuple[int, Pixels]]


def choose(rgb: Pixels, worth: float, trial: Trial, thorough: bool) -> tuple[Overlay | None, Pixels]:
    """The best overlay of a tile (h, w, 3), by real bits and real errors, if any, and what to code beneath it.

    Args: worth: bits for a squared error of a sample. thorough: see `pack_overlay`.
    """

    def cost(size: int, a: Pixels, b: Pixels) -> float:
        return 8 * size + worth * float(np.square(a.astype(np.int32) - b).sum())

    best, colours, mask, beneath = math.inf, rgb, np.zeros(rgb.shape[:2], np.bool_), rgb
    for candidate in masks(rgb):
        below = fill(rgb, candidate)
        transform = 0.0
        if not candidate.all():
            size, decoded = trial(below)
            transform = cost(size, decoded[~candidate], rgb[~candidate])
        for reduced in reductions(rgb, candidate) if transform < best else ():
            size = len(pack_overlay(reduced, candidate))
            total = transform + cost(size, reduced[candidate], rgb[candidate])
            if total < best:
                best, colours, mask, beneath = total, reduced, candidate, below
    data = pack_overlay(colours, mask, thorough=thorough)
    return (Overlay(data, bool(mask.all())) if data else None), beneath
