"""Columns of `.vaec` files in Hugging Face's datasets."""
# ruff: noqa: E402 (below what says that it is not installed)

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

import vaecodec
from tests import servers
from tests.sample_pictures import picture
from vaecodec.codec import Codec
from vaecodec.errors import VaecError

servers.modules("datasets", "torch")
import datasets
import torch
from datasets import Dataset, Features, Image, load_from_disk

from vaecodec.hugging_face import VaecImage


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, small: Codec, tmp_path: Path) -> None:
    """The small model, and nothing of datasets outside the folder of the test."""
    monkeypatch.setattr("vaecodec.api.default_codec", lambda: small)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)


def png(seed: int = 0) -> bytes:
    written = io.BytesIO()
    Pillow.fromarray(picture(40, 50, seed=seed)).save(written, "PNG")
    return written.getvalue()


def of(values: list[Any], **how: Any) -> Dataset:
    return Dataset.from_dict({"image": values}, features=Features({"image": VaecImage(**how)}))


def stored(dataset: Dataset) -> list[Any]:
    """What lies in the column."""
    return dataset.cast_column("image", VaecImage(decode=False))["image"][:]


def test_what_comes_in_is_coded_and_vaec_files_stay() -> None:
    pixels = picture(40, 50)
    coded, other = vaecodec.encode(pixels, 60), vaecodec.encode(pixels, 20)
    Path("a.png").write_bytes(png())
    Path("b.vaec").write_bytes(other)
    values = [
        pixels,
        Pillow.fromarray(pixels),
        png(),
        "a.png",
        {"bytes": png(), "path": "x/a.png"},
        other,
        "b.vaec",
        None,
    ]
    rows = stored(of(values, quality=60))
    assert [row and row["bytes"] for row in rows] == [coded] * 5 + [other, None, None]
    assert [row and row["path"] for row in rows] == [None, None, None, "a.vaec", "a.vaec", None, "b.vaec", None]
    images = of(values, quality=60)["image"][:]
    for image in images[:5]:
        np.testing.assert_array_equal(np.asarray(image), vaecodec.decode(coded))
    np.testing.assert_array_equal(np.asarray(images[6]), vaecodec.decode(other))
    assert images[7] is None


def test_a_column_becomes_one_of_vaec_files() -> None:
    plain = Dataset.from_dict({"image": [png(0), png(1)], "label": [0, 1]}).cast_column("image", Image(decode=False))
    types = Features({**plain.features, "image": VaecImage(quality=60, effort=2)})
    dataset = plain.map(lambda row: {"image": row["image"]}, features=types)
    assert [row["bytes"] for row in stored(dataset)] == [vaecodec.encode(png(n), 60, effort=2) for n in (0, 1)]
    assert dataset.features["image"] == VaecImage(quality=60, effort=2)


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_files_of_datasets(form: str) -> None:
    dataset = of([png(0), png(1), None], quality=60, mode="L")
    if form == "arrow":
        dataset.save_to_disk("saved")
        again = load_from_disk("saved")
    else:
        dataset.to_parquet("a.parquet")
        again = Dataset.from_parquet("a.parquet", cache_dir="cache")
    assert again.features == dataset.features == Features({"image": VaecImage(mode="L", quality=60)})
    assert stored(again) == stored(dataset) and again[0]["image"].mode == "L"


def test_maps() -> None:
    """Pictures that are not looked at stay as they are; those that are made new are coded by the column's settings."""
    dataset = of([png(0), png(1)], quality=60)
    assert stored(dataset.map(lambda row: {"n": 1})) == stored(dataset)
    turned = dataset.map(lambda row: {"image": row["image"].rotate(90, expand=True)})
    again = dataset.map(lambda row: {"size": row["image"].size})
    for number in (0, 1):
        pixels = vaecodec.decode(stored(dataset)[number]["bytes"])
        assert stored(turned)[number]["bytes"] == vaecodec.encode(np.rot90(pixels), 60)
        assert stored(again)[number]["bytes"] == vaecodec.encode(pixels, 60)
    assert turned[0]["image"].size == (40, 50) and again.features["image"] == VaecImage(quality=60)


def test_other_forms() -> None:
    dataset = of([png()], quality=60)
    pixels = vaecodec.decode(vaecodec.encode(png(), 60))
    tensor = dataset.with_format("torch")[0]["image"]
    assert torch.equal(tensor, torch.from_numpy(pixels).permute(2, 0, 1))
    np.testing.assert_array_equal(dataset.with_format("numpy")[0]["image"], pixels)
    np.testing.assert_array_equal(np.asarray(next(iter(dataset.to_iterable_dataset()))["image"]), pixels)
    several = Features({"images": datasets.List(VaecImage(quality=60))})
    listed = Dataset.from_dict({"images": [[Pillow.fromarray(picture(40, 50))], []]}, features=several)
    np.testing.assert_array_equal(np.asarray(listed[0]["images"][0]), pixels)
    assert listed[1]["images"] == []


def test_as_images_for_who_has_no_such_feature(small: Codec) -> None:
    of([png()], quality=60).cast_column("image", Image()).to_parquet("a.parquet")
    code = """
import datasets, vaecodec
row = datasets.Dataset.from_parquet("a.parquet", cache_dir="other").cast_column("image", datasets.Image(decode=False))
assert "vaecodec.hugging_face" not in __import__("sys").modules
assert datasets.Dataset.from_parquet("a.parquet", cache_dir="other").features["image"] == datasets.Image()
vaecodec.register()
print(vaecodec.read_info(row[0]["image"]["bytes"]).width)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "50\n", done.stderr


def test_upright_pictures(small: Codec) -> None:
    image = Pillow.fromarray(picture(40, 50))
    image.getexif()[0x112] = 6
    written = io.BytesIO()
    image.save(written, "PNG", exif=image.getexif())
    assert of([written.getvalue()])[0]["image"].size == (40, 50)


def test_bad_pictures_raise() -> None:
    with pytest.raises(VaecError, match="not a picture"):
        of([b"no picture"])
    with pytest.raises(VaecError, match="quality"):
        of([png()], quality=101)
    bad = of([vaecodec.encode(png())[:-20]])
    with pytest.raises(OSError, match="end of the file"):
        bad[0]
