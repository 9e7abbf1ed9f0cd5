"""The decoder's part of a model, which is kept when another takes its place.

    python -m tools.train.retire_model MODEL OUT

Name and hash stay, and so does every file that was coded by it. See docs/reference/models.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

from safetensors.numpy import save_file

from vaecodec.model import weights


def retire(model: Path, out: Path) -> None:
    """Write the model without what serves encoders only. Raises: UnsupportedError."""
    metadata, tensors = weights.read(model)
    save_file({k: v for k, v in tensors.items() if not k.startswith(weights.ENCODER)}, out, metadata)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    retire(Path(sys.argv[1]), Path(sys.argv[2]))
