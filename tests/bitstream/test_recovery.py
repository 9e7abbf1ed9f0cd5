"""Damaged files: what is left comes back to the bit, and what is lost is named."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.files_with_faults import with_header
from tests.sample_pictures import picture
from tools.train.data import load, psnr
from vaecodec.bitstream import container
from vaecodec.bitstream.chunks import SIGNATURE, pack_chunk, read_chunks
from vaecodec.bitstream.recovery import recover, whole_chunks
from vaecodec.bitstream.tiles import TILE_SMALLEST, tile_chunks
from vaecodec.cli import main
from vaecodec.codec import Codec
from vaecodec.codec.partial import Partial
from vaecodec.errors import CorruptFileError, LimitError, NotVaecError, UnsupportedError, VaecError
from vaecodec.pictures.picture import Picture


@pytest.fixture(scope="module")
def whole(small: Codec) -> tuple[bytes, np.ndarray]:
    """A file of 4 x 5 tiles with transparency and metadata, and its pixels."""
    data = small.encode(Picture(picture(250, 300, 4), icc=b"profile", exif=b"II*\0"), 60, tile=64)
    return data, small.decode(data).pixels


def check(found: Partial, expected: np.ndarray) -> None:
    """Whatever is farther than the margin from what is lost is as it was."""
    pixels = found.picture.pixels
    assert pixels.shape == expected.shape
    touched = np.zeros(pixels.shape[:2], bool)
    for left, top, width, height in found.lost + found.coarse:
        rows = slice(max(0, top - found.margin), top + height + found.margin)
        touched[rows, max(0, left - found.margin) : left + width + found.margin] = True
    np.testing.assert_array_equal(pixels[~touched], expected[~touched])


def test_a_whole_file_is_whole(small: Codec, whole: tuple[bytes, np.ndarray]) -> None:
    found = small.decode_partial(whole[0])
    assert found.whole and not found.lost
    np.testing.assert_array_equal(found.picture.pixels, whole[1])
    assert (found.picture.icc, found.picture.exif) == (b"profile", b"II*\0")


@settings(deadline=None, max_examples=25)
@given(share=st.floats(0, 1))
def test_truncated_anywhere(small: Codec, whole: tuple[bytes, np.ndarray], share: float) -> None:
    data = whole[0][: int(share * (len(whole[0]) - 1))]
    try:
        found = small.decode_partial(data)
    except CorruptFileError:
        assert len(data) < 20 * TILE_SMALLEST, "[H7]: what is left could not hold all tiles"
        return
    check(found, whole[1])
    assert not found.whole
    assert len(found.lost + found.coarse) == 20 - len(list(whole_chunks(data, b"TILE")))
    assert len(found.coarse) <= 1


@settings(deadline=None, max_examples=40)
@given(share=st.floats(0, 1), channels=st.integers(1, 4), quality=st.sampled_from([5, 60, 100]))
def test_a_tile_cut_anywhere(small: Codec, share: float, channels: int, quality: int) -> None:
    """What is there of it is shown: never an error once the header is there, never far from the whole at its end."""
    data = small.encode(picture(90, 70, channels), quality)
    head = next(read_chunks(data)).size
    length = 8 + head + round(share * (len(data) - 8 - head))
    found = small.decode_partial(data[:length])
    assert found.whole == (length == len(data))
    assert len(found.lost) + len(found.coarse) == (length < len(data))
    if len(data) - 4 <= length:
        np.testing.assert_array_equal(found.picture.pixels, small.decode(data).pixels)


def test_what_there_is_of_a_tile_is_shown() -> None:
    """The share of the file that is there, and the PSNR that it gives at least."""
    pixels = load(Path(__file__).parents[1] / "data" / "kodim23.png")
    codec = Codec(threads=1)
    data = codec.encode(pixels, 75)
    for share, at_least in {0.05: 14.0, 0.35: 27.0, 0.6: 31.5, 0.9: 37.0}.items():
        found = codec.decode_partial(data[: int(share * len(data))])
        assert found.coarse == [(0, 0, pixels.shape[1], pixels.shape[0])] and not found.lost
        assert psnr(pixels, found.picture.pixels) >= at_least


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 5))
def test_bytes_changed_anywhere(small: Codec, whole: tuple[bytes, np.ndarray], seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(whole[0])
    for at in rng.integers(0, len(data), count):
        data[at] ^= int(rng.integers(1, 256))
    try:
        found = small.decode_partial(bytes(data))
    except VaecError:
        end = next(read_chunks(whole[0])).size + 8
        assert bytes(data[:end]) != whole[0][:end], "only without its header is nothing left"
        return
    check(found, whole[1])
    assert len(found.lost) <= count


@pytest.mark.parametrize("how", ["dropped", "doubled", "reordered", "inserted", "foreign"])
def test_chunks_in_disorder(small: Codec, whole: tuple[bytes, np.ndarray], how: str) -> None:
    chunks = [whole[0][c.start : c.start + c.size] for c in read_chunks(whole[0])]
    if how == "dropped":
        del chunks[9]
    elif how == "doubled":
        chunks.insert(8, chunks[10])
    elif how == "reordered":
        chunks[6:10] = chunks[9:5:-1]
    elif how == "inserted":
        chunks.insert(6, b"junk TILE junk" * 20)
    else:
        chunks.insert(6, pack_chunk("TILE", b"\xff\xff\x7f" + bytes(9)))
    data = SIGNATURE + b"".join(chunks)
    with pytest.raises(CorruptFileError):
        small.decode(data)
    found = small.decode_partial(data)
    check(found, whole[1])
    assert len(found.lost) == (how == "dropped") and not found.whole


def test_a_tile_that_does_not_decode_is_lost(small: Codec, whole: tuple[bytes, np.ndarray]) -> None:
    """With a right checksum: in its symbols, or in its transparency."""
    layout = container.parse(whole[0])
    tiles = layout.unpacked()
    number = next(n for n, tile in enumerate(tiles) if tile.states)
    tile, chunk = tiles[number], [c for c in read_chunks(whole[0]) if c.type == "TILE"][number]
    top, left, height, width = layout.header.tile_box(number)
    for change in (
        {"states": bytes([tile.states[0] ^ 1]) + bytes(tile.states[1:])},
        {"alpha": b"no zlib stream", "overlay": b""},
    ):
        (spoilt,) = tile_chunks(number, dataclasses.replace(tile, **change))
        found = small.decode_partial(whole[0][: chunk.start] + spoilt + whole[0][chunk.start + chunk.size :])
        assert found.lost == [(left, top, width, height)]
        check(found, whole[1])


def test_nothing_to_be_had(small: Codec, whole: tuple[bytes, np.ndarray]) -> None:
    with pytest.raises(NotVaecError):
        small.decode_partial(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(CorruptFileError, match="header is lost"):
        small.decode_partial(whole[0][:20])
    with pytest.raises(LimitError):
        small.decode_partial(whole[0], max_pixels=100)
    for unknown in ({"version": 10}, {"features": 2}, {"number": 99}):
        with pytest.raises(UnsupportedError):
            small.decode_partial(with_header(whole[0], **unknown))


def test_false_names_do_not_cost_more_than_a_bound(whole: tuple[bytes, np.ndarray]) -> None:
    """Thousands of chunks that reach to the end of the file, none of them right."""
    head = whole[0][: list(read_chunks(whole[0]))[1].start]
    body = b"".join(struct.pack("<I", 8 * (20_000 - n) - 16) + b"TILE" for n in range(19_990))
    found = recover(head + body)
    assert not found.tiles and not found.whole


def test_command_line(whole: tuple[bytes, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = load(Path(__file__).parents[1] / "data" / "kodim23.png")[:200, :200]
    codec = Codec(threads=1)
    data = codec.encode(pixels, 50, tile=64)
    source, target = tmp_path / "a.vaec", tmp_path / "a.png"
    source.write_bytes(data[: len(data) * 3 // 4])

    def decode(*options: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["decode", "-f", *options, str(source)])
        return int(ended.value.code or 0)

    assert decode() == 3 and not target.exists()
    assert decode("--partial") == 3
    said = capsys.readouterr().err
    assert "lost: " in said and "pixels up to 51 around may differ" in said
    assert load(target).shape == pixels.shape
    np.testing.assert_array_equal(load(target)[:16], codec.decode(data).pixels[:16])
    whole_tiles = codec.encode(pixels, 50)
    source.write_bytes(whole_tiles[: len(whole_tiles) // 2])
    assert decode("--preview") == 3
    assert "coarse: 200 x 200 at 0,0" in capsys.readouterr().err
    assert load(target).shape == (25, 25, 3)
    source.write_bytes(data)
    assert decode("--partial") == 0
