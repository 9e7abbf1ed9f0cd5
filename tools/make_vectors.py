"""Make the conformance files again: python tools/make_vectors.py [--all]

Writes tests/vectors/*.vaec and their record, vectors.json: the SHA-256 of the decoded pixels, taken from the
independent decoder of the tests. By default only the files of the shipped model are made, which
goes with every change of weights; `--all` also remakes those of the small frozen model, which is for a change
of format alone.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from tests.pictures import picture
from tests.reference_decoder import decode
from tools.data import load
from vaecodec import weights
from vaecodec.codec import Codec
from vaecodec.picture import Picture

ROOT = Path(__file__).resolve().parents[1]
VECTORS = ROOT / "tests" / "vectors"
SMALL = VECTORS / "small.safetensors"


def cases() -> dict[str, tuple[Path, Picture, float, int | None]]:
    """Name -> model, picture, quality, tile side. Of the small model's, only those named so have overlays."""
    crop = load(ROOT / "tests" / "data" / "kodim23.png")[120:376, 180:436]
    chequers = (picture(8, 8, 3) // 128 * 255).repeat(16, 0).repeat(16, 1)
    mixed = np.concatenate((chequers, crop[:128, :128]), axis=1)
    return {
        "small-rgb": (SMALL, Picture(picture(100, 140)), 75, None),
        "small-tiles": (SMALL, Picture(picture(150, 200), icc=b"icc", exif=b"exif", xmp=b"xmp"), 40, 64),
        "small-grey": (SMALL, Picture(picture(33, 65, 1)), 100, None),
        "small-grey-alpha": (SMALL, Picture(picture(70, 50, 2)), 20, 64),
        "small-alpha": (SMALL, Picture(picture(90, 130, 4)), 60, 128),
        "small-escapes": (SMALL, Picture(chequers), 100, None),
        "small-pixel": (SMALL, Picture(picture(1, 1)), 0, None),
        "small-overlay-covers": (SMALL, Picture(chequers), 50, None),
        "small-overlay-mixed": (SMALL, Picture(mixed), 100, None),
        "small-overlay-grey": (SMALL, Picture(mixed[..., :1]), 100, 64),
        "base-low": (weights.DEFAULT, Picture(crop), 5, None),
        "base-high": (weights.DEFAULT, Picture(crop[:128, :128].copy()), 100, 64),
        # Far from all that the model knows: means beyond a step, which are not skipped.
        "base-far": (weights.DEFAULT, Picture(picture(300, 1, 1)), 100, None),
        "base-middle": (weights.DEFAULT, Picture(crop), 62.3, 128),
    }


def main() -> None:
    record_path = VECTORS / "vectors.json"
    record = json.loads(record_path.read_text()) if record_path.exists() else {}
    for name, (model, source, quality, tile) in cases().items():
        if model == SMALL and "--all" not in sys.argv:
            continue
        effort = 2 if model == SMALL and "overlay" not in name else 3
        data = Codec(model, threads=1).encode(source, quality, effort=effort, tile=tile)
        pixels = decode(data, model.read_bytes())
        (VECTORS / f"{name}.vaec").write_bytes(data)
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        record[name] = {"model": name.split("-")[0], "shape": list(pixels.shape), "sha256": digest}
        print(f"{name}: {len(data)} bytes, {digest[:16]}")
    record_path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
