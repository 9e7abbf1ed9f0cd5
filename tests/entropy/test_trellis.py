"""Dependent quantisation: the cheapest path is found, decoders follow it, and it is worth its trouble."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import machines
from vaecodec import core
from vaecodec.bitstream.container import LANES_LOG2_MAX
from vaecodec.codec import Codec, latents
from vaecodec.entropy import rans, trellis
from vaecodec.entropy.rans import SYMBOLS_PER_MACHINE


def laplace_tables(scale: float, reach: int) -> rans.Tables:
    """128 equal tables a quantiser, of a Laplacian in steps."""
    k = np.arange(-reach, reach + 1)
    rows = []
    for quantiser in (0, 1):
        p = np.append(np.exp(-np.abs(trellis.offsets(k, np.full(k.shape, quantiser)) / 16) / scale), 1e-3)
        row = np.maximum(1, np.floor(p / p.sum() * 65000)).astype(np.int64)
        row[reach] += rans.ONE - row.sum()
        rows += [row] * rans.QUANTISER_ROWS
    return rans.Tables(np.full(128, -reach), np.full(128, 2 * reach + 2), np.stack(rows))


def cost(d: np.ndarray, value: np.ndarray, quantiser: np.ndarray, lmbda: float, tables: rans.Tables) -> float:
    row = quantiser * rans.QUANTISER_ROWS
    error = d - trellis.offsets(value, quantiser) / 16
    return float(tables.bits[row, tables.symbols(row, value)[0]].sum() + lmbda * np.square(error).sum())


@pytest.mark.parametrize("seed", range(4))
def test_the_path_is_the_cheapest(seed: int) -> None:
    tables = laplace_tables(1.0, 6)
    d = np.random.default_rng(seed).laplace(0, 1.5, 6).astype(np.float32)
    costs, values = trellis.candidates(d, np.zeros(6, np.int64), np.full(6, 3, np.float32), tables, True)
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
    costs, values = trellis.candidates(d, np.zeros(101, np.int64), np.full(101, lmbda, np.float32), tables, True)
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
    counts=st.lists(
        st.integers(0, 700) | st.sampled_from([SYMBOLS_PER_MACHINE * k + e for k in (2, 4, 8) for e in (-1, 0, 1)]),
        min_size=1,
        max_size=3,
    ),
    lanes=st.lists(st.integers(0, LANES_LOG2_MAX), min_size=3, max_size=3),
)
def test_decoders_follow_the_path(seed: int, counts: list[int], lanes: list[int]) -> None:
    rng, tables, lanes = np.random.default_rng(seed), laplace_tables(1.0, 6), lanes[: len(counts)]
    table = [rng.integers(0, 64, n) for n in counts]
    parts = [(rng.laplace(0, 3, len(t)).astype(np.float32), t, np.full(len(t), 4, np.float32)) for t in table]
    value, quantiser = trellis.choose(parts, tables)
    rows = [t + rans.QUANTISER_ROWS * q for t, q in zip(table, quantiser, strict=True)]
    symbols = [tables.symbols(r, v)[0] for r, v in zip(rows, value, strict=True)]
    states, words = rans.encode([rans.Run(tables, rows, symbols, dependent=True)], lanes)
    decoder = rans.Decoder(states, words[0])
    for got, expected in zip(decoder.decode(tables, table, dependent=True), (symbols, quantiser), strict=True):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    decoder.finish()


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
    zeros, lmbda = np.zeros(n, np.int64), np.full(n, 4, np.float32)
    (value,), (quantiser,) = trellis.choose([(d, zeros, lmbda)], tables)
    counts = np.unique(np.stack((quantiser, value)), axis=1, return_counts=True)
    bits = -sum(
        c * np.log2(c / counts[1][counts[0][0] == q].sum()) for (q, _), c in zip(counts[0].T, counts[1], strict=True)
    )
    error = np.square(d - trellis.offsets(value, quantiser) / 16).mean()
    plain = np.unique(d.round(), return_counts=True)[1] / n
    uniform = np.square(d - d.round()).mean() * 4 ** -(plain * np.log2(plain)).sum()
    assert error * 4 ** (bits / n) < 0.9 * uniform


@torch.no_grad()
@pytest.mark.parametrize(("quality", "spread"), [(300, 1.0), (700, 30.0), (1000, 400.0)])
def test_latents_come_back_whatever_their_size(small: Codec, quality: int, spread: float) -> None:
    """Escapes of dependent symbols too: the decoder's y_hat is the encoder's."""
    weights, rng = small.weights, torch.Generator().manual_seed(quality)
    m, n = weights.model.cfg.M, weights.model.cfg.N
    y = torch.randn(2, 6, 5, m, generator=rng) * spread
    z = torch.randn(2, 2, 2, n, generator=rng) * 3
    chosen = latents.quantise(weights, quality, z, y)
    tiles = latents.pack_tiles(chosen.runs, 2)
    assert spread < 100 or any(t.escapes for t in tiles), "meant to need escapes"
    assert torch.equal(latents.decode_tiles(weights, quality, tiles, 6, 5), chosen.y_hat)
    assert (chosen.y_hat / 16 - y).abs().max() < 1.5 or spread > 100
