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
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests import reference_decoder as reference
from tests.reference_model import DTYPES

Chunk = tuple[bytes, bytes]
HEADER = "<BIIBBHBBB8s8s"


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

    def tile(self, lanes_log2: int, alpha: bytes, kernel: bytes) -> bytes:
        """The log as a tile: the decoder's runs backwards."""
        states = [65536] * 2**lanes_log2
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
        parts = [self.escapes, *parts, alpha, b"", kernel]
        lengths = b"".join(leb128(len(part)) for part in parts)
        return bytes([lanes_log2]) + lengths + struct.pack(f"<{len(states)}I", *states) + b"".join(parts)


def leb128(u: int) -> bytes:
    out = b""
    while u > 127:
        out, u = out + bytes([u & 127 | 128]), u >> 7
    return out + bytes([u])


def forge(model: bytes, header: reference.Header, lanes_log2: int, escapes: float, largest: int, seed: int) -> bytes:
    """A file of random values, of which the given share are escapes of at most the given size."""
    weights, rng = reference.load_model(model), np.random.default_rng(seed)
    header = replace(header, model=weights.name, model_hash=weights.hash[:8])
    chunks = [(b"HEAD", pack(header))]
    for number in range(header.tiles[0] * header.tiles[1]):
        height, width = (part.stop - part.start for part in header.area(number, 4, *header.grid))
        author = Author(rng, escapes, largest)
        reference.decode_latents(weights, header.quality, height, width, author)
        height, width = (part.stop - part.start for part in header.area(number, 64, header.height, header.width))
        alpha = vp8l(rng.integers(0, 256, (height, width, 4), dtype=np.uint8)) if header.alpha == 2 else b""
        chunks.append((b"TILE", leb128(number) + author.tile(lanes_log2, alpha, kernel(rng))))
    return join([*chunks, (b"DONE", b"")])


def pack(h: reference.Header) -> bytes:
    fields = (8, h.width, h.height, h.colour, 8, h.quality, h.tile, h.alpha, h.alpha_value)
    return struct.pack(HEADER, *fields, h.model.encode(), h.model_hash)


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


def changed_header(chunks: list[Chunk], **fields: int | bytes) -> list[Chunk]:
    names = ("version", "width", "height", "colour", "depth", "quality", "tile", "alpha", "value", "model", "hash")
    values = dict(zip(names, struct.unpack(HEADER, chunks[0][1]), strict=True)) | fields
    return [(b"HEAD", struct.pack(HEADER, *values.values())), *chunks[1:]]


def changed_tile(chunks: list[Chunk], change: Callable[[list[bytes]], object]) -> list[Chunk]:
    """With another tile: `change` gets a list of lanes_log2, states, escapes, z, low, high, alpha, overlay, filter."""
    data, at, lengths = chunks[1][1][1:], 1, []
    for _ in range(7):
        length, at = reference.leb128(data, at, 5, "")
        lengths.append(length)
    parts = [data[:1]]
    for length in [4 << data[0], *lengths]:
        parts.append(data[at : at + length])
        at += length
    change(parts)
    tile = parts[0] + b"".join(leb128(len(part)) for part in parts[2:]) + b"".join(parts[1:])
    return [chunks[0], (b"TILE", b"\0" + tile), *chunks[2:]]


def put(number: int, content: bytes) -> Callable[[list[bytes]], object]:
    return lambda parts: parts.__setitem__(number, content)


def add(number: int, content: bytes) -> Callable[[list[bytes]], object]:
    return lambda parts: parts.__setitem__(number, parts[number] + content)


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


def emptied(kernel: bytes) -> Callable[[list[bytes]], object]:
    """No latents, but a filter."""
    return lambda parts: parts.__setitem__(slice(None), [b"\xff", *[b""] * 5, parts[6], b"", kernel])


EXTRA = (b"abCD", b"")
CICP = (b"cICP", b"\x0c\x0d\0\1")  # Display P3
VIOLATIONS: dict[str, tuple[str, Callable[[list[Chunk]], list[Chunk] | bytes]]] = {
    "text transfer": ("F1", lambda c: join(c).replace(b"\r\n", b"\n", 1)),
    "no head": ("F2", lambda c: c[1:]),
    "two heads": ("F2", lambda c: [c[0], *c]),
    "done not empty": ("F3", lambda c: [*c[:-1], (b"DONE", b"x")]),
    "done missing": ("F3", lambda c: c[:-1]),
    "bytes behind done": ("F3", lambda c: join(c) + b"\0"),
    "type": ("C1", lambda c: [c[0], (b"ab_d", b""), *c[1:]]),
    "type beyond ascii": ("C1", lambda c: [c[0], ("abé".encode("latin-1") + b"d", b""), *c[1:]]),
    "crc": ("C2", lambda c: join(c)[:30] + bytes([join(c)[30] ^ 1]) + join(c)[31:]),
    "length": ("C3", lambda c: join(c)[:-12] + b"\xff\xff\xff\xff" + join(c)[-8:]),
    "critical": ("C4", lambda c: [*c[:-1], (b"Abcd", b""), c[-1]]),
    "critical before the tile": ("C4", lambda c: [c[0], (b"ABCD", b""), *c[1:]]),
    "repeated iccp": ("C5", lambda c: [c[0], (b"iccp", b"a"), (b"iccp", b"a"), *c[1:]]),
    "late exif": ("C5", lambda c: [*c[:-1], (b"exif", b"a"), c[-1]]),
    "late preview": ("C5", lambda c: [*c[:-1], (b"prev", b"a"), c[-1]]),
    "repeated cICP": ("C5", lambda c: [c[0], CICP, CICP, *c[1:]]),
    "late cICP": ("C5", lambda c: [*c[:-1], CICP, c[-1]]),
    "cICP of 3 bytes": ("C6", lambda c: [c[0], (b"cICP", b"\x0c\x0d\0"), *c[1:]]),
    "cICP of 5 bytes": ("C6", lambda c: [c[0], (b"cICP", b"\x0c\x0d\0\1\0"), *c[1:]]),
    "cICP with a matrix": ("C6", lambda c: [c[0], (b"cICP", b"\x0c\x0d\1\1"), *c[1:]]),
    "cICP of narrow range": ("C6", lambda c: [c[0], (b"cICP", b"\x0c\x0d\0\0"), *c[1:]]),
    "head of 31 bytes": ("H1", lambda c: [(b"HEAD", c[0][1][:-1]), *c[1:]]),
    "head of 33 bytes": ("H1", lambda c: [(b"HEAD", c[0][1] + b"\0"), *c[1:]]),
    "head of 0 bytes": ("H1", lambda c: [(b"HEAD", b""), *c[1:]]),
    "width 0": ("H1", lambda c: changed_header(c, width=0)),
    "height": ("H1", lambda c: changed_header(c, height=2**31)),
    "colour": ("H1", lambda c: changed_header(c, colour=4)),
    "depth 0": ("H1", lambda c: changed_header(c, depth=0)),
    "quality": ("H1", lambda c: changed_header(c, quality=1001)),
    "tile 0": ("H1", lambda c: changed_header(c, tile=0)),
    "tile 17": ("H1", lambda c: changed_header(c, tile=17)),
    "alpha 3": ("H1", lambda c: changed_header(c, alpha=3)),
    "model empty": ("H1", lambda c: changed_header(c, model=bytes(8))),
    "model with a gap": ("H1", lambda c: changed_header(c, model=b"ba\0se\0\0\0")),
    "model with a space": ("H1", lambda c: changed_header(c, model=b"ba se\0\0\0")),
    "version": ("H2", lambda c: changed_header(c, version=2, width=0)),
    "long head of another version": ("H2", lambda c: [(b"HEAD", b"\x63" + bytes(40)), *c[1:]]),
    "depth 16": ("H3", lambda c: changed_header(c, depth=16)),
    "rgb with alpha": ("H4", lambda c: changed_header(c, colour=1)),
    "rgba without": ("H4", lambda c: changed_header(c, alpha=0)),
    "alpha value": ("H4", lambda c: changed_header(c, value=1)),
    "model": ("H5", lambda c: changed_header(c, model=b"other\0\0\0")),
    "model hash": ("H5", lambda c: changed_header(c, hash=bytes(8))),
    "tile missing": ("H6", lambda c: [c[0], c[2]]),
    "tile too many": ("H6", lambda c: [c[0], c[1], (b"TILE", b"\1" + c[1][1][1:]), c[2]]),
    "tile twice": ("T5", lambda c: [c[0], c[1], *c[1:]]),
    "too many tiles": ("H7", lambda c: changed_header(c, width=2**31 - 1, height=2**31 - 1)),
    "lanes": ("T1", lambda c: changed_tile(c, put(0, b"\x08"))),
    "length not shortest": ("T2", lambda c: [c[0], (b"TILE", c[1][1][:2] + b"\x80\x00" + c[1][1][3:]), c[2]]),
    "length of 6 bytes": ("T2", lambda c: [c[0], (b"TILE", c[1][1][:2] + b"\xff" * 5 + b"\x01"), c[2]]),
    "tile without a number": ("T5", lambda c: [c[0], (b"TILE", b""), c[2]]),
    "tile with another's number": ("T5", lambda c: [c[0], (b"TILE", b"\1" + c[1][1][1:]), c[2]]),
    "empty tile": ("T3", lambda c: [c[0], (b"TILE", b"\0"), c[2]]),
    "bytes behind the parts": ("T3", lambda c: [c[0], (b"TILE", c[1][1] + b"\0"), c[2]]),
    "odd z": ("T3", lambda c: changed_tile(c, add(3, b"\0"))),
    "odd high": ("T3", lambda c: changed_tile(c, add(5, b"\0"))),
    "latents of a tile without": ("T4", lambda c: changed_tile(c, lambda p: p.__setitem__(slice(2), [b"\xff", b""]))),
    "state": ("E1", lambda c: changed_tile(c, lambda p: put(1, b"\xff\xff\0\0" + p[1][4:])(p))),
    "no words": ("E[23]", lambda c: changed_tile(c, lambda p: p.__setitem__(slice(3, 6), [b"", b"", b""]))),
    "z too long": ("E3", lambda c: changed_tile(c, lambda p: p.__setitem__(slice(3, 5), [p[3] + p[4][:2], p[4][2:]]))),
    "word left": ("E3", lambda c: changed_tile(c, add(5, b"\0\0"))),
    "escape left": ("E4", lambda c: changed_tile(c, add(2, b"\0"))),
    "alpha not VP8L": ("P3", lambda c: changed_tile(c, put(6, b"abc"))),
    "alpha a whole file": ("P3", lambda c: changed_tile(c, put(6, b"RIFF" + bytes(20)))),
    "alpha of another version": ("P3", lambda c: changed_tile(c, put(6, flagged(coloured(20, 40), True, 1)))),
    "alpha cut off": ("P3", lambda c: changed_tile(c, put(6, coloured(20, 40)[:999]))),
    "alpha of the header alone": ("P3", lambda c: changed_tile(c, put(6, coloured(20, 40)[:5]))),
    "alpha broken": ("P3", lambda c: changed_tile(c, put(6, coloured(20, 40)[:5] + b"\xff" * 40))),
    "alpha too narrow": ("P1", lambda c: changed_tile(c, put(6, coloured(20, 39)))),
    "alpha too high": ("P1", lambda c: changed_tile(c, put(6, coloured(64, 40)))),
    "overlay not VP8L": ("P3", lambda c: changed_tile(c, put(7, b"RIFF" + bytes(20)))),
    "overlay of another version": ("P3", lambda c: changed_tile(c, put(7, flagged(coloured(20, 40, 255), True, 1)))),
    "overlay cut off": ("P3", lambda c: changed_tile(c, put(7, coloured(20, 40, 255)[:999]))),
    "overlay of another size": ("P1", lambda c: changed_tile(c, put(7, coloured(20, 41, 255)))),
    "filter cut off": ("S2", lambda c: changed_tile(c, put(8, golomb([1] * 35)))),
    "filter too long": ("S2", lambda c: changed_tile(c, put(8, golomb([0] * 36) + b"\0"))),
    "behind the filter": ("S2", lambda c: changed_tile(c, put(8, golomb([*[0] * 36, 1])))),
    "filter that ends in zeros": ("S2", lambda c: changed_tile(c, put(8, bytes(4)))),
    "filter too strong": ("S3", lambda c: changed_tile(c, put(8, golomb([900, *[0] * 35])))),
    "filter too strong in chroma": ("S3", lambda c: changed_tile(c, put(8, golomb([*[0] * 24, 350, *[0] * 11])))),
    "clipped filter too strong": ("S3", lambda c: changed_tile(c, put(8, golomb([*[0] * 12, 60000, *[0] * 23])))),
    "filter of a tile without": ("T4", lambda c: changed_tile(c, emptied(golomb([0] * 36)))),
    "overlay half there": ("P4", lambda c: changed_tile(c, put(7, coloured(20, 40, 254)))),
    "overlay half there, unsaid": ("P4", lambda c: changed_tile(c, put(7, flagged(coloured(20, 40, 254), False)))),
    "alpha missing": ("P2", lambda c: changed_tile(c, put(6, b""))),
    "alpha unexpected": ("P2", lambda c: changed_header(c, alpha=1)),
}
