"""Parts of pictures: regions to the bit, smaller pictures that look like the whole."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vaecodec
from tests.sample_pictures import picture
from tools.train.data import load
from vaecodec.bitstream.chunks import pack_chunk, read_chunks
from vaecodec.bitstream.header import RGB, Header
from vaecodec.bitstream.limits import SCALES, scale_within
from vaecodec.cli import main
from vaecodec.codec import Codec, scaled, windows
from vaecodec.errors import CorruptFileError, VaecError
from vaecodec.pictures.picture import Picture

SAMPLE = Path(__file__).parents[1] / "data" / "kodim23.png"


def drawn(height: int, width: int, channels: int) -> np.ndarray:
    """A picture with an overlay that covers its first 64 pixels each way, and one over part of what follows."""
    pixels = picture(height, width, channels)
    pixels[:64, :64] = (picture(8, 8, channels) // 128 * 255).repeat(8, 0).repeat(8, 1)
    pixels[64:128, :64, : channels - (channels % 2 == 0)] //= 64
    return pixels


@pytest.fixture(scope="module")
def files(small: Codec) -> dict[tuple[int, int], tuple[bytes, np.ndarray]]:
    """By channels and tile side: a file and what it decodes to."""
    made = {}
    for channels, tile in ((3, 64), (4, 64), (2, 128), (1, 1024)):
        data = small.encode(Picture(drawn(150, 210, channels)), 70, tile=tile)
        made[channels, tile] = data, small.decode(data).pixels
    return made


@settings(deadline=None, max_examples=60)
@given(which=st.integers(0, 3), box=st.lists(st.integers(0, 209), min_size=4, max_size=4))
def test_a_region_is_the_crop_to_the_bit(
    small: Codec, files: dict[tuple[int, int], tuple[bytes, np.ndarray]], which: int, box: list[int]
) -> None:
    data, whole = list(files.values())[which]
    (left, right), (top, bottom) = sorted(box[:2]), sorted(min(v, 149) for v in box[2:])
    region = left, top, right - left + 1, bottom - top + 1
    np.testing.assert_array_equal(small.decode_region(data, region).pixels, whole[top : bottom + 1, left : right + 1])


def test_a_region_touches_only_the_tiles_it_needs(small: Codec) -> None:
    pixels = picture(320, 320)
    data = small.encode(pixels, 50, tile=64)
    spoilt = bytearray(data)
    far = next(c for c in reversed(list(read_chunks(data))) if c.type == "TILE")
    content = bytes(far.data[:-4]) + b"\xff" * 4
    spoilt[far.start : far.start + far.size] = pack_chunk("TILE", content)
    whole = small.decode(data).pixels
    np.testing.assert_array_equal(small.decode_region(bytes(spoilt), (0, 0, 128, 128)).pixels, whole[:128, :128])
    with pytest.raises(CorruptFileError):
        small.decode_region(bytes(spoilt), (200, 200, 100, 100))


@pytest.mark.parametrize("region", [(-1, 0, 5, 5), (0, 0, 0, 5), (0, 0, 31, 5), (30, 0, 1, 1), (0, 15, 5, 6)])
def test_a_region_must_lie_within(small: Codec, region: tuple[int, int, int, int]) -> None:
    data = small.encode(picture(20, 30), 50)
    with pytest.raises(VaecError, match="not within the picture of 30 x 20"):
        small.decode_region(data, region)


@pytest.mark.parametrize("scale", SCALES)
def test_scaled_pictures_have_the_shape_and_look_of_the_whole(
    small: Codec, files: dict[tuple[int, int], tuple[bytes, np.ndarray]], scale: int
) -> None:
    for data, whole in files.values():
        got = small.decode_scaled(data, scale).pixels
        expected = np.rint(scaled.averaged(whole, scale))
        assert got.shape == expected.shape
        assert np.abs(got - expected).mean() < 12, "the small model is a poor one"


@pytest.mark.parametrize(("scale", "least"), [(2, 34.0), (4, 37.0), (8, 36.0)])
def test_scaled_photographs_are_close(shipped: Codec, scale: int, least: float) -> None:
    pixels = load(SAMPLE)[:384, :512]
    data = shipped.encode(pixels, 75)
    got = shipped.decode_scaled(data, scale).pixels.astype(float)
    error = np.square(got - scaled.averaged(pixels, scale)).mean()
    assert 10 * math.log10(255**2 / error) > least


def test_scaled_pictures_are_the_same_whatever_the_chunks(small: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    data = small.encode(picture(150, 330), 60, tile=128)
    expected = [small.decode_scaled(data, scale).pixels for scale in SCALES]
    monkeypatch.setattr(scaled, "CHUNK", 8)
    monkeypatch.setattr(windows, "BAND", 64)
    for scale, wanted in zip(SCALES, expected, strict=True):
        np.testing.assert_array_equal(small.decode_scaled(data, scale).pixels, wanted)


@pytest.mark.parametrize("scale", SCALES)
def test_sums_over_squares(scale: int) -> None:
    cells = np.random.default_rng(scale).integers(-(2**31), 2**31, (5, 3, 16, 16), np.int32)
    squares = cells.reshape(5, 3, 16 // scale, scale, 16 // scale, scale)
    np.testing.assert_array_equal(scaled.summed(cells, scale), squares.sum((3, 5), dtype=np.int64))


def test_overlays_and_transparency_are_averaged(small: Codec) -> None:
    pixels = drawn(128, 128, 4)
    data = small.encode(Picture(pixels), 90, tile=64)
    got = small.decode_scaled(data, 8).pixels
    np.testing.assert_array_equal(got[..., 3], np.rint(scaled.averaged(pixels[..., 3:], 8))[..., 0])
    np.testing.assert_array_equal(got[:8, :8, :3], np.rint(scaled.averaged(pixels[:64, :64, :3], 8)))


@pytest.mark.parametrize("scale", [0, 1, 3, 16])
def test_other_scales_are_refused(small: Codec, scale: int) -> None:
    with pytest.raises(VaecError, match="1/2, 1/4 and 1/8"):
        small.decode_scaled(small.encode(picture(8, 8), 50), scale)


@pytest.mark.parametrize(
    ("size", "shape"), [(1, (1, 1)), (20, (15, 20)), (60, (45, 60)), (200, (150, 200)), (300, (150, 200))]
)
def test_a_largest_size(small: Codec, size: int, shape: tuple[int, int]) -> None:
    data = small.encode(picture(150, 200, 4), 50)
    got = small.decode_within(data, size).pixels
    assert got.shape == (*shape, 4)
    if size >= 200:
        np.testing.assert_array_equal(got, small.decode(data).pixels)


def test_the_least_work_is_chosen() -> None:
    header = Header(1000, 600, RGB, 500, "x", bytes(8))
    assert [scale_within(header, n) for n in (1, 125, 126, 250, 251, 500, 501, 2000)] == [
        8,
        8,
        4,
        4,
        2,
        2,
        1,
        1,
    ]


def test_functions_and_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = vaecodec.encode(picture(100, 140), 40)
    source, target = tmp_path / "a.vaec", tmp_path / "a.png"
    source.write_bytes(data)
    whole = vaecodec.decode(data)
    for option, value, expected in (
        ("--region", "10,20,30,40", whole[20:60, 10:40]),
        ("--scale", "1/4", vaecodec.decode(data, scale=4)),
        ("--max-size", "50", vaecodec.decode(data, max_size=50)),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["decode", "-f", option, value, str(source)])
        assert not ended.value.code
        np.testing.assert_array_equal(load(target), expected)
    np.testing.assert_array_equal(vaecodec.decode(data, region=(10, 20, 30, 40)), whole[20:60, 10:40])
    with pytest.raises(SystemExit) as ended:
        main(["decode", "-f", "--max-pixels", "900", "--scale", "1/4", str(source)])
    assert not ended.value.code, "the limit is for what is made"
    capsys.readouterr()
    for arguments, code, word in (
        (("--region", "0,0,200,50"), 1, "not within the picture of 140 x 100"),
        (("--region", "1,2,3"), 2, "X,Y,WIDTH,HEIGHT"),
        (("--scale", "1/3"), 2, "1/3"),
        (("--max-pixels", "1000", "--region", "0,0,50,50"), 5, "limit"),
        (("--max-pixels", "800", "--scale", "1/4"), 5, "limit"),
        (("--scale", "1/2", "--max-size", "9"), 2, "exclude each other"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["decode", "-f", *arguments, str(source)])
        assert ended.value.code == code
        assert word in capsys.readouterr().err
    with pytest.raises(VaecError, match="exclude"):
        vaecodec.decode(data, scale=2, max_size=5)
