"""What callers may pass for files, bytes and numbers, the same everywhere.

Bytes are whatever offers them (bytes, bytearray, memoryview ...), and a file may be given by its path or as a file
object, too. Numbers are Python's and NumPy's, but no bool and no NaN. For everything else there is one sentence.
A path may be a URL (remote.py). Standard library only: NumPy registers its numbers with `numbers`.
"""

from __future__ import annotations

import io
import math
import numbers
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from vaecodec.errors import VaecError
from vaecodec.remote import located

BytesLike = bytes | bytearray | memoryview
Source = BytesLike | str | os.PathLike[str] | BinaryIO  # of a file, see `as_file`


def as_bytes(data: object, what: str = "a file") -> bytes:
    """Raises: VaecError where it is nothing of the kind: what to do about a name or a file object."""
    held = _held(data)
    if held is None:
        raise VaecError(f"{what} must be given as bytes, not as {type(data).__name__}{_hint(data)}")
    return held


def _held(data: Any) -> bytes | None:
    """The bytes that an object offers as its own."""
    if isinstance(data, bytes):
        return data
    try:
        return memoryview(data).tobytes()
    except (TypeError, ValueError, BufferError):  # ValueError: of what has been closed or released
        return None


def _hint(data: object) -> str:
    if is_path(data):
        return ": read it first, with pathlib.Path(name).read_bytes()"
    return ": pass what its read() gives" if hasattr(data, "read") else ""


def as_file(data: object) -> bytes:
    """All bytes of a file: those given; of a path; of a file object, from where it stands on; of a tensor of bytes.

    A text is a path, whatever it says. A file object is read to its end and not closed.
    Raises: VaecError where it is nothing of the kind; OSError where it cannot be read.
    """
    if is_path(data):
        return as_path(data).read_bytes()
    if is_tensor(data):
        return _of_tensor(data)
    held = _held(data)
    if held is None and hasattr(data, "read"):
        return _of_object(data)
    if held is None:
        raise VaecError(f"a file is given by its path, as bytes or as a file object, not as {type(data).__name__}")
    return held


def _of_object(file: Any) -> bytes:
    """What is left in a file object."""
    name = type(file).__name__
    if isinstance(file, io.TextIOBase):
        raise VaecError(f"a file is read as bytes: open it with the mode 'rb' ({name} gives text)")
    try:
        data = file.read()
    except OSError:
        raise
    except ValueError as error:  # it has been closed
        raise VaecError(f"{name} cannot be read ({error})") from error
    held = _held(data)
    if held is None:
        raise VaecError(f"a file is read as bytes, and the read() of {name} gives {type(data).__name__}")
    return held


def _of_tensor(tensor: Any) -> bytes:
    """What is in a tensor as torchvision's `read_file` gives it."""
    if tensor.ndim != 1 or str(tensor.dtype) != "torch.uint8":
        raise VaecError(
            f"a tensor with a file in it is uint8 of shape (N,), not {tensor.dtype} of shape {(*tensor.shape,)}"
        )
    return bytes(tensor.numpy(force=True))


def is_tensor(value: object) -> bool:
    """Whether it is a tensor of PyTorch, which is not loaded for that: where it is not, nobody has one."""
    return isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ()))


def is_path(value: object) -> bool:
    return isinstance(value, (str, os.PathLike))


def as_path(value: Any) -> Path:
    """Of a file here, or elsewhere for a URL. Raises: VaecError where no file can have that name."""
    path = os.fsdecode(value)
    if "\0" in path:
        raise VaecError(f"{shown(path)} is not the name of a file")
    return located(path)


@contextmanager
def naming(source: object) -> Iterator[None]:
    """Errors about a file that has a path begin with that."""
    try:
        yield
    except VaecError as error:
        if is_path(source):
            error.args = (f"{os.fsdecode(source)}: {error}",)  # type: ignore[arg-type]  # a path it is
        raise


def refuse_lossless(value: object) -> None:
    """Raises: VaecError where a file is asked for that keeps every value, as other codecs have it."""
    if value:
        raise VaecError(".vaec files are lossy: quality 100 is the best there is")


def shown(value: object) -> str:
    """A value in a message: on one line, and not the whole of an array."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def as_number(value: object, name: str) -> float:
    """Raises: VaecError where it is not a finite number."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:  # an integer of more than 300 digits
            found = math.inf
        if math.isfinite(found):
            return found
    raise VaecError(f"{name} {shown(value)} is not a number")


def as_whole(value: object, name: str) -> int:
    """The same for a whole number, which may be a float such as 64.0. Raises: VaecError."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    found = as_number(value, name)
    if found != int(found):
        raise VaecError(f"{name} {shown(value)} is not a whole number")
    return int(found)


def as_limit(value: object, name: str) -> int | None:
    """A whole number, or None for no limit. Raises: VaecError."""
    return None if value is None else as_whole(value, name)


def as_region(value: object) -> tuple[int, int, int, int]:
    """Left, top, width, height. Raises: VaecError where these are not four whole numbers."""
    names = ("left", "top", "width", "height")
    if not isinstance(value, Iterable) or len(parts := list(value)) != len(names):
        raise VaecError(f"a region is left, top, width and height, not {shown(value)}")
    left, top, width, height = (as_whole(part, f"a region's {name}") for part, name in zip(parts, names, strict=True))
    return left, top, width, height
