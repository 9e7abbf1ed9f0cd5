"""Reading and writing pictures: pixels, metadata, notes, errors, limits."""

from __future__ import annotations

import errno
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import TiffImageFile

from vaecodec.container import SIGNATURE
from vaecodec.errors import LimitError, PictureError, VaecError
from vaecodec.exif import orientation
from vaecodec.picture import Picture
from vaecodec.reading import from_image, read_picture
from vaecodec.writing import format_of, write_picture

RGB, GREY, GREY_ALPHA, RGB_ALPHA = 3, 1, 2, 4
ORIENTATION = ExifTags.Base.Orientation


def noise(height: int, width: int, channels: int, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    high = np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(0, high, (height, width, channels), dtype)


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def written(picture: Picture, format: str) -> tuple[bytes, list[str]]:
    stream = BytesIO()
    notes = write_picture(picture, stream, format)
    return stream.getvalue(), notes


def exif_bytes(turn: int = 1, make: str = "Maker") -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    exif[ExifTags.Base.Make] = make
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ISOSpeedRatings: 200}
    return exif.tobytes().removeprefix(b"Exif\0\0")


def png(samples: np.ndarray, colour: int, depth: int = 16, chunks: bytes = b"") -> bytes:
    """A PNG of (H, W, C) samples of 8 or 16 bits, or of rows of packed bytes for fewer; Pillow cannot write these."""
    width = samples.shape[1] * (8 // depth if depth < 8 else 1)
    rows = samples.astype(">u2") if depth == 16 else samples.astype(np.uint8)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, len(samples), depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff16(samples: np.ndarray, order: str, deflate: bool) -> bytes:
    """A TIFF of (H, W, 3) uint16 in one strip, little (<) or big (>) endian."""
    height, width, channels = samples.shape
    strip = samples.astype(f"{order}u2").tobytes()
    strip = zlib.compress(strip) if deflate else strip
    ends = 8 + len(strip)
    bits_at = ends + len(strip) % 2
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, bits_at),
        (259, 4, 1, 8 if deflate else 1),
        (262, 4, 1, 2),
        (273, 4, 1, 8),
        (277, 4, 1, channels),
        (278, 4, 1, height),
        (279, 4, 1, len(strip)),
    ]
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", bits_at + 6) + strip
    out += b"\0" * (len(strip) % 2) + struct.pack(f"{order}3H", 16, 16, 16)
    out += struct.pack(f"{order}H", len(entries))
    return out + b"".join(struct.pack(f"{order}HHII", *e) for e in entries) + b"\0" * 4


def formula(samples: np.ndarray) -> np.ndarray:
    """Decision 1 of the reference design."""
    return ((samples.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8)


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
        (Image.new("CMYK", (8, 8)), "JPEG", "CMYK"),
        (Image.new("CMYK", (8, 8)), "TIFF", "CMYK"),
        (Image.new("LAB", (8, 8)), "TIFF", "Lab"),
        (Image.new("F", (8, 8)), "TIFF", "floating-point"),
        (Image.new("I", (8, 8), 70000), "TIFF", "16 bits"),
        (Image.new("I", (8, 8), -1), "TIFF", "16 bits"),
    ],
)
def test_colours_without_a_place_are_refused(image: Image.Image, format: str, word: str) -> None:
    with pytest.raises(PictureError, match=word):
        read_picture(save(image, format), None)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_several_frames_are_refused(format: str) -> None:
    frames = [Image.fromarray(noise(8, 8, 3, seed=s)) for s in range(3)]
    data = save(frames[0], format, save_all=True, append_images=frames[1:])
    with pytest.raises(PictureError, match="3 frames"):
        read_picture(data, None)


def test_the_first_picture_of_an_mpo_photograph_is_taken() -> None:
    first, second = Image.new("RGB", (16, 8), (200, 10, 10)), Image.new("RGB", (16, 8), (10, 10, 200))
    picture, notes = read_picture(save(first, "MPO", save_all=True, append_images=[second]), None)
    assert picture.pixels[0, 0, 0] > 190
    assert any("first of 2" in note for note in notes)


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


# Metadata

binary = st.binary(min_size=1, max_size=300)
CARRIERS = ("PNG", "JPEG", "WEBP")


@pytest.mark.parametrize("format", CARRIERS)
@settings(max_examples=60, deadline=None)
@given(icc=binary, exif=binary.filter(lambda data: not data.startswith(b"Exif\0\0")), xmp=binary)
def test_metadata_comes_back_byte_for_byte(format: str, icc: bytes, exif: bytes, xmp: bytes) -> None:
    picture = Picture(noise(3, 5, RGB), icc, exif, xmp)
    data, notes = written(picture, format)
    again, _ = read_picture(data, None)
    assert notes == []
    assert (again.icc, again.exif, again.xmp) == (icc, exif, xmp)


@pytest.mark.parametrize("format", [*CARRIERS, "AVIF"])
def test_real_exif_comes_back_byte_for_byte(format: str) -> None:
    exif = exif_bytes(6)
    data, notes = written(Picture(noise(30, 50, RGB), exif=exif, xmp=b"<x:xmpmeta/>"), format)
    again, _ = read_picture(data, None)
    assert notes == [] and again.xmp == b"<x:xmpmeta/>" and again.pixels.shape == (30, 50, 3)
    if format == "AVIF":  # whose orientation is a property of its own: Pillow puts the tag together again
        assert again.exif is not None and orientation(again.exif) == 6
    else:
        assert again.exif == exif


def test_metadata_longer_than_a_jpeg_marker() -> None:
    long = b"MM\0*" + bytes(70_000)
    picture = Picture(noise(3, 5, RGB), icc=long, exif=long, xmp=long)
    data, notes = written(picture, "JPEG")
    again, _ = read_picture(data, None)
    assert (again.icc, again.exif, again.xmp) == (long, None, None)  # a profile may take several markers
    assert notes == ["its EXIF is too long for JPEG", "its XMP is too long for JPEG"]
    limit = b"MM\0*" + bytes(65533 - 6 - 4)
    again, _ = read_picture(written(Picture(noise(3, 5, RGB), exif=limit), "JPEG")[0], None)
    assert again.exif == limit


@pytest.mark.parametrize("format", ["BMP", "PPM", "TGA", "QOI", "GIF", "JPEG2000"])
def test_what_a_format_does_not_hold_is_said(format: str) -> None:
    _, notes = written(Picture(noise(3, 5, RGB), b"icc", exif_bytes(), b"xmp"), format)
    assert [n for n in notes if "not held" in n] == [f"its {k} is not held by {format}" for k in ("ICC", "EXIF", "XMP")]


def test_a_grey_profile_does_not_go_with_rgb() -> None:
    profile = bytes(16) + b"GRAY" + bytes(100)
    data, notes = written(Picture(noise(3, 5, GREY), icc=profile), "WEBP")
    assert read_picture(data, None)[0].icc is None and any("grey ICC" in n for n in notes)
    assert read_picture(written(Picture(noise(3, 5, GREY), icc=profile), "PNG")[0], None)[0].icc == profile


def test_exif_of_a_png_text_chunk() -> None:
    exif = b"Exif\0\0" + exif_bytes(3)
    info = PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}\n", zip=True)
    picture, _ = read_picture(save(Image.fromarray(noise(4, 4, 3)), "PNG", pnginfo=info), None)
    assert picture.exif == exif[6:]


def test_text_chunks_with_the_names_of_metadata_do_no_harm() -> None:
    info = PngInfo()
    for name in ("xmp", "icc_profile", "transparency"):
        info.add_text(name, "hello")
    picture, _ = read_picture(save(Image.fromarray(noise(4, 4, 3)), "PNG", pnginfo=info), None)
    assert picture.icc is None and picture.pixels.shape == (4, 4, 3)


@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation_stays_in_the_exif_and_pixels_turn_only_where_there_is_none(turn: int) -> None:
    pixels, exif = noise(5, 8, RGB), exif_bytes(turn)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(save(
        Image.fromarray(pixels), "PNG", exif=b"Exif\0\0" + exif)))))  # fmt: skip
    picture = Picture(pixels, exif=exif)
    kept, _ = read_picture(written(picture, "PNG")[0], None)
    assert np.array_equal(kept.pixels, pixels) and kept.exif == exif
    for format in ("BMP", "PPM"):
        data, notes = written(picture, format)
        assert np.array_equal(read_picture(data, None)[0].pixels, upright)
        assert any("upright" in n for n in notes) == (turn > 1)


def test_pixels_turn_where_the_exif_is_too_long_for_jpeg() -> None:
    exif = exif_bytes(6) + bytes(70_000)
    data, notes = written(Picture(noise(5, 8, RGB), exif=exif), "JPEG")
    assert read_picture(data, None)[0].pixels.shape == (8, 5, 3) and any("upright" in n for n in notes)


@pytest.mark.parametrize("turn", range(1, 9))
def test_tiff_in_and_out(turn: int) -> None:
    """Pillow turns a TIFF as it loads: what is stored is upright and says so."""
    pixels = noise(5, 8, RGB)
    data, notes = written(Picture(pixels, b"icc", exif_bytes(turn), b"<xmp/>"), "TIFF")
    with Image.open(BytesIO(data)) as image:
        assert isinstance(image, TiffImageFile)
        assert (image.tag_v2[256], image.tag_v2[257]) == (8, 5)  # width and height: not turned on the disk
        assert image.tag_v2[ORIENTATION] == turn
    again, _ = read_picture(data, None)
    expected = Image.fromarray(pixels)
    turned = ImageOps.exif_transpose(Image.open(BytesIO(save(expected, "PNG", exif=b"Exif\0\0" + exif_bytes(turn)))))
    assert np.array_equal(again.pixels, np.asarray(turned))
    assert notes == [] and again.icc == b"icc" and again.xmp == b"<xmp/>"
    exif = Image.Exif()
    exif.load(again.exif or b"")
    assert exif[ORIENTATION] == 1 and exif[ExifTags.Base.Make] == "Maker"
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 200
    assert ExifTags.Base.StripOffsets not in exif


def test_a_plain_tiff_has_no_exif() -> None:
    assert read_picture(save(Image.fromarray(noise(4, 4, 3)), "TIFF"), None)[0].exif is None


def test_damaged_exif_does_not_stop_writing() -> None:
    picture = Picture(noise(4, 4, RGB), exif=b"not a TIFF header")
    for format in ("TIFF", "AVIF"):
        _, notes = written(picture, format)
        assert notes == [f"its EXIF is damaged and not written to {format}"]
    assert orientation(picture.exif) == orientation(None) == orientation(b"") == 1


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_orientation_of_any_bytes(data: bytes, header: bool) -> None:
    assert 1 <= orientation(b"II*\0\x08\0\0\0" + data if header else data) <= 8


def test_from_image_takes_an_image_from_memory_or_file() -> None:
    pixels = noise(4, 6, RGB)
    assert np.array_equal(from_image(Image.fromarray(pixels))[0].pixels, pixels)
    data, _ = written(Picture(pixels, b"icc", exif_bytes(6), b"xmp"), "PNG")
    picture, _ = from_image(Image.open(BytesIO(data)))
    assert (picture.icc, picture.exif, picture.xmp) == (b"icc", exif_bytes(6), b"xmp")


def test_from_image_says_when_16_bits_were_cut() -> None:
    _, notes = from_image(Image.open(BytesIO(png(noise(4, 4, 3, np.uint16), 2))))
    assert notes == ["16-bit samples are cut to 8 bits"]


# Files


def test_a_picture_is_read_from_a_path_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(save(Image.fromarray(noise(4, 6, 3)), "PNG"))
    assert np.array_equal(read_picture(path, None)[0].pixels, noise(4, 6, 3))
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "none.png", None)


def test_the_sample_picture() -> None:
    picture, notes = read_picture(Path(__file__).parent / "data" / "kodim23.png", None)
    assert picture.pixels.shape == (512, 768, 3) and notes == []


@pytest.mark.parametrize(
    ("name", "format"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("b.c.jpeg", "JPEG"), ("x.tif", "TIFF"), ("x.ppm", "PPM")]
)
def test_format_of(name: str, format: str) -> None:
    assert format_of(name) == format_of(Path("folder") / name) == format


@pytest.mark.parametrize("name", ["a.vaec", "a", "a.xyz", "png", ".png", "a.pdf"])
def test_format_of_what_cannot_be_written(name: str) -> None:
    with pytest.raises(PictureError, match="cannot write"):
        format_of(name)


@pytest.mark.parametrize(("format", "width"), [("WEBP", 16384), ("JPEG", 65501), ("GIF", 65536)])
def test_sides_beyond_a_format_are_refused(format: str, width: int) -> None:
    with pytest.raises(PictureError, match="at most"):
        written(Picture(np.zeros((1, width, 3), np.uint8)), format)


def test_a_full_disk_is_an_error_of_the_system() -> None:
    class Full(BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    for format in ("PNG", "JPEG", "WEBP", "BMP"):
        with pytest.raises(OSError, match="No space") as caught:
            write_picture(Picture(noise(64, 64, RGB)), Full(), format)
        assert not isinstance(caught.value, VaecError)


def test_the_resolution_of_a_tiff_is_kept() -> None:
    source = BytesIO()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(source, "TIFF", dpi=(300, 300))
    picture, notes = read_picture(source.getvalue(), None)
    assert notes == []
    for format in ("TIFF", "JPEG"):
        written = BytesIO()
        assert write_picture(picture, written, format) == []
        assert Image.open(written).info["dpi"] == (300, 300)


def test_avif_says_that_it_changes_transparency() -> None:
    for value, said in ((255, []), (100, ["AVIF changes transparency a little"])):
        assert write_picture(Picture(np.full((9, 9, 4), value, np.uint8)), BytesIO(), "AVIF") == said


@pytest.mark.parametrize("format", ["TIFF", "AVIF"])
def test_an_orientation_that_is_no_number_does_not_stop_writing(format: str) -> None:
    text = struct.pack(">HHI4sI", ORIENTATION, 2, 3, b"up", 0)  # one tag, of type ASCII
    picture = Picture(np.zeros((9, 9, 3), np.uint8), exif=b"MM\0*" + struct.pack(">IH", 8, 1) + text)
    written = BytesIO()
    assert write_picture(picture, written, format) == [f"its EXIF is damaged and not written to {format}"]
    assert Image.open(written).size == (9, 9)
