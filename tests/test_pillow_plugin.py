"""Pillow with `.vaec`: opening lazily, saving with options, metadata, and what imageio makes of it."""

from __future__ import annotations

import copy
import io
import mimetypes
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import VECTORS
from PIL import Image, UnidentifiedImageError

import vaecodec
from tests.files_with_faults import with_header
from tests.picture_files import inks_profile
from tests.sample_pictures import picture
from vaecodec.api import default_codec
from vaecodec.bitstream import container
from vaecodec.pillow_plugin import VaecImageFile

vaecodec.register()


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "VAEC", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_round_trip_of_all_modes(tmp_path: Path, channels: int, mode: str) -> None:
    pixels = picture(40, 50, channels)
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    path = tmp_path / "a.vaec"
    image.save(path, quality=60)
    with Image.open(path) as opened:
        assert (opened.format, opened.mode, opened.size) == ("VAEC", mode, (50, 40))
        assert opened.get_format_mimetype() == "image/vaec" == mimetypes.guess_type("a.vaec")[0]
        assert opened.info["quality"] == 60 and opened.info["model"] == "base"
        np.testing.assert_array_equal(np.asarray(opened).reshape(pixels.shape), vaecodec.decode(path.read_bytes()))
        np.testing.assert_array_equal(np.asarray(opened.copy()), np.asarray(opened))


def test_options_are_those_of_encode() -> None:
    image = Image.fromarray(picture(130, 150))
    assert saved(image) == vaecodec.encode(image)
    assert saved(image, quality=30, effort=1) == vaecodec.encode(image, 30, effort=1)
    assert len(saved(image, target_size=8000)) <= 8000
    with pytest.raises(ValueError, match="exclude"):
        saved(image, quality=50, target_size=8000)
    with pytest.raises(ValueError, match="quality"):
        saved(image, quality=101)


def test_metadata_is_kept_replaced_or_removed() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    data = saved(Image.fromarray(picture(8, 8)), exif=exif, icc_profile=b"profile", xmp=b"<x/>")
    with Image.open(io.BytesIO(data)) as image:
        assert dict(image.getexif()) == dict(exif)
        assert (image.info["icc_profile"], image.info["xmp"]) == (b"profile", b"<x/>")
        again = saved(image)
        bare = saved(image, exif=b"", icc_profile=None, xmp=b"")
        jpeg = io.BytesIO()
        image.save(jpeg, "JPEG", exif=image.info["exif"])
    assert container.parse(again).metadata == container.parse(data).metadata
    assert container.parse(bare).metadata == {}
    assert dict(Image.open(jpeg).getexif()) == dict(exif)


def in_mode(mode: str) -> Image.Image:
    """An image of 8 x 8, with what Pillow converts to the mode, or what has its bytes."""
    colours = Image.fromarray(picture(8, 8, 4))
    if mode == "I;16":
        return Image.fromarray(np.arange(0, 64 * 1000, 1000, np.uint16).reshape(8, 8))
    if mode == "PA":
        return colours.convert("LA").convert("PA")
    return colours.convert("LA" if mode == "La" else "RGBA" if mode == "RGBa" else "RGB").convert(mode)


@pytest.mark.parametrize(
    ("mode", "becomes"),
    [
        *(("P", "RGB"), ("PA", "RGBA"), ("1", "L"), ("I;16", "L"), ("CMYK", "RGB"), ("YCbCr", "RGB"), ("La", "LA")),
        *(("RGBX", "RGB"), ("RGBa", "RGBA"), ("HSV", "RGB"), ("I", "L")),
    ],
)
def test_other_modes_are_saved_as_what_they_show(mode: str, becomes: str) -> None:
    image = in_mode(mode)
    assert image.mode == mode
    shown = image if mode in ("I;16", "I") else image.convert(becomes)
    with Image.open(io.BytesIO(saved(image, quality=90))) as again:
        assert again.mode == becomes
        wanted = np.asarray(shown).astype(float) / (257 if mode == "I;16" else 1)
        assert np.abs(np.asarray(again)[..., :] - wanted).mean() < 12
    assert saved(image, quality=90) == vaecodec.encode(image, 90)


def test_a_transparent_palette_is_saved_with_alpha() -> None:
    image = Image.fromarray(picture(8, 8)).convert("P")
    image.info["transparency"] = 0
    assert Image.open(io.BytesIO(saved(image))).mode == "RGBA"


@pytest.mark.parametrize("mode", ["F", "LAB"])
def test_modes_without_a_place_are_refused(mode: str) -> None:
    with pytest.raises(OSError, match=f"cannot write mode {mode} as VAEC"):
        saved(Image.new(mode, (8, 8)))
    with pytest.raises(OSError, match="16 bits"):
        saved(Image.new("I", (8, 8), -1))


def test_inks_are_saved_without_the_profile_that_they_came_through() -> None:
    """Also where it is handed on, as programs do that know Pillow's other plugins."""
    image, profile = Image.new("CMYK", (8, 8), (0, 255, 255, 0)), inks_profile()
    image.info["icc_profile"] = profile
    bare = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    data = saved(image)
    assert data == saved(image, icc_profile=profile) == saved(bare, icc_profile=profile) != saved(bare)
    assert "icc_profile" not in Image.open(io.BytesIO(data)).info and "icc_profile" not in bare.info


def test_the_frame_that_an_image_is_at_is_saved() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 0, 250))]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    with Image.open(stream) as image:
        image.seek(1)
        pixel = Image.open(io.BytesIO(saved(image))).convert("RGB").getpixel((4, 4))
    assert isinstance(pixel, tuple) and pixel[2] > 200 > pixel[0]


def test_opening_reads_no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own check against bombs comes first."""
    data = with_header(saved(Image.fromarray(picture(8, 8))), width=30_000, height=30_000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (30_000, 30_000)
        with pytest.raises(OSError, match=r"checksum|tiles"):
            image.load()


def test_opening_loads_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "a.vaec"
    path.write_bytes(saved(Image.fromarray(picture(8, 8))))
    code = "import sys, vaecodec.pillow_plugin as p; p.Image.open(sys.argv[1]); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_damage() -> None:
    data = saved(Image.fromarray(picture(40, 40)))
    for n in (0, 5, 8, 14):
        with pytest.raises((UnidentifiedImageError, OSError)):
            Image.open(io.BytesIO(data[:n]))
    newer = bytearray(data)
    newer[16] = 99
    with pytest.raises(OSError, match="version 99"):
        Image.open(io.BytesIO(newer))
    for bad in (data[:-20], data[:200] + b"?" + data[201:]):
        with Image.open(io.BytesIO(bad)) as image, pytest.raises(OSError, match=r"end|checksum"):
            image.load()


@pytest.mark.parametrize("name", ["small-overlay-mixed", "small-tiles-64-200x150", "small-with-all"])
def test_verify_takes_whole_files(name: str) -> None:
    with Image.open(VECTORS / "valid" / f"{name}.vaec") as image:
        image.verify()


def test_verify_finds_every_damage() -> None:
    """In whatever byte it is, as the command does; none is made pixels of."""
    data = saved(Image.fromarray(picture(40, 40)), exif=b"Exif\0\0II*\0", preview=True)
    for at in range(60, len(data), 17):
        with Image.open(io.BytesIO(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])) as image:
            with pytest.raises(OSError, match=r"checksum|end|chunk"):
                image.verify()
            assert image._im is None
    for end in (60, len(data) - 30, len(data) - 1):
        with Image.open(io.BytesIO(data[:end])) as image, pytest.raises(OSError, match="end"):
            image.verify()
    with Image.open(VECTORS / "invalid" / "empty-tile.vaec") as image, pytest.raises(OSError):
        image.verify()


def test_verify_comes_before_loading_and_ends_it() -> None:
    data = saved(Image.fromarray(picture(8, 8)))
    image = Image.open(io.BytesIO(data))
    image.load()
    image.verify()
    assert image.size == (8, 8) and image.copy().size == (8, 8)
    verified = Image.open(io.BytesIO(data))
    verified.verify()
    with pytest.raises(OSError, match="cannot load"):
        verified.load()


def test_lossless_is_refused(tmp_path: Path) -> None:
    image, path = Image.fromarray(picture(8, 8)), tmp_path / "a.vaec"
    with pytest.raises(ValueError, match=r"^\.vaec files are lossy"):
        image.save(path, lossless=True)
    assert not path.exists()
    assert saved(image, lossless=False) == saved(image)


class OneWay:
    """A stream that can be read once, from the beginning on, as a socket's."""

    def __init__(self, data: bytes) -> None:
        self.stream = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self.stream.read(size)


def test_streams_that_cannot_be_moved() -> None:
    data = saved(Image.fromarray(picture(40, 50)))
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        with os.fdopen(writing, "wb") as other:
            other.write(data)
        for stream in (OneWay(data), pipe):
            with Image.open(stream) as image:  # type: ignore[arg-type]
                np.testing.assert_array_equal(np.asarray(image), vaecodec.decode(data))


def test_streams_that_others_have_moved() -> None:
    data = saved(Image.fromarray(picture(40, 50)))
    stream = io.BytesIO(data)
    stream.seek(20)
    image = Image.open(stream)
    stream.seek(7)
    np.testing.assert_array_equal(np.asarray(image), vaecodec.decode(data))


def test_a_file_within_another() -> None:
    """As Pillow's plugins for containers read what they hold: from where the stream is."""
    data = saved(Image.fromarray(picture(40, 50)), xmp=b"<x/>")
    for action in (VaecImageFile.load, VaecImageFile.verify):
        stream = io.BytesIO(b"something else" + data)
        stream.seek(14)
        image = VaecImageFile(stream)
        assert image.info["xmp"] == b"<x/>"
        action(image)


@pytest.mark.parametrize("through", [lambda image: pickle.loads(pickle.dumps(image)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize("loaded", [False, True])
def test_copies_of_an_image(through: Callable[[Image.Image], Image.Image], loaded: bool) -> None:
    data = saved(Image.fromarray(picture(20, 30)))
    image = Image.open(io.BytesIO(data))
    if loaded:
        image.load()
    other = through(image)
    for one in (other, other.copy(), other.convert("RGB"), image):
        np.testing.assert_array_equal(np.asarray(one), vaecodec.decode(data))


def test_eight_threads_of_an_image_each() -> None:
    data = saved(Image.fromarray(picture(60, 80)))
    expected = Image.fromarray(vaecodec.decode(data))

    def work(number: int) -> None:
        image = Image.open(io.BytesIO(data))
        for one, same in ((image.copy(), expected), (image.convert("L"), expected.convert("L"))):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(same))
        small = expected.copy()
        for one in (image, small):
            one.thumbnail((20, 20))
        np.testing.assert_array_equal(np.asarray(image), np.asarray(small))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8), timeout=120))


def test_eight_threads_of_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is decoded once: the others wait."""
    data = saved(Image.fromarray(picture(60, 80)))
    image, expected = Image.open(io.BytesIO(data)), vaecodec.decode(data)
    codec, calls, second = default_codec(), [], threading.Event()

    class Slow:
        def decode(self, *arguments: Any, **options: Any) -> vaecodec.Picture:
            calls.append(1)
            if len(calls) > 1:
                second.set()
            second.wait(0.3)  # for one that there must not be
            return codec.decode(*arguments, **options)

    monkeypatch.setattr("vaecodec.api.default_codec", Slow)
    with ThreadPoolExecutor(8) as pool:
        for copied in pool.map(lambda _: image.copy(), range(8), timeout=120):
            np.testing.assert_array_equal(np.asarray(copied), expected)
    assert len(calls) == 1


def test_a_file_that_is_closed_stays_usable_once_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a.vaec"
    Image.fromarray(picture(20, 20)).save(path)
    with Image.open(path) as image:
        image.load()
    assert image.getpixel((3, 3)) is not None
    thumbnail = Image.open(path)
    thumbnail.thumbnail((10, 10))
    assert thumbnail.size == (10, 10)


def test_a_draft_is_as_that_of_a_jpeg() -> None:
    """The same sizes, boxes and answers, with whatever is asked for; but for a mode, which stays."""
    pixels = Image.fromarray(picture(123, 250))
    data, jpeg = saved(pixels), io.BytesIO()
    pixels.save(jpeg, "JPEG")
    for size in ((250, 123), (126, 62), (125, 61), (60, 60), (60, 20), (31, 15), (9, 9), (1, 1), (400, 10), (30, 1)):
        image, other = Image.open(io.BytesIO(data)), Image.open(jpeg)
        found, expected = image.draft(None, size), other.draft(None, size)
        assert image.size == other.size
        assert found == (expected if image.size != (250, 123) else None)
        scale = round(250 / image.width)
        np.testing.assert_array_equal(np.asarray(image), vaecodec.decode(data, scale=scale))
    for size in (None, (0, 0)):
        image = Image.open(io.BytesIO(data))
        assert image.draft("L", size) == (None if size is None else ("RGB", (0, 0, 250 / 8, 123 / 8)))


def test_a_draft_comes_before_loading_and_once() -> None:
    data = saved(Image.fromarray(picture(123, 250)))
    image = Image.open(io.BytesIO(data))
    assert image.draft(None, (100, 50)) == ("RGB", (0, 0, 125, 61.5))
    assert image.draft(None, (10, 5)) is None and image.size == (125, 62)
    image.load()
    assert image.draft(None, (10, 5)) is None and image.size == (125, 62)
    loaded = Image.open(io.BytesIO(data))
    loaded.load()
    assert loaded.draft(None, (10, 5)) is None and loaded.size == (250, 123)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_thumbnails_decode_no_more_than_they_need(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = picture(400, 640, channels)
    data = saved(Image.fromarray(pixels[..., 0] if channels == 1 else pixels))
    whole = Image.fromarray(vaecodec.decode(data).squeeze())
    whole.thumbnail((70, 70))
    monkeypatch.delattr("vaecodec.codec.codec.Codec.decode")  # the whole picture
    image = Image.open(io.BytesIO(data))
    image.thumbnail((70, 70))
    assert (image.size, image.mode) == (whole.size, whole.mode) == ((70, 44), whole.mode)
    assert np.abs(np.asarray(image).astype(int) - np.asarray(whole)).mean() < 4


@pytest.mark.parametrize("through", [pickle.dumps, copy.copy, copy.deepcopy, Image.Image.copy, VaecImageFile.load])
def test_a_draft_of_a_damaged_file(through: Callable[[Image.Image], Any]) -> None:
    data = saved(Image.fromarray(picture(123, 250)))
    image = Image.open(io.BytesIO(data[:-20]))
    image.draft(None, (20, 20))
    with pytest.raises(OSError, match="end"):
        through(image)


def test_imageio_reads_and_writes(tmp_path: Path) -> None:
    pixels, path = picture(30, 40), tmp_path / "a.vaec"
    iio.imwrite(path, pixels, plugin="pillow", format="VAEC", quality=50)
    assert path.read_bytes() == vaecodec.encode(pixels, 50)
    np.testing.assert_array_equal(iio.imread(path), vaecodec.decode(path.read_bytes()))
    assert iio.improps(path).shape == (30, 40, 3)
    assert iio.imwrite("<bytes>", pixels, extension=".vaec") == vaecodec.encode(pixels)
    assert iio.imwrite("<bytes>", pixels, extension=".vaec", quality=50) == path.read_bytes()
    np.testing.assert_array_equal(iio.imread(path.read_bytes()), iio.imread(path))
    np.testing.assert_array_equal(iio.imread(path.read_bytes(), extension=".vaec"), iio.imread(path))
