"""The analysis that was trained on noise: its file, what it is worth, and that it can be trained."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import VECTORS
from PIL import Image

from tests.sample_pictures import close, noisy
from tools.train.data import load, psnr
from tools.train.fit_filter import with_filters
from vaecodec.codec import Codec
from vaecodec.errors import UnsupportedError
from vaecodec.model import weights
from vaecodec.model.architecture import ANCHORS, FILTER_NUMBERS
from vaecodec.pictures.picture import Picture
from vaecodec.restoration import cleaner
from vaecodec.restoration.denoiser import SHIPPED, Denoiser, pack
from vaecodec.restoration.network import DenoisingAnalysis, noise_index
from vaecodec.restoration.prior import Prior
from vaecodec.restoration.recipes import Denoise, Models
from vaecodec.restoration.solver import denoise

ROOT = Path(__file__).resolve().parents[2]
KODAK = ROOT / "tests" / "data" / "kodim23.png"


def test_the_shipped_one_is_for_the_shipped_model(models: Models) -> None:
    """Who ships another model must train its denoiser too: tools/train/train_denoiser.py."""
    assert isinstance(models.denoiser, Denoiser)


def test_a_model_without_one_has_its_prior(small: Codec) -> None:
    assert isinstance(Models(small.weights).denoiser, Prior)


@pytest.mark.parametrize("sigma", [8, 15, 25, 50])
def test_it_is_better_than_the_prior(models: Models, clean: np.ndarray, sigma: float) -> None:
    x = noisy(clean, sigma).astype(np.float32)
    fast, usual = (denoise(models.denoiser, x, sigma, count=count) for count in (1, None))
    assert close(usual, clean) > close(fast, clean) > close(x, clean) + 5
    assert close(usual, clean) > close(denoise(models.prior, x, sigma, count=2), clean)


@pytest.mark.parametrize("channels", [1, 2])
def test_grey(models: Models, clean: np.ndarray, channels: int) -> None:
    grey = np.asarray(Image.fromarray(clean).convert("L"))[..., None]
    spoilt = np.concatenate((noisy(grey, 20), np.full_like(grey, 90)), axis=2)[..., :channels]
    done, _ = Denoise(20).apply(models, Picture(spoilt))
    assert psnr(done.pixels[..., :1], grey) > psnr(spoilt[..., :1], grey) + 7
    np.testing.assert_array_equal(done.pixels[..., 1:], spoilt[..., 1:])


def test_windows_do_not_show(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    x = noisy(load(KODAK)[:200, :330], 20).astype(np.float32)
    whole = models.denoiser.clean(x, 20)
    monkeypatch.setattr(cleaner, "WINDOW", 128)
    assert np.abs(models.denoiser.clean(x, 20) - whole).mean() < 0.3, "its blocks see a little farther than the margin"


def test_noise_beyond_the_scale_is_its_end() -> None:
    assert noise_index(torch.tensor([0.0, 100.0, 1e6])).tolist() == [0, 1000, 1000]


def test_unusable_files(small: Codec, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="none for model small"):
        Denoiser(small.weights)
    for name, data, what in (
        ("missing", None, "no such file"),
        ("cut", SHIPPED.read_bytes()[:-5], "cut off"),
        ("model", weights.DEFAULT.read_bytes(), "none for model small"),
        (
            "other",
            pack(DenoisingAnalysis(weights.load().cfg, 3), small.weights.hash),
            "tensor shortcut is not",
        ),
    ):
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(UnsupportedError, match=what):
            Denoiser(small.weights, path=path)


def test_training(tmp_path: Path) -> None:
    """Trained for the small model, resumed, exported and used."""
    (tmp_path / "pictures").mkdir()
    shutil.copy(KODAK, tmp_path / "pictures" / "a.png")
    model, out = VECTORS / "small.safetensors", tmp_path / "denoiser.safetensors"

    def tool(name: str, *arguments: object) -> str:
        command = [sys.executable, "-m", f"tools.train.{name}", *arguments]
        return subprocess.run([str(a) for a in command], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    options = ("--model", model, "--batch", 2, "--size", 64, "--eval-minutes", 0)
    for minutes in (0.05, 0.1):
        printed = tool("train_denoiser", tmp_path / "pictures", tmp_path, *options, "--minutes", minutes)
    assert "step" in printed and (tmp_path / "denoiser.pt").exists()
    tool("export_denoiser", tmp_path / "denoiser.pt", out, "--model", model)
    trained = Denoiser(weights.load(model), path=out)
    assert trained.clean(load(KODAK)[:64, :64].astype(np.float32), 20).shape == (64, 64, 3)

    other, bound = tmp_path / "other.safetensors", tmp_path / "bound.safetensors"  # a model with other filters
    with_filters(model, other, np.ones((ANCHORS, FILTER_NUMBERS), np.int16))
    with pytest.raises(UnsupportedError):
        Denoiser(weights.load(other), path=out)
    tool("export_denoiser", out, bound, "--model", other)
    for name, value in Denoiser(weights.load(other), path=bound).analysis.state_dict().items():
        assert torch.equal(value, trained.analysis.state_dict()[name])
