"""tools/measure/bdrate.py against SciPy, against the bjontegaard package, and against what is known by hand."""

from __future__ import annotations

import math
from random import Random

import bjontegaard
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from tools.measure.bdrate import bd_rate, pchip

Curve = list[tuple[float, float]]

# Mean (bpp, dB) over Kodak, as tools/bench_rd.py measured them with Pillow 13.
JPEG: Curve = [(0.1543, 23.85), (0.2684, 26.67), (0.4582, 29.15), (0.7434, 31.42), (1.0838, 33.36), (1.7678, 36.46)]
WEBP: Curve = [(0.2174, 28.11), (0.3775, 30.19), (0.5772, 32.20), (0.7687, 33.73), (1.1543, 36.18), (2.7982, 41.66)]


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """x strictly increasing and any y, with flat stretches and turning points among them."""
    n = draw(st.integers(3, 12))
    gaps = draw(st.lists(st.floats(0.01, 10), min_size=n, max_size=n))
    y = draw(st.lists(st.integers(-5, 5) | st.floats(-100, 100).map(lambda v: round(v, 6)), min_size=n, max_size=n))
    return np.cumsum(gaps), np.array(y, dtype=np.float64)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    """A rate-distortion curve of 4 to 8 points, both figures rising."""
    n = draw(st.integers(4, 8))
    rate = draw(st.floats(0.05, 0.5)) * np.cumprod(draw(st.lists(st.floats(1.1, 3), min_size=n, max_size=n)))
    psnr = draw(st.floats(22, 30)) + np.cumsum(draw(st.lists(st.floats(0.3, 4), min_size=n, max_size=n)))
    return [(float(r), float(p)) for r, p in zip(rate, psnr, strict=True)]


@given(samples())
def test_pchip_is_scipys(xy: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = xy
    at = np.linspace(x[0], x[-1], 101)
    np.testing.assert_allclose(pchip(x, y, at), PchipInterpolator(x, y)(at), rtol=1e-9, atol=1e-9)


@given(curves(), st.floats(0.2, 5), st.randoms())
def test_a_scaled_curve_costs_what_it_is_scaled_by(curve: Curve, factor: float, random: Random) -> None:
    scaled = [(rate * factor, psnr) for rate, psnr in curve]
    random.shuffle(scaled)
    percent, low, high = bd_rate(curve, scaled)
    assert percent == pytest.approx(100 * (factor - 1), abs=1e-6)
    assert (low, high) == (curve[0][1], curve[-1][1])


def test_nine_tenths_of_the_rate_is_minus_ten_percent() -> None:
    assert bd_rate(JPEG, [(0.9 * rate, psnr) for rate, psnr in JPEG])[0] == pytest.approx(-10)


def test_range_is_what_both_curves_reach() -> None:
    percent, low, high = bd_rate(JPEG, WEBP)
    assert (low, high) == (28.11, 36.46)
    assert -40 < percent < -20


def test_curves_that_never_meet_have_no_rate() -> None:
    percent, low, high = bd_rate([(0.1, 20.0), (0.2, 22.0), (0.3, 24.0)], [(1.0, 30.0), (2.0, 33.0), (3.0, 35.0)])
    assert math.isnan(percent)
    assert high < low


@pytest.mark.parametrize(("anchor", "test"), [(JPEG, WEBP), (WEBP, JPEG)])
def test_agrees_with_the_bjontegaard_package(anchor: Curve, test: Curve) -> None:
    """The package integrates exactly, bd_rate by the mean of 1000 samples: a hundredth of a point apart at most."""
    expected = bjontegaard.bd_rate(
        *zip(*anchor, strict=True),
        *zip(*test, strict=True),
        method="pchip",
        require_matching_points=False,
        min_overlap=0,  # these curves share half of their range; the package warns below 0.75
    )
    assert bd_rate(anchor, test)[0] == pytest.approx(expected, abs=0.01)
