"""Picture files that are not one plain picture: several frames, inks, formats that Pillow does not read."""

from __future__ import annotations

import io
import struct
import sys
from importlib.util import find_spec

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.picture_files import exif_bytes, formula, inks_profile, noise, save
from vaecodec.errors import LimitError, PictureError
from vaecodec.pictures import jxl
from vaecodec.pictures.exif import orientation, turned_upright
from vaecodec.pictures.from_pillow import from_image
from vaecodec.pictures.reading import read_picture

COLOURS = [(250, 10, 10), (10, 250, 10), (10, 10, 250)]
SEVERAL = ["GIF", "PNG", "WEBP", "TIFF", "AVIF", "MPO"]


def animation(format: str) -> bytes:
    frames = [Image.new("RGB", (16, 8), colour) for colour in COLOURS]
    return save(frames[0], format, save_all=True, append_images=frames[1:])


# Several pictures in a file


@pytest.mark.parametrize("format", SEVERAL)
def test_the_first_of_several_pictures_is_taken_with_a_note(format: str) -> None:
    picture, notes = read_picture(animation(format), None)
    assert picture.pixels.shape[:2] == (8, 16) and picture.pixels[4, 8, 0] > 240
    assert "the first of 3 pictures in the file is kept; --frame takes another" in notes


@pytest.mark.parametrize("format", SEVERAL)
def test_a_frame_is_chosen(format: str) -> None:
    for number in (1, 2, 3):
        picture, notes = read_picture(animation(format), None, frame=number)
        assert np.abs(picture.pixels[4, 8, :3].astype(int) - COLOURS[number - 1]).max() < 12
        assert not any("first" in note for note in notes)


@pytest.mark.parametrize("format", SEVERAL)
def test_a_frame_that_is_not_there(format: str) -> None:
    with pytest.raises(PictureError, match=r"^there is no picture 4 for --frame: the file has 3 pictures$"):
        read_picture(animation(format), None, frame=4)
    plain = save(Image.new("RGB", (8, 8)), "JPEG" if format == "MPO" else format)
    with pytest.raises(PictureError, match=r"the file has one picture$"):
        read_picture(plain, None, frame=2)
    assert read_picture(plain, None, frame=1)[0].width == 8


def test_pages_have_sizes_and_depths_of_their_own() -> None:
    deep = noise(9, 31, 1, np.uint16)
    pages = [Image.fromarray(noise(5, 7, 3)), Image.fromarray(deep[..., 0]), Image.new("1", (400, 300))]
    data = save(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert np.array_equal(read_picture(data, None, frame=2)[0].pixels, formula(deep))
    with pytest.raises(LimitError, match="400 x 300"):
        read_picture(data, 1000, frame=3)


def test_an_image_of_pillow_is_taken_at_the_frame_it_is_at() -> None:
    image = Image.open(io.BytesIO(animation("GIF")))
    image.seek(2)
    assert from_image(image)[0].pixels[4, 8, 2] > 240


# Inks


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_inks_go_through_their_profile(format: str) -> None:
    image, profile = Image.fromarray(noise(16, 16, 4), "CMYK"), inks_profile()
    data = save(image, format, icc_profile=profile)
    picture, notes = read_picture(data, None)
    assert notes == ["CMYK is converted to sRGB through its profile"] and picture.icc is None
    with Image.open(io.BytesIO(data)) as again:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        flags, intent = ImageCms.Flags.BLACKPOINTCOMPENSATION, ImageCms.Intent.RELATIVE_COLORIMETRIC
        expected = ImageCms.profileToProfile(again, source, target, intent, "RGB", flags=flags)
        assert np.array_equal(picture.pixels, np.asarray(expected))
        assert not np.array_equal(picture.pixels, np.asarray(again.convert("RGB")))


@pytest.mark.parametrize(
    ("profile", "note"),
    [
        (b"", "CMYK without a profile is converted to RGB by an estimate"),
        (b"no profile", "CMYK is converted to RGB by an estimate: its profile cannot be used"),
        (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), "its profile cannot be used"),
    ],
)
def test_inks_without_a_profile_are_estimated(profile: bytes, note: str) -> None:
    image = Image.fromarray(noise(16, 16, 4), "CMYK")
    picture, notes = read_picture(save(image, "TIFF", icc_profile=profile or None), None)
    assert len(notes) == 1 and notes[0].endswith(note) and picture.icc is None
    assert np.array_equal(picture.pixels, np.asarray(image.convert("RGB")))


# Formats and variants that Pillow does not read


def bmp(header: int = 40, bits: int = 24, compression: int = 0) -> bytes:
    info = struct.pack("<IiiHHIIiiII", header, 8, 8, 1, bits, compression, 192, 2835, 2835, 0, 0)
    return struct.pack("<2sIII", b"BM", 54 + 192, 0, 54) + info + bytes(192 + max(0, header - 40))


@pytest.mark.parametrize("variant", [{"header": 77}, {"bits": 2}, {"compression": 4}, {"bits": 64}])
def test_variants_of_bmp_are_not_supported_rather_than_damaged(variant: dict[str, int]) -> None:
    assert read_picture(bmp(), None)[0].pixels.shape == (8, 8, 3)
    with pytest.raises(PictureError, match=r"^this kind of BMP file is not supported") as caught:
        read_picture(bmp(**variant), None)
    assert "damaged" not in str(caught.value)


def test_a_tiff_of_unknown_samples_is_not_supported() -> None:
    data = save(Image.new("RGB", (8, 8)), "TIFF").replace(
        struct.pack("<HHII", 262, 3, 1, 2), struct.pack("<HHII", 262, 3, 1, 9)
    )
    with pytest.raises(PictureError, match=r"^this kind of TIFF file is not supported"):
        read_picture(data, None)


def test_pictures_that_need_another_program_are_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", False)
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(PictureError, match=r"^this kind of picture is not supported \(Unable to locate Ghostscript"):
        read_picture(data, None)


def test_a_compression_of_tiff_that_libtiff_lacks_is_not_supported() -> None:
    """Which ones it has, nobody says: it is told of any failure."""
    data = save(Image.new("RGB", (8, 8)), "TIFF", compression="tiff_deflate")
    other = data.replace(struct.pack("<HHIHH", 259, 3, 1, 8, 0), struct.pack("<HHIHH", 259, 3, 1, 50001, 0))
    assert other != data
    with pytest.raises(PictureError, match=r"^this kind of picture is not supported \(TIFF with webp"):
        read_picture(other, None)


def test_damaged_data_is_not_called_unsupported() -> None:
    data = bytearray(save(Image.fromarray(noise(64, 64, 3)), "PNG"))
    data[3000:3100] = bytes(100)
    with pytest.raises(PictureError, match="damaged"):
        read_picture(bytes(data), None)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.mark.skipif(find_spec("pillow_heif") is not None, reason="it reads them")
def test_heif_needs_a_package() -> None:
    with pytest.raises(PictureError, match=r"^HEIF is not supported without another package: pip install pillow-heif$"):
        read_picture(HEIC, None)


ours = pytest.mark.skipif(find_spec("pillow_jxl") is not None, reason="Pillow reads them")


@ours
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_jpeg_xl_by_imagecodecs(channels: int) -> None:
    pixels = noise(40, 56, channels)
    data = imagecodecs.jpegxl_encode(pixels[..., 0] if channels == 1 else pixels, lossless=True)
    picture, notes = read_picture(data, None)
    assert np.array_equal(picture.pixels, pixels) and notes == [jxl.NO_PROFILE]
    deep = noise(9, 13, 3, np.uint16)
    picture, notes = read_picture(imagecodecs.jpegxl_encode(deep, lossless=True), None)
    assert np.array_equal(picture.pixels, formula(deep)) and "samples of more than 8 bits are reduced to 8" in notes


@ours
def test_jpeg_xl_with_frames_metadata_and_limits() -> None:
    frames = noise(3 * 20, 30, 3).reshape(3, 20, 30, 3)
    data = imagecodecs.jpegxl_encode(frames, lossless=True)
    assert np.array_equal(read_picture(data, None, frame=3)[0].pixels, frames[2])
    assert "first of 3" in read_picture(data, None)[1][0]
    with pytest.raises(PictureError, match="3 pictures"):
        read_picture(data, None, frame=4)
    exif = struct.pack(">I", 0) + exif_bytes(6)
    boxes = [
        (b"JXL ", b"\r\n\x87\n"),
        (b"ftyp", b"jxl \0\0\0\0jxl "),
        (b"Exif", exif),
        (b"xml ", b"<x/>"),
        (b"jxlc", data),
    ]
    whole = b"".join(struct.pack(">I4s", 8 + len(content), kind) + content for kind, content in boxes)
    picture, _ = read_picture(whole, None)
    assert picture.exif == exif_bytes(1) and picture.xmp == b"<x/>"
    for stream in (data, whole):
        with pytest.raises(LimitError, match="30 x 20"):
            read_picture(stream, 500)
        with pytest.raises(PictureError, match="damaged"):
            read_picture(stream[:-20], None)


@ours
@pytest.mark.parametrize(
    ("height", "width"), [(8, 8), (256, 256), (600, 800), (10, 700), (9000, 5), (720, 1280), (1, 9)]
)
def test_sizes_of_jpeg_xl(height: int, width: int) -> None:
    data = imagecodecs.jpegxl_encode(np.zeros((height, width), np.uint8), lossless=True)
    assert jxl.size_of(jxl.codestream(data)) == (width, height)


def test_jpeg_xl_without_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    data = imagecodecs.jpegxl_encode(noise(8, 8, 3))
    monkeypatch.setattr(jxl, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(
        PictureError, match=r"^JPEG XL is not supported .* pip install imagecodecs or pillow-jxl-plugin$"
    ):
        read_picture(data, None)


@pytest.mark.parametrize("order", ["II*\0", "MM\0*"])
def test_an_orientation_is_taken_back(order: str) -> None:
    image = Image.Exif()
    image.endian = "<" if order == "II*\0" else ">"
    image[0x112], image[0x10F] = 6, "Maker"
    exif = image.tobytes().removeprefix(b"Exif\0\0")
    upright = turned_upright(exif)
    assert orientation(exif) == 6 and orientation(upright) == 1 and len(upright) == len(exif)
    assert turned_upright(b"no exif") == b"no exif"
