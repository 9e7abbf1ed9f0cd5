"""What the functions take for bytes and numbers, and the sentence that they have for everything else."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vaecodec
from tests.refusals import refused
from tests.sample_pictures import picture
from vaecodec.arguments import as_number, as_whole
from vaecodec.codec import Codec
from vaecodec.codec.ratecontrol import Target
from vaecodec.errors import PictureError
from vaecodec.pictures.picture import Picture, strips

PIXELS = picture(40, 50)
SAMPLE = Path(__file__).with_name("data") / "kodim23.png"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, small: Codec) -> None:
    """The functions of the package with the small model."""
    monkeypatch.setattr("vaecodec.api.default_codec", lambda: small)


@pytest.fixture(scope="module")
def file(small: Codec) -> bytes:
    return small.encode(PIXELS)


# Bytes


@pytest.mark.parametrize("kind", ["icc_profile", "exif", "xmp"])
def test_metadata_is_bytes(kind: str) -> None:
    refused(lambda: vaecodec.encode(PIXELS, **{kind: "text"}), "must be given as bytes, not as str")
    same = [vaecodec.encode(PIXELS, **{kind: given}) for given in (b"text", bytearray(b"text"), memoryview(b"text"))]
    assert same[0] == same[1] == same[2]


def test_metadata_of_a_picture_is_bytes(small: Codec) -> None:
    refused(lambda: small.encode(Picture(PIXELS, xmp="text")), "xmp must be given as bytes")  # type: ignore[arg-type]


# Numbers

NUMBERS = [np.float32(50), np.float64(50), np.float16(50), np.int64(50), np.uint8(50), Fraction(50)]
NONE = [True, np.True_, float("nan"), np.float32("nan"), "50", b"50", [50], np.array([50, 50]), 1 + 0j, object()]


@pytest.mark.parametrize("value", NUMBERS)
def test_numbers_are_numbers(value: Any) -> None:
    for whole in (as_number, as_whole):
        found = whole(value, "it")
        assert found == 50 and type(found) in (int, float)
    assert vaecodec.encode(PIXELS, value) == vaecodec.encode(PIXELS, 50)
    assert Target(psnr=value).resolve(1) == ("psnr", 50)


@pytest.mark.parametrize("value", NONE)
@pytest.mark.parametrize("whole", [as_number, as_whole])
def test_everything_else_is_none(value: Any, whole: Callable[[object, str], float]) -> None:
    refused(lambda: whole(value, "this"), "^this .* is not a number")


def test_numbers_without_an_end_or_a_fraction() -> None:
    assert as_whole(64.0, "") == as_whole(np.float32(64), "") == 64
    assert as_whole(10**400, "") == 10**400
    for value in (float("inf"), np.float32("-inf"), 10**400):
        refused(lambda value=value: as_number(value, "it"), "is not a number")  # type: ignore[misc]
    refused(lambda: as_whole(1.5, "it"), "1.5 is not a whole number")


ARGUMENTS: dict[str, Callable[[Codec, bytes, Any], Any]] = {
    "quality": lambda codec, file, value: vaecodec.encode(PIXELS, value),
    "effort": lambda codec, file, value: vaecodec.encode(PIXELS, effort=value),
    "effort with a target": lambda codec, file, value: vaecodec.encode(PIXELS, target_psnr=20, effort=value),
    "tile": lambda codec, file, value: vaecodec.encode(PIXELS, tile=value),
    "target": lambda codec, file, value: vaecodec.encode(PIXELS, target_size=value),
    "scale": lambda codec, file, value: vaecodec.decode(file, scale=value),
    "scale of a codec": lambda codec, file, value: codec.decode_scaled(file, value),
    "max_size": lambda codec, file, value: vaecodec.decode(file, max_size=value),
    "region": lambda codec, file, value: vaecodec.decode(file, region=value),
    "a part of a region": lambda codec, file, value: vaecodec.decode(file, region=(0, 0, value, 8)),
    "threads": lambda codec, file, value: Codec(threads=value),
    "max_pixels": lambda codec, file, value: vaecodec.decode(file, max_pixels=value),
    "max_pixels at a scale": lambda codec, file, value: vaecodec.decode(file, scale=2, max_pixels=value),
    "max_pixels of rows": lambda codec, file, value: codec.decode_rows(file, max_pixels=value),
    "max_pixels in part": lambda codec, file, value: codec.decode_partial(file, max_pixels=value),
}


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize("value", NONE)
def test_what_is_no_number_is_refused_everywhere(small: Codec, file: bytes, argument: str, value: Any) -> None:
    refused(lambda: ARGUMENTS[argument](small, file, value), "is not a number|a region is")


@pytest.mark.parametrize("kind", [np.int64, np.uint16, np.float32, float])
def test_numpys_numbers_are_taken_everywhere(small: Codec, file: bytes, kind: Callable[[int], Any]) -> None:
    assert vaecodec.encode(PIXELS, kind(60), effort=kind(2), tile=kind(64)) == vaecodec.encode(
        PIXELS, 60, effort=2, tile=64
    )
    assert len(vaecodec.encode(PIXELS, target_size=kind(900))) <= 900
    for options in ({"scale": 2}, {"max_size": 20}, {"region": (8, 4, 16, 12)}):
        given = {k: tuple(map(kind, v)) if isinstance(v, tuple) else kind(v) for k, v in options.items()}
        np.testing.assert_array_equal(vaecodec.decode(file, **given), vaecodec.decode(file, **options))
    assert vaecodec.decode(file, region=np.array([8, 4, 16, 12])).shape == (12, 16, 3)
    assert Codec(threads=kind(1)).threads == 1


def test_a_limit_of_few_bits_does_not_wrap(small: Codec, file: bytes) -> None:
    """100 times 64, as NumPy's 8 bits have it, is no limit at all."""
    assert vaecodec.decode(file, scale=8, max_pixels=np.uint8(64)).shape == (5, 7, 3)
    with pytest.raises(vaecodec.LimitError):
        vaecodec.decode(file, max_pixels=np.uint8(64))


@pytest.mark.parametrize("region", [5, (1, 2, 3), (1, 2, 3, 4, 5), "1234", (1.5, 2, 3, 4), None])
def test_what_is_no_region(small: Codec, file: bytes, region: Any) -> None:
    refused(lambda: small.decode_region(file, region), "region")


def test_out_is_an_array(file: bytes) -> None:
    for out in ([1], 5, memoryview(bytearray(6000))):
        refused(lambda out=out: vaecodec.decode(file, out=out), "out must be")  # type: ignore[misc]


def test_a_model_is_the_path_of_a_file() -> None:
    for model in (5, b"model", object()):
        refused(lambda model=model: Codec(model), "model")  # type: ignore[misc]


# Pictures


def test_premultiplied_grey_is_read(small: Codec) -> None:
    """Pillow has no conversion of the mode La but to LA, from which it comes."""
    source = Image.fromarray(picture(9, 8, 2))
    premultiplied = source.convert("La")
    np.testing.assert_array_equal(small.decode(small.encode(premultiplied)).pixels[..., 1], np.asarray(source)[..., 1])


def test_a_picture_that_pillow_cannot_load(small: Codec) -> None:
    with Image.open(io.BytesIO(SAMPLE.read_bytes()[:9000])) as image, pytest.raises(PictureError, match="truncated"):
        vaecodec.encode(image)


@pytest.mark.parametrize("pixels", [[[1]], None, "a.png", object()])
def test_pixels_are_an_array(pixels: Any) -> None:
    with pytest.raises(PictureError, match="pixels must be"):
        Picture(pixels)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("constant", [False, True])
def test_a_stand_in_is_coded_as_its_pixels(small: Codec, channels: int, constant: bool) -> None:
    pixels = picture(150, 130, channels)
    if constant:
        pixels[..., -1] = 77
    stand_in = strips(pixels.shape, lambda first, last: pixels[first:last])
    decoded = [np.empty_like(pixels) for _ in range(2)]
    files = [
        b"".join(small.encode_parts(Picture(given), 60, tile=64, decoded=out))
        for given, out in zip((pixels, stand_in), decoded, strict=True)
    ]
    assert files[0] == files[1]
    np.testing.assert_array_equal(decoded[0], decoded[1])


def test_messages_name_the_argument() -> None:
    for words, call in {
        "quality 101 is not": lambda: vaecodec.encode(PIXELS, 101),
        "effort 10 is not one of 1..9": lambda: vaecodec.encode(PIXELS, effort=10),
        "tile side 100 is not": lambda: vaecodec.encode(PIXELS, tile=100),
        "target size": lambda: vaecodec.encode(PIXELS, target_size=-1),
    }.items():
        refused(call, re.escape(words))
