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

from tests import forgery
from tests.files_with_faults import Chunks, first_tile, join, split, with_header, with_tile
from tests.forgery import changed_tile, recut, unpacked
from tests.sample_pictures import picture
from tools.make.rules import indexed
from vaecodec.bitstream.chunks import SIGNATURE, pack_chunk, read_chunks
from vaecodec.bitstream.container import pack_index, parse, unpack_index
from vaecodec.bitstream.header import MODELS, RANGES, RGB, VERSION, Header, Known
from vaecodec.bitstream.tiles import EMPTY, FLAGS, SECTIONS, TILE_SMALLEST, Tile, tile_chunks
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


@pytest.fixture(scope="module")
def progressive(small: Codec) -> bytes:
    """One of four tiles with coded alpha, progressive."""
    return small.encode(Picture(picture(100, 90, 4)), 60, tile=64, progressive=True)


def index_of(chunks: Chunks) -> tuple[str, bytes]:
    """Of the tiles among chunks."""
    return "tIDX", pack_index([len(content) for kind, content in chunks if kind == "TILE"])


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
    """One that breaks it. M and A are rules of model files, S1 is one of decoders that conceal."""
    record = json.loads((SPEC.parent / "tests" / "vectors" / "vectors.json").read_text())
    broken = {facts["breaks"] for facts in record["invalid"].values()}
    rules = re.findall(r"\*\*\[([B-LN-Z]\d)\]\*\*", SPEC.read_text())
    without = {rule for rule in rules if not any(re.fullmatch(pattern, rule) for pattern in broken)}
    assert without == {"S1"}


def test_the_index_of_rules_is_up_to_date() -> None:
    """Else run `python -m tools.make.rules`."""
    text = SPEC.read_text()
    assert indexed(text) == text


def test_the_text_is_of_this_version() -> None:
    """Every sentence that says which version this is."""
    said = re.findall(r"format, version (\d+)", SPEC.read_text())
    assert [int(version) for version in said] == [VERSION]
    assert re.findall(r"^\| (\d+) \| 20", SPEC.read_text(), re.M) == [str(n) for n in range(1, VERSION + 1)]


def test_the_table_of_the_header_is_what_is_read() -> None:
    """Names and ranges of the fields, in the text and in the package."""
    table = SPEC.read_text().split("## 3. Header")[1].split("* colour:")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:5]] for line in table.splitlines() if line.startswith("| ")][2:]
    names = ["version", "flags", "quality", "width", "height", "alpha_value", "tile", "model", "model_name"]
    assert [row[0] for row in rows] == [*names, "model_hash", "features"]
    ranges = {name: (low, high) for name, low, high in RANGES}
    for name, _, _, limits in rows:
        if name in ranges and ".." in limits:
            low, high = (eval(side.replace("^", "**")) for side in limits.split(".."))
            assert (low, high + (name == "tile")) == ranges[name]  # 16, which is left out
    assert [row[3] for row in rows if row[0] == "version"] == [str(VERSION)]


def test_the_list_of_sections_is_what_is_read() -> None:
    sections = re.search(r"states\(4 \* L bytes\) ([a-z ]+)\n", SPEC.read_text())
    assert sections and tuple(sections[1].split()) == SECTIONS
    said = re.search(r"which sections are there: ([a-z0-9, ]+)\.", SPEC.read_text())
    assert said and said[1].split(", ") == [f"{flag} {name}" for name, flag in FLAGS.items()]


def test_the_registry_of_models_is_what_is_known() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| `([0-9a-f]{16})[0-9a-f]{48}` ", SPEC.read_text(), re.M)
    assert {int(n): (name, bytes.fromhex(digest)) for n, name, digest in rows} == MODELS


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


def test_F3_a_file_ends_with_the_last_chunk_of_its_tiles(data: bytes, progressive: bytes) -> None:
    for file in (data, progressive):
        chunks = split(file)
        for end in range(1, len(chunks)):
            with pytest.raises(TruncatedError, match=r"last tile|too short"):
                parse(join(chunks[:end]))
        for more in (("abCD", b""), ("eXIf", b""), ("WHAT", b""), chunks[-1], ("TILE", b"\4" + chunks[-1][1][1:])):
            with pytest.raises(CorruptFileError, match="behind the last tile"):
                parse(join([*chunks, more]))
        for more in (b"\0", bytes(11), bytes(99), file):
            with pytest.raises(CorruptFileError):
                parse(file + more)


@pytest.mark.parametrize("cut", [9, 30, 60, 500, -1, -11])
def test_F3_truncated_files_are_refused(data: bytes, cut: int) -> None:
    with pytest.raises(TruncatedError):
        parse(data[:cut])


@pytest.mark.parametrize("kind", [b"HE4D", b"HEA ", b"\xc9EAD"])
def test_C1_types_are_letters(data: bytes, kind: bytes) -> None:
    at = len(SIGNATURE) + 4
    with pytest.raises(CorruptFileError, match="chunk type"):
        parse(data[:at] + kind + data[at + 4 :])


def test_C2_checksums(data: bytes) -> None:
    for chunk in read_chunks(data):
        for at in {chunk.start + 4, chunk.start + 8, chunk.start + chunk.size - 1}:
            broken = bytearray(data)
            broken[at] ^= 0x20
            with pytest.raises(VaecError):
                parse(bytes(broken))


def test_C2_polynomial_is_that_of_zlib() -> None:
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert pack_chunk("HIGH", b"") == b"\0\0\0\0HIGH" + struct.pack("<I", zlib.crc32(b"HIGH"))


def test_C3_length_past_the_end(data: bytes) -> None:
    broken = bytearray(data)
    struct.pack_into("<I", broken, len(SIGNATURE), 2**32 - 1)
    with pytest.raises(TruncatedError, match="past the end"):
        parse(bytes(broken))


@pytest.mark.parametrize("kind", ["WHAT", "DONE", "WhAt"])
def test_C4_unknown_critical_chunk(data: bytes, kind: str) -> None:
    """DONE, which ended files of version 8, is one of them."""
    chunks = split(data)
    for at in range(1, len(chunks)):
        with pytest.raises(UnsupportedError, match=kind):
            parse(join([*chunks[:at], (kind, b""), *chunks[at:]]))


def test_C4_unknown_ancillary_chunks_are_skipped(small: Codec, data: bytes) -> None:
    chunks = split(data)
    extended = join([chunks[0], ("whAt", b"1"), *chunks[1:-1], ("wHAt", b"2"), ("rESI", b"2"), chunks[-1]])
    np.testing.assert_array_equal(small.decode(extended).pixels, small.decode(data).pixels)


@pytest.mark.parametrize("kind", ["cICP", "iCCP", "eXIf", "xMPp", "pREV", "tIDX"])
def test_C5_once_and_before_the_tiles(data: bytes, kind: str) -> None:
    chunks = [c for c in split(data) if c[0] not in (kind, "tIDX")]
    own = index_of(chunks) if kind == "tIDX" else (kind, b"\x0c\x0d\0\1")
    first = next(at for at, (other, _) in enumerate(chunks) if other == "TILE")
    parse(join([*chunks[:first], own, *chunks[first:]]))
    for bad in ([*chunks[:first], own, own, *chunks[first:]], [*chunks[:-1], own, chunks[-1]]):
        with pytest.raises(CorruptFileError, match=kind):
            parse(join(bad))


@pytest.mark.parametrize("bad", [b"", b"\x0c\x0d\0", b"\x0c\x0d\0\1\0", b"\x0c\x0d\1\1", b"\x0c\x0d\0\0"])
def test_C7_cicp_is_four_numbers_of_full_range_rgb(data: bytes, bad: bytes) -> None:
    chunks = [c for c in split(data) if c[0] != "cICP"]
    for good in (b"\x0c\x0d\0\1", b"\xff\0\0\1"):  # whatever is reserved
        assert parse(join([chunks[0], ("cICP", good), *chunks[1:]])).metadata["cicp"] == good
    with pytest.raises(CorruptFileError, match="cICP"):
        parse(join([chunks[0], ("cICP", bad), *chunks[1:]]))


def test_C5_metadata_is_kept_byte_for_byte(small: Codec, data: bytes) -> None:
    decoded = small.decode(data)
    assert (decoded.icc, decoded.exif, decoded.xmp) == (b"icc", b"exif", b"xmp")
    assert decoded.cicp == b"\x09\x10\0\1"


@pytest.mark.parametrize("kind", ["whaT", "iccp", "exif", "TIle", "abcd"])
def test_C6_the_third_letter_is_upper_case(data: bytes, kind: str) -> None:
    chunks = split(data)
    for at in (1, len(chunks) - 1):
        with pytest.raises(CorruptFileError, match="chunk type"):
            parse(join([*chunks[:at], (kind, b""), *chunks[at:]]))


def test_H1_ranges(data: bytes) -> None:
    bad = [{"width": 0}, {"width": 2**31}, {"height": 0}, {"height": 2**31}, {"quality": 1001}, {"alpha": 3}]
    for fields in [*bad, {"tile": 0}, {"tile": 17}, {"model": bytes(8)}, {"model": b"a b"}, {"model": b"a\0b"}]:
        with pytest.raises(CorruptFileError):
            parse(with_header(data, **fields))


def test_H1_a_header_that_is_cut_off() -> None:
    """Anywhere, with every field there."""
    alpha = {"colour": 3, "alpha": 1, "alpha_value": 200}
    head = Header(300, 200, quality=1, model="small", model_hash=bytes(8), tile=4, features=2**16, **alpha)
    packed = head.pack()
    assert Header.unpack(packed) == head
    for end in range(len(packed)):
        with pytest.raises(CorruptFileError):
            Header.unpack(packed[:end])


def test_H1_largest_sizes_have_a_place_in_the_header() -> None:
    head = Header(2**31 - 1, 2**31 - 1, 1, 1000, "12345678", bytes(8))
    assert Header.unpack(head.pack()) == head


@pytest.mark.parametrize("version", [0, 1, 8, 10, 99, 255])
def test_H2_other_versions_are_not_supported(data: bytes, version: int) -> None:
    """Whatever follows."""
    chunks = split(data)
    for head in (bytes([version]) + chunks[0][1][1:], bytes([version]), bytes([version]) + b"\xff" * 50):
        with pytest.raises(UnsupportedError, match=f"version {version};"):
            parse(join([("HEAD", head), *chunks[1:]]))


@pytest.mark.parametrize("fields", [{"colour": 1}, {"colour": 0}, {"alpha": 0}])
def test_H4_alpha_agrees_with_colour(data: bytes, fields: dict[str, int]) -> None:
    with pytest.raises(CorruptFileError, match="alpha"):
        parse(with_header(data, **fields))


def test_H5_another_model_is_named(small: Codec, data: bytes) -> None:
    with pytest.raises(UnsupportedError, match="needs model small"):
        small.decode(with_header(data, hash=bytes(8)))
    with pytest.raises(UnsupportedError, match="needs model tmall"):
        small.decode(with_header(data, model=b"tmall"))
    with pytest.raises(UnsupportedError, match="needs model number 99"):
        parse(with_header(data, number=99))


def test_H5_models_by_number_and_by_name(shipped: Codec) -> None:
    """The model that every decoder has takes no byte, and may be named."""
    data = shipped.encode(picture(20, 30), 50)
    assert (shipped.weights.name, shipped.weights.hash) == MODELS[1]
    named = with_header(data, number=0, model=b"base", hash=shipped.weights.hash)
    assert len(named) == len(data) + 17
    np.testing.assert_array_equal(shipped.decode(named).pixels, shipped.decode(data).pixels)


def test_H5_numbers_of_the_registry(monkeypatch: pytest.MonkeyPatch, small: Codec, data: bytes) -> None:
    """One that has got a number needs no name."""
    monkeypatch.setitem(MODELS, 300, Known(small.weights.name, small.weights.hash))
    again = small.encode(small.decode(data), 60, tile=64)
    assert unpacked(split(again)[0][1])["number"] == 300 and len(split(again)[0][1]) == len(split(data)[0][1]) - 15
    numbered = with_header(data, number=300)
    np.testing.assert_array_equal(small.decode(numbered).pixels, small.decode(data).pixels)


def test_H6_number_of_tiles(data: bytes, progressive: bytes) -> None:
    chunks = split(data)
    with pytest.raises(TruncatedError, match="last tile"):
        parse(join(chunks[:-1]))
    with pytest.raises(CorruptFileError, match="behind the last tile"):
        parse(join([*chunks, ("TILE", b"\4" + chunks[-1][1][1:])]))
    with pytest.raises(CorruptFileError, match="BASE stands where TILE must"):
        parse(join([*chunks[:-1], ("BASE", chunks[-1][1])]))
    with pytest.raises(CorruptFileError, match="BASE stands where TILE must"):
        parse(with_header(progressive, features=None))
    with pytest.raises(CorruptFileError, match="TILE stands where BASE must"):
        parse(with_header(data, features=1))


def test_H7_a_small_file_cannot_claim_many_tiles(data: bytes) -> None:
    with pytest.raises(TruncatedError, match="too short"):
        parse(with_header(data, width=2**31 - 1))
    with pytest.raises(LimitError, match="limit"):
        parse(data, max_pixels=100 * 90 - 1)
    for progressive in (False, True):
        assert min(map(len, tile_chunks(0, Tile.empty(), progressive))) >= TILE_SMALLEST - progressive
    assert len(tile_chunks(127, Tile.empty())[0]) == TILE_SMALLEST == 14


def test_H8_reserved_flag(data: bytes) -> None:
    with pytest.raises(CorruptFileError, match="reserved"):
        parse(with_header(data, reserved=1))


@pytest.mark.parametrize("fields", [{"tile": 16}, {"number": 1}, {"features": 0}])
def test_H8_fields_that_could_be_left_out(data: bytes, fields: dict[str, int]) -> None:
    with pytest.raises(CorruptFileError, match="could be left out"):
        parse(with_header(data, **fields))


def test_H8_what_is_usual_takes_no_byte(shipped: Codec) -> None:
    """A picture of one tile of the shipped model has six bytes of HEAD."""
    data = shipped.encode(picture(20, 30), 50)
    assert split(data)[0][1] == bytes([VERSION, RGB, 500 % 256, 500 // 256, 30, 20])


@pytest.mark.parametrize("rest", [b"\0", b"later", bytes(200)])
def test_H8_bytes_behind_the_fields_are_ignored(small: Codec, data: bytes, rest: bytes) -> None:
    """Those of later versions."""
    np.testing.assert_array_equal(small.decode(with_header(data, rest=rest)).pixels, small.decode(data).pixels)


@pytest.mark.parametrize("bit", range(1, 16))
def test_H9_features_that_are_needed(data: bytes, bit: int) -> None:
    with pytest.raises(UnsupportedError, match=f"needs features {1 << bit:#x}"):
        parse(with_header(data, features=1 << bit | 1 << 20))


@pytest.mark.parametrize("features", [1 << 16, 1 << 34, (1 << 35) - (1 << 16)])
def test_H9_features_that_are_not(small: Codec, data: bytes, features: int) -> None:
    np.testing.assert_array_equal(small.decode(with_header(data, features=features)).pixels, small.decode(data).pixels)


@pytest.mark.parametrize("lanes", [9, 10, 15])
def test_T1_lane_count(data: bytes, lanes: int) -> None:
    body = bytearray(first_tile(data).pack())
    body[0] = body[0] & 240 | lanes
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


def test_T5_parts_have_their_numbers(progressive: bytes) -> None:
    chunks = split(progressive)
    for at in (2, 6, 10):
        swapped = [*chunks[:at], chunks[at + 1], chunks[at], *chunks[at + 2 :]]
        with pytest.raises(CorruptFileError, match="tile 1 stands where tile 0 must"):
            parse(join(swapped))


def test_T4_a_tile_without_latents(small: Codec, data: bytes) -> None:
    plain = small.encode(Picture(picture(70, 150, 3)), 50, tile=64)
    empty = small.decode(with_tile(plain, Tile.empty().pack())).pixels
    whole = small.decode(plain).pixels
    assert not np.array_equal(empty[:64, :64], whole[:64, :64])
    np.testing.assert_array_equal(empty[:, 120:], whole[:, 120:])  # beyond the synthesis margin
    first = first_tile(plain)
    for body in (Tile.empty().having(escapes=b"\0").pack(), Tile.empty().having(filter=b"\0").pack(), b"\x08\0\0"):
        with pytest.raises(CorruptFileError, match="latents"):
            small.decode(with_tile(plain, body))
    with pytest.raises(CorruptFileError):
        small.decode(with_tile(plain, dataclasses.replace(first, lanes_log2=EMPTY).pack()))


@pytest.mark.parametrize("length", [b"\x80\x00", b"\xff\xff\xff\xff\xff\x01", b"\x80"])
def test_T2_numbers_are_leb128_in_shortest_form(data: bytes, length: bytes) -> None:
    with pytest.raises(CorruptFileError):
        Tile.unpack(memoryview(b"\0" + length))
    chunks = split(data)
    for head in (chunks[0][1][:4] + length, chunks[0][1][:4] + b"\x50" + length):
        with pytest.raises(CorruptFileError, match="number"):
            parse(join([("HEAD", head), *chunks[1:]]))
    index = [(kind, length if kind == "tIDX" else content) for kind, content in chunks]
    with pytest.raises(CorruptFileError, match="index"):
        parse(join(index))
    with pytest.raises(CorruptFileError, match="number"):
        unpack_index(memoryview(length))


def test_T3_sections_fit_the_chunk(small: Codec, data: bytes) -> None:
    tile = first_tile(data)
    for body in (tile.pack() + b"\0", tile.pack()[:-1], tile.pack()[:20], b""):
        with pytest.raises(CorruptFileError):
            small.decode(with_tile(data, body))
    for name in ("z", "low", "high"):
        with pytest.raises(CorruptFileError, match="odd"):
            small.decode(with_tile(data, tile.having(**{name: bytes(getattr(tile, name)) + b"\0"}).pack()))


@pytest.mark.parametrize("section", FLAGS)
def test_T6_sections_that_are_there_are_not_empty(data: bytes, section: str) -> None:
    chunks = [(kind.encode(), content) for kind, content in split(data) if kind != "tIDX"]
    changed = changed_tile(chunks, FLAGS[section], **{section: b""})
    with pytest.raises(CorruptFileError, match="could be left out"):
        parse(forgery.join(changed)).unpacked()


def test_T6_a_tile_takes_no_more_than_it_holds() -> None:
    """Flags, and two lengths where there are latents."""
    assert Tile.empty().pack() == b"\x08"
    assert Tile.empty(0, b"\0\0\1\0").pack() == b"\0\0\0\0\0\1\0"
    assert Tile.empty().having(overlay=b"VP8L").pack() == b"\x88\4VP8L"


def test_T7_parts_are_cut_where_they_must(small: Codec, progressive: bytes) -> None:
    parts = forgery.split(progressive)
    np.testing.assert_array_equal(small.decode(forgery.join(parts)).pixels, small.decode(progressive).pixels)
    for first, second in ((b"BASE", b"LOWC"), (b"LOWC", b"HIGH")):
        for by in (-2, -1, 1, 2):
            with pytest.raises(CorruptFileError, match="not divided where"):
                small.decode(forgery.join(recut(parts, first, second, by)))


def test_T7_a_progressive_file_is_another_with_its_tiles_cut(small: Codec) -> None:
    pixels = Picture(picture(70, 150, 4))
    plain, progressive = (small.encode(pixels, 50, tile=64, progressive=wanted) for wanted in (False, True))
    kinds = [kind for kind, _ in split(progressive)]
    assert kinds == ["HEAD", "tIDX", *["BASE"] * 6, *["LOWC"] * 6, *["HIGH"] * 6]
    tiles = dict.fromkeys(range(6), b"")
    for kind, content in split(progressive)[2:]:
        tiles[content[0]] += content[kind != "BASE" :]
    assert list(tiles.values()) == [content for kind, content in split(plain) if kind == "TILE"]


def test_I1_the_index_is_right(data: bytes, progressive: bytes) -> None:
    for file in (data, progressive):
        chunks = split(file)
        at = next(n for n, (kind, _) in enumerate(chunks) if kind == "tIDX")
        lengths = [len(content) for _, content in chunks[at + 1 :]]
        assert unpack_index(memoryview(chunks[at][1])) == lengths
        parse(join([*chunks[:at], *chunks[at + 1 :]]))
        longer, shorter = [*lengths[:-1], lengths[-1] + 1], [lengths[0] - 1, *lengths[1:]]
        for bad in (longer, shorter, lengths[:-1], [*lengths, 1], [], lengths[::-1]):
            with pytest.raises(CorruptFileError, match="index"):
                parse(join([*chunks[:at], ("tIDX", pack_index(bad)), *chunks[at + 1 :]]))


def test_I1_the_index_stands_right_before_the_tiles(data: bytes) -> None:
    chunks = split(data)
    at = next(n for n, (kind, _) in enumerate(chunks) if kind == "tIDX")
    for between in (("abCD", b""), ("pREV", b"")):
        with pytest.raises(CorruptFileError, match="right before"):
            parse(join([*chunks[: at + 1], between, *chunks[at + 1 :]]))
    with pytest.raises(CorruptFileError, match="right before"):
        parse(join([chunks[0], chunks[at], *chunks[1:at], *chunks[at + 1 :]]))
