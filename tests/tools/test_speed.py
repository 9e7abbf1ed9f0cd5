"""The parts of tools/measure/speed.py on a small picture."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tools.measure import speed, torch_path, work
from tools.measure.mbt2018 import Absent, Child
from vaecodec.bench.codecs import Options, catalogue
from vaecodec.codec import Codec
from vaecodec.metrics.scores import psnr


@pytest.fixture
def crop(clean: np.ndarray) -> np.ndarray:
    """Of sides that are no multiples of a cell."""
    return clean[20:121, 30:163]


@pytest.mark.parametrize("tile", [None, 64])
def test_torch_path_makes_the_pixels_of_the_core(small: Codec, crop: np.ndarray, tile: int | None) -> None:
    data = small.encode(crop, 70, tile=tile)
    assert np.array_equal(torch_path.decode(small, data), small.decode(data).pixels)


def test_torch_path_makes_files_like_those_of_the_core(small: Codec, crop: np.ndarray) -> None:
    files = [small.encode(crop, 70), torch_path.encode(small, crop, 70)]
    assert len(files[1]) == pytest.approx(len(files[0]), rel=0.02)
    mine, theirs = (psnr(crop, small.decode(data).pixels) for data in files)
    assert mine == pytest.approx(theirs, abs=0.1)


def test_every_rival_has_a_row(small: Codec, crop: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "DIALS", {"jpeg": range(1, 96)})
    rivals = speed.compare(crop, small, 70, "no-such-python", 1)
    rows = list(speed.table(crop, rivals))
    names = ["vaecodec, core", "vaecodec, PyTorch", "JPEG 4:2:0, optimised, progressive", "mbt2018_mean quality 4"]
    assert [r.name for r in rivals] == names
    assert len(rows) == 1 + 2 * len(names) and all(rows[1 + i].startswith(name) for i, name in enumerate(names))
    assert "absent" in rows[-1] and all(r.seconds.keys() == {"encode", "decode"} for r in rivals[:-1])


def test_the_nearest_quality_is_found(crop: np.ndarray) -> None:
    jpeg = catalogue(Options())["jpeg"]
    setting, data = speed.matched(jpeg, range(1, 96), crop, 32)
    near = [abs(psnr(crop, jpeg.decode(jpeg.encode(crop, setting + by))) - 32) for by in (-1, 0, 1)]
    assert near[1] == min(near) and data == jpeg.encode(crop, setting)


def test_parts_of_the_work_add_up(small: Codec, crop: np.ndarray) -> None:
    data = small.encode(crop, 70)
    parts = speed.parts_of(lambda: small.decode(data), work.NETWORKS["decode"])
    assert parts["networks"] == pytest.approx(sum(parts[name] for name in work.NETWORKS["decode"]))
    assert 0 < parts["networks"] + parts["filter"] + parts["symbols"] + parts["the rest"] <= parts["all"] * 1.001
    rows = list(speed.networks(crop, small, 70, 1, work.peak(0.05)))
    assert sum("of peak" in row for row in rows) == 1 and sum("networks" in row for row in rows) == 2


def test_an_interpreter_without_compressai_says_so(crop: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "picture.npy", crop)
    try:
        child = Child(sys.executable, tmp_path / "picture.npy", 4)
    except Absent as reason:
        assert "compressai" in str(reason)
    else:
        assert child.seconds("decode") > 0
        child.close()


def test_processes_and_packages_have_rows() -> None:
    assert speed.process("nothing", 1, "-c", "pass").startswith("  nothing")
    assert "torch" in "".join(speed.disk())
