"""The named rules of bitstream_spec.md about what is in a tile, and about synthesis."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests.files_with_faults import first_tile, join, split, with_tile
from tests.forgery import golomb
from tests.sample_pictures import picture
from vaecodec.bitstream import container
from vaecodec.bitstream.alpha import pack_alpha, unpack_alpha
from vaecodec.bitstream.overlay import pack_overlay
from vaecodec.codec import Codec
from vaecodec.entropy import rans
from vaecodec.errors import (
    CorruptFileError,
)
from vaecodec.model.loop_filter import Filter
from vaecodec.pictures.picture import Picture


@pytest.fixture(scope="module")
def data(small: Codec) -> bytes:
    """A file of four tiles with metadata and coded alpha."""
    pixels = picture(100, 90, 4)
    return small.encode(Picture(pixels, icc=b"icc", exif=b"exif", xmp=b"xmp"), 60, tile=64)


def test_E1_states_are_in_range(small: Codec, data: bytes) -> None:
    tile = first_tile(data)
    low = dataclasses.replace(tile, states=b"\xff\xff\0\0" + bytes(tile.states[4:]))
    with pytest.raises(CorruptFileError, match="state"):
        small.decode(with_tile(data, low.pack()))


def test_E2_words_that_run_out(small: Codec, data: bytes) -> None:
    tile = first_tile(data)
    with pytest.raises(CorruptFileError):
        small.decode(with_tile(data, tile.having(high=tile.words[2][:-20]).pack()))


def test_E3_sections_end_where_they_say(small: Codec, data: bytes) -> None:
    tile = first_tile(data)
    z, low = bytes(tile.words[0]), bytes(tile.words[1])
    moved = tile.having(z=z + low[:2], low=low[2:])
    with pytest.raises(CorruptFileError, match="section"):
        small.decode(with_tile(data, moved.pack()))
    longer = tile.having(high=bytes(tile.words[2]) + b"\0\0")
    with pytest.raises(CorruptFileError):
        small.decode(with_tile(data, longer.pack()))
    state = struct.unpack_from("<I", tile.states)[0]
    other = dataclasses.replace(tile, states=struct.pack("<I", state ^ 1) + bytes(tile.states[4:]))
    with pytest.raises(CorruptFileError):
        small.decode(with_tile(data, other.pack()))


def test_E4_escapes_are_complete_and_in_range(small: Codec) -> None:
    cells = np.random.default_rng(3).integers(0, 2, (8, 8, 1), np.uint8) * 255
    data = small.encode(Picture(np.ascontiguousarray(cells.repeat(16, 0).repeat(16, 1).repeat(3, 2))), 100, effort=2)
    tile = first_tile(data)
    escapes = bytes(tile.escapes)
    assert escapes, "the picture is meant to need escapes"
    for bad in (b"", escapes + b"\0", escapes[:-1] + b"\x80", b"\xff\xff\x7f" + escapes):
        with pytest.raises(CorruptFileError, match=r"escape"):
            small.decode(with_tile(data, tile.having(escapes=bad).pack()))


def test_E5_rounds_are_bounded() -> None:
    tables = rans.Tables(np.array([0]), np.array([2]), np.array([[65535, 1]]))
    table = np.zeros(2 * rans.ROUNDS_MAX + 2, np.uint16)
    states, (words,) = rans.encode([rans.Run(tables, table, table.astype(np.int32))], [table], 1)
    exactly = rans.Decoder(states, words)
    exactly.decode(tables, table[2:])
    with pytest.raises(CorruptFileError, match="lanes"):
        exactly.decode(tables, table[:1])
    with pytest.raises(CorruptFileError, match="lanes"):
        rans.Decoder(states, words).decode(tables, table)
    # What this encoder sends: under the lane count's own bound, the dependent runs with fewer lanes, runs not full.
    most = max(2 * rans.SYMBOLS_PER_LANE, 64 * 64 * (384 + 6) / 2 ** rans.lanes_for(64 * 64 * 390, 0))
    assert rans.ROUNDS_MAX == 20480 > most + 4 * 2 * rans.SYMBOLS_PER_MACHINE + 9


def synthesised(codec: Codec, y_hat: np.ndarray) -> np.ndarray:
    """R + 2 G + B, R - G and B - G (16 h, 16 w, 3) of y_hat (h, w, M)."""
    h, w, _ = y_hat.shape
    rows, made, planes = codec.networks.decoder.rows(500, h, w), [], np.zeros((3, 16, 16 * w), np.int16)
    while len(made) < h:
        if rows.push(y_hat[rows.row] if rows.row < h else None, planes):
            made.append(planes.copy())
    return np.concatenate(made, axis=1).transpose(1, 2, 0)


def test_S1_the_synthesis_margin(shipped: Codec) -> None:
    """One position of y_hat, as large as it can be: it reaches as far as the margin, and not a pixel farther."""
    cfg = shipped.weights.cfg
    assert cfg.margin == -(-cfg.blocks_s // 2) == 3
    y_hat = np.random.default_rng(0).integers(-40, 40, (11, 11, cfg.M)).astype(np.int16)
    changed = y_hat.copy()
    changed[5, 5] = 16000
    rows, columns, _ = (synthesised(shipped, y_hat) != synthesised(shipped, changed)).nonzero()
    for touched in (rows, columns):
        assert touched.min() >= (5 - 3) * 16 and touched.max() < (5 + 1 + 3) * 16
        assert touched.min() < (5 - 2) * 16 and touched.max() >= (5 + 1 + 2) * 16


def test_S1_concealed_tiles(small: Codec, data: bytes) -> None:
    """Whatever is farther than the margin from a tile that is lost is as it was."""
    whole = small.decode(data).pixels
    chunks = split(data)
    first = next(i for i, (kind, _) in enumerate(chunks) if kind == "TILE")
    found = small.decode_partial(join(chunks[:first] + chunks[first + 1 :]))
    assert found.lost == [(0, 0, 64, 64)] and found.margin == 16 * small.weights.cfg.margin + 3
    pixels = found.picture.pixels
    np.testing.assert_array_equal(pixels[64 + found.margin :], whole[64 + found.margin :])
    np.testing.assert_array_equal(pixels[:, 64 + found.margin :], whole[:, 64 + found.margin :])
    assert not np.array_equal(pixels, whole)


@pytest.mark.parametrize("bad", [golomb([1] * 35), golomb([0] * 36) + b"\0", golomb([0] * 37) + b"\1", b"\0" * 9])
def test_S2_a_filter_has_36_numbers(small: Codec, data: bytes, bad: bytes) -> None:
    assert small.decode(with_tile(data, first_tile(data).having(filter=golomb([0] * 36)).pack()))
    with pytest.raises(CorruptFileError, match="filter"):
        small.decode(with_tile(data, first_tile(data).having(filter=bad).pack()))


@pytest.mark.parametrize("place, lmbda", [(0, 64), (12, 1), (24, 192), (30, 2), (35, 2)])
@pytest.mark.parametrize("sign", [1, -1])
def test_S3_a_filter_is_not_too_strong(small: Codec, data: bytes, place: int, lmbda: int, sign: int) -> None:
    default = Filter.of_model(small.weights, container.parse(data).header.quality).values
    for strength, well in ((56000, True), (56000 + lmbda, False)):
        values = [0] * 36
        values[place] = sign * (strength // lmbda)
        section = golomb([v - d for v, d in zip(values, default, strict=True)])
        changed = with_tile(data, first_tile(data).having(filter=section).pack())
        if well:
            small.decode(changed)
        else:
            with pytest.raises(CorruptFileError, match="strong"):
                small.decode(changed)


@pytest.mark.parametrize("sign", [1, -1])
def test_S4_numbers_of_a_filter_are_bounded(small: Codec, data: bytes, sign: int) -> None:
    """At most 16 zeros ahead of a number, although 17 would be fewer than the section may have."""
    section = golomb([*[0] * 12, sign * 2**16, *[0] * 23])
    with pytest.raises(CorruptFileError, match="cut off"):
        small.decode(with_tile(data, first_tile(data).having(filter=section).pack()))
    default = Filter.of_model(small.weights, container.parse(data).header.quality).values
    most = [*[-d for d in default[:12]], sign * 56000 - default[12], *[-d for d in default[13:]]]
    assert golomb([most[12]])[:2] == b"\0\0", "16 zeros"
    assert small.decode(with_tile(data, first_tile(data).having(filter=golomb(most)).pack()))


def test_P1_alpha_inflates_to_the_tile(small: Codec, data: bytes) -> None:
    tile = first_tile(data)
    assert len(zlib.decompress(bytes(tile.alpha))) == 64 * 65
    rows = bytearray(64 * 65)
    bomb = zlib.compress(bytes(10**7))
    rows[0] = 3
    for bad in (zlib.compress(bytes(64 * 65 - 1)), bomb, b"junk", zlib.compress(bytes(rows)), zlib.compress(b"") * 2):
        with pytest.raises(CorruptFileError, match="alpha"):
            small.decode(with_tile(data, tile.having(alpha=bad).pack()))
    with pytest.raises(CorruptFileError, match="alpha"):
        small.decode(with_tile(data, tile.having(alpha=bytes(tile.alpha) + b"\0").pack()))


def test_P3_filters_and_damaged_streams() -> None:
    good = zlib.compress(bytes([0, 5, 6]))
    for bad in (zlib.compress(bytes([3, 5, 6])), good[:-1], good[:-1] + b"?", good + b"?"):
        with pytest.raises(CorruptFileError, match="alpha"):
            unpack_alpha(bad, 1, 2)


def test_P1_filters() -> None:
    plane = picture(20, 33, 1)[..., 0]
    np.testing.assert_array_equal(unpack_alpha(pack_alpha(plane), 20, 33), plane)
    filtered = bytes([0, 5, 6, 1, 5, 6, 2, 1, 255])
    expected = [[5, 6], [5, 11], [6, 10]]
    assert unpack_alpha(zlib.compress(filtered), 3, 2).tolist() == expected


OVERLAID = np.random.default_rng(5).random((64, 64)) < 0.3


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_P4_an_overlay_replaces_pixels(small: Codec, channels: int) -> None:
    pixels = picture(70, 90, channels)
    plain = small.encode(Picture(pixels), 50, effort=2, tile=64)
    over = picture(64, 64, 3)[::-1]
    data = with_tile(plain, first_tile(plain).having(overlay=pack_overlay(over, OVERLAID)).pack())
    expected = small.decode(plain).pixels
    rgb = over.astype(int)
    values = over if channels > 1 else ((rgb[..., :1] + 2 * rgb[..., 1:2] + rgb[..., 2:] + 2) >> 2).astype(np.uint8)
    part = expected[:64, :64, : values.shape[2]]
    part[OVERLAID] = values[OVERLAID]
    np.testing.assert_array_equal(small.decode(data).pixels, expected)


def test_P4_an_overlay_has_the_tiles_size_and_decodes(small: Codec, data: bytes) -> None:
    good = pack_overlay(picture(64, 64, 3), OVERLAID)
    other = pack_overlay(picture(64, 63, 3), OVERLAID[:, :63])
    lossy = BytesIO()
    Image.fromarray(picture(64, 64, 3)).save(lossy, "WEBP", quality=50)
    for bad in (other, good[: len(good) // 2], b"junk", b"\x2f", lossy.getvalue()[20:], good[:5] + b"\xff" * 40):
        with pytest.raises(CorruptFileError, match="overlay"):
            small.decode(with_tile(data, first_tile(data).having(overlay=bad).pack()))


def test_P5_an_overlay_is_there_or_not(small: Codec, data: bytes) -> None:
    rgba = np.dstack((picture(64, 64, 3), np.where(OVERLAID, 128, 0).astype(np.uint8)))
    file = BytesIO()
    Image.fromarray(rgba).save(file, "WEBP", lossless=True)
    with pytest.raises(CorruptFileError, match="half transparent"):
        small.decode(with_tile(data, first_tile(data).having(overlay=file.getvalue()[20:]).pack()))


def test_P2_alpha_section_agrees_with_the_header(small: Codec, data: bytes) -> None:
    tile = first_tile(data)
    with pytest.raises(CorruptFileError, match="alpha"):
        small.decode(with_tile(data, tile.having(alpha=b"").pack()))
    opaque = small.encode(Picture(picture(40, 40, 3)), 50)
    with pytest.raises(CorruptFileError, match="alpha"):
        small.decode(with_tile(opaque, first_tile(opaque).having(alpha=pack_alpha(picture(40, 40, 1)[..., 0])).pack()))
