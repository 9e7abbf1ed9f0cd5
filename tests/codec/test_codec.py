"""Pictures to bytes and back: shapes, colours, sizes, the dial, memory-bounded coding, damage."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.sample_pictures import picture
from tools.check import fuzz
from tools.measure.bdrate import bd_rate
from tools.train.data import load
from vaecodec.bitstream.chunks import SIGNATURE
from vaecodec.bitstream.container import parse
from vaecodec.bitstream.header import RGB, Header
from vaecodec.bitstream.tiles import Tile
from vaecodec.codec import Codec, analysis, encoder, latents, windows
from vaecodec.entropy.rans import Run, pack_escapes
from vaecodec.errors import VaecError
from vaecodec.pictures.picture import Picture

SAMPLE = Path(__file__).parents[1] / "data" / "kodim23.png"
relaxed = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a.astype(float) - b) ** 2).mean())


@relaxed
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    channels=st.integers(1, 4),
    quality=st.floats(0, 100),
    tile=st.sampled_from([None, 64, 128]),
    seed=st.integers(0, 99),
)
def test_any_picture_round_trips(
    small: Codec, height: int, width: int, channels: int, quality: float, tile: int | None, seed: int
) -> None:
    pixels = picture(height, width, channels, seed)
    data = small.encode(Picture(pixels, exif=bytes(seed)), quality, tile=tile)
    decoded = small.decode(data)
    assert decoded.pixels.shape == pixels.shape and decoded.pixels.dtype == np.uint8
    assert decoded.exif == bytes(seed)
    if channels in (2, 4):
        np.testing.assert_array_equal(decoded.pixels[..., -1], pixels[..., -1])


@relaxed
@given(position=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255), fix=st.booleans())
def test_damaged_files_raise_only_our_errors(small: Codec, position: float, value: int, fix: bool) -> None:
    """Any byte changed, with the chunk's checksum as it was or made right again."""
    data = bytearray(small.encode(Picture(picture(70, 90, 4)), 50, tile=64))
    data[int(position * len(data))] ^= value
    if fix:
        data = bytearray(fuzz.join(SIGNATURE, fuzz.split(bytes(data))))
    try:
        small.decode(bytes(data), max_pixels=10**6)
    except VaecError:
        return
    assert fix, "a changed byte must not pass the checksums"


@relaxed
@given(data=st.binary(max_size=300))
def test_any_bytes_raise_only_our_errors(small: Codec, data: bytes) -> None:
    for start in (b"", SIGNATURE):
        with pytest.raises(VaecError):
            small.decode(start + data)


@pytest.mark.parametrize(
    ("shape", "quality"),
    # A column of full-range noise is far from all that the model knows: from 75 to 87 its error is 60 to 130.
    [((1, 1, 3), 95), ((1, 300, 3), 95), ((300, 1, 1), 100), ((300, 1, 1), 65), ((33, 48, 3), 95), ((65, 129, 3), 95)],
)
def test_shipped_model_on_odd_sizes(shipped: Codec, shape: tuple[int, int, int], quality: float) -> None:
    pixels = picture(*shape)
    decoded = shipped.decode(shipped.encode(Picture(pixels), quality)).pixels
    assert decoded.shape == shape
    # The right half has noise, which no codec of 3 bpp keeps; the left is simple.
    left = max(1, shape[1] // 2)
    assert mse(decoded[:, :left], pixels[:, :left]) < 60


def test_tiles_leave_no_seams(shipped: Codec) -> None:
    """Tiles change the symbols a little, so compare the error at the borders with that inside."""
    i, j = np.mgrid[:256, :256]
    smooth = np.stack([(i + j) / 2, 128 + 60 * np.sin(i / 40), 128 + 60 * np.cos(j / 30)], -1).astype(np.uint8)
    decoded = shipped.decode(shipped.encode(Picture(smooth), 40, tile=64)).pixels
    error = np.abs(decoded.astype(int) - smooth).mean((0, 2))
    border = np.isin(np.arange(256) % 64, (0, 63))
    border[[0, 255]] = False
    assert error[border].mean() < 1.5 * error[~border].mean() + 0.2


def test_bands_are_the_whole(monkeypatch: pytest.MonkeyPatch, shipped: Codec) -> None:
    """A row of tiles at a time, and of h_a a column of z: to the byte."""
    pixels = picture(260, 130)
    whole = shipped.encode(Picture(pixels), 60, tile=64)
    monkeypatch.setattr(windows, "BAND", 1)
    monkeypatch.setattr(analysis, "H_WINDOW", 4)
    assert shipped.encode(Picture(pixels), 60, tile=64) == whole


def test_default_tiles(shipped: Codec) -> None:
    sides = {}
    for height, width in ((1, 1), (1024, 1024), (1025, 100), (3000, 4000)):
        header = encoder.header_for(shipped, np.zeros((height, width, 3), np.uint8), 750, encoder.EncodeOptions())
        sides[height, width] = (header.tile_side, *header.grid)
    assert sides == {
        (1, 1): (1024, 1, 1),
        (1024, 1024): (1024, 1, 1),
        (1025, 100): (576, 2, 1),
        (3000, 4000): (1024, 3, 4),
    }


def test_quality_is_a_dial(shipped: Codec) -> None:
    pixels = load(SAMPLE)[100:356, 200:456]
    points = []
    for quality in range(0, 101, 10):
        data = shipped.encode(Picture(pixels), quality)
        points.append((len(data), -mse(shipped.decode(data).pixels, pixels)))
    assert points == sorted(points)
    sizes, errors = zip(*points, strict=True)
    assert len(set(sizes)) == len(set(errors)) == 11


def test_grey_is_coded_as_grey(shipped: Codec) -> None:
    grey = picture(64, 80, 1)
    rgb = shipped.decode(shipped.encode(Picture(grey.repeat(3, axis=2)), 80)).pixels.astype(int)
    expected = (rgb[..., 0] + 2 * rgb[..., 1] + rgb[..., 2] + 2) >> 2
    np.testing.assert_array_equal(shipped.decode(shipped.encode(Picture(grey), 80)).pixels[..., 0], expected)


def test_constant_alpha_costs_a_byte(small: Codec) -> None:
    pixels = picture(64, 64, 4)
    pixels[..., 3] = 77
    data = small.encode(Picture(pixels), 50)
    assert len(data) == len(small.encode(Picture(pixels[..., :3]), 50)) + 1
    assert (small.decode(data).pixels[..., 3] == 77).all()


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_estimate_matches_the_file(shipped: Codec, quality: int) -> None:
    """The bits that the tables promise for the symbols sent, against the bytes of the coded sections."""
    pixels = load(SAMPLE)
    estimates = []
    pack = latents.pack_tile

    def spy(runs: list[Run]) -> Tile:
        bits = 0.0
        for tables, table, value, _ in runs:
            symbol, escaped = tables.symbols(table, value)
            bits += float((16 - np.log2(tables.frequency[table, symbol])).sum())
            bits += 8 * len(pack_escapes(value[escaped]))
        estimates.append(bits / 8)
        return pack(runs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "pack_tile", spy)
        data = shipped.encode(Picture(pixels), quality)
    tile = parse(data).unpacked()[0]
    coded = len(data) - len(tile.filter)
    assert coded == pytest.approx(estimates[0] + 4 * 2**tile.lanes_log2 * 0.7 + 48, rel=0.005)


def test_trimming_pays(shipped: Codec) -> None:
    """Fewer bits at equal quality than the nearest symbols cost."""
    pixels = load(SAMPLE)[:256, :256]
    curves: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for effort, curve in curves.items():
        for quality in (20, 40, 60, 80):
            data = shipped.encode(Picture(pixels), quality, effort=effort, tune="psnr")
            error = mse(shipped.decode(data).pixels, pixels)
            curve.append((len(data) * 8 / 256**2, 10 * math.log10(255**2 / error)))
    assert bd_rate(curves[1], curves[2])[0] < -1


@pytest.mark.parametrize("argument", [{"quality": -1}, {"quality": 100.5}, {"tile": 100}, {"tile": 2048}])
def test_arguments_out_of_range(small: Codec, argument: dict[str, int]) -> None:
    with pytest.raises(VaecError):
        small.encode(Picture(picture(10, 10)), **argument)


def test_threads_out_of_range() -> None:
    for threads in (0, -5):
        with pytest.raises(VaecError):
            Codec(threads=threads)
    assert 1 <= (Codec(threads=10**6).threads or 0) <= 1024


def test_codec_takes_what_the_functions_take(small: Codec) -> None:
    pixels = picture(30, 20)
    data = small.encode(Picture(pixels))
    assert small.encode(pixels) == small.encode(Image.fromarray(pixels)) == data
    assert small.encode(pixels.astype(">u2") * 257) == data
    for bad in (pixels.astype(float), {"quality": 75}):
        with pytest.raises(VaecError):
            small.encode(bad)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        small.encode("75")  # a path
    with pytest.raises(VaecError):
        small.encode(pixels, "75")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(64, 64 * 7 + 10), (64 * 7 + 10, 3), (200, 200)])
def test_bands_of_tiles(monkeypatch: pytest.MonkeyPatch, small: Codec, shape: tuple[int, int]) -> None:
    """Of a narrow picture many rows of tiles are worked on at once, of a wide one a row: the same bytes and pixels."""
    source = Picture(picture(*shape))
    data, rows = small.encode(source, 50, tile=64), -(-shape[0] // 64)
    pixels = small.decode(data).pixels
    assert list(windows.bands(parse(data).header)) == [range(rows)]
    for band in (1, 2 * 4 * -(-shape[1] // 16)):
        monkeypatch.setattr(windows, "BAND", band)
        height = 1 if band == 1 else 2
        expected = [range(k, min(k + height, rows)) for k in range(0, rows, height)]
        assert list(windows.bands(parse(data).header)) == expected
        assert small.encode(source, 50, tile=64) == data
        np.testing.assert_array_equal(small.decode(data).pixels, pixels)
        np.testing.assert_array_equal(small.decode_partial(data).picture.pixels, pixels)


def test_bands_hold_so_many_positions() -> None:
    for height, width, tile in ((4000, 3000, 1024), (4000, 64, 64), (100_000, 1, 64), (64, 100_000, 64)):
        header = Header(width, height, RGB, 500, "x", bytes(8), tile // 64)
        per_row = tile // 16 * -(-width // 16)
        bands = list(windows.bands(header))
        assert sum(map(len, bands)) == header.grid[0]
        assert all(len(band) == 1 or len(band) * per_row <= windows.BAND for band in bands)


def test_progress_runs_to_one(monkeypatch: pytest.MonkeyPatch, small: Codec) -> None:
    monkeypatch.setattr(windows, "BAND", 1)  # a band for each row of tiles
    coding, decoding = list[float](), list[float]()
    data = small.encode(Picture(picture(130, 60)), 50, tile=64, progress=coding.append)
    small.decode(data, progress=decoding.append)
    for seen, ends in ((coding, (1 / 3, 2 / 3)), (decoding, (4 / 9, 8 / 9))):  # of bands: of 3 tiles, of 9 positions
        assert seen == sorted(seen) and seen[-1] == 1
        assert all(any(share == pytest.approx(end) for share in seen) for end in ends)
