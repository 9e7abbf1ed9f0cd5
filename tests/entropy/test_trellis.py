"""Dependent quantisation: the cheapest path is found, decoders follow it, and it is worth its trouble."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import machines
from tests.quantisers import offsets
from vaecodec import core
from vaecodec.bitstream.tiles import LANES_LOG2_MAX
from vaecodec.codec import Codec, latents
from vaecodec.entropy import rans, trellis
from vaecodec.entropy.rans import SYMBOLS_PER_MACHINE


def laplace_tables(scale: float, reach: int) -> rans.Tables:
    """128 equal tables a quantiser, of a Laplacian in steps."""
    k = np.arange(-reach, reach + 1)
    rows = []
    for quantiser in (0, 1):
        p = np.append(np.exp(-np.abs(offsets(k, np.full(k.shape, quantiser)) / 16) / scale), 1e-3)
        row = np.maximum(1, np.floor(p / p.sum() * 65000)).astype(np.int64)
        row[reach] += rans.ONE - row.sum()
        rows += [row] * rans.QUANTISER_ROWS
    return rans.Tables(np.full(128, -reach), np.full(128, 2 * reach + 2), np.stack(rows))


def cost(d: np.ndarray, value: np.ndarray, quantiser: np.ndarray, lmbda: float, tables: rans.Tables) -> float:
    row = quantiser * rans.QUANTISER_ROWS
    error = d - offsets(value, quantiser) / 16
    return float(tables.bits[row, tables.symbols(row, value)[0]].sum() + lmbda * np.square(error).sum())


def best_of_each_kind(d: np.ndarray, lmbda: float, tables: rans.Tables) -> tuple[np.ndarray, np.ndarray]:
    """Costs and values (4, n)."""
    table, price = np.zeros(len(d), np.uint16), np.full(len(d), lmbda, np.float32)
    cost, value = core.candidates(d, table, price, tables.native, tables.low, tables.size, tables.bits, 1)
    return np.ascontiguousarray(cost[..., 0].T), value


@pytest.mark.parametrize("seed", range(4))
def test_the_path_is_the_cheapest(seed: int) -> None:
    tables = laplace_tables(1.0, 6)
    d = np.random.default_rng(seed).laplace(0, 1.5, 6).astype(np.float32)
    costs, values = best_of_each_kind(d, 3, tables)
    best = np.inf
    for parities in product((0, 1), repeat=len(d)):
        state, total = 0, 0.0
        for i, p in enumerate(parities):
            total += costs[2 * machines.QUANTISER[state] + p, i]
            state = machines.NEXT[state][p]
        best = min(best, total)
    path = core.best_path(np.ascontiguousarray(costs.T[:, :, None]))[:, 0]
    assert costs[path, np.arange(6)].sum() == pytest.approx(best, rel=1e-5)
    chosen = values[path, np.arange(6)]
    assert cost(d, chosen, path >> 1, 3, tables) == pytest.approx(best, rel=1e-5)


def test_candidates_are_the_best_of_their_kind() -> None:
    """Against all values, where they are within reach of the tables."""
    tables, lmbda = laplace_tables(1.0, 20), 5.0
    d = np.linspace(-8, 8, 101).astype(np.float32)
    costs, values = best_of_each_kind(d, lmbda, tables)
    for kind in range(4):
        quantiser, parity = divmod(kind, 2)
        assert (values[kind] % 2 == parity).all()
        every = [v for v in range(-20, 21) if v % 2 == parity]
        for x, got in zip(d, costs[kind], strict=True):
            best = min(cost(x[None], np.array([v]), np.array([quantiser]), lmbda, tables) for v in every)
            assert got == pytest.approx(best, rel=1e-4)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 700) | st.sampled_from([SYMBOLS_PER_MACHINE * k + e for k in (2, 4, 8) for e in (-1, 0, 1)]),
    lanes=st.integers(0, LANES_LOG2_MAX),
)
def test_decoders_follow_the_path(seed: int, count: int, lanes: int) -> None:
    rng, tables = np.random.default_rng(seed), laplace_tables(1.0, 6)
    table, d = rng.integers(0, 64, count).astype(np.uint16), rng.laplace(0, 3, count).astype(np.float32)
    value, quantiser = trellis.choose(d, table, np.full(count, 4, np.float32), tables)
    rows = table + np.uint16(rans.QUANTISER_ROWS) * quantiser
    symbols = tables.symbols(rows, value)[0]
    states, (words,) = rans.encode([rans.Run(tables, rows, value, dependent=True)], [symbols], lanes)
    decoder = rans.Decoder(states, words)
    for got, expected in zip(decoder.decode(tables, table, dependent=True), (symbols, quantiser), strict=True):
        np.testing.assert_array_equal(got, expected)
    decoder.finish()


def test_noise_draws_and_bits_may_not_count() -> None:
    """Random numbers are added to the costs of whole rounds; without rates the nearest points are chosen."""
    rng, tables, n = np.random.default_rng(3), laplace_tables(1.0, 20), 1100
    d, table, lmbda = rng.laplace(0, 2, n).astype(np.float32), np.zeros(n, np.uint16), np.ones(n, np.float32)
    shapes = []

    def noise(shape: tuple[int, ...]) -> np.ndarray:
        shapes.append(shape)
        return rng.normal(0, 5, shape).astype(np.float32)

    plain, drawn = trellis.choose(d, table, lmbda, tables), trellis.choose(d, table, lmbda, tables, noise=noise)
    assert shapes == [(550, 4, 2)] and (plain[0] != drawn[0]).any()
    without = trellis.choose(d, table, lmbda, tables, rates=False)
    errors = [np.square(d - offsets(*chosen) / 16).sum() for chosen in (without, plain, drawn)]
    assert errors == sorted(errors)


def test_machines_are_a_code() -> None:
    """What the search takes for granted: two ways into each state, one of each parity, from its half's quantiser."""
    for to in range(machines.STATES):
        ways = [(s, p) for s in range(machines.STATES) for p in (0, 1) if machines.NEXT[s][p] == to]
        assert [p for _, p in sorted(ways, key=lambda way: way[1])] == [0, 1]
        assert {machines.QUANTISER[s] for s, _ in ways} == {2 * to // machines.STATES}


def test_machines_follow_the_symbols() -> None:
    assert [rans.machines_for(n) for n in (0, 1, 1023, 1024, 2047, 2048, 65535, 65536, 10**6)] == [
        *(1, 1, 1, 2, 2, 4, 64, 128, 128)
    ]


def test_it_beats_a_uniform_quantiser() -> None:
    """The product of error and 4^bits, which a coarser or finer quantiser leaves alone, by more than a tenth."""
    rng, n = np.random.default_rng(1), 50_000
    d = rng.laplace(0, 1.5, n).astype(np.float32)
    tables = laplace_tables(1.5, 40)
    value, quantiser = trellis.choose(d, np.zeros(n, np.uint16), np.full(n, 4, np.float32), tables)
    counts = np.unique(np.stack((quantiser, value)), axis=1, return_counts=True)
    bits = -sum(
        c * np.log2(c / counts[1][counts[0][0] == q].sum()) for (q, _), c in zip(counts[0].T, counts[1], strict=True)
    )
    error = np.square(d - offsets(value, quantiser) / 16).mean()
    plain = np.unique(d.round(), return_counts=True)[1] / n
    uniform = np.square(d - d.round()).mean() * 4 ** -(plain * np.log2(plain)).sum()
    assert error * 4 ** (bits / n) < 0.9 * uniform


@pytest.mark.parametrize(("quality", "spread"), [(300, 1.0), (700, 30.0), (1000, 400.0)])
def test_latents_come_back_whatever_their_size(small: Codec, quality: int, spread: float) -> None:
    """Escapes of dependent symbols too: the decoder's y_hat is the encoder's."""
    rng, cfg = np.random.default_rng(quality), small.weights.cfg
    y = (rng.normal(0, 1, (6, 5, cfg.M)) * spread).astype(np.float32)
    z = rng.normal(0, 3, (2, 2, cfg.N)).astype(np.float32)
    chosen = latents.quantise(small.networks, quality, z, y)
    tile = latents.pack_tile(chosen.runs)
    assert spread < 100 or tile.escapes, "meant to need escapes"
    y_hat, damaged = latents.decode_tile(small.networks, quality, tile, 6, 5)
    np.testing.assert_array_equal(y_hat, chosen.y_hat)
    assert not damaged
    assert np.abs(chosen.y_hat / 16 - y).max() < 1.7 or spread > 100  # points of a parity are 3.25 apart
