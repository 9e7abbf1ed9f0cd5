"""The named rules of bitstream_spec.md about what is in a tile, and about synthesis."""

from __future__ import annotations

import dataclasses
import struct
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from tests.files_with_faults import first_tile, join, split, with_tile
from tests.forgery import coloured, flagged, golomb, vp8l
from tests.sample_pictures import picture
from vaecodec.bitstream import container
from vaecodec.bitstream import vp8l as vp8l_module
from vaecodec.bitstream.alpha import pack_alpha, unpack_alpha
from vaecodec.bitstream.overlay import pack_overlay
from vaecodec.bitstream.vp8l import as_file
from vaecodec.codec import Codec
from vaecodec.entropy import rans
from vaecodec.errors import CorruptFileError, UnsupportedError
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


@pytest.mark.parametrize("name", ["alpha", "overlay"])
def test_P1_exact_sections_have_the_size_of_the_tile(small: Codec, data: bytes, name: str) -> None:
    tile = first_tile(data)
    small.decode(with_tile(data, tile.having(**{name: coloured(64, 64, 255)}).pack()))
    for height, width in ((64, 63), (63, 64), (65, 64), (1, 1), (64, 16383)):
        with pytest.raises(CorruptFileError, match="another size"):
            small.decode(with_tile(data, tile.having(**{name: coloured(height, width, 255)}).pack()))


@pytest.mark.parametrize("name", ["alpha", "overlay"])
def test_P3_exact_sections_decode(small: Codec, data: bytes, name: str) -> None:
    good, lossy = coloured(64, 64, 255), BytesIO()
    Image.fromarray(picture(64, 64, 3)).save(lossy, "WEBP", quality=50)
    bad = [good[: len(good) // 2], good[:5], good[:5] + b"\xff" * 40, b"junk", b"\x2f", lossy.getvalue()[20:]]
    for section in (*bad, *(flagged(good, True, version) for version in (1, 2, 4))):
        with pytest.raises(CorruptFileError, match="transparency" if name == "alpha" else name):
            small.decode(with_tile(data, first_tile(data).having(**{name: section}).pack()))


@pytest.mark.parametrize("name", ["alpha", "overlay"])
def test_P3_what_has_no_meaning(small: Codec, data: bytes, name: str) -> None:
    """alpha_is_used, and bytes behind the image data."""
    good = coloured(64, 64, None if name == "alpha" else 0)
    plain = small.decode(with_tile(data, first_tile(data).having(**{name: good}).pack())).pixels
    for section in (flagged(good, False), flagged(good, True), *(good + b"\xff" * n for n in (1, 2, 99))):
        changed = with_tile(data, first_tile(data).having(**{name: section}).pack())
        np.testing.assert_array_equal(small.decode(changed).pixels, plain)


def test_P1_alpha_is_the_green_of_its_section(small: Codec, data: bytes) -> None:
    rgba = picture(64, 64, 4)
    decoded = small.decode(with_tile(data, first_tile(data).having(alpha=vp8l(rgba)).pack())).pixels
    np.testing.assert_array_equal(decoded[:64, :64, 3], rgba[..., 1])
    np.testing.assert_array_equal(decoded[..., :3], small.decode(data).pixels[..., :3])


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40)), st.booleans())
def test_P1_alpha_comes_back(plane: np.ndarray, thorough: bool) -> None:
    packed = pack_alpha(plane, thorough=thorough)
    np.testing.assert_array_equal(unpack_alpha(packed, *plane.shape), plane)
    with Image.open(BytesIO(as_file(packed, int.from_bytes(packed[1:5], "little")))) as image:
        assert image.mode == "RGB"  # opaque
        np.testing.assert_array_equal(np.asarray(image), plane[..., None].repeat(3, 2))


def test_P1_without_webp_there_is_no_alpha(small: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    opaque, coded = picture(40, 40, 4), small.encode(Picture(picture(40, 40, 4)), 50, effort=2)
    opaque[..., 3] = 255
    monkeypatch.setattr(vp8l_module, "available", lambda: False)
    with pytest.raises(UnsupportedError, match="a tile's transparency needs a Pillow with WebP"):
        small.decode(coded)
    with pytest.raises(UnsupportedError, match="transparency needs a Pillow with WebP"):
        small.encode(Picture(picture(40, 40, 4)), 50)
    assert (small.decode(small.encode(Picture(opaque), 50)).pixels[..., 3] == 255).all()


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


@pytest.mark.parametrize("used", [True, False])
def test_P4_an_overlay_is_there_or_not(small: Codec, data: bytes, used: bool) -> None:
    for alpha in (1, 128, 254):
        section = flagged(vp8l(np.dstack((picture(64, 64, 3), np.where(OVERLAID, alpha, 0).astype(np.uint8)))), used)
        with pytest.raises(CorruptFileError, match="half transparent"):
            small.decode(with_tile(data, first_tile(data).having(overlay=section).pack()))


def test_P2_alpha_section_agrees_with_the_header(small: Codec, data: bytes) -> None:
    tile = first_tile(data)
    with pytest.raises(CorruptFileError, match="alpha"):
        small.decode(with_tile(data, tile.having(alpha=b"").pack()))
    opaque = small.encode(Picture(picture(40, 40, 3)), 50)
    with pytest.raises(CorruptFileError, match="alpha"):
        small.decode(with_tile(opaque, first_tile(opaque).having(alpha=pack_alpha(picture(40, 40, 1)[..., 0])).pack()))
