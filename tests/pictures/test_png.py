"""PNG files as we write them, read by Pillow."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.commands import Run, pixels_of, vaec_file
from tests.picture_files import exif_bytes, noise
from tests.sample_pictures import picture
from vaecodec.pictures import png
from vaecodec.pictures.exif import density_exif
from vaecodec.pictures.picture import Picture, strips
from vaecodec.pictures.png import write_png


def written(picture: Picture, level: int = 2) -> bytes:
    target = BytesIO()
    write_png(picture, target, level)
    return target.getvalue()


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of each."""
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 4), st.integers(0, 9), st.integers(1, 500))
def test_pixels_come_back(height: int, width: int, channels: int, level: int, step: int) -> None:
    pixels = noise(height, width, channels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(png, "STEP", step)
        data = written(Picture(pixels), level)
        fetched = strips(pixels.shape, lambda first, last: pixels[first:last])
        assert written(Picture(fetched), level) == data
    with Image.open(BytesIO(data)) as image:
        image.load()
        assert image.mode == ("", "L", "LA", "RGB", "RGBA")[channels]
        np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)
    with Image.open(BytesIO(data)) as image:
        image.verify()  # the checksums


def test_pixels_that_lie_otherwise_in_memory() -> None:
    pixels = noise(20, 30, 4)[::2, ::-1, :3]
    np.testing.assert_array_equal(pixels_of(written(Picture(pixels))), pixels)


def test_a_higher_level_makes_a_smaller_file() -> None:
    sizes = [len(written(Picture(picture(200, 200)), level)) for level in (0, 2, 9)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 1.2 * sizes[1] and sizes[1] > sizes[2]


def test_metadata_stands_before_the_pixels() -> None:
    found = chunks(written(Picture(noise(4, 5, 3), b"icc", exif_bytes(6), b"<xmp/>")))
    assert [kind for kind, _ in found] == [b"IHDR", b"iCCP", b"eXIf", b"iTXt", b"IDAT", b"IDAT", b"IEND"]
    assert chunks(written(Picture(noise(4, 5, 3))))[1][0] == b"IDAT"


def test_a_resolution_has_a_field_of_its_own() -> None:
    with Image.open(BytesIO(written(Picture(noise(4, 5, 3), exif=density_exif((300, 150)))))) as image:
        assert image.info["dpi"] == pytest.approx((300, 150), rel=1e-3)


def test_the_level_of_the_command_line(run: Run) -> None:
    vaec_file("a.vaec")
    sizes = []
    for options in ([], ["--png-level", "0"], ["--png-level", "2"]):
        assert run("decode", "-f", *options, "a.vaec", "a.png").code == 0
        sizes.append(Path("a.png").read_bytes())
    assert sizes[0] == sizes[2] != sizes[1]
    np.testing.assert_array_equal(pixels_of(sizes[0]), pixels_of(sizes[1]))
    assert run("decode", "-f", "--png-level", "10", "a.vaec", "a.png").code == 2
