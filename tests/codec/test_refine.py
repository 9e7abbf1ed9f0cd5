"""Encoder effort: more of it never costs, bands and tiles are refined too, and slopes are what they say."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vaecodec.codec.windows
from tools.measure.bdrate import bd_rate
from tools.train.coded import symbols_of
from tools.train.data import psnr
from vaecodec.bitstream.header import CELL
from vaecodec.codec import Codec, latents, refine
from vaecodec.codec.defaults import EFFORTS
from vaecodec.codec.soft_filter import applied, as_planes
from vaecodec.codec.tuning import Worth, plain
from vaecodec.errors import VaecError
from vaecodec.metrics.ms_ssim import dissimilarity
from vaecodec.model import trained
from vaecodec.model.architecture import FILTER_NUMBERS, MEAN_ONE
from vaecodec.model.likelihood import index_scale, logistic_bits
from vaecodec.model.loop_filter import OUT_ONE, Filter, Filters
from vaecodec.model.networks import z_features

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    with Image.open(DATA / "kodim23.png") as image:
        return np.asarray(image)[100:292, 160:416]


def saving(codec: Codec, pixels: np.ndarray, more: int, less: int, tile: int | None = None) -> float:
    """BD-rate in percent of one effort against another, by real files; negative: fewer bits."""
    curves = []
    for effort in (less, more):
        points = []
        for quality in (20, 40, 60, 80):
            data = codec.encode(pixels, quality, effort=effort, tile=tile, tune="psnr")
            points.append((len(data) * 8 / pixels[..., 0].size, psnr(pixels, codec.decode(data).pixels)))
        curves.append(points)
    return bd_rate(*curves)[0]


def test_effort_pays(shipped: Codec, photo: np.ndarray) -> None:
    assert saving(shipped, photo, 2, 1) < -1
    assert saving(shipped, photo, 4, 2) < -0.1  # a filter has to pay for itself, and the picture is small
    assert saving(shipped, photo, 5, 4) < -1
    assert saving(shipped, photo, 6, 5) < -0.5


def test_effort_pays_in_bands_of_small_tiles(
    shipped: Codec, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refine, "WINDOW", 5)
    monkeypatch.setattr(vaecodec.codec.windows, "TALLEST", 7)
    monkeypatch.setattr(vaecodec.codec.windows, "WINDOW", 0)
    odd = photo[:187, :201]
    assert saving(shipped, odd, 5, 2, tile=64) < -0.5


@pytest.mark.parametrize("shape", [(1, 1), (17, 3), (65, 130)])
def test_every_effort_codes_every_size(small: Codec, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for effort in EFFORTS:
        assert small.decode(small.encode(pixels, 60, effort=effort, tile=64)).pixels.shape == pixels.shape


@pytest.mark.parametrize("effort", [0, 10, 2.5, "3", None])
def test_other_efforts_are_refused(small: Codec, effort: object) -> None:
    with pytest.raises(VaecError, match="effort"):
        small.encode(np.zeros((8, 8, 3), np.uint8), effort=effort)  # type: ignore[arg-type]


def test_progress_rises_to_one(small: Codec) -> None:
    shares: list[float] = []
    small.encode(np.zeros((150, 70, 3), np.uint8), effort=6, tile=64, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) > 3 * 4


def test_structure_is_refined_too(shipped: Codec, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the squared error alone counts, refining takes bits from what MS-SSIM sees."""
    sizes, unlike = [], []
    for share in (0.0, refine.STRUCTURE):
        monkeypatch.setattr(refine, "STRUCTURE", share)
        data = shipped.encode(photo, 40, effort=6)
        both = (torch.tensor(p)[None].float() for p in (photo, shipped.decode(data).pixels))
        sizes.append(len(data))
        unlike.append(float(dissimilarity(*both)))
    assert sizes[1] < 1.02 * sizes[0]
    assert unlike[1] < 0.97 * unlike[0]


@torch.no_grad()
def test_what_is_lost_is_lost_behind_the_filters(shipped: Codec, photo: np.ndarray) -> None:
    weights, model, q = shipped.weights, trained.exact(shipped.weights), 600
    x = torch.tensor(photo[:128, :128]).float() - 128
    qs = torch.full((1,), q)
    y_hat = torch.from_numpy(symbols_of(shipped.networks, q, photo[:128, :128]).y_hat).float()
    planes = as_planes(model.g_s(y_hat[None], qs, model.steps(qs))[0])

    def error(kernel: Filter) -> float:
        return float((applied(kernel, planes).permute(1, 2, 0) / OUT_ONE - x).square().sum())

    filters = Filters(Filter.of_model(weights, q), side=4, columns=2)  # four tiles
    distortion = refine.Distortion(weights, q, x, slice(0, 8), filters, plain(weights.cfg.M, (8, 8)))
    first = distortion(y_hat, gradient=False, fit=True)[0]
    assert first == pytest.approx(error(filters.default), rel=0.02)  # by float networks; at first of squares alone
    assert 0 < len(filters.of_tile) <= 4
    assert distortion(y_hat, gradient=False, fit=False)[0] < first


@torch.no_grad()
def test_slopes_are_derivatives(shipped: Codec, photo: np.ndarray) -> None:
    """Against differences of the functions themselves, in random directions. Nearly: some clamps on the way let the
    gradient through, for training (`grid.requantise`)."""
    weights, q = shipped.weights, 600
    x = torch.from_numpy(photo[:96, :112].astype(np.float32)) - 128
    qs = torch.full((1,), q)
    tile = symbols_of(shipped.networks, q, photo[:96, :112])
    y_hat, z_hat = (torch.from_numpy(a).float() for a in (tile.y_hat, tile.z_hat))
    coded = torch.zeros(y_hat.shape, dtype=torch.bool)
    coded.view(-1)[torch.from_numpy(np.concatenate(tile.places)).long()] = True
    everything = slice(0, x.shape[0] // CELL)
    untouched = Filters(Filter((0,) * FILTER_NUMBERS), 64, 1)  # the slope leaves out what filters do
    place = np.random.default_rng(1).uniform(0.5, 2, y_hat.shape[:2]).astype(np.float32)
    worth = Worth(np.ones(weights.cfg.M, np.float32), place)
    distortion = refine.Distortion(weights, q, x, everything, untouched, worth)
    _, slope = distortion(y_hat, gradient=True, fit=False)
    u = slope / slope.square().mean().sqrt()

    def error(t: float) -> float:
        moved = y_hat + t * u * MEAN_ONE
        return distortion(moved, gradient=False, fit=False)[0]

    difference = (error(1e-2) - error(-1e-2)) / 2e-2
    assert difference == pytest.approx(float((slope * u).sum()), rel=0.02)

    _, slope = refine.tile_slopes(weights, q, tile)
    u = slope / slope.square().mean().sqrt()

    def bits(t: float) -> float:
        """Of y as it is, with another z."""
        total = torch.zeros((), dtype=torch.float64)

        def code(i: int, mean: torch.Tensor, index: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            nonlocal total
            part = slice(*weights.cfg.groups[i // 2])
            d = (y_hat[None, ..., part] - mean) * (1 / MEAN_ONE)
            total = total + (logistic_bits(d, index_scale(index)) * (mask & coded[None, ..., part])).double().sum()
            return y_hat[None, ..., part]

        soft = trained.soft(weights)
        soft.contexts(z_features(soft, (z_hat + t * u)[None], qs, *y_hat.shape[:2]), qs, code)
        return float(total)

    difference = (bits(1e-2) - bits(-1e-2)) / 2e-2
    assert difference == pytest.approx(float((slope * u).sum()), rel=0.02)


def test_symbols_of_z_are_the_cheapest_near_the_target(shipped: Codec) -> None:
    """All of one channel for another: by prices, by distance, by both."""
    weights = shipped.weights
    z = torch.full((2, 3, weights.cfg.N), 0.4)
    hyper = refine.Hyper(weights, 500, z)
    silent = partial(refine.gumbel, 0.0, torch.Generator())
    assert not hyper.draw(silent).any()  # at first the nearest
    tables, table = latents.z_tables(weights, 500, 1)
    for curvature in (0.0, 0.3, 1e3):
        hyper.curvature = torch.full((weights.cfg.N,), curvature)
        drawn = hyper.draw(silent)
        for channel in range(0, weights.cfg.N, 7):
            near = np.arange(-refine.Z_REACH, refine.Z_REACH + 1)
            symbol = tables.symbols(np.full(len(near), table[channel]), near)[0]
            cost = tables.bits[table[channel], symbol] + curvature * (near - 0.4) ** 2
            assert (drawn[..., channel] == near[cost.argmin()]).all()
