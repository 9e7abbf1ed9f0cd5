"""Compare candidates for the networks: python -m tools.train.screening PICTURES OUT --jobs base:1 relu:1 base:2 relu:2

Each job is a candidate (candidates.py) and a seed; "+ssimulacra2" in a name trains with that structure in the loss.
Jobs run one after another, for equal steps from the DCT start, in folders of their own below OUT; each leaves a
row in OUT/summary.csv. Called again, it goes on at the last checkpoint, and skips what has its row. Options besides
--jobs are those of tools/train/train.py. BD-rates are against JPEG, by estimated bits, mean curves over the centres of
held-out pictures. Multiply-accumulates are those of the decoder, and of the analysis (g_a and h_a).
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tools.measure.bdrate import bd_rate
from tools.measure.work import kmac_per_pixel
from tools.train import train
from tools.train.candidates import Candidate, candidate, fold
from tools.train.data import Crops, jpeg
from tools.train.loss import Loss, reconstruct
from tools.train.ranks import needs_one
from tools.train.ssimulacra2_loss import distance
from vaecodec.metrics.ms_ssim import dissimilarity
from vaecodec.metrics.scores import decibel, ms_ssim, psnr
from vaecodec.metrics.ssimulacra2 import ssimulacra2
from vaecodec.model.networks import Model

LOSS = "ssimulacra2"  # in a job's name: this structure in the loss, in place of MS-SSIM
FIELDS = (
    *("candidate", "seed", "steps", "size", "decoder_kmac", "analysis_kmac"),
    *("psnr_bd_rate", "ms_ssim_bd_rate", "ssimulacra2_bd_rate", "cpu_s_per_step", "pixels", "skipped"),
)
Scores = tuple[float, float, float]
Curves = list[list[tuple[float, float]]]  # of each metric


def scores(a: np.ndarray, b: np.ndarray) -> Scores:
    """PSNR and MS-SSIM in dB, SSIMULACRA2."""
    structure = ms_ssim(a, b)
    assert structure is not None
    return psnr(a, b), decibel(structure), ssimulacra2(a, b)


class Judge(train.HeldOut):
    """The same centres of held-out pictures by three metrics."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        super().__init__(folder, device)
        self.anchor = self.mean_curves(train.EVAL_JPEG, jpeg)

    def mean_curves(
        self, qualities: tuple[int, ...], code: Callable[[np.ndarray, int], tuple[float, np.ndarray]]
    ) -> Curves:
        points = []
        for quality in qualities:
            coded = [code(x, quality) for x in self.pictures]
            means = np.mean([scores(x, y) for x, (_, y) in zip(self.pictures, coded, strict=True)], axis=0)
            points.append((float(np.mean([bpp for bpp, _ in coded])), means))
        return [[(bpp, float(means[metric])) for bpp, means in points] for metric in range(3)]

    def bd_rates(self, model: Model) -> list[float]:
        """Per cent against JPEG, by each metric."""

        def code(x: np.ndarray, quality: int) -> tuple[float, np.ndarray]:
            bpp, pixels = reconstruct(model, torch.from_numpy(x)[None].to(self.device), quality)
            return bpp, pixels[0].byte().cpu().numpy()

        curves = self.mean_curves(train.EVAL_QUALITIES, code)
        return [bd_rate(anchor, curve)[0] for anchor, curve in zip(self.anchor, curves, strict=True)]


@torch.no_grad()
def work(model: Candidate, side: int = 256) -> tuple[float, float]:
    """kMAC per pixel of the decoder, and of g_a and h_a."""
    cfg, q = model.cfg, torch.tensor([500])
    x, z = torch.zeros(1, side, side, 3), torch.zeros(1, side // 64, side // 64, cfg.N)

    def decode() -> None:
        f, step = model.h_s(z, q), model.steps(q)
        if model.element_step is not None:
            step = step * model.element_step(f)

        def code(_i: int, mean: Tensor, _index: Tensor, _mask: Tensor) -> Tensor:
            return mean

        model.g_s(model.contexts(f, q, code), q, step)

    def analyse() -> None:
        model.h_a(model.g_a(x, q, model.steps(q)))

    return kmac_per_pixel(decode, side**2), kmac_per_pixel(analyse, side**2)


def screen(job: str, args: argparse.Namespace, crops: Crops, judge: Judge) -> dict[str, object]:
    """Train one job to its end, from its checkpoint if it has one; its row of the summary."""
    names, _, seed = job.partition(":")
    parts = [name for name in names.split("+") if name != LOSS]
    name = "+".join(parts) or "base"
    own = {"seed": int(seed), "out": args.out / f"{names}-{seed}-{args.steps}", "candidate": name}
    args = argparse.Namespace(**vars(args) | own)
    args.out.mkdir(parents=True, exist_ok=True)
    run = train.Run(args, crops)
    decoder, analysis = work(fold(candidate(name, run.model.cfg)))
    print(f"{job}: {decoder:.2f} kMAC/px to decode, {analysis:.2f} to analyse", flush=True)
    unlike = distance if LOSS in names.split("+") else dissimilarity
    begun, at = time.process_time(), run.step
    train.fit(run, Loss(run.device, args.compile, args.structure, unlike), judge)
    seconds = (time.process_time() - begun) / max(1, run.step - at)
    run.model.load_state_dict(run.ema)
    rates = [f"{rate:.2f}" for rate in judge.bd_rates(run.model)]
    pixels = run.step * args.batch * args.size**2
    row = (names, seed, run.step, args.size, f"{decoder:.2f}", f"{analysis:.2f}", *rates)
    return dict(zip(FIELDS, (*row, f"{seconds:.2f}", pixels, run.skipped), strict=True))


def main() -> None:
    p = train.parser()
    p.description = __doc__
    p.add_argument("--jobs", nargs="+", required=True, help="candidate:seed")
    p.set_defaults(steps=600, size=128, adam=float("inf"), interval=50, config="C=80,D=96,N=48,M=384", device="cpu")
    args = p.parse_args()
    needs_one("tools.train.screening")
    args.out.mkdir(parents=True, exist_ok=True)
    summary = args.out / "summary.csv"
    if not summary.exists():
        summary.write_text(",".join(FIELDS) + "\n")
    crops = Crops(args.pictures, args.size, 1)
    judge = Judge(args.pictures, torch.device(args.device))
    for job in args.jobs:
        with summary.open(newline="") as handle:
            done = {(row["candidate"], row["seed"], int(row["steps"])) for row in csv.DictReader(handle)}
        names, _, seed = job.partition(":")
        if (names, seed, args.steps) in done:
            continue
        row = screen(job, args, crops, judge)
        with summary.open("a", newline="") as handle:
            csv.DictWriter(handle, FIELDS).writerow(row)


if __name__ == "__main__":
    main()
