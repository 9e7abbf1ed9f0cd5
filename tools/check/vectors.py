"""All vectors by the package alone, without pytest: for machines that have nothing but Python and NumPy.

    python -m tools.check.vectors

Decodes each valid file and compares the hash of its pixels, sees that each invalid one is refused, and codes a picture,
whose bytes must be the same on every machine. Ends with 1 where anything differs.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np

from vaecodec.codec.codec import Codec
from vaecodec.core import networks
from vaecodec.errors import VaecError
from vaecodec.model.weights import DEFAULT

VECTORS = Path(__file__).parents[2] / "tests" / "vectors"
CODED = "0e71ef9f7d3b785fd669ae465613643fe3229c881b38ca8657fea3abecfbd35e"  # SHA-256 of a drawn picture's file


def codecs() -> dict[str, Codec]:
    """By the name that the record gives their models."""
    models = {"base": DEFAULT} | {kind: VECTORS / f"{kind}.safetensors" for kind in ("small", "three")}
    return {name: Codec(path, threads=1) for name, path in models.items()}


def faults() -> list[str]:
    """What differs."""
    record, known, found = json.loads((VECTORS / "vectors.json").read_text()), codecs(), []
    for name, facts in record["valid"].items():
        pixels = known[facts["model"]].decode((VECTORS / "valid" / f"{name}.vaec").read_bytes()).pixels
        if hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest() != facts["sha256"]:
            found.append(f"{name}: other pixels")
    for name, facts in record["invalid"].items():
        try:
            known[facts["model"]].decode((VECTORS / "invalid" / f"{name}.vaec").read_bytes())
            found.append(f"{name}: was decoded")
        except VaecError:
            pass
    digest = hashlib.sha256(known["base"].encode(drawn(), 60, effort=2)).hexdigest()
    return found if digest == CODED else [*found, f"a picture is coded as {digest}"]


def drawn() -> np.ndarray:
    """A picture of 100 x 84 pixels with edges, slopes and noise."""
    y, x = np.mgrid[:84, :100]
    noise = (x * 7919 + y * 104729) * 2654435761 % 2**32 >> 28
    planes = (2 * x + noise) % 256, (3 * y + noise) % 256, (x // 20 + y // 14) % 2 * 180 + noise
    return np.stack(planes, axis=2).astype(np.uint8)


def main() -> None:
    start = time.process_time()
    found = faults()
    kernel = {number: name for name, number in networks.kernels().items()}[networks.kernel()]
    print(
        f"{platform.machine()} {sys.byteorder}-endian, kernel {kernel}: {len(found)} faults, "
        f"{time.process_time() - start:.0f} s of CPU"
    )
    for fault in found:
        print(fault)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
