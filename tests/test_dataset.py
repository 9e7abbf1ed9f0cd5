"""Arrays that are there already, and PyTorch's data loaders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import vaecodec
from tests.sample_pictures import picture
from vaecodec.dataset import VaecDataset
from vaecodec.errors import VaecError


def test_out() -> None:
    data = vaecodec.encode(picture(40, 50), 40)
    expected = vaecodec.decode(data)
    out = np.zeros((40, 50, 3), np.uint8)
    assert vaecodec.decode(data, out=out) is out
    np.testing.assert_array_equal(out, expected)
    planes = np.zeros((3, 40, 50), np.uint8)  # of other strides
    vaecodec.decode(data, out=planes.transpose(1, 2, 0))
    np.testing.assert_array_equal(planes, expected.transpose(2, 0, 1))


def test_out_must_fit() -> None:
    data = vaecodec.encode(picture(8, 9), 40)
    frozen = np.zeros((8, 9, 3), np.uint8)
    frozen.flags.writeable = False
    for out in (np.zeros((9, 8, 3), np.uint8), np.zeros((8, 9, 3), np.int16), np.zeros((8, 9), np.uint8), frozen):
        with pytest.raises(VaecError, match="out must be"):
            vaecodec.decode(data, out=out)
    with pytest.raises(VaecError, match="exclude"):
        vaecodec.decode(data, out=np.zeros((8, 9, 3), np.uint8), scale=2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_arrays_of_floats(dtype: type) -> None:
    pixels = picture(8, 9)
    assert vaecodec.encode((pixels / 255).astype(dtype), 40) == vaecodec.encode(pixels, 40)
    for bad in (pixels.astype(dtype), -pixels.astype(dtype) / 255, np.full((8, 9), np.nan, dtype)):
        with pytest.raises(VaecError, match=r"within 0\.\.1"):
            vaecodec.encode(bad)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    for name, seed in (("b.vaec", 1), ("a.vaec", 2), ("deep/c.vaec", 3)):
        (tmp_path / name).write_bytes(vaecodec.encode(picture(32, 48, seed=seed), 40))
    return tmp_path


@pytest.mark.parametrize("workers", [0, 1])
def test_data_loaders(folder: Path, workers: int) -> None:
    pictures = VaecDataset(folder)
    assert [p.name for p in pictures.paths] == ["a.vaec", "b.vaec", "c.vaec"]
    batches = list(
        DataLoader(pictures, batch_size=3, num_workers=workers, multiprocessing_context="spawn" if workers else None)
    )
    assert batches[0].shape == (3, 3, 32, 48) and batches[0].dtype == torch.uint8
    for tensor, path in zip(batches[0], pictures.paths, strict=True):
        np.testing.assert_array_equal(tensor.permute(1, 2, 0).numpy(), vaecodec.decode(path.read_bytes()))


def test_scale_transform_and_lists(folder: Path) -> None:
    pictures = VaecDataset([folder / "b.vaec"], transform=lambda t: t.float() / 255, scale=4)
    assert len(pictures) == 1 and pictures[0].shape == (3, 8, 12) and pictures[0].max() <= 1
    with pytest.raises(VaecError, match=r"no \.vaec file"):
        VaecDataset(folder / "deep" / "none")
