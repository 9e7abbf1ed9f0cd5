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
from vaecodec.bitstream.tiles import LANES_LOG2_MAX
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
    def native(self) -> core.Tables:
        """As the core takes them."""
        return core.tables(*self._packed)

    @cached_property
    def _packed(self) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        """The symbol at every sixteenth slot, and frequencies and first slots in one number."""
        slots = np.arange(0, ONE, ONE // core.LOOKUP)
        starts = (start[:size] for start, size in zip(self.start, self.size, strict=True))
        lookup = [np.searchsorted(start, slots, "right") - 1 for start in starts]
        return np.array(lookup, np.uint8), (self.frequency << np.uint32(PRECISION)) | self.start % np.uint32(ONE)

    @cached_property
    def bits(self) -> NDArray[np.float32]:
        """(n, S): what each symbol costs; the escape with the two bytes that usually follow."""
        frequency = np.maximum(self.frequency, 1)
        bits = (PRECISION - np.log2(frequency)).astype(np.float32)
        bits[np.arange(len(bits)), self.size - 1] += 16
        return bits

    @cached_property
    def last(self) -> NDArray[np.int32]:
        """(n,): the escape of each table."""
        return self.size - 1

    def symbols(self, table: IntArray, value: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
        """Symbol of each value in its table, and where it is the escape."""
        s = value - self.low[table]
        last = self.last[table]
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
    """Symbols that are coded in one go: the table of each, that of its quantiser, and its value, in order."""

    tables: Tables
    table: NDArray[np.uint16]
    value: NDArray[np.int32]
    dependent: bool = False

    def bits(self, symbol: IntArray) -> float:
        """What the tables charge for them."""
        return float(self.tables.bits[self.table, symbol].sum(dtype=np.float64))


def encode(runs: Sequence[Run], symbols: Sequence[IntArray], lanes_log2: int) -> tuple[bytes, list[bytes]]:
    """Code the runs of a tile. Returns: the lanes' states (4 bytes each), and the words of each run."""
    x = np.full(1 << lanes_log2, STATE_START, np.uint32)
    words = []
    for (tables, table, _, dependent), symbol in zip(reversed(runs), reversed(symbols), strict=True):
        used = lanes_used(len(table), len(x), dependent)
        words.append(core.rans_encode(x[:used], table, symbol.astype(np.uint8), tables.native).astype("<u2").tobytes())
    return x.astype("<u4").tobytes(), words[::-1]


class Decoder:
    """Reads the runs of a tile, in the order in which they were coded.

    Args:
        states: bytes of the lanes' states. words: its 16-bit words.
        truncated: whether the tile's end is missing; None where any fault raises. Otherwise none does: what cannot be
            read is `UNREAD`, and `damaged` says whether that has another reason than the missing end.

    Raises: CorruptFileError where a state is out of range.
    """

    def __init__(self, states: bytes | memoryview, words: bytes | memoryview, truncated: bool | None = None) -> None:
        self.x = np.frombuffer(states, "<u4").astype(np.uint32)
        self.words = np.frombuffer(words, "<u2").astype(np.uint16)
        self.strict, self.truncated = truncated is None, bool(truncated)
        self.ended = self.damaged = False
        self.at = self.rounds = 0  # words and rounds read
        if (self.x < STATE_START).any():
            self.fault("an entropy coder state is out of range")

    def fault(self, message: str, *, missing: bool = False) -> None:
        """Read no more of the tile. missing: something is not there, which is no fault of a truncated tile.

        Raises: CorruptFileError where faults raise.
        """
        if self.strict:
            raise CorruptFileError(message)
        self.ended = True
        self.damaged |= not (missing and self.truncated)

    def decode(
        self, tables: Tables, table: NDArray[np.uint16], dependent: bool = False
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Symbols of one run, as many as `table` has entries, and the quantiser of each, or UNREAD.

        Args: table: of each symbol; in a dependent run that of quantiser 0.

        Raises: CorruptFileError where the words run out, or the rounds go beyond ROUNDS_MAX.
        """
        count = len(table)
        used = lanes_used(count, len(self.x), dependent)
        self.rounds += -(-count // used)
        if self.rounds > ROUNDS_MAX:
            self.fault("a tile has too few lanes for its symbols")
        if self.ended:
            return np.zeros(count, np.uint8), np.full(count, UNREAD, np.uint8)
        words, machines = self.words[self.at :], machines_for(count) if dependent else 0
        symbol, quantiser, read, taken = core.rans_decode(self.x[:used], table, machines, tables.native, words)
        self.at += min(taken, len(words))
        if taken > len(words):
            self.fault("a tile's coded data ends too early", missing=True)
            symbol[read:], quantiser[read:] = 0, UNREAD
        return symbol, quantiser

    @property
    def whole(self) -> bool:
        """Whether the tile is neither truncated nor has had a fault."""
        return not (self.truncated or self.ended)

    @property
    def left(self) -> int:
        """How many words are left."""
        return len(self.words) - self.at

    def finish(self) -> None:
        """Raises CorruptFileError unless, of a tile that is whole, every word was read and every lane is back where it
        started."""
        if self.whole and (self.left or (self.x != STATE_START).any()):
            self.fault("a tile's coded data does not end where it should")


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
    try:
        return core.escapes(data, limit)
    except ValueError as error:
        raise CorruptFileError(str(error)) from None
