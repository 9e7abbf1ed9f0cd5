"""Load time and peak memory of a codec, each direction in a fresh process that does nothing else.

Run as `python -m vaecodec.bench.resources` by `of_codec`; a process that has coded before would show its past.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from vaecodec.bench.codecs import BenchCodec, Options, Pixels, catalogue
from vaecodec.bench.measure import load

try:
    import resource
except ModuleNotFoundError:  # not on Windows
    resource = None  # type: ignore[assignment]

STATUS = Path("/proc/self/status")


def peak_memory() -> int | None:
    """Largest resident size of this process so far, in bytes; None where the system does not tell."""
    if STATUS.exists():  # ru_maxrss of a child starts at its parent's size: Linux carries it over exec
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return _largest("RUSAGE_SELF")


def _largest(whose: str) -> int | None:
    """The largest resident size of this process or of any of its children, by their name in `resource`."""
    if resource is None:
        return None
    size = resource.getrusage(getattr(resource, whose)).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def of_codec(name: str, options: Options, pixels: Pixels, setting: float) -> dict[str, float | None]:
    """Seconds to load, peak bytes to encode and to decode one picture, each in all and when only loaded.

    Raises: RuntimeError where the codec fails.
    """
    result: dict[str, float | None] = {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "picture.npy"), pixels)
        for direction in ("encode", "decode"):
            model = str(options.model) if options.model else None
            order = [name, options.threads, model, options.external, setting, direction, folder]
            command = [sys.executable, "-m", "vaecodec.bench.resources", json.dumps(order)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError((done.stderr.strip().splitlines() or ["no reason given"])[-1])
            said = json.loads(done.stdout.splitlines()[-1])
            result |= {"load_s": said["load_s"], f"{direction}_bytes": said["peak"], "loaded_bytes": said["loaded"]}
    return result


def of_codecs(codecs: Mapping[str, BenchCodec], options: Options, path: Path) -> dict[str, dict[str, float | None]]:
    """`of_codec` for each, on one picture, at the middle of each dial; a codec that fails here is left out."""
    pixels, _ = load(path)
    used = {}
    for name, codec in codecs.items():
        with suppress(RuntimeError, OSError, ValueError):
            used[name] = of_codec(name, options, pixels, codec.settings[len(codec.settings) // 2])
    return used


def child(
    name: str, threads: int, model: str | None, external: list[list[str]], setting: float, direction: str, folder: str
) -> None:
    start = time.perf_counter()
    options = Options(threads, Path(model) if model else None, tuple((n, enc, dec) for n, enc, dec in external))
    codec = catalogue(options)[name]
    codec.load()
    load_s, loaded = time.perf_counter() - start, peak_memory()
    coded = Path(folder, "coded")
    if direction == "encode":
        coded.write_bytes(codec.encode(np.load(Path(folder, "picture.npy")), setting))
    else:
        codec.decode(coded.read_bytes())
    is_program = codec.seconds is not None
    peak = _largest("RUSAGE_CHILDREN") if is_program else peak_memory()
    print(json.dumps({"load_s": load_s, "loaded": loaded, "peak": peak}))


if __name__ == "__main__":
    child(*json.loads(sys.argv[1]))
