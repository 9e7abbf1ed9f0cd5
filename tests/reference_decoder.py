"""A second decoder of `.vaec` files, written from bitstream_spec.md alone: slow, short, NumPy and the standard library,
and Pillow for overlays, which are WebP's.

It shares no code with the package, so tests can compare the two. Networks are computed in float64: every value is an
integer, or one over a power of two, below 2**53 (section 6), so sums in any order and divisions by 2**k are exact and
`np.rint` (halves to even) is the `round` of the specification.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SIGNATURE = b"\x9bVAEC\r\n\x1a"
DTYPES = {"I8": ("int8", "<i1"), "I16": ("int16", "<i2"), "U16": ("uint16", "<u2"), "I32": ("int32", "<i4")}
WIDE = ("g_s.enter", "g_s.shortcut")


def need(condition: bool, message: str) -> None:
    """Raise ValueError(message) unless the condition holds."""
    if not condition:
        raise ValueError(message)


def q(x: Array, limit: int = 2047) -> Array:
    """Section 6: round, then clamp to -limit .. limit."""
    return np.clip(np.rint(x), -limit, limit)


def depth_to_space(x: Array, n: int) -> Array:
    """Section 6: (H, W, n*n*c) to (H n, W n, c)."""
    height, width, channels = x.shape
    c = channels // (n * n)
    return x.reshape(height, width, n, n, c).transpose(0, 2, 1, 3, 4).reshape(height * n, width * n, c)


def leb128(data: bytes, at: int, most: int, rule: str) -> tuple[int, int]:
    """Sections 4 and 8: an unsigned LEB128 of at most `most` bytes in the shortest form, and where it ends."""
    value = 0
    for count in range(most):
        need(at + count < len(data), f"{rule}: a LEB128 number is cut off")
        byte = data[at + count]
        value |= (byte & 127) << (7 * count)
        if byte < 128:
            need(byte > 0 or count == 0, f"{rule}: a LEB128 number is not in the shortest form")
            return value, at + count + 1
    raise ValueError(f"{rule}: a LEB128 number has more than {most} bytes")


@dataclass(frozen=True)
class Table:
    """Section 5: a probability table; start has one entry more than there are symbols, the last 65536."""

    low: int
    start: list[int]


class Model:
    """Section 5: a model file; section 6: its layers."""

    def __init__(self, data: bytes) -> None:
        need(len(data) >= 8, "model file: cut off")
        (size,) = struct.unpack_from("<Q", data)
        need(8 + size <= len(data), "model file: cut off")
        header: dict[str, Any] = json.loads(data[8 : 8 + size])
        metadata = header.pop("__metadata__", {})
        need(metadata.get("format") == "vaecodec-model-3", "model file: not of the format vaecodec-model-3")
        need({"name", "hash", "config"} <= metadata.keys(), "model file: name, hash or config missing")
        self.name: str = metadata["name"]
        self.config: dict[str, int] = json.loads(metadata["config"])
        self.tensors: dict[str, Ints] = {}
        digest = hashlib.sha256(metadata["config"].encode())
        for name in sorted(name for name in header if not name.startswith("enc.")):
            entry = header[name]
            need(entry["dtype"] in DTYPES, f"model file: {name} has the type {entry['dtype']}")
            kind, code = DTYPES[entry["dtype"]]
            first, last = entry["data_offsets"]
            raw, shape = data[8 + size + first : 8 + size + last], entry["shape"]
            digest.update(f"\n{name} {kind} {'x'.join(map(str, shape))}\n".encode() + raw)
            self.tensors[name] = np.frombuffer(raw, code).reshape(shape).astype(np.int64)
        self.hash = digest.digest()
        need(self.hash.hex() == metadata["hash"], "model file: the hash is wrong")
        for name in self.tensors:
            if name.endswith(".w"):
                self.check_layer(name[:-2])
        self.tables = {name: self.read_tables(name) for name in "yz"}
        need(len(self.tables["y"]) == 128, "model file: not 128 tables of y")
        anchors = np.abs(self.tensors["filter.t"])
        need(
            all(strength(row) <= 56000 for row in np.maximum(anchors[1:], anchors[:-1]).tolist()), "M6: a strong filter"
        )
        need(all(table.low % 2 == 0 for table in self.tables["y"]), "M5: a table of y begins at an odd value")

    def check_layer(self, name: str) -> None:
        """[A1]."""
        largest = 16384 if name in WIDE else 1008 if name == "h_s.enter" else 2047
        limit = 2**44 if name in WIDE else 2**24
        w, b = self.tensors[name + ".w"], self.tensors[name + ".b"]
        need(bool(np.all(np.abs(w).sum(1) * largest + np.abs(b) < limit)), f"A1: the sums of {name} are too large")

    def read_tables(self, name: str) -> list[Table]:
        """Section 5, [M1]."""
        tables = []
        columns = (self.tensors[f"{name}.{part}"].tolist() for part in ("low", "size", "frequency"))
        for low, size, frequency in zip(*columns, strict=True):
            need(2 <= size <= min(256, len(frequency)), f"a table of {name} has {size} symbols")
            start = list(accumulate((f + 1 for f in frequency[:size]), initial=0))
            need(start[-1] == 65536, f"M1: a table of {name} does not sum to 1")
            tables.append(Table(low, start))
        return tables

    def row(self, name: str, quality: int) -> Array:
        """Section 5: the row of a table with 9 anchors."""
        a, k = self.tensors[name], min(quality // 125, 7)
        f = quality - 125 * k
        row: Ints = (a[k] * (125 - f) + a[k + 1] * f + 62) // 125
        return row.astype(np.float64)

    def layer(self, name: str, x: Array) -> Array:
        """Section 6: an exact layer, not rounded."""
        w, b, k = (self.tensors[f"{name}.{part}"].astype(np.float64) for part in "wbk")
        return (x @ w.T + b) / 2**k

    def depthwise(self, name: str, x: Array) -> Array:
        """Section 6: an exact depthwise layer, not rounded."""
        w, b, k = (self.tensors[f"{name}.{part}"].astype(np.float64) for part in "wbk")
        height, width, _ = x.shape
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        taps = ((di, dj) for di in range(3) for dj in range(3))
        total = sum(padded[di : di + height, dj : dj + width] * w[:, 3 * di + dj] for di, dj in taps)
        return (total + b) / 2**k

    def block(self, name: str, x: Array) -> Array:
        """Section 6: a block."""
        a, g = np.split(q(self.depthwise(name + ".dw", q(self.layer(name + ".w1", x)))), 2, axis=-1)
        t = q(a * np.clip(g, -256, 256) / 128)
        return np.clip(x + np.rint(self.layer(name + ".w2", t)), -2047, 2047)

    def blocks(self, name: str, numbers: range, x: Array) -> Array:
        """Section 6: several blocks, one after the other."""
        for number in numbers:
            x = self.block(f"{name}.{number}", x)
        return x


@dataclass(frozen=True)
class Header:
    """Section 3."""

    width: int
    height: int
    colour: int
    quality: int
    tile: int
    alpha: int
    alpha_value: int
    model: str
    model_hash: bytes

    @property
    def grid(self) -> tuple[int, int]:
        """The size of the latent grid."""
        return -(-self.height // 16), -(-self.width // 16)

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.height // (64 * self.tile)), -(-self.width // (64 * self.tile))

    def area(self, number: int, unit: int, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of tile `number` on an array of that size, a tile having `unit` S elements a side."""
        i, j = divmod(number, self.tiles[1])
        side = unit * self.tile
        return slice(i * side, min((i + 1) * side, height)), slice(j * side, min((j + 1) * side, width))


def read_header(data: bytes, file_size: int) -> Header:
    """Section 3."""
    need(len(data) > 0, "H1: HEAD is empty")
    need(data[0] == 8, f"H2: version {data[0]} is not supported")
    need(len(data) == 32, f"H1: HEAD has {len(data)} bytes, not 32")
    width, height, colour, depth, quality, tile, alpha, value, model, digest = struct.unpack("<xIIBBHBBB8s8s", data)
    need(1 <= width < 2**31 and 1 <= height < 2**31, "H1: width or height out of range")
    need(colour <= 3, "H1: colour out of range")
    need(1 <= depth <= 16, "H1: depth out of range")
    need(depth == 8, f"H3: a depth of {depth} bits is not supported")
    need(quality <= 1000, "H1: quality out of range")
    need(1 <= tile <= 16, "H1: tile out of range")
    need(alpha <= 2, "H1: alpha out of range")
    need((alpha > 0) == (colour >= 2), "H4: alpha and colour contradict each other")
    need(value == 0 or alpha == 1, "H4: alpha_value without constant alpha")
    name = model.rstrip(b"\0")
    need(len(name) > 0 and all(0x21 <= byte <= 0x7E for byte in name), "H1: not a name of a model")
    header = Header(width, height, colour, quality, tile, alpha, value, name.decode("ascii"), digest)
    rows, columns = header.tiles
    need(21 * rows * columns <= file_size, "H7: the file is too small for its number of tiles")
    return header


class Coder(Protocol):
    """Where the symbols of a tile come from."""

    def run(self, tables: list[Table], numbers: Ints, dependent: bool) -> tuple[Array, Array]:
        """Values of the symbols of one run and the quantiser of each, given the number of the table of each."""

    def finish(self, section: str) -> None:
        """Check that the section has been read to its end."""


class Machines:
    """Section 7: which quantiser, and so which table, a symbol of a dependent run of n symbols meets."""

    def __init__(self, n: int) -> None:
        count = 1
        while count < 128 and 2 * count <= n // 512:
            count *= 2
        self.states, self.met = [0] * count, 0

    def quantiser(self) -> int:
        """Of the next symbol."""
        return self.states[self.met % len(self.states)] % 2

    def move(self, s: int) -> None:
        """On, by symbol s."""
        k = self.met % len(self.states)
        state = self.states[k]
        self.states[k] = (state // 2) ^ (33 * (state % 2)) ^ (10 * (s % 2))
        self.met += 1


class Lanes:
    """Section 7: the entropy coder, and the escapes of section 8.

    Lanes share nothing but the sequence of words, which a round hands out in lane order. So the symbols can be
    decoded one at a time, in order: each lane takes its word at once.
    """

    def __init__(self, states: tuple[int, ...], sections: list[bytes], escapes: bytes) -> None:
        need(min(states) >= 65536, "E1: a state is below 65536")
        self.x = list(states)
        joined = b"".join(sections)
        self.words = struct.unpack(f"<{len(joined) // 2}H", joined)
        self.ends = dict(zip(("z", "low", "high"), accumulate(len(part) // 2 for part in sections), strict=True))
        self.at = 0
        self.escapes, self.escapes_at = escapes, 0
        self.rounds = 0

    def escape(self) -> int:
        """[E4]: the next value of the section escapes."""
        u, self.escapes_at = leb128(self.escapes, self.escapes_at, 3, "E4")
        value = u // 2 if u % 2 == 0 else -(u + 1) // 2
        need(abs(value) <= 32767, "E4: an escape is out of range")
        return value

    def run(self, tables: list[Table], numbers: Ints, dependent: bool) -> tuple[Array, Array]:
        """One run."""
        machines = Machines(len(numbers)) if dependent else None
        lanes = min(len(self.x), len(machines.states)) if machines else len(self.x)
        self.rounds += -(-len(numbers) // lanes)
        need(self.rounds <= 20480, "E5: the tile has more than 20480 rounds")
        values, quantisers = [], []
        for m, number in enumerate(numbers.tolist()):
            quantiser = machines.quantiser() if machines else 0
            table, lane = tables[number + 64 * quantiser], m % lanes
            high, slot = divmod(self.x[lane], 65536)
            s = bisect_right(table.start, slot) - 1
            x = (table.start[s + 1] - table.start[s]) * high + slot - table.start[s]
            if x < 65536:
                need(self.at < len(self.words), "E2: the words run out")
                x = x * 65536 + self.words[self.at]
                self.at += 1
            self.x[lane] = x
            values.append(self.escape() if s == len(table.start) - 2 else table.low + s)
            quantisers.append(quantiser)
            if machines:
                machines.move(s)
        return np.array(values, np.float64), np.array(quantisers, np.float64)

    def finish(self, section: str) -> None:
        """[E3], [E4]."""
        need(self.at == self.ends[section], f"E3: not exactly the words of section {section} were read")
        if section == "high":
            need(all(x == 65536 for x in self.x), "E3: a state at the end is not 65536")
            need(self.escapes_at == len(self.escapes), "E4: values in the section escapes were not used")


def decode_latents(model: Model, quality: int, height: int, width: int, coder: Coder) -> Array:
    """Section 8: y_hat of a tile of height x width positions."""
    c, n = model.config, model.config["N"]
    z_shape = (-(-height // 4), -(-width // 4), n)
    anchor = (quality + 62) // 125
    numbers = np.broadcast_to(anchor * n + np.arange(n), z_shape).ravel()
    z, _ = coder.run(model.tables["z"], numbers, dependent=False)
    coder.finish("z")
    z_hat = np.clip(z, -63, 63).reshape(z_shape)
    f = model.block("h_s.block1", depth_to_space(q(model.layer("h_s.enter", 16 * z_hat)), 2))
    f = depth_to_space(q(model.layer("h_s.up", f)), 2)
    f = np.clip(f + model.row("h_s.bias.t", quality), -2047, 2047)
    f = model.blocks("h_s.blocks", range(c["blocks_h"]), f)[:height, :width]
    y_hat = np.zeros((height, width, c["M"]))
    for s in range(4):
        group = slice(0, c["low"]) if s < 2 else slice(c["low"], c["M"])
        if s > 0:
            known = y_hat[..., : c["low"]] if s < 3 else y_hat
            e = q(model.layer(f"context.{s}.enter", np.clip(known, -2047, 2047)))
            f = np.clip(f + e, -2047, 2047)
        f = model.blocks(f"context.{s}.blocks", range(c["blocks_c"]), f)
        mean, index = np.split(np.rint(model.layer(f"context.{s}.leave", f)), 2, axis=-1)
        mean = np.clip(mean, -16383, 16383)
        index = np.clip(index + model.row("index_bias.t", quality)[group], 0, 1008)
        table = np.rint(index / 16).astype(np.int64)
        table = np.where(np.abs(mean) > 16, np.maximum(table, c["skip"]), table)
        step = np.indices(mean.shape).sum(0) % 2 == s % 2
        coded, dependent = step & (table >= c["skip"]), table >= c["dependent"]
        r, quantiser = np.zeros(mean.shape), np.zeros(mean.shape)
        for run, follows in ((coded & dependent, True), (coded & ~dependent, False)):
            # A mask selects in raster order.
            r[run], quantiser[run] = coder.run(model.tables["y"], table[run], follows)
        moved = np.where(dependent, 13 * (2 * r - np.sign(r) * quantiser), 16 * r)
        y_hat[..., group] = np.where(step, np.clip(moved + mean, -16383, 16383), y_hat[..., group])
        if s % 2 == 1:
            coder.finish("low" if s == 1 else "high")
    return y_hat


def synthesise(model: Model, quality: int, y_hat: Array) -> Array:
    """Section 9: x_hat of the whole latent grid."""
    y = np.clip(y_hat * model.row("step.t", quality), -(2**23), 2**23) / 512
    f = depth_to_space(q(model.layer("g_s.enter", y)), 2)
    count = model.config["blocks_s"]
    f = model.blocks("g_s.blocks", range(count // 2), f)
    f = q(f * model.row("g_s.film_scale.t", quality) / 64 + model.row("g_s.film_bias.t", quality))
    f = model.blocks("g_s.blocks", range(count // 2, count), f)
    detail = depth_to_space(np.rint(model.layer("g_s.leave", f)), 8)
    base = depth_to_space(q(model.layer("g_s.shortcut", y), 2**20), 16)
    x_hat: Array = base + detail
    return x_hat


def diamond(reach: int) -> list[tuple[int, int]]:
    """Section 9: half of the offsets within a diamond, rows first."""
    offsets = [(d, e) for d in range(reach + 1) for e in range(-reach, reach + 1) if abs(d) + abs(e) <= reach]
    return offsets[offsets.index((0, 1)) :]


def strength(values: Sequence[int]) -> int:
    """Section 9, [S3]."""
    total = [sum(map(abs, values[first:last])) for first, last in pairwise((0, 12, 24, 30, 36))]
    return 64 * total[0] + total[1] + 192 * total[2] + 2 * total[3]


def read_filter(section: bytes, default: list[int]) -> list[int]:
    """Section 9: the 36 numbers of a filter."""
    bits = "".join(f"{byte:08b}" for byte in section)
    values: list[int] = []
    while section and len(values) < 36:
        need("1" in bits, "S2: the filter is cut off")
        zeros = bits.index("1")
        code, bits = bits[zeros : 2 * zeros + 1], bits[2 * zeros + 1 :]
        need(len(code) == zeros + 1, "S2: the filter is cut off")
        u = int(code, 2) - 1
        values.append(default[len(values)] + (u // 2 if u % 2 == 0 else -(u + 1) // 2))
    need(len(bits) < 8 and "1" not in bits, "S2: data behind the filter")
    need(strength(values) <= 56000, "S3: the filter is too strong")
    return values or default


def filtered(x_hat: Array, values: list[int]) -> Ints:
    """Section 9: rgb of the whole latent grid by one filter."""
    x = np.clip(np.rint(x_hat / 8), -1024, 1023).astype(np.int64)
    s, first, second = (x @ weights for weights in ((1, 2, 1), (1, -1, 0), (0, -1, 1)))
    s = moved(s, diamond(3), values[:12], values[12:24], 128)
    first, second = (moved(a, diamond(2), values[24:30], values[30:], 32) for a in (first, second))
    total = np.stack((s + 3 * first - second, s - first - second, s - first + 3 * second), axis=-1)
    return to_rgb(total / 4096)


def moved(a: Ints, offsets: list[tuple[int, int]], plain: list[int], clipped: list[int], bound: int) -> Ints:
    """Section 9: F(A)."""
    padded, (height, width), total = np.pad(a, 3, mode="edge"), a.shape, 128 * a
    for (d, e), weight, small in zip(offsets, plain, clipped, strict=True):
        for n in (1, -1):
            u = padded[3 + n * d :, 3 + n * e :][:height, :width] - a
            total = total + weight * u + small * np.clip(u, -bound, bound)
    return total


def to_rgb(x: Array) -> Ints:
    """Section 9: samples of levels minus 128."""
    return np.clip(np.rint(x) + 128, 0, 255).astype(np.int64)


def decode_alpha(section: bytes, height: int, width: int) -> Ints:
    """Section 10: the alpha samples of a tile of height x width pixels."""
    size = height * (width + 1)
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(section, size + 1)
    except zlib.error as error:
        raise ValueError(f"P1: the alpha section is not a zlib stream: {error}") from error
    need(len(raw) == size and inflater.eof, "P1: the alpha section does not inflate to the size of the tile")
    need(not inflater.unused_data, "P1: data behind the zlib stream of the alpha section")
    rows = np.frombuffer(raw, np.uint8).reshape(height, width + 1).astype(np.int64)
    alpha = np.zeros((height, width), np.int64)
    for i, (kind, *_) in enumerate(rows):
        need(kind <= 2, f"P1: filter {kind} of alpha does not exist")
        alpha[i] = rows[i, 1:] if kind == 0 else np.cumsum(rows[i, 1:]) if kind == 1 else rows[i, 1:]
        if kind == 2 and i > 0:
            alpha[i] += alpha[i - 1]
        alpha[i] %= 256
    return alpha


def paste_overlay(section: bytes, rgb: Ints) -> None:
    """Section 10: the overlay over rgb (height, width, 3), by any decoder of RFC 9649: here Pillow's, as a file."""
    need(section[:1] == b"\x2f", "P4: the overlay is not a VP8L bitstream")
    file = b"WEBPVP8L" + struct.pack("<I", len(section)) + section + b"\0" * (len(section) % 2)
    try:
        with Image.open(BytesIO(b"RIFF" + struct.pack("<I", len(file)) + file)) as image:
            rgba = np.asarray(image.convert("RGBA")).astype(np.int64)
    except OSError as error:
        raise ValueError(f"P4: the overlay does not decode: {error}") from error
    need(rgba.shape[:2] == rgb.shape[:2], "P4: the overlay has another size than the tile")
    need(np.isin(rgba[..., 3], (0, 255)).all(), "P5: an alpha sample of the overlay is neither 0 nor 255")
    there = rgba[..., 3] == 255
    rgb[there] = rgba[there, :3]


def read_tile(data: bytes) -> tuple[Lanes | None, bytes, bytes, bytes]:
    """Section 4: the entropy coder of a tile, if it has latents, its alpha section, its overlay and its filter."""
    need(len(data) > 0, "T3: the tile is empty")
    need(data[0] <= 7 or data[0] == 255, "T1: lanes_log2 is out of range")
    at, lengths = 1, [0 if data[0] == 255 else 4 << data[0]]
    for _ in range(7):
        length, at = leb128(data, at, 5, "T2")
        lengths.append(length)
    need(at + sum(lengths) == len(data), "T3: the parts do not fill the tile")
    need(all(length % 2 == 0 for length in lengths[2:5]), "T3: the length of z, low or high is odd")
    ends = list(accumulate(lengths, initial=at))
    states, escapes, z, low, high, alpha, overlay, kernel = (data[a:b] for a, b in pairwise(ends))
    if data[0] == 255:
        need(not z + low + high + escapes + kernel, "T4: a tile without latents has data for them")
        return None, alpha, overlay, kernel
    return Lanes(struct.unpack(f"<{len(states) // 4}I", states), [z, low, high], escapes), alpha, overlay, kernel


def read_chunks(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Sections 1 and 2: type and data of each chunk up to DONE."""
    damaged = ": it was damaged by a transfer as text" if data[:5] == SIGNATURE[:5] else ""
    need(data[:8] == SIGNATURE, f"F1: the signature is wrong{damaged}")
    at, kind = 8, b""
    while kind != b"DONE":
        need(at + 8 <= len(data), "F3: the file ends before DONE")
        length, kind = struct.unpack_from("<I4s", data, at)
        need(kind.isalpha(), "C1: the type of a chunk is not four letters")
        need(at + 12 + length <= len(data), "C3: a chunk reaches past the end of the file")
        (crc,) = struct.unpack_from("<I", data, at + 8 + length)
        need(zlib.crc32(data[at + 4 : at + 8 + length]) == crc, f"C2: the CRC of a chunk {kind.decode()} is wrong")
        yield kind.decode(), data[at + 8 : at + 8 + length]
        at += 12 + length
    need(length == 0, "F3: DONE is not empty")
    need(at == len(data), "F3: bytes behind DONE")


@lru_cache(maxsize=2)
def load_model(data: bytes) -> Model:
    """Section 5."""
    try:
        return Model(data)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"model file: malformed: {error!r}") from error


def read_file(data: bytes) -> tuple[Header, list[bytes]]:
    """Sections 1 to 3: the header and the data of the tiles."""
    header: Header | None = None
    tiles: list[bytes] = []
    seen: set[str] = set()
    for kind, content in read_chunks(data):
        need((header is None) == (kind == "HEAD"), "F2: HEAD is not the first chunk or not the only one")
        if kind == "HEAD":
            header = read_header(content, len(data))
        elif kind == "TILE":
            number, at = leb128(content, 0, 5, "T5")
            need(number == len(tiles), f"T5: tile {number} stands where tile {len(tiles)} must")
            tiles.append(content[at:])
        elif kind in ("iccp", "exif", "xmpp", "prev"):
            need(kind not in seen and not tiles, f"C5: {kind} is repeated or behind a TILE")
            seen.add(kind)
        else:
            need(kind == "DONE" or kind[0].islower(), f"C4: the critical chunk {kind} is not supported")
    assert header is not None
    rows, columns = header.tiles
    need(len(tiles) == rows * columns, f"H6: {len(tiles)} tiles, not {rows * columns}")
    return header, tiles


def decode(data: bytes, model: bytes) -> npt.NDArray[np.uint8]:
    """The picture in a `.vaec` file, (height, width, channels)."""
    header, tiles = read_file(data)
    weights = load_model(model)
    wanted = (header.model, header.model_hash)
    need(wanted == (weights.name, weights.hash[:8]), f"H5: the file needs the model {wanted[0]} {wanted[1].hex()}")
    y_hat = np.zeros((*header.grid, weights.config["M"]))
    alpha = np.full((header.height, header.width), header.alpha_value)
    overlays: list[bytes] = []
    filters: list[bytes] = []
    for number, tile in enumerate(tiles):
        lanes, section, overlay, kernel = read_tile(tile)
        overlays.append(overlay)
        filters.append(kernel)
        need(bool(section) == (header.alpha == 2), "P2: an alpha section is missing, or there although alpha is not 2")
        area = header.area(number, 4, *header.grid)
        height, width = y_hat[area].shape[:2]
        if lanes:
            y_hat[area] = decode_latents(weights, header.quality, height, width, lanes)
        if header.alpha == 2:
            area = header.area(number, 64, header.height, header.width)
            alpha[area] = decode_alpha(section, *alpha[area].shape)
    x_hat = synthesise(weights, header.quality, y_hat)
    default = weights.row("filter.t", header.quality).astype(int).tolist()
    picture = filtered(x_hat, default)[: header.height, : header.width]
    for number, kernel in enumerate(filters):
        if kernel:
            area = header.area(number, 64, header.height, header.width)
            picture[area] = filtered(x_hat, read_filter(kernel, default))[area]
    for number, overlay in enumerate(overlays):
        if overlay:
            paste_overlay(overlay, picture[header.area(number, 64, header.height, header.width)])
    if header.colour in (0, 2):
        picture = (picture @ np.array([[1], [2], [1]]) + 2) >> 2
    if header.alpha > 0:
        picture = np.concatenate([picture, alpha[..., None]], axis=-1)
    return picture.astype(np.uint8)


def main(source: str, target: str, model: str) -> None:
    """FILE.vaec FILE.png MODEL: for tools/conformance.py, and to show what a decoder takes."""
    pixels = decode(Path(source).read_bytes(), Path(model).read_bytes())
    Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[..., 0]).save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
