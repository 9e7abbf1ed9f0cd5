"""The named rules of bitstream_spec.md about model files and arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import VECTORS
from safetensors.numpy import save

from tests.model_files import repack
from vaecodec.codec import Codec
from vaecodec.entropy import rans
from vaecodec.errors import UnsupportedError
from vaecodec.model import trained, weights
from vaecodec.model.architecture import FEATURE_MAX, Config
from vaecodec.model.exact import Linear
from vaecodec.model.networks import Model
from vaecodec.model.tensors import read_file


def test_M1_frequencies_sum_to_one(small: Codec) -> None:
    tables = small.weights.y_tables
    frequency = tables.frequency.copy()
    assert (frequency.sum(1) == 65536).all()
    frequency[0, 0] += 1
    with pytest.raises(ValueError, match="sum"):
        rans.Tables(tables.low, tables.size, frequency)


@pytest.mark.parametrize("table, low, high", [("step", 1, 32767), ("index_bias", -2047, 2047)])
def test_M2_quality_tables_are_in_range(table: str, low: int, high: int) -> None:
    module = getattr(Model(Config(C=4, M=8, N=2, D=4, low=4)), table)
    for value in (low, high):
        module.freeze(torch.full((9, 8), value))
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match="range"):
            module.freeze(torch.full((9, 8), value))


def test_M3_model_names_fit_the_header(tmp_path: Path) -> None:
    _, tensors = weights.read(VECTORS / "small.safetensors")
    assert weights.load(repack(tmp_path, tensors, name="12345678")).name == "12345678"
    for name in ("", "a b", "ninechars"):
        with pytest.raises(UnsupportedError, match="name"):
            weights.load(repack(tmp_path, tensors, name=name))


def test_M4_a_damaged_or_incomplete_model_is_refused(tmp_path: Path) -> None:
    _, tensors = weights.read(VECTORS / "small.safetensors")
    weights.load(repack(tmp_path, tensors))
    changed = tensors | {"g_s.leave.k": tensors["g_s.leave.k"] + 30}
    for make in (
        lambda: repack(tmp_path, tensors, hash="00" * 32),
        lambda: repack(tmp_path, tensors, config="{}"),
        lambda: repack(tmp_path, changed),
        lambda: repack(tmp_path, {k: v for k, v in tensors.items() if k != "g_s.leave.w"}),
        lambda: repack(tmp_path, tensors | {"step.t": tensors["step.t"][:, :3]}),
        lambda: repack(tmp_path, tensors | {"step.t": tensors["step.t"].astype(np.int32)}),
        lambda: repack(tmp_path, tensors | {"g_s.leave.w": tensors["g_s.leave.w"].astype(np.float64) * np.nan}),
        lambda: repack(tmp_path, tensors | {"y.low": tensors["y.low"][None]}),
    ):
        with pytest.raises(UnsupportedError):
            weights.load(make())
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(UnsupportedError, match="unusable"):
        weights.load(tmp_path / "junk")


@pytest.mark.parametrize(
    "change",
    [
        {"C": 0},
        {"C": -1},
        {"C": 10**9},
        {"M": 2**40},
        {"N": 1.5},
        {"D": None},
        {"low": 10**3},
        {"mid": 0},
        {"mid": 8},  # as many as `low`
        {"mid": 16},  # as M
        {"mid": 9.5},
        {"blocks_s": 10**9},
        {"blocks_c": -1},
        {"skip": "0"},
        {"more": 1},
    ],
)
def test_M4_configs_that_are_none(tmp_path: Path, change: dict[str, object]) -> None:
    """The first of them by fuzzing. None takes memory for what it says."""
    metadata, tensors = weights.read(VECTORS / "small.safetensors")
    config = json.loads(metadata["config"])
    with pytest.raises(UnsupportedError):
        weights.load(repack(tmp_path, tensors, config=json.dumps(config | change)))


@pytest.mark.parametrize("config", ["", "3", "[]", "{", '"x"', "null", "[" * 100_000])
def test_M4_configs_that_are_no_objects(tmp_path: Path, config: str) -> None:
    _, tensors = weights.read(VECTORS / "small.safetensors")
    with pytest.raises(UnsupportedError):
        weights.load(repack(tmp_path, tensors, config=config))


@pytest.mark.parametrize("key", ["config", "hash", "name", "format"])
def test_M4_metadata_that_lacks_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """By fuzzing."""
    metadata, tensors = read_file(VECTORS / "small.safetensors")
    del metadata[key]
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(tensors, metadata))
    with pytest.raises(UnsupportedError):
        weights.load(path)
    monkeypatch.setenv(weights.FOLDERS, str(tmp_path))
    with pytest.raises(UnsupportedError):
        weights.find("nobody", bytes(8))


def test_M5_tables_of_y_begin_at_even_values(tmp_path: Path) -> None:
    _, tensors = weights.read(VECTORS / "small.safetensors")
    for changed in (tensors["y.low"] + 1, tensors["y.low"][:64]):
        with pytest.raises(UnsupportedError):
            weights.load(repack(tmp_path, tensors | {"y.low": changed}))


def test_M6_default_filters_are_not_too_strong(tmp_path: Path) -> None:
    """Nor any between two anchors: of 290 and 580 in L[0], and 580 and 290 in L[1], one is."""
    _, tensors = weights.read(VECTORS / "small.safetensors")
    table = np.zeros((9, 36), np.int16)
    table[:2, :2] = ((290, 580), (580, 290))
    weights.load(repack(tmp_path, tensors | {"filter.t": (table * 3 // 4).astype(np.int16)}))
    for bad in (table, table[:, :35], table.astype(np.int32)):
        with pytest.raises(UnsupportedError):
            weights.load(repack(tmp_path, tensors | {"filter.t": bad}))


def test_A1_layers_that_could_overflow_are_refused(small: Codec) -> None:
    layer = Linear(4, 1, limit=FEATURE_MAX)
    k = torch.zeros(1)
    layer.freeze(torch.full((1, 4), 2048), torch.zeros(1), k)  # 4 * 2048 * 2047 < 2^24
    with pytest.raises(ValueError, match="overflow"):
        layer.freeze(torch.full((1, 4), 2050), torch.zeros(1), k)
    for module in trained.exact(small.weights).modules():
        if isinstance(module, Linear) and module.limit is not None:
            w, b, _ = module.grid_weights()
            assert (w.abs().sum(1) * module.limit + b.abs()).max() < 2.0**module.bits
