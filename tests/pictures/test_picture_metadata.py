"""Picture files in and out: metadata, names, and what a format does not hold."""

from __future__ import annotations

import errno
import struct
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

from tests.picture_files import GREY, ORIENTATION, RGB, exif_bytes, noise, png, save, written
from vaecodec.errors import PictureError, VaecError
from vaecodec.pictures.exif import orientation
from vaecodec.pictures.from_pillow import from_image
from vaecodec.pictures.picture import Picture
from vaecodec.pictures.reading import read_picture
from vaecodec.pictures.writing import format_of, write_picture

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
    picture, notes = read_picture(Path(__file__).parents[1] / "data" / "kodim23.png", None)
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
