"""tools/train/screening.py: jobs resume, are done once, and leave a row each."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.sample_pictures import picture
from tools.train import screening, train
from tools.train.candidates import ReluBlock
from tools.train.checkpoint import load_checkpoint
from tools.train.data import Crops, heldout_names, jpeg
from tools.train.muon import Muon
from tools.train.ssimulacra2_loss import distance
from vaecodec.metrics.ssimulacra2 import ssimulacra2

TINY = "C=8,M=16,N=4,D=8,low=4,blocks_a=1,blocks_s=2,blocks_c=1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures to train on and a held-out one."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(picture(128, 128, 3)).save(pictures / name)
    held = picture(384, 384, 3)
    held[::2, ::3] //= 2
    Image.fromarray(held).save(pictures / sorted(heldout_names())[0], lossless=True)
    return pictures


def screen(monkeypatch: pytest.MonkeyPatch, folder: Path, out: Path, *jobs: str) -> list[dict[str, str]]:
    options = ["--steps", "4", "--batch", "2", "--size", "64", "--save-steps", "2", "--config", TINY]
    monkeypatch.setattr(sys, "argv", ["screening.py", str(folder), str(out), "--jobs", *jobs, *options])
    screening.main()
    with (out / "summary.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_rows(monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path) -> None:
    rows = screen(monkeypatch, folder, tmp_path / "out", "base:1", "relu+ssimulacra2:2")
    assert [(r["candidate"], r["seed"], r["steps"]) for r in rows] == [
        ("base", "1", "4"),
        ("relu+ssimulacra2", "2", "4"),
    ]
    assert all(np.isfinite(float(r[f"{m}_bd_rate"])) for r in rows for m in ("psnr", "ms_ssim", "ssimulacra2"))
    assert rows[0]["pixels"] == str(4 * 2 * 64 * 64)
    calls: list[str] = []
    monkeypatch.setattr(screening, "screen", lambda job, *_: calls.append(job))
    assert screen(monkeypatch, folder, tmp_path / "out", "base:1") == rows
    assert calls == []


def run_of(folder: Path, out: Path, **changes: object) -> train.Run:
    options = ["--steps", "4", "--batch", "2", "--size", "64", "--config", TINY, "--device", "cpu"]
    args = train.parser().parse_args([str(folder), str(out), *options])
    for name, value in changes.items():
        setattr(args, name, value)
    out.mkdir(exist_ok=True)
    return train.Run(args, Crops(folder, 64, 1))


def test_muon_follows_adam(folder: Path, tmp_path: Path) -> None:
    """Adam for the first two steps; a checkpoint of either half can be gone on from."""

    def muon(run: train.Run) -> bool:
        return any(isinstance(o, Muon) for o in run.optimisers)

    loss_of = train.Loss(torch.device("cpu"))
    run = run_of(folder, tmp_path / "run", adam=2)
    seen = []
    for step in range(4):
        seen.append(muon(run))
        run.train_step(loss_of)
        run.save()
        resumed = run_of(folder, tmp_path / "run", adam=2)
        assert (resumed.step, muon(resumed)) == (step + 1, muon(run))
    assert seen == [False, False, True, True]
    assert not muon(run_of(folder, tmp_path / "other", adam=float("inf")))
    assert muon(run_of(folder, tmp_path / "third"))


def test_checkpoints_know_their_candidate(folder: Path, tmp_path: Path) -> None:
    run = run_of(folder, tmp_path / "run", candidate="relu")
    run.save()
    model = load_checkpoint(run.path)
    assert isinstance(model.g_s.blocks[0], ReluBlock)
    assert model.state_dict().keys() == run.ema.keys()


def test_steps_are_the_budget(folder: Path, tmp_path: Path) -> None:
    run = run_of(folder, tmp_path / "run", save_steps=3)
    saves: list[int] = []

    def save() -> None:
        saves.append(run.step)
        run.path.parent.mkdir(exist_ok=True)
        run.path.touch()

    run.save = save  # type: ignore[method-assign]
    train.fit(run, train.Loss(torch.device("cpu")), lambda *_: -1.0)  # type: ignore[arg-type]
    assert (run.step, run.progress) == (4, 1.0)
    assert saves[0] == 3 and saves[-1] == 4


def score(total: float) -> float:
    """SSIMULACRA2 of its weighted sum."""
    error = total * 0.9562382616834844
    error = 2.326765642916932 * error - 0.020884521182843837 * error**2 + 6.248496625763138e-05 * error**3
    return 100 - 10 * error**0.6276336467831387


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_distance_is_that_of_ssimulacra2(clean: np.ndarray, quality: int) -> None:
    a = np.tile(clean, (2, 2, 1))[:256, :256]
    _, b = jpeg(a, quality)
    x, x_hat = (torch.tensor(p)[None].float() for p in (a, b))
    assert 100 - score(distance(x, x_hat).item()) == pytest.approx(100 - ssimulacra2(a, b), rel=0.03)


def test_distance_has_a_slope_everywhere() -> None:
    """Equal pictures, black ones, values out of range: finite, and a step along it comes nearer."""
    x = torch.from_numpy(picture(64, 64, 3))[None].float()
    for start in (x, torch.zeros_like(x), x * 3 - 200):
        x_hat = start.clone().requires_grad_()
        distance(x, x_hat).sum().backward()
        assert x_hat.grad is not None and torch.isfinite(x_hat.grad).all()
    assert distance(x, x).item() == pytest.approx(0, abs=1e-3)
    x_hat = (x + 20 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))).requires_grad_()
    before = distance(x, x_hat)
    before.sum().backward()
    assert x_hat.grad is not None
    assert distance(x, x_hat - 5 * x_hat.grad.sign()) < before
