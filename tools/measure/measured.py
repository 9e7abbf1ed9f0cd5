"""A command of vaecodec in a process of its own: how it ends, its processor seconds and its peak memory.

Not on Windows, which does not tell the last.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def vaecodec(*arguments: str | Path) -> tuple[int, float, int]:
    """Exit code, processor seconds and peak bytes. What it says is not shown."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report")
        command = [sys.executable, "-W", "ignore", "-m", "tools.measure.measured", str(report), *map(str, arguments)]
        code = subprocess.run(command, cwd=ROOT, capture_output=True).returncode
        seconds, memory = report.read_text().split()
        return code, float(seconds), int(memory)


if __name__ == "__main__":
    from vaecodec.bench.resources import peak_memory
    from vaecodec.cli import main

    try:
        main(sys.argv[2:])
    finally:
        Path(sys.argv[1]).write_text(f"{time.process_time()} {peak_memory()}")
