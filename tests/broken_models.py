"""Model files that break a rule, as what they differ in from the small one, and a file for each that names it."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np

from tests.forgery import Chunk, changed_header, join

Changes = list[list[Any]]  # offset, bytes in hex
NUMBERS = {"I8": "<i1", "I16": "<i2", "U16": "<u2", "I32": "<i4"}
# Rule, tensor, place in it, value; each alone breaks the rule.
NUMBERS_CHANGED = {
    "a bias too large": ("A1", "g_s.leave.b", (0,), 2**24),
    "an exponent of 25": ("A1", "h_s.up.k", (0,), 25),
    "a table that does not sum to 1": ("M1", "y.frequency", (3, 0), 1),
    "a table of one symbol": ("M1", "z.size", (0,), 1),
    "a step of 0": ("M2", "step.t", (4, 1), 0),
    "a scale of 512": ("M2", "g_s.film_scale.t", (0, 0), 512),
    "a bias beyond features": ("M2", "h_s.bias.t", (8, 2), -2048),
    "a table that begins at an odd value": ("M5", "y.low", (70,), -1),
    "a filter between two that is too strong": ("M6", "filter.t", (2, 24), 400),
}


def split(model: bytes) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where its tensors begin."""
    (size,) = struct.unpack_from("<Q", model)
    return json.loads(model[8 : 8 + size]), 8 + size


def digest(model: bytes) -> bytes:
    """Section 5: the hash that a model file should have."""
    header, first = split(model)
    found = hashlib.sha256(header["__metadata__"]["config"].encode())
    names = {"I8": "int8", "I16": "int16", "U16": "uint16", "I32": "int32"}
    for name in sorted(name for name in header if name != "__metadata__" and not name.startswith("enc.")):
        entry = header[name]
        begin, end = (first + at for at in entry["data_offsets"])
        line = f"\n{name} {names[entry['dtype']]} {'x'.join(map(str, entry['shape']))}\n"
        found.update(line.encode() + model[begin:end])
    return found.digest()


def hashed(model: bytes) -> bytes:
    """With the right hash."""
    old = split(model)[0]["__metadata__"]["hash"]
    return model.replace(old.encode(), digest(model).hex().encode(), 1)


def with_number(model: bytes, name: str, place: tuple[int, ...], value: int) -> bytes:
    """With another number in a tensor, and the right hash."""
    header, first = split(model)
    kind = np.dtype(NUMBERS[header[name]["dtype"]])
    at = first + header[name]["data_offsets"][0]
    at += kind.itemsize * int(np.ravel_multi_index(place, header[name]["shape"]))
    return hashed(model[:at] + np.array(value, kind).tobytes() + model[at + kind.itemsize :])


def broken(model: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Name, rule and bytes of each."""
    for name, (rule, *change) in NUMBERS_CHANGED.items():
        yield name, rule, with_number(model, *change)
    yield "a name with a space", "M3", model.replace(b'"name":"small"', b'"name":"sm ll"', 1)
    right = split(model)[0]["__metadata__"]["hash"]
    yield "another hash", "M4", model.replace(right.encode(), bytes.fromhex(right)[::-1].hex().encode(), 1)


def changes(old: bytes, new: bytes) -> Changes:
    """Where bytes of two files of one length differ, and what the second has there."""
    assert len(old) == len(new)
    differing = [at for at, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    runs = (list(run) for _, run in groupby(enumerate(differing), lambda pair: pair[1] - pair[0]))
    return [[run[0][1], new[run[0][1] : run[-1][1] + 1].hex()] for run in runs]


def changed(old: bytes, what: Changes) -> bytes:
    """The other way round."""
    new = bytearray(old)
    for at, text in what:
        part = bytes.fromhex(text)
        new[at : at + len(part)] = part
    return bytes(new)


def record(model: bytes, chunks: list[Chunk]) -> dict[str, Any]:
    """What tests/vectors/models.json has. chunks: of a file of the small model."""
    found = {}
    for name, rule, data in broken(model):
        assert data != model
        metadata = split(data)[0]["__metadata__"]
        names = {"model": metadata["name"].encode(), "hash": bytes.fromhex(metadata["hash"])[:8]}
        file = join(changed_header(chunks, **names))
        found[name] = {"breaks": rule, "changes": changes(model, data), "file": file.hex()}
    return found
