"""Give a model file its filters: python -m tools.train.fit_filter MODEL OUT --pictures PICTURES [--crops 4000]

The filter of each quality (vaecodec/model/loop_filter.py) takes away what g_s does wrong on pictures at large. Least
squares over random crops at random qualities, coded and decoded by the model itself: the coefficients at the nine
quality anchors, between which they are linear, that leave the least error, each crop's error counted against what it
was.
Of chroma alone: the luma coefficients that leave the least error smooth texture away (docs/log/experiments.md).
The networks and tables stay as they are; the hash, and so the model, is another.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tools.train.coded import symbols_of
from tools.train.data import Crops
from vaecodec.bitstream.header import QUALITY_MAX
from vaecodec.codec.filter_fit import Fit
from vaecodec.codec.soft_filter import as_planes
from vaecodec.model import trained, weights
from vaecodec.model.architecture import ANCHOR_STEP, ANCHORS, FILTER_NUMBERS, FILTER_ONE, PIXEL_ONE
from vaecodec.model.loop_filter import KINDS, check_defaults
from vaecodec.model.native import Networks

CHROMATIC = np.repeat([False, False, True, True], KINDS)
FLOOR = 0.3  # levels squared, added to a crop's error, so that the best do not outweigh all others
RIDGE = 1e-4  # of the mean of the Gram matrix's diagonal, or what it takes for filters that are not too strong


def hat(q: int) -> NDArray[np.float64]:
    """(ANCHORS,) how much of each anchor's coefficients is in those of quality q; see `QualityTable`."""
    k = min(q // ANCHOR_STEP, ANCHORS - 2)
    share = (q - k * ANCHOR_STEP) / ANCHOR_STEP
    out = np.zeros(ANCHORS)
    out[k], out[k + 1] = 1 - share, share
    return out


@torch.no_grad()
def fit(loaded: weights.Weights, crops: Crops, count: int) -> NDArray[np.int16]:
    """(ANCHORS, FILTER_NUMBERS) coefficients of the model's filters, from so many crops."""
    networks, model, rng = Networks(loaded), trained.exact(loaded), np.random.default_rng(0)
    n = ANCHORS * int(CHROMATIC.sum())
    gram: NDArray[np.float64] = np.zeros((n, n))
    slope: NDArray[np.float64] = np.zeros(n)
    for _ in range(count):
        q, pixels = int(rng.integers(QUALITY_MAX + 1)), crops.batch(1)[0]
        x, qs = pixels.float() - 128, torch.full((1,), q)
        y_hat = torch.from_numpy(symbols_of(networks, q, pixels.numpy()).y_hat)[None]
        x_hat = model.g_s(y_hat, qs, model.steps(qs))[0]
        one = Fit()
        one.add(as_planes(x_hat).numpy().astype(np.int16), x.numpy().astype(np.int16))
        its_gram, its_slope = one.normal()
        weight = 1 / (float((x_hat * (1 / PIXEL_ONE) - x).square().mean()) + FLOOR)
        share = hat(q)
        gram += np.kron(np.outer(share, share), its_gram[CHROMATIC][:, CHROMATIC] * weight)
        slope += np.kron(share, its_slope[CHROMATIC] * weight)
    ridge = RIDGE * np.trace(gram) / len(gram)
    while True:
        found = np.linalg.solve(gram + ridge * np.eye(n), slope).reshape(ANCHORS, -1)
        table = np.zeros((ANCHORS, FILTER_NUMBERS), np.int16)
        table[:, CHROMATIC] = np.rint(found)
        try:
            check_defaults(table.astype(np.int64))
        except ValueError:
            ridge *= 4
        else:
            return table


def with_filters(path: Path, out: Path, table: NDArray[np.int16]) -> str:
    """Write the model of a file with another table of filters; returns its hash."""
    metadata, tensors = weights.read(path)
    tensors["filter.t"] = table
    metadata["hash"] = weights.model_hash(metadata["config"], tensors).hex()
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, out, metadata)
    weights.load(out)
    return metadata["hash"]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--pictures", type=Path, required=True, help="training pictures")
    p.add_argument("--crops", type=int, default=4000)
    p.add_argument("--size", type=int, default=256, help="side of the crops")
    args = p.parse_args()
    table = fit(weights.load(args.model), Crops(args.pictures, args.size, seed=11), args.crops)
    print(f"{args.out}: model {with_filters(args.model, args.out, table)}")
    print(f"largest coefficient {np.abs(table).max() / FILTER_ONE:.2f}; sums {np.abs(table).sum(1).tolist()}")


if __name__ == "__main__":
    main()
