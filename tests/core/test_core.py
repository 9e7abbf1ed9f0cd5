"""The native core against slow, obvious twins in Python, and what it refuses.

The whole of decoding has a twin of its own: tests/reference_decoder.py, by the vectors of tests/spec.
"""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machines import NEXT, QUANTISER, STATES
from vaecodec import core
from vaecodec.entropy import rans


def slow_path(cost: np.ndarray) -> np.ndarray:
    """`core.best_path` of one chain, (rounds, 4): the first of the cheapest ends, and of two ways that of parity 0."""
    total = np.full(STATES, np.float32(1e9))
    total[0] = 0
    steps = []
    for row in cost:
        best = np.full(STATES, np.float32(np.inf))
        step = np.zeros((STATES, 2), int)  # state before, parity
        for parity in (0, 1):
            for state in range(STATES):
                to, reached = NEXT[state][parity], total[state] + row[2 * QUANTISER[state] + parity]
                if reached < best[to]:
                    best[to], step[to] = reached, (state, parity)
        total = best
        steps.append(step)
    state, kinds = int(total.argmin()), []
    for step in reversed(steps):
        state, parity = step[state]
        kinds.append(2 * QUANTISER[state] + parity)
    return np.array(kinds[::-1], np.int32)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), rounds=st.integers(1, 40), chains=st.integers(1, 70), ties=st.booleans())
def test_paths(seed: int, rounds: int, chains: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.random((rounds, 4, chains), np.float32) * 8
    cost = np.round(cost) if ties else cost
    got = core.best_path(cost)
    for chain in (0, chains // 2, chains - 1):
        np.testing.assert_array_equal(got[:, chain], slow_path(cost[..., chain]))


def slow_encode(x: list[int], table: list[int], symbol: list[int], tables: rans.Tables) -> list[int]:
    """`core.rans_encode` in whole numbers of any size."""
    words = []
    for i in reversed(range(len(table))):
        lane, f, c = i % len(x), int(tables.frequency[table[i], symbol[i]]), int(tables.start[table[i], symbol[i]])
        if x[lane] >= f << 16:
            words.append(x[lane] & 0xFFFF)
            x[lane] >>= 16
        x[lane] = (x[lane] // f << 16) + x[lane] % f + c
    return words[::-1]


def example(n: int, seed: int) -> tuple[rans.Tables, np.ndarray, np.ndarray]:
    """Two tables of 3 and 5 symbols, one of them very likely, and symbols of them."""
    rng = np.random.default_rng(seed)
    frequency = np.array([[65534, 1, 1, 0, 0], [30000, 20000, 10000, 5000, 536]])
    tables = rans.Tables(np.zeros(2, int), np.array([3, 5]), frequency)
    table = rng.integers(0, 2, n).astype(np.uint16)
    return tables, table, (rng.integers(0, 5, n) % tables.size[table]).astype(np.uint8)


@settings(deadline=None, max_examples=60)
@given(n=st.integers(0, 200), lanes=st.integers(1, 20), seed=st.integers(0, 2**32 - 1))
def test_coding(n: int, lanes: int, seed: int) -> None:
    """By states of any value, as the runs before may leave them."""
    tables, table, symbol = example(n, seed)
    start = np.random.default_rng(seed).integers(1 << 16, 1 << 32, lanes, np.uint32)
    x, expected = start.copy(), start.tolist()
    words = core.rans_encode(x, table, symbol, tables.native)
    assert words.tolist() == slow_encode(expected, table.tolist(), symbol.tolist(), tables)
    assert x.tolist() == expected
    got, quantisers, read, taken = core.rans_decode(x, table, 0, tables.native, words)
    assert (read, taken) == (n, len(words)) and not quantisers.any()
    np.testing.assert_array_equal(got, symbol)
    np.testing.assert_array_equal(x, start)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 200), lanes=st.integers(1, 20), share=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_words_that_run_out(n: int, lanes: int, share: float, seed: int) -> None:
    """What is read is right, in whole rounds, and the caller is told."""
    tables, table, symbol = example(n, seed)
    x = np.full(lanes, 1 << 16, np.uint32)
    words = core.rans_encode(x, table, symbol, tables.native)
    there = words[: int(share * len(words))]
    got, _, read, taken = core.rans_decode(x, table, 0, tables.native, there)
    assert taken == (len(words) if len(there) == len(words) else len(there) + 1)
    assert read == n or read % lanes == 0
    np.testing.assert_array_equal(got[:read], symbol[:read])


def test_what_is_refused() -> None:
    """Whatever would reach outside an array."""
    tables, table, symbol = example(10, 1)
    x, words = np.full(4, 1 << 16, np.uint32), np.zeros(3, np.uint16)
    native = tables.native
    with pytest.raises(ValueError, match="not there"):
        core.rans_decode(x, np.full(3, 2, np.uint16), 0, native, words)
    with pytest.raises(ValueError, match="not there"):  # no second quantiser's tables
        core.rans_decode(x, table, 1, native, words)
    with pytest.raises(ValueError, match="machines"):
        core.rans_decode(x, np.zeros(0, np.uint16), 129, native, words)
    with pytest.raises(ValueError, match="no lanes"):
        core.rans_decode(x[:0], table, 0, native, words)
    with pytest.raises(ValueError, match="one piece"):
        core.rans_decode(x[::2], table, 0, native, words)
    with pytest.raises(ValueError, match="uint32"):
        core.rans_decode(x.astype(np.int64), table, 0, native, words)
    with pytest.raises(ValueError, match="does not have"):
        core.rans_encode(x, np.zeros(1, np.uint16), np.full(1, 3, np.uint8), native)
    with pytest.raises(ValueError, match="not there"):
        core.rans_encode(x, table, np.full(10, 5, np.uint8), native)
    with pytest.raises(ValueError, match="unequal"):
        core.rans_encode(x, table, symbol[:-1], native)
    with pytest.raises(ValueError, match="four"):
        core.best_path(np.zeros((3, 5, 1), np.float32))
    lookup, symbols = np.zeros((2, core.LOOKUP), np.uint8), np.zeros((2, 5), np.uint32)
    for wrong in ((lookup[:1], symbols), (lookup[:, :-1], symbols), (lookup, np.zeros((2, 257), np.uint32))):
        with pytest.raises(ValueError, match="unequal"):
            core.tables(*wrong)


def test_the_library_is_that_of_this_version() -> None:
    assert core.library().vaec_abi() == core.ABI
    assert ctypes.sizeof(core.Tables) == 24
