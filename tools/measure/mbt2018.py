"""compressai's mbt2018_mean, as a process of its own: it needs NumPy below 2, and so another environment.

    python -m tools.measure.mbt2018 PICTURE.npy QUALITY

Says in a line of JSON what it is, or why it is absent; then, for each line `encode` or `decode` that it reads, how many
processor seconds that took, on one thread. It needs nothing of vaecodec. Its weights are untrained: that costs it
nothing but a few coded bits.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
CELL = 64  # sides are filled up to multiples of this


class Absent(Exception):
    """Why it cannot be measured."""


def model(quality: int, picture: np.ndarray) -> dict[str, Callable[[], object]]:
    """What encodes and decodes a picture (H, W, 3)."""
    import torch
    import torch.nn.functional as F
    from compressai.zoo import mbt2018_mean

    torch.set_num_threads(1)
    net = mbt2018_mean(quality=quality, pretrained=False).eval()
    net.update()
    x = torch.tensor(picture).permute(2, 0, 1)[None].float() / 255
    x = F.pad(x, (0, -x.shape[3] % CELL, 0, -x.shape[2] % CELL), mode="replicate")
    coded: dict = {}

    def encode() -> None:
        with torch.no_grad():
            coded.update(net.compress(x))

    def decode() -> object:
        with torch.no_grad():
            return net.decompress(coded["strings"], coded["shape"])

    return {"encode": encode, "decode": decode}


def main(path: str, quality: str) -> None:
    try:
        import compressai
        import torch

        jobs = model(int(quality), np.load(path))
        jobs["encode"]()
    except ImportError as error:
        print(json.dumps({"absent": str(error)}), flush=True)
        return
    versions = f"compressai {compressai.__version__}, PyTorch {torch.__version__}, NumPy {np.__version__}"
    print(json.dumps({"versions": versions}), flush=True)
    for line in sys.stdin:
        start = time.process_time()
        jobs[line.strip()]()
        print(json.dumps({"seconds": time.process_time() - start}), flush=True)


class Child:
    """That process, started by another interpreter."""

    def __init__(self, python: str, picture: Path, quality: int) -> None:
        """Raises: Absent."""
        command = [python, "-W", "ignore", "-m", "tools.measure.mbt2018", str(picture), str(quality)]
        try:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise Absent(str(error)) from None
        said = self.answer()
        if "absent" in said:
            self.close()
            raise Absent(said["absent"])
        self.versions = said["versions"]

    def answer(self) -> dict:
        """Raises: Absent where it has ended."""
        assert self.process.stdout and self.process.stderr
        if line := self.process.stdout.readline():
            return json.loads(line)
        reason = self.process.stderr.read().strip().splitlines() or [f"it ended with code {self.process.wait()}"]
        self.close()
        raise Absent(reason[-1])

    def seconds(self, job: str) -> float:
        """Of its processor."""
        assert self.process.stdin
        print(job, file=self.process.stdin, flush=True)
        return float(self.answer()["seconds"])

    def close(self) -> None:
        self.process.communicate()


if __name__ == "__main__":
    main(*sys.argv[1:])
