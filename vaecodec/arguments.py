"""What callers may pass for bytes and numbers, the same everywhere.

Bytes are whatever offers them (bytes, bytearray, memoryview ...). Numbers are Python's and NumPy's,
but no bool and no NaN. For everything else there is one sentence. Standard library only: NumPy
registers its numbers with `numbers`.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterable

from vaecodec.errors import VaecError

BytesLike = bytes | bytearray | memoryview


def as_bytes(data: object, what: str = "a file") -> bytes:
    """Raises: VaecError where it is nothing of the kind: what to do about a name or a file object."""
    if isinstance(data, bytes):
        return data
    try:
        return memoryview(data).tobytes()  # type: ignore[arg-type]  # that is the question
    except TypeError:
        raise VaecError(f"{what} must be given as bytes, not as {type(data).__name__}{_hint(data)}") from None


def _hint(data: object) -> str:
    if isinstance(data, (str, os.PathLike)):
        return ": read it first, with pathlib.Path(name).read_bytes()"
    return ": pass what its read() gives" if hasattr(data, "read") else ""


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
