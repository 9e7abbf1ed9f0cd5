"""The same pixels everywhere: python -m tools.check.exactness [--python OTHER_ENVIRONMENT/bin/python ...]

Decodes the valid files of tests/vectors in processes of their own, each with another setting of this machine, of
PyTorch or of the caller, and compares a hash of all pixels with the recorded ones. --python: interpreters of
environments with other versions of PyTorch, in which everything is done again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
# Name -> environment variables, and what the process sets before it decodes (see `caller`).
SETTINGS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "1 thread": ({}, {"threads": 1}),
    "2 threads": ({}, {"threads": 2}),
    "4 threads": ({}, {"threads": 4}),
    "windows 2 positions high": ({}, {"window": 2}),
    "windows 7 positions high": ({}, {"window": 7}),
    "oneDNN off": ({}, {"onednn": False}),
    "oneDNN as for SSE4.1": ({"ONEDNN_MAX_CPU_ISA": "SSE41"}, {}),
    "oneDNN as for AVX2": ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, {}),
    "PyTorch's kernels without AVX": ({"ATEN_CPU_CAPABILITY": "default"}, {}),
    "PyTorch's kernels for AVX2": ({"ATEN_CPU_CAPABILITY": "avx2"}, {}),
    "PyTorch's kernels for AVX-512": ({"ATEN_CPU_CAPABILITY": "avx512"}, {}),
    "float64": ({}, {"float64": True}),
    "within bfloat16 autocast": ({}, {"autocast": True}),
    "float32_matmul_precision medium": ({}, {"precision": "medium"}),
    "oneDNN's bfloat16 math mode": ({"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}, {}),
    "mkldnn.matmul.fp32_precision bf16": ({}, {"mkldnn": "bf16"}),
    "denormals flushed": ({}, {"flush": True}),
    "default type float64": ({}, {"default": "float64"}),
    "default type float16": ({}, {"default": "float16"}),
    "default device without memory": ({}, {"device": "meta"}),
    "within inference mode": ({}, {"inference": True}),
}


@contextmanager
def caller(how: dict[str, Any]) -> Iterator[None]:
    """What a program around the codec may have set."""
    import torch

    from vaecodec.codec import synthesis

    if "window" in how:
        synthesis.TALLEST, synthesis.WINDOW = how["window"], 0
    torch.backends.mkldnn.flags(enabled=how.get("onednn", True)).__enter__()
    if "precision" in how:
        torch.set_float32_matmul_precision(how["precision"])
    if "mkldnn" in how and hasattr(torch.backends.mkldnn, "matmul"):  # of newer versions
        torch.backends.mkldnn.matmul.fp32_precision = how["mkldnn"]
    if how.get("flush"):
        torch.set_flush_denormal(True)
    if "default" in how:
        torch.set_default_dtype(getattr(torch, how["default"]))
    if "device" in how:
        torch.set_default_device(how["device"])
    with (
        torch.autocast("cpu", torch.bfloat16, enabled=how.get("autocast", False)),
        torch.inference_mode(how.get("inference", False)),
    ):
        yield


def decoded(how: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of the pixels of each valid file, and the version of PyTorch."""
    import torch

    from vaecodec.codec import Codec
    from vaecodec.model import weights

    os.environ[weights.FOLDERS] = str(VECTORS)
    found: dict[str, str] = {"torch": str(torch.__version__)}
    with caller(how):
        codec = Codec(threads=how.get("threads", 1))
        if how.get("float64"):
            codec.weights = codec.weights.wide
        for path in sorted((VECTORS / "valid").glob("*.vaec")):
            found[path.stem] = hashlib.sha256(codec.decode(path.read_bytes()).pixels.tobytes()).hexdigest()
    return found


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--python", action="append", default=[], metavar="PATH", help="another environment's interpreter")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.worker:
        print(json.dumps(decoded(json.loads(args.worker))))
        return 0
    expected = {k: v["sha256"] for k, v in json.loads((VECTORS / "vectors.json").read_text())["valid"].items()}
    wrong = 0
    print(f"| PyTorch | setting | files of {len(expected)} with the recorded pixels |\n| --- | --- | ---: |")
    for python in (sys.executable, *args.python):
        for name, (variables, how) in SETTINGS.items():
            command = [python, "-m", "tools.check.exactness", "--worker", json.dumps(how)]
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | variables)
            if done.returncode:
                print(f"| {python} | {name} | failed: {done.stderr.strip().splitlines()[-1]} |", flush=True)
                wrong += 1
                continue
            found = json.loads(done.stdout)
            right = sum(found[name] == digest for name, digest in expected.items())
            print(f"| {found['torch']} | {name} | {right} |", flush=True)
            wrong += right < len(expected)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
