"""The entropy coder: round trips, size against oracles, bad data, pinned bytes."""

from __future__ import annotations

import constriction
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaecodec import core
from vaecodec.entropy import rans
from vaecodec.errors import CorruptFileError


def make_tables(n: int, width: int, seed: int) -> rans.Tables:
    """n tables of 2..width symbols with random frequencies, some of them very skewed."""
    rng = np.random.default_rng(seed)
    size = rng.integers(2, width + 1, n)
    frequency = np.zeros((n, width), np.int64)
    for row, k in zip(frequency, size, strict=True):
        p = rng.dirichlet(np.full(k, rng.choice([0.05, 1.0])))
        row[:k] = 1 + np.floor(p * (rans.ONE - k))
        row[rng.integers(k)] += rans.ONE - row.sum()
    return rans.Tables(-rng.integers(0, 5, n), size, frequency)


def draw(tables: rans.Tables, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random tables and symbols that follow them."""
    rng = np.random.default_rng(seed)
    table = rng.integers(0, len(tables.size), count)
    slot = rng.integers(0, rans.ONE, count)
    return table.astype(np.uint16), symbols_at(tables)[table, slot]


def symbols_at(tables: rans.Tables) -> np.ndarray:
    """(n, 65536): the symbol of each table at each slot."""
    symbols = np.tile(np.arange(tables.width, dtype=np.uint8), len(tables.frequency))
    return np.repeat(symbols, tables.frequency.ravel()).reshape(len(tables.frequency), rans.ONE)


def run_of(tables: rans.Tables, table: np.ndarray, symbol: np.ndarray, dependent: bool = False) -> rans.Run:
    """The run that such symbols make, whatever the values of escapes."""
    return rans.Run(tables, table, (tables.low[table] + symbol).astype(np.int32), dependent)


def coded(tables: rans.Tables, table: np.ndarray, symbol: np.ndarray, lanes_log2: int) -> tuple[bytes, bytes]:
    """States and words of one run."""
    states, (words,) = rans.encode([run_of(tables, table, symbol)], [symbol], lanes_log2)
    return states, words


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    counts=st.lists(st.integers(0, 300), min_size=1, max_size=4),
    lanes=st.integers(0, 7),
)
def test_round_trip_of_several_runs(seed: int, counts: list[int], lanes: int) -> None:
    tables = make_tables(5, 40, seed)
    drawn = [draw(tables, n, seed + i) for i, n in enumerate(counts)]
    states, words = rans.encode([run_of(tables, *d) for d in drawn], [d[1] for d in drawn], lanes)
    assert len(states) == 4 << lanes
    decoder = rans.Decoder(states, b"".join(words))
    for (table, symbol), section in zip(drawn, words, strict=True):
        before = decoder.left
        got, quantiser = decoder.decode(tables, table)
        np.testing.assert_array_equal(got, symbol)
        assert not quantiser.any()
        assert before - decoder.left == len(section) // 2
    decoder.finish()


def test_size_within_one_percent_of_constriction() -> None:
    """constriction's rANS coder, whose loss is far below this, on the same probabilities."""
    tables = make_tables(30, 64, 4)
    table, symbols = draw(tables, 200_000, 5)
    states, words = coded(tables, table, symbols, 6)
    coder = constriction.stream.stack.AnsCoder()
    for t in range(len(tables.size)):
        p = tables.frequency[t, : tables.size[t]] / rans.ONE
        model = constriction.stream.model.Categorical(p.astype(np.float64), perfect=False)
        coder.encode_reverse(symbols[table == t].astype(np.int32), model)
    assert len(states) + len(words) == pytest.approx(coder.get_compressed().nbytes, rel=0.01)


def test_bytes_for_given_symbols_are_pinned() -> None:
    """The stream itself is part of the format: these bytes may only change with its version."""
    frequency = np.array([[40000, 20000, 5000, 536], [16384, 16384, 16384, 16384]])
    tables = rans.Tables(np.array([-1, 0]), np.array([4, 4]), frequency)
    symbols = np.arange(40) ** 2 % 7 % 4
    states, words = coded(tables, (np.arange(40) % 2).astype(np.uint16), symbols, 1)
    assert states.hex() == PINNED_STATES
    assert words.hex() == PINNED_WORDS


PINNED_STATES = "e975650025600201"
PINNED_WORDS = "24cc0988884d0040"


def test_truncated_words_are_refused() -> None:
    tables = make_tables(4, 30, 6)
    table, symbols = draw(tables, 2000, 7)
    states, words = coded(tables, table, symbols, 2)
    with pytest.raises(CorruptFileError, match="too early"):
        rans.Decoder(states, words[:-4]).decode(tables, table)


@pytest.mark.parametrize("truncated", [True, False])
def test_truncated_words_where_faults_do_not_raise(truncated: bool) -> None:
    """What is there is read; the rest is told apart, and is damage only where the tile's end is not known to lack."""
    tables = make_tables(4, 30, 6)
    table, symbols = draw(tables, 2000, 7)
    states, words = coded(tables, table, symbols, 2)
    decoder = rans.Decoder(states, words[: len(words) // 4 * 2], truncated=truncated)
    got, quantiser = decoder.decode(tables, table)
    read = quantiser != rans.UNREAD
    assert 0 < read.sum() < 2000 and read[: read.sum()].all()
    np.testing.assert_array_equal(got[read], symbols[read])
    assert not got[~read].any()
    assert decoder.ended and decoder.damaged == (not truncated) and not decoder.whole
    assert (decoder.decode(tables, table[:9])[1] == rans.UNREAD).all()
    decoder.finish()  # raises nothing


def test_unread_words_are_refused() -> None:
    tables = make_tables(4, 30, 6)
    table, symbols = draw(tables, 2000, 7)
    states, words = coded(tables, table, symbols, 2)
    decoder = rans.Decoder(states, words + b"\0\0")
    decoder.decode(tables, table)
    with pytest.raises(CorruptFileError, match="does not end"):
        decoder.finish()


def test_a_state_out_of_range_is_refused() -> None:
    with pytest.raises(CorruptFileError, match="state"):
        rans.Decoder(b"\xff\xff\0\0", b"")


@given(st.lists(st.integers(-32767, 32767), max_size=50))
def test_escapes_round_trip(values: list[int]) -> None:
    data = rans.pack_escapes(np.array(values, np.int64))
    assert rans.unpack_escapes(data, 32767).tolist() == values


@pytest.mark.parametrize("data", [b"\x80", b"\x80\x00", b"\xff\xff\xff\x01", b"\xfe\xff\x07\x80"])
def test_bad_escapes_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptFileError):
        rans.unpack_escapes(data, 32767)


def test_escape_beyond_the_limit_is_refused() -> None:
    data = rans.pack_escapes(np.array([32768]))
    with pytest.raises(CorruptFileError, match="range"):
        rans.unpack_escapes(data, 32767)


@given(st.binary(max_size=40))
def test_any_escape_bytes_decode_or_are_refused(data: bytes) -> None:
    try:
        values = rans.unpack_escapes(data, 32767)
    except CorruptFileError:
        return
    assert rans.pack_escapes(values) == data


@pytest.mark.parametrize("change", ["sum", "zero", "size"])
def test_impossible_tables_are_refused(change: str) -> None:
    frequency = np.array([[65000, 536, 0]])
    size = np.array([2])
    if change == "sum":
        frequency[0, 0] -= 1
    elif change == "zero":
        size[0] = 3
    else:
        size[0] = 1
    with pytest.raises(ValueError):
        rans.Tables(np.array([0]), size, frequency)


def test_escape_symbol_is_chosen_outside_the_table() -> None:
    tables = rans.Tables(np.array([-1]), np.array([4]), np.array([[30000, 30000, 5000, 536]]))
    symbols, escaped = tables.symbols(np.zeros(5, int), np.array([-2, -1, 0, 1, 2]))
    assert symbols.tolist() == [3, 0, 1, 2, 3]
    assert escaped.tolist() == [True, False, False, False, True]


def test_lanes_grow_with_the_bits_and_the_symbols() -> None:
    assert [rans.lanes_for(0, bits) for bits in (0, 1, 9999, 10_000, 300_000, 1e9)] == [0, 0, 0, 1, 5, 7]
    assert [rans.lanes_for(n, 0) for n in (0, 11_999, 12_000, 10**9)] == [0, 0, 1, 7]


def test_lookup_matches_the_cumulative_frequencies() -> None:
    """At the slots that are looked up; behind them the core goes on by itself."""
    for tables in (make_tables(6, 50, 8), make_tables(3, 2, 1)):
        lookup, symbols = tables._packed
        np.testing.assert_array_equal(lookup, symbols_at(tables)[:, :: rans.ONE // core.LOOKUP])
        used = np.arange(tables.width) < tables.size[:, None]
        np.testing.assert_array_equal((symbols >> 16)[used], tables.frequency[used])
        np.testing.assert_array_equal((symbols & 0xFFFF)[used], tables.start[used])
