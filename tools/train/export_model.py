"""Turn a checkpoint into a model file: python -m tools.train.export_model CHECKPOINT OUT.safetensors --pictures FOLDER

Puts the decoder side on the grid, makes the integer probability tables (from the statistics of the
pictures' training crops, over the trained prior), and proves that no layer can overflow; loading the
result repeats the proof. Runs in the `train` environment: compressai quantises the tables.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from compressai._CXX import pmf_to_quantized_cdf
from numpy.typing import NDArray

from tools.train.checkpoint import load_checkpoint
from tools.train.coded import symbols_of
from tools.train.data import Crops
from vaecodec.bitstream.header import QUALITY_MAX
from vaecodec.entropy.rans import PRECISION
from vaecodec.model import trained, weights
from vaecodec.model.architecture import ANCHOR_STEP, ANCHORS, INDEX_ONE, MEAN_ONE, TABLES, Z_MAX
from vaecodec.model.likelihood import index_scale
from vaecodec.model.native import Networks
from vaecodec.model.networks import Model

Y_REACH = 126  # |r| beyond is an escape: a table has up to 256 symbols, and begins at an even value
HALF = 13  # half a spacing of dependent quantisers, in 1/16 of a step (bitstream_spec.md, section 8)
ROUNDS = 2  # of statistics
PRIOR_COUNT = 300.0  # how many observations the trained prior weighs


def logistic_pmf(values: NDArray, location: NDArray, scale: NDArray) -> NDArray:
    """(n, v) probability of the unit interval around each value."""
    upper = (values[None] + 0.5 - location[:, None]) / scale[:, None]
    lower = (values[None] - 0.5 - location[:, None]) / scale[:, None]
    # From the nearer tail, or large arguments cancel: both sides are mirrored to the negative half.
    flip = np.where(values[None] > location[:, None], -1.0, 1.0)
    a, b = upper * flip, lower * flip
    return np.abs(1 / (1 + np.exp(-np.clip(a, -500, 500))) - 1 / (1 + np.exp(-np.clip(b, -500, 500))))


def make_tables(low: NDArray, pmfs: list[NDArray]) -> dict[str, NDArray]:
    """Integer tables of PMFs whose last entry is the escape; frequencies stored less one."""
    size = np.array([len(p) for p in pmfs])
    frequency = np.zeros((len(pmfs), size.max()), np.int64)
    for row, pmf in zip(frequency, pmfs, strict=True):
        row[: len(pmf)] = np.diff(pmf_to_quantized_cdf((pmf / pmf.sum()).tolist(), PRECISION))
    stored = np.where(frequency > 0, frequency - 1, 0).astype(np.uint16)
    return {"low": low.astype(np.int16), "size": size.astype(np.int16), "frequency": stored}


def statistics(loaded: weights.Weights, crops: Crops, batches: int) -> tuple[NDArray, NDArray]:
    """How often the encoder sends each value: |r| by table (2 TABLES, Y_REACH + 2), z by anchor and channel
    (ANCHORS, N, 2 Z_MAX + 1)."""
    networks = Networks(loaded)
    y_count = np.zeros((2 * TABLES, Y_REACH + 2))
    z_count = np.zeros((ANCHORS, loaded.cfg.N, 2 * Z_MAX + 1))
    for i in range(batches):
        for q in range(i % 63, QUALITY_MAX + 1, 63):
            anchor = (q + ANCHOR_STEP // 2) // ANCHOR_STEP
            z, *runs = symbols_of(networks, q, crops.batch(1)[0].numpy()).runs
            np.add.at(z_count[anchor], (z.table, z.value + Z_MAX), 1)
            for run in runs:
                np.add.at(y_count, (run.table, np.minimum(np.abs(run.value), Y_REACH + 1)), 1)
    return y_count, z_count


def y_prior(dependent: int) -> NDArray:
    """(2 TABLES, 2 Y_REACH + 1) probability of each value by the trained prior, the tables of quantiser 1 last."""
    values = np.arange(-Y_REACH, Y_REACH + 1)
    scales = index_scale(torch.arange(TABLES) * INDEX_ONE).numpy().astype(np.float64)
    zeros = np.zeros(TABLES)
    plain = logistic_pmf(values, zeros, scales)
    spacing = 2 * HALF / MEAN_ONE
    even = logistic_pmf(values, zeros, scales / spacing)
    # Quantiser 1 has 0, +-1/2, +-3/2, ...: between 0 and 1/2 the border is at 1/4, behind k at k.
    below = 1 / (1 + np.exp(np.minimum(np.append(0.25, values[Y_REACH + 1 :]) * spacing / scales[:, None], 500)))
    tail = below[:, :-1] - below[:, 1:]
    odd = np.concatenate((tail[:, ::-1], 1 - 2 * below[:, :1], tail), axis=1)
    return np.concatenate((plain[:dependent], even[dependent:], odd))


def y_tables(count: NDArray, dependent: int) -> dict[str, NDArray]:
    """Tables of r, symmetric, by scale index, the tables of quantiser 1 last."""
    pmfs, low = [], []
    for prior, n in zip(y_prior(dependent), count, strict=True):
        half = n[1 : Y_REACH + 1] / 2
        seen = np.concatenate((half[::-1], n[:1], half))
        p = (seen + PRIOR_COUNT * prior) / (n.sum() + PRIOR_COUNT)
        escape = (n[-1] + PRIOR_COUNT * (1 - prior.sum())) / (n.sum() + PRIOR_COUNT)
        # A value rarer than an escape with its two bytes is better escaped.
        reach = max(1, int(np.flatnonzero(p > 2.0**-16).max(initial=Y_REACH + 1) - Y_REACH))
        reach += reach % 2  # so that a symbol's parity is its value's
        kept = p[Y_REACH - reach : Y_REACH + reach + 1]
        pmfs.append(np.append(kept, max(p.sum() - kept.sum() + escape, 1e-7)))
        low.append(-reach)
    return make_tables(np.array(low), pmfs)


def z_tables(model: Model, count: NDArray) -> dict[str, NDArray]:
    """Tables of z by quality anchor and channel."""
    values = np.arange(-Z_MAX, Z_MAX + 1)
    pmfs, low = [], []
    location = model.z_mean.detach().double().numpy()
    scale = model.z_log_scale.detach().double().exp().numpy()
    for a in range(ANCHORS):
        for prior, n in zip(logistic_pmf(values, location[a], scale[a]), count[a], strict=True):
            p = (n + PRIOR_COUNT * prior) / (n.sum() + PRIOR_COUNT * prior.sum())
            kept = np.flatnonzero(p > 2.0**-16)
            first, last = kept.min(), kept.max()
            inside = p[first : last + 1]
            pmfs.append(np.append(inside, max(1 - inside.sum(), 1e-7)))
            low.append(values[first])
    return make_tables(np.array(low), pmfs)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--name", default="base", help="model name, up to 8 printable characters (default: base)")
    p.add_argument("--pictures", type=Path, required=True, help="training pictures, for the statistics of the tables")
    p.add_argument("--batches", type=int, default=20, help="batches of 16 crops to take statistics from")
    p.add_argument("--size", type=int, default=256, help="side of the crops")
    p.add_argument("--skip", type=int, default=5, help="scale indices below are not coded")
    p.add_argument("--dependent", type=int, default=7, help="scale indices from here on are quantised dependently")
    args = p.parse_args()

    model = load_checkpoint(args.checkpoint).eval()
    model.set_grid(True)
    temporary = args.out.with_name(args.out.name + ".tmp")
    y_count, z_count = np.zeros((2 * TABLES, Y_REACH + 2)), np.zeros((ANCHORS, model.cfg.N, 2 * Z_MAX + 1))
    # The encoder's choices depend on the tables and the tables on its choices: begin with the trained prior.
    for _ in range(ROUNDS + 1):
        tables = {f"y.{k}": v for k, v in y_tables(y_count, args.dependent).items()}
        tables |= {f"z.{k}": v for k, v in z_tables(model, z_count).items()}
        temporary.write_bytes(trained.pack(args.name, model, args.skip, args.dependent, tables))
        loaded = weights.load(temporary)  # proves every layer again, from the file
        y_count, z_count = statistics(loaded, Crops(args.pictures, args.size, seed=7), args.batches)
    os.replace(temporary, args.out)
    print(f"{args.out}: model {loaded.name} {loaded.hash.hex()}, {args.out.stat().st_size / 1e6:.2f} MB")
    for i in range(args.skip, args.skip + 6):
        share, zero = y_count[i].sum() / y_count.sum(), y_count[i, 0] / max(1, y_count[i].sum())
        print(f"table {i}: {share:.2%} of symbols, {1 - zero:.3%} not 0")


if __name__ == "__main__":
    main()
