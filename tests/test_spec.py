"""One test for each named rule of bitstream_spec.md, on files with exactly one thing wrong."""

from __future__ import annotations

import dataclasses
import json
import re
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import VECTORS
from pictures import picture
from PIL import Image
from safetensors.numpy import save

from vaecodec import container, rans, weights
from vaecodec.alpha import pack_alpha, unpack_alpha
from vaecodec.codec import Codec
from vaecodec.container import SIGNATURE, VERSION, Header, Tile, pack_chunk, parse
from vaecodec.errors import (
    CorruptFileError,
    LimitError,
    NotVaecError,
    TruncatedError,
    UnsupportedError,
    VaecError,
)
from vaecodec.grid import FEATURE_MAX, Linear
from vaecodec.model import Config, Model
from vaecodec.overlay import pack_overlay
from vaecodec.picture import Picture

SPEC = Path(__file__).parents[1] / "bitstream_spec.md"


@pytest.fixture(scope="module")
def data(small: Codec) -> bytes:
    """A file of four tiles with metadata and coded alpha."""
    pixels = picture(100, 90, 4)
    return small.encode(Picture(pixels, icc=b"icc", exif=b"exif", xmp=b"xmp"), 60, tile=64)


Chunks = list[tuple[str, bytes]]


def split(data: bytes) -> Chunks:
    return [(c.type, bytes(c.data)) for c in container.chunks(data)]


def join(chunks: Chunks) -> bytes:
    return SIGNATURE + b"".join(pack_chunk(kind, body) for kind, body in chunks)


def with_header(data: bytes, offset: int, code: str, value: int) -> bytes:
    """The file with one header field overwritten, the checksum right again."""
    chunks = split(data)
    head = bytearray(chunks[0][1])
    struct.pack_into("<" + code, head, offset, value)
    return join([("HEAD", bytes(head)), *chunks[1:]])


def with_tile(data: bytes, body: bytes) -> bytes:
    """The file with its first tile replaced."""
    chunks = split(data)
    first = next(i for i, (kind, _) in enumerate(chunks) if kind == "TILE")
    return join([*chunks[:first], ("TILE", b"\0" + body), *chunks[first + 1 :]])


def first_tile(data: bytes) -> Tile:
    return Tile.unpack(parse(data).tiles[0])


def edit(tile: Tile, **sections: bytes) -> Tile:
    named = dict(zip(container.SECTIONS, tile.sections, strict=True)) | sections
    return dataclasses.replace(tile, sections=tuple(named.values()))


def test_every_rule_is_tested() -> None:
    rules = set(re.findall(r"\*\*\[([A-Z]\d)\]\*\*", SPEC.read_text()))
    tests = Path(__file__).read_text()
    assert rules
    assert not {r for r in rules if f"def test_{r}_" not in tests}


def test_rebuilding_changes_nothing(data: bytes) -> None:
    assert join(split(data)) == data


def test_F1_signature(data: bytes) -> None:
    assert data[:8] == bytes.fromhex("9B564145430D0A1A")
    with pytest.raises(NotVaecError, match="text"):
        parse(data.replace(b"\r\n", b"\n", 1))
    for other in (b"\x89PNG\r\n\x1a\n" + data[8:], b"no"):
        with pytest.raises(NotVaecError, match="not a"):
            parse(other)
    with pytest.raises(TruncatedError):
        parse(data[:5])


def test_F2_head_comes_first_and_once(data: bytes) -> None:
    chunks = split(data)
    for bad in (chunks[1:], [chunks[1], chunks[0], *chunks[2:]], [chunks[0], *chunks]):
        with pytest.raises(CorruptFileError, match="HEAD"):
            parse(join(bad))


def test_F3_done_comes_last_and_is_empty(data: bytes) -> None:
    with pytest.raises(TruncatedError, match="DONE"):
        parse(join(split(data)[:-1]))
    with pytest.raises(CorruptFileError, match="follow"):
        parse(data + b"\0")
    with pytest.raises(CorruptFileError, match="empty"):
        parse(join([*split(data)[:-1], ("DONE", b"x")]))


@pytest.mark.parametrize("cut", [9, 30, 60, 500, -1, -11])
def test_F3_truncated_files_are_refused(data: bytes, cut: int) -> None:
    with pytest.raises(TruncatedError):
        parse(data[:cut])


def test_C1_types_are_letters(data: bytes) -> None:
    at = len(SIGNATURE) + 4
    with pytest.raises(CorruptFileError, match="chunk type"):
        parse(data[:at] + b"HE4D" + data[at + 4 :])


def test_C2_checksums(data: bytes) -> None:
    for chunk in container.chunks(data):
        for at in {chunk.start + 4, chunk.start + 8, chunk.start + chunk.size - 1}:
            broken = bytearray(data)
            broken[at] ^= 0x20
            with pytest.raises(VaecError):
                parse(bytes(broken))


def test_C2_polynomial_is_that_of_zlib() -> None:
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert pack_chunk("DONE", b"") == b"\0\0\0\0DONE" + struct.pack("<I", zlib.crc32(b"DONE"))


def test_C3_length_past_the_end(data: bytes) -> None:
    broken = bytearray(data)
    struct.pack_into("<I", broken, len(SIGNATURE), 2**32 - 1)
    with pytest.raises(TruncatedError, match="past the end"):
        parse(bytes(broken))


def test_C4_unknown_critical_chunk(data: bytes) -> None:
    chunks = split(data)
    with pytest.raises(UnsupportedError, match="WHAT"):
        parse(join([chunks[0], ("WHAT", b""), *chunks[1:]]))


def test_C4_unknown_ancillary_chunks_are_skipped(small: Codec, data: bytes) -> None:
    chunks = split(data)
    extended = join([chunks[0], ("what", b"1"), *chunks[1:-1], ("what", b"2"), chunks[-1]])
    np.testing.assert_array_equal(small.decode(extended).pixels, small.decode(data).pixels)


@pytest.mark.parametrize("kind", ["iccp", "exif", "xmpp", "prev"])
def test_C5_metadata_once_and_before_the_tiles(data: bytes, kind: str) -> None:
    chunks = [c for c in split(data) if c[0] != kind]
    parse(join([chunks[0], (kind, b"x"), *chunks[1:]]))
    for bad in ([chunks[0], (kind, b"x"), (kind, b"x"), *chunks[1:]], [*chunks[:-1], (kind, b"x"), chunks[-1]]):
        with pytest.raises(CorruptFileError, match=kind):
            parse(join(bad))


def test_C5_metadata_is_kept_byte_for_byte(small: Codec, data: bytes) -> None:
    decoded = small.decode(data)
    assert (decoded.icc, decoded.exif, decoded.xmp) == (b"icc", b"exif", b"xmp")


def test_H1_header_length_and_ranges(data: bytes) -> None:
    chunks = split(data)
    assert len(chunks[0][1]) == 32
    with pytest.raises(CorruptFileError, match="bytes"):
        parse(join([("HEAD", chunks[0][1] + b"\0"), *chunks[1:]]))
    bad = [(1, "I", 0), (1, "I", 2**31), (5, "I", 0), (5, "I", 2**31), (9, "B", 4), (10, "B", 0), (10, "B", 17)]
    bad += [(11, "H", 1001), (13, "B", 0), (13, "B", 17), (14, "B", 3), (16, "B", 0), (16, "B", 200)]
    for offset, code, value in bad:
        with pytest.raises(CorruptFileError):
            parse(with_header(data, offset, code, value))


def test_H1_largest_sizes_have_a_place_in_the_header() -> None:
    head = Header(VERSION, 2**31 - 1, 2**31 - 1, 1, 8, 1000, 16, 0, 0, "12345678", bytes(8))
    assert Header.unpack(head.pack()) == head


def test_H2_other_versions_are_not_supported(data: bytes) -> None:
    with pytest.raises(UnsupportedError, match="version 9"):
        parse(with_header(data, 0, "B", 9))
    chunks = split(data)
    with pytest.raises(UnsupportedError, match="version 99"):
        parse(join([("HEAD", b"\x63" + b"?" * 50), *chunks[1:]]))


def test_H3_other_depths_are_not_supported(data: bytes) -> None:
    with pytest.raises(UnsupportedError, match="depth 16"):
        parse(with_header(data, 10, "B", 16))


def test_H4_alpha_agrees_with_colour(data: bytes) -> None:
    for offset, value in ((9, 1), (14, 0), (15, 3)):
        with pytest.raises(CorruptFileError, match="alpha"):
            parse(with_header(data, offset, "B", value))


def test_H5_another_model_is_named(small: Codec, data: bytes) -> None:
    with pytest.raises(UnsupportedError, match="needs model small"):
        small.decode(with_header(data, 24, "B", 0xAA ^ data[24]))
    with pytest.raises(UnsupportedError, match="needs model tmall"):
        small.decode(with_header(data, 16, "B", ord("t")))


def test_H6_number_of_tiles(data: bytes) -> None:
    chunks = split(data)
    with pytest.raises(CorruptFileError, match="3 tiles"):
        parse(join([*chunks[:-2], chunks[-1]]))
    with pytest.raises(CorruptFileError, match="5 tiles"):
        parse(join([*chunks[:-1], ("TILE", b"\4" + chunks[-2][1][1:]), chunks[-1]]))


def test_H7_a_small_file_cannot_claim_many_tiles(data: bytes) -> None:
    with pytest.raises(TruncatedError, match="too short"):
        parse(with_header(data, 1, "I", 2**31 - 1))
    with pytest.raises(LimitError, match="limit"):
        parse(data, max_pixels=100 * 90 - 1)
    assert len(container.tile_chunk(127, Tile.empty())) == container.TILE_SMALLEST == 20


def test_T1_lane_count(data: bytes) -> None:
    body = bytearray(first_tile(data).pack())
    body[0] = 8
    with pytest.raises(CorruptFileError, match="lane"):
        first_tile(with_tile(data, bytes(body)))


def test_T5_tiles_have_their_numbers(small: Codec) -> None:
    data = small.encode(Picture(picture(70, 150, 3)), 50, tile=64)
    chunks = split(data)
    first = next(i for i, (kind, _) in enumerate(chunks) if kind == "TILE")
    assert [content[0] for kind, content in chunks if kind == "TILE"] == list(range(6))
    swapped = [*chunks[:first], chunks[first + 1], chunks[first], *chunks[first + 2 :]]
    with pytest.raises(CorruptFileError, match="tile 1 stands where tile 0 must"):
        parse(join(swapped))
    for number in (b"", b"\x80", b"\x80\x00", b"\x06"):
        with pytest.raises(CorruptFileError):
            parse(join([*chunks[:first], ("TILE", number), *chunks[first + 1 :]]))


def test_T4_a_tile_without_latents(small: Codec, data: bytes) -> None:
    plain = small.encode(Picture(picture(70, 150, 3)), 50, tile=64)
    empty = small.decode(with_tile(plain, Tile.empty().pack())).pixels
    whole = small.decode(plain).pixels
    assert not np.array_equal(empty[:64, :64], whole[:64, :64])
    np.testing.assert_array_equal(empty[:, 120:], whole[:, 120:])  # beyond the synthesis margin
    first = first_tile(plain)
    for name in ("z", "low", "high", "escapes"):
        with pytest.raises(CorruptFileError, match="latents"):
            small.decode(with_tile(plain, edit(Tile.empty(), **{name: b"\0\0"}).pack()))
    with pytest.raises(CorruptFileError):
        small.decode(with_tile(plain, dataclasses.replace(first, lanes_log2=container.EMPTY).pack()))


@pytest.mark.parametrize("length", [b"\x80\x00", b"\xff\xff\xff\xff\xff\x01", b"\x80"])
def test_T2_lengths_are_leb128_in_shortest_form(length: bytes) -> None:
    with pytest.raises(CorruptFileError):
        Tile.unpack(memoryview(b"\0" + length))


def test_T3_sections_fill_the_chunk(small: Codec, data: bytes) -> None:
    tile = first_tile(data)
    for body in (tile.pack() + b"\0", tile.pack()[:-1], b""):
        with pytest.raises(CorruptFileError):
            small.decode(with_tile(data, body))
    with pytest.raises(CorruptFileError, match="odd"):
        small.decode(with_tile(data, edit(tile, low=bytes(tile.words[1]) + b"\0").pack()))


def test_M1_frequencies_sum_to_one(small: Codec) -> None:
    tables = small.weights.y_tables
    frequency = tables.frequency[:-1].copy()
    assert (frequency.sum(1) == 65536).all()
    frequency[0, 0] += 1
    with pytest.raises(ValueError, match="sum"):
        rans.Tables(tables.low, tables.size, frequency)


@pytest.mark.parametrize("table, low, high", [("step", 1, 32767), ("index_bias", -2047, 2047)])
def test_M2_quality_tables_are_in_range(table: str, low: int, high: int) -> None:
    module = getattr(Model(Config(C=4, M=8, N=2, D=4, low=4)), table)
    for value in (low, high):
        module.freeze(torch.full((9, 8), value))
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match="range"):
            module.freeze(torch.full((9, 8), value))


def repack(tmp_path: Path, tensors: dict[str, np.ndarray], **metadata: str) -> Path:
    """The small model with other tensors or metadata, as a file."""
    old, _ = weights.read(VECTORS / "small.safetensors")
    old |= metadata
    if "hash" not in metadata:
        old["hash"] = weights.model_hash(old["config"], tensors).hex()
    path = tmp_path / "model.safetensors"
    path.write_bytes(save({k: np.ascontiguousarray(v) for k, v in tensors.items()}, old))
    return path


def test_M3_model_names_fit_the_header(tmp_path: Path) -> None:
    _, tensors = weights.read(VECTORS / "small.safetensors")
    assert weights.load(repack(tmp_path, tensors, name="12345678")).name == "12345678"
    for name in ("", "a b", "ninechars"):
        with pytest.raises(UnsupportedError, match="name"):
            weights.load(repack(tmp_path, tensors, name=name))


def test_M4_a_damaged_or_incomplete_model_is_refused(tmp_path: Path) -> None:
    _, tensors = weights.read(VECTORS / "small.safetensors")
    weights.load(repack(tmp_path, tensors))
    changed = tensors | {"g_s.leave.k": tensors["g_s.leave.k"] + 30}
    for make in (
        lambda: repack(tmp_path, tensors, hash="00" * 32),
        lambda: repack(tmp_path, tensors, config="{}"),
        lambda: repack(tmp_path, changed),
        lambda: repack(tmp_path, {k: v for k, v in tensors.items() if k != "g_s.leave.w"}),
        lambda: repack(tmp_path, tensors | {"step.t": tensors["step.t"][:, :3]}),
        lambda: repack(tmp_path, tensors | {"step.t": tensors["step.t"].astype(np.int32)}),
        lambda: repack(tmp_path, tensors | {"g_s.leave.w": tensors["g_s.leave.w"].astype(np.float64) * np.nan}),
        lambda: repack(tmp_path, tensors | {"y.low": tensors["y.low"][None]}),
    ):
        with pytest.raises(UnsupportedError):
            weights.load(make())
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(UnsupportedError, match="readable"):
        weights.load(tmp_path / "junk")


@pytest.mark.parametrize(
    "change",
    [
        {"C": 0},
        {"C": -1},
        {"C": 10**9},
        {"M": 2**40},
        {"N": 1.5},
        {"D": None},
        {"low": 10**3},
        {"blocks_s": 10**9},
        {"blocks_c": -1},
        {"skip": "0"},
        {"more": 1},
    ],
)
def test_M4_configs_that_are_none(tmp_path: Path, change: dict[str, object]) -> None:
    """The first of them by fuzzing. None takes memory for what it says."""
    metadata, tensors = weights.read(VECTORS / "small.safetensors")
    config = json.loads(metadata["config"])
    with pytest.raises(UnsupportedError):
        weights.load(repack(tmp_path, tensors, config=json.dumps(config | change)))


@pytest.mark.parametrize("config", ["", "3", "[]", "{", '"x"', "null", "[" * 100_000])
def test_M4_configs_that_are_no_objects(tmp_path: Path, config: str) -> None:
    _, tensors = weights.read(VECTORS / "small.safetensors")
    with pytest.raises(UnsupportedError):
        weights.load(repack(tmp_path, tensors, config=config))


@pytest.mark.parametrize("key", ["config", "hash", "name", "format"])
def test_M4_metadata_that_lacks_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """By fuzzing."""
    metadata, tensors = weights.read_file(VECTORS / "small.safetensors")
    del metadata[key]
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(tensors, metadata))
    with pytest.raises(UnsupportedError):
        weights.load(path)
    monkeypatch.setenv(weights.FOLDERS, str(tmp_path))
    with pytest.raises(UnsupportedError):
        weights.find("nobody", bytes(8))


def test_M5_tables_of_y_begin_at_even_values(tmp_path: Path) -> None:
    _, tensors = weights.read(VECTORS / "small.safetensors")
    for changed in (tensors["y.low"] + 1, tensors["y.low"][:64]):
        with pytest.raises(UnsupportedError):
            weights.load(repack(tmp_path, tensors | {"y.low": changed}))


def test_E1_states_are_in_range(small: Codec, data: bytes) -> None:
    tile = first_tile(data)
    low = dataclasses.replace(tile, states=b"\xff\xff\0\0" + bytes(tile.states[4:]))
    with pytest.raises(CorruptFileError, match="state"):
        small.decode(with_tile(data, low.pack()))


def test_E2_words_that_run_out(small: Codec, data: bytes) -> None:
    tile = first_tile(data)
    with pytest.raises(CorruptFileError):
        small.decode(with_tile(data, edit(tile, high=tile.words[2][:-20]).pack()))


def test_E3_sections_end_where_they_say(small: Codec, data: bytes) -> None:
    tile = first_tile(data)
    z, low = bytes(tile.words[0]), bytes(tile.words[1])
    moved = edit(tile, z=z + low[:2], low=low[2:])
    with pytest.raises(CorruptFileError, match="section"):
        small.decode(with_tile(data, moved.pack()))
    longer = edit(tile, high=bytes(tile.words[2]) + b"\0\0")
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
            small.decode(with_tile(data, edit(tile, escapes=bad).pack()))


def test_E5_rounds_are_bounded() -> None:
    tables = rans.Tables(np.array([0]), np.array([2]), np.array([[65535, 1]]))
    table = np.zeros(2 * rans.ROUNDS_MAX + 2, np.int64)
    states, words = rans.encode([rans.Run(tables, [table], [table])], [1])
    exactly = rans.Decoder(states, words[0])
    exactly.decode(tables, [table[2:]])
    with pytest.raises(CorruptFileError, match="lanes"):
        exactly.decode(tables, [table[:1]])
    with pytest.raises(CorruptFileError, match="lanes"):
        rans.Decoder(states, words[0]).decode(tables, [table])
    # What this encoder sends: under the lane count's own bound, the dependent runs with fewer lanes, runs not full.
    most = max(2 * rans.SYMBOLS_PER_LANE, 64 * 64 * (384 + 6) / 2 ** rans.lanes_for(64 * 64 * 390, 0))
    assert rans.ROUNDS_MAX == 16384 > most + 4 * 2 * rans.SYMBOLS_PER_MACHINE + 9


def test_S1_the_synthesis_margin(shipped: Codec) -> None:
    """One position of y_hat, as large as it can be: it reaches as far as the margin, and not a pixel farther."""
    model, q = shipped.weights.model, torch.full((1,), 500)
    assert model.g_s.margin == -(-model.cfg.blocks_s // 2) == 3
    y_hat = torch.randint(-40, 40, (1, 11, 11, model.cfg.M), generator=torch.Generator().manual_seed(0)).float()
    changed = y_hat.clone()
    changed[0, 5, 5] = 16000
    with shipped.exactly():
        a, b = (model.g_s(y, q, model.steps(q))[0] for y in (y_hat, changed))
    rows, columns, _ = (a != b).nonzero().T
    for touched in (rows, columns):
        assert touched.min() >= (5 - 3) * 16 and touched.max() < (5 + 1 + 3) * 16
        assert touched.min() < (5 - 2) * 16 and touched.max() >= (5 + 1 + 2) * 16


def test_S1_concealed_tiles(small: Codec, data: bytes) -> None:
    """Whatever is farther than the margin from a tile that is lost is as it was."""
    whole = small.decode(data).pixels
    chunks = split(data)
    first = next(i for i, (kind, _) in enumerate(chunks) if kind == "TILE")
    found = small.decode_partial(join(chunks[:first] + chunks[first + 1 :]))
    assert found.lost == [(0, 0, 64, 64)] and found.margin == 16 * small.weights.model.g_s.margin
    pixels = found.picture.pixels
    np.testing.assert_array_equal(pixels[64 + found.margin :], whole[64 + found.margin :])
    np.testing.assert_array_equal(pixels[:, 64 + found.margin :], whole[:, 64 + found.margin :])
    assert not np.array_equal(pixels, whole)


def test_P1_alpha_inflates_to_the_tile(small: Codec, data: bytes) -> None:
    tile = first_tile(data)
    assert len(zlib.decompress(bytes(tile.alpha))) == 64 * 65
    rows = bytearray(64 * 65)
    bomb = zlib.compress(bytes(10**7))
    rows[0] = 3
    for bad in (zlib.compress(bytes(64 * 65 - 1)), bomb, b"junk", zlib.compress(bytes(rows)), zlib.compress(b"") * 2):
        with pytest.raises(CorruptFileError, match="alpha"):
            small.decode(with_tile(data, edit(tile, alpha=bad).pack()))
    with pytest.raises(CorruptFileError, match="alpha"):
        small.decode(with_tile(data, edit(tile, alpha=bytes(tile.alpha) + b"\0").pack()))


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
    data = with_tile(plain, edit(first_tile(plain), overlay=pack_overlay(over, OVERLAID)).pack())
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
            small.decode(with_tile(data, edit(first_tile(data), overlay=bad).pack()))


def test_P5_an_overlay_is_there_or_not(small: Codec, data: bytes) -> None:
    rgba = np.dstack((picture(64, 64, 3), np.where(OVERLAID, 128, 0).astype(np.uint8)))
    file = BytesIO()
    Image.fromarray(rgba).save(file, "WEBP", lossless=True)
    with pytest.raises(CorruptFileError, match="half transparent"):
        small.decode(with_tile(data, edit(first_tile(data), overlay=file.getvalue()[20:]).pack()))


def test_P2_alpha_section_agrees_with_the_header(small: Codec, data: bytes) -> None:
    tile = first_tile(data)
    with pytest.raises(CorruptFileError, match="alpha"):
        small.decode(with_tile(data, edit(tile, alpha=b"").pack()))
    opaque = small.encode(Picture(picture(40, 40, 3)), 50)
    with pytest.raises(CorruptFileError, match="alpha"):
        small.decode(with_tile(opaque, edit(first_tile(opaque), alpha=pack_alpha(picture(40, 40, 1)[..., 0])).pack()))


def test_A1_layers_that_could_overflow_are_refused(small: Codec) -> None:
    layer = Linear(4, 1, limit=FEATURE_MAX)
    k = torch.zeros(1)
    layer.freeze(torch.full((1, 4), 2048), torch.zeros(1), k, torch.float32)  # 4 * 2048 * 2047 < 2^24
    with pytest.raises(ValueError, match="overflow"):
        layer.freeze(torch.full((1, 4), 2050), torch.zeros(1), k, torch.float32)
    for module in small.weights.model.modules():
        if isinstance(module, Linear) and module.limit is not None:
            w, b, _ = module.grid_weights()
            assert (w.abs().sum(1) * module.limit + b.abs()).max() < 2.0**module.bits
