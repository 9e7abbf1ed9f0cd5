"""Arrays that are there already, and PyTorch's data loaders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import vaecodec
from tests.sample_pictures import picture
from vaecodec.dataset import VaecDataset, VaecFolder
from vaecodec.errors import TruncatedError, VaecError
from vaecodec.pictures.exif import orientation_exif
from vaecodec.pictures.picture import Picture


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
    batches = list(DataLoader(pictures, batch_size=3, **processes(workers)))
    assert batches[0].shape == (3, 3, 32, 48) and batches[0].dtype == torch.uint8
    for tensor, path in zip(batches[0], pictures.paths, strict=True):
        np.testing.assert_array_equal(tensor.permute(1, 2, 0).numpy(), vaecodec.decode(path))


def processes(workers: int) -> dict[str, Any]:
    return {"num_workers": workers, "multiprocessing_context": "spawn" if workers else None}


def test_scale_transform_and_lists(folder: Path) -> None:
    pictures = VaecDataset([folder / "b.vaec"], transform=lambda t: t.float() / 255, scale=4)
    assert len(pictures) == 1 and pictures[0].shape == (3, 8, 12) and pictures[0].max() <= 1
    with pytest.raises(VaecError, match="is no folder"):
        VaecDataset(folder / "deep" / "none")
    (folder / "empty").mkdir()
    with pytest.raises(VaecError, match=r"no \.vaec file"):
        VaecDataset(str(folder / "empty"))


def test_modes_and_sizes(folder: Path) -> None:
    (folder / "d.VAEC").write_bytes(vaecodec.encode(Picture(picture(32, 48, 2), exif=orientation_exif(6))))
    assert [tuple(x.shape) for x in VaecDataset(folder)] == [*[(3, 32, 48)] * 2, (2, 32, 48), (3, 32, 48)]
    assert all(x.shape == (1, 32, 48) for x in VaecDataset(folder, mode="GRAY"))
    assert all(max(x.shape[1:]) == 20 for x in VaecDataset(folder, max_size=20))
    assert VaecDataset([folder / "d.VAEC"], upright=True)[0].shape == (2, 48, 32)
    with pytest.raises(VaecError, match="mode 'P'"):
        VaecDataset(folder, mode="P")
    with pytest.raises(vaecodec.LimitError, match=r"a\.vaec: "):
        VaecDataset(folder, max_pixels=99)[0]
    with pytest.raises(VaecError, match="scale"):
        VaecDataset(folder, scale="2")  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_file_is_named(folder: Path, workers: int) -> None:
    """Also where a worker has met it."""
    path = folder / "b.vaec"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TruncatedError, match=re.escape(f"{path}: ")):
        list(DataLoader(VaecDataset(folder), **processes(workers)))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
        list(DataLoader(VaecDataset([path]), **processes(workers)))


def test_bad_files_are_left_out_on_request(folder: Path) -> None:
    whole = (folder / "a.vaec").read_bytes()
    for name, data in {"0.vaec": b"", "1.vaec": b"no", "2.vaec": whole[:-9], "3.vaec": whole[:-9] + bytes(9)}.items():
        (folder / name).write_bytes(data)
    pictures = VaecDataset(folder, skip_bad=True)
    assert [p.name for p in pictures.paths] == ["a.vaec", "b.vaec", "c.vaec"]
    assert [path.name for path, _ in pictures.skipped] == ["0.vaec", "1.vaec", "2.vaec", "3.vaec"]
    assert all(str(path) in reason for path, reason in pictures.skipped)
    assert next(iter(DataLoader(pictures, batch_size=3))).shape == (3, 3, 32, 48)
    assert VaecDataset(folder).skipped == []
    listed = VaecDataset([folder / "none.vaec", folder / "a.vaec"], skip_bad=True)
    assert len(listed) == 1 and "No such file" in listed.skipped[0][1]
    with pytest.raises(VaecError, match=r"no sound \.vaec file"):
        VaecDataset(bad_alone(folder), skip_bad=True)


def bad_alone(folder: Path) -> Path:
    (folder / "bad").mkdir()
    (folder / "bad" / "a.vaec").write_bytes(b"no")
    return folder / "bad"


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Two classes, one with a folder in it, one with a picture in grey; and what is none of theirs."""
    for number, name in enumerate(("dog/b.vaec", "dog/more/a.vaec", "cat/z.VAEC", "loose.vaec", "dog/notes.txt")):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(vaecodec.encode(picture(32, 48, 1 if number == 2 else 3, seed=number), 40))
    return tmp_path / "root"


@pytest.mark.parametrize("workers", [0, 1])
def test_labels_as_torchvisions_folder_gives_them(classes: Path, workers: int) -> None:
    pictures = VaecFolder(str(classes))
    assert pictures.classes == ["cat", "dog"] and pictures.class_to_idx == {"cat": 0, "dog": 1}
    names = ("cat/z.VAEC", "dog/b.vaec", "dog/more/a.vaec")
    assert pictures.samples == pictures.imgs == [(str(classes / n), t) for n, t in zip(names, (0, 1, 1), strict=True)]
    assert pictures.targets == [0, 1, 1] and len(pictures) == 3
    ((tensors, targets),) = DataLoader(pictures, batch_size=3, **processes(workers))
    assert tensors.shape == (3, 3, 32, 48) and targets.tolist() == [0, 1, 1]
    assert torch.equal(pictures.loader(pictures.samples[2][0]), tensors[2])


def test_what_is_made_of_pictures_and_labels(classes: Path) -> None:
    pictures = VaecFolder(classes, lambda x: x.float() / 255, lambda t: f"class {t}", mode="GRAY", max_size=16)
    tensor, label = pictures[-1]
    assert tensor.shape == (1, 11, 16) and tensor.dtype == torch.float32 and label == "class 1"


def test_classes_that_are_empty(classes: Path, tmp_path: Path) -> None:
    (classes / "cat" / "z.VAEC").write_bytes(b"no")
    with pytest.raises(VaecError, match=r"no \.vaec file for the class cat"):
        VaecFolder(classes, skip_bad=True)
    pictures = VaecFolder(classes, skip_bad=True, allow_empty=True)
    assert pictures.classes == ["cat", "dog"] and pictures.targets == [1, 1] and len(pictures.skipped) == 1
    with pytest.raises(vaecodec.NotVaecError, match=r"z\.VAEC: "):
        VaecFolder(classes)[0]
    with pytest.raises(VaecError, match="would be a class"):
        VaecFolder(classes / "cat")
    with pytest.raises(FileNotFoundError):
        VaecFolder(tmp_path / "none")
