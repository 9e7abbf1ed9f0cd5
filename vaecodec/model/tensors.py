"""Safetensors files, read with care: https://github.com/huggingface/safetensors describes them.

Eight bytes of length, a JSON header, the bytes of the tensors. A file may come from anyone, so nothing is read whole
before its size is known, and no tensor before someone has looked at the types and shapes that the header declares.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaecodec.errors import UnsupportedError

FILE_MAX = 1 << 26  # bytes; the package's model has 9 million
HEADER_MAX = 1 << 20  # bytes; that of the package's model has 21 thousand
SIDE_MAX = 1 << 32  # of a shape, so that no product of sizes is long
AXES_MAX = 4
TYPES = {"I8": "i1", "I16": "i2", "U16": "u2", "I32": "i4", "F16": "f2", "F32": "f4"}  # little-endian in the file


class Declared(NamedTuple):
    """What a header says of a tensor, or what it should say."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class TensorFile:
    """An open file whose header is read.

    metadata: text by key. tensors: by name, in the order of their bytes.
    """

    def __init__(self, handle: BinaryIO) -> None:
        """Raises: ValueError where the header is none."""
        self.handle = handle
        length = int.from_bytes(handle.read(8), "little")
        if length > HEADER_MAX:
            raise ValueError(f"its header is longer than {HEADER_MAX} bytes")
        text = handle.read(length)
        try:
            header = json.loads(text.decode())
        except (ValueError, RecursionError):
            raise ValueError("its header is cut off or no JSON") from None
        if len(text) < length or not isinstance(header, dict):
            raise ValueError("its header is cut off or no object")
        self.metadata = texts(header.pop("__metadata__", {}))
        at = 0
        self.tensors: dict[str, Declared] = {}
        for name, (declared, start, stop) in sorted(entries(header), key=lambda entry: entry[1][1:]):
            if start != at or stop - start != declared.dtype.itemsize * math.prod(declared.shape):
                raise ValueError("the bytes of its tensors do not lie one behind the other")
            self.tensors[name] = declared
            at = stop
        if size_of(handle) != 8 + length + at:
            raise ValueError("it is cut off, or has bytes that are no tensor's")

    def read(self) -> dict[str, NDArray[Any]]:
        """All tensors. Raises: ValueError where the file is shorter than it was."""
        found = {}
        for name, (dtype, shape) in self.tensors.items():
            tensor = np.empty(shape, dtype.newbyteorder("<"))
            if self.handle.readinto(tensor.reshape(-1).view(np.uint8)) != tensor.nbytes:  # type: ignore[attr-defined]
                raise ValueError("it is cut off")
            found[name] = tensor.astype(dtype, copy=False)
        return found


def texts(metadata: Any) -> dict[str, str]:
    """Raises ValueError where it is no object of texts."""
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are no texts")
    return metadata


def entries(header: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Declared, int, int]]]:
    """Each tensor's name, type and shape, and where its bytes begin and end. Raises: ValueError."""
    for name, entry in header.items():
        try:
            dtype, shape, (start, stop) = (entry[key] for key in ("dtype", "shape", "data_offsets"))
            fits = dtype in TYPES and isinstance(shape, list) and len(shape) <= AXES_MAX
            if not fits or not all(type(n) is int and 0 <= n < SIDE_MAX for n in (*shape, start, stop)):
                raise ValueError
        except (TypeError, LookupError, ValueError):
            raise ValueError("a tensor is of a type or a shape that no model has") from None
        yield name, (Declared(np.dtype(TYPES[dtype]), tuple(shape)), start, stop)


def size_of(handle: BinaryIO) -> int:
    """Bytes of an open file. Raises: ValueError where they are too many."""
    at = handle.tell()
    size = handle.seek(0, 2)
    handle.seek(at)
    if size > FILE_MAX:
        raise ValueError(f"it is longer than {FILE_MAX} bytes")
    return size


def check_tensors(there: Mapping[str, Declared], wanted: Mapping[str, Declared]) -> None:
    """Raises ValueError unless a file has just the tensors that are wanted."""
    for name, (dtype, shape) in wanted.items():
        if name not in there:
            raise ValueError(f"it has no tensor {name}")
        if there[name] != (dtype, shape):
            raise ValueError(f"its tensor {name} is not {dtype.name} of {' x '.join(map(str, shape))}")
    if len(there) > len(wanted):
        raise ValueError(f"it has {len(there) - len(wanted)} tensors that its architecture has not")


@contextmanager
def tensor_file(path: Path, what: str) -> Iterator[TensorFile]:
    """A file to check and read; `what` it should be, for the message. Raises: UnsupportedError for any ValueError
    within, in one sentence."""
    try:
        if not path.is_file():
            raise ValueError("there is no such file")
        with path.open("rb") as handle:
            size_of(handle)
            yield TensorFile(handle)
    except (ValueError, OSError) as error:
        raise UnsupportedError(f"{path}: unusable {what}: {error}") from error


def read_file(path: Path) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Metadata and tensors of any such file. Raises: UnsupportedError where it is none."""
    with tensor_file(path, "file of tensors") as file:
        return file.metadata, file.read()
