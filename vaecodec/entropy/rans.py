"""Interleaved rANS over integer tables, vectorised over lanes and tiles in NumPy.

Asymmetric numeral systems after Duda (2013, arXiv:1311.2540), with 32-bit states in [2**16, 2**32), 16-bit
words and 16-bit probabilities; interleaved as Giesen (2014, arXiv:1402.3392). Symbol i of a run goes
to lane i % L in round i // L; in each round the lanes that fall below 2**16 take the next words in
lane order. Several tiles run in lockstep: their lanes stand side by side in one vector.

In a dependent run the symbols before say from which table a symbol comes (trellis.py): they are dealt to machines in
turn, and no more lanes take part than there are machines, so that the symbols of a round meet different ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream.container import LANES_LOG2_MAX
from vaecodec.errors import CorruptFileError

PRECISION = 16
ONE = 1 << PRECISION
ROUNDS_MAX = 20480  # of a tile: a round costs a fixed time, so few lanes would make a small file slow to decode
STATE_START = 1 << 16  # where every lane's state starts when coding, and must end when decoding
SYMBOLS_MAX = 256
SYMBOLS_PER_MACHINE = 512  # at least, where there are several: a machine's first symbols gain nothing
QUANTISER_ROWS = 64  # tables of quantiser 1 stand so far behind those of quantiser 0
# A machine is a systematic feedback encoder of a convolutional code with parity checks 103 and 024 (octal), the best of
# 64 states for amplitude modulation (Ungerboeck 1982, "Channel coding with multilevel/phase signals", table I).
STATES = 64
FEEDBACK, INPUT = 0o103 >> 1, 0o024 >> 1
# State and parity of a symbol to the next state, and the quantiser of each state.
NEXT = tuple(tuple(s >> 1 ^ FEEDBACK * (s & 1) ^ INPUT * parity for parity in (0, 1)) for s in range(STATES))
QUANTISER = tuple(s & 1 for s in range(STATES))
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
        # One more table whose only symbol is certain: coding it changes no state, which fills idle lanes.
        self.null = n
        self.width = width
        self.frequency = np.zeros((n + 1, width), np.uint32)
        self.frequency[:n] = frequency
        self.frequency[n, 0] = ONE
        self.start = np.zeros_like(self.frequency)
        self.start[:, 1:] = np.cumsum(self.frequency, 1)[:, :-1]

    @cached_property
    def lookup(self) -> NDArray[np.uint8]:
        """(n + 1) * 65536: the symbol of each table at each slot."""
        symbols = np.tile(np.arange(self.width, dtype=np.uint8), len(self.frequency))
        return np.repeat(symbols, self.frequency.ravel())

    @cached_property
    def bits(self) -> NDArray[np.float32]:
        """(n, S): what each symbol costs; the escape with the two bytes that usually follow."""
        frequency = np.maximum(self.frequency[:-1], 1)
        bits = (PRECISION - np.log2(frequency)).astype(np.float32)
        bits[np.arange(len(bits)), self.size - 1] += 16
        return bits

    @cached_property
    def origin(self) -> IntArray:
        """(n,): where in the flat `bits` value 0 of each table stands."""
        return np.arange(self.null) * self.width - self.low

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


def arrange(
    parts: Sequence[NDArray[Any]],
    lanes: Sequence[int],
    fill: int,
    dtype: type[np.generic] = np.uint32,
    used: Sequence[int] | None = None,
) -> NDArray[Any]:
    """Symbols of several tiles as rounds x lanes, side by side, `fill` where a lane is idle.

    Args: used: how many of its lanes each tile fills, all by default.
    """
    used = used or lanes
    rounds = [-(-len(p) // n) for p, n in zip(parts, used, strict=True)]
    out = np.full((max(rounds, default=0), sum(lanes)), fill, dtype)
    column = 0
    for part, r, n, u in zip(parts, rounds, lanes, used, strict=True):
        block = np.full(r * u, fill, dtype)
        block[: len(part)] = part
        out[:r, column : column + u] = block.reshape(r, u)
        column += n
    return out


def gather(
    matrix: IntArray, counts: Sequence[int], lanes: Sequence[int], used: Sequence[int] | None = None
) -> list[IntArray]:
    """The inverse of `arrange`."""
    out: list[IntArray] = []
    column = 0
    for count, n, u in zip(counts, lanes, used or lanes, strict=True):
        out.append(matrix[: -(-count // u), column : column + u].reshape(-1)[:count])
        column += n
    return out


def lanes_used(counts: Sequence[int], lanes: Sequence[int], dependent: bool) -> list[int]:
    """How many of each tile's lanes take part in a run of so many symbols."""
    return [min(n, machines_for(c)) if dependent else n for c, n in zip(counts, lanes, strict=True)]


class Run(NamedTuple):
    """Symbols that are coded in one go: for each tile the table and the symbol of each, in order."""

    tables: Tables
    table: Sequence[IntArray]
    symbol: Sequence[IntArray]
    dependent: bool = False


def encode(runs: Sequence[Run], lanes_log2: Sequence[int]) -> tuple[list[bytes], list[list[bytes]]]:
    """Code the runs of several tiles in lockstep.

    Returns: for each tile the lanes' states (4 bytes each), and for each run and tile its words.
    """
    lanes = [1 << n for n in lanes_log2]
    tile_of_lane = np.repeat(np.arange(len(lanes)), lanes)
    x = np.full(sum(lanes), STATE_START, np.uint64)
    words: list[list[bytes]] = []
    for tables, table, symbol, dependent in reversed(runs):
        used = lanes_used([len(part) for part in table], lanes, dependent)
        t = arrange(table, lanes, tables.null, used=used)
        at = t * tables.width + arrange(symbol, lanes, 0, used=used)
        frequency = tables.frequency.ravel().take(at).astype(np.uint64)
        start = tables.start.ravel().take(at).astype(np.uint64)
        out: list[tuple[NDArray[np.uint16], IntArray]] = []
        shift = np.uint64(PRECISION)
        for f, c, limit in zip(frequency[::-1], start[::-1], frequency[::-1] << shift, strict=True):
            full = (x >= limit).nonzero()[0]
            if len(full):
                spilled = x[full]
                out.append((spilled.astype(np.uint16), tile_of_lane[full]))
                x[full] = spilled >> shift
            quotient, rest = np.divmod(x, f)
            x = (quotient << shift) + rest + c
        values = np.concatenate([w for w, _ in out[::-1]]) if out else np.zeros(0, np.uint16)
        owners = np.concatenate([o for _, o in out[::-1]]) if out else np.zeros(0, np.int64)
        words.append([values[owners == b].astype("<u2").tobytes() for b in range(len(lanes))])
    states = [s.astype("<u4").tobytes() for s in np.split(x, np.cumsum(lanes)[:-1])]
    return states, words[::-1]


class Machines:
    """The machines of a dependent run, of several tiles: they say which quantiser each symbol meets.

    Args: counts: symbols of each tile. lanes, used: see `arrange`.
    """

    # Twice the state; beyond the last, one that stands still, for idle lanes.
    STILL = 2 * STATES
    MOVED = np.array([*(2 * np.array(NEXT).ravel()), STILL, STILL], np.uint32)
    QUANTISER = np.array([*np.repeat(QUANTISER, 2), 0, 0], np.uint32)

    def __init__(self, counts: Sequence[int], lanes: Sequence[int], used: Sequence[int]) -> None:
        machines = [machines_for(n) for n in counts]
        idle = sum(machines)
        first = np.cumsum(machines) - machines
        parts = [f + np.arange(n) % m for f, n, m in zip(first, counts, machines, strict=True)]
        self.meets = iter(arrange(parts, lanes, idle, np.int64, used))  # rounds x lanes
        self.states = np.zeros(idle + 1, np.uint32)
        self.states[-1] = self.STILL

    def quantisers(self, out: NDArray[np.uint32]) -> None:
        """Those of the next round's symbols."""
        self.met = next(self.meets)
        self.state = self.states.take(self.met)
        self.QUANTISER.take(self.state, out=out, mode="clip")

    def move(self, symbols: NDArray[np.uint8]) -> None:
        """On, by the symbols of the round."""
        self.states[self.met] = self.MOVED.take(self.state | (symbols & 1))


class Decoder:
    """Reads the runs of several tiles in lockstep, in the order in which they were coded.

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
        self.lanes = [len(s) // 4 for s in states]
        self.x = np.concatenate([np.frombuffer(s, "<u4") for s in states]).astype(np.uint32)
        self.strict, self.truncated = truncated is None, np.array(truncated or [False] * len(states))
        self.ended, self.damaged = (np.zeros(len(states), np.bool_) for _ in range(2))
        self.round, self.last_round = 0, np.zeros(len(states), np.int64)  # of the run at hand; in which a tile ended
        self.tile_of_lane = np.repeat(np.arange(len(states)), self.lanes)
        for b in np.unique(self.tile_of_lane[self.x < STATE_START]):
            self.fault(b, "an entropy coder state is out of range")
        sizes = [len(w) // 2 for w in words]
        self.words = np.concatenate([np.frombuffer(w, "<u2") for w in words]).astype(np.uint32)
        self.end = np.cumsum(np.array(sizes, np.int64))
        self.at = self.end - sizes
        self.rounds = np.zeros(len(states), np.int64)

    def fault(self, tile: int | np.integer, message: str, *, missing: bool = False) -> None:
        """Read no more of a tile. missing: something is not there, which is no fault of a truncated tile.

        Raises: CorruptFileError where faults raise.
        """
        if self.strict:
            raise CorruptFileError(message)
        self.ended[tile], self.last_round[tile] = True, self.round
        self.damaged[tile] |= not (missing and self.truncated[tile])

    def decode(
        self, tables: Tables, table: Sequence[IntArray], dependent: bool = False
    ) -> tuple[list[IntArray], list[IntArray]]:
        """Symbols of one run, for each tile as many as `table` has entries, and the quantiser of each, or UNREAD.

        Args: table: of each symbol; in a dependent run that of quantiser 0.

        Raises: CorruptFileError where a tile's words run out, or its rounds go beyond ROUNDS_MAX.
        """
        wanted = [len(part) for part in table]
        used = lanes_used(wanted, self.lanes, dependent)
        self.rounds += [-(-n // u) for n, u in zip(wanted, used, strict=True)]
        for b in np.flatnonzero(self.rounds > ROUNDS_MAX):
            self.fault(b, "a tile has too few lanes for its symbols")
        counts = [0 if ended else n for n, ended in zip(wanted, self.ended, strict=True)]
        table = [part[:n] for part, n in zip(table, counts, strict=True)]
        machines = Machines(counts, self.lanes, used) if dependent else None
        shift, mask = np.uint32(PRECISION), np.uint32(ONE - 1)
        second, width = np.uint32(QUANTISER_ROWS << PRECISION), np.uint32(tables.width)
        lookup, frequency, start = tables.lookup, tables.frequency.ravel(), tables.start.ravel()
        # A table's number shifted, so that with a slot behind it is an index of `lookup`.
        base = arrange(table, self.lanes, tables.null, used=used) << shift
        out, quantisers = np.empty(base.shape, np.uint8), np.zeros(base.shape, np.uint32)
        x = self.x
        for i, (base_i, out_i, quantiser_i) in enumerate(zip(base, out, quantisers, strict=True)):
            if not self.strict:
                if self.ended.all():
                    break
                self.round = i
            if machines:
                machines.quantisers(quantiser_i)
                base_i += quantiser_i * second
            slot = x & mask
            lookup.take(base_i | slot, out=out_i)
            at = (base_i >> shift) * width + out_i
            x = frequency.take(at) * (x >> shift) + slot - start.take(at)
            empty = (x < STATE_START).nonzero()[0]
            if len(empty):
                x[empty] = (x[empty] << shift) | self._take(empty)
            if machines:
                machines.move(out_i)
        self.x = x
        found, met = (gather(matrix, counts, self.lanes, used) for matrix in (out, quantisers))
        for b in np.flatnonzero(self.ended):
            read = (self.last_round[b] + 1) * used[b] if counts[b] else 0
            found[b], met[b] = filled(found[b][:read], wanted[b], 0), filled(met[b][:read], wanted[b], UNREAD)
        return found, met

    def _take(self, lanes: IntArray) -> NDArray[np.uint32]:
        """The next word of each lane's tile, in lane order; 0 where there is none."""
        if len(self.lanes) == 1 and self.at[0] + len(lanes) <= self.end[0]:
            at, self.at[0] = self.at[0], self.at[0] + len(lanes)
            return self.words[at : self.at[0]]
        tile = self.tile_of_lane[lanes]
        counts = np.bincount(tile, minlength=len(self.lanes))
        rank = np.arange(len(lanes)) - (np.cumsum(counts) - counts)[tile]
        at = self.at[tile] + rank
        self.at = self.at + counts
        if (self.at <= self.end).all():
            return self.words[at]
        for b in np.flatnonzero((self.at > self.end) & ~self.ended):
            self.fault(b, "a tile's coded data ends too early", missing=True)
        there = at < self.end[tile]
        self.at = np.minimum(self.at, self.end)
        return np.where(there, np.append(self.words, np.uint32(0))[np.where(there, at, -1)], np.uint32(0))

    def whole(self) -> NDArray[np.bool_]:
        """Which tiles are neither truncated nor have had a fault."""
        return ~self.truncated & ~self.ended

    def left(self) -> IntArray:
        """How many words each tile has left."""
        return self.end - self.at

    def finish(self) -> None:
        """Raises CorruptFileError unless, of tiles that are whole, every word was read and every lane is back where it
        started."""
        astray = np.bincount(self.tile_of_lane, self.x != STATE_START, len(self.lanes)) + self.left()
        for b in np.flatnonzero((astray > 0) & self.whole()):
            self.fault(b, "a tile's coded data does not end where it should")


def filled(values: IntArray, count: int, fill: int) -> IntArray:
    """So many values."""
    return np.append(values, np.full(count - len(values), fill, values.dtype))


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
