"""Train the entropy networks alone, on fixed latents: python -m tools.train.entropy PICTURES OUT --init MODEL

h_s, the context steps and the biases of the index learn from the latents of crops, which the encoder of MODEL (a model
file) makes once and leaves in OUT. g_a and g_s have no part in it, so that a step is far less work than one of
train.py. The loss is that of settling (loss.py), with the error of y_hat in place of the picture's, and symbols chosen
by the weights of the default encoder (tuning.py). Writes OUT/checkpoint.pt for export_model.py, and says the estimate
of train.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tools.train import part
from tools.train.checkpoint import load_any, load_part
from tools.train.data import Crops
from tools.train.grow import with_third_group
from tools.train.loss import Residuals
from tools.train.train import HeldOut
from vaecodec.bitstream.header import CELL
from vaecodec.codec.analysis import Analysis
from vaecodec.codec.defaults import RDOQ_WEIGHT
from vaecodec.codec.latents import step_lambda
from vaecodec.codec.team import Team
from vaecodec.codec.tuning import worth_of
from vaecodec.model import weights
from vaecodec.model.architecture import MEAN_ONE, Z_MAX, quality_lambda
from vaecodec.model.likelihood import index_scale, logistic_bits
from vaecodec.model.native import Networks
from vaecodec.model.networks import Model, z_features

TRAINED = ("h_s.", "context.", "index_bias.")
FINE = 64  # the integer that stands for a quantiser step in what is stored of y


class Latents:
    """Latents of crops, as the encoder of a model makes them: y in 1/64 step, z, qualities."""

    def __init__(self, model: weights.Weights, crops: Crops, count: int, folder: Path) -> None:
        networks, side = Networks(model), crops.size // CELL

        def one(q: int) -> tuple[NDArray, ...]:
            seen = Analysis(networks, q, crops.batch(1)[0].numpy(), 1).band(0, side, Team(1, None))
            y, z = np.rint(seen.y * FINE).clip(-32767, 32767), np.rint(seen.z).clip(-Z_MAX, Z_MAX)
            return y.astype(np.int16), z.astype(np.int8)

        self.model, self.examples = model, part.Examples.make(folder, "yz", count, crops.rng, one)

    def batch(self, n: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """y in steps, z, q, what errors of a step cost (n, 1, 1, M), and what they count for (n, h, w, M)."""
        y, z, q = self.examples.draw(n, rng)
        y = y.astype(np.float32) / FINE
        cost = [step_lambda(self.model, int(k)) for k in q]
        weighed = [worth_of(self.model, int(k), a)(c) for k, a, c in zip(q, y, cost, strict=True)]
        arrays = y, z.astype(np.float32), q, np.stack(cost)[:, None, None], np.stack(weighed)
        return tuple(map(torch.from_numpy, arrays))


def loss_of(model: Model, y: Tensor, z: Tensor, q: Tensor, cost: Tensor, weighed: Tensor) -> Tensor:
    """Mean of (bits + what the error of y_hat costs) a pixel, weighed as in `Loss`."""
    residuals = Residuals(model, y, weighed * RDOQ_WEIGHT, settle=True)
    y_hat = model.contexts(z_features(model, z, q, *y.shape[1:3]), q, residuals)
    d, index = residuals.joined()
    spent = logistic_bits(d, index_scale(index)).sum((1, 2, 3))
    spent = spent + (cost * (y_hat * (1 / MEAN_ONE) - y).square()).sum((1, 2, 3))
    return (spent / (y.shape[1] * y.shape[2] * CELL**2) / (0.3 + 3 * quality_lambda(q).sqrt())).mean()


def main() -> None:
    p = part.parser(__doc__)
    p.add_argument("--mid", type=int, help="first give it a third group of channels, from here on")
    args = p.parse_args()
    torch.manual_seed(args.seed)
    crops = Crops(args.pictures, args.size, args.seed)
    latents = Latents(weights.load(args.init), crops, args.crops, args.out / "latents")
    model = load_any(args.init)
    model = with_third_group(model, args.mid) if args.mid else model
    if args.go_on:
        load_part(model, args.go_on, TRAINED)
    heldout = HeldOut(args.pictures, torch.device("cpu"))
    part.train(
        model, TRAINED, latents.batch, loss_of, args, lambda now: f"estimate {heldout(now, now.state_dict()):.2f} %"
    )


if __name__ == "__main__":
    main()
