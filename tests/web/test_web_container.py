"""The container as the web decoder reads it: rules, fields and what is left of damaged files, as the package does."""

from __future__ import annotations

import json
import random
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import VECTORS
from tests.web.node import run
from vaecodec.bitstream.chunks import pack_chunk, read_chunks
from vaecodec.bitstream.container import File, parse
from vaecodec.bitstream.header import CHANNELS, COLOURS
from vaecodec.bitstream.info import read_info
from vaecodec.bitstream.limits import check_size
from vaecodec.bitstream.recovery import recover
from vaecodec.bitstream.tiles import EMPTY, SECTIONS, Tile
from vaecodec.errors import CorruptFileError, LimitError
from vaecodec.pictures.exif import orientation, orientation_exif

LISTED = json.loads((VECTORS / "vectors.json").read_text(encoding="utf-8"))
RULES = re.compile("[FCHTI][0-9]|P2")  # of sections 1 to 4; P2 needs no decoding either
SHAPES = """
const hex = (bytes) => bytes && Buffer.from(bytes).toString("hex");
const shape = (file) => ({
  ...file,
  preview: hex(file.preview),
  metadata: { ...file.metadata, ...Object.fromEntries(["icc", "exif", "xmp"].map((k) => [k, hex(file.metadata[k])])) },
  tiles: file.tiles.map(tileShape),
});
const tileShape = (tile) => {
  const views = Object.entries(tile).filter(([, value]) => value instanceof Uint8Array);
  return { ...tile, states: [...tile.states], ...Object.fromEntries(views.map(([name, value]) => [name, hex(value)])) };
};
const attempt = (make) => {
  try {
    return make();
  } catch (error) {
    return { error: error.constructor.name, code: error.code, rule: error.rule, message: error.message };
  }
};
const { parse, parseHead, tileRanges, tileOf, needModel, tileBox } = await load("container.js");
"""
READ = """
const whole = (path) => attempt(() => shape(parse(read(path))));
const inParts = (path) => {
  const bytes = read(path);
  let needed = 0;
  let head;
  let asked = 0;
  do {
    head = parseHead(bytes.subarray(0, needed), { size: bytes.length });
    if (head.needed <= needed || head.needed > bytes.length || asked++ > 40) return "asks for too much";
    needed = head.needed;
  } while (needed);
  const tiles = tileRanges(head).map((ranges, number) =>
    tileShape(tileOf(head.header, number, ranges.map(([start, end]) => bytes.subarray(start, end)))),
  );
  return { indexed: head.indexed, located: head.lengths !== undefined, tiles };
};
answer({
  invalid: args[0].map(whole),
  models: args[0].map((path) => attempt(() => needModel(parse(read(path)).header, args[2]))),
  unknown: args[0].map((path) => attempt(() => parse(read(path), { partial: true }) && null)),
  valid: args[1].map(whole),
  partial: args[1].map((path) => shape(parse(read(path), { partial: true }))),
  boxes: args[1].map((path) => parse(read(path)).tiles.map((_, n) => tileBox(parse(read(path)).header, n))),
  parts: args[1].map(inParts),
});
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the modules make of all vectors, by name."""
    paths = [[VECTORS / kind / f"{name}.vaec" for name in LISTED[kind]] for kind in ("invalid", "valid")]
    model = next(f for f in map(header_of, paths[1]) if f.model == "small")
    small = {"name": "small", "hash": model.model_hash.hex() + "00" * 24}
    found = run(SHAPES + READ, tmp_path_factory.mktemp("node"), *paths, small)
    kinds = {kind: "invalid" if kind in ("invalid", "models", "unknown") else "valid" for kind in found}
    return {kind: dict(zip(LISTED[kinds[kind]], values, strict=True)) for kind, values in found.items()}


def header_of(path: Path) -> Any:
    return parse(path.read_bytes()).header


def test_invalid_files_break_their_rule(answers: dict[str, dict[str, Any]]) -> None:
    checked = 0
    for name, told in LISTED["invalid"].items():
        found = answers["invalid"][name]
        if not RULES.match(told["breaks"].replace("[FC]", "F")) or name in ("model", "model-hash"):
            assert ("error" in found) is (told["breaks"] == "H5" and "number" in name), name  # left to others
            continue
        assert found["error"] == "VaecError", (name, found)
        assert re.fullmatch(told["breaks"], found["rule"]), (name, found)
        kinds = {"F1": "not-vaec", "H2": "unsupported", "H5": "unsupported", "H9": "unsupported", "C4": "unsupported"}
        assert found["code"] == kinds.get(found["rule"], "corrupt")
        checked += 1
    assert checked > 120


def test_another_model_is_refused(answers: dict[str, dict[str, Any]]) -> None:
    for name in ("model", "model-hash"):
        assert answers["models"][name]["rule"] == "H5"
    assert answers["models"]["state"] is None  # an invalid file, but of that model


def test_partial_refuses_what_is_not_for_this_decoder(answers: dict[str, dict[str, Any]]) -> None:
    for name, found in answers["unknown"].items():
        rule = LISTED["invalid"][name]["breaks"]
        if found is not None:
            assert re.fullmatch(r"F[123]|C[1234]|H\d|\[FC\]3|T2", rule), (name, found)
        if rule in ("C4", "H2", "H9") or (rule == "H5" and "number" in name):
            assert found["code"] == "unsupported", name


def test_fields_of_headers(answers: dict[str, dict[str, Any]]) -> None:
    for name, found in answers["valid"].items():
        data = (VECTORS / "valid" / f"{name}.vaec").read_bytes()
        info, header, told = read_info(data), parse(data).header, found["header"]
        assert (told["width"], told["height"], told["tileSide"]) == (info.width, info.height, info.tile_side)
        assert (told["quality"] / 10, told["version"], told["progressive"]) == (
            info.quality,
            info.version,
            info.progressive,
        )
        assert (told["model"]["name"], told["model"]["hash"]) == (info.model, info.model_hash)
        assert (COLOURS[told["colour"]], told["channels"]) == (info.colour, CHANNELS[header.colour])
        assert (told["alpha"], told["alphaValue"], told["features"]) == (
            header.alpha,
            header.alpha_value,
            header.features,
        )
        assert (told["rows"], told["columns"], found["size"]) == (*header.grid, info.size)
        assert (told["gridHeight"], told["gridWidth"]) == (-(-header.height // 16), -(-header.width // 16))
        boxes = [tuple(box[key] for key in ("top", "left", "height", "width")) for box in answers["boxes"][name]]
        assert boxes == [header.tile_box(n) for n in range(info.tiles)]
        assert len(found["tiles"]) == info.tiles


def test_contents_of_chunks(answers: dict[str, dict[str, Any]]) -> None:
    for name, found in answers["valid"].items():
        data = (VECTORS / "valid" / f"{name}.vaec").read_bytes()
        file = parse(data)
        check_contents(found, file.metadata)
        assert found.get("preview") == (file.preview.hex() if file.preview else None)
        check_tiles(found["tiles"], dict(enumerate(file.unpacked())), 3)
        assert found["indexed"] == any(chunk.type == "tIDX" for chunk in read_chunks(data))
        assert answers["partial"][name] == found


def check_contents(found: dict[str, Any], metadata: dict[str, bytes]) -> None:
    told = dict(found["metadata"])
    assert told.pop("orientation") == orientation(metadata.get("exif"))
    assert {key: bytes(v) if key == "cicp" else bytes.fromhex(v) for key, v in told.items()} == metadata


def check_tiles(found: list[dict[str, Any]], wanted: dict[int, Tile], present: int | None = None) -> None:
    for number, told in enumerate(found):
        tile = wanted.get(number)
        assert told["missing"] == (tile is None), number
        if tile is None:
            assert (told["present"], told["lanes"], told["z"]) == (0, 0, "")
            continue
        assert told["lanes"] == (0 if tile.lanes_log2 == EMPTY else 1 << tile.lanes_log2)
        assert told["states"] == list(struct.unpack(f"<{told['lanes']}I", tile.states))
        assert [told[name] for name in SECTIONS] == [bytes(section).hex() for section in tile.sections]
        assert present is None or (told["present"], told["cut"]) == (present, False)


def test_tiles_by_the_index(answers: dict[str, dict[str, Any]]) -> None:
    located = 0
    for name, found in answers["parts"].items():
        whole = answers["valid"][name]
        assert found["indexed"] == whole["indexed"]
        assert found["tiles"] == (whole["tiles"] if found["located"] else []), name
        located += found["located"]
    assert located > 3


DAMAGED = """
answer(args[0].map((path) => attempt(() => shape(parse(read(path), { partial: true })))));
"""


def damaged(file: bytes, seed: int) -> list[bytes]:
    """What may come of a file: cut off, with bits flipped, with bytes lost or put in, its signature lost; HEAD is left
    alone."""
    chance, (head, *_) = random.Random(seed), read_chunks(file)
    first = head.start + head.size
    made = [file[: chance.randrange(first, len(file) + 1)] for _ in range(12)]
    for _ in range(12):
        changed = bytearray(file)
        for _ in range(chance.choice([1, 1, 3])):
            changed[chance.randrange(first, len(file))] ^= 1 << chance.randrange(8)
        made.append(bytes(changed))
    for _ in range(4):
        at, n = chance.randrange(first, len(file)), chance.randrange(1, 40)
        made += [file[:at] + file[at + n :], file[:at] + chance.randbytes(n) + file[at:]]
    return [*made, b"\0" * 8 + file[8:], file[8:], file + file[first:]]


def test_what_is_left_of_damaged_files(tmp_path: Path) -> None:
    names = ["base-effort", *[name for name in LISTED["valid"] if "progressive" in name or "tile" in name]]
    originals = [(VECTORS / "valid" / f"{name}.vaec").read_bytes() for name in names]
    files = [file for seed, original in enumerate(originals) for file in damaged(original, seed)]
    paths = [tmp_path / f"{n}.vaec" for n in range(len(files))]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file)
    begun = 0
    for file, found in zip(files, run(SHAPES + DAMAGED, tmp_path, paths), strict=True):
        assert "error" not in found, found
        try:
            left = recover(file)
        except CorruptFileError as error:  # we have no need of the size
            assert "too short" in str(error)
            continue
        whole = {n: coded.tile(left.header) for n, coded in left.tiles.items()}
        cut = {n: tile for n, coded in left.truncated.items() if (tile := truncated(coded, left.header)) is not None}
        if any(intact.startswith(file) for intact in originals):
            check_tiles(found["tiles"], whole | cut)
            begun += len(cut)
        else:  # where a length is wrong the package takes all that follows for the tile's; here it ends at the next
            check_tiles([found["tiles"][n] for n in whole], dict(enumerate(whole.values())), 3)
        assert {n for n, tile in enumerate(found["tiles"]) if tile["present"] == 3} == whole.keys()
        check_contents(found, left.metadata)
    assert begun > 50


def truncated(coded: Any, header: Any) -> Tile | None:
    try:
        return coded.tile(header, truncated=True)
    except CorruptFileError:
        return None


def test_parts_of_a_progressive_file(tmp_path: Path) -> None:
    """present says which parts have come; not a fault: more may come."""
    name = next(n for n in LISTED["valid"] if "progressive" in n and len(parsed(n).tiles) > 1)
    data = (VECTORS / "valid" / f"{name}.vaec").read_bytes()
    chunks = [chunk for chunk in read_chunks(data) if chunk.type in ("BASE", "LOWC", "HIGH")]
    count = len(chunks) // 3
    paths = [tmp_path / f"{n}.vaec" for n in range(len(chunks) + 1)]
    for n, path in enumerate(paths):
        path.write_bytes(data[: chunks[n].start if n < len(chunks) else None])
    for n, found in enumerate(run(SHAPES + DAMAGED, tmp_path, paths)):
        wanted = [(n + count - 1 - tile) // count for tile in range(count)]
        assert [tile["present"] for tile in found["tiles"]] == wanted
        assert [tile["missing"] for tile in found["tiles"]] == [not present for present in wanted]
        assert not any(tile["cut"] for tile in found["tiles"])


def parsed(name: str) -> File:
    return parse((VECTORS / "valid" / f"{name}.vaec").read_bytes())


LIMITS = """
const { crc32 } = await load("chunks.js");
const { orientationOf } = await load("exif.js");
const [files, limits, exifs, bytes] = args;
const unhex = (text) => new Uint8Array(Buffer.from(text, "hex"));
const refusal = (file, maxPixels) => attempt(() => !parse(file, { maxPixels, partial: true })).code ?? "";
answer([
  files.map((file) => limits.map((maxPixels) => refusal(unhex(file), maxPixels))),
  exifs.map((exif) => orientationOf(unhex(exif))),
  bytes.map((some) => crc32(unhex(some))),
  orientationOf(undefined),
]);
"""


def test_limits_orientations_and_checksums(tmp_path: Path) -> None:
    chance = random.Random(1)
    sizes = [(w, h) for w in (1, 100, 5000, 40000, 2**31 - 1) for h in (1, 300, 70000)]
    limits = [1, 50, 10**5, 10**7, 2**27, 2**32]
    heads = [pack_chunk("HEAD", bytes([9, 1 | 16, 0, 0, *leb(w), *leb(h), 1])) for w, h in sizes]
    exifs = [damage(orientation_exif(n % 10), chance) if n >= 20 else orientation_exif(n % 10) for n in range(400)]
    exifs += [b"Exif\0\0" + orientation_exif(6), b"", b"II*\0", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\5\0\0\0\0"]
    some = [chance.randbytes(n) for n in range(40)]
    given = [[part.hex() for part in parts] for parts in (heads, exifs, some)]
    given[0] = [b"\x9bVAEC\r\n\x1a".hex() + head for head in given[0]]
    codes, orientations, sums, none = run(SHAPES + LIMITS, tmp_path, given[0], limits, *given[1:])
    for (width, height), found in zip(sizes, codes, strict=True):
        assert [code == "limit" for code in found] == [too_large(width, height, limit) for limit in limits]
    assert orientations == [orientation(exif) for exif in exifs] and none == 1
    assert set(orientations) == set(range(1, 9))
    assert sums == [zlib.crc32(part) for part in some]


def too_large(width: int, height: int, limit: int) -> bool:
    try:
        check_size(width, height, limit, 64)
    except LimitError:
        return True
    return False


def leb(value: int) -> bytes:
    out = b""
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def damage(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data[: chance.choice([None, chance.randrange(len(data))])])
    if changed:
        changed[chance.randrange(len(changed))] = chance.choice([0, 1, 3, 4, 5, 18, 255])
    return bytes(changed)
