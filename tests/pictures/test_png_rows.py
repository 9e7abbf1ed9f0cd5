"""PNG files read by rows: what Pillow reads of the same file, or the same refusal."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.picture_files import chunk, exif_bytes, noise, png, save
from tests.sample_pictures import picture
from vaecodec.errors import PictureError
from vaecodec.pictures import png_rows
from vaecodec.pictures.picture import Picture, Strips
from vaecodec.pictures.reading import read_picture

COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
HEAD = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True, scope="module")
def low() -> Iterator[None]:
    """Every picture counts as large, and has several bookmarks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vaecodec.pictures.picture.BY_ROWS_FROM", 1)
        patch.setattr(png_rows, "STEP", 300)
        patch.setattr(png_rows, "PIECE", 7)
        yield


def by_rows(data: bytes) -> tuple[Picture, list[str]]:
    found, notes = read_picture(data, None, by_rows=True)
    assert isinstance(found.pixels, Strips)
    return found, notes


def same(data: bytes, rows: bool = True) -> None:
    """Read by rows, if it is one of those files, the picture and what is said of it are those of the whole."""
    whole, said = read_picture(data, None)
    found, notes = read_picture(data, None, by_rows=True)
    assert isinstance(found.pixels, Strips) == rows
    assert notes == said and (found.icc, found.exif, found.xmp) == (whole.icc, whole.exif, whole.xmp)
    np.testing.assert_array_equal(np.asarray(found.pixels[:]), whole.pixels)


def filtered(samples: np.ndarray, cuts: list[int], seed: int) -> bytes:
    """A PNG of (H, W, C) bytes as they are behind filters, of which each row has some, in chunks of some lengths."""
    height, width, channels = samples.shape
    kinds = np.random.default_rng(seed).integers(0, 5, (height, 1), np.uint8)
    packed = zlib.compress(np.hstack((kinds, samples.reshape(height, -1))).tobytes(), 1)
    ends = sorted(cut % (len(packed) + 1) for cut in cuts)
    parts = [packed[a:b] for a, b in zip([0, *ends], [*ends, len(packed)], strict=True)]
    header = struct.pack(">IIBBBBB", width, height, 8, COLOURS[channels], 0, 0, 0)
    return HEAD + chunk(b"IHDR", header) + b"".join(chunk(b"IDAT", part) for part in parts) + chunk(b"IEND", b"")


places = st.lists(st.tuples(st.integers(0, 59), st.integers(1, 60)), max_size=8)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 60), st.integers(1, 40), st.integers(1, 4), st.lists(st.integers(0, 9999)), places)
def test_any_rows_in_any_order(height: int, width: int, channels: int, cuts: list[int], wanted: Any) -> None:
    data = filtered(noise(height, width, channels), cuts, height)
    whole = read_picture(data, None)[0].pixels
    found = by_rows(data)[0].pixels
    for first, count in wanted:
        if first < height:
            np.testing.assert_array_equal(found[first : first + count], whole[first : first + count])
    np.testing.assert_array_equal(np.asarray(found), whole)


def test_each_step_is_read_once_from_above_and_again_from_its_bookmark(monkeypatch: pytest.MonkeyPatch) -> None:
    data = filtered(noise(60, 30, 3), [], 1)
    steps: list[int] = []
    read = png_rows.Rows.read
    monkeypatch.setattr(png_rows.Rows, "read", lambda self, number: steps.append(number) or read(self, number))
    found = by_rows(data)[0].pixels
    for row in range(60):
        found[row : row + 1]
    assert steps == list(range(20))
    found[31:32]
    assert steps[20:] == [10]


PALETTE = Image.fromarray(picture(19, 31)).quantize(40)


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (PALETTE, {}),
        (PALETTE, {"transparency": 3}),
        (PALETTE, {"transparency": bytes(range(0, 200, 5))}),
        (Image.fromarray(picture(19, 31, 1)[..., 0]), {"transparency": 77}),
        (Image.fromarray(picture(19, 31, 4)), {}),
        (Image.fromarray(picture(19, 31, 2)), {}),
        (Image.fromarray(picture(19, 31)), {"dpi": (300, 200)}),
    ],
    ids=["palette", "a clear colour", "alphas", "a clear grey", "RGBA", "LA", "dpi"],
)
def test_plain_pictures(image: Image.Image, options: dict[str, Any]) -> None:
    if image.mode == "P":
        image = image.copy()
        options = {"bits": 8, **options}
    same(save(image, "PNG", **options))


@pytest.mark.parametrize(
    "data",
    [
        save(Image.fromarray(picture(9, 9)), "PNG", transparency=(1, 2, 3)),
        save(Image.fromarray(picture(9, 9)).quantize(4), "PNG"),
        save(Image.fromarray(picture(9, 9, 1)[..., 0]).convert("1"), "PNG"),
        png(noise(5, 6, 4, np.uint16), 6),
    ],
    ids=["a clear colour", "2 bits", "1 bit", "16 bits"],
)
def test_others_are_read_whole(data: bytes) -> None:
    same(data, rows=False)


def interlaced() -> bytes:
    """One pixel by Adam7."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 1)
    return HEAD + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\x55")) + chunk(b"IEND", b"")


def test_interlaced_and_animated_ones_are_not_read_here() -> None:
    assert png_rows.survey(BytesIO(interlaced())) is None
    frames = [Image.fromarray(noise(4, 4, 3, seed=n)) for n in range(2)]
    assert png_rows.survey(BytesIO(save(frames[0], "PNG", save_all=True, append_images=frames[1:]))) is None


def test_metadata_before_and_behind_the_pixels() -> None:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "<xmp/>")
    before = save(Image.fromarray(noise(9, 9, 3)), "PNG", pnginfo=info, icc_profile=b"icc", exif=exif_bytes(6))
    same(before)
    end = chunk(b"IEND", b"")
    xmp = chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + b"<later/>")
    behind = filtered(noise(9, 9, 3), [5], 1).removesuffix(end) + chunk(b"eXIf", exif_bytes(3)) + xmp + end
    same(behind)
    assert by_rows(behind)[0].xmp == b"<later/>" and by_rows(behind)[0].exif == exif_bytes(3)


def test_pixels_behind_other_chunks_do_not_count() -> None:
    """As for Pillow: chunks of pixels stand one behind the other."""
    data = filtered(noise(30, 9, 3), [200], 1)
    at = data.index(b"IDAT", data.index(b"IDAT") + 4) - 4
    data = data[:at] + chunk(b"tEXt", b"a\0b") + data[at:]
    with pytest.raises(PictureError):
        read_picture(data, None)
    with pytest.raises(PictureError, match="damaged or truncated"):
        by_rows(data)[0].pixels[:]


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1), st.integers(0, 255), st.floats(0, 1))
def test_damage_gives_a_sentence(where: float, byte: int, cut: float) -> None:
    """Or harms nothing; what is missing is missed."""
    data = bytearray(save(Image.fromarray(picture(40, 30)), "PNG", exif=exif_bytes()))
    data[round(where * (len(data) - 1))] = byte
    data = data[: round(cut * len(data))] if cut < 0.5 else data
    try:
        read_picture(bytes(data), None, by_rows=True)[0].pixels[:]
    except PictureError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_files_are_refused(share: float) -> None:
    data = filtered(noise(40, 30, 3), [300, 900], 1)
    found = by_rows(data[: round(share * len(data))])[0].pixels
    with pytest.raises(PictureError, match="damaged or truncated"):
        found[:]


def test_a_file_that_is_replaced_meanwhile(tmp_path: Path) -> None:
    path, data = tmp_path / "a.png", filtered(noise(40, 30, 3), [], 1)
    path.write_bytes(data)
    found = read_picture(path, None, by_rows=True)[0].pixels
    first = found[:4].copy()
    path.write_bytes(data[:200])
    with pytest.raises(PictureError, match="damaged or truncated"):
        found[20:]
    path.unlink()
    with pytest.raises(OSError):
        found[20:]
    path.write_bytes(data)
    np.testing.assert_array_equal(found[:4], first)
    np.testing.assert_array_equal(np.asarray(found), read_picture(data, None)[0].pixels)


def test_a_header_that_promises_much_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_rows, "STEP", 2**23)
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    bomb = HEAD + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    tracemalloc.start()
    try:
        found = by_rows(bomb)[0].pixels
        with pytest.raises(PictureError, match="too early"):
            found[:1]
        assert tracemalloc.get_traced_memory()[1] < 3 * png_rows.STEP
    finally:
        tracemalloc.stop()


def test_more_than_is_wanted_is_not_unpacked() -> None:
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    bomb = HEAD + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**8))) + chunk(b"IEND", b"")
    tracemalloc.start()
    try:
        assert not by_rows(bomb)[0].pixels[:].any()
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_long_other_chunks_are_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_rows, "OTHERS_MAX", 1000)
    data = filtered(noise(9, 9, 3), [], 1)
    long = data.removesuffix(chunk(b"IEND", b"")) + chunk(b"prIv", bytes(2000)) + chunk(b"IEND", b"")
    assert png_rows.survey(BytesIO(data)) and png_rows.survey(BytesIO(long)) is None
    np.testing.assert_array_equal(by_rows(long)[0].pixels[:], by_rows(data)[0].pixels[:])
