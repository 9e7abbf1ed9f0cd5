"""Limits: of what is made, and of the work that it is, for every way to decode and for encoding."""

from __future__ import annotations

import io
import itertools
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import vaecodec
from tests.commands import Run
from tests.sample_pictures import picture
from vaecodec import files
from vaecodec.bitstream import container, info, limits
from vaecodec.bitstream.chunks import SIGNATURE, pack_chunk, read_chunks
from vaecodec.bitstream.header import RGB, Header
from vaecodec.bitstream.limits import GRANTED, MAX_PIXELS, MAX_SIDE, check_size, check_within, worked
from vaecodec.bitstream.tiles import Tile, tile_chunks
from vaecodec.codec import Codec
from vaecodec.errors import LimitError, TruncatedError, VaecError
from vaecodec.pillow_plugin import register


def claim(codec: Codec, width: int, height: int, tiles: int, side: int = 16) -> bytes:
    """A file that says much: a header, and some tiles without latents."""
    weights = codec.weights
    header = Header(width, height, RGB, 0, weights.name, weights.hash, side)
    parts = [chunk for n in range(tiles) for chunk in tile_chunks(n, Tile.empty())]
    return SIGNATURE + pack_chunk("HEAD", header.pack()) + b"".join(parts)


# What a limit allows


def test_every_picture_within_the_pixels_and_of_no_odd_shape_is_allowed() -> None:
    for limit, shape in itertools.product((1, 1000, 10**6, MAX_PIXELS), ((1, 1), (3, 2), (16, 9), (4, 1))):
        unit = math.sqrt(limit / (shape[0] * shape[1]))
        width, height = (max(1, math.floor(unit * n)) for n in shape)
        if width * height <= limit:
            check_size(width, height, limit)
    check_size(2**30, 2**30, None)
    check_size(2**30, 2**30, 0)


@given(limit=st.integers(1, 2**34), width=st.integers(1, 2**31), height=st.integers(1, 2**31))
def test_a_limit_bounds_pixels_work_and_sides(limit: int, width: int, height: int) -> None:
    try:
        check_size(width, height, limit)
    except LimitError:
        return
    assert width * height <= limit
    assert max(width, height) <= max(MAX_SIDE, 2 * math.sqrt(limit))
    assert worked(width, height, 1024) <= max(2 * limit, GRANTED)


@pytest.mark.parametrize("shape", [(2**21, 1), (1, 2**20), (MAX_SIDE + 1, 1), (1, MAX_SIDE + 1)])
def test_thin_pictures_are_refused_by_every_function(small: Codec, shape: tuple[int, int]) -> None:
    data = claim(small, *shape, -(-shape[0] // 1024) * -(-shape[1] // 1024))
    for refuse in (
        small.decode,
        lambda data: list(small.decode_rows(data)),
        small.decode_partial,
        lambda data: small.decode_scaled(data, 8),
        lambda data: small.decode_within(data, 50),
        lambda data: small.decode_region(data, (0, 0, *shape)),
    ):
        with pytest.raises(LimitError, match=f"{MAX_SIDE} pixels a side"):
            refuse(data)
    register()
    with Image.open(io.BytesIO(data)) as image, pytest.raises(OSError, match="pixels a side"):
        image.load()


def test_partial_decoding_needs_a_file_that_can_hold_its_tiles(small: Codec) -> None:
    """[H7], by which no header alone asks for memory."""
    with pytest.raises(TruncatedError, match="too short for its 256 tiles"):
        small.decode_partial(claim(small, 2**14, 2**14, 0))


# The limit of what is made


def test_a_region_is_limited_by_its_pixels(small: Codec) -> None:
    data = small.encode(picture(150, 200), 50)
    assert small.decode_region(data, (0, 0, 200, 4), max_pixels=800).pixels.shape == (4, 200, 3)
    with pytest.raises(LimitError, match="200 x 4 is more than the limit of 799"):
        small.decode_region(data, (0, 0, 200, 4), max_pixels=799)


def test_a_picture_within_a_size_is_limited_by_what_comes_out(small: Codec) -> None:
    data = small.encode(picture(150, 200), 50)
    assert small.decode_within(data, 20, max_pixels=300).pixels.shape == (15, 20, 3)
    with pytest.raises(LimitError, match="20 x 15 is more than the limit of 299"):
        small.decode_within(data, 20, max_pixels=299)
    assert small.decode_within(data, 20000, max_pixels=30000).pixels.shape == (150, 200, 3), "nothing is enlarged"
    for size in (0, -1):
        with pytest.raises(VaecError, match="no picture fits"):
            small.decode_within(data, size)


def test_the_function_hands_the_limit_on() -> None:
    data = vaecodec.encode(picture(60, 80), 30)
    for options in ({"max_size": 40}, {"region": (0, 0, 40, 30)}, {"scale": 2}, {}):
        assert vaecodec.decode(data, max_pixels=10000, **options).size
        with pytest.raises(LimitError):
            vaecodec.decode(data, max_pixels=100, **options)


def test_less_may_be_made_of_a_larger_picture_but_not_of_any(small: Codec) -> None:
    """What is small and comes of much is as much work."""
    header = container.parse(claim(small, 2**14, 2**15, 16 * 32)).header
    check_within(header, 128, MAX_PIXELS)
    check_within(header, 128, 2**28)
    with pytest.raises(LimitError, match="as much work as"):
        check_within(header, 128, 2**27)


@pytest.mark.parametrize("options", [("--max-size", 20000), ("--region", "0,0,200,4"), ("--scale", "1/2"), ()])
def test_the_command_takes_long_sides(real: Run, options: tuple[object, ...]) -> None:
    Path("a.vaec").write_bytes(vaecodec.encode(picture(150, 200), 10))
    assert real("decode", "-f", *options, "--max-pixels", 30000, "a.vaec").code == 0
    result = real("decode", "-f", *options, "--max-pixels", 700, "a.vaec")
    assert (result.code, result.err.count("more than the limit of 700 pixels")) == (5, 1)


def test_a_long_region_of_a_large_picture(real: Run) -> None:
    """20,000 x 4 pixels are few, whatever their square is."""
    shipped = vaecodec.Codec()
    Path("a.vaec").write_bytes(claim(shipped, 20000, 20, 20))
    result = real("decode", "--region", "0,0,20000,4", "a.vaec")
    assert result.code == 0, result.err


# Thumbnails and `info`


def test_thumbnails_have_a_limit(real: Run) -> None:
    shipped = vaecodec.Codec()
    Path("a.vaec").write_bytes(claim(shipped, 2**15, 2**15, 1024))
    result = real("thumbnail", "a.vaec", "a.png")
    assert (result.code, result.err.count("limit")) == (5, 1)
    assert not Path("a.png").exists()


class Watched(io.BytesIO):
    """A file that counts what is read of it, and the most at once."""

    total = largest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.total, self.largest = self.total + len(data), max(self.largest, len(data))
        return data


def test_a_file_is_looked_through_a_chunk_at_a_time(small: Codec) -> None:
    data = small.encode(picture(300, 300), 50, tile=64)
    watched = Watched(data)
    assert info.read_info(files.OnDemand(watched)) == info.read_info(data)
    assert watched.largest < len(data) / 4
    with pytest.raises(OSError, match="cut off while it was read"):
        cut = files.OnDemand(io.BytesIO(data))
        cut.file = io.BytesIO(data[:-50])
        info.read_info(cut)


def test_of_a_file_with_a_preview_only_the_beginning_is_read(small: Codec) -> None:
    from vaecodec.pictures.preview import BEGINNING, FIRST, read_preview

    data = small.encode(vaecodec.Picture(picture(90, 90), exif=b"II*\0"), 50, preview=True)
    short = Watched(data + bytes(BEGINNING))
    assert read_preview(files.OnDemand(short)) and short.total == FIRST
    *_, last = read_chunks(data)
    watched = Watched(data[: last.start] + pack_chunk("paDd", bytes(3 * BEGINNING)) + data[last.start :])
    found = read_preview(files.OnDemand(watched))
    assert found and found.exif == b"II*\0" and found.pixels.shape == (90, 90, 3)
    assert watched.total == FIRST + BEGINNING


def test_unknown_chunks_are_not_kept(small: Codec) -> None:
    """A file of nothing but chunks of twelve bytes took 30 times its size."""
    import tracemalloc

    head, whole = claim(small, 1, 1, 0), claim(small, 1, 1, 1)
    data = head + pack_chunk("noNe", b"") * 5_000 + whole[len(head) :]
    for look in (info.read_info, container.parse):
        tracemalloc.start()
        look(data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < len(data) / 4
    assert info.read_info(data).parts["framing"] > 5_000 * 12


def test_pixels_of_a_picture_file_are_counted_alike(real: Run) -> None:
    Image.new("L", (MAX_SIDE + 1, 1)).save("thin.png")
    Image.new("L", (300, 200)).save("plain.png")
    result = real("encode", "thin.png")
    assert (result.code, result.err.count(f"limit of {MAX_SIDE} pixels a side")) == (5, 1)
    assert limits.worked(300, 200, 1024) > 300 * 200
    assert real("encode", "--max-pixels", 300 * 200, "plain.png").code == 0
