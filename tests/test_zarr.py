"""Chunks of Zarr's arrays as `.vaec` files, in its formats 2 and 3."""
# ruff: noqa: E402 (below what says that it is not installed)

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import servers
from tests.sample_pictures import picture
from vaecodec.codec import Codec
from vaecodec.errors import VaecError

servers.modules("zarr", "numcodecs")
import numcodecs.registry
import zarr
import zarr.registry
from zarr.codecs import TransposeCodec

from vaecodec.zarr.chunks import Coding, decode, picture_shape
from vaecodec.zarr.v2 import Vaec
from vaecodec.zarr.v3 import VaecCodec

FORMATS = [2, 3]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, small: Codec) -> None:
    """The small model, and the names that an installation makes known (tests/distributed/test_engines.py)."""
    monkeypatch.setattr("vaecodec.zarr.chunks.default_codec", lambda: small)
    numcodecs.registry.register_codec(Vaec)
    zarr.registry.register_codec("vaec", VaecCodec)


def made(path: Path, data: np.ndarray, chunks: tuple[int, ...], version: int, quality: float = 60, **how: Any) -> Any:
    """An array on disk, opened again by what stands in its metadata."""
    if version == 2:
        how |= {"compressors": Vaec(quality), "zarr_format": 2}
    else:
        how |= {"serializer": VaecCodec(quality=quality), "compressors": None}
    zarr.create_array(path, data=data, chunks=chunks, **how)
    return zarr.open_array(path, mode="r+")


@pytest.mark.parametrize("version", FORMATS)
@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3), (40, 50, 1), (1, 1, 40, 50), (2, 40, 50, 3), (1, 2, 40, 50)])
def test_arrays_of_pictures(tmp_path: Path, small: Codec, version: int, shape: tuple[int, ...]) -> None:
    colours = shape[-1] if shape[-1] in (1, 3) else 1
    pictures = [picture(40, 50, colours, seed) for seed in range(2 if 2 in shape else 1)]
    sides = (40, 50, shape[-1]) if shape[-1] < 4 else (40, 50)
    array = made(tmp_path / "a", np.stack(pictures).reshape(shape), (*[1] * (len(shape) - len(sides)), *sides), version)
    expected = np.stack([small.decode(small.encode(each, 60)).pixels for each in pictures])
    np.testing.assert_array_equal(array[:], expected.reshape(shape))
    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file() and path.name[0] not in ".z"]
    assert sorted(path.read_bytes() for path in files) == sorted(small.encode(each, 60) for each in pictures)


def test_shards_edges_and_axes(tmp_path: Path, small: Codec) -> None:
    pixels = picture(100, 90)
    array = made(tmp_path / "a", pixels, (64, 64, 3), 3, shards=(128, 128, 3))
    padded = np.zeros((128, 128, 3), np.uint8)
    padded[:100, :90] = pixels
    part = small.decode(small.encode(padded[64:, 64:], 60)).pixels
    np.testing.assert_array_equal(array[64:, 64:], part[:36, :26])
    first = made(tmp_path / "b", pixels.transpose(2, 0, 1), (3, 100, 90), 3, filters=[TransposeCodec(order=(1, 2, 0))])
    np.testing.assert_array_equal(first[:].transpose(1, 2, 0), small.decode(small.encode(pixels, 60)).pixels)


@pytest.mark.parametrize("version", FORMATS)
@pytest.mark.parametrize(
    ("data", "chunks"),
    [
        (np.ones((2, 8, 8, 3), np.uint8), (2, 8, 8, 3)),
        (np.ones((8, 8, 4), np.uint8), (8, 8, 4)),
        (np.ones(8, np.uint8), (8,)),
        (np.ones((8, 8), np.uint16), (8, 8)),
        (np.ones((8, 8), np.float32), (8, 8)),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, version: int, data: np.ndarray, chunks: tuple[int, ...]) -> None:
    with pytest.raises(VaecError, match=r"^(a chunk of vaec is \(H, W\)|vaec codes chunks of uint8, not of)"):
        made(tmp_path / "a", data, chunks, version)


def test_order_of_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VaecError, match="in the order C"):
        made(tmp_path / "a", picture(40, 50), (40, 50, 3), 2, order="F")


@given(st.lists(st.integers(1, 5), max_size=5))
def test_shapes(shape: list[int]) -> None:
    """A shape is refused, or that of a picture with as many samples."""
    try:
        height, width, channels = picture_shape(tuple(shape))
    except VaecError:
        assert len(shape) < 2 or max(shape[:-2]) > 1
    else:
        assert height * width * channels == np.prod(shape) and channels in (1, 3)


@pytest.mark.parametrize("make", [Vaec, VaecCodec, Coding])
def test_settings(make: Any) -> None:
    for wrong in ({"quality": 101}, {"quality": "x"}, {"effort": 0}, {"effort": 2.5}):
        with pytest.raises(VaecError, match=next(iter(wrong))):
            make(**wrong)


def test_settings_are_kept() -> None:
    codec = Vaec(60, 2)
    assert codec.get_config() == {"id": "vaec", "quality": 60, "effort": 2}
    assert numcodecs.registry.get_codec(codec.get_config()) == codec
    again = VaecCodec.from_dict(VaecCodec(60, 2).to_dict())
    assert again == VaecCodec(60, 2) and VaecCodec.from_dict({"name": "vaec"}) == VaecCodec()


def test_numcodecs_alone(small: Codec) -> None:
    codec, pixels = Vaec(60), picture(40, 50)
    data = codec.encode(pixels)
    assert data == small.encode(pixels, 60)
    out = np.empty((1, 40, 50, 3), np.uint8)
    assert codec.decode(memoryview(data), out=out) is out
    np.testing.assert_array_equal(out[0], codec.decode(data))
    with pytest.raises(ValueError):
        codec.decode(data, out=np.empty((40, 51, 3), np.uint8))
    with pytest.raises(VaecError):
        codec.encode(b"no array")


@pytest.mark.parametrize("version", FORMATS)
def test_damaged_chunks(tmp_path: Path, version: int) -> None:
    array = made(tmp_path / "a", picture(40, 50), (40, 50, 3), version)
    chunk = tmp_path / "a" / ("0.0.0" if version == 2 else "c/0/0/0")
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(VaecError):
        array[:]
    chunk.write_bytes(Coding().encode(picture(40, 51)))
    with pytest.raises(ValueError, match="of shape" if version == 3 else "reshape"):
        array[:]
    assert decode(chunk.read_bytes()).shape == (40, 51, 3)
