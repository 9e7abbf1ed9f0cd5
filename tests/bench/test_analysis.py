"""Mean curves and BD-rates, against numbers that were found by other routes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.interpolate import CubicSpline

from tools.measure.bdrate import bd_rate as own_bd_rate
from vaecodec.bench.analysis import METRICS, Curve, Results, bd_rate, rising
from vaecodec.bench.rows import Row

# Mean (bpp, dB) over Kodak with Pillow 13: JPEG 4:2:0 at 5..98, WebP method 6 at 5..95, AVIF 4:4:4 speed 6 tuned for
# PSNR at 20..92.
JPEG: Curve = [(0.1543, 23.852), (0.2684, 26.672), (0.4582, 29.145), (0.7434, 31.422), (1.0838, 33.360),
               (1.7678, 36.462), (2.8416, 39.945), (4.4408, 43.174)]  # fmt: skip
WEBP: Curve = [(0.2174, 28.109), (0.3775, 30.194), (0.5772, 32.202), (0.7687, 33.732), (1.1543, 36.184),
               (2.7982, 41.660)]  # fmt: skip
AVIF: Curve = [(0.2074, 29.168), (0.4118, 31.948), (0.7583, 35.060), (1.2919, 38.302), (1.8956, 40.739),
               (3.4456, 44.496)]  # fmt: skip
PAIRS = {
    "WebP against JPEG": (JPEG, WEBP, -31.55),
    "AVIF against JPEG": (JPEG, AVIF, -45.89),
    "AVIF against WebP": (WEBP, AVIF, -22.93),
    "JPEG against WebP": (WEBP, JPEG, 46.09),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_agrees_with_other_routes(pair: str) -> None:
    """The constants: the trainer's own PCHIP and Riemann sum. And a cubic spline under adaptive quadrature, here."""
    anchor, test, expected = PAIRS[pair]
    delta = bd_rate(anchor, test)
    assert delta.pchip == pytest.approx(expected, abs=0.05)
    assert own_bd_rate(anchor, test)[0] == pytest.approx(expected, abs=0.01)
    splines = [CubicSpline([q for _, q in c], [math.log(r) for r, _ in c]) for c in (anchor, test)]
    area, _ = quad(lambda q: splines[1](q) - splines[0](q), delta.low, delta.high, limit=200)
    assert delta.pchip == pytest.approx(100 * math.expm1(area / (delta.high - delta.low)), abs=1.0)
    assert delta.akima == pytest.approx(delta.pchip, abs=1.0)


def test_a_tenth_less_everywhere_is_minus_ten_percent() -> None:
    delta = bd_rate(JPEG, [(0.9 * rate, quality) for rate, quality in JPEG])
    assert (delta.pchip, delta.akima) == (pytest.approx(-10), pytest.approx(-10))
    assert (delta.overlap, delta.verdict) == (1, "ok")


def ramp(low: float, high: float) -> Curve:
    return [(2 ** (q / 6), q) for q in np.linspace(low, high, 6)]


@pytest.mark.parametrize(
    ("low", "overlap", "verdict"), [(20, 1, "ok"), (25, 0.75, "ok"), (26, 0.7, "warned"), (33, 0.35, "refused")]
)
def test_little_overlap_is_warned_of_and_less_is_refused(low: float, overlap: float, verdict: str) -> None:
    delta = bd_rate(ramp(20, 40), ramp(low, 40))
    assert delta.overlap == pytest.approx(overlap)
    assert delta.verdict == verdict
    assert (delta.pchip is None) == (verdict == "refused")


def test_curves_apart_and_curves_of_few_points_are_refused() -> None:
    assert bd_rate(ramp(20, 25), ramp(30, 40)).overlap == 0
    assert bd_rate(JPEG, JPEG[:3]).verdict == "refused"


def test_points_that_are_no_better_than_smaller_ones_are_left_out() -> None:
    assert rising([(3, 30), (1, 20), (2, 19), (4, math.inf), (3, 31)]) == [(1, 20), (3, 30)]


def row(picture: str, codec: str, setting: float, bpp: float, mse: float, lossless: bool = False) -> Row:
    psnr = 10 * math.log10(255**2 / mse) if mse else math.inf
    size = round(bpp * 1000)
    return Row(picture, "0" * 16, 100, 80, codec, codec.upper(), lossless, "1", setting, f"{codec} {setting}", size,
               bpp, mse, psnr, 0.99, None, "", 0.1, 0.2, 1, 1, 1)  # fmt: skip


@pytest.fixture
def results() -> Results:
    rows = [
        row(p, c, s, rate * s * (1 + i), 100 / s / (1 + i))
        for i, p in enumerate(("a", "b"))
        for c, rate in (("one", 0.01), ("two", 0.008))
        for s in (10, 20, 40, 80)
    ]
    return Results([*rows, row("a", "zip", 0, 9, 0, lossless=True)])


def test_means_are_over_pictures_and_by_both_conventions(results: Results) -> None:
    mean, of_mse = METRICS[0], METRICS[1]
    bpp, quality = results.mean("one", mean, ["a", "b"])[10]
    assert bpp == pytest.approx(0.15)
    assert quality == pytest.approx((10 * math.log10(65025 / 10) + 10 * math.log10(65025 / 5)) / 2)
    assert results.mean("one", of_mse, ["a", "b"])[10][1] == pytest.approx(10 * math.log10(65025 / 7.5))


def test_bd_rate_of_results(results: Results) -> None:
    assert results.bd("one", "two", METRICS[0]).pchip == pytest.approx(-20)
    assert results.bd_pictures("one", "two", METRICS[0]) == {"a": pytest.approx(-20), "b": pytest.approx(-20)}
    assert (results.lossy, results.lossless) == (["one", "two"], ["zip"])


def test_a_picture_that_failed_leaves_every_mean_of_its_codec(results: Results) -> None:
    fewer = Results([r for r in results.rows if r.key != ("b", "two", 40)])
    assert fewer.complete("two") == ["a"]
    assert fewer.complete("one") == ["a", "b"]
    assert fewer.bd_pictures("one", "two", METRICS[0]).keys() == {"a"}


def test_steps_back_are_found(results: Results) -> None:
    assert results.steps_back("one", ["a", "b"]) == []
    bent = Results([replace(r, bpp=0.001) if r.key[1:] == ("one", 40) else r for r in results.rows])
    (line,) = bent.steps_back("one", ["a", "b"])
    assert line == "one: bpp falls from 0.3000 to 0.0010 between settings 20 and 40"
