"""What an installation says of the package, for tests that run from a folder where it is not installed."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def environment(folder: Path) -> dict[str, str]:
    """For a process that finds the package, and its entry points: those of the installation, as in CI.

    Where there is none, a folder gets what pip would write of pyproject.toml.
    """
    places = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    if not importlib.metadata.entry_points(group="zarr.codecs", name="vaec"):
        import tomllib  # Python 3.11 has it, and so has everyone who has Zarr 3

        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        info = folder / "vaecodec-0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vaecodec\nVersion: 0\n")
        groups = [
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
            for group, points in project["entry-points"].items()
        ]
        (info / "entry_points.txt").write_text("\n".join(groups))
        places.append(str(folder))
    return os.environ | {"PYTHONPATH": os.pathsep.join(places)}
