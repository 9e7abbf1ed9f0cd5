"""Files at the edges of rules that random ones do not reach, each forged so that it keeps or breaks this rule alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tests import reference_decoder as reference
from tests.forgery import Author, Parts, chunks_of, golomb, join, leb128, nothing, pack
from tests.reference_model import Model, load_model

SMALL = reference.Header(16, 16, 1, 500, 16, 0, 0, "", b"")
Edge = tuple[str, str, bytes]  # name, what it is for or the rule that it breaks, file


def written(model: Model, header: reference.Header, seed: int) -> Author:
    """Random symbols of a picture of one tile, without escapes."""
    author = Author(np.random.default_rng(seed), 0, 0)
    reference.decode_latents(model, header.quality, *header.grid, author)
    return author


def file(model: Model, header: reference.Header, tiles: list[Parts]) -> bytes:
    header = replace(header, model=model.name, model_hash=model.hash[:8])
    return join([(b"HEAD", pack(header)), *chunks_of(tiles, progressive=False)])


def of_rounds(model: Model, least: int, most: int) -> bytes:
    """A file of one lane with so many rounds."""
    for cells in range(20, 65):
        header = replace(SMALL, width=16 * cells, height=16 * 40)
        author = written(model, header, 1)
        if least <= sum(len(run) for _, run in author.log) <= most:
            return file(model, header, [author.tile(0)])
    raise AssertionError("no picture has so many symbols")


def of_strength(model: Model, strength: int) -> bytes:
    """A file whose filter has that strength."""
    default = model.row("filter.t", SMALL.quality).astype(int).tolist()
    values = [*[0] * 12, strength, *[0] * 23]
    kernel = golomb([value - usual for value, usual in zip(values, default, strict=True)])
    return file(model, SMALL, [written(model, SMALL, 2).tile(0, filter=kernel)])


def valid(data: bytes) -> Iterator[Edge]:
    """Of a model's file."""
    model = load_model(data)
    yield "rounds", "as many rounds as one lane may need", of_rounds(model, 20000, 20480)
    yield "filter-strongest", "a filter of the strength 56000", of_strength(model, 56000)
    header = replace(SMALL, width=64, height=128, tile=1)
    beside = file(model, header, [nothing(b"\x08"), written(model, replace(header, height=64), 3).tile(0)])
    yield "empty-beside", "a tile without latents above one that has some: it has the default filter", beside


def invalid(data: bytes) -> Iterator[Edge]:
    """Of a model's file."""
    model = load_model(data)
    yield "rounds too many", "E5", of_rounds(model, 20481, 22000)
    yield "filter a little too strong", "S3", of_strength(model, 56500)
    author = written(model, SMALL, 4)
    yield "state at the end", "E3", file(model, SMALL, [author.tile(0, end=70000)])
    tile = author.tile(0)
    cut = {"low": tile["low"][:-2], "high": tile["low"][-2:] + tile["high"]}
    yield "low too short", "E3", file(model, SMALL, [tile | cut])
    yield (
        "low too long",
        "E3",
        file(model, SMALL, [tile | {"low": tile["low"] + tile["high"][:2], "high": tile["high"][2:]}]),
    )
    yield "state below", "E1", file(model, SMALL, [below(model)])
    yield "last word missing", "E2", file(model, SMALL, [missing(model)])
    yield "escape too large", "E4", file(model, SMALL, [beyond(model)])


def below(model: Model) -> Parts:
    """A tile whose state is below 65536 and decodes to the same: with the word that its first symbol makes it take."""
    for seed in range(1000):
        author = written(model, SMALL, seed)
        tile = author.tile(0)
        start, frequency, _ = author.log[0][1][0]
        (state,) = struct.unpack("<I", tile["states"])
        x = frequency * (state >> 16) + (state & 65535) - start
        if 65536 <= x < frequency << 16:
            word = struct.pack("<H", x & 65535)
            return tile | {"states": struct.pack("<I", start + (x >> 16)), "z": word + tile["z"]}
    raise AssertionError("no first symbol goes without a word")


def missing(model: Model) -> Parts:
    """A tile whose last word, which would be 0, is not there: its last symbol has a frequency of 1."""
    for seed in range(1000):
        author = written(model, SMALL, seed)
        last = next(run for _, run in reversed(author.log) if run)[-1]
        if last[1] == 1:
            tile = author.tile(0)
            assert tile["high"][-2:] == b"\0\0"
            return tile | {"high": tile["high"][:-2]}
    raise AssertionError("no last symbol is so rare")


def beyond(model: Model) -> Parts:
    """A tile whose last escape is 32768, where nothing that is decoded later depends on it."""
    for seed in range(1000):
        author = Author(np.random.default_rng(seed), 0.3, 1)
        reference.decode_latents(model, SMALL.quality, *SMALL.grid, author)
        last = max(k for k, (_, run) in enumerate(author.log) if run)
        escapes = [s for s in author.log[last][1] if s[0] + s[1] == 65536]
        if escapes:
            return author.tile(0) | {"escapes": author.escapes[:-1] + leb128(65536)}
    raise AssertionError("no last run has an escape")
