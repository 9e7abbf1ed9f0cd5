"""Pictures by rows: the same bytes and pixels as when the whole is in memory."""

from __future__ import annotations

import copy
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import vaecodec.pictures.picture
from tests.sample_pictures import picture
from vaecodec.bitstream import container
from vaecodec.bitstream.chunks import SIGNATURE, pack_chunk, read_chunks
from vaecodec.bitstream.header import CELL
from vaecodec.bitstream.tiles import Tile, tile_chunks
from vaecodec.cli import main
from vaecodec.codec import Codec
from vaecodec.codec.decoder import ROWS
from vaecodec.codec.encoder import with_index
from vaecodec.errors import LimitError, PictureError
from vaecodec.pictures.picture import Picture, Strips, from_above, row_chunks, strips
from vaecodec.pictures.reading import read_picture
from vaecodec.pictures.writing import write_picture

Pixels = NDArray[np.uint8]


def by_rows(pixels: Pixels) -> Pixels:
    return strips(pixels.shape, lambda first, last: pixels[first:last])


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(str(end.value.code))


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every picture counts as large."""
    monkeypatch.setattr(vaecodec.pictures.picture, "BY_ROWS_FROM", 1)


@given(st.lists(st.tuples(st.integers(-3, 12), st.integers(-3, 12)), max_size=9))
def test_slices_are_those_of_the_array(slices: list[tuple[int, int]]) -> None:
    pixels = picture(9, 7)
    stand_in = by_rows(pixels)
    for first, last in slices:
        if len(pixels[first:last]):
            np.testing.assert_array_equal(stand_in[first:last], pixels[first:last])
            np.testing.assert_array_equal(stand_in[first:last, 2:5], pixels[first:last, 2:5])
    np.testing.assert_array_equal(np.asarray(stand_in), pixels)


@settings(max_examples=30)
@given(st.integers(1, 40), st.lists(st.integers(1, 15), min_size=1), st.integers(1, 20))
def test_rows_that_come_from_above(height: int, heights: list[int], wanted: int) -> None:
    pixels = picture(height, 5)
    ends = np.minimum(np.cumsum(heights * height), height)
    rows = (pixels[a:b] for a, b in zip([0, *ends], ends, strict=False) if a < b)
    taken = list(row_chunks(from_above(pixels.shape, rows), wanted))
    assert [len(part) for part in taken[:-1]] == [wanted] * (len(taken) - 1)
    np.testing.assert_array_equal(np.concatenate(taken), pixels)


@pytest.mark.parametrize("ending", ["ppm", "tif", "png", "bmp", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_reading(low: None, tmp_path: Path, ending: str, channels: int) -> None:
    pixels, path = picture(90, 70, channels), tmp_path / f"a.{ending}"
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    image.save(path, **({"lossless": True} if ending == "webp" else {}))
    read, notes = read_picture(path, None, by_rows=True)
    whole, said = read_picture(path, None)
    assert notes == said and isinstance(read.pixels, Strips)
    for first in range(0, 90, 13):
        np.testing.assert_array_equal(read.pixels[first : first + 40], whole.pixels[first : first + 40])


def test_what_needs_the_whole_is_read_whole(low: None, tmp_path: Path) -> None:
    for name, image, options in (
        ("alpha.tif", Image.fromarray(picture(9, 9, 4)), {}),
        ("palette.tif", Image.fromarray(picture(9, 9)).quantize(7), {}),
        ("key.png", Image.fromarray(picture(9, 9)), {"transparency": (1, 2, 3)}),
        ("deep.png", Image.fromarray(picture(9, 9, 1)[..., 0].astype(np.uint16) * 257), {}),
    ):
        image.save(tmp_path / name, **options)
        read, notes = read_picture(tmp_path / name, None, by_rows=True)
        whole, said = read_picture(tmp_path / name, None)
        assert isinstance(read.pixels, np.ndarray) and notes == said
        np.testing.assert_array_equal(read.pixels, whole.pixels)


def test_a_turned_tiff_is_turned(low: None, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(picture(20, 30)).save(tmp_path / "a.tif", exif=exif)
    read, _ = read_picture(tmp_path / "a.tif", None, by_rows=True)
    np.testing.assert_array_equal(np.asarray(read.pixels), read_picture(tmp_path / "a.tif", None)[0].pixels)
    assert read.width == 20


def test_a_truncated_picture_is_refused_at_once(low: None, tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    Image.fromarray(picture(90, 70)).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PictureError, match="truncated"):
        read_picture(path, None, by_rows=True)


def test_a_picture_that_is_cut_off_meanwhile(low: None, tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    Image.fromarray(picture(90, 70)).save(path)
    read, _ = read_picture(path, None, by_rows=True)
    path.write_bytes(path.read_bytes()[:5000])
    np.testing.assert_array_equal(read.pixels[:9], picture(90, 70)[:9])
    with pytest.raises(PictureError, match="cut off"):
        read.pixels[60:]


@pytest.mark.parametrize("height, width, tile", [(200, 150, 64), (130, 70, 128), (40, 300, None)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_file(small: Codec, height: int, width: int, tile: int | None, channels: int) -> None:
    pixels = picture(height, width, channels)
    data = small.encode(Picture(pixels), 60, tile=tile, preview=True)
    assert small.encode(Picture(by_rows(pixels)), 60, tile=tile, preview=True) == data


def test_a_drawing_by_rows(small: Codec) -> None:
    """With overlays, the pictures beneath of which are fetched by rows too."""
    pixels = picture(150, 200)
    pixels[30:120, 20:150] = np.kron(np.eye(13, dtype=np.uint8)[:9], np.full((10, 10), 255, np.uint8))[..., None]
    data = small.encode(Picture(pixels), 60, tile=64)
    assert any(tile.overlay for tile in container.parse(data).unpacked())
    assert small.encode(Picture(by_rows(pixels)), 60, tile=64) == data


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("tile", [64, 128, None])
def test_decoding(small: Codec, channels: int, tile: int | None) -> None:
    data = small.encode(Picture(picture(200, 150, channels)), 60, tile=tile)
    rows = list(small.decode_rows(data))
    assert all(len(part) == (tile or 200) for part in rows[:-1])
    np.testing.assert_array_equal(np.concatenate(rows), small.decode(data).pixels)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "PPM", "BMP", "WEBP", "GIF"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_writing(format: str, channels: int) -> None:
    pixels = picture(700, 30, channels)
    files, notes = [], []
    for each in (pixels, by_rows(pixels)):
        target = BytesIO()
        notes.append(write_picture(Picture(each, exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0"), target, format))
        files.append(target.getvalue())
    assert files[0] == files[1] and notes[0] == notes[1]


@pytest.mark.parametrize("ending", ["png", "ppm"])
def test_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture(100, 130)).save(f"a.{ending}")
    assert run("encode", f"a.{ending}", "whole.vaec") == 0
    assert run("decode", "whole.vaec", f"whole.{ending}") == 0
    monkeypatch.setattr(vaecodec.pictures.picture, "BY_ROWS_FROM", 1)
    assert run("encode", f"a.{ending}", "rows.vaec") == 0
    assert run("decode", "rows.vaec", f"rows.{ending}") == 0
    assert Path("rows.vaec").read_bytes() == Path("whole.vaec").read_bytes()
    assert Path(f"rows.{ending}").read_bytes() == Path(f"whole.{ending}").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_a_dry_run_into_a_folder_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, low: None, shipped: Codec
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.vaec").write_bytes(shipped.encode(Picture(picture(30, 20))))
    assert run("decode", "--dry-run", "--out-dir", "missing", "a.vaec") == 0
    assert [p.name for p in tmp_path.iterdir()] == ["a.vaec"]


def test_command_line_with_damage_far_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, low: None, capsys: pytest.CaptureFixture[str], shipped: Codec
) -> None:
    """Rows have been written before it shows; nothing stays of them."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(1).integers(0, 256, (256, 64, 3), np.uint8)  # nothing for overlays
    data = shipped.encode(Picture(noise), 60, tile=64)
    *tiles, last = container.parse(data).unpacked()
    tiles.append(last.having(high=bytes(last.high[:-2])))
    head = data[: list(read_chunks(data))[1].start]
    chunks = [chunk for number, tile in enumerate(tiles) for chunk in tile_chunks(number, tile)]
    Path("a.vaec").write_bytes(head + b"".join(with_index(chunks)))
    assert run("decode", "a.vaec", "a.png") == 3
    assert "a.vaec: a tile's coded data" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["a.vaec"]


def test_python_has_a_limit_too(small: Codec) -> None:
    """A file of 8 kB that says it has 400 megapixels, in tiles that take no bytes."""
    data = small.encode(Picture(picture(8, 8)), 50, tile=1024)
    header = container.parse(data).header
    large = replace(header, width=20480, height=20480)
    tiles = [chunk for number in range(400) for chunk in tile_chunks(number, Tile.empty())]
    forged = SIGNATURE + pack_chunk("HEAD", large.pack()) + b"".join(tiles)
    for decode in (small.decode, small.decode_rows, small.decode_partial):
        with pytest.raises(LimitError):
            decode(forged)
    with pytest.raises(LimitError):
        small.decode_scaled(forged, 8, max_pixels=10**6)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("effort", [2, 3])
@pytest.mark.parametrize(("height", "width", "tile"), [(640, 96, 1024), (520, 200, 256)])
def test_progress_goes_by_rows(small: Codec, threads: int, effort: int, height: int, width: int, tile: int) -> None:
    """Not by tiles or bands of them: of a picture of one tile too it is told every few rows."""
    codec, coding, decoding = copy.copy(small), list[float](), list[float]()
    codec.threads = threads
    data = codec.encode(picture(height, width), 50, tile=tile, effort=effort, progress=coding.append)
    codec.decode(data, progress=decoding.append)
    for shares in (coding, decoding):
        assert shares == sorted(shares) and shares[-1] == 1
        assert len({round(share, 6) for share in shares}) > height // CELL // ROWS
