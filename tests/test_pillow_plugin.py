"""Pillow with `.vaec`: opening lazily, saving with options, metadata, and what imageio makes of it."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from pictures import picture
from PIL import Image, UnidentifiedImageError

import vaecodec
from vaecodec import container

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
        assert opened.get_format_mimetype() == "image/x-vaec"
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


def test_other_modes_are_refused() -> None:
    with pytest.raises(OSError, match="cannot write mode P as VAEC"):
        saved(Image.fromarray(picture(8, 8)).convert("P"))


def test_opening_reads_no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own check against bombs comes first."""
    data = bytearray(saved(Image.fromarray(picture(8, 8))))
    header = container.Header.unpack(bytes(data[16:48]))
    huge = container.Header(**{**vars(header), "width": 30_000, "height": 30_000})
    data[16:48] = huge.pack()
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


def test_a_file_that_is_closed_stays_usable_once_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a.vaec"
    Image.fromarray(picture(20, 20)).save(path)
    with Image.open(path) as image:
        image.load()
    assert image.getpixel((3, 3)) is not None
    thumbnail = Image.open(path)
    thumbnail.thumbnail((10, 10))
    assert thumbnail.size == (10, 10)


def test_imageio_reads_and_writes(tmp_path: Path) -> None:
    pixels, path = picture(30, 40), tmp_path / "a.vaec"
    iio.imwrite(path, pixels, plugin="pillow", format="VAEC", quality=50)
    assert path.read_bytes() == vaecodec.encode(pixels, 50)
    np.testing.assert_array_equal(iio.imread(path), vaecodec.decode(path.read_bytes()))
    assert iio.improps(path).shape == (30, 40, 3)
