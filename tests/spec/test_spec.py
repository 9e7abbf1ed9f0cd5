"""One test for each named rule of bitstream_spec.md: the file, its chunks, its header, its tiles."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.files_with_faults import edit, first_tile, join, split, with_header, with_tile
from tests.sample_pictures import picture
from vaecodec.bitstream.chunks import SIGNATURE, pack_chunk, read_chunks
from vaecodec.bitstream.container import parse
from vaecodec.bitstream.header import VERSION, Header
from vaecodec.bitstream.tiles import EMPTY, SECTIONS, TILE_SMALLEST, Tile, tile_chunk
from vaecodec.codec import Codec
from vaecodec.errors import (
    CorruptFileError,
    LimitError,
    NotVaecError,
    TruncatedError,
    UnsupportedError,
    VaecError,
)
from vaecodec.pictures.picture import Picture

SPEC = Path(__file__).parents[2] / "bitstream_spec.md"


@pytest.fixture(scope="module")
def data(small: Codec) -> bytes:
    """A file of four tiles with metadata and coded alpha."""
    pixels = picture(100, 90, 4)
    return small.encode(Picture(pixels, b"icc", b"exif", b"xmp", b"\x09\x10\0\1"), 60, tile=64)


CHECKS = {"raises", "assert_array_equal"}  # what a test may call in place of an assert statement


def named_tests() -> dict[str, list[ast.FunctionDef]]:
    """The tests named after each rule."""
    found: dict[str, list[ast.FunctionDef]] = {}
    for path in Path(__file__).parent.glob("test_spec*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and (named := re.match(r"test_([A-Z]\d)_", node.name)):
                found.setdefault(named[1], []).append(node)
    return found


def checks(test: ast.FunctionDef) -> int:
    """How many assertions are written in a test."""
    calls = (node.func for node in ast.walk(test) if isinstance(node, ast.Call))
    named = sum(isinstance(call, ast.Attribute) and call.attr in CHECKS for call in calls)
    return named + sum(isinstance(node, ast.Assert) for node in ast.walk(test))


def test_every_rule_is_tested() -> None:
    """Each rule has a test, each such test asserts something, and none is of a rule that is not there."""
    rules, tests = set(re.findall(r"\*\*\[([A-Z]\d)\]\*\*", SPEC.read_text())), named_tests()
    assert len(rules) > 25 and rules == set(tests)
    assert [test.name for each in tests.values() for test in each if not checks(test)] == []


def test_every_rule_of_a_file_has_an_invalid_vector() -> None:
    """One that breaks it. M and A are rules of model files, S1 is one of decoders that conceal; a file that breaks
    E5 is long, and test_spec_tiles.py makes it."""
    record = json.loads((SPEC.parent / "tests" / "vectors" / "vectors.json").read_text())
    broken = {facts["breaks"] for facts in record["invalid"].values()}
    rules = re.findall(r"\*\*\[([B-LN-Z]\d)\]\*\*", SPEC.read_text())
    without = {rule for rule in rules if not any(re.fullmatch(pattern, rule) for pattern in broken)}
    assert without == {"S1", "E5"}


def test_the_text_is_of_this_version() -> None:
    """Every sentence that says which version this is."""
    said = re.findall(r"format, version (\d+)|in version (\d+) a decoder|Limits of version (\d+)", SPEC.read_text())
    assert len(said) == 3 and {int("".join(version)) for version in said} == {VERSION}
    assert re.findall(r"^\| (\d+) \| 20", SPEC.read_text(), re.M) == [str(n) for n in range(1, VERSION + 1)]


def test_the_table_of_the_header_is_what_is_read() -> None:
    """Offset, name, type and range of each field, in the text and in `Header.LAYOUT`."""
    table = SPEC.read_text().split("## 3. Header")[1].split("* **[H4]**")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:5]] for line in table.splitlines() if line.startswith("| ")][2:]
    types = {"B": "u8", "H": "u16", "I": "u32", "8s": "8 bytes"}
    at = 0
    for (offset, name, kind, limits), (field, code, low, high) in zip(rows, Header.LAYOUT, strict=True):
        assert (int(offset), name, kind) == (at, field, types[code])
        at += struct.calcsize("<" + code)
        if name == "version":
            assert int(limits) == VERSION
        elif high:
            first, last = limits.split(" .. ")
            assert (int(first), eval(last.replace("^", "**"))) == (low, high)
    assert at == Header.STRUCT.size


def test_the_list_of_sections_is_what_is_read() -> None:
    lengths = re.search(r"lanes_log2\(u8\)((?: length\(\w+\))+)", SPEC.read_text())
    assert lengths and tuple(re.findall(r"length\((\w+)\)", lengths[1])) == SECTIONS


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
    for chunk in read_chunks(data):
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


@pytest.mark.parametrize("kind", ["cICP", "iccp", "exif", "xmpp", "prev"])
def test_C5_metadata_once_and_before_the_tiles(data: bytes, kind: str) -> None:
    chunks, one = [c for c in split(data) if c[0] != kind], (kind, b"\x0c\x0d\0\1")
    parse(join([chunks[0], one, *chunks[1:]]))
    for bad in ([chunks[0], one, one, *chunks[1:]], [*chunks[:-1], one, chunks[-1]]):
        with pytest.raises(CorruptFileError, match=kind):
            parse(join(bad))


@pytest.mark.parametrize("bad", [b"", b"\x0c\x0d\0", b"\x0c\x0d\0\1\0", b"\x0c\x0d\1\1", b"\x0c\x0d\0\0"])
def test_C6_cicp_is_four_numbers_of_full_range_rgb(data: bytes, bad: bytes) -> None:
    chunks = [c for c in split(data) if c[0] != "cICP"]
    for good in (b"\x0c\x0d\0\1", b"\xff\0\0\1"):  # whatever is reserved
        assert parse(join([chunks[0], ("cICP", good), *chunks[1:]])).metadata["cicp"] == good
    with pytest.raises(CorruptFileError, match="cICP"):
        parse(join([chunks[0], ("cICP", bad), *chunks[1:]]))


def test_C5_metadata_is_kept_byte_for_byte(small: Codec, data: bytes) -> None:
    decoded = small.decode(data)
    assert (decoded.icc, decoded.exif, decoded.xmp) == (b"icc", b"exif", b"xmp")
    assert decoded.cicp == b"\x09\x10\0\1"


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
    assert len(tile_chunk(127, Tile.empty())) == TILE_SMALLEST == 21


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
        small.decode(with_tile(plain, dataclasses.replace(first, lanes_log2=EMPTY).pack()))


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
