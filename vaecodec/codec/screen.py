"""Finding what was drawn, not photographed: which pixels an overlay may be worth, and what to code beneath it.

Screens, text, charts: few colours, sharp edges, and neighbours that are equal to the last bit. Photographs have such
places too where they went through JPEG, were enlarged or show a sky, but there an overlay costs more than the networks
take. What these take is estimated; no tile is coded for trial here, only overlays are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaecodec import core
from vaecodec.bitstream.overlay import Overlay, pack_overlay
from vaecodec.codec.palettes import Colours, pack

BLOCK = 16
EQUAL_SHARE = 0.2  # share of pixels equal to their left neighbour; photographs seldom have half of it
COLOURS_FEW, COLOURS_MAX = 16, 64  # in a block of 256 pixels: surely drawn; drawn if many neighbours are equal
EQUAL_IN_BLOCK = 0.4
MIXED_FROM, ALL_FROM = 0.05, 0.5  # shares of blocks of few colours from which an overlay over them, over all is tried
MOST_LEFT = 0.6  # share that is left to the networks from which one over all would have to take a photograph over,
INKS, INKED = 16, 0.28  # unless so many colours have this share of the pixels of all blocks of many colours
REDUCIBLE = 65536  # colours; a photograph reduced to a palette is no photograph
BITS, KNEE = 1.6, 0.72  # see `transform_costs`
MISSED = 4  # see `transform_costs`
LEAST, MOST = 0.75, 1.5  # what the networks really take, over what `transform_costs` says
SEAM, SEAMS = 500, 1 / 16  # what they take more beside an overlay: see `rest_share`
STRIP, STRIPS = 2, 8  # the sample of a tile: so many rows of blocks of so many
SPARSE = 0.5  # rows with less than this of their share are no sample: all are taken
HALVED = 0.86  # the bytes of an overlay with half the colours, over those with all, about
GUESSED, JUDGED, SAMPLED = 1.5, 1.25, 1.1  # how far an overlay may be from what its sample says: see `Sample`
GAIN = 0.97  # what an overlay must cost of what the networks really take, as their errors are known by a sample
MIXED = 0.95  # what a mixed tile must cost of one all overlay, as what the joint costs is a guess

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Costs = NDArray[np.float32]


@dataclass(frozen=True)
class Draft:
    """An overlay of a tile (h, w, 3) that may be worth its bits, judged by a sample.

    source: gives the tile, which is not held. chosen: (rows, columns), the blocks that it takes over. colours: how many
    it has, 0 for all that are there. cost: bits, and errors in bits. rest: what it leaves to the networks, as a share
    of what they take without it. blocks: `transform_costs` of the tile. lmbda: bits for a squared error of a sample.
    """

    source: Callable[[], Pixels]
    chosen: Mask
    colours: int
    cost: float
    rest: float
    blocks: Costs
    lmbda: float

    def better(self, cost: float, alone: float) -> bool:
        """Whether it is better at this cost than the networks alone, if these take so much."""
        return cost < (1 - self.rest) * alone

    def possible(self, alone: float) -> bool:
        """Whether it may be better than the networks alone, if these take so much."""
        return self.better(self.cost / SAMPLED, alone)

    def sure(self) -> bool:
        """Whether it is better even if the networks take as little as they ever do."""
        return self.better(SAMPLED * self.cost, LEAST * float(self.blocks.sum()))

    def overlay(self, alone: float, thorough: bool) -> Overlay | None:
        """It, if it is better than the networks alone, which take so much. thorough: see `pack_overlay`."""
        colours, mask = Colours(rgb := self.source()), mask_of(self.chosen, rgb)
        palettes = colours.palettes(mask, len(colours.distinct) if self.colours else 0)
        palette = next(p for p in palettes if p.size == self.colours)
        data = pack_overlay(palette.colours[colours.index], mask, thorough=thorough)
        if not self.better(8 * len(data) + self.lmbda * palette.error, alone):
            return None
        return Overlay(data, bool(mask.all()))

    def beneath(self) -> Pixels:
        """(h, w, 3), what is left to the networks."""
        return fill(rgb := self.source(), mask_of(self.chosen, rgb))


def find(source: Callable[[], Pixels], lmbda: float) -> Draft | None:
    """The best overlay of a tile, if any can be worth its bits.

    Args: source: gives the tile (h, w, 3), here and later. lmbda: bits for a squared error of a sample.
    """
    rgb = source()
    if not looks_drawn(rgb):
        return None
    few = few_colours(rgb)
    share, inked = few.mean(), many_are_edges(rgb, few)
    if share < MIXED_FROM and not inked:
        return None
    blocks = transform_costs(rgb, lmbda)
    alone, rest = float(blocks.sum()), rest_share(few, blocks, lmbda)
    choices = {}
    if inked or (share >= ALL_FROM and rest < MOST_LEFT):
        choices[0.0] = np.ones_like(few)
    if MIXED_FROM <= share < 1 and rest < 1:  # in nearly all photographs what is left costs as much as everything
        choices[rest] = few
    if not choices:
        return None
    colours, drafts = Colours(rgb), []
    for rest, chosen in choices.items():
        sample, limit = Sample(rgb, colours, chosen, blocks, lmbda), MOST * (1 - rest) * alone
        if sample.guess < GUESSED * limit:
            cost, size = sample.judge(JUDGED * limit)
            drafts.append(Draft(source, chosen, size, cost, rest, blocks, lmbda))
    best = min(drafts, key=lambda d: (d.cost + d.rest * alone) * (1 if d.rest else MIXED), default=None)
    return best if best and best.possible(MOST * alone) else None


class Sample:
    """Some rows of the chosen blocks (rows, columns) of a tile (h, w, 3), for what an overlay over all of them costs.

    guess: the cost with the best palette, from the bits with one of them. `judge` packs with that palette, and with
    others. blocks: `transform_costs` of the tile.
    """

    def __init__(self, rgb: Pixels, colours: Colours, chosen: Mask, blocks: Costs, lmbda: float) -> None:
        mask, self.lmbda = mask_of(chosen, rgb), lmbda
        rows = np.flatnonzero(chosen.any(1))
        some = rows[(np.arange(len(rows)) - (min(len(rows), STRIPS) - STRIP) // 2) % STRIPS < STRIP]
        costs = np.where(chosen, blocks, 0).sum(1)
        if costs[some].sum() * len(rows) < SPARSE * costs.sum() * len(some):
            some = rows
        self.share = float(costs[some].sum() / max(costs.sum(), 1)) or 1
        there = np.isin(np.arange(len(rgb)) // BLOCK, some)
        self.there, self.index, self.palettes = mask[there], colours.index[there], colours.palettes(mask, REDUCIBLE)
        self.packed: dict[int, float] = {}
        middle = len(self.palettes) // 2
        bits = self.bits(middle)
        numbers = [p.size or len(colours.distinct) for p in self.palettes]
        halved = np.log2(numbers[middle] / np.array(numbers))
        guesses = [bits * HALVED**n + self.errors(i) for i, n in enumerate(halved)]
        self.best = int(np.argmin(guesses))
        self.guess = guesses[self.best]

    def bits(self, i: int) -> float:
        """What the whole overlay takes with one of the palettes."""
        if i not in self.packed:
            self.packed[i] = 8 * len(pack_overlay(self.palettes[i].colours[self.index], self.there)) / self.share
        return self.packed[i]

    def errors(self, i: int) -> float:
        """Those that it makes, in bits."""
        return self.lmbda * self.palettes[i].error

    def judge(self, limit: float) -> tuple[float, int]:
        """The cost with the best palette, and its size; no others are tried where the first takes more than a limit."""
        first = best = self.best
        cost = self.bits(first) + self.errors(first)
        for step in (1, -1) if cost < limit else ():  # fewer colours, or else more
            i = best + step
            while 0 <= i < len(self.palettes) and (new := self.bits(i) + self.errors(i)) < cost:
                cost, best, i = new, i, i + step
            if best != first:
                break
        return cost, self.palettes[best].size


def rest_share(chosen: Mask, blocks: Costs, lmbda: float) -> float:
    """What the networks take for the blocks (rows, columns) that are not chosen, as a share of what they take for all:
    more than in the whole tile where they end at an overlay, as if they did so at some more places."""
    if chosen.all():
        return 0.0
    around = np.pad(chosen, 1, mode="edge")
    beside = around[:-2, 1:-1] | around[2:, 1:-1] | around[1:-1, :-2] | around[1:-1, 2:]
    cost = float(blocks[~chosen].sum() + SEAM * np.cbrt(lmbda) * (SEAMS * chosen.size + (beside & ~chosen).sum()))
    return cost / max(float(blocks.sum()), 1)


def mask_of(chosen: Mask, rgb: Pixels) -> Mask:
    """The pixels (h, w) of a tile that lie in chosen blocks."""
    return chosen.repeat(BLOCK, 0).repeat(BLOCK, 1)[: rgb.shape[0], : rgb.shape[1]]


def looks_drawn(rgb: Pixels) -> bool:
    """Whether a closer look at (h, w, 3) is worth its time: many equal neighbours in some rows, or few colours."""
    if rgb.shape[1] < 2:
        return False
    same = rgb[::4, 1:] == rgb[::4, :-1]
    equal = (same[..., 0] & same[..., 1] & same[..., 2]).mean() >= EQUAL_SHARE
    return bool(equal or len(np.unique(pack(rgb[::8, ::7]))) <= COLOURS_MAX)


def few_colours(rgb: Pixels) -> Mask:
    """Which blocks (rows, columns) of (h, w, 3) have few colours."""
    packed = pack(padded(rgb))
    shape = (packed.shape[0] // BLOCK, BLOCK, packed.shape[1] // BLOCK, BLOCK)
    colours = np.sort(packed.reshape(shape).swapaxes(1, 2).reshape(shape[0], shape[2], -1), axis=2)
    distinct = 1 + (colours[..., 1:] != colours[..., :-1]).sum(2)
    equal = np.pad(packed[:, 1:] == packed[:, :-1], ((0, 0), (1, 0))).reshape(shape).mean((1, 3))
    few: Mask = (distinct <= COLOURS_FEW) | ((distinct <= COLOURS_MAX) & (equal >= EQUAL_IN_BLOCK))
    return few


def many_are_edges(rgb: Pixels, few: Mask) -> bool:
    """Whether blocks of (h, w, 3) that have not few colours (rows, columns) have them of the edges between few, as line
    art with smooth edges does: some colours, paper and inks, are far more frequent than others. In drawings 16 have a
    third of the pixels or more, in photographs hardly a tenth, in those in grey a fifth."""
    colours = pack(rgb[::4, ::3])[~mask_of(few, rgb)[::4, ::3]]
    counts = np.sort(np.unique(colours, return_counts=True)[1])
    return not counts.size or bool(counts[-INKS:].sum() >= INKED * counts.sum())


def padded(rgb: Pixels) -> Pixels:
    """(h, w, 3) by edge replication to whole blocks."""
    return np.pad(rgb, ((0, -rgb.shape[0] % BLOCK), (0, -rgb.shape[1] % BLOCK), (0, 0)), mode="edge")


def transform_costs(rgb: Pixels, lmbda: float) -> Costs:
    """What the networks take for each block (rows, columns) of (h, w, 3), more or less, errors included, in bits.

    Pixels enlarged in step with the blocks are all but free in them, though not to the networks: where blocks half a
    step away take much more, they count.
    """
    here = block_costs(padded(rgb), lmbda)
    shifted = padded(np.pad(rgb, ((BLOCK // 2, 0), (BLOCK // 2, 0), (0, 0)), mode="edge"))
    some = shifted.reshape(-1, BLOCK, *shifted.shape[1:])[: len(here) : 2]  # every second row tells enough
    away = block_costs(some.reshape(-1, *shifted.shape[1:]), lmbda)[:, : here.shape[1]]
    away = np.where(away > MISSED * here[::2], away, 0).repeat(2, axis=0)[: len(here)]
    costs: Costs = np.maximum(here, away)
    return costs


def block_costs(rgb: Pixels, lmbda: float) -> Costs:
    """The same by whole blocks.

    An orthonormal transform of Gaussian coefficients c with the error that is best for its bits takes
    log2(1 + lmbda c^2 / KNEE) / 2 bits for each: all that it does not keep is an error where c is small. The networks
    are near BITS times that for the cosine transform of blocks.
    """
    sums = core.block_costs(np.ascontiguousarray(rgb), cosines(BLOCK), cosines(3), lmbda / KNEE)
    return sums * np.float32(BITS / 2 / np.log(2))


def cosines(n: int) -> NDArray[np.float32]:
    """The orthonormal cosine transform of n values: a row for each coefficient."""
    k, i = np.mgrid[:n, :n]
    basis = np.cos(np.pi * k * (2 * i + 1) / (2 * n)) * np.sqrt(2 / n)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


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
