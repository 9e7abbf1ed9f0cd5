"""The colours of a picture reduced to fewer and fewer.

Median cut (Pillow's) and k-means give 256; from there on the two colours are joined that it costs least to join
("pairwise nearest neighbour", Equitz 1989), which errs half as much. Only distinct colours are looked at, each weighted
by how often it is there, so palettes take next to no time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZES = (256, 128, 64, 32, 16, 12, 8, 6, 4)
CUT_OF = 8192  # pixels that median cut looks at, each distinct colour among them
RARE = 0.35  # power of the weights in the choice of what to join: by 1, a red button on a grey page would turn brown
ROUNDS = 3  # of k-means
CHUNK = 2048  # colours whose distances to a palette stay in the cache

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Which = NDArray[np.intp]


@dataclass(frozen=True)
class Palette:
    """What each of `Colours.distinct` becomes, (k, 3), and the squared error of all samples that this makes. size: of
    SIZES, or 0 for all colours."""

    size: int
    colours: Pixels
    error: float


class Colours:
    """The distinct colours (k, 3) of a picture (h, w, 3), and which of them each pixel has, `index` (h, w)."""

    def __init__(self, rgb: Pixels) -> None:
        packed = pack(rgb)
        distinct = np.unique(packed)
        table = np.zeros(1 << 24, np.uint32)  # only what is used of it takes memory
        table[distinct] = np.arange(len(distinct))
        self.index = table[packed]
        self.distinct = np.stack([(distinct >> shift & 255).astype(np.uint8) for shift in (16, 8, 0)], axis=1)

    def palettes(self, mask: NDArray[np.bool_], most: int) -> list[Palette]:
        """All colours, then fewer and fewer for the pixels under a mask (h, w), unless more than `most` are there."""
        counts = np.bincount(self.index[mask], minlength=len(self.distinct))
        used = np.flatnonzero(counts)
        found = [Palette(0, self.distinct, 0.0)]
        if len(used) <= most:
            colours, weights = self.distinct[used].astype(np.float32), counts[used].astype(np.float32)
            sizes = [n for n in SIZES if n < len(used)]
            for size, palette in zip(sizes, reduced(colours, weights), strict=True):
                table = self.distinct.copy()
                table[used] = palette.round().astype(np.uint8)
                error = np.square(table[used] - colours).sum(1) @ weights.astype(np.float64)
                found.append(Palette(size, table, float(error)))
        return found


def pack(rgb: Pixels) -> NDArray[np.uint32]:
    """A number for each colour of (..., 3)."""
    r, g, b = (rgb[..., i].astype(np.uint32) for i in range(3))
    packed: NDArray[np.uint32] = r * np.uint32(65536) + g * np.uint32(256) + b
    return packed


def reduced(colours: Floats, weights: Floats) -> Iterator[Floats]:
    """What each of the colours (k, 3) becomes where there are only 256, 128, ...; sizes not below k are left out."""
    which = np.arange(len(colours))
    if len(colours) > SIZES[0]:
        repeated = np.repeat(colours.astype(np.uint8), np.ceil(weights * (CUT_OF / weights.sum())).astype(int), axis=0)
        cut = Image.fromarray(repeated[None]).quantize(SIZES[0], Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        palette = np.array(cut.getpalette(), np.float32).reshape(-1, 3)
        colours, weights, which = means(colours, weights, palette)
        yield colours[which]
    for palette in joined(colours, weights):
        fewer, _, place = means(colours, weights, palette)
        yield fewer[place][which]


def means(colours: Floats, weights: Floats, palette: Floats) -> tuple[Floats, Floats, Which]:
    """k-means of colours (k, 3) from a palette (n, 3) on: the palette without what is not used, its weights, and which
    of it is nearest to each colour."""
    for _ in range(ROUNDS):
        which = nearest(colours, palette)
        total = np.bincount(which, weights, len(palette))
        sums = np.stack([np.bincount(which, weights * c, len(palette)) for c in colours.T], axis=1)
        palette = (sums[total > 0] / total[total > 0, None]).astype(np.float32)
    which = nearest(colours, palette)
    used, place = np.unique(which, return_inverse=True)
    return palette[used], np.bincount(place, weights).astype(np.float32), place


def nearest(colours: Floats, palette: Floats) -> Which:
    """Which of a palette (n, 3) is nearest to each of the colours (k, 3)."""
    own = np.square(palette).sum(1)
    parts = [colours[i : i + CHUNK] for i in range(0, len(colours), CHUNK)]
    return np.concatenate([(own - 2 * part @ palette.T).argmin(1) for part in parts])


def joined(colours: Floats, weights: Floats) -> Iterator[Floats]:
    """Palettes of 128, 64, ... colours: of all colours (k, 3), the two are joined that it costs least to join."""
    x, w = colours.astype(np.float64), weights.astype(np.float64)
    cost = costs(x, w, x[:, None], w[:, None])
    np.fill_diagonal(cost, np.inf)
    for size in (n for n in SIZES if n < len(colours)):
        for _ in range(len(x) - size):
            i, j = divmod(int(cost.argmin()), len(x))
            x[i] = (w[i] * x[i] + w[j] * x[j]) / (w[i] + w[j])
            w[i], w[j] = w[i] + w[j], 0
            new = costs(x, w, x[i], w[i])
            new[i], new[w == 0] = np.inf, np.inf
            cost[j], cost[:, j] = np.inf, np.inf
            cost[i] = cost[:, i] = new
        left = w > 0
        x, w, cost = x[left], w[left], cost[np.ix_(left, left)]
        yield x.astype(np.float32)


def costs(x: Doubles, w: Doubles, y: Doubles, v: Doubles) -> Doubles:
    """What it costs to join colours x of weights w with colours y of weights v: squared error, with rare ones counted
    for more than their pixels."""
    apart: Doubles = np.square(x - y).sum(-1) * (w * v / np.maximum(w + v, 1e-9)) ** RARE
    return apart
