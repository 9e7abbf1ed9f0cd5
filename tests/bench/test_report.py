"""What goes into the report: matched bytes, exact pixels, a size that a mail takes, valid JSON."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vaecodec.bench import report
from vaecodec.bench.analysis import Results
from vaecodec.bench.codecs import Options
from vaecodec.bench.measure import Task, codecs, load, measure
from vaecodec.bench.runner import Failure, coded_file

CROPS = Path(__file__).parents[1] / "data" / "bench"
PATHS = {path.name: path for path in sorted(CROPS.glob("*.png"))}
OPTIONS = Options()
SETTINGS = {"jpeg": (5, 20, 50, 80, 95), "webp": (5, 20, 50, 80, 95), "png": (0,)}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def results(out: Path) -> Results:
    rows = []
    for name, path in PATHS.items():
        for codec, settings in SETTINGS.items():
            for setting in settings:
                file = coded_file(out, codec, codecs(OPTIONS)[codec].suffix, name, setting)
                rows.append(measure(Task(path, name, codec, setting, file, OPTIONS, ("psnr",), "", 1, 1)))
    return Results(rows)


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_the_object_is_json_with_all_that_was_measured(results: Results) -> None:
    facts = {"title": "t", "date": "d", "command": "c", "environment": {}, "notes": []}
    failures = [Failure("x.png", "jpeg", 5, "no luck")]
    data = report.build(results, failures, facts, {"jpeg": {"load_s": 0, "encode_bytes": 1e6, "decode_bytes": 2e6}}, [])
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert len(data["points"]) == 2 * 11
    assert [c["name"] for c in data["codecs"]] == ["jpeg", "webp", "png"]
    assert {m["key"] for m in data["metrics"]} == {"psnr", "psnr_mse"}
    assert [len(data["means"][c]) for c in ("jpeg", "webp")] == [5, 5]
    assert len(data["bd"]) == 2 * 2 and all(-60 < d["pchip"] < 150 for d in data["bd"])
    assert data["bd"][0]["pictures"]["n"] == 2
    assert [row["codec"] for row in data["lossless"]] == ["png"]
    assert {t["codec"]: t["dec_mb"] for t in data["times"]} == {"jpeg": 2.0, "webp": None, "png": None}
    assert data["failures"][0]["error"] == "no luck"


def test_pictures_are_matched_in_bytes(results: Results) -> None:
    for name in PATHS:
        for rate, rows in report.matched(results, name):
            assert [row.codec for row in rows] == ["jpeg", "webp"]
            first, second = rows
            choices = [r for r in results.rows if (r.picture, r.codec) == (name, "webp")]
            assert all(
                abs(math.log(second.bytes / first.bytes)) <= abs(math.log(r.bytes / first.bytes)) for r in choices
            )
            mine = [r for r in results.rows if (r.picture, r.codec) == (name, "jpeg")]
            assert all(abs(math.log(first.bpp / rate)) <= abs(math.log(r.bpp / rate)) for r in mine)


def test_what_is_shown_is_what_was_decoded(results: Results, out: Path) -> None:
    (view, _) = report.side_by_side(results, PATHS, out, OPTIONS)
    name = results.pictures[view["picture"]]
    original = load(PATHS[name])[0]
    assert view["crop"] == [0, 0, 256, 192]
    assert np.array_equal(pixels(view["original"]), original)
    for rate in view["rates"]:
        assert [image["codec"] for image in rate["images"]] == ["jpeg", "webp"]
        for image in rate["images"]:
            shown = pixels(image["src"]).astype(float)
            assert 10 * math.log10(255**2 / np.mean((shown - original) ** 2)) == pytest.approx(image["psnr"], abs=1e-4)


def test_large_sets_keep_to_the_budget(results: Results, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = sum(map(report.weight, report.side_by_side(results, PATHS, out, OPTIONS)))
    monkeypatch.setattr(report, "FEWEST", 64)
    monkeypatch.setattr(report, "BUDGET", full // 3)
    views = report.side_by_side(results, PATHS, out, OPTIONS)
    assert len(views) == 2 and all(64 <= view["crop"][3] <= 160 for view in views)
    assert sum(map(report.weight, views)) < 0.45 * full
    monkeypatch.setattr(report, "FEWEST", 160)
    assert len(report.side_by_side(results, PATHS, out, OPTIONS)) < 2


def test_files_that_are_gone_are_left_out(results: Results, out: Path) -> None:
    gone: list[Any] = list((out / "files" / "webp").glob("kodim05*"))
    kept = {file: file.read_bytes() for file in gone}
    for file in gone:
        file.unlink()
    views = report.side_by_side(results, PATHS, out, OPTIONS)
    assert {image["codec"] for rate in views[0]["rates"] for image in rate["images"]} == {"jpeg"}
    assert {image["codec"] for rate in views[1]["rates"] for image in rate["images"]} == {"jpeg", "webp"}
    for file, data in kept.items():
        file.write_bytes(data)
