"""Functions in the shape of torchcodec's and torchvision's decoders, and of imagecodecs' pairs."""

from __future__ import annotations

import enum
import inspect
import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import vaecodec
from tests.sample_pictures import picture
from vaecodec.codec import Codec
from vaecodec.errors import VaecError
from vaecodec.pictures.exif import orientation_exif
from vaecodec.pictures.picture import Picture

MODES = {"GRAY": "L", "GRAY_ALPHA": "LA", "RGB": "RGB", "RGB_ALPHA": "RGBA"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, small: Codec) -> None:
    """The functions of the package with the small model."""
    monkeypatch.setattr("vaecodec.api.default_codec", lambda: small)
    monkeypatch.setattr("vaecodec.buffers.default_codec", lambda: small)


@pytest.fixture(scope="module")
def files(small: Codec) -> list[bytes]:
    """Of 1, 2, 3 and 4 channels."""
    return [small.encode(picture(20, 30, channels)) for channels in (1, 2, 3, 4)]


class ImageReadMode(enum.Enum):
    """As torchvision has it."""

    UNCHANGED = 0
    GRAY = 1
    RGB_ALPHA = 4
    RGBA = 4


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("mode", MODES)
def test_modes(files: list[bytes], channels: int, mode: str) -> None:
    pixels = vaecodec.decode(files[channels - 1])
    found = vaecodec.decode_vaec(files[channels - 1], mode=mode)
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels).convert(MODES[mode])
    assert found.dtype == torch.uint8 and found.shape == (len(MODES[mode]), 20, 30) and found.is_contiguous()
    np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), np.asarray(image).reshape(20, 30, -1))
    found += 1  # no view of what cannot be written into


def test_modes_are_named_as_in_torchvision_and_torchcodec(files: list[bytes]) -> None:
    for mode, channels in (("unchanged", 2), (ImageReadMode.UNCHANGED, 2), ("Rgb", 3), (ImageReadMode.GRAY, 1)):
        assert vaecodec.decode_vaec(files[1], mode=mode).shape == (channels, 20, 30)  # type: ignore[arg-type]
    for mode in ("RGBA", ImageReadMode.RGBA, ImageReadMode.RGB_ALPHA):
        assert vaecodec.decode_vaec(files[1], mode=mode).shape == (4, 20, 30)  # type: ignore[arg-type]
    assert vaecodec.decode_vaec(files[0]).shape == (3, 20, 30)  # RGB, as in torchcodec


@given(st.one_of(st.text(), st.none(), st.integers(), st.binary(), st.sampled_from(["L", "BGR", "RGB ", ""])))
def test_other_modes_are_refused(mode: Any) -> None:
    if not isinstance(mode, str) or mode.upper() not in {*MODES, "RGBA", "UNCHANGED"}:
        with pytest.raises(VaecError, match=r"^mode .* is not one of UNCHANGED, GRAY, GRAY_ALPHA, RGB, RGB_ALPHA$"):
            vaecodec.decode_vaec(b"", mode=mode)


def test_sources_of_tensors(files: list[bytes], tmp_path: Path) -> None:
    """Those of torchcodec, and file objects."""
    path = tmp_path / "a.vaec"
    path.write_bytes(files[2])
    expected = vaecodec.decode_vaec(files[2])
    encoded = torch.frombuffer(bytearray(files[2]), dtype=torch.uint8)
    for source in (path, str(path), encoded, io.BytesIO(files[2]), memoryview(files[2])):
        assert torch.equal(vaecodec.decode_vaec(source), expected)
    with pytest.raises(VaecError, match=r"a\.vaec: "):
        path.write_bytes(files[2][:100])
        vaecodec.decode_vaec(path)


def test_tensors_upright_and_smaller(small: Codec) -> None:
    data = small.encode(Picture(picture(20, 30), exif=orientation_exif(6)))
    assert vaecodec.decode_vaec(data).shape == (3, 20, 30)
    assert vaecodec.decode_vaec(data, upright=True).shape == (3, 30, 20)
    assert vaecodec.decode_vaec(data, scale=2).shape == (3, 10, 15)
    assert vaecodec.decode_vaec(data, max_size=12).shape == (3, 8, 12)
    with pytest.raises(vaecodec.LimitError):
        vaecodec.decode_vaec(data, max_pixels=500)


def test_a_tensor_goes_there_and_back(small: Codec) -> None:
    tensor = torch.from_numpy(picture(20, 30)).permute(2, 0, 1)
    data = vaecodec.encode(tensor, 90)
    np.testing.assert_array_equal(vaecodec.decode_vaec(data).permute(1, 2, 0).numpy(), vaecodec.decode(data))


# imagecodecs


@pytest.mark.parametrize("other", ["webp", "jpegxl"])
def test_the_pair_is_called_as_imagecodecs_are(other: str) -> None:
    for ours, name in ((vaecodec.vaec_encode, f"{other}_encode"), (vaecodec.vaec_decode, f"{other}_decode")):
        theirs = inspect.signature(getattr(imagecodecs, name)).parameters
        for parameter in inspect.signature(ours).parameters.values():
            if parameter.name in theirs:
                assert parameter.kind == theirs[parameter.name].kind, parameter
        assert {"data", "numthreads", "out"} <= inspect.signature(ours).parameters.keys()


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 2), (20, 30, 3), (20, 30, 4)])
def test_there_and_back(shape: tuple[int, ...]) -> None:
    pixels = picture(20, 30, shape[2] if len(shape) == 3 else 1).reshape(shape)
    data = vaecodec.vaec_encode(pixels, 60, effort=2)
    assert isinstance(data, bytes) and data == vaecodec.encode(pixels, 60, effort=2)
    assert vaecodec.vaec_encode(pixels) == vaecodec.encode(pixels)
    found, out = vaecodec.vaec_decode(data), np.zeros(shape, np.uint8)
    assert found.shape == shape
    assert vaecodec.vaec_decode(data, out=out) is out
    np.testing.assert_array_equal(out, found)
    np.testing.assert_array_equal(found.reshape(20, 30, -1), vaecodec.decode(data))
    for bad in (np.zeros((20, 31), np.uint8), np.zeros(shape, np.int16), bytearray(20 * 30 * 3)):
        with pytest.raises(VaecError, match="out must be"):
            vaecodec.vaec_decode(data, out=bad)  # type: ignore[arg-type]


def test_encoding_into_memory_that_is_there() -> None:
    pixels = picture(20, 30)
    data = vaecodec.vaec_encode(pixels)
    out = bytearray(len(data) + 9)
    for memory in (out, memoryview(out), np.zeros(len(data), np.uint8)):
        found = vaecodec.vaec_encode(pixels, out=memory)  # type: ignore[arg-type]
        assert isinstance(found, memoryview) and found == data == memoryview(memory)[: len(data)]
    assert vaecodec.vaec_encode(pixels, out=len(data)) == data
    for bad in (bytearray(len(data) - 1), b"x" * len(data), memoryview(bytearray(3 * len(data)))[::2]):
        with pytest.raises(VaecError, match=rf"out must be {len(data)} bytes or more"):
            vaecodec.vaec_encode(pixels, out=bad)  # type: ignore[arg-type]


def test_numbers_of_threads() -> None:
    pixels = picture(20, 30)
    data = vaecodec.vaec_encode(pixels)
    for threads in (None, 0, 1, 3):
        assert vaecodec.vaec_encode(pixels, numthreads=threads) == data
        np.testing.assert_array_equal(vaecodec.vaec_decode(data, numthreads=threads), vaecodec.decode(data))
    for call in (
        lambda: vaecodec.vaec_encode(pixels, numthreads=-1),
        lambda: vaecodec.vaec_decode(data, numthreads=-1),
    ):
        with pytest.raises(VaecError, match="threads"):
            call()


def test_what_the_pair_refuses() -> None:
    with pytest.raises(VaecError, match=r"^\.vaec files are lossy"):
        vaecodec.vaec_encode(picture(8, 8), lossless=True)
    assert vaecodec.vaec_encode(picture(8, 8), lossless=False)
    for level in (-1, 101, "60", float("nan")):
        with pytest.raises(VaecError, match="quality"):
            vaecodec.vaec_encode(picture(8, 8), level)  # type: ignore[arg-type]
    with pytest.raises(vaecodec.NotVaecError):
        vaecodec.vaec_decode(b"xx")
