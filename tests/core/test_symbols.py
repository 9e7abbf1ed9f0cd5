"""The core's functions for the symbols of a tile against slow, obvious twins in Python, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.quantisers import candidates, offsets
from vaecodec import core
from vaecodec.entropy import rans

SEEDS = st.integers(0, 2**32 - 1)


def tables_of(rng: np.random.Generator) -> rans.Tables:
    """128 tables of 2 to 12 symbols, the first of an even value, as those of y."""
    size = rng.integers(2, 13, 128)
    frequency = np.zeros((128, 12), np.int64)
    for row, n in zip(frequency, size, strict=True):
        row[:n] = 1 + rng.multinomial(rans.ONE - n, rng.dirichlet(np.ones(n)))
    return rans.Tables(2 * rng.integers(-4, 1, 128), size, frequency)


@given(h=st.integers(1, 5), w=st.integers(1, 5), count=st.integers(1, 7), seed=SEEDS)
def test_places(h: int, w: int, count: int, seed: int) -> None:
    """In raster order, those of the dependent tables first."""
    rng = np.random.default_rng(seed)
    start, behind, dependent = (int(n) for n in rng.integers(0, 9, 3))
    of = rng.choice([255, 0, 5, 6, 7, 8, 63], (h, w, count)).astype(np.uint8)
    there = [(i, j, c) for i in range(h) for j in range(w) for c in range(count) if of[i, j, c] != 255]
    ordered = sorted(there, key=lambda at: of[at] < dependent)  # Python's sort keeps the order of equals
    channels = start + count + behind
    number = np.array([sum(of[at] >= dependent for at in there), sum(of[at] < dependent for at in there)], np.int64)
    place, table = core.places(of, channels, start, dependent, number)
    assert place.tolist() == [(i * w + j) * channels + start + c for i, j, c in ordered]
    assert table.tolist() == [of[at] for at in ordered]
    for wrong in ([1, 0], [0, 1], [-1, 0], [1, -1]):
        with pytest.raises(ValueError, match="other sizes"):
            core.places(of, channels, start, dependent, np.maximum(number, 0) + wrong)


@given(n=st.integers(0, 60), missing=st.integers(0, 3), seed=SEEDS)
def test_values(n: int, missing: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tables = tables_of(rng)
    table, quantiser = rng.integers(0, 64, n).astype(np.uint16), rng.integers(0, 2, n).astype(np.uint8)
    rows = table + 64 * quantiser.astype(int)
    symbol = (rng.integers(0, 12, n) % tables.size[rows]).astype(np.uint8)
    escaped = np.flatnonzero(symbol == tables.size[rows] - 1)
    escapes = rng.integers(-32767, 32768, len(escaped) + 2).astype(np.int32)
    expected = tables.low[rows] + symbol
    expected[escaped] = escapes[: len(escaped)]
    value, used = core.values(table, quantiser, symbol, tables.low, tables.last, escapes)
    assert used == len(escaped)
    np.testing.assert_array_equal(value, expected)
    if 0 < missing <= len(escaped):
        at = escaped[-missing]
        there = escapes[: len(escaped) - missing]
        value, used = core.values(table, quantiser, symbol, tables.low, tables.last, there)
        assert used == -1 - at
        np.testing.assert_array_equal(value[:at], expected[:at])


@given(n=st.integers(0, 60), dependent=st.booleans(), seed=SEEDS)
def test_add(n: int, dependent: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y_hat = rng.integers(-16383, 16384, (3, 4, 7)).astype(np.int16)
    place = rng.permutation(y_hat.size)[:n].astype(np.int32)
    value = (rng.integers(-32767, 32768, n) >> rng.integers(0, 15, n)).astype(np.int32)
    quantiser = rng.integers(0, 2, n).astype(np.uint8) if dependent else None
    expected = y_hat.astype(np.int64)
    expected.reshape(-1)[place] += offsets(value, quantiser) if quantiser is not None else 16 * value
    core.add(y_hat, place, value, quantiser)
    np.testing.assert_array_equal(y_hat, expected.clip(-16383, 16383))


def slow_escapes(data: bytes, limit: int) -> list[int]:
    """`core.escapes`; ValueError for what is none."""
    values, at = [], 0
    while at < len(data):
        u = shift = 0
        while True:
            if at == len(data):
                raise ValueError("an escape is cut off")
            if shift == 21:
                raise ValueError("an escape is not in its shortest form")
            byte = data[at]
            u, shift, at = u | (byte & 127) << shift, shift + 7, at + 1
            if byte < 128:
                break
        if shift > 7 and byte == 0:
            raise ValueError("an escape is not in its shortest form")
        v = u >> 1 ^ -(u & 1)
        if abs(v) > limit:
            raise ValueError("an escape is out of range")
        values.append(v)
    return values


Bytes = st.lists(st.sampled_from([0, 1, 2, 126, 127, 128, 129, 254, 255]) | st.integers(0, 255), max_size=12)


@given(Bytes, st.sampled_from([0, 63, 32767, 2**20 - 1]))
def test_escapes(data: list[int], limit: int) -> None:
    try:
        expected: list[int] | str = slow_escapes(bytes(data), limit)
    except ValueError as error:
        expected = str(error)
    try:
        got: list[int] | str = core.escapes(bytes(data), limit).tolist()
    except ValueError as error:
        got = str(error)
    assert got == expected


@given(n=st.integers(0, 50), chains=st.sampled_from([1, 2, 4, 32]), rates=st.booleans(), seed=SEEDS)
def test_candidates(n: int, chains: int, rates: bool, seed: int) -> None:
    """Escapes among them, as the tables are short; and residuals halfway between two points."""
    rng = np.random.default_rng(seed)
    tables = tables_of(rng)
    table = rng.integers(0, 64, n).astype(np.uint16)
    d = np.where(rng.random(n) < 0.5, rng.normal(0, 6, n), rng.integers(-40, 41, n) * 13 / 32).astype(np.float32)
    lmbda = rng.choice([0, 0.1, 5, 300], n).astype(np.float32)
    bits = tables.bits if rates else np.zeros_like(tables.bits)
    cost, value = core.candidates(d, table, lmbda, tables.native, tables.low, tables.size, bits, chains)
    expected, values = candidates(d, table, lmbda, tables, bits)
    assert cost.shape == (-(-n // chains), 4, chains)
    dealt = cost.swapaxes(1, 2).reshape(-1, 4)
    np.testing.assert_allclose(dealt[:n].T, expected, rtol=1e-5)  # a compiler may fuse a product and a sum
    assert not dealt[n:].any()
    differ = value != values
    assert differ.mean() < 0.05 if n else True  # where two cost the same, to rounding
    np.testing.assert_array_equal(value % 2, np.broadcast_to(np.array([0, 1, 0, 1])[:, None], value.shape))


def refused(match: str, function: Any, *arguments: Any) -> None:
    with pytest.raises(ValueError, match=match):
        function(*arguments)


def test_what_is_refused() -> None:
    """Whatever would reach outside an array."""
    tables = tables_of(np.random.default_rng(1))
    table, symbol, none = np.zeros(3, np.uint16), np.zeros(3, np.uint8), np.zeros(0, np.int32)
    far = np.full(3, 64, np.uint16)
    low, last, size, bits = tables.low, tables.last, tables.size, tables.bits
    refused("unequal", core.values, table, symbol[:2], symbol, low, last, none)
    refused("unequal", core.values, table, symbol, symbol, low, last[:5], none)
    refused("not there", core.values, far, symbol + 1, symbol, low, last, none)
    y_hat, place, value = np.zeros((2, 5), np.int16), np.arange(3, dtype=np.int32), np.zeros(3, np.int32)
    refused("unequal", core.add, y_hat, place, value[:2], None)
    refused("unequal", core.add, y_hat, place, value, symbol[:2])
    refused("not there", core.add, y_hat, place + 8, value, None)
    refused("not there", core.add, y_hat, place - 1, value, None)
    refused("int16", core.add, y_hat.astype(np.int32), place, value, None)
    refused("one piece", core.add, np.zeros((5, 4), np.int16)[:, ::2], place, value, None)
    d, lmbda = np.zeros(3, np.float32), np.ones(3, np.float32)
    refused("unequal", core.candidates, d[:2], table, lmbda, tables.native, low, size, bits, 1)
    refused("unequal", core.candidates, d, table, lmbda, tables.native, low[:9], size, bits, 1)
    refused("unequal", core.candidates, d, table, lmbda, tables.native, low, size, bits, 0)
    refused("not there", core.candidates, d, far, lmbda, tables.native, low, size, bits, 1)
    refused("not there", core.candidates, d, table, lmbda, tables.native, low, size, bits[:, :-1], 1)
    of, number = np.zeros((2, 2, 3), np.uint8), np.array([0, 12], np.int64)
    refused("other sizes", core.places, of, 4, 2, 7, number)  # channels beyond the last
    refused("other sizes", core.places, of, 3, 0, 7, np.array([0, 0, 12], np.int64))
