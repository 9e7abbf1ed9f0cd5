"""The plain description of the networks names what the networks of PyTorch are made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.random_models import CONFIGS, model
from vaecodec.model import trained
from vaecodec.model.architecture import ANCHORS, Config, Layer, Table, decoding, encoding, quality_lambda, table_row
from vaecodec.model.exact import declared
from vaecodec.model.networks import Model, QualityTable

ALL = pytest.mark.parametrize("cfg", [Config(), *CONFIGS], ids=range(1 + len(CONFIGS)))


@ALL
def test_what_decoders_need(cfg: Config) -> None:
    """Shapes, limits, bits and ranges."""
    described = decoding(cfg)
    modules = dict(trained.decoding(declared(lambda: Model(cfg))))
    assert modules.keys() == described.keys()
    for path, module in modules.items():
        its = described[path]
        if isinstance(module, QualityTable):
            assert isinstance(its, Table)
            assert (its.low, its.high, (ANCHORS, its.columns)) == (module.low, module.high, module.value.shape)
        else:
            assert isinstance(its, Layer)
            assert (its.outputs, its.inputs) == module.weight.shape and (its.outputs,) == module.bias.shape
            assert (its.limit, its.bits, its.wide) == (module.limit, module.bits, module.wide)


@ALL
def test_what_encoders_need(cfg: Config) -> None:
    found = trained.encoding(declared(lambda: Model(cfg)))
    assert {name: tuple(value.shape) for name, value in found.items()} == encoding(cfg)


@ALL
def test_sizes(cfg: Config) -> None:
    network = declared(lambda: Model(cfg))
    assert network.groups == cfg.groups and network.g_s.margin == cfg.margin
    assert tuple(step.known for step in network.context) == cfg.known


@given(st.integers(0, 1000), st.integers(0, len(CONFIGS) - 1))
def test_rows_of_tables(q: int, which: int) -> None:
    weights = model(which, 0)
    network = trained.exact(weights)
    for path, module in trained.decoding(network):
        if isinstance(module, QualityTable):
            with torch.no_grad():
                wanted = module(torch.tensor([q]), True)[0, 0, 0].numpy()
            np.testing.assert_array_equal(weights.row(path, q), wanted)
            np.testing.assert_array_equal(table_row(weights.tensors[f"{path}.t"], q), wanted)


def test_proofs_are_those_of_the_layers() -> None:
    """Both refuse the same: the file's check, and that of the layer that PyTorch runs."""
    layer = Layer(1, 4)
    zero, k = np.zeros(1, np.int32), np.zeros(1, np.int8)
    layer.check(np.full((1, 4), 2048, np.int16), zero, k)
    for w, b, exponent, match in (
        (2050, 0, 0, "overflow"),
        (0, 2**24, 0, "overflow"),
        (0, -(2**24), 0, "overflow"),
        (1, 1, 25, "exponent"),
        (1, 1, -1, "exponent"),
    ):
        with pytest.raises(ValueError, match=match):
            layer.check(np.full((1, 4), w, np.int16), zero + b, k + np.int8(exponent))
    table = Table(3, -5, 7)
    table.check(np.array([[-5, 0, 7]]))
    for bad in (-6, 8):
        with pytest.raises(ValueError, match="range"):
            table.check(np.array([[0, bad, 0]]))


def test_lambda_takes_numbers_and_tensors() -> None:
    assert quality_lambda(500) == pytest.approx(float(quality_lambda(torch.tensor([500.0]))[0]))
