"""Train g_s alone, on what the encoder sends by default: python -m tools.train.synthesis PICTURES OUT --init MODEL

The encoder of MODEL (a model file) codes crops once, and leaves their pixels and y_hat in OUT. So g_s learns to decode
the symbols of the trellis and of errors weighed for the eye, of which the loss of train.py knows nothing. A filter is
fitted to each crop, as the encoder does it, so that g_s does not learn what filters do. Nothing else moves, and files
keep their size, but for the filters' bits. The last 30 % of the run are on the grid. Writes OUT/checkpoint.pt for
export_model.py, and says how many decibels held-out pictures have won.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from tools.train import part
from tools.train.checkpoint import load_any, load_part
from tools.train.coded import symbols_of
from tools.train.data import Crops, psnr
from tools.train.train import EVAL_QUALITIES, HeldOut
from vaecodec.codec.filter_fit import COLOURS
from vaecodec.codec.soft_filter import both_ways, differences, interior
from vaecodec.metrics.ms_ssim import dissimilarity
from vaecodec.model import weights
from vaecodec.model.architecture import PIXEL_ONE
from vaecodec.model.loop_filter import CHROMA, CLIP, LUMA, REACH, SAMPLE_ONE, Offsets
from vaecodec.model.native import Networks
from vaecodec.model.networks import Model

TRAINED = ("g_s.",)
STRUCTURE = 0.15  # share of 1 - MS-SSIM in the distortion, both in decibels: all qualities count alike
FLOOR = 0.2, 1e-4  # what is added to an error and to 1 - MS-SSIM before
GRID_FROM = 0.7
RIDGE = 1e-3  # of the mean of the Gram matrix's diagonal


def filtered(x_hat: Tensor, x: Tensor) -> Tensor:
    """x_hat (B,H,W,3) in levels, each picture by the filter that brings it nearest to x: as `filter_fit`, in floats."""
    r, g, b = x_hat.unbind(-1)
    planes = pad(torch.stack((r + 2 * g + b, r - g, b - g), 1), (REACH,) * 4, mode="replicate")
    seen = [
        responses(plane, offsets, bound / SAMPLE_ONE)
        for plane, offsets, bound in zip(planes.unbind(1), (LUMA, CHROMA, CHROMA), (4 * CLIP, CLIP, CLIP), strict=True)
    ]
    light, colour = best([s.detach() for s in seen], (x - x_hat).detach())
    y, cr, cb = (
        interior(plane) + torch.einsum("bk,bkhw->bhw", c, s)
        for plane, c, s in zip(planes.unbind(1), (light, colour, colour), seen, strict=True)
    )
    g = (y - cr - cb) / 4
    return torch.stack((g + cr, g, g + cb), -1)


def responses(planes: Tensor, offsets: Offsets, bound: float) -> Tensor:
    """What each coefficient of planes (B, h + 6, w + 6) is multiplied by: (B, n, h, w), plain differences first."""
    plain = [differences(planes, offset) for offset in offsets]
    kinds = [*plain, *(u.clamp(-bound, bound) for u in plain)]
    return torch.stack([both_ways(u, offset) for u, offset in zip(kinds, (*offsets, *offsets), strict=True)], 1)


def best(seen: Sequence[Tensor], error: Tensor) -> Sequence[Tensor]:
    """Coefficients of luma and chroma (B, n) that leave the least of an error (B,H,W,3), by every second row.

    seen: `responses` of luma and of both planes of chroma.
    """
    light, first, second = (s[:, :, ::2].flatten(2) for s in seen)
    gram = slope = torch.zeros(())
    for (a, b), wanted in zip(COLOURS, error[:, ::2].flatten(1, 2).unbind(-1), strict=True):
        moved = torch.cat((light, a * first + b * second), 1) / 4
        gram = gram + moved @ moved.mT
        slope = slope + moved @ wanted[..., None]
    ridge = RIDGE * gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(gram.shape[1])
    found = torch.linalg.solve((gram + ridge).double(), slope.double()).float()[..., 0]
    return found.split([light.shape[1], first.shape[1]], 1)


class Sent:
    """Crops and what the encoder of a model sends of them: pixels x, y_hat, qualities."""

    def __init__(self, model: weights.Weights, crops: Crops, count: int, folder: Path) -> None:
        networks = Networks(model)

        def one(q: int) -> tuple[NDArray, ...]:
            x = crops.batch(1)[0].numpy()
            return x, symbols_of(networks, q, x).y_hat

        self.examples = part.Examples.make(folder, "xy", count, crops.rng, one)

    def batch(self, n: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """x (n,H,W,3) and y_hat (n,h,w,M) as floats, q."""
        x, y_hat, q = self.examples.draw(n, rng)
        return tuple(map(torch.from_numpy, (x.astype(np.float32), y_hat.astype(np.float32), q)))


def decoded(model: Model, x: Tensor, y_hat: Tensor, q: Tensor) -> Tensor:
    """x_hat of y_hat, by the filters that suit x, in levels 0 to 255, not rounded."""
    x_hat = model.g_s(y_hat, q, model.steps(q).detach()) * (1 / PIXEL_ONE)
    with torch.autocast("cpu", enabled=False):
        return filtered(x_hat.float() + 128, x)


def loss_of(model: Model, x: Tensor, y_hat: Tensor, q: Tensor) -> Tensor:
    """Mean of the logarithms of the error and of 1 - MS-SSIM."""
    x_hat = decoded(model, x, y_hat, q)
    with torch.autocast("cpu", enabled=False):  # bfloat16 has too few digits for variances
        mse, unlike = (x_hat - x).square().mean((1, 2, 3)) + FLOOR[0], dissimilarity(x, x_hat) + FLOOR[1]
        return ((1 - STRUCTURE) * mse.log() + STRUCTURE * unlike.log()).mean()


class Judge:
    """Decibels on pictures that a model has coded, by quality, against that model's own."""

    def __init__(self, model: weights.Weights, pictures: Sequence[NDArray[np.uint8]]) -> None:
        networks = Networks(model)
        qualities = EVAL_QUALITIES if pictures else ()
        self.coded = {q: [(x, symbols_of(networks, q, x).y_hat) for x in pictures] for q in qualities}
        self.before: dict[int, float] = {}

    @torch.no_grad()
    def decibels(self, model: Model, quality: int) -> float:
        found = []
        for x, y_hat in self.coded[quality]:
            a, b = (torch.from_numpy(array[None].astype(np.float32)) for array in (x, y_hat))
            x_hat = decoded(model, a, b, torch.tensor([quality]))[0].round().clamp(0, 255)
            found.append(psnr(x, x_hat.numpy()))
        return float(np.mean(found))

    def __call__(self, model: Model) -> str:
        if not self.coded:
            return "nothing held out"
        model.set_grid(True)
        now = {q: self.decibels(model, q) for q in self.coded}
        self.before = self.before or now
        return "held-out " + "  ".join(f"{now[q] - self.before[q]:+.4f}" for q in now) + " dB"


def main() -> None:
    args = part.parser(__doc__).parse_args()
    torch.manual_seed(args.seed)
    shipped = weights.load(args.init)
    sent = Sent(shipped, Crops(args.pictures, args.size, args.seed), args.crops, args.out / "sent")
    judge = Judge(shipped, HeldOut(args.pictures, torch.device("cpu")).pictures)
    judge(load_any(args.init))
    model = load_any(args.init)
    if args.go_on:
        load_part(model, args.go_on, TRAINED)
    part.train(model, TRAINED, sent.batch, loss_of, args, judge, GRID_FROM)


if __name__ == "__main__":
    main()
