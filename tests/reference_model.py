"""Model files and layers, for reference_decoder.py: sections 5 and 6 of bitstream_spec.md."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DTYPES = {"I8": ("int8", "<i1"), "I16": ("int16", "<i2"), "U16": ("uint16", "<u2"), "I32": ("int32", "<i4")}
RANGES = {"step.t": (1, 32767), "g_s.film_scale.t": (0, 511)}
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
        need(self.hash.hex() == metadata["hash"], "M4: the hash is wrong")
        fits = 1 <= len(self.name) <= 8 and all(33 <= ord(letter) <= 126 for letter in self.name)
        need(fits, "M3: the name does not fit the header's field")
        for name in self.tensors:
            if name.endswith(".w"):
                self.check_layer(name[:-2])
            elif name.endswith(".t"):
                low, high = RANGES.get(name, (-2047, 2047))
                need(
                    low <= self.tensors[name].min() and self.tensors[name].max() <= high, f"M2: {name} is out of range"
                )
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
        w, b, k = (self.tensors[f"{name}.{part}"] for part in "wbk")
        need(bool(np.all((0 <= k) & (k <= 24))), f"A1: an exponent of {name} is out of range")
        need(bool(np.all(np.abs(w).sum(1) * largest + np.abs(b) < limit)), f"A1: the sums of {name} are too large")

    def read_tables(self, name: str) -> list[Table]:
        """Section 5, [M1]."""
        tables = []
        columns = (self.tensors[f"{name}.{part}"].tolist() for part in ("low", "size", "frequency"))
        for low, size, frequency in zip(*columns, strict=True):
            need(2 <= size <= min(256, len(frequency)), f"M1: a table of {name} has {size} symbols")
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


def strength(values: Sequence[int]) -> int:
    """Section 9, [S3]."""
    total = [sum(map(abs, values[first:last])) for first, last in pairwise((0, 12, 24, 30, 36))]
    return 64 * total[0] + total[1] + 192 * total[2] + 2 * total[3]


@lru_cache(maxsize=2)
def load_model(data: bytes) -> Model:
    """Section 5."""
    try:
        return Model(data)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"model file: malformed: {error!r}") from error
