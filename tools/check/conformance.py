"""Whether a decoder keeps to bitstream_spec.md: python -m tools.check.conformance [--decoder 'COMMAND {in} {out}']

Runs the command for each file of tests/vectors. {in} is a `.vaec` file, {out} the PNG file to write, {model} the model
file that it is for. A valid file must give the recorded pixels; an invalid one must be refused: an exit code other than
0, that of no crash, and no output. Without --decoder it is vaecodec's own that is tested.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.broken_models import changed

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
MODELS = {kind: VECTORS / f"{kind}.safetensors" for kind in ("small", "three")}
MODELS["base"] = ROOT / "vaecodec" / "weights" / "base.safetensors"
OWN = f"{shlex.quote(sys.executable)} -m vaecodec decode -f {{in}} {{out}}"
SECONDS = 60  # that a file may take


def run(decoder: str, source: Path, target: Path, model: Path) -> subprocess.CompletedProcess[bytes] | None:
    """The command's end; None where it did not end in time."""
    names = {"in": source, "out": target, "model": model}
    command = [part.format(**names) for part in shlex.split(decoder)]
    environment = os.environ | {"VAECODEC_MODELS": str(VECTORS)}
    try:
        return subprocess.run(command, capture_output=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return None


def fault(
    decoder: str, valid: bool, source: Path, facts: dict[str, Any], target: Path, model: Path | None = None
) -> str:
    """What the decoder does wrong with a file; empty if nothing. model: another than the facts say."""
    done = run(decoder, source, target, model or MODELS[facts["model"]])
    if done is None:
        return f"takes more than {SECONDS} seconds"
    if done.returncode < 0 or done.returncode > 125:
        return f"crashed ({done.returncode})"
    if not valid:
        return "was decoded" if done.returncode == 0 else "left an output" if target.exists() else ""
    if done.returncode:
        return f"was refused: {done.stderr.decode(errors='replace').strip()[-200:]}"
    with Image.open(target) as image:
        pixels = np.ascontiguousarray(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if list(pixels.shape) != facts["shape"]:
        return f"has the shape {pixels.shape}, not {facts['shape']}"
    return "" if hashlib.sha256(pixels.tobytes()).hexdigest() == facts["sha256"] else "has other pixels"


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--decoder", default=OWN, metavar="COMMAND", help="with {in}, {out} and, if it wants it, {model}")
    args = p.parse_args()
    record = json.loads((VECTORS / "vectors.json").read_text())
    faults = 0
    for kind, files in record.items():
        wrong = 0
        for name, facts in files.items():
            with tempfile.TemporaryDirectory() as folder:
                source = VECTORS / kind / f"{name}.vaec"
                found = fault(args.decoder, kind == "valid", source, facts, Path(folder, "out.png"))
            if found:
                wrong += 1
                print(f"{kind}/{name} ({facts.get('for') or 'breaks ' + facts['breaks']}): {found}")
        print(f"{kind}: {len(files) - wrong} of {len(files)} right", flush=True)
        faults += wrong
    return int(faults + broken_models(args.decoder) > 0)


def broken_models(decoder: str) -> int:
    """How many models that break a rule are taken. Each is the small one with some bytes exchanged."""
    record, small, wrong = json.loads((VECTORS / "models.json").read_text()), MODELS["small"].read_bytes(), 0
    for name, facts in record.items():
        with tempfile.TemporaryDirectory() as folder:
            source, model = Path(folder, "in.vaec"), Path(folder, "model.safetensors")
            source.write_bytes(bytes.fromhex(facts["file"]))
            model.write_bytes(changed(small, facts["changes"]))
            if found := fault(decoder, False, source, facts, Path(folder, "out.png"), model):
                wrong += 1
                print(f"model {name} (breaks {facts['breaks']}): {found}")
    print(f"models: {len(record) - wrong} of {len(record)} right", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
