"""Filters of tiles: their numbers, their arithmetic, what the encoder finds, and where they apply."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.reference_decoder import filtered, read_filter
from tests.sample_pictures import picture
from tools.train.data import psnr
from vaecodec import core
from vaecodec.bitstream.chunks import read_chunks
from vaecodec.bitstream.container import INDEX
from vaecodec.bitstream.tiles import Tile, tile_chunks
from vaecodec.codec import Codec, filter_fit, soft_filter
from vaecodec.codec.encoder import with_index
from vaecodec.codec.filter_fit import COLOURS, Fit
from vaecodec.codec.soft_filter import applied, as_planes
from vaecodec.errors import CorruptFileError
from vaecodec.model.loop_filter import CHROMA, KINDS, LUMA, OUT_ONE, STRENGTH_MAX, Filter, Filters
from vaecodec.pictures.picture import Picture

Numbers = st.tuples(
    *(st.integers(-bound, bound) for bound, n in zip((400, 9000, 400, 9000), KINDS, strict=True) for _ in range(n))
)
NONE = Filter((0,) * sum(KINDS))


def within(values: tuple[int, ...]) -> Filter:
    """The filter, made weaker until it is allowed."""
    found = Filter(values)
    while found.strength() > STRENGTH_MAX:
        found = Filter(tuple(int(v / 2) for v in found.values))
    return found


def kernel(**some: int) -> Filter:
    """The filter that has some numbers, named as in the specification, L0, L_0 for L'[0], C0, C_0."""
    firsts = dict(zip(("L", "L_", "C", "C_"), np.cumsum((0, *KINDS)).tolist(), strict=False))
    values = [0] * sum(KINDS)
    for name, value in some.items():
        kind = name.rstrip("0123456789")
        values[firsts[kind] + int(name[len(kind) :])] = value
    return Filter(tuple(values))


@given(Numbers, Numbers)
def test_round_trip(values: tuple[int, ...], others: tuple[int, ...]) -> None:
    found, default = within(values), within(others)
    packed = found.pack(default)
    assert Filter.unpack(packed, default) == found
    assert read_filter(packed, list(default.values)) == list(found.values)


@given(st.binary(max_size=160), Numbers)
def test_any_bytes_are_a_filter_or_refused(data: bytes, others: tuple[int, ...]) -> None:
    default = within(others)
    try:
        found = Filter.unpack(data, default)
    except CorruptFileError:
        if data:  # an empty section is none, and never gets here
            with pytest.raises(ValueError):
                read_filter(data, list(default.values))
    else:
        assert found.pack(default) == data


@given(Numbers, st.integers(0, 2**32 - 1), st.booleans())
def test_exact(values: tuple[int, ...], seed: int, extreme: bool) -> None:
    """Every sum is an integer below 2^24, the largest ones too: float32 and the reference's int64 agree."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-(2.0**20), 2.0**20], (9, 11, 3)) if extreme else np.rint(rng.normal(0, 4000, (9, 11, 3)))
    found = within(values)
    planes = as_planes(torch.from_numpy(x).float())
    total = applied(found, planes)
    assert torch.equal(total.double(), applied(found, planes.double()))
    assert total.abs().max() < 2**24
    rgb = (total / OUT_ONE).round().add(128).clamp(0, 255).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(rgb, filtered(x, list(found.values)))


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    planes = as_planes(torch.from_numpy(np.random.default_rng(3).normal(0, 2000, (50, 20, 3))).float().round())
    found = kernel(L0=9, L11=-4, L_3=70, C2=5, C_5=-30)
    whole = applied(found, planes)
    monkeypatch.setattr(soft_filter, "STRIP", 8)
    assert torch.equal(applied(found, planes), whole)


def seen(x_hat: np.ndarray) -> np.ndarray:
    """The planes of x_hat (h, w, 3) in 1/64 level, as the core gives them."""
    return as_planes(torch.from_numpy(x_hat).float()).numpy().astype(np.int16)


def test_fit_finds_the_filter_that_was_at_work() -> None:
    x_hat = np.rint(np.random.default_rng(0).normal(0, 400, (90, 70, 3)))
    made = kernel(L0=9, L2=-3, L_5=20, C0=4, C_3=-11)
    fit = Fit()
    fit.add(seen(x_hat), filtered(x_hat, list(made.values)).astype(np.int16) - 128)
    assert fit.best(1.0, NONE) == made
    assert fit.best(1.0, kernel(L0=8, C5=1)) == made
    assert fit.best(1.0, made) is None, "the default is best"
    assert fit.best(1e-9, NONE) is None, "nothing is worth its bits"


def test_fit_leaves_a_good_picture_alone() -> None:
    rng = np.random.default_rng(1)
    x_hat = np.rint(rng.normal(0, 2000, (64, 64, 3)))
    fit = Fit()
    fit.add(seen(x_hat), np.rint(x_hat / 64 + rng.normal(0, 2, x_hat.shape)).astype(np.int16))
    assert fit.best(0.1, NONE) is None


def test_sums_are_those_of_all_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """By NumPy, of numbers as large as they may be; in parts, they are the same."""
    rng = np.random.default_rng(5)
    rows = rng.choice([-filter_fit.BOUND, filter_fit.BOUND], (3, 1000)).astype(np.int16)
    sums = np.ones((3, 3), np.int64)
    core.gram(rows, sums)
    np.testing.assert_array_equal(sums, 1 + rows.astype(np.int64) @ rows.T.astype(np.int64))
    planes, wanted = seen(rng.normal(0, 4000, (50, 20, 3))), rng.integers(-128, 128, (50, 20, 3)).astype(np.int16)
    whole, parts = Fit(), Fit()
    whole.add(planes, wanted)
    monkeypatch.setattr(filter_fit, "LINES", 7)
    parts.add(planes, wanted)
    np.testing.assert_array_equal(whole.sums, parts.sums)
    with pytest.raises(ValueError, match="another number"):
        core.gram(rows, np.zeros((2, 2), np.int64))


def test_normal_equations_are_those_of_the_filter() -> None:
    """Moving a coefficient moves pixels, as the filter's definition has it, by what the fit says it does."""
    rng = np.random.default_rng(6)
    x_hat = 64 * np.rint(rng.normal(0, 30, (40, 40, 3)))  # whole levels, of which no bit is lost
    planes, wanted = as_planes(torch.from_numpy(x_hat).float()), rng.integers(-20, 20, (40, 40, 3))
    fit = Fit()
    fit.add(planes.numpy().astype(np.int16), wanted)
    gram, slope = fit.normal()
    target = torch.from_numpy(wanted).permute(2, 0, 1) * OUT_ONE

    def error(values: np.ndarray) -> float:
        made = applied(Filter(tuple(values.tolist())), planes).double()
        return float((made - target).square().sum())

    values = rng.integers(-9, 10, sum(KINDS))
    change = error(values) - error(np.zeros_like(values))
    assert change == pytest.approx(values @ gram @ values - 2 * slope @ values, rel=1e-9)


def test_planes_are_the_colours() -> None:
    x_hat = torch.from_numpy(np.random.default_rng(4).integers(-8192, 8192, (5, 6, 3))).float()
    light, *colour = as_planes(x_hat)[:, 3:-3, 3:-3]
    for channel, (a, b) in enumerate(COLOURS):
        sample = (light + a * colour[0] + b * colour[1]) / 4
        assert torch.equal(sample, (x_hat[..., channel] / 8).round().clamp(-1024, 1023))


@pytest.fixture(scope="module")
def coded(shipped: Codec) -> tuple[np.ndarray, bytes]:
    with Image.open(Path(__file__).parents[1] / "data" / "kodim23.png") as image:
        x = np.asarray(image.crop((180, 120, 500, 440)))
    return x, shipped.encode(x, 85, effort=4, tile=192)


def with_tiles(data: bytes, tiles: list[Tile]) -> bytes:
    """The file with other tiles."""
    head = data[: next(chunk.start for chunk in read_chunks(data) if chunk.type == INDEX)]
    return head + b"".join(with_index(chunk for i, tile in enumerate(tiles) for chunk in tile_chunks(i, tile)))


def test_the_encoder_knows_what_the_decoder_makes(shipped: Codec, coded: tuple[np.ndarray, bytes]) -> None:
    x, data = coded
    decoded = np.empty_like(x)
    parts = shipped.encode_parts(Picture(x), 85, effort=4, tile=192, decoded=decoded)
    assert b"".join(parts) == data
    np.testing.assert_array_equal(shipped.decode(data).pixels, decoded)


def test_filters_pay(shipped: Codec, coded: tuple[np.ndarray, bytes]) -> None:
    x, data = coded
    tiles = shipped.open(data).unpacked()
    assert sum(bool(tile.filter) for tile in tiles) > 1
    without = with_tiles(data, [tile.having(filter=b"") for tile in tiles])
    gain = psnr(x, shipped.decode(data).pixels) - psnr(x, shipped.decode(without).pixels)
    assert gain > 0.01 and len(data) - len(without) < 64 * len(tiles)


@pytest.mark.parametrize("region", [(0, 0, 30, 40), (150, 170, 90, 70), (191, 191, 2, 2), (319, 0, 1, 320)])
def test_regions(shipped: Codec, coded: tuple[np.ndarray, bytes], region: tuple[int, int, int, int]) -> None:
    _, data = coded
    left, top, width, height = region
    whole = shipped.decode(data).pixels
    part = shipped.decode_region(data, region).pixels
    np.testing.assert_array_equal(part, whole[top : top + height, left : left + width])


def test_a_region_needs_no_filter_but_those_it_sees(shipped: Codec, coded: tuple[np.ndarray, bytes]) -> None:
    _, data = coded
    tiles = shipped.open(data).unpacked()
    broken = with_tiles(data, [*tiles[:3], tiles[3].having(filter=b"\0")])
    whole = shipped.decode(data).pixels
    np.testing.assert_array_equal(shipped.decode_region(broken, (0, 0, 100, 120)).pixels, whole[:120, :100])
    with pytest.raises(CorruptFileError, match="filter"):
        shipped.decode_region(broken, (0, 0, 200, 200))


def test_partial(shipped: Codec, coded: tuple[np.ndarray, bytes]) -> None:
    """Of a file that is whole all of it; of one that lacks a tile what is beyond the margin."""
    _, data = coded
    whole = shipped.decode(data).pixels
    np.testing.assert_array_equal(shipped.decode_partial(data).picture.pixels, whole)
    last = [c for c in read_chunks(data) if c.type == "TILE"][-1]
    found = shipped.decode_partial(data[: last.start] + data[last.start + last.size :])
    assert found.lost == [(192, 192, 128, 128)]
    edge = 192 - found.margin
    np.testing.assert_array_equal(found.picture.pixels[:edge], whole[:edge])
    np.testing.assert_array_equal(found.picture.pixels[:, :edge], whole[:, :edge])


def test_a_tile_with_a_bad_filter_is_lost_and_no_other(shipped: Codec, coded: tuple[np.ndarray, bytes]) -> None:
    _, data = coded
    tiles = shipped.open(data).unpacked()
    broken = with_tiles(data, [tiles[0].having(filter=b"\0"), *tiles[1:]])
    assert shipped.decode_partial(broken).lost == [(0, 0, 192, 192)]
    with pytest.raises(CorruptFileError, match="filter"):
        shipped.decode(broken)


def test_parts_of_a_window() -> None:
    filters = Filters(kernel(L0=99), 4, 5, {number: kernel(L0=number) for number in (0, 6, 19)})

    def own(parts: Filters, rows: slice, columns: slice) -> list[tuple[slice, slice, int]]:
        return [(r, c, k.values[0]) for r, c, k in parts.parts(rows, columns) if k is not parts.default]

    assert len(list(filters.parts(slice(0, 13), slice(0, 19)))) == 20
    assert own(filters, slice(0, 13), slice(0, 19)) == [
        (slice(0, 4), slice(0, 4), 0),
        (slice(4, 8), slice(4, 8), 6),
        (slice(12, 13), slice(16, 19), 19),
    ]
    moved = dataclasses.replace(filters, top=3, left=2)
    assert own(moved, slice(0, 4), slice(1, 5)) == [
        (slice(0, 1), slice(1, 2), 0),
        (slice(1, 4), slice(2, 5), 6),
    ]
    assert (len(LUMA), len(CHROMA)) == (12, 6)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_grey_and_alpha(small: Codec, channels: int) -> None:
    x = picture(150, 130, channels)
    decoded = np.empty_like(x)
    data = b"".join(small.encode_parts(Picture(x), 30, effort=4, tile=128, decoded=decoded))
    np.testing.assert_array_equal(small.decode(data).pixels, decoded)
