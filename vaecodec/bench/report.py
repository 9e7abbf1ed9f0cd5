"""What report.html shows, as one JSON-ready object; page/ makes the page of it."""

from __future__ import annotations

import base64
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vaecodec.bench.analysis import METRICS, Metric, Results
from vaecodec.bench.codecs import Options, Pixels
from vaecodec.bench.measure import codecs, load
from vaecodec.bench.rows import Row
from vaecodec.bench.runner import Failure, coded_file
from vaecodec.errors import VaecError

RATES = (0.25, 0.5, 1.0)  # bits per pixel at which pictures are compared side by side
CROP = 512  # pixels, at most
BUDGET = 36_000_000  # bytes of embedded pictures in all
FEWEST = 160  # a crop is not made smaller than this to meet the budget; pictures are left out instead


def build(
    results: Results,
    failures: Sequence[Failure],
    facts: Mapping[str, Any],
    resources: Mapping[str, Mapping[str, float | None]],
    views: list[dict[str, Any]],
) -> dict[str, Any]:
    """The object that the scripts of page/ read. `facts`: title, date, command, environment and notes."""
    index = {name: i for i, name in enumerate(results.pictures)}
    sizes = {row.picture: (row.width, row.height) for row in results.rows}
    metrics = results.metrics
    return clean(
        {
            **facts,
            "pictures": [{"name": n, "width": sizes[n][0], "height": sizes[n][1]} for n in results.pictures],
            "codecs": [
                {"name": n, "label": r.label, "version": r.version, "lossless": r.lossless, "source": source(n)}
                for n, r in results.codecs.items()
            ],
            "metrics": [{"key": m.key, "label": m.label, "unit": m.unit} for m in metrics],
            "points": [point(row, metrics) | {"picture": index[row.picture]} for row in results.rows],
            "means": {name: mean_points(results, name, metrics) for name in results.codecs},
            "bd": [
                deltas(results, metric, anchor, test, index)
                for metric in metrics
                for anchor in results.lossy
                for test in results.lossy
                if anchor != test
            ],
            "lossless": [
                {"codec": name, "bpp": statistics.fmean(r.bpp for r in rows), **seconds(rows)}
                for name in results.lossless
                if (rows := [r for r in results.rows if r.codec == name])
            ],
            "times": [times(results, name, resources.get(name, {})) for name in results.codecs if "@" not in name],
            "views": views,
            "failures": [asdict(f) for f in failures],
        }
    )


def source(codec: str) -> str:
    return codec.partition("@")[2] or "measured"


def point(row: Row, metrics: Sequence[Metric]) -> dict[str, Any]:
    """One measured point with every metric of its picture."""
    fields = ("codec", "setting", "bytes", "bpp", "enc_s", "dec_s", "command")
    return {key: getattr(row, key) for key in fields} | {m.key: m.of(row) for m in metrics}


def mean_points(results: Results, codec: str, metrics: Sequence[Metric]) -> list[dict[str, float]]:
    pictures = results.complete(codec)
    points: dict[float, dict[str, float]] = {}
    for metric in metrics:
        for setting, (bpp, quality) in results.mean(codec, metric, pictures).items():
            points.setdefault(setting, {"setting": setting, "bpp": bpp})[metric.key] = quality
    return sorted(points.values(), key=lambda p: p["bpp"])


def deltas(results: Results, metric: Metric, anchor: str, test: str, index: Mapping[str, int]) -> dict[str, Any]:
    delta = results.bd(anchor, test, metric)
    values = results.bd_pictures(anchor, test, metric)
    known = [v for v in values.values() if v is not None]
    spread = {"median": statistics.median(known), "min": min(known), "max": max(known)} if known else {}
    return {
        "metric": metric.key,
        "anchor": anchor,
        "test": test,
        "pchip": delta.pchip,
        "akima": delta.akima,
        "overlap": delta.overlap,
        "range": [delta.low, delta.high],
        "verdict": delta.verdict,
        "pictures": {"n": len(known), **spread, "values": [[index[p], v] for p, v in values.items()]},
    }


def seconds(rows: Sequence[Row]) -> dict[str, float]:
    return {key: statistics.median(getattr(r, key) for r in rows) for key in ("enc_s", "dec_s")}


def times(results: Results, codec: str, used: Mapping[str, float | None]) -> dict[str, Any]:
    rows = [row for row in results.rows if row.codec == codec]
    pixels = sum(row.width * row.height for row in rows) / 1e6
    return {
        "codec": codec,
        **seconds(rows),
        "enc_mpx_s": pixels / max(sum(r.enc_s for r in rows), 1e-9),
        "dec_mpx_s": pixels / max(sum(r.dec_s for r in rows), 1e-9),
        "load_s": used.get("load_s"),
        "enc_mb": megabytes(used.get("encode_bytes")),
        "dec_mb": megabytes(used.get("decode_bytes")),
    }


def megabytes(size: float | None) -> float | None:
    return None if size is None else size / 1e6


def clean(value: Any) -> Any:
    """JSON has no infinity: null stands for it, as for what was not measured."""
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [clean(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# Pictures side by side


def matched(results: Results, picture: str) -> list[tuple[float, list[Row]]]:
    """For each rate the rows of the lossy codecs that are nearest in bytes to the first codec's nearest."""
    names = [name for name in results.lossy if "@" not in name]
    rows = {name: [r for r in results.rows if (r.picture, r.codec) == (picture, name)] for name in names}
    rates = []
    for rate in RATES:
        first = next((rows[name] for name in names if rows[name]), [])
        if not first:
            break
        target = min(first, key=lambda r: abs(math.log(r.bpp / rate))).bytes
        nearest = [min(rows[n], key=lambda r: abs(math.log(r.bytes / target))) for n in names if rows[n]]
        rates.append((rate, nearest))
    return rates


def side_by_side(results: Results, paths: Mapping[str, Path], out: Path, options: Options) -> list[dict[str, Any]]:
    """Crops of every picture, decoded from the files that were measured, at matched bytes; lossless WebP.

    The crops shrink, then pictures are left out, until all fit the budget.
    """
    pictures = [name for name in results.pictures if name in paths]
    if not pictures:
        return []
    # The budget is met by what a few pictures show to be needed.
    sample = pictures[:: max(1, len(pictures) // 4)]
    trial = [view(results, name, paths[name], out, options, CROP) for name in sample]
    share = sum(weight(v) for v in trial) / len(sample) * len(pictures) / BUDGET
    area = statistics.fmean(v["crop"][2] * v["crop"][3] for v in trial)
    side = CROP if share <= 1 else max(FEWEST, int(math.sqrt(area / share)) // 16 * 16)
    views, total = [], 0
    for name in pictures:
        made = view(results, name, paths[name], out, options, side)
        total += weight(made)
        if total > 1.08 * BUDGET:
            break
        views.append(made | {"picture": results.pictures.index(name)})
    return views


def weight(view: Mapping[str, Any]) -> int:
    return len(view["original"]) + sum(len(image["src"]) for rate in view["rates"] for image in rate["images"])


def view(results: Results, name: str, path: Path, out: Path, options: Options, side: int) -> dict[str, Any]:
    pixels, _ = load(path)
    h, w = (min(side, s) for s in pixels.shape[:2])
    y, x = (pixels.shape[0] - h) // 2, (pixels.shape[1] - w) // 2
    rates = []
    for rate, rows in matched(results, name):
        images = []
        for row in rows:
            codec = codecs(options)[row.codec]
            file = coded_file(out, row.codec, codec.suffix, name, row.setting)
            try:
                decoded = codec.decode(file.read_bytes())
            except (VaecError, OSError):  # gone since it was measured
                continue
            images.append(point(row, METRICS) | {"src": data_uri(decoded[y : y + h, x : x + w])})
        rates.append({"target_bpp": rate, "images": images})
    return {"crop": [x, y, w, h], "original": data_uri(pixels[y : y + h, x : x + w]), "rates": rates}


def data_uri(pixels: Pixels) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "WEBP", lossless=True, quality=50, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
