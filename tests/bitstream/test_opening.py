"""Pictures are opened under a limit of our own, and nothing that belongs to the whole process is read or set."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import types
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import VECTORS
from PIL import ExifTags, Image

import vaecodec
from tests.picture_files import chunk, exif_bytes, noise, png, save, tiff16
from tests.sample_pictures import picture
from vaecodec.bitstream.chunks import pack_chunk
from vaecodec.bitstream.opening import open_picture
from vaecodec.bitstream.overlay import pack_overlay, unpack_overlay
from vaecodec.codec import Codec
from vaecodec.errors import CorruptFileError, LimitError, PictureError
from vaecodec.pictures.exif import density, orientation
from vaecodec.pictures.picture import Picture
from vaecodec.pictures.preview import read_preview
from vaecodec.pictures.reading import read_picture

FORMATS = ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "PPM", "JPEG2000", "TGA", "QOI"]
LOW = 7  # pixels: Pillow itself opens next to nothing
LIBRARY = Path(vaecodec.__file__).parent
RECORD = json.loads((VECTORS / "vectors.json").read_text())["valid"]
# An EXIF block with a tag whose text lies beyond its end, before the orientation: Pillow warns of it.
TORN = b"II*\0" + struct.pack("<IH", 8, 3)
TORN += struct.pack("<HHII", ExifTags.Base.Make, 2, 1000, 5000)
TORN += struct.pack("<HHIHH", ExifTags.Base.Orientation, 3, 1, 6, 0)
TORN += struct.pack("<HHII", ExifTags.Base.XResolution, 5, 1, 5000) + bytes(4)


@contextmanager
def untouched(limit: int | None) -> Iterator[None]:
    """Nobody assigns to Pillow's limit or to the filters of warnings, nor changes these, not for a moment."""
    assigned: list[str] = []

    class Guarded(types.ModuleType):
        def __setattr__(self, name: str, value: object) -> None:
            if name in ("MAX_IMAGE_PIXELS", "filters"):
                assigned.append(name)
            super().__setattr__(name, value)

    class Filters(list):  # type: ignore[type-arg]
        def insert(self, *_: object) -> None:
            assigned.append("filters.insert")

    before, filters = Image.MAX_IMAGE_PIXELS, warnings.filters
    Image.MAX_IMAGE_PIXELS, warnings.filters = limit, Filters([("error", None, Warning, None, 0)])
    watched = warnings.filters
    Image.__class__ = warnings.__class__ = Guarded
    try:
        yield
        assert assigned == [] and warnings.filters is watched and Image.MAX_IMAGE_PIXELS == limit
    finally:
        Image.__class__ = warnings.__class__ = types.ModuleType
        Image.MAX_IMAGE_PIXELS, warnings.filters = before, filters


def in_eight_threads(tasks: list[Callable[[], Any]]) -> None:
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(task) for _ in range(4) for task in tasks]:
            done.result(timeout=120)


def test_no_switch_of_the_process_is_in_the_library() -> None:
    """But for the commands: what a program of its own does with warnings is its own affair."""
    found = []
    for path in sorted(LIBRARY.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
            if name in ("catch_warnings", "simplefilter", "filterwarnings", "MAX_IMAGE_PIXELS"):
                found.append((path.name, name))
    assert found == [("console.py", "simplefilter")]


@pytest.mark.parametrize(("options", "asked"), [((), ""), (("-j", "2"), ""), ((), "default")])
def test_the_commands_are_silent_about_what_pillow_warns_of(
    tmp_path: Path, options: tuple[str, ...], asked: str
) -> None:
    """Here and in worker processes, unless Python is asked for warnings."""
    for name in ("a.jpg", "b.jpg"):
        data = save(Image.fromarray(noise(20, 30, 3)), "JPEG", exif=b"Exif\0\0" + TORN)
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-m", "vaecodec", "encode", *options, "a.jpg", "b.jpg"]
    environment = os.environ | {"PYTHONPATH": str(LIBRARY.parent), "PYTHONWARNINGS": asked}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (run.returncode, "Warning" in run.stderr) == (0, bool(asked)), run.stderr


@pytest.mark.parametrize("limit", [LOW, None])
def test_threads(limit: int | None) -> None:
    """Overlays, previews, pictures and EXIF at once; a warning would be an error here."""
    pixels, tile = noise(20, 30, 3), picture(64, 64)
    mask = np.arange(64 * 64).reshape(64, 64) % 3 == 0
    overlay = pack_overlay(tile, mask)
    sources = {name: save(Image.fromarray(pixels), name) for name in FORMATS}
    small = Image.fromarray(picture(60, 90))
    previews = [pack_chunk("pREV", save(small, name)) for name in ("WEBP", "JPEG")]

    def decoded() -> None:
        rgb, where = unpack_overlay(overlay, 64, 64)
        np.testing.assert_array_equal(where, mask)
        np.testing.assert_array_equal(rgb[mask], tile[mask])

    def previewed() -> None:
        for data in previews:
            found = read_preview(data)
            assert found is not None and found.pixels.shape == (60, 90, 3)

    def read() -> None:
        for data in sources.values():
            assert read_picture(data, 600)[0].pixels.shape[:2] == (20, 30)
            with pytest.raises(LimitError, match="30 x 20 is more than the limit of 599"):
                read_picture(data, 599)

    def parsed() -> None:
        assert orientation(TORN) == 6 and density(TORN) is None

    with untouched(limit):
        in_eight_threads([decoded, previewed, read, parsed])


@pytest.mark.parametrize("name", RECORD)
def test_valid_files_are_decoded_whatever_pillow_allows(small: Codec, shipped: Codec, name: str) -> None:
    kind = RECORD[name]["model"]
    codec = {"small": small, "base": shipped}.get(kind) or Codec(VECTORS / f"{kind}.safetensors", threads=1)
    data = (VECTORS / "valid" / f"{name}.vaec").read_bytes()
    with untouched(LOW):
        pixels = codec.decode(data).pixels
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == RECORD[name]["sha256"]


@pytest.mark.parametrize("limit", [LOW, None])
@pytest.mark.parametrize("format", FORMATS)
def test_pictures_are_read_whatever_pillow_allows(format: str, limit: int | None) -> None:
    image = Image.fromarray(noise(20, 30, 3))
    data = save(image, format)
    expected = read_picture(data, None)[0].pixels
    with untouched(limit):
        for own in (None, 0, 600, 10**9):
            np.testing.assert_array_equal(read_picture(data, own)[0].pixels, expected)
        for own in (599, 50, 1):
            with pytest.raises(LimitError, match=f"30 x 20 is more than the limit of {own} pixels"):
                read_picture(data, own)


@pytest.mark.parametrize(
    "data",
    [
        png(noise(9, 31, 3, np.uint16), 2),
        png(noise(9, 31, 2, np.uint16), 4),
        tiff16(noise(9, 31, 3, np.uint16), "<", deflate=False),
        tiff16(noise(9, 31, 3, np.uint16), ">", deflate=True),
        save(Image.fromarray(noise(9, 31, 1)[..., 0]), "TIFF", compression="tiff_lzw"),
        save(Image.fromarray(noise(9, 31, 1)[..., 0]).convert("P"), "TIFF"),
        save(Image.fromarray(noise(9, 31, 1, np.uint16)[..., 0]), "TIFF"),
        save(Image.fromarray(noise(9, 31, 3)), "TIFF", exif=b"Exif\0\0" + exif_bytes(6)),
        save(Image.fromarray(noise(9, 31, 4)), "WEBP", lossless=True),
        save(Image.fromarray(noise(9, 31, 4)), "WEBP", exif=b"Exif\0\0" + exif_bytes(6)),
    ],
)
def test_kinds_of_samples(data: bytes) -> None:
    expected = read_picture(data, None)[0]
    with untouched(LOW):
        found = read_picture(data, 9 * 31)[0]
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.exif == expected.exif


def test_by_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaecodec.pictures.picture.BY_ROWS_FROM", 100)
    for format in ("PNG", "PPM", "TIFF"):
        path = tmp_path / f"a.{format.lower()}"
        path.write_bytes(save(Image.fromarray(noise(20, 30, 3)), format))
        with untouched(LOW):
            pixels = read_picture(path, 600, by_rows=True)[0].pixels
            np.testing.assert_array_equal(pixels[5:17], noise(20, 30, 3)[5:17])


def webp(kind: bytes, width: int, height: int) -> bytes:
    """The first 30 bytes of a WebP file of a size, and nothing behind them."""
    start = {
        b"VP8X": bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
        b"VP8L": b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14) + bytes(5),
        b"VP8 ": bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", width, height),
    }[kind]
    return b"RIFF" + struct.pack("<I", 100) + b"WEBP" + kind + struct.pack("<I", 80) + start


@pytest.mark.parametrize("kind", [b"VP8X", b"VP8L", b"VP8 "])
def test_a_webp_is_refused_by_its_header(kind: bytes) -> None:
    """Before its plugin makes room for it: there is nothing else here to refuse but what is damaged."""
    with pytest.raises(LimitError, match="16383 x 9000 is more than"):
        read_picture(webp(kind, 16383, 9000), 16383 * 9000 - 1)
    for data in (webp(kind, 16383, 9000), webp(kind, 16383, 9000)[:20]):
        with pytest.raises(PictureError, match="damaged"):
            read_picture(data, 16383 * 9000)


def test_an_overlay_of_another_size_is_refused_by_its_header() -> None:
    with pytest.raises(CorruptFileError, match="another size"):
        unpack_overlay(webp(b"VP8L", 16383, 9000)[20:], 64, 64)


def test_an_icon_that_is_larger_than_it_says() -> None:
    inside = save(Image.fromarray(noise(50, 60, 3)), "PNG")
    ico = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 24, len(inside), 22) + inside
    with pytest.warns(UserWarning, match="not the expected size"):
        assert read_picture(ico, 3000)[0].pixels.shape[:2] == (50, 60)
    with pytest.warns(UserWarning), pytest.raises(LimitError, match="60 x 50 is more than the limit of 2999"):
        read_picture(ico, 2999)
    icns = b"icns" + struct.pack(">I", 16 + len(inside)) + b"icp4" + struct.pack(">I", 8 + len(inside)) + inside
    with pytest.raises(PictureError, match="not one of the allowed sizes"):
        read_picture(icns, None)


def test_what_pillow_holds_against_its_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a picture within a picture only; there is a sentence for it."""
    data = save(Image.fromarray(noise(16, 16, 3)), "ICO")
    assert read_picture(data, None)[0].pixels.shape[:2] == (16, 16)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", LOW)
    with pytest.raises(LimitError, match="larger than Pillow allows"):
        read_picture(data, None)


def test_only_the_formats_asked_for() -> None:
    data = save(Image.fromarray(noise(5, 6, 3)), "PNG")
    assert open_picture(io.BytesIO(data), formats=["WEBP", "PNG"]).format == "PNG"
    with pytest.raises(PictureError, match="not a picture"):
        open_picture(io.BytesIO(data), formats=["WEBP", "JPEG"])


def test_a_preview_is_small_and_whole() -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    for content, words in {
        webp(b"VP8X", 16383, 16383): "too large",
        webp(b"VP8L", 128, 128): "damaged",
        bomb: "damaged",
        b"": "damaged",
    }.items():
        with pytest.raises(vaecodec.VaecError, match=f"preview is {words}"):
            read_preview(pack_chunk("pREV", content))


# EXIF


def test_torn_exif_keeps_its_orientation() -> None:
    """Whatever the filters of warnings say, which Pillow would follow."""
    for action in ("ignore", "error"):
        with warnings.catch_warnings():
            warnings.simplefilter(action)  # type: ignore[arg-type]
            assert orientation(TORN) == orientation(b"Exif\0\0" + TORN) == 6
            exif = vaecodec.Picture(noise(4, 4, 3), exif=TORN)
            assert orientation(exif.exif) == 6


@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_are_those_that_pillow_reads(order: str) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[ExifTags.Base.Orientation] = 8
    exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = 300.5, 150.25
    exif[ExifTags.Base.ResolutionUnit] = 3
    exif[ExifTags.Base.Make] = "Maker"
    block = exif.tobytes()
    assert block[6:8] == {"<": b"II", ">": b"MM"}[order]
    assert orientation(block) == 8
    assert density(block) == pytest.approx((300.5 * 2.54, 150.25 * 2.54))


@pytest.mark.parametrize("end", range(0, 60, 3))
def test_exif_that_is_cut_off(end: int) -> None:
    assert orientation(exif_bytes(7)[:end]) in (1, 7)
    assert density(exif_bytes(7)[:end]) is None


def test_pictures_with_torn_exif_are_coded_and_read(small: Codec) -> None:
    """It goes along byte for byte."""
    data = save(Image.fromarray(noise(20, 30, 3)), "PNG", exif=b"Exif\0\0" + TORN)
    picture, notes = read_picture(data, None)
    assert (picture.exif, notes) == (TORN, [])
    assert small.decode(small.encode(Picture(picture.pixels, exif=picture.exif))).exif == TORN


def test_a_plugin_that_takes_all_files_is_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """TGA has no mark at its beginning. Whoever loads its plugin first puts it ahead of that for icons."""
    icon = save(Image.fromarray(noise(150, 150, 4)), "ICO", sizes=[(150, 150)])
    Image.init()
    monkeypatch.setattr(Image, "ID", ["TGA", *(name for name in Image.ID if name != "TGA")])
    assert Image.open(io.BytesIO(icon)).format == "TGA"
    with open_picture(io.BytesIO(icon)) as image:
        assert image.format == "ICO"
    assert read_picture(save(Image.fromarray(noise(8, 9, 3)), "TGA"), None)[0].width == 9
