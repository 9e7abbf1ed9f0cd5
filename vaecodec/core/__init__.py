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

ABI = 4  # VAEC_ABI of vaec_core.h
LOOKUP = 4096  # slots of 65536 at which symbols are looked up
SIDE = 32  # chains that the search for paths works on at a time
STATES = 64
SECOND = 64  # tables of quantiser 1 stand so far behind those of quantiser 0
MACHINES_MAX = 128
ESCAPE_FAULTS = {
    -3: "an escape is cut off",
    -4: "an escape is not in its shortest form",
    -5: "an escape is out of range",
}
NAMES = ("vaec_core.so", "vaec_core.dylib", "vaec_core.dll")

T = TypeVar("T", bound=np.generic)


class Tables(ctypes.Structure):
    """`vaec_tables`."""

    _fields_ = (
        ("lookup", ctypes.c_void_p),
        ("symbols", ctypes.c_void_p),
        ("count", ctypes.c_int32),
        ("width", ctypes.c_int32),
    )


def tables(lookup: NDArray[np.uint8], symbols: NDArray[np.uint32]) -> Tables:
    """Of tables (n, width), see `vaec_tables`, and their symbols at every sixteenth slot, (n, 4096); the arrays must
    outlive it."""
    count, width = symbols.shape
    if lookup.shape != (count, LOOKUP) or not 0 < width <= 256:
        raise ValueError("tables of unequal sizes")
    return Tables(pointer(lookup, np.uint8), pointer(symbols, np.uint32), count, width)


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


def places(
    table_map: NDArray[np.uint8], channels: int, start: int, dependent: int, number: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """Where a step's coded elements are in y_hat (h, w, channels), and their tables: `vaec_places`.

    table_map: (h, w, count) of `networks.context_step`. number: how many are dependent, and how many are not.
    """
    h, w, count = table_map.shape
    fits = number.shape == (2,) and number.min() >= 0 and start + count <= channels and h * w * channels < 1 << 31
    total = int(number.sum()) if fits else 0
    place, table = np.empty(total, np.int32), np.empty(total, np.uint16)
    done = fits and not library().vaec_places(
        *(pointer(table_map, np.uint8), h * w, count, channels, start, dependent, pointer(number, np.int64)),
        *(pointer(place, np.int32), pointer(table, np.uint16)),
    )
    if not done:
        raise ValueError("a map of other sizes")
    return place, table


def values(
    table: NDArray[np.uint16],
    quantiser: NDArray[np.uint8],
    symbol: NDArray[np.uint8],
    low: NDArray[np.int32],
    last: NDArray[np.int32],
    escapes: NDArray[np.int32],
) -> tuple[NDArray[np.int32], int]:
    """What symbols stand for, and how many escapes that took, or -1 - i where symbol i has none left: `vaec_values`."""
    if not len(table) == len(quantiser) == len(symbol) or len(low) != len(last):
        raise ValueError("tables and symbols of unequal numbers")
    if len(table) and int(table.max()) + SECOND * int(quantiser.max()) >= len(low):
        raise ValueError("a table that is not there")
    value = np.zeros(len(table), np.int32)
    used = library().vaec_values(
        *(len(table), pointer(table, np.uint16), pointer(quantiser, np.uint8), pointer(symbol, np.uint8)),
        *(pointer(low, np.int32), pointer(last, np.int32), pointer(escapes, np.int32), len(escapes)),
        pointer(value, np.int32),
    )
    return value, used


def add(
    y_hat: NDArray[np.int16], place: NDArray[np.int32], value: NDArray[np.int32], quantiser: NDArray[np.uint8] | None
) -> None:
    """Add what values are worth to the means at their places in y_hat, of any shape: `vaec_add`."""
    if len(place) != len(value) or (quantiser is not None and len(quantiser) != len(value)):
        raise ValueError("places and values of unequal numbers")
    if len(place) and not (int(place.min()) >= 0 and int(place.max()) < y_hat.size):
        raise ValueError("a place that is not there")
    followed = None if quantiser is None else pointer(quantiser, np.uint8)
    library().vaec_add(
        pointer(y_hat, np.int16), pointer(place, np.int32), pointer(value, np.int32), followed, len(place)
    )


def escapes(data: bytes | memoryview, limit: int) -> NDArray[np.int32]:
    """The values of a section of escapes: `vaec_escapes`. Raises: ValueError with what is wrong with them."""
    section = np.frombuffer(data, np.uint8)
    value = np.empty(len(section), np.int32)
    count = library().vaec_escapes(pointer(section, np.uint8), len(section), limit, pointer(value, np.int32))
    if count < 0:
        raise ValueError(ESCAPE_FAULTS[count])
    return value[:count].copy()


def candidates(
    d: NDArray[np.float32],
    table: NDArray[np.uint16],
    lmbda: NDArray[np.float32],
    of: Tables,
    low: NDArray[np.int32],
    size: NDArray[np.int32],
    bits: NDArray[np.float32],
    chains: int,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Costs (rounds, 4, chains) and values (4, n) of the best symbol of each kind: `vaec_candidates`."""
    n = len(d)
    if not (len(table) == len(lmbda) == n and chains > 0 and len(low) == len(size) == of.count):
        raise ValueError("residuals and tables of unequal numbers")
    if bits.shape != (of.count, of.width) or (n and int(table.max()) + SECOND >= of.count):
        raise ValueError("a table that is not there")
    cost, value = np.zeros((-(-n // chains), 4, chains), np.float32), np.empty((4, n), np.int32)
    library().vaec_candidates(
        *(pointer(d, np.float32), pointer(table, np.uint16), pointer(lmbda, np.float32), n, ctypes.byref(of)),
        *(pointer(low, np.int32), pointer(size, np.int32), pointer(bits, np.float32), chains),
        *(pointer(cost, np.float32), pointer(value, np.int32)),
    )
    return cost, value


def block_costs(
    rgb: NDArray[np.uint8], basis: NDArray[np.float32], colours: NDArray[np.float32], worth: float
) -> NDArray[np.float32]:
    """Sums of log(1 + worth c^2) over the coefficients of each block of rgb (16 h, 16 w, 3): `vaec_block_costs`."""
    height, width, _ = rgb.shape
    if height % 16 or width % 16 or rgb.shape[2:] != (3,) or basis.shape != (16, 16) or colours.shape != (3, 3):
        raise ValueError("no whole blocks, or bases of other sizes")
    costs = np.empty((height // 16, width // 16), np.float32)
    library().vaec_block_costs(
        *(pointer(rgb, np.uint8), *costs.shape, pointer(basis, np.float32), pointer(colours, np.float32), worth),
        pointer(costs, np.float32),
    )
    return costs


def gram(rows: NDArray[np.int16], sums: NDArray[np.int64]) -> None:
    """Add the products of all pairs of rows (count, n) of numbers within +-2047 to sums (count, count): `vaec_gram`."""
    count, n = rows.shape
    if sums.shape != (count, count):
        raise ValueError("sums of another number of rows")
    library().vaec_gram(pointer(rows, np.int16), count, n, pointer(sums, np.int64))


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


# Of each function what it takes and gives: p an address, i an int32, l an int64, f a float.
SIGNATURES = {
    "vaec_rans_decode": "pilpippl" + "ppp" + ">l",
    "vaec_rans_encode": "pilpppp>l",
    "vaec_best_path": "pllpp>",
    "vaec_places": "pliiiippp>i",
    "vaec_values": "lppppppl" + "p>l",
    "vaec_add": "ppppl>",
    "vaec_escapes": "plip>l",
    "vaec_candidates": "pppl" + "pppp" + "ipp>",
    "vaec_block_costs": "pllppfp>",
    "vaec_kernel_name": "i>s",
    "vaec_hyper_work": "pii>l",
    "vaec_hyper_synthesis": "ppiipii" + "ppl>i",
    "vaec_context_work": "pii>l",
    "vaec_context_step": "piippip" + "iipppl>i",
    "vaec_synthesis_work": "pi>l",
    "vaec_synthesis_row": "ppplilppl" + "pl>i",
    "vaec_shortcut": "ppippp" + "l>i",
    "vaec_filter": "ipplii" + "pl>",
    "vaec_gram": "pilp>",
    "vaec_analysis_work": "pi>l",
    "vaec_analysis_row": "pppflilpppl>i",
    "vaec_hyper_analysis_work": "pii>l",
    "vaec_hyper_analyse": "piipppl>i",
    "vaec_png_unfilter": "pllipp>l",
    "vaec_png_filter": "pllippp>",
}
TYPES = {"p": ctypes.c_void_p, "i": ctypes.c_int32, "l": ctypes.c_int64, "f": ctypes.c_float, "s": ctypes.c_char_p}


def declared(found: ctypes.CDLL) -> ctypes.CDLL:
    """The library with the types of its functions."""
    for name, signature in SIGNATURES.items():
        takes, _, gives = signature.partition(">")
        function = getattr(found, name)
        function.argtypes = [TYPES[code] for code in takes]
        function.restype = TYPES[gives] if gives else None
    return found
