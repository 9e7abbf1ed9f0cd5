"""Where and with what a benchmark ran."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "vaecodec",
    "torch",
    "numpy",
    "pillow",
    "scipy",
    "bjontegaard",
    "pytorch-msssim",
    "imagecodecs",
)


def environment() -> dict[str, str]:
    """Machine and versions, each as a line for a person."""
    found = {"python": platform.python_version(), "system": platform.platform(), "processor": processor()}
    found["cores"] = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
