"""Mean curves and BD-rates of bench results.

BD-rate: Bjontegaard, VCEG-M33 (2001), by the package `bjontegaard`; PCHIP is the headline, as in JVET's common
test conditions, Akima stands beside it (Herglotz et al., arXiv:2202.12565, on why not cubic polynomials).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vaecodec.bench.rows import Row
from vaecodec.metrics.scores import decibel, psnr_of_mse

WARN_BELOW, REFUSE_BELOW = 0.75, 0.60  # share of the two quality ranges that is common
LEAST_POINTS = 4

Curve = list[tuple[float, float]]  # (bpp, quality) by rising setting


@dataclass(frozen=True)
class Metric:
    """A measure of quality: of one row, and of a codec at one setting over several pictures."""

    key: str
    label: str
    unit: str
    of: Callable[[Row], float | None]
    over: Callable[[Sequence[Row]], float | None]


def mean_of(of: Callable[[Row], float | None]) -> Callable[[Sequence[Row]], float | None]:
    def mean(rows: Sequence[Row]) -> float | None:
        values = [value for row in rows if (value := of(row)) is not None]
        return statistics.fmean(values) if values and len(values) == len(rows) else None

    return mean


def ms_ssim_db(row: Row) -> float | None:
    return None if row.ms_ssim is None else decibel(row.ms_ssim)


def psnr_of_mean_mse(rows: Sequence[Row]) -> float:
    return psnr_of_mse(statistics.fmean(row.mse for row in rows))


METRICS = (
    Metric("psnr", "PSNR, mean over pictures", "dB", lambda r: r.psnr, mean_of(lambda r: r.psnr)),
    Metric("psnr_mse", "PSNR of the mean squared error over pictures", "dB", lambda r: r.psnr, psnr_of_mean_mse),
    Metric("ms_ssim_db", "MS-SSIM, -10 log10(1 - x), mean over pictures", "dB", ms_ssim_db,
           mean_of(ms_ssim_db)),
    Metric("ssimulacra2", "SSIMULACRA2, mean over pictures", "", lambda r: r.ssimulacra2,
           mean_of(lambda r: r.ssimulacra2)),
)  # fmt: skip


@dataclass(frozen=True)
class Delta:
    """A BD-rate in percent; negative: `test` needs less than `anchor`. None where refused."""

    pchip: float | None
    akima: float | None
    overlap: float
    low: float
    high: float
    verdict: str  # ok, warned, refused


def bd_rate(anchor: Curve, test: Curve) -> Delta:
    """BD-rate of two curves over the quality range that they share.

    Points where more bits gave no more quality are left out, as interpolation needs both to rise.
    """
    from bjontegaard import bd_rate as package

    curves = [rising(anchor), rising(test)]
    if min(len(c) for c in curves) < LEAST_POINTS:
        return Delta(None, None, 0.0, math.nan, math.nan, "refused")
    lows, highs = [c[0][1] for c in curves], [c[-1][1] for c in curves]
    low, high = max(lows), min(highs)
    overlap = max(0.0, high - low) / (max(highs) - min(lows))
    if overlap < REFUSE_BELOW:
        return Delta(None, None, overlap, low, high, "refused")
    (rate_a, quality_a), (rate_t, quality_t) = (list(zip(*c, strict=True)) for c in curves)
    pchip, akima = (
        float(package(rate_a, quality_a, rate_t, quality_t, method, require_matching_points=False, min_overlap=0))
        for method in ("pchip", "akima")
    )
    return Delta(pchip, akima, overlap, low, high, "ok" if overlap >= WARN_BELOW else "warned")


def rising(curve: Curve) -> Curve:
    """The points by rising rate, less those that are no better than one that is smaller."""
    kept: Curve = []
    for bpp, quality in sorted(curve):
        if math.isfinite(quality) and (not kept or (bpp > kept[-1][0] and quality > kept[-1][1])):
            kept.append((bpp, quality))
    return kept


class Results:
    """Rows by codec and picture, and what follows from them."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)
        self.pictures = list(dict.fromkeys(row.picture for row in self.rows))
        self.codecs = {row.codec: row for row in self.rows}  # any row: for label, version, lossless
        self.table = {row.key: row for row in self.rows}
        self.settings = {name: sorted({row.setting for row in self.rows if row.codec == name}) for name in self.codecs}
        self.metrics = [m for m in METRICS if any(m.of(row) is not None for row in self.rows)]

    @property
    def lossy(self) -> list[str]:
        return [name for name, row in self.codecs.items() if not row.lossless]

    @property
    def lossless(self) -> list[str]:
        return [name for name, row in self.codecs.items() if row.lossless]

    def complete(self, *codecs: str) -> list[str]:
        """The pictures that these codecs have coded at every setting of theirs: means are over those."""
        return [p for p in self.pictures if all((p, c, s) in self.table for c in codecs for s in self.settings[c])]

    def mean(self, codec: str, metric: Metric, pictures: Sequence[str]) -> dict[float, tuple[float, float]]:
        """Setting -> (mean bpp, quality over the pictures)."""
        points = {}
        for setting in self.settings[codec]:
            rows = [self.table[p, codec, setting] for p in pictures]
            if rows and (quality := metric.over(rows)) is not None:
                points[setting] = statistics.fmean(row.bpp for row in rows), quality
        return points

    def single(self, codec: str, metric: Metric, picture: str) -> Curve:
        rows = (self.table.get((picture, codec, s)) for s in self.settings[codec])
        return [(row.bpp, q) for row in rows if row is not None and (q := metric.of(row)) is not None]

    def bd(self, anchor: str, test: str, metric: Metric) -> Delta:
        """BD-rate of the mean curves over the pictures that both codecs have."""
        pictures = self.complete(anchor, test)
        return bd_rate(*(list(self.mean(name, metric, pictures).values()) for name in (anchor, test)))

    def bd_pictures(self, anchor: str, test: str, metric: Metric) -> dict[str, float | None]:
        """BD-rate (PCHIP) of each picture; None where refused."""
        return {
            p: bd_rate(self.single(anchor, metric, p), self.single(test, metric, p)).pchip
            for p in self.complete(anchor, test)
        }

    def steps_back(self, codec: str, pictures: Sequence[str]) -> list[str]:
        """Where the mean curve of some pictures loses size or PSNR over a dial's rising settings."""
        points = list(self.mean(codec, METRICS[0], pictures).items())
        if points and points[0][1][0] > points[-1][1][0]:  # a dial that runs the other way, such as a distance
            points.reverse()
        return [
            f"{codec}: {what} falls from {a[i]:.4f} to {b[i]:.4f} between settings {s:g} and {t:g}"
            for (s, a), (t, b) in pairwise(points)
            for i, what in enumerate(("bpp", "PSNR"))
            if b[i] < a[i]
        ]
