"""Interleaved rANS over integer tables: which symbol goes where. The core codes them (vaecodec/core/rans.c).

Asymmetric numeral systems after Duda (2013, arXiv:1311.2540), with 32-bit states in [2**16, 2**32), 16-bit
words and 16-bit probabilities; interleaved as Giesen (2014, arXiv:1402.3392). Symbol i of a run goes
to lane i % L in round i // L; in each round the lanes that fall below 2**16 take the next words in
lane order.

In a dependent run the symbols before say from which table a symbol comes (trellis.py): they are dealt to machines in
turn, and no more lanes take part than there are machines, so that the symbols of a round meet different ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaecodec import core
from vaecodec.bitstream.container import LANES_LOG2_MAX
from vaecodec.errors import CorruptFileError

PRECISION = 16
ONE = 1 << PRECISION
ROUNDS_MAX = 20480  # of a tile: a round costs a fixed time, so few lanes would make a small file slow to decode
STATE_START = 1 << 16  # where every lane's state starts when coding, and must end when decoding
SYMBOLS_MAX = 256
SYMBOLS_PER_MACHINE = 512  # at least, where there are several: a machine's first symbols gain nothing
QUANTISER_ROWS = core.SECOND  # tables of quantiser 1 stand so far behind those of quantiser 0
UNREAD = 2  # in place of a quantiser: there was no data for this symbol
BITS_PER_LANE = 5000  # a lane costs 32
SYMBOLS_PER_LANE = 6000  # of those that cost next to nothing

IntArray = NDArray[np.integer]


class Tables:
    """A set of integer probability tables; the last symbol of each is the escape.

    Args:
        low: (n,) value of symbol 0 of each table; symbol s stands for low + s.
        size: (n,) number of symbols, the escape included, 2..256.
        frequency: (n, S) of 65536ths, zero from `size` on; each row sums to 65536.

    Raises: ValueError where the numbers are not such tables.
    """

    def __init__(self, low: IntArray, size: IntArray, frequency: IntArray) -> None:
        n, width = frequency.shape
        used = np.arange(width) < size[:, None]
        if len(low) != n or len(size) != n or not (2 <= size.min() and size.max() <= min(width, SYMBOLS_MAX)):
            raise ValueError("table sizes out of range")
        if (frequency.sum(1) != ONE).any() or ((frequency > 0) != used).any():
            raise ValueError("a table's frequencies do not sum to 65536, or a symbol has none")
        self.low = low.astype(np.int32)
        self.size = size.astype(np.int32)
        self.width = width
        self.frequency = np.ascontiguousarray(frequency, np.uint32)
        self.start = np.zeros_like(self.frequency)
        self.start[:, 1:] = np.cumsum(self.frequency, 1)[:, :-1]

    @cached_property
    def lookup(self) -> NDArray[np.uint8]:
        """n * 65536: the symbol of each table at each slot."""
        symbols = np.tile(np.arange(self.width, dtype=np.uint8), len(self.frequency))
        return np.repeat(symbols, self.frequency.ravel())

    @cached_property
    def native(self) -> core.Tables:
        """As the core takes them."""
        return core.tables(self.lookup, self.frequency, self.start)

    @cached_property
    def bits(self) -> NDArray[np.float32]:
        """(n, S): what each symbol costs; the escape with the two bytes that usually follow."""
        frequency = np.maximum(self.frequency, 1)
        bits = (PRECISION - np.log2(frequency)).astype(np.float32)
        bits[np.arange(len(bits)), self.size - 1] += 16
        return bits

    @cached_property
    def origin(self) -> IntArray:
        """(n,): where in the flat `bits` value 0 of each table stands."""
        return np.arange(len(self.low)) * self.width - self.low

    @cached_property
    def reach(self) -> IntArray:
        """(n,): values of at most this magnitude are no escapes."""
        return np.minimum(-self.low, self.low + self.size - 2)

    def symbols(self, table: IntArray, value: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
        """Symbol of each value in its table, and where it is the escape."""
        s = value - self.low[table]
        last = self.size[table] - 1
        escaped = (s < 0) | (s >= last)
        return np.where(escaped, last, s), escaped


def power_below(x: float, log2_most: int) -> int:
    """log2 of the largest power of two that is not above x, 0 at least and log2_most at most."""
    return min(log2_most, max(0, int(x).bit_length() - 1))


def lanes_for(symbols: int, bits: float) -> int:
    """log2 of a good lane count for a tile: a lane costs 4 bytes, a round some microseconds."""
    return power_below(max(bits / BITS_PER_LANE, symbols / SYMBOLS_PER_LANE), LANES_LOG2_MAX)


def machines_for(symbols: int) -> int:
    """The number of machines of a dependent run, a power of two."""
    return 1 << power_below(symbols // SYMBOLS_PER_MACHINE, LANES_LOG2_MAX)


def lanes_used(count: int, lanes: int, dependent: bool) -> int:
    """How many of a tile's lanes take part in a run of so many symbols."""
    return min(lanes, machines_for(count)) if dependent else lanes


class Run(NamedTuple):
    """Symbols that are coded in one go: for each tile the table and the symbol of each, in order."""

    tables: Tables
    table: Sequence[IntArray]
    symbol: Sequence[IntArray]
    dependent: bool = False


def encode(runs: Sequence[Run], lanes_log2: Sequence[int]) -> tuple[list[bytes], list[list[bytes]]]:
    """Code the runs of several tiles.

    Returns: for each tile the lanes' states (4 bytes each), and for each run and tile its words.
    """
    words: list[list[bytes]] = [[b""] * len(lanes_log2) for _ in runs]
    states = []
    for b, log2 in enumerate(lanes_log2):
        x = np.full(1 << log2, STATE_START, np.uint32)
        for of_run, (tables, table, symbol, dependent) in zip(reversed(words), reversed(runs), strict=True):
            used = lanes_used(len(table[b]), len(x), dependent)
            rows, symbols = table[b].astype(np.uint16), symbol[b].astype(np.uint8)
            of_run[b] = core.rans_encode(x[:used], rows, symbols, tables.native).astype("<u2").tobytes()
        states.append(x.astype("<u4").tobytes())
    return states, words


class Decoder:
    """Reads the runs of several tiles, in the order in which they were coded.

    Args:
        states: for each tile the bytes of its lanes' states. words: for each tile its 16-bit words.
        truncated: for each tile whether its end is missing. Then no fault raises: what cannot be read of a tile is
            `UNREAD`, and `damaged` says where that has another reason than its missing end.

    Raises: CorruptFileError where a state is out of range.
    """

    def __init__(
        self,
        states: Sequence[bytes | memoryview],
        words: Sequence[bytes | memoryview],
        truncated: Sequence[bool] | None = None,
    ) -> None:
        self.x = [np.frombuffer(s, "<u4").astype(np.uint32) for s in states]
        self.words = [np.frombuffer(w, "<u2").astype(np.uint16) for w in words]
        self.strict, self.truncated = truncated is None, np.array(truncated or [False] * len(states))
        self.ended, self.damaged = (np.zeros(len(states), np.bool_) for _ in range(2))
        self.at, self.rounds = ([0] * len(states) for _ in range(2))  # words and rounds read
        for b, x in enumerate(self.x):
            if (x < STATE_START).any():
                self.fault(b, "an entropy coder state is out of range")

    def fault(self, tile: int | np.integer, message: str, *, missing: bool = False) -> None:
        """Read no more of a tile. missing: something is not there, which is no fault of a truncated tile.

        Raises: CorruptFileError where faults raise.
        """
        if self.strict:
            raise CorruptFileError(message)
        self.ended[tile] = True
        self.damaged[tile] |= not (missing and self.truncated[tile])

    def decode(
        self, tables: Tables, table: Sequence[IntArray], dependent: bool = False
    ) -> tuple[list[IntArray], list[IntArray]]:
        """Symbols of one run, for each tile as many as `table` has entries, and the quantiser of each, or UNREAD.

        Args: table: of each symbol; in a dependent run that of quantiser 0.

        Raises: CorruptFileError where a tile's words run out, or its rounds go beyond ROUNDS_MAX.
        """
        read = [self._run(b, tables, rows.astype(np.uint16), dependent) for b, rows in enumerate(table)]
        return [symbols for symbols, _ in read], [quantisers for _, quantisers in read]

    def _run(self, b: int, tables: Tables, table: NDArray[np.uint16], dependent: bool) -> tuple[IntArray, IntArray]:
        """The symbols and quantisers of one tile."""
        count = len(table)
        used = lanes_used(count, len(self.x[b]), dependent)
        self.rounds[b] += -(-count // used)
        if self.rounds[b] > ROUNDS_MAX:
            self.fault(b, "a tile has too few lanes for its symbols")
        if self.ended[b]:
            return np.zeros(count, np.uint8), np.full(count, UNREAD, np.uint8)
        words, machines = self.words[b][self.at[b] :], machines_for(count) if dependent else 0
        symbol, quantiser, read, taken = core.rans_decode(self.x[b][:used], table, machines, tables.native, words)
        self.at[b] += min(taken, len(words))
        if taken > len(words):
            self.fault(b, "a tile's coded data ends too early", missing=True)
            symbol[read:], quantiser[read:] = 0, UNREAD
        return symbol, quantiser

    def whole(self) -> NDArray[np.bool_]:
        """Which tiles are neither truncated nor have had a fault."""
        return ~self.truncated & ~self.ended

    def left(self) -> IntArray:
        """How many words each tile has left."""
        return np.array([len(words) - at for words, at in zip(self.words, self.at, strict=True)])

    def finish(self) -> None:
        """Raises CorruptFileError unless, of tiles that are whole, every word was read and every lane is back where it
        started."""
        astray = [(x != STATE_START).sum() for x in self.x] + self.left()
        for b in np.flatnonzero((astray > 0) & self.whole()):
            self.fault(b, "a tile's coded data does not end where it should")


def pack_escapes(values: IntArray) -> bytes:
    """Zigzag LEB128 of each value: 0, -1, 1, -2, ... as 0, 1, 2, 3, ... in 1 to 3 bytes."""
    out = bytearray()
    for v in values.astype(np.int64):
        u = int(v << 1) ^ int(v >> 63)
        while u >= 128:
            out.append(u & 127 | 128)
            u >>= 7
        out.append(u)
    return bytes(out)


def unpack_escapes(data: bytes | memoryview, limit: int) -> NDArray[np.int32]:
    """All values of an escapes section.

    Raises: CorruptFileError for a value over 3 bytes, not in its shortest form, or with |v| > limit.
    """
    b = np.frombuffer(data, np.uint8).astype(np.int64)
    last = b < 128
    if not len(b):
        return np.zeros(0, np.int32)
    if not last[-1]:
        raise CorruptFileError("an escape is cut off")
    end = np.flatnonzero(last)
    begin = np.concatenate(([0], end[:-1] + 1))
    length = end - begin + 1
    if length.max() > 3 or ((length > 1) & (b[end] == 0)).any():
        raise CorruptFileError("an escape is not in its shortest form")
    u = np.add.reduceat((b & 127) << (7 * (np.arange(len(b)) - np.repeat(begin, length))), begin)
    values = (u >> 1) ^ -(u & 1)
    if (np.abs(values) > limit).any():
        raise CorruptFileError("an escape is out of range")
    return values.astype(np.int32)
