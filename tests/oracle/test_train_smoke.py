"""From a folder of pictures to a model that decodes, by the two documented commands."""

from __future__ import annotations

import csv
import hashlib
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vaecodec.codec import Codec
from vaecodec.pictures.picture import Picture

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "C=16,M=48,N=8,D=16,low=8,blocks_a=1,blocks_s=1,blocks_c=1"
INTERVAL = 10


def smooth_picture(rng: np.random.Generator, side: int) -> np.ndarray:
    """(side, side, 3) uint8: a few waves of random colour, and a little noise."""
    i, j = np.mgrid[:side, :side] / side * 2 * np.pi
    waves = [rng.normal(0, 25, 3) * np.sin(rng.normal() * 3 * i + rng.normal() * 3 * j)[..., None] for _ in range(6)]
    return np.clip(sum(waves, start=rng.normal(128, 3, (side, side, 3))), 0, 255).astype(np.uint8)


def tool(name: str, *args: str | Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", f"tools.train.{name}", *args], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


def train(folder: Path, *args: str) -> tuple[int, list[dict[str, str]]]:
    """Call the trainer (again); returns the step of its checkpoint and all of its log."""
    options = ["--config", CONFIG, "--size", "64", "--batch", "2", "--interval", str(INTERVAL), "--device", "cpu"]
    tool("train", folder / "pictures", folder / "run", "--minutes", "0.8", *options, *args)
    checkpoint = torch.load(folder / "run" / "checkpoint.pt", weights_only=True)
    with (folder / "run" / "log.csv").open(newline="") as handle:
        return checkpoint["step"], list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six pictures to train on."""
    path = tmp_path_factory.mktemp("training")
    (path / "pictures").mkdir()
    rng = np.random.default_rng(1)
    for n in range(6):
        Image.fromarray(smooth_picture(rng, 160)).save(path / "pictures" / f"{n}.png")
    return path


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """The folder with a finished run in it: stopped half-way, then resumed to the end of its budget."""
    stopped, before = train(folder, "--stop-after", "0.4")
    assert stopped >= INTERVAL
    assert all(row["grid"] == "0" for row in before)

    finished, log = train(folder)
    assert log[: len(before)] == before
    new = [int(row["step"]) for row in log[len(before) :]]
    assert new == sorted(set(new)) and new[-1] == finished
    assert stopped < new[0] <= stopped + INTERVAL, "training did not go on from the step where it stopped"
    assert log[-1]["grid"] == "1", "the decoder side must end on the grid"
    assert all(math.isfinite(float(row[name])) for row in log for name in ("loss", "bpp", "psnr", "lr"))
    return folder


def test_a_finished_run_is_left_alone(trained: Path) -> None:
    step, log = train(trained)
    assert step == int(log[-1]["step"])


def test_exported_model_codes_a_picture(trained: Path) -> None:
    model = trained / "smoke.safetensors"
    options = ["--name", "smoke", "--pictures", trained / "pictures", "--size", "64", "--batches", "4"]
    tool("export_model", trained / "run" / "checkpoint.pt", model, *options)
    pixels = smooth_picture(np.random.default_rng(2), 150)[:, :97]
    data = Codec(model=model).encode(Picture(pixels=pixels), 75)
    decoded = [Codec(model=model, threads=n).decode(data).pixels for n in (1, 2)]
    assert decoded[0].shape == pixels.shape and decoded[0].dtype == np.uint8
    assert len({hashlib.sha256(d.tobytes()).hexdigest() for d in decoded}) == 1
    mse = np.mean((decoded[0].astype(float) - pixels) ** 2)
    assert mse < 100, "28 dB: what the block transform alone reaches, with no training"
    assert len(data) < pixels.size / 4
