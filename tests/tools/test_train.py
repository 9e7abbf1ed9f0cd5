"""tools/train/train.py: what a run keeps."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tools.train.train import Run


def test_the_best_so_far_is_kept_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.__new__(Run)
    run.path, run.best = tmp_path / "checkpoint.pt", math.inf
    monkeypatch.setattr(Run, "save", lambda self: self.path.write_text(f"{count} {self.best}"))
    kept = []
    for count, bd in enumerate([math.nan, -3.0, -2.0, -4.5, math.inf, math.nan]):  # noqa: B007
        run.keep(bd)
        best = tmp_path / "best.pt"
        kept.append(best.read_text() if best.exists() else "")
    assert kept == ["", "1 -3.0", "1 -3.0", "3 -4.5", "3 -4.5", "3 -4.5"]
    assert run.path.read_text() == "5 -4.5"
