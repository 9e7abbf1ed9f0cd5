"""Where the bits go.

    python -m tools.measure.diagnose PICTURES [--model FILE] [--checkpoint FILE]

For each quality, over all pictures: the share of the file that each part takes, how far the probability tables are
from the best fixed tables for these very pictures, how far the file is from what the tables promise, what trimming and
tiles change, what the decoder's nonlinear branch adds to its linear one; and, of a checkpoint of tools/train/train.py,
what rounding the decoder to the grid costs. All from the shipped way of encoding; the figures of pictures are means.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tools.measure.bdrate import bd_rate
from tools.train.checkpoint import load_checkpoint
from tools.train.coded import symbols_of
from tools.train.data import find_pictures, load, psnr
from tools.train.loss import evaluate
from vaecodec.bitstream.container import parse
from vaecodec.codec import Codec
from vaecodec.codec.latents import Symbols
from vaecodec.model.native import Networks
from vaecodec.pictures.picture import Picture

GROUPS = {2: ("low", "high"), 3: ("low", "middle", "high")}  # of channels, by how many there are
STEPS = 2 * max(GROUPS)  # of the context, at most
BANDS = 8  # of channels, each an eighth of M, by falling variance


@dataclass
class Account:
    """Bits of one quality, summed over pictures."""

    pixels: int = 0
    z: float = 0.0
    steps: NDArray = field(default_factory=lambda: np.zeros(STEPS))
    bands: NDArray = field(default_factory=lambda: np.zeros(BANDS))
    coded: NDArray = field(default_factory=lambda: np.zeros(STEPS))  # symbols
    nonzero: NDArray = field(default_factory=lambda: np.zeros(STEPS))
    counts: dict[tuple[int, int], int] = field(default_factory=dict)  # (table, value) -> how often
    table_bits: float = 0.0
    file_bits: int = 0
    section_bits: NDArray = field(default_factory=lambda: np.zeros(5))  # z, low, high, escapes, the rest of the file


def add_up(a: Account, symbols: Symbols) -> None:
    """What each step of y costs by the tables, by step and by band of channels."""
    channels = symbols.y_hat.shape[2]
    for k, (run, place) in enumerate(zip(symbols.runs[1:], symbols.places, strict=True)):
        step = k // 2  # a run of dependent symbols and one of others
        bits = run.tables.bits[run.table, run.tables.symbols(run.table, run.value)[0]].astype(np.float64)
        a.steps[step] += bits.sum()
        a.bands += np.bincount(place % channels * BANDS // channels, bits, BANDS)
        a.coded[step] += len(bits)
        a.nonzero[step] += np.count_nonzero(run.value)
        a.table_bits += bits.sum()
        pairs, n = np.unique(np.stack((run.table, run.value)), axis=1, return_counts=True)
        for key, count in zip(pairs.T.tolist(), n.tolist(), strict=True):
            a.counts[key[0], key[1]] = a.counts.get((key[0], key[1]), 0) + count


def ideal_bits(counts: dict[tuple[int, int], int]) -> float:
    """What the same symbols would cost with the best fixed table for each index: their empirical entropy."""
    totals: dict[int, int] = {}
    for (table, _), n in counts.items():
        totals[table] = totals.get(table, 0) + n
    return -sum(n * np.log2(n / totals[table]) for (table, _), n in counts.items())


def account_for(codec: Codec, pictures: Sequence[NDArray], quality: int) -> Account:
    a = Account()
    for x in pictures:
        a.pixels += x.shape[0] * x.shape[1]
        data = codec.encode(Picture(x), quality / 10)
        a.file_bits += 8 * len(data)
        tiles = parse(data, max_pixels=None).unpacked()
        sections = np.array([[8 * len(s) for s in (*t.words, t.escapes)] for t in tiles]).sum(0)
        a.section_bits[:4] += sections
        a.section_bits[4] += 8 * len(data) - sections.sum()
        add_up(a, symbols_of(codec.networks, quality, x))
    return a


def curve(codec: Codec, pictures: Sequence[NDArray], qualities: Sequence[int], **options: Any) -> list:
    """Mean (bpp, dB) by quality; options go to `Codec.encode`."""
    points = []
    for quality in qualities:
        pairs = []
        for x in pictures:
            data = codec.encode(Picture(x), quality / 10, **options)
            pairs.append((8 * len(data) / (x.shape[0] * x.shape[1]), psnr(x, codec.decode(data).pixels)))
        points.append(tuple(np.mean(pairs, axis=0)))
    return points


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| ---: " * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def percentages(values: NDArray) -> list[str]:
    return [f"{100 * v / values.sum():.1f}" for v in values]


def report(codec: Codec, pictures: Sequence[NDArray], qualities: Sequence[int]) -> None:
    accounts = {q: account_for(codec, pictures, q) for q in qualities}
    print("Shares of the file in per cent:\n")
    head = ["quality", "bpp", "z", "y, low", "y, high", "escapes", "states, headers"]
    rows = [[f"{q / 10:g}", f"{a.file_bits / a.pixels:.4f}", *percentages(a.section_bits)] for q, a in accounts.items()]
    print(table(head, rows))
    print("\nShares of y in per cent by context step; in brackets of its coded symbols those that are not 0:\n")
    steps = [
        f"{group}, {phase} phase" for group in GROUPS[len(codec.weights.cfg.groups)] for phase in ("first", "second")
    ]
    rows = []
    for q, a in accounts.items():
        cells = list(zip(percentages(a.steps), a.nonzero, a.coded, strict=True))[: len(steps)]
        rows.append([f"{q / 10:g}", *(f"{p} ({100 * n / max(c, 1):.0f})" for p, n, c in cells)])
    print(table(["quality", *steps], rows))
    print("\nShares of y in per cent by channel, in eighths of M:\n")
    rows = [[f"{q / 10:g}", *percentages(a.bands)] for q, a in accounts.items()]
    print(table(["quality", *map(str, range(1, BANDS + 1))], rows))
    print("\nSymbols of y coded per pixel, and how far their tables are from the best fixed ones for these pictures:\n")
    rows = [
        [
            f"{q / 10:g}",
            f"{a.coded.sum() / a.pixels:.3f}",
            f"{100 * (a.table_bits / ideal_bits(a.counts) - 1):.2f} %",
            f"{100 * (a.section_bits[1:4].sum() / a.table_bits - 1):+.2f} %",
        ]
        for q, a in accounts.items()
    ]
    print(table(["quality", "symbols per pixel", "above ideal", "sections of y against the tables' sum"], rows))
    ablations(codec, pictures, qualities)


def grid_cost(checkpoint: Path, pictures: Sequence[NDArray], qualities: Sequence[int]) -> float:
    """BD-rate, in per cent and by estimated bits, of a checkpoint's decoder on the grid against itself in float."""
    model = load_checkpoint(checkpoint)
    curves = []
    for grid in (False, True):
        model.set_grid(grid)
        points = [[evaluate(model, torch.from_numpy(whole(x))[None], q) for x in pictures] for q in qualities]
        curves.append([tuple(np.mean(p, axis=0)) for p in points])
    return bd_rate(*curves)[0]


def whole(x: NDArray) -> NDArray:
    """x cut to multiples of 64 pixels."""
    h, w = (s // 64 * 64 for s in x.shape[:2])
    return x[:h, :w].copy()


def linear(codec: Codec) -> Codec:
    """The same without the nonlinear branch of g_s."""
    without = {name: np.zeros_like(codec.weights.tensors[name]) for name in ("g_s.leave.w", "g_s.leave.b")}
    other = copy.copy(codec)
    other.networks = Networks(replace(codec.weights, tensors=codec.weights.tensors | without))
    return other


def ablations(codec: Codec, pictures: Sequence[NDArray], qualities: Sequence[int]) -> None:
    """BD-rate of the codec with one thing changed, the pictures and qualities being the same."""
    base = curve(codec, pictures, qualities)
    rows = []

    def note(name: str, points: list) -> None:
        rows.append([name, f"{bd_rate(base, points)[0]:+.2f} %"])

    for side in (512, 256, 128):
        note(f"tiles of {side} pixels", curve(codec, pictures, qualities, tile=side))
    note("no rdoq (effort 1)", curve(codec, pictures, qualities, effort=1))
    note("g_s without its nonlinear branch", curve(linear(codec), pictures, qualities))
    print("\nBD-rate of the codec with one thing changed (PCHIP, RGB-PSNR, mean curves):\n")
    print(table(["change", "BD-rate"], rows))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path)
    p.add_argument("--model", type=Path)
    p.add_argument("--checkpoint", type=Path, help="of tools/train/train.py, for what the grid costs")
    p.add_argument("--qualities", default="50,200,400,600,800,950", help="0 to 1000, with commas between")
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args()
    codec = Codec(args.model, threads=args.threads)
    files = sorted(find_pictures(args.pictures, heldout=False) + find_pictures(args.pictures, heldout=True))
    print(f"# Where the bits go\n\n`tools/measure/diagnose.py` on {len(files)} pictures of {args.pictures.name}, model "
          f"{codec.weights.name} {codec.weights.hash.hex()}.\n")  # fmt: skip
    pictures, qualities = [load(f) for f in files], [int(q) for q in args.qualities.split(",")]
    report(codec, pictures, qualities)
    if args.checkpoint:
        cost = grid_cost(args.checkpoint, pictures, qualities)
        print(f"\nRounding the decoder to the grid: BD-rate {cost:+.2f} % (estimated bits, a checkpoint's weights).")


if __name__ == "__main__":
    main()
