"""The tool that sorts odd files: encoded, refused, wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.picture_files import noise
from tools.check import odd_files


def picture(height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8, smooth."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4, y * 5, x + y], axis=2).astype(np.uint8)


def test_files_are_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(picture(40, 50)).save(tmp_path / "a.png")
    Image.fromarray(picture(40, 50)).convert("P").save(tmp_path / "a.gif")
    Image.fromarray(noise(9, 9, 1, np.uint16)[..., 0]).save(tmp_path / "a.tif")
    (tmp_path / "bad.bmp").write_bytes(b"BM" + bytes(99))
    (tmp_path / "none.txt").write_bytes(b"")
    monkeypatch.setattr(sys, "argv", ["odd_files", f"ours={tmp_path}", "--show", "palette"])
    assert odd_files.main() == 0
    told = capsys.readouterr().out
    assert "| ours | 4 | 3 | 1 | 0 |" in told and f"{tmp_path}/a.gif" in told
    assert "| this kind of BMP file is not supported | 1 |" in told


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    path, back = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(picture(40, 50)).save(path)
    said = {"ok": True, "notes": []}
    for other in (255 - picture(40, 50), picture(40, 51)):
        Image.fromarray(other).save(back)
        assert odd_files.outcome(path, said, back, decoded=True).kind == "wrong"
    Image.fromarray(picture(40, 50)).save(back)
    assert odd_files.outcome(path, said, back, decoded=True).kind == "encoded"
    assert odd_files.outcome(path, None, back, decoded=False).why == "no result"
    refusal = {"ok": False, "error": "the picture is damaged or truncated"}
    assert odd_files.outcome(path, refusal, back, decoded=False).kind == "wrong"
    path.write_bytes(b"nothing")
    assert odd_files.outcome(path, refusal, back, decoded=False).kind == "refused"
