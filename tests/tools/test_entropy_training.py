"""tools/train/entropy.py: entropy networks that learn from latents that stand still."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import VECTORS

from tools.train import entropy
from tools.train.checkpoint import load_any
from tools.train.data import Crops
from vaecodec.model import weights

SMALL = VECTORS / "small.safetensors"
PHOTO = Path(__file__).parents[1] / "data" / "kodim23.png"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    shutil.copy(PHOTO, folder)
    return folder


def test_the_latents_are_those_of_the_encoder(pictures: Path, tmp_path: Path) -> None:
    model = weights.load(SMALL)
    made = entropy.Latents(model, Crops(pictures, 64, seed=1), 5, tmp_path / "latents")
    again = entropy.Latents(model, Crops(pictures, 64, seed=2), 9, tmp_path / "latents")
    np.testing.assert_array_equal(made.examples.arrays[0], again.examples.arrays[0])  # made once
    y, z, q, cost, weighed = made.batch(5, np.random.default_rng(0))
    assert y.shape == weighed.shape == (5, 4, 4, model.cfg.M) and z.shape == (5, 1, 1, model.cfg.N)
    assert q.tolist() == sorted(made.examples.q.tolist()) and y.abs().max() > 1
    assert cost.shape == (5, 1, 1, model.cfg.M) and weighed.min() > 0


def test_bits_fall_and_nothing_else_moves(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"entropy {pictures} {tmp_path} --init {SMALL} --mid 12 --crops 12 --size 64 --steps 60 --lr 2e-3"
    monkeypatch.setattr("sys.argv", [*command.split(), "--interval", "30"])
    entropy.main()
    assert "step 60" in capsys.readouterr().out
    before, after = load_any(SMALL), load_any(tmp_path / "checkpoint.pt")
    grown = entropy.with_third_group(before, 12)
    latents = entropy.Latents(weights.load(SMALL), Crops(pictures, 64, seed=1), 12, tmp_path / "latents")
    batch = latents.batch(12, np.random.default_rng(0))
    with torch.no_grad():
        assert entropy.loss_of(after, *batch) < 0.95 * entropy.loss_of(grown, *batch)
    for name, value in after.state_dict().items():
        assert name.startswith(entropy.TRAINED) or torch.equal(value, before.state_dict()[name]), name
    monkeypatch.setattr("sys.argv", [*command.split(), "--go-on", str(tmp_path / "checkpoint.pt"), "--steps", "1"])
    entropy.main()
    with torch.no_grad():
        went_on = load_any(tmp_path / "checkpoint.pt")
        assert entropy.loss_of(went_on, *batch) == pytest.approx(float(entropy.loss_of(after, *batch)), rel=0.02)
