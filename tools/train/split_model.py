"""A model's file in two: what a decoder needs, and beside it what serves encoders only.

    python -m tools.train.split_model MODEL OUT

OUT may be MODEL. Name and hash stay, and so does every file that was coded by it. See docs/reference/models.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

from safetensors.numpy import save

from vaecodec.model import weights


def split(model: Path) -> tuple[bytes, bytes]:
    """The two files of a model's. Raises: UnsupportedError."""
    metadata, tensors = weights.read(model)
    encoder = {name: value for name, value in tensors.items() if name.startswith(weights.ENCODER)}
    decoder = {name: value for name, value in tensors.items() if name not in encoder}
    belongs = {"format": weights.ENCODER_FORMAT, "model": metadata["hash"]}
    return bytes(save(decoder, metadata)), bytes(save(encoder, belongs))


def main(model: Path, out: Path) -> None:
    decoder, encoder = split(model)
    out.write_bytes(decoder)
    weights.beside(out).write_bytes(encoder)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
