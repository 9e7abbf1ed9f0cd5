"""A shipped denoiser from a checkpoint of train_denoiser.py: python -m tools.train.export_denoiser DENOISER.pt OUT

For the shipped model, or the one of --model, which must be what it was trained for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from vaecodec.model.weights import DEFAULT, load
from vaecodec.restoration.denoiser import pack
from vaecodec.restoration.network import DenoisingAnalysis


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--model", type=Path, default=DEFAULT)
    args = p.parse_args()
    saved = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
    weights = load(args.model)
    analysis = DenoisingAnalysis(weights.cfg, saved["blocks"])
    analysis.load_state_dict(saved["ema"])
    args.out.write_bytes(pack(analysis, weights.hash))
    print(f"{args.out}: {args.out.stat().st_size} bytes, for model {weights.name} {weights.hash.hex()}")


if __name__ == "__main__":
    main()
