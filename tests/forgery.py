"""Files that no encoder writes: forged values, other chunks and headers, and every violation of the specification.

Built on tests/reference_decoder.py, which was written from bitstream_spec.md alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests import reference_decoder as reference
from tests.forged_vp8l import refused
from tests.reference_model import DTYPES

Chunk = tuple[bytes, bytes]
Fields = dict[str, Any]  # of HEAD, those that are there: see `unpacked`
Parts = dict[str, bytes]  # of a tile: "lanes" (log2 of them, or 8), "states", and the sections
TILES = (b"TILE", b"BASE", b"LOWC", b"HIGH")


def split(data: bytes) -> list[Chunk]:
    return [(kind.encode(), content) for kind, content in reference.read_chunks(data)]


def join(chunks: list[Chunk]) -> bytes:
    body = (struct.pack("<I", len(d)) + t + d + struct.pack("<I", zlib.crc32(t + d)) for t, d in chunks)
    return reference.SIGNATURE + b"".join(body)


class Author:
    """Takes the place of reference.Lanes: chooses the values, and writes them down for `tile`."""

    def __init__(self, rng: np.random.Generator, escapes: float, largest: int) -> None:
        self.rng, self.share, self.largest = rng, escapes, largest
        # Of each run its number of machines, and start, frequency and number of each symbol.
        self.log: list[tuple[int, list[tuple[int, int, int]]]] = []
        self.escapes = b""

    def run(
        self, tables: list[reference.Table], numbers: reference.Ints, dependent: bool
    ) -> tuple[reference.Array, reference.Array]:
        values, quantisers = np.zeros(len(numbers)), np.zeros(len(numbers))
        machines = reference.Machines(len(numbers)) if dependent else None
        self.log.append((len(machines.states) if machines else 2**7, []))
        for m, number in enumerate(numbers.tolist()):
            quantisers[m] = quantiser = machines.quantiser() if machines else 0
            table = tables[number + 64 * quantiser]
            escape = len(table.start) - 2
            symbol = escape if self.rng.random() < self.share else int(self.rng.integers(escape))
            values[m] = table.low + symbol
            if symbol == escape:
                value = int(self.rng.choice([0, 1, -1, 63, -64, 64, 8191, -8192, 8192, self.largest, -self.largest]))
                value = max(min(value, self.largest), -self.largest)
                values[m], u = value, 2 * value if value >= 0 else -2 * value - 1
                self.escapes += leb128(u)
            self.log[-1][1].append((table.start[symbol], table.start[symbol + 1] - table.start[symbol], m))
            if machines:
                machines.move(symbol)
        return values, quantisers

    def finish(self, section: str) -> None:
        pass

    def tile(self, lanes_log2: int, end: int = 65536, **others: bytes) -> Parts:
        """The log as a tile: the decoder's runs backwards. end: the state that the decoder ends with."""
        states = [end] * 2**lanes_log2
        parts: list[bytes] = []
        for runs in (self.log[5:], self.log[1:5], self.log[:1]):
            words: list[int] = []
            symbols = [(*symbol, min(len(states), machines)) for machines, run in runs for symbol in run]
            for start, frequency, m, lanes in reversed(symbols):
                lane = m % lanes
                if states[lane] >= frequency << 16:
                    words.append(states[lane] & 65535)
                    states[lane] >>= 16
                high, rest = divmod(states[lane], frequency)
                states[lane] = high * 65536 + rest + start
            parts.insert(0, struct.pack(f"<{len(words)}H", *reversed(words)))
        packed = struct.pack(f"<{len(states)}I", *states)
        coded = dict(zip(("z", "low", "high"), parts, strict=True))
        return nothing(bytes([lanes_log2])) | {"states": packed, "escapes": self.escapes} | coded | others


def leb128(u: int) -> bytes:
    out = b""
    while u > 127:
        out, u = out + bytes([u & 127 | 128]), u >> 7
    return out + bytes([u])


def forge(model: bytes, header: reference.Header, lanes_log2: int, escapes: float, largest: int, seed: int) -> bytes:
    """A file of random values, of which the given share are escapes of at most the given size."""
    weights, rng = reference.load_model(model), np.random.default_rng(seed)
    header = replace(header, model=weights.name, model_hash=weights.hash[:8])
    tiles = []
    for number in range(header.tiles[0] * header.tiles[1]):
        height, width = (part.stop - part.start for part in header.area(number, 4, *header.grid))
        author = Author(rng, escapes, largest)
        reference.decode_latents(weights, header.quality, height, width, author)
        height, width = (part.stop - part.start for part in header.area(number, 64, header.height, header.width))
        alpha = vp8l(rng.integers(0, 256, (height, width, 4), dtype=np.uint8)) if header.alpha == 2 else b""
        tiles.append(author.tile(lanes_log2, alpha=alpha, filter=kernel(rng)))
    return join([(b"HEAD", pack(header)), *chunks_of(tiles, progressive=header.features & 1 > 0)])


def pack(h: reference.Header) -> bytes:
    fields = {"version": 9, "colour": h.colour, "alpha": h.alpha, "reserved": 0, "quality": h.quality}
    fields |= {"width": h.width, "height": h.height, "value": h.alpha_value, "tile": h.tile}
    if h.tile == 16:
        del fields["tile"]
    named = {} if (h.model, h.model_hash) == reference.MODELS[1] else {"number": 0, "model": h.model.encode()}
    if named:
        named["hash"] = h.model_hash
    return packed_fields(fields | named | ({"features": h.features} if h.features else {}))


def unpacked(head: bytes) -> Fields:
    """The fields of a HEAD that is well: those that may be left out only where they are there."""
    flags, quality = struct.unpack_from("<xBH", head)
    f: Fields = {"version": head[0], "colour": flags & 3, "alpha": flags >> 2 & 3, "reserved": flags >> 7}
    f["quality"] = quality
    f["width"], at = reference.leb128(head, 4, 5, "")
    f["height"], at = reference.leb128(head, at, 5, "")
    f["value"] = head[at] if f["alpha"] == 1 else 0
    at += f["alpha"] == 1
    if flags & 16:
        f["tile"], at = head[at], at + 1
    if flags & 32:
        f["number"], at = reference.leb128(head, at, 5, "")
        if f["number"] == 0:
            f["model"], f["hash"], at = head[at : at + 8], head[at + 8 : at + 16], at + 16
    if flags & 64:
        f["features"], at = reference.leb128(head, at, 5, "")
    f["rest"] = head[at:]
    return f


def packed_fields(f: Fields) -> bytes:
    """HEAD with such fields, whatever they are."""
    flags = f["colour"] | f["alpha"] << 2 | 16 * ("tile" in f) | 32 * ("number" in f) | 64 * ("features" in f)
    head = struct.pack("<BBH", f["version"], flags | f["reserved"] << 7, f["quality"])
    head += leb128(f["width"]) + leb128(f["height"])
    head += bytes([f["value"]]) * (f["alpha"] == 1) + bytes([f["tile"]] if "tile" in f else [])
    if "number" in f:
        head += leb128(f["number"])
        head += b"" if f["number"] else struct.pack("<8s8s", f["model"], f["hash"])
    return head + (leb128(f["features"]) if "features" in f else b"") + f.get("rest", b"")


def nothing(lanes: bytes = b"\x08") -> Parts:
    """A tile without latents; or one that gets them."""
    return {"lanes": lanes, "states": b""} | dict.fromkeys(reference.SECTIONS, b"")


def parts_of(content: bytes) -> Parts:
    """The parts of a tile that is well, from what stands behind its number."""
    flags, lanes, at = content[0], content[0] & 15, 1
    parts, lengths = nothing(bytes([lanes])), {"states": 4 << lanes if lanes < 8 else 0}
    for name in reference.SECTIONS:
        if flags & reference.FLAGS.get(name, 0) or (lanes < 8 and name in ("z", "low")):
            lengths[name], at = reference.leb128(content, at, 5, "")
    for name, length in lengths.items():
        parts[name], at = content[at : at + length], at + length
    parts["high"] = content[at:]
    return parts


def packed(parts: Parts, flagged: int = 0) -> list[bytes]:
    """A tile as it stands in BASE, LOWC and HIGH, or joined in TILE. flagged: flags of sections that are empty."""
    flags = parts["lanes"][0] | flagged | sum(flag for name, flag in reference.FLAGS.items() if parts[name])
    latents = ("z", "low") if parts["lanes"][0] < 8 else ()
    told = [name for name in reference.SECTIONS if name in latents or flags & reference.FLAGS.get(name, 0)]
    base = bytes([flags]) + b"".join(leb128(len(parts[name])) for name in told)
    base += parts["states"] + parts["escapes"] + parts["z"]
    return [base, parts["low"] + parts["filter"] + parts["alpha"] + parts["overlay"], parts["high"]]


def chunks_of(tiles: list[Parts], progressive: bool = False) -> list[Chunk]:
    """The chunks of tiles, in order."""
    cut = [packed(tile) if progressive else [b"".join(packed(tile))] for tile in tiles]
    kinds = TILES[1:] if progressive else TILES[:1]
    return [(kind, leb128(n) + each[k]) for k, kind in enumerate(kinds) for n, each in enumerate(cut)]


def index_of(chunks: list[Chunk]) -> Chunk:
    """The index of the tiles among chunks."""
    return b"tIDX", b"".join(leb128(len(content)) for kind, content in chunks if kind in TILES)


def without_blocks(header: dict[str, Any], body: bytearray, config: dict[str, int]) -> tuple[dict[str, Any], bytearray]:
    """A model file's header and tensors without those of blocks that a config does not have."""
    counts = {"g_s": config["blocks_s"], "h_s": config["blocks_h"], "context": config["blocks_c"]}
    kept, left = {"__metadata__": header["__metadata__"]}, bytearray()
    for name in sorted((n for n in header if n != "__metadata__"), key=lambda n: header[n]["data_offsets"]):
        block = re.match(r"(g_s|h_s|context)(?:[.][0-9])?[.]blocks[.]([0-9]+)[.]", name)
        if block is None or int(block[2]) < counts[block[1]]:
            first, last = header[name]["data_offsets"]
            kept[name] = header[name] | {"data_offsets": [len(left), len(left) + last - first]}
            left += body[first:last]
    return kept, left


def random_model(model: bytes, seed: int, gain: int, config: dict[str, int], spoil: tuple[str, int] = ("", 0)) -> bytes:
    """The model with other weights, anchors and tables, as extreme as [A1] and the package's limits of `.t` allow.

    spoil names a tensor and a value for its first element.
    """
    rng = np.random.default_rng(seed)
    size = struct.unpack_from("<Q", model)[0]
    header: dict[str, Any] = json.loads(model[8 : 8 + size])
    body = bytearray(model[8 + size :])
    metadata = header["__metadata__"]
    metadata["config"] = json.dumps(json.loads(metadata["config"]) | config)
    header, body = without_blocks(header, body, json.loads(metadata["config"]))
    digest = hashlib.sha256(metadata["config"].encode())
    for name in sorted(name for name in header if not name.startswith(("enc.", "__"))):
        entry = header[name]
        kind, code = DTYPES[entry["dtype"]]
        first, last = entry["data_offsets"]
        a: npt.NDArray[Any] = np.frombuffer(body[first:last], code).reshape(entry["shape"])
        if name.endswith(".w"):  # sums of magnitudes stay the same in every row, signs do not: [A1] holds
            a = rng.permuted(a, axis=1) * rng.choice([-1, 1], a.shape)
        elif name.endswith(".b"):
            a = a * rng.choice([-1, 1], a.shape)
        elif name.endswith(".k"):
            a = np.clip(a - rng.integers(0, gain + 1, a.shape), 0, None)
        elif name == "step.t":
            a = (2 ** rng.uniform(0, 15, a.shape)).astype(int)  # 1 .. 32767
        elif name == "g_s.film_scale.t":
            a = rng.integers(0, 512, a.shape)
        elif name == "filter.t":
            a = np.array([coefficients(rng) for _ in range(9)])
        elif name.endswith(".t"):
            a = rng.integers(-2047, 2048, a.shape) // 2 ** rng.integers(0, 12, a.shape)
        elif name.endswith(".low"):
            a = a + 2 * rng.integers(-20, 21, a.shape)
        if name == spoil[0]:
            a = np.array(a)
            a.flat[0] = spoil[1]
        raw = a.astype(code).tobytes()
        body[first:last] = raw
        digest.update(f"\n{name} {kind} {'x'.join(map(str, entry['shape']))}\n".encode() + raw)
    metadata["name"], metadata["hash"] = f"random{seed}", digest.hexdigest()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(body)


def changed_header(chunks: list[Chunk], **fields: int | bytes | None) -> list[Chunk]:
    """With other fields, None for those that go."""
    values = unpacked(chunks[0][1]) | fields
    return [(b"HEAD", packed_fields({name: value for name, value in values.items() if value is not None})), *chunks[1:]]


def changed_tile(chunks: list[Chunk], flagged: int = 0, **sections: bytes | Callable[[Parts], bytes]) -> list[Chunk]:
    """A file without an index whose first tile has other sections, or what is made of all its parts."""
    at = next(n for n, (kind, _) in enumerate(chunks) if kind == b"TILE")
    parts = parts_of(chunks[at][1][1:])
    parts |= {name: section(parts) if callable(section) else section for name, section in sections.items()}
    return [*chunks[:at], (b"TILE", b"\0" + b"".join(packed(parts, flagged))), *chunks[at + 1 :]]


def longer(name: str, content: bytes) -> Callable[[Parts], bytes]:
    """A section with more behind it."""
    return lambda parts: parts[name] + content


def vp8l(rgba: npt.NDArray[np.uint8]) -> bytes:
    """A lossless WebP bitstream, with the colours below alpha 0 as they are."""
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "WEBP", lossless=True, exact=True)
    (length,) = struct.unpack_from("<I", file.getvalue(), 16)
    return file.getvalue()[20 : 20 + length]


def coloured(height: int, width: int, alpha: int | None = None) -> bytes:
    """A lossless WebP bitstream of random colours; alpha None: that is random too."""
    rgba = np.random.default_rng(1).integers(0, 256, (height, width, 4), dtype=np.uint8)
    rgba[..., 3] = rgba[..., 3] if alpha is None else alpha
    return vp8l(rgba)


def flagged(bitstream: bytes, used: bool, version: int = 0) -> bytes:
    """A lossless WebP bitstream with another alpha_is_used and version."""
    return bitstream[:4] + bytes([bitstream[4] & 15 | used << 4 | version << 5]) + bitstream[5:]


def golomb(values: list[int]) -> bytes:
    """The section filter of such values."""
    bits = ""
    for v in values:
        code = f"{(2 * v if v >= 0 else -2 * v - 1) + 1:b}"
        bits += "0" * (len(code) - 1) + code
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def coefficients(rng: np.random.Generator) -> list[int]:
    """36 numbers whose strength is below half of what is allowed."""
    return [
        int(n) for bound, count in ((14, 12), (300, 12), (8, 6), (300, 6)) for n in rng.integers(-bound, bound, count)
    ]


def kernel(rng: np.random.Generator) -> bytes:
    """A random filter, half of the time."""
    return golomb(coefficients(rng)) if rng.random() < 0.5 else b""


def moved(chunks: list[Chunk], source: int, target: int) -> list[Chunk]:
    """With a chunk in another place."""
    left = [*chunks]
    left.insert(target, left.pop(source))
    return left


def replaced(chunks: list[Chunk], number: int, content: bytes) -> list[Chunk]:
    """With other data of a chunk."""
    return [*chunks[:number], (chunks[number][0], content), *chunks[number + 1 :]]


def without_index(chunks: list[Chunk]) -> list[Chunk]:
    """For what would otherwise break [I1] too."""
    return [chunk for chunk in chunks if chunk[0] != b"tIDX"]


def recut(chunks: list[Chunk], first: bytes, second: bytes, by: int) -> list[Chunk]:
    """With `by` bytes of the second's beginning at the end of the first, or the other way; the index is right."""
    a, b = (next(n for n, (kind, _) in enumerate(chunks) if kind == wanted) for wanted in (first, second))
    whole = chunks[a][1] + chunks[b][1][1:]
    end = len(chunks[a][1]) + by
    changed = replaced(replaced(chunks, a, whole[:end]), b, b"\0" + whole[end:])
    return [index_of(changed) if kind == b"tIDX" else (kind, content) for kind, content in changed]


EXTRA = (b"abCD", b"")
CICP = (b"cICP", b"\x0c\x0d\0\1")  # Display P3
EMPTY: dict[str, Any] = {
    "lanes": b"\x08",
    "states": b"",
    "escapes": b"",
    "z": b"",
    "low": b"",
    "high": b"",
    "filter": b"",
}
Violations = dict[str, tuple[str, Callable[[list[Chunk]], list[Chunk] | bytes]]]

# Of a file of one tile of 20 x 40 pixels, RGB with coded alpha, of a model that is not in the registry: HEAD, TILE.
OF_ONE: Violations = {
    "text transfer": ("F1", lambda c: join(c).replace(b"\r\n", b"\n", 1)),
    "signature": ("F1", lambda c: join(c)[:5] + b"\r\n\x1b" + join(c)[8:]),
    "no head": ("F2", lambda c: c[1:]),
    "two heads": ("F2", lambda c: [c[0], *c]),
    "bytes behind the tile": ("F3", lambda c: join(c) + b"\0"),
    "chunk behind the tile": ("F3", lambda c: [*c, EXTRA]),
    "metadata behind the tile": ("F3", lambda c: [*c, (b"eXIf", b"a")]),
    "tile missing": ("F3", lambda c: c[:1]),
    "tile twice": ("F3", lambda c: [*c, c[1]]),
    "tile too many": ("F3", lambda c: [*c, (b"TILE", b"\1" + c[1][1][1:])]),
    "type": ("C1", lambda c: [c[0], (b"ab_D", b""), *c[1:]]),
    "type beyond ascii": ("C1", lambda c: [c[0], ("abé".encode("latin-1") + b"D", b""), *c[1:]]),
    "type with a digit": ("C1", lambda c: [c[0], (b"a1CD", b""), *c[1:]]),
    "crc of the tile": ("C2", lambda c: join(c)[:-1] + bytes([join(c)[-1] ^ 1])),
    "crc of an ancillary chunk": ("C2", lambda c: join(c[:1]) + join([EXTRA])[8:-1] + b"\0" + join(c[1:])[8:]),
    "crc": ("C2", lambda c: join(c)[:20] + bytes([join(c)[20] ^ 1]) + join(c)[21:]),
    "length": ("C3", lambda c: join(c[:1]) + b"\xff\xff\xff\xff" + join(c[1:])[12:]),
    "critical": ("C4", lambda c: [c[0], (b"AbCd", b""), *c[1:]]),
    "critical of version 8": ("C4", lambda c: [c[0], (b"DONE", b""), *c[1:]]),
    "repeated iccp": ("C5", lambda c: [c[0], (b"iCCP", b"a"), (b"iCCP", b"a"), *c[1:]]),
    "repeated preview": ("C5", lambda c: [c[0], (b"pREV", b"a"), EXTRA, (b"pREV", b"a"), *c[1:]]),
    "repeated index": ("C5", lambda c: [c[0], index_of(c), index_of(c), *c[1:]]),
    "repeated cICP": ("C5", lambda c: [c[0], CICP, CICP, *c[1:]]),
    "cICP of 3 bytes": ("C7", lambda c: [c[0], (b"cICP", b"\x0c\x0d\0"), *c[1:]]),
    "cICP of 5 bytes": ("C7", lambda c: [c[0], (b"cICP", b"\x0c\x0d\0\1\0"), *c[1:]]),
    "cICP with a matrix": ("C7", lambda c: [c[0], (b"cICP", b"\x0c\x0d\1\1"), *c[1:]]),
    "cICP of narrow range": ("C7", lambda c: [c[0], (b"cICP", b"\x0c\x0d\0\0"), *c[1:]]),
    "third letter": ("C6", lambda c: [c[0], (b"abcD", b""), *c[1:]]),
    "third letter of exif": ("C6", lambda c: [c[0], (b"exif", b"a"), *c[1:]]),
    "head of 0 bytes": ("H1", lambda c: replaced(c, 0, b"")),
    "head cut in quality": ("H1", lambda c: replaced(c, 0, c[0][1][:3])),
    "head cut behind quality": ("H1", lambda c: replaced(c, 0, c[0][1][:4])),
    "head cut behind width": ("H1", lambda c: replaced(c, 0, c[0][1][:5])),
    "head cut ahead of the value": ("H1", lambda c: replaced(c, 0, bare(c, alpha=1)[:-1])),
    "head cut ahead of the tile": ("H1", lambda c: replaced(c, 0, bare(c, tile=1)[:-1])),
    "head cut ahead of the model": ("H1", lambda c: replaced(c, 0, c[0][1][:-17])),
    "head cut in the model": ("H1", lambda c: replaced(c, 0, c[0][1][:-1])),
    "head cut ahead of features": ("H1", lambda c: replaced(c, 0, changed_header(c, features=2**16)[0][1][:-3])),
    "head cut in features": ("H1", lambda c: replaced(c, 0, changed_header(c, features=2**16)[0][1][:-1])),
    "width not shortest": ("T2", lambda c: replaced(c, 0, c[0][1][:4] + b"\xa8\0" + c[0][1][5:])),
    "width of 6 bytes": ("T2", lambda c: replaced(c, 0, c[0][1][:4] + b"\xff" * 5 + b"\1" + c[0][1][5:])),
    "width 0": ("H1", lambda c: changed_header(c, width=0)),
    "height": ("H1", lambda c: changed_header(c, height=2**31)),
    "quality": ("H1", lambda c: changed_header(c, quality=1001)),
    "tile 0": ("H1", lambda c: changed_header(c, tile=0)),
    "tile 17": ("H1", lambda c: changed_header(c, tile=17)),
    "alpha 3": ("H1", lambda c: changed_header(c, alpha=3)),
    "model empty": ("H1", lambda c: changed_header(c, model=bytes(8))),
    "model with a gap": ("H1", lambda c: changed_header(c, model=b"ba\0se\0\0\0")),
    "model with a space": ("H1", lambda c: changed_header(c, model=b"ba se\0\0\0")),
    "version": ("H2", lambda c: changed_header(c, version=8, width=0)),
    "later version": ("H2", lambda c: changed_header(c, version=10)),
    "long head of another version": ("H2", lambda c: replaced(c, 0, b"\x63" + bytes(40))),
    "head of version 8": ("H2", lambda c: replaced(c, 0, struct.pack("<BIIBBHBBB16x", 8, 40, 20, 3, 8, 300, 16, 2, 0))),
    "rgb with alpha": ("H4", lambda c: changed_header(c, colour=1)),
    "rgba without": ("H4", lambda c: changed_header(c, alpha=0)),
    "grey with alpha": ("H4", lambda c: changed_header(c, colour=0)),
    "model": ("H5", lambda c: changed_header(c, model=b"other\0\0\0")),
    "model hash": ("H5", lambda c: changed_header(c, hash=bytes(8))),
    "model of an unknown number": ("H5", lambda c: changed_header(c, number=99)),
    "base in place of the tile": ("H6", lambda c: [c[0], (b"BASE", c[1][1])]),
    "high ahead of the tile": ("H6", lambda c: [c[0], (b"HIGH", b"\0"), c[1]]),
    "too many tiles": ("H7", lambda c: changed_header(c, width=2**31 - 1, height=2**31 - 1)),
    "reserved flag": ("H8", lambda c: changed_header(c, reserved=1)),
    "tile 16": ("H8", lambda c: changed_header(c, tile=16)),
    "model 1": ("H8", lambda c: changed_header(c, number=1)),
    "features 0": ("H8", lambda c: changed_header(c, features=0)),
    "feature 1": ("H9", lambda c: changed_header(c, features=2)),
    "feature 15": ("H9", lambda c: changed_header(c, features=2**15 | 2**16)),
    "lanes": ("T1", lambda c: changed_tile(c, lanes=b"\x09")),
    "lanes 9 without data": ("T1", lambda c: replaced(changed_header(c, alpha=1, value=5), 1, b"\0\x09")),
    "lanes 15": ("T1", lambda c: changed_tile(c, lanes=b"\x0f")),
    "length not shortest": ("T2", lambda c: replaced(c, 1, c[1][1][:2] + b"\x80\0" + c[1][1][3:])),
    "length of 6 bytes": ("T2", lambda c: replaced(c, 1, c[1][1][:2] + b"\xff" * 5 + b"\1" + c[1][1][3:])),
    "length cut off": ("T3", lambda c: replaced(c, 1, c[1][1][:2])),
    "empty tile": ("T3", lambda c: replaced(c, 1, b"\0")),
    "tile cut in its states": ("T3", lambda c: replaced(changed_header(c, alpha=0, colour=1), 1, bytes(7))),
    "sections longer than the tile": ("T3", lambda c: replaced(c, 1, c[1][1][: len(c[1][1]) // 4])),
    "bytes behind the sections": ("T3", lambda c: replaced(c, 1, c[1][1] + b"\0")),
    "odd z": ("T3", lambda c: changed_tile(c, z=longer("z", b"\0"))),
    "odd low": ("T3", lambda c: changed_tile(c, low=longer("low", b"\0"))),
    "odd high": ("T3", lambda c: changed_tile(c, high=longer("high", b"\0"))),
    "escapes of a tile without": ("T4", lambda c: changed_tile(c, **(EMPTY | {"escapes": b"\0"}))),
    "latents of a tile without": ("T4", lambda c: changed_tile(c, **(EMPTY | {"high": b"\0\0"}))),
    "filter of a tile without": ("T4", lambda c: changed_tile(c, **(EMPTY | {"filter": golomb([0] * 36)}))),
    "tile without a number": ("T5", lambda c: replaced(c, 1, b"")),
    "tile with another's number": ("T5", lambda c: replaced(c, 1, b"\1" + c[1][1][1:])),
    "number not shortest": ("T2", lambda c: replaced(c, 1, b"\x80\0" + c[1][1][1:])),
    "escapes flagged": ("T6", lambda c: changed_tile(c, 16, escapes=b"")),
    "filter flagged": ("T6", lambda c: changed_tile(c, 32, filter=b"")),
    "alpha flagged": ("T6", lambda c: changed_tile(c, 64, alpha=b"")),
    "overlay flagged": ("T6", lambda c: changed_tile(c, 128, overlay=b"")),
    "index wrong": ("I1", lambda c: [c[0], (b"tIDX", leb128(len(c[1][1]) + 1)), c[1]]),
    "index empty": ("I1", lambda c: [c[0], (b"tIDX", b""), c[1]]),
    "index too long": ("I1", lambda c: [c[0], (b"tIDX", index_of(c)[1] * 2), c[1]]),
    "index cut off": ("I1", lambda c: [c[0], (b"tIDX", index_of(c)[1] + b"\x80"), c[1]]),
    "index not shortest": ("T2", lambda c: [c[0], (b"tIDX", index_of(c)[1][:-1] + b"\x83\0"), c[1]]),
    "index ahead of another chunk": ("I1", lambda c: [c[0], index_of(c), EXTRA, c[1]]),
    "index ahead of metadata": ("I1", lambda c: [c[0], index_of(c), (b"eXIf", b"a"), c[1]]),
    "state": ("E1", lambda c: changed_tile(c, states=lambda p: b"\xff\xff\0\0" + p["states"][4:])),
    "no words": ("E[23]", lambda c: changed_tile(c, z=b"", low=b"", high=b"")),
    "z too long": ("E3", lambda c: changed_tile(c, z=lambda p: p["z"] + p["low"][:2], low=lambda p: p["low"][2:])),
    "word left": ("E3", lambda c: changed_tile(c, high=longer("high", b"\0\0"))),
    "escape left": ("E4", lambda c: changed_tile(c, escapes=longer("escapes", b"\0"))),
    "alpha not VP8L": ("P3", lambda c: changed_tile(c, alpha=b"abc")),
    "alpha a whole file": ("P3", lambda c: changed_tile(c, alpha=b"RIFF" + bytes(20))),
    "alpha of another version": ("P3", lambda c: changed_tile(c, alpha=flagged(coloured(20, 40), True, 1))),
    "alpha cut off": ("P3", lambda c: changed_tile(c, alpha=coloured(20, 40)[:999])),
    "alpha of the header alone": ("P3", lambda c: changed_tile(c, alpha=coloured(20, 40)[:5])),
    "alpha broken": ("P3", lambda c: changed_tile(c, alpha=coloured(20, 40)[:5] + b"\xff" * 40)),
    "alpha too narrow": ("P1", lambda c: changed_tile(c, alpha=coloured(20, 39))),
    "alpha too high": ("P1", lambda c: changed_tile(c, alpha=coloured(64, 40))),
    "overlay not VP8L": ("P3", lambda c: changed_tile(c, overlay=b"RIFF" + bytes(20))),
    "overlay of another version": ("P3", lambda c: changed_tile(c, overlay=flagged(coloured(20, 40, 255), True, 1))),
    "overlay cut off": ("P3", lambda c: changed_tile(c, overlay=coloured(20, 40, 255)[:999])),
    "overlay of another size": ("P1", lambda c: changed_tile(c, overlay=coloured(20, 41, 255))),
    "filter cut off": ("S2", lambda c: changed_tile(c, filter=golomb([1] * 35))),
    "filter too long": ("S2", lambda c: changed_tile(c, filter=golomb([0] * 36) + b"\0")),
    "behind the filter": ("S2", lambda c: changed_tile(c, filter=golomb([*[0] * 36, 1]))),
    "filter that ends in zeros": ("S2", lambda c: changed_tile(c, filter=golomb([0] * 30) + bytes(1))),
    "filter too strong": ("S3", lambda c: changed_tile(c, filter=golomb([900, *[0] * 35]))),
    "filter too strong in chroma": ("S3", lambda c: changed_tile(c, filter=golomb([*[0] * 24, 350, *[0] * 11]))),
    "clipped filter too strong": ("S3", lambda c: changed_tile(c, filter=golomb([*[0] * 12, 60000, *[0] * 23]))),
    "number of a filter too long": ("S4", lambda c: changed_tile(c, filter=golomb([*[0] * 12, 65536, *[0] * 23]))),
    "overlay half there": ("P4", lambda c: changed_tile(c, overlay=coloured(20, 40, 254))),
    "overlay half there, unsaid": ("P4", lambda c: changed_tile(c, overlay=flagged(coloured(20, 40, 254), False))),
    "alpha missing": ("P2", lambda c: changed_tile(c, alpha=b"")),
    "alpha unexpected": ("P2", lambda c: changed_header(c, alpha=1, value=9)),
}
OF_ONE |= {f"alpha with {what}": ("P3", partial(changed_tile, alpha=section)) for what, section in refused()}
# Of the same picture in tiles of 64 pixels, 70 x 150 of them: HEAD, tIDX, TILE 0 to 5.
OF_SEVERAL: Violations = {
    "tiles in disorder": ("T5", lambda c: moved(without_index(c), 1, 2)),
    "last tile missing": ("F3", lambda c: c[:-1]),
    "late exif": ("C5", lambda c: [*c[:3], (b"eXIf", b"a"), *c[3:]]),
    "late cICP": ("C5", lambda c: [*c[:3], CICP, *c[3:]]),
    "late preview": ("C5", lambda c: [*c[:-1], (b"pREV", b"a"), c[-1]]),
    "late index": ("C5", lambda c: moved(c, 1, 2)),
    "index of lengths in disorder": ("I1", lambda c: replaced(c, 1, index_of([*c[3:], c[2]])[1])),
    "index of too few": ("I1", lambda c: replaced(c, 1, index_of(c[:-1])[1])),
    "critical between tiles": ("C4", lambda c: [*c[:4], (b"ABCD", b""), *c[4:]]),
    "tile for several": ("H6", lambda c: [*c[:5], (b"LOWC", c[5][1]), *c[6:]]),
}
# The same, progressive: HEAD, tIDX, BASE 0 to 5, LOWC 0 to 5, HIGH 0 to 5.
OF_PARTS: Violations = {
    "parts by tile": ("H6", lambda c: [*c[:2], *(c[2 + 6 * part + tile] for tile in range(6) for part in range(3))]),
    "high ahead of low": ("H6", lambda c: [*c[:8], *c[14:], *c[8:14]]),
    "tile in place of base": ("H6", lambda c: [*c[:2], (b"TILE", c[2][1]), *c[3:]]),
    "parts of one that is not progressive": ("H6", lambda c: changed_header(without_index(c), features=None)),
    "parts in disorder": ("T5", lambda c: moved(without_index(c), 7, 8)),
    "part without a number": ("T5", lambda c: replaced(without_index(c), 13, b"")),
    "last high missing": ("F3", lambda c: c[:-1]),
    "all of high missing": ("F3", lambda c: c[:14]),
    "chunk behind the last high": ("F3", lambda c: [*c, EXTRA]),
    "metadata between parts": ("C5", lambda c: [*c[:8], (b"xMPp", b"a"), *c[8:]]),
    "base too long": ("T7", lambda c: recut(c, b"BASE", b"LOWC", 2)),
    "base too short": ("T7", lambda c: recut(c, b"BASE", b"LOWC", -2)),
    "low too long": ("T7", lambda c: recut(c, b"LOWC", b"HIGH", 2)),
    "low too short": ("T7", lambda c: recut(c, b"LOWC", b"HIGH", -1)),
    "index of whole tiles": ("I1", lambda c: replaced(c, 1, index_of(c[:8])[1])),
}


def bare(chunks: list[Chunk], **fields: int) -> bytes:
    """A HEAD that has no model: it ends with these fields."""
    return changed_header(chunks, number=None, **fields)[0][1]


def violations(one: list[Chunk], several: list[Chunk], parts: list[Chunk]) -> dict[str, tuple[str, bytes]]:
    """The rule that each breaks, and the file; of three that are well."""
    made = {}
    for chunks, changes in ((one, OF_ONE), (several, OF_SEVERAL), (parts, OF_PARTS)):
        for name, (rule, change) in changes.items():
            changed = change(chunks)
            made[name] = rule, changed if isinstance(changed, bytes) else join(changed)
    return made
