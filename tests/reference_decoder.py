"""A second decoder of `.vaec` files, written from bitstream_spec.md alone: slow, short, NumPy and the standard library,
and Pillow for overlays and alpha, which are WebP's. Networks are in reference_model.py, what comes after them in
reference_pixels.py.

It shares no code with the package, so tests can compare the two. Networks are computed in float64: every value is an
integer, or one over a power of two, below 2**53 (section 6), so sums in any order and divisions by 2**k are exact and
`np.rint` (halves to even) is the `round` of the specification.
"""

from __future__ import annotations

import struct
import sys
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.reference_model import Array, Ints, Model, Table, depth_to_space, load_model, need, q
from tests.reference_pixels import decode_alpha, filtered, paste_overlay, read_filter

SIGNATURE = b"\x9bVAEC\r\n\x1a"
MODELS = {1: ("base", bytes.fromhex("14198f26b6838975"))}  # the registry: names, and the first 8 bytes of hashes
SECTIONS = ("escapes", "z", "low", "filter", "alpha", "overlay", "high")
FLAGS = {"escapes": 16, "filter": 32, "alpha": 64, "overlay": 128}
ONCE = ("cICP", "iCCP", "eXIf", "xMPp", "pREV", "tIDX")


def leb128(data: bytes, at: int, most: int, cut: str, shape: str = "T2") -> tuple[int, int]:
    """An unsigned LEB128 of at most `most` bytes in the shortest form, and where it ends. cut, shape: the rules that
    are broken where it is not there, and where it is not of that form."""
    value = 0
    for count in range(most):
        need(at + count < len(data), f"{cut}: a LEB128 number is cut off")
        byte = data[at + count]
        value |= (byte & 127) << (7 * count)
        if byte < 128:
            need(byte > 0 or count == 0, f"{shape}: a LEB128 number is not in the shortest form")
            return value, at + count + 1
    raise ValueError(f"{shape}: a LEB128 number has more than {most} bytes")


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
    features: int = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """The chunks of each tile."""
        return ("BASE", "LOWC", "HIGH") if self.features & 1 else ("TILE",)

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
    need(data[0] == 9, f"H2: version {data[0]} is not supported")
    need(len(data) >= 4, "H1: HEAD is cut off")
    flags, quality = struct.unpack_from("<xBH", data)
    need(flags < 128, "H8: bit 7 of the flags is set")
    width, at = leb128(data, 4, 5, "H1")
    height, at = leb128(data, at, 5, "H1")
    colour, alpha = flags & 3, flags >> 2 & 3
    value, at = u8(data, at) if alpha == 1 else (0, at)
    tile, at = u8(data, at) if flags & 16 else (16, at)
    need(tile != 16 or not flags & 16, "H8: a tile of 16 is written")
    model, at = read_model(data, at) if flags & 32 else (MODELS[1], at)
    features, at = leb128(data, at, 5, "H1") if flags & 64 else (0, at)
    need(features > 0 or not flags & 64, "H8: features of 0 are written")
    need(features % 65536 < 2, f"H9: features {features} are not supported")
    need(1 <= width < 2**31 and 1 <= height < 2**31, "H1: width or height out of range")
    need(quality <= 1000, "H1: quality out of range")
    need(1 <= tile <= 16, "H1: tile out of range")
    need(alpha <= 2, "H1: alpha out of range")
    need((alpha > 0) == (colour >= 2), "H4: alpha and colour contradict each other")
    header = Header(width, height, colour, quality, tile, alpha, value, *model, features)
    rows, columns = header.tiles
    need(14 * rows * columns <= file_size, "H7: the file is too small for its number of tiles")
    return header


def u8(data: bytes, at: int) -> tuple[int, int]:
    """One byte of HEAD, and where it ends."""
    need(at < len(data), "H1: HEAD is cut off")
    return data[at], at + 1


def read_model(data: bytes, at: int) -> tuple[tuple[str, bytes], int]:
    """Name and first 8 bytes of the hash of the model that HEAD names, and where that ends."""
    number, at = leb128(data, at, 5, "H1")
    need(number != 1, "H8: model 1 is written")
    if number > 0:
        need(number in MODELS, f"H5: model {number} is not known")
        return MODELS[number], at
    need(at + 16 <= len(data), "H1: HEAD is cut off")
    name = data[at : at + 8].rstrip(b"\0")
    need(len(name) > 0 and all(0x21 <= byte <= 0x7E for byte in name), "H1: not a name of a model")
    return (name.decode("ascii"), data[at + 8 : at + 16]), at + 16


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
        u, self.escapes_at = leb128(self.escapes, self.escapes_at, 3, "E4", "E4")
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
    ends = [0, c["low"], *([c["mid"]] if "mid" in c else []), c["M"]]
    for s in range(2 * len(ends) - 2):
        group = slice(ends[s // 2], ends[s // 2 + 1])
        if s > 0:
            known = y_hat[..., : ends[(s + 1) // 2]]
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
        if s == 1:
            coder.finish("low")
    coder.finish("high")
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


def read_tile(parts: list[bytes]) -> tuple[Lanes | None, bytes, bytes, bytes]:
    """Section 4: the entropy coder of a tile, if it has latents, its alpha section, its overlay and its filter."""
    data = b"".join(parts)
    need(len(data) > 0, "T3: the tile is empty")
    flags, lanes_log2, at = data[0], data[0] & 15, 1
    need(lanes_log2 <= 8, "T1: the number of lanes is out of range")
    latents = lanes_log2 < 8
    need(latents or not flags & (16 + 32), "T4: a tile without latents has escapes or a filter")
    lengths = dict.fromkeys(SECTIONS, 0)
    for name in SECTIONS:
        if flags & FLAGS.get(name, 0) or (latents and name in ("z", "low")):
            lengths[name], at = leb128(data, at, 5, "T3")
            need(lengths[name] > 0 or name not in FLAGS, f"T6: section {name} is empty")
    first = at + (4 << lanes_log2 if latents else 0)
    lengths["high"] = len(data) - first - sum(lengths.values())
    need(lengths["high"] >= 0, "T3: the sections are longer than the tile")
    need(all(lengths[name] % 2 == 0 for name in ("z", "low", "high")), "T3: the length of z, low or high is odd")
    need(latents or lengths["high"] == 0, "T4: a tile without latents has data for them")
    cuts = dict(zip(SECTIONS, accumulate(lengths.values(), initial=first), strict=False))  # where they begin
    wanted = [cuts["low"], cuts["high"] - cuts["low"], lengths["high"]]
    need(len(parts) == 1 or [len(part) for part in parts] == wanted, "T7: the tile is not cut where it must be")
    s = {name: data[cuts[name] : cuts[name] + lengths[name]] for name in SECTIONS}
    lanes = None
    if latents:
        states = struct.unpack(f"<{2**lanes_log2}I", data[at:first])
        lanes = Lanes(states, [s["z"], s["low"], s["high"]], s["escapes"])
    return lanes, s["alpha"], s["overlay"], s["filter"]


def read_chunks(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Sections 1 and 2: type and data of each chunk."""
    damaged = ": it was damaged by a transfer as text" if data[:5] == SIGNATURE[:5] else ""
    need(data[:8] == SIGNATURE, f"F1: the signature is wrong{damaged}")
    at = 8
    while at < len(data):
        need(at + 12 <= len(data), "F3: the file ends inside a chunk, or bytes follow its last one")
        length, kind = struct.unpack_from("<I4s", data, at)
        need(kind.isalpha(), "C1: the type of a chunk is not four letters")
        need(kind[2:3].isupper(), "C6: the third letter of a chunk's type is not upper case")
        need(at + 12 + length <= len(data), "C3: a chunk reaches past the end of the file")
        (crc,) = struct.unpack_from("<I", data, at + 8 + length)
        need(zlib.crc32(data[at + 4 : at + 8 + length]) == crc, f"C2: the CRC of a chunk {kind.decode()} is wrong")
        yield kind.decode(), data[at + 8 : at + 8 + length]
        at += 12 + length


def read_file(data: bytes) -> tuple[Header, list[list[bytes]]]:
    """Sections 1 to 4: the header and the parts of the tiles."""
    header: Header | None = None
    wanted: list[tuple[str, int]] = []
    tiles: list[list[bytes]] = []
    once: dict[str, bytes] = {}
    lengths: list[int] = []
    before = ""
    for kind, content in read_chunks(data):
        need((header is None) == (kind == "HEAD"), "F2: HEAD is not the first chunk or not the only one")
        if header is None:
            header = read_header(content, len(data))
            tiles = [[] for _ in range(header.tiles[0] * header.tiles[1])]
            wanted = [(part, number) for part in header.kinds for number in range(len(tiles))]
            continue
        need(len(lengths) < len(wanted), f"F3: {kind} stands behind the last chunk of the tiles")
        if kind in ("TILE", "BASE", "LOWC", "HIGH"):
            part, number = wanted[len(lengths)]
            need(kind == part, f"H6: {kind} stands where {part} must")
            need("tIDX" not in once or bool(lengths) or before == "tIDX", "I1: tIDX is not right before the tiles")
            told, at = leb128(content, 0, 5, "T5")
            need(told == number, f"T5: tile {told} stands where tile {number} must")
            tiles[number].append(content[at:])
            lengths.append(len(content))
        elif kind in ONCE:
            need(kind not in once and not lengths, f"C5: {kind} is repeated or behind a tile")
            need(kind != "cICP" or (len(content) == 4 and content[2:] == b"\0\1"), "C7: not a cICP of full range")
            once[kind] = content
        else:
            need(kind[0].islower(), f"C4: the critical chunk {kind} is not supported")
        before = kind
    need(header is not None and len(lengths) == len(wanted), "F3: the file ends before its last tile")
    assert header is not None
    if "tIDX" in once:
        need(read_index(once["tIDX"]) == lengths, "I1: tIDX does not tell the lengths of the tiles")
    return header, tiles


def read_index(data: bytes) -> list[int]:
    """Section 3: the lengths that tIDX tells."""
    lengths, at = [], 0
    while at < len(data):
        length, at = leb128(data, at, 5, "I1")
        lengths.append(length)
    return lengths


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
    """FILE.vaec FILE.png MODEL: for tools/check/conformance.py, and to show what a decoder takes."""
    pixels = decode(Path(source).read_bytes(), Path(model).read_bytes())
    Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[..., 0]).save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
