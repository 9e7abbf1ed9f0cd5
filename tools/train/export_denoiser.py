"""A shipped denoiser from a checkpoint of train_denoiser.py: python -m tools.train.export_denoiser DENOISER.pt OUT

For the shipped model, or the one of --model, which must be what it was trained for. A shipped denoiser in the place of
the checkpoint is bound to a model whose latents mean the same as those of its own: another with the same g_a.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from vaecodec.model.tensors import tensor_file
from vaecodec.model.weights import DEFAULT, load
from vaecodec.restoration.denoiser import build, pack
from vaecodec.restoration.network import DenoisingAnalysis


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--model", type=Path, default=DEFAULT)
    args = p.parse_args()
    weights = load(args.model)
    if args.checkpoint.suffix == ".safetensors":
        with tensor_file(args.checkpoint, "denoiser") as file:
            analysis = build(file, weights.cfg)
    else:
        saved = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
        analysis = DenoisingAnalysis(weights.cfg, saved["blocks"])
        analysis.load_state_dict(saved["ema"])
    args.out.write_bytes(pack(analysis, weights.hash))
    print(f"{args.out}: {args.out.stat().st_size} bytes, for model {weights.name} {weights.hash.hex()}")


if __name__ == "__main__":
    main()
