"""Progressive files: the same picture, and of their first part the whole of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.files_with_faults import join, split
from tests.sample_pictures import picture
from tools.train.data import load, psnr
from vaecodec.bitstream.chunks import Chunk, read_chunks
from vaecodec.bitstream.container import parse
from vaecodec.bitstream.info import read_info
from vaecodec.bitstream.tiles import EMPTY, PARTS, Tile, tile_chunks
from vaecodec.codec import Codec
from vaecodec.codec.partial import Partial
from vaecodec.errors import CorruptFileError
from vaecodec.pictures.picture import Picture

TILES = 12
Pixels = NDArray[np.uint8]


def drawn(channels: int) -> Pixels:
    """(170, 250, C): noise, slopes and a drawing, which gets overlays."""
    pixels = picture(170, 250, channels)
    cells = np.random.default_rng(3).integers(0, 2, (9, 10, 1), np.uint8) * 255
    pixels[:144, :160, : min(channels, 3)] = cells.repeat(16, 0).repeat(16, 1)[..., :1]
    return pixels


@pytest.fixture(scope="module")
def data(small: Codec) -> bytes:
    """Twelve tiles with overlays and coded alpha."""
    made = small.encode(Picture(drawn(4), icc=b"icc"), 60, tile=64, progressive=True)
    tiles = parse(made).unpacked()
    assert len(tiles) == TILES and any(tile.overlay for tile in tiles) and all(tile.alpha for tile in tiles)
    return made


@pytest.fixture(scope="module")
def pixels(small: Codec, data: bytes) -> Pixels:
    return small.decode(data).pixels


def of_kind(data: bytes, kind: str) -> list[Chunk]:
    return [chunk for chunk in read_chunks(data) if chunk.type == kind]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("tile", [64, 128, None])
def test_the_same_picture(small: Codec, channels: int, tile: int | None) -> None:
    """By every way to decode, and not many bytes more."""
    source = Picture(drawn(channels), exif=b"II*\0")
    plain, progressive = (small.encode(source, 60, tile=tile, progressive=wanted) for wanted in (False, True))
    expected = small.decode(plain).pixels
    np.testing.assert_array_equal(small.decode(progressive).pixels, expected)
    np.testing.assert_array_equal(np.concatenate(list(small.decode_rows(progressive))), expected)
    region = small.decode_region(progressive, (40, 50, 100, 60)).pixels
    np.testing.assert_array_equal(region, expected[50:110, 40:140])
    for scale in (2, 8):
        smaller = [small.decode_scaled(file, scale).pixels for file in (plain, progressive)]
        np.testing.assert_array_equal(*smaller)
    found = small.decode_partial(progressive)
    assert found.whole and not found.lost and not found.coarse
    np.testing.assert_array_equal(found.picture.pixels, expected)
    assert len(progressive) - len(plain) <= 2 * 16 * len(parse(plain).tiles) + 8
    assert parse(progressive).header.progressive and not parse(plain).header.progressive


@pytest.mark.parametrize("effort", [1, 4, 7])
def test_every_effort(small: Codec, effort: int) -> None:
    source = picture(130, 70)
    plain, progressive = (small.encode(source, 40, effort=effort, tile=64, progressive=p) for p in (False, True))
    np.testing.assert_array_equal(small.decode(progressive).pixels, small.decode(plain).pixels)


def test_a_size_is_met(small: Codec) -> None:
    """What the parts take is counted."""
    from vaecodec.codec.ratecontrol import Target

    for progressive in (False, True):
        found = small.encode_to(picture(130, 140), Target(size=1300), tile=64, progressive=progressive)
        assert 1235 <= len(found.data) <= 1300  # it grows in steps, with the overlays that pay
        assert parse(found.data).header.progressive == progressive


# Of a file that is cut off


def away(found: Partial, areas: list[tuple[int, int, int, int]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which pixels are farther than the margin from all areas."""
    trusted = np.ones(shape[:2], bool)
    for left, top, width, height in areas:
        rows, columns = ((max(0, a - found.margin), a + n + found.margin) for a, n in ((top, height), (left, width)))
        trusted[slice(*rows), slice(*columns)] = False
    return trusted


@settings(deadline=None, max_examples=40)
@given(share=st.floats(0, 1))
def test_cut_off_anywhere(small: Codec, data: bytes, pixels: Pixels, share: float) -> None:
    """Once a part of a tile is there it is shown, and once all of it is, it is as it was."""
    first, high = of_kind(data, "BASE"), of_kind(data, "HIGH")
    least = first[-1].start  # [H7]: what is left could hold all tiles
    length = least + round(share * (len(data) - least))
    found = small.decode_partial(data[:length])
    assert found.whole == (length == len(data))
    without = TILES - sum(chunk.start + chunk.size <= length for chunk in first)
    covered = sum(tile.lanes_log2 == EMPTY for tile in parse(data).unpacked())
    assert len(found.lost) <= without + covered, "what covers a tile without latents comes later"
    if length < len(data):
        assert len(found.coarse) + len(found.lost) == TILES - sum(c.start + c.size <= length for c in high)
    trusted = away(found, found.lost + found.coarse, pixels.shape)
    np.testing.assert_array_equal(found.picture.pixels[trusted], pixels[trusted])


@pytest.mark.parametrize("quality", [20, 75])
def test_each_third_shows_the_whole_picture(shipped: Codec, quality: float) -> None:
    """Nothing is lost at any third, and each is nearer than the one before."""
    source = load(Path(__file__).parents[1] / "data" / "kodim23.png")
    data = shipped.encode(source, quality, tile=256, progressive=True)
    near = []
    for third in (1, 2, 3):
        found = shipped.decode_partial(data[: len(data) * third // 3])
        assert not found.lost and len(found.coarse) == (6 if third == 1 else len(found.coarse))
        near.append(psnr(source, found.picture.pixels))
    assert near[0] < near[1] < near[2] and near[0] > 19
    plain = shipped.encode(source, quality, tile=256)
    rival = shipped.decode_partial(plain[: len(plain) // 3])
    assert rival.lost and psnr(source, rival.picture.pixels) < near[0]


def test_low_channels_alone_are_what_an_eighth_needs(small: Codec) -> None:
    """Behind the last LOWC nothing but detail is missing: alpha and overlays are there."""
    data = small.encode(Picture(drawn(4)), 60, tile=64, progressive=True)
    last = of_kind(data, "LOWC")[-1]
    found = small.decode_partial(data[: last.start + last.size])
    assert not found.lost and len(found.coarse) == TILES
    np.testing.assert_array_equal(found.picture.pixels[..., 3], small.decode(data).pixels[..., 3])
    base = small.decode_partial(data[: of_kind(data, "LOWC")[0].start])
    covered = [tile.lanes_log2 == EMPTY for tile in parse(data).unpacked()]
    assert len(base.lost) == sum(covered) and len(base.coarse) == TILES - sum(covered) > 0
    assert (base.picture.pixels[..., 3] == 255).all()


# Damage


@pytest.mark.parametrize("kind", PARTS)
def test_a_damaged_part(small: Codec, data: bytes, pixels: Pixels, kind: str) -> None:
    """Without its base a tile is lost; without another part it is shown by what is ahead of that."""
    number = next(n for n, tile in enumerate(parse(data).unpacked()) if tile.lanes_log2 != EMPTY)
    chunk = of_kind(data, kind)[number]
    damaged = bytearray(data)
    damaged[chunk.start + chunk.size - 5] ^= 1
    with pytest.raises(CorruptFileError, match="checksum"):
        small.decode(bytes(damaged))
    found = small.decode_partial(bytes(damaged))
    top, left, height, width = parse(data).header.tile_box(number)
    box = (left, top, width, height)
    assert (found.lost, found.coarse) == (([box], []) if kind == "BASE" else ([], [box])) and not found.whole
    trusted = away(found, [box], pixels.shape)
    np.testing.assert_array_equal(found.picture.pixels[trusted], pixels[trusted])


@pytest.mark.parametrize("how", ["by tile", "backwards", "without an index"])
def test_parts_in_another_order(small: Codec, data: bytes, pixels: Pixels, how: str) -> None:
    """Strict decoding refuses them, partial decoding finds all."""
    chunks = split(data)
    first = next(n for n, (kind, _) in enumerate(chunks) if kind == "BASE")
    ahead, parts = [c for c in chunks[:first] if c[0] != "tIDX"], chunks[first:]
    if how == "by tile":
        parts.sort(key=lambda chunk: chunk[1][0])
    elif how == "backwards":
        parts.reverse()
    changed = join([*ahead, *parts])
    if how == "without an index":
        np.testing.assert_array_equal(small.decode(changed).pixels, pixels)
    else:
        with pytest.raises(CorruptFileError, match="stands where"):
            small.decode(changed)
    found = small.decode_partial(changed)
    assert not found.lost and not found.coarse and found.whole == (how == "without an index")
    np.testing.assert_array_equal(found.picture.pixels, pixels)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 5))
def test_bytes_changed_anywhere(small: Codec, data: bytes, pixels: Pixels, seed: int, count: int) -> None:
    rng, damaged = np.random.default_rng(seed), bytearray(data)
    for at in rng.integers(of_kind(data, "BASE")[0].start, len(data), count):
        damaged[at] ^= int(rng.integers(1, 256))
    found = small.decode_partial(bytes(damaged))
    assert len(found.lost) + len(found.coarse) <= count
    trusted = away(found, found.lost + found.coarse, pixels.shape)
    np.testing.assert_array_equal(found.picture.pixels[trusted], pixels[trusted])


def test_a_part_that_is_of_another_tile(small: Codec, data: bytes) -> None:
    """Checksums are right, contents are not: strict decoding refuses it, and partial decoding loses these tiles."""
    chunks = split(data)
    at = [n for n, (kind, _) in enumerate(chunks) if kind == "HIGH"]
    a, b = chunks[at[6]][1], chunks[at[7]][1]
    assert a[1:] != b[1:]
    chunks[at[6]], chunks[at[7]] = ("HIGH", a[:1] + b[1:]), ("HIGH", b[:1] + a[1:])
    swapped = join([chunk for chunk in chunks if chunk[0] != "tIDX"])
    with pytest.raises(CorruptFileError):
        small.decode(swapped)
    found = small.decode_partial(swapped)
    assert not found.whole and len(found.lost) == 2


# Tiles of every kind


@given(data=st.data())
@settings(deadline=None, max_examples=80)
def test_parts_are_the_tile_cut(data: st.DataObject) -> None:
    """Whatever is in it."""
    tile = Tile.empty()
    if latents := data.draw(st.booleans()):
        lanes = data.draw(st.integers(0, 7))
        tile = Tile.empty(lanes, bytes(4 << lanes))
    names = ("escapes", "z", "low", "filter", "high") if latents else ()
    for name in (*names, "alpha", "overlay"):
        content = data.draw(st.binary(max_size=300))
        tile = tile.having(**{name: content[: len(content) // 2 * 2] if name in ("z", "low", "high") else content})
    assert Tile.unpack(memoryview(tile.pack())) == tile
    assert b"".join(tile.split()) == tile.pack()
    parts = [chunk[9:-4] for chunk in tile_chunks(5, tile, progressive=True)]
    assert tuple(parts) == tile.split() and len(parts) == len(PARTS)
    for end in range(len(tile.pack())):
        part = tile.pack()[:end]
        try:
            begun = Tile.unpack(memoryview(part), truncated=True)
        except CorruptFileError:
            continue
        assert all(
            bytes(whole).startswith(bytes(cut)) for whole, cut in zip(tile.sections, begun.sections, strict=True)
        )


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("tile", [64, None])
def test_sizes_add_up(small: Codec, progressive: bool, tile: int | None) -> None:
    """In `info`; and both kinds of a file have the same in their sections."""
    source = Picture(drawn(4), icc=b"icc", exif=b"exif", xmp=b"xmp")
    options = {"tile": tile, "preview": True, "effort": 4}
    data = small.encode(source, 100, progressive=progressive, **options)
    facts = read_info(data)
    assert facts.size == len(data) and facts.progressive == progressive
    assert facts.tiles == (TILES if tile else 1)
    for name in ("escapes", "z", "low", "high", "alpha", "overlay"):
        assert facts.parts[name] == sum(len(getattr(each, name)) for each in parse(data).unpacked())
    plain = read_info(small.encode(source, 100, **options))
    same = {name: facts.parts[name] for name in facts.parts.keys() - {"framing", "header", "other"}}
    assert same == {name: plain.parts[name] for name in same}
    assert dataclasses.replace(facts, size=0, parts={}, progressive=False) == dataclasses.replace(
        plain, size=0, parts={}
    )
