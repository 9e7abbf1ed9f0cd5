"""The native core: C for what is too slow in Python, with functions that take NumPy arrays.

`vaec_core.h` says what each function of the library does. Here sizes are checked, so that no call can reach outside an
array. The library holds no state and lets other Python threads run meanwhile.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

ABI = 1  # VAEC_ABI of vaec_core.h
SIDE = 32  # chains that the search for paths works on at a time
STATES = 64
SECOND = 64  # tables of quantiser 1 stand so far behind those of quantiser 0
MACHINES_MAX = 128
NAMES = ("vaec_core.so", "vaec_core.dylib", "vaec_core.dll")

T = TypeVar("T", bound=np.generic)


class Tables(ctypes.Structure):
    """`vaec_tables`."""

    _fields_ = (
        ("lookup", ctypes.c_void_p),
        ("frequency", ctypes.c_void_p),
        ("start", ctypes.c_void_p),
        ("count", ctypes.c_int32),
        ("width", ctypes.c_int32),
    )


def tables(lookup: NDArray[np.uint8], frequency: NDArray[np.uint32], start: NDArray[np.uint32]) -> Tables:
    """Of tables (n, width) and their symbols at each slot, (n * 65536,); the arrays must outlive it."""
    count, width = frequency.shape
    if start.shape != frequency.shape or lookup.shape != (count << 16,) or not 0 < width <= 256:
        raise ValueError("tables of unequal sizes")
    pointers = pointer(lookup, np.uint8), pointer(frequency, np.uint32), pointer(start, np.uint32)
    return Tables(*pointers, count, width)


def rans_decode(
    x: NDArray[np.uint32], table: NDArray[np.uint16], machines: int, of: Tables, words: NDArray[np.uint16]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], int, int]:
    """Decode a run of a tile from the lanes x, which move on: `vaec_rans_decode`.

    Returns: symbols and quantisers (n,); how many of them were read; and the words taken, one more than there are where
    they have run out.
    """
    if len(table) and int(table.max()) + (SECOND if machines else 0) >= of.count:
        raise ValueError("a table that is not there")
    if not (len(x) and 0 <= machines <= MACHINES_MAX):
        raise ValueError("no lanes, or too many machines")
    symbol, quantiser = np.empty(len(table), np.uint8), np.empty(len(table), np.uint8)
    taken = ctypes.c_int64()
    read = library().vaec_rans_decode(
        *(pointer(x, np.uint32), len(x), len(table), pointer(table, np.uint16), machines, ctypes.byref(of)),
        *(pointer(words, np.uint16), len(words)),
        *(pointer(symbol, np.uint8), pointer(quantiser, np.uint8), ctypes.byref(taken)),
    )
    return symbol, quantiser, read, taken.value


def rans_encode(
    x: NDArray[np.uint32], table: NDArray[np.uint16], symbol: NDArray[np.uint8], of: Tables
) -> NDArray[np.uint16]:
    """Code a run of a tile into the lanes x, and the words that spill: `vaec_rans_encode`.

    Raises: ValueError for a symbol that its table does not have.
    """
    if len(table) != len(symbol) or not len(x):
        raise ValueError("tables and symbols of unequal numbers, or no lanes")
    if len(table) and (int(table.max()) >= of.count or int(symbol.max()) >= of.width):
        raise ValueError("a table or a symbol that is not there")
    words = np.empty(len(table), np.uint16)
    written = library().vaec_rans_encode(
        *(pointer(x, np.uint32), len(x), len(table), pointer(table, np.uint16), pointer(symbol, np.uint8)),
        *(ctypes.byref(of), pointer(words, np.uint16)),
    )
    if written < 0:
        raise ValueError("a symbol that its table does not have")
    return words[len(words) - written :]


def best_path(cost: NDArray[np.float32]) -> NDArray[np.int32]:
    """Kinds (rounds, chains) of the cheapest way through cost (rounds, 4, chains), from state 0: `vaec_best_path`."""
    rounds, kinds, chains = cost.shape
    if kinds != 4:
        raise ValueError("four kinds of symbols are wanted")
    odd, kind = np.empty((rounds, STATES, SIDE), np.uint8), np.empty((rounds, chains), np.int32)
    library().vaec_best_path(pointer(cost, np.float32), rounds, chains, pointer(odd, np.uint8), pointer(kind, np.int32))
    return kind


def pointer(array: NDArray[T], dtype: type[T]) -> int:
    """The address of an array's numbers."""
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(f"an array of {np.dtype(dtype).name} in one piece is wanted")
    return array.ctypes.data


@cache
def library() -> Any:
    """Loaded once. Raises: ImportError where it has not been built."""
    for folder in __path__:  # an editable install has it elsewhere than the sources
        for path in (Path(folder, name) for name in NAMES):
            if path.is_file():
                found = ctypes.CDLL(str(path))
                if found.vaec_abi() == ABI:
                    return declared(found)
    raise ImportError("vaecodec's native core is not built, or is of another version: install the package again")


def declared(found: ctypes.CDLL) -> ctypes.CDLL:
    """The library with the types of its functions."""
    address, number, size = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    decode, encode, path = found.vaec_rans_decode, found.vaec_rans_encode, found.vaec_best_path
    decode.argtypes = [address, number, size, address, number, address, address, size, address, address, address]
    encode.argtypes = [address, number, size, address, address, address, address]
    path.argtypes = [address, size, size, address, address]
    decode.restype = encode.restype = size
    path.restype = None
    return found


# The filters of PNG's rows


def png_unfilter(filtered: NDArray[np.uint8], bpp: int, above: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows (n, size) of those (n, 1 + size) behind the numbers of their filters: `vaec_png_unfilter`.

    bpp: bytes of a pixel. above: (size,), the row above the first, zeros at the top.
    Raises: ValueError for a filter that is not known.
    """
    n, size = len(filtered), filtered.shape[1] - 1
    check_rows(size, bpp, above)
    rows = np.empty((n, size), np.uint8)
    pointers = pointer(filtered, np.uint8), pointer(above, np.uint8), pointer(rows, np.uint8)
    if png().vaec_png_unfilter(pointers[0], n, size, bpp, *pointers[1:]) < n:
        raise ValueError("a filter that is not known")
    return rows


def png_filter(rows: NDArray[np.uint8], bpp: int, above: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows (n, size) each behind the number of its filter, (n, 1 + size): `vaec_png_filter`.

    Args: as `png_unfilter`.
    """
    n, size = rows.shape
    check_rows(size, bpp, above)
    work, filtered = np.empty((5, size), np.uint8), np.empty((n, 1 + size), np.uint8)
    pointers = pointer(above, np.uint8), pointer(work, np.uint8), pointer(filtered, np.uint8)
    png().vaec_png_filter(pointer(rows, np.uint8), n, size, bpp, *pointers)
    return filtered


def check_rows(size: int, bpp: int, above: NDArray[np.uint8]) -> None:
    """Raises: ValueError where no whole pixels fit into a row, or the one above is of another size."""
    if not 1 <= bpp <= 4 or size < bpp or size % bpp or above.shape != (size,):
        raise ValueError("rows of no whole pixels, or of unequal sizes")


@cache
def png() -> Any:
    """The library with the types of the functions above."""
    found = library()
    address, number, size = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    found.vaec_png_unfilter.argtypes = [address, size, size, number, address, address]
    found.vaec_png_unfilter.restype = size
    found.vaec_png_filter.argtypes = [address, size, size, number, address, address, address]
    found.vaec_png_filter.restype = None
    return found
