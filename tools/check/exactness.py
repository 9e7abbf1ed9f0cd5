"""The same bytes everywhere: python -m tools.check.exactness [--python OTHER_ENVIRONMENT/bin/python ...]

Decodes the valid files of tests/vectors in processes of their own, each with another kernel of the native core, another
number of threads or another setting of the caller, and compares a hash of all pixels with the recorded ones; and codes
a picture, whose file has to be the same each time. --python: interpreters of environments with other versions of
Python, NumPy and PyTorch, in which everything is done again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vaecodec.codec import windows
from vaecodec.codec.codec import Codec
from vaecodec.core.networks import KERNEL, kernels
from vaecodec.model import weights
from vaecodec.pictures.reading import read_picture

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
PICTURE = ROOT / "tests" / "data" / "kodim23.png"
EFFORTS = (1, 2, 3)  # those that are the same everywhere; the others take PyTorch, and its floats
# What the process sets before it decodes (see `caller`), by name.
SETTINGS: dict[str, dict[str, Any]] = {
    "1 thread": {"threads": 1},
    "2 threads": {"threads": 2},
    "8 threads": {"threads": 8},
    "8 threads, stripes of one position": {"threads": 8, "stripe": 1},
    "bands of one row of tiles": {"band": 1},
    "denormals flushed": {"flush": True},
    "PyTorch's default type float64": {"default": "float64"},
    "within bfloat16 autocast of PyTorch": {"autocast": True},
}


@contextmanager
def caller(how: dict[str, Any]) -> Iterator[None]:
    """What a program around the codec may have set, in PyTorch too, and how the work is divided."""
    windows.NARROWEST, windows.BAND = how.get("stripe", windows.NARROWEST), how.get("band", windows.BAND)
    if not {"flush", "default", "autocast"} & how.keys():
        yield
        return
    import torch

    if how.get("flush"):
        torch.set_flush_denormal(True)
    if "default" in how:
        torch.set_default_dtype(getattr(torch, how["default"]))
    with torch.autocast("cpu", torch.bfloat16, enabled=how.get("autocast", False)):
        yield


def coded(how: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of the pixels of each valid file and, as "files", of those of a picture; and what did this."""
    os.environ[weights.FOLDERS] = str(VECTORS)
    found = {"what": f"Python {platform.python_version()}, NumPy {np.__version__}"}
    with caller(how):
        codec = Codec()
        codec.threads = how.get("threads", 1)  # also where there are fewer processors
        for path in sorted((VECTORS / "valid").glob("*.vaec")):
            found[path.stem] = hashlib.sha256(codec.decode(path.read_bytes()).pixels.tobytes()).hexdigest()
        picture = read_picture(PICTURE, None)[0]
        files = b"".join(codec.encode(picture, 60, effort=effort) for effort in EFFORTS)
        found["files"] = hashlib.sha256(files).hexdigest()
    return found


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--python", action="append", default=[], metavar="PATH", help="another environment's interpreter")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.worker:
        print(json.dumps(coded(json.loads(args.worker))))
        return 0
    expected = {k: v["sha256"] for k, v in json.loads((VECTORS / "vectors.json").read_text())["valid"].items()}
    wrong, files = 0, ""
    print(f"| with | setting | files of {len(expected)} with the recorded pixels | coded alike |")
    print("| --- | --- | ---: | --- |")
    settings: dict[str, tuple[dict[str, str], dict[str, Any]]] = {name: ({}, how) for name, how in SETTINGS.items()}
    settings |= {f"kernel {name}": ({KERNEL: name}, {}) for name in kernels()}
    for python in (sys.executable, *args.python):
        for name, (variables, how) in settings.items():
            command = [python, "-m", "tools.check.exactness", "--worker", json.dumps(how)]
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | variables)
            if done.returncode:
                print(f"| {python} | {name} | failed: {done.stderr.strip().splitlines()[-1]} | |", flush=True)
                wrong += 1
                continue
            found = json.loads(done.stdout)
            files = files or found["files"]
            right, same = sum(found[name] == digest for name, digest in expected.items()), found["files"] == files
            print(f"| {found['what']} | {name} | {right} | {'yes' if same else 'no'} |", flush=True)
            wrong += right < len(expected) or not same
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
