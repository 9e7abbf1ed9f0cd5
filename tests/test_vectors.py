"""The conformance files decode to the pinned pixels, with the package and with the independent decoder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import VECTORS
from reference_decoder import decode

from vaecodec import weights
from vaecodec.codec import Codec
from vaecodec.container import Header, Tile, pack_chunk

RECORD = json.loads((VECTORS / "vectors.json").read_text())
MODELS: dict[str, Path] = {"small": VECTORS / "small.safetensors", "base": weights.DEFAULT}


def test_every_file_is_recorded() -> None:
    assert {p.stem for p in VECTORS.glob("*.vaec")} == set(RECORD)


@pytest.mark.parametrize("name", RECORD)
def test_pixels(name: str) -> None:
    data = (VECTORS / f"{name}.vaec").read_bytes()
    model = MODELS[RECORD[name]["model"]]
    for pixels in (Codec(model, threads=1).decode(data).pixels, decode(data, model.read_bytes())):
        assert list(pixels.shape) == RECORD[name]["shape"]
        assert hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest() == RECORD[name]["sha256"]


def test_the_small_model_is_small_and_frozen() -> None:
    assert MODELS["small"].stat().st_size < 150_000
    metadata, _ = weights.read(MODELS["small"])
    assert metadata["hash"].startswith(SMALL_HASH)


SMALL_HASH = "4c95c6d8cb993209"


def test_container_bytes_are_pinned() -> None:
    """Given fields, given bytes: these may only change with the format's version."""
    header = Header(1, 300, 200, 3, 8, 623, 4, 1, 200, "base", bytes(range(8)))
    assert header.pack().hex() == "012c010000c800000003086f020401c8" + "6261736500000000" + "0001020304050607"
    tile = Tile(1, b"\0\0\1\0\1\0\1\0", (b"e", b"zz", b"lowlow", b"h" * 200, b""))
    assert tile.pack() == b"\x01\x01\x02\x06\xc8\x01\x00" + b"\0\0\1\0\1\0\1\0" + b"ezzlowlow" + b"h" * 200
    assert pack_chunk("DONE", b"").hex() == "00000000444f4e451f0db826"
