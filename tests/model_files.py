"""Model files for tests: the small model with something changed, and files of any header."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from conftest import VECTORS
from safetensors.numpy import save

from vaecodec.model import weights


def repack(tmp_path: Path, tensors: dict[str, np.ndarray], **metadata: str) -> Path:
    """The small model with other tensors or metadata, as a file; its hash is right unless it is given."""
    old, _ = weights.read(VECTORS / "small.safetensors")
    old |= metadata
    if "hash" not in metadata:
        old["hash"] = weights.model_hash(old["config"], tensors).hex()
    path = tmp_path / "model.safetensors"
    path.write_bytes(save({k: np.ascontiguousarray(v) for k, v in tensors.items()}, old))
    return path


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and tensors of a safetensors file."""
    (length,) = struct.unpack_from("<Q", data)
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join(header: Any, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data
