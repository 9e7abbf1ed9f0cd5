"""Made-up results for the report page."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 96, 64
HOSTILE = "<script>window.hacked = 1</script><!--<script>\nrm -rf.png"
RNG = np.random.default_rng(1)
ORIGINAL = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
DECODED = {  # far enough from each other that the amplified difference clips in places
    "vaec": np.clip(ORIGINAL.astype(int) + RNG.integers(-3, 4, ORIGINAL.shape), 0, 255).astype(np.uint8),
    "jpeg": np.clip(ORIGINAL.astype(int) + RNG.integers(-40, 41, ORIGINAL.shape), 0, 255).astype(np.uint8),
}
LOSSY = {"vaec": 0.6, "jpeg": 1.0, "webp": 0.8, "jpeg@old": 1.1}  # factors on the rate
METRICS = [
    {"key": "psnr", "label": "PSNR, mean over pictures", "unit": "dB"},
    {"key": "ssimulacra2", "label": "SSIMULACRA 2", "unit": ""},
]


def uri(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, exact=True)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def decode(png: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(png.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGBA"))


def point(codec: str, setting: float, picture: int = 0) -> dict[str, Any]:
    bpp = 0.01 * setting * LOSSY[codec] * (1 + picture)
    figures = {"bpp": bpp, "bytes": round(bpp * 1000), "psnr": 25 + setting / 5, "ssimulacra2": setting - 20}
    return {"picture": picture, "codec": codec, "setting": setting, **figures, "enc_s": 0.1, "dec_s": None,
            "command": f"{codec} -q {setting:g}"}  # fmt: skip


def pair(metric: str, anchor: str, test: str) -> dict[str, Any]:
    percent = 100 * (LOSSY[test] / LOSSY[anchor] - 1)
    verdict = {("jpeg", "webp"): "warned", ("webp", "vaec"): "refused"}.get((anchor, test), "ok")
    pchip = None if verdict == "refused" else percent
    overlap = {"ok": 0.91, "warned": 0.41, "refused": 0.12}[verdict]
    spread = {"n": 1, "median": percent, "min": percent, "max": percent, "values": [[0, percent], [1, None]]}
    return {"metric": metric, "anchor": anchor, "test": test, "pchip": pchip, "akima": pchip, "overlap": overlap,
            "range": [25.0, None], "verdict": verdict, "pictures": spread}  # fmt: skip


def make_data() -> dict[str, Any]:
    settings = (20.0, 50.0, 80.0)
    points = [point(c, s, p) for c in LOSSY for s in settings for p in range(2) if "@" not in c]
    exact = {"setting": None, "psnr": None, "ssimulacra2": None, "enc_s": 0.1, "dec_s": 0.1, "command": None}
    points.append({"picture": 0, "codec": "png", "bytes": 9999, "bpp": 13.4, **exact})
    names = [*LOSSY, "png"]
    view = {"crop": [8, 0, WIDTH, HEIGHT], "original": uri(ORIGINAL)}
    images = {c: point(c, 50.0) | {"src": uri(d), "bytes": 12345 if c == "vaec" else 54321} for c, d in DECODED.items()}
    low, high = {"target_bpp": 0.25, "images": list(images.values())}, {"target_bpp": 1, "images": [images["vaec"]]}
    return {
        "title": "Bench of @@data@@",
        "date": "2026-01-02",
        "command": "vaecodec bench *.png",
        "environment": {"Pillow": "13"},
        "notes": ["Every byte counts. </script>"],
        "pictures": [
            {"name": HOSTILE, "width": 2 * WIDTH, "height": HEIGHT},
            {"name": "plain.png", "width": WIDTH, "height": HEIGHT},
        ],
        "codecs": [
            {
                "name": name,
                "label": f"The {name}",
                "version": "1",
                "lossless": name == "png",
                "source": name.partition("@")[2] or "measured",
            }
            for name in names
        ],
        "metrics": METRICS,
        "points": points,
        "means": {c: [point(c, s) for s in settings] for c in LOSSY},
        "bd": [pair(m["key"], a, t) for m in METRICS for a in LOSSY for t in LOSSY if a != t],
        "lossless": [{"codec": "png", "bpp": 13.4, "enc_s": 0.1, "dec_s": None}],
        "times": [
            {"codec": "vaec", "enc_s": 0.0123, "dec_s": 4, "enc_mpx_s": 1234.5, "dec_mpx_s": None, "load_s": 0,
             "enc_mb": 80.04, "dec_mb": 80}
        ],
        "views": [
            {"picture": 0, **view, "rates": [low, high]},
            {"picture": 1, **view, "crop": [0, 0, WIDTH, HEIGHT], "rates": [high]},
        ],
        "failures": [{"picture": HOSTILE, "codec": "webp", "setting": None, "error": "<b>broken</b>"}],
    }  # fmt: skip
