"""Picture files in and out: pixels, and what is refused."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.picture_files import (
    GREY,
    GREY_ALPHA,
    RGB,
    RGB_ALPHA,
    chunk,
    exif_bytes,
    formula,
    noise,
    png,
    save,
    tiff16,
    written,
)
from vaecodec.bitstream.chunks import SIGNATURE
from vaecodec.errors import LimitError, PictureError, VaecError
from vaecodec.pictures.from_pillow import from_image
from vaecodec.pictures.picture import Picture
from vaecodec.pictures.reading import read_picture

# Pixels

LOSSLESS = {
    "PNG": {GREY, GREY_ALPHA, RGB, RGB_ALPHA},
    "TIFF": {GREY, GREY_ALPHA, RGB, RGB_ALPHA},
    "JPEG2000": {GREY, GREY_ALPHA, RGB, RGB_ALPHA},
    "TGA": {GREY, GREY_ALPHA, RGB, RGB_ALPHA},
    "WEBP": {RGB, RGB_ALPHA},
    "QOI": {RGB, RGB_ALPHA},
    "BMP": {GREY, RGB},
    "PPM": {GREY, RGB},
}


@pytest.mark.parametrize(("format", "channels"), [(f, c) for f, cs in LOSSLESS.items() for c in sorted(cs)])
@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_lossless_formats_return_every_pixel(format: str, channels: int, height: int, width: int, seed: int) -> None:
    pixels = noise(height, width, channels, seed=seed)
    data, notes = written(Picture(pixels), format)
    again, said = read_picture(data, None)
    assert notes == said == []
    assert np.array_equal(again.pixels, pixels)
    assert (again.height, again.width) == (height, width)


@pytest.mark.parametrize(("format", "channels"), [("WEBP", GREY), ("WEBP", GREY_ALPHA), ("QOI", GREY)])
def test_grey_becomes_rgb_where_the_format_has_no_grey(format: str, channels: int) -> None:
    pixels = noise(5, 7, channels)
    again, _ = read_picture(written(Picture(pixels), format)[0], None)
    assert np.array_equal(again.pixels[..., :3], np.repeat(pixels[..., :1], 3, axis=2))
    if channels == GREY_ALPHA:
        assert np.array_equal(again.pixels[..., 3], pixels[..., 1])


@pytest.mark.parametrize("format", ["JPEG", "AVIF", "GIF"])
@pytest.mark.parametrize("channels", [GREY, RGB])
def test_lossy_outputs_stay_close(format: str, channels: int) -> None:
    y, x = np.mgrid[0:64, 0:96]
    pixels = np.stack([x * 2, y * 3, (x + y)][:channels], axis=2).astype(np.uint8)
    again, _ = read_picture(written(Picture(pixels), format)[0], None)
    close = again.pixels[..., :channels].astype(int) - pixels
    assert np.abs(close).mean() < (8 if format == "GIF" else 2)


@pytest.mark.parametrize("format", ["JPEG", "BMP", "PPM"])
def test_transparency_goes_onto_white_and_says_so(format: str) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, 4:, 3] = 255
    data, notes = written(Picture(pixels), format)
    again, _ = read_picture(data, None)
    assert again.pixels[0, 0].min() > 250 and again.pixels[0, 7].max() < 5
    assert any("white" in note for note in notes)
    grey, _ = read_picture(written(Picture(pixels[..., 2:]), format)[0], None)
    assert grey.pixels.shape == (8, 8, 1) and grey.pixels[0, 0] > 250


def test_opaque_alpha_is_dropped_without_a_note() -> None:
    pixels = noise(4, 4, RGB_ALPHA)
    pixels[..., 3] = 255
    data, notes = written(Picture(pixels), "BMP")
    assert notes == [] and np.array_equal(read_picture(data, None)[0].pixels, pixels[..., :3])


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bit_png_is_reduced_by_the_formula(colour: int, channels: int) -> None:
    samples = noise(21, 300, channels, np.uint16)
    samples[0, :, 0] = np.arange(300) * 128 // 2 + 120  # on both sides of the steps
    picture, notes = read_picture(png(samples, colour), None)
    assert np.array_equal(picture.pixels, formula(samples))
    assert any("reduced to 8" in note for note in notes)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
def test_16_bit_tiff_is_reduced_by_the_formula(order: str, deflate: bool) -> None:
    samples = noise(9, 31, 3, np.uint16)
    picture, notes = read_picture(tiff16(samples, order, deflate), None)
    assert np.array_equal(picture.pixels, formula(samples))
    assert any("reduced to 8" in note for note in notes)


def test_16_bit_grey_from_tiff_and_pgm() -> None:
    samples = noise(9, 31, 1, np.uint16)
    image = Image.fromarray(samples[..., 0])
    pgm = b"P5 31 9 65535\n" + samples.astype(">u2").tobytes()
    for data in (save(image, "TIFF"), save(image, "PNG"), pgm):
        assert np.array_equal(read_picture(data, None)[0].pixels, formula(samples))


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_32_bit_samples_within_8_bits_are_taken_as_they_are(compression: str | None) -> None:
    """No file says what is white in them. Pillow's own conversion to L takes them so, too."""
    values = np.arange(256, dtype=np.int32).reshape(8, 32)
    image = Image.fromarray(values)
    for picture, notes in (
        read_picture(save(image, "TIFF", compression=compression), None),
        from_image(image),
    ):
        assert np.array_equal(picture.pixels[..., 0], values)
        assert notes == ["32-bit samples within 0..255 are taken as they are"]
    for picture, notes in (read_picture(save(Image.fromarray(values * 257), "TIFF"), None), from_image(image)):
        assert np.array_equal(picture.pixels[..., 0], values) and len(notes) == 1


def test_dark_16_bit_samples_stay_dark() -> None:
    """Though Pillow hands those of PGM and of signed TIFF out as 32 bits."""
    samples = np.array([[0, 100, 127, 128, 255]])
    pgm = b"P5 5 1 65535\n" + samples.astype(">u2").tobytes()
    plain = b"P2 5 1 65535\n" + " ".join(map(str, samples.ravel())).encode()
    tiff = save(Image.fromarray(samples.astype(np.uint16)), "TIFF", tiffinfo={339: 2})
    assert Image.open(io.BytesIO(tiff)).mode == "I"
    for data in (pgm, plain, tiff):
        assert read_picture(data, None)[0].pixels.ravel().tolist() == [0, 0, 0, 0, 1]


def test_12_bit_tiff_is_stretched_from_its_own_range() -> None:
    samples = np.array([0, 4095, 2048, 1], np.uint16)
    packed = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in samples.reshape(2, 2).tolist())
    entries = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, len(packed))]
    ifd = struct.pack("<H", 9) + b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in entries) + b"\0" * 4
    ifd = ifd.replace(struct.pack("<HHII", 258, 4, 1, 12), struct.pack("<HHII", 258, 3, 1, 12))
    picture, _ = read_picture(b"II*\0" + struct.pack("<I", 14) + packed + ifd, None)
    assert picture.pixels.ravel().tolist() == [0, 255, 128, 0]


@pytest.mark.parametrize("transparent", [False, True])
def test_palette_is_converted(transparent: bool) -> None:
    image = Image.fromarray(noise(6, 9, 1)[..., 0] % 4).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 250, 240, 230])
    options = {"transparency": bytes([0, 128, 255, 255])} if transparent else {}
    picture, notes = read_picture(save(image, "PNG", **options), None)
    colours = np.array([[10, 20, 30, 0], [40, 50, 60, 128], [70, 80, 90, 255], [250, 240, 230, 255]], np.uint8)
    expected = colours[np.asarray(image)]
    assert np.array_equal(picture.pixels, expected if transparent else expected[..., :3])
    assert any("palette" in note for note in notes)


def test_one_bit_becomes_grey() -> None:
    image = Image.fromarray(noise(6, 9, 1)[..., 0]).convert("1")
    picture, notes = read_picture(save(image, "PNG"), None)
    assert np.array_equal(picture.pixels[..., 0], np.asarray(image).astype(np.uint8) * 255)
    assert any("1-bit" in note for note in notes)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3)])
def test_a_transparent_colour_becomes_alpha(depth: int, colour: int, channels: int) -> None:
    samples = noise(5, 6, channels, np.uint16 if depth == 16 else np.uint8)
    samples[2, 3] = samples[0, 1]
    if depth == 16:
        samples[1, 1] = samples[0, 1] ^ 1  # differs in the low byte alone
    key = struct.pack(f">{channels}H", *samples[0, 1].tolist())
    picture, notes = read_picture(png(samples, colour, depth, chunk(b"tRNS", key)), None)
    expected = np.where((samples == samples[0, 1]).all(axis=2), 0, 255)
    assert np.array_equal(picture.pixels[..., -1], expected)
    assert expected[2, 3] == 0 and (depth == 8 or expected[1, 1] == 255)
    colours = formula(samples) if depth == 16 else samples
    assert np.array_equal(picture.pixels[..., :-1], colours)
    assert any("transparent colour" in note for note in notes)


@pytest.mark.parametrize(("depth", "key"), [(1, 1), (2, 2), (4, 9)])
def test_a_transparent_grey_of_few_bits_becomes_alpha(depth: int, key: int) -> None:
    packed = np.arange(256, dtype=np.uint8)[None, :, None]
    picture, _ = read_picture(png(packed, 0, depth, chunk(b"tRNS", struct.pack(">H", key))), None)
    values = np.array([v >> s & (1 << depth) - 1 for v in range(256) for s in range(8 - depth, -1, -depth)])
    assert np.array_equal(picture.pixels[0, :, 0], values * (255 // ((1 << depth) - 1)))
    assert np.array_equal(picture.pixels[0, :, 1], np.where(values == key, 0, 255))


def test_colour_under_full_transparency_is_kept() -> None:
    pixels = noise(5, 5, RGB_ALPHA)
    pixels[..., 3] = 0
    for format in ("PNG", "WEBP", "TIFF"):
        assert np.array_equal(read_picture(written(Picture(pixels), format)[0], None)[0].pixels, pixels)


# Refused pictures


@pytest.mark.parametrize(
    ("image", "format", "word"),
    [
        (Image.new("LAB", (8, 8)), "TIFF", "Lab"),
        (Image.new("F", (8, 8)), "TIFF", "floating-point"),
        (Image.new("I", (8, 8), 70000), "TIFF", "16 bits"),
        (Image.new("I", (8, 8), -1), "TIFF", "16 bits"),
    ],
)
def test_colours_without_a_place_are_refused(image: Image.Image, format: str, word: str) -> None:
    with pytest.raises(PictureError, match=word):
        read_picture(save(image, format), None)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "PPM", "GIF", "JPEG2000", "AVIF"])
def test_truncated_pictures_are_refused(format: str) -> None:
    data = save(Image.fromarray(noise(64, 64, 3)), format)
    for end in (len(data) // 2, 20, 3):
        with pytest.raises(PictureError):
            read_picture(data[:end], None)


@pytest.mark.parametrize(
    ("data", "word"), [(b"", "empty"), (b"hello" * 30, "not a picture"), (SIGNATURE + b"...", ".vaec file already")]
)
def test_what_is_no_picture_gets_a_sentence(data: bytes, word: str) -> None:
    with pytest.raises(PictureError, match=word):
        read_picture(data, None)


def damage_samples() -> list[bytes]:
    image = Image.fromarray(noise(12, 12, 3))
    exif = b"Exif\0\0" + exif_bytes(6)
    return [save(image, f, **({"exif": exif} if f in ("JPEG", "PNG", "TIFF", "WEBP") else {})) for f in DAMAGED]


DAMAGED = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM")
DAMAGE_SAMPLES = damage_samples()


@settings(max_examples=300, deadline=None)
@given(
    which=st.integers(0, len(DAMAGED) - 1),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.floats(0, 1),
)
def test_damage_never_raises_anything_else(which: int, edits: list[tuple[float, int]], cut: float) -> None:
    data = bytearray(DAMAGE_SAMPLES[which])
    for where, value in edits:
        data[int(where**3 * len(data))] = value  # mostly in the headers
    try:
        picture, _ = read_picture(bytes(data[: max(1, int((1 - cut**4) * len(data)))]), 10**6)
    except VaecError as error:
        assert "\n" not in str(error) and str(error)
    else:
        for format in ("BMP", "TIFF", "PNG", "JPEG"):
            written(picture, format)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.uint16),
    ],
)
def test_pixels_of_another_shape_or_type_are_refused(pixels: Any) -> None:
    with pytest.raises(PictureError):
        Picture(pixels)


# Limits


@pytest.mark.parametrize("format", ["PNG", "WEBP", "JPEG", "TIFF"])
def test_max_pixels(format: str) -> None:
    data = save(Image.fromarray(noise(10, 20, 3)), format)
    assert read_picture(data, 200)[0].width == 20
    with pytest.raises(LimitError, match="20 x 10 is more than the limit of 199"):
        read_picture(data, 199)
    with pytest.raises(LimitError):  # beyond twice the limit, where Pillow itself refuses
        read_picture(data, 50)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    with pytest.raises(LimitError):
        read_picture(bomb, 2**28)


@pytest.mark.parametrize("limit", [None, 0, 150])
def test_the_callers_limit_rules_and_pillows_stays(monkeypatch: pytest.MonkeyPatch, limit: int | None) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)
    data = save(Image.fromarray(noise(10, 15, 3)), "PNG")
    assert read_picture(data, limit)[0].width == 15
    assert Image.MAX_IMAGE_PIXELS == 7
    with pytest.raises(PictureError):
        read_picture(data[:50], limit)
    assert Image.MAX_IMAGE_PIXELS == 7
