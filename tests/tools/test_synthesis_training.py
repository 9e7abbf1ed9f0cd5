"""tools/train/synthesis.py: g_s that learns to decode what the encoder sends by default."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import VECTORS

from tools.train import synthesis
from tools.train.checkpoint import load_any
from tools.train.coded import symbols_of
from tools.train.data import Crops, load
from vaecodec.codec.filter_fit import Fit
from vaecodec.codec.soft_filter import applied, as_planes
from vaecodec.model import weights
from vaecodec.model.architecture import FILTER_NUMBERS, PIXEL_ONE
from vaecodec.model.loop_filter import OUT_ONE, Filter
from vaecodec.model.native import Networks

SMALL = VECTORS / "small.safetensors"
PHOTO = Path(__file__).parents[1] / "data" / "kodim23.png"


def test_filters_are_those_of_the_encoder() -> None:
    """Up to its rounding, the cost of coefficients, and the rows it leaves out."""
    x = torch.from_numpy(load(PHOTO)[100:164, 300:364].astype(np.float32))
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 6, x.shape).astype(np.float32))
    x_hat = ((x + noise - 128) * PIXEL_ONE).round() / PIXEL_ONE
    fit, planes = Fit(), as_planes(x_hat * PIXEL_ONE)
    fit.add(planes.numpy().astype(np.int16), (x - 128).numpy().astype(np.int16))
    chosen = fit.best(1e6, Filter((0,) * FILTER_NUMBERS))
    assert chosen is not None
    exact = applied(chosen, planes).permute(1, 2, 0) / OUT_ONE + 128
    ours = synthesis.filtered(x_hat[None] + 128, x[None])[0]
    before, by_exact, by_ours = ((a - x).square().mean() for a in (x_hat + 128, exact, ours))
    assert by_exact < 0.9 * before
    assert by_ours == pytest.approx(float(by_exact), rel=0.02)


def test_the_error_falls_and_nothing_else_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    shutil.copy(PHOTO, pictures)
    command = f"synthesis {pictures} {tmp_path} --init {SMALL} --crops 12 --size 64 --steps 60 --lr 5e-3 --interval 30"
    monkeypatch.setattr("sys.argv", command.split())
    synthesis.main()
    printed = capsys.readouterr().out
    assert "step 60" in printed and "nan" not in printed
    before, after = load_any(SMALL), load_any(tmp_path / "checkpoint.pt")
    sent = synthesis.Sent(weights.load(SMALL), Crops(pictures, 64, seed=1), 12, tmp_path / "sent")
    batch = sent.batch(12, np.random.default_rng(0))
    with torch.no_grad():
        assert synthesis.loss_of(after, *batch) < synthesis.loss_of(before, *batch) - 0.01
    for name, value in after.state_dict().items():
        assert name.startswith(synthesis.TRAINED) or torch.equal(value, before.state_dict()[name]), name


def test_the_loss_is_the_same_in_bfloat16() -> None:
    """Variances of a bright, smooth picture have fewer digits than that has."""
    x = load(PHOTO)[100:228, 300:428] // 16 + 230
    y_hat = symbols_of(Networks(weights.load(SMALL)), 950, x).y_hat
    batch = (*(torch.from_numpy(a[None].astype(np.float32)) for a in (x, y_hat)), torch.tensor([950]))
    model = load_any(SMALL)
    with torch.no_grad():
        exact = synthesis.loss_of(model, *batch)
        with torch.autocast("cpu", torch.bfloat16):
            assert synthesis.loss_of(model, *batch) == pytest.approx(float(exact), abs=0.2)


def test_decibels_are_of_the_model_that_coded() -> None:
    model, x = weights.load(SMALL), load(PHOTO)[100:164, 300:364]
    judge = synthesis.Judge(model, [x])
    assert set(judge(load_any(SMALL)).split()) == {"held-out", "dB", "+0.0000"}
    worse = load_any(SMALL)
    with torch.no_grad():
        worse.g_s.leave.bias += 300
    assert "-" in judge(worse).removeprefix("held-out")
