"""The networks: what they cost, how gradients pass the grid, and the quality tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import VECTORS
from hypothesis import given
from hypothesis import strategies as st

from tests.sample_pictures import picture
from tools.measure.work import kmac_of_codec, kmac_per_pixel
from tools.train.checkpoint import load_weights
from tools.train.data import psnr
from tools.train.loss import forward
from vaecodec.codec import Codec
from vaecodec.model import trained, weights
from vaecodec.model.architecture import FEATURE_MAX, Config, quality_lambda
from vaecodec.model.exact import (
    Block,
    Linear,
    clamp_ste,
    depth_to_space,
    exponents,
    requantise,
    round_ste,
    space_to_depth,
)
from vaecodec.model.networks import Model, QualityTable, checkerboard, dct_basis


def test_multiply_accumulates_per_pixel(shipped: Codec) -> None:
    """The bar: at most 40 thousand to encode and 25 thousand to decode, entropy networks included."""
    cfg, model, q, side = shipped.weights.cfg, trained.exact(shipped.weights), torch.tensor([500]), 128
    work = kmac_of_codec(cfg)
    assert work["encode"] <= 40 and work["decode"] <= 25
    step, z = model.steps(q), torch.zeros(1, side // 64, side // 64, cfg.N)
    y = torch.zeros(1, side // 16, side // 16, cfg.M)

    def entropy() -> None:
        model.contexts(model.h_s(z, q), q, lambda i, mean, index, mask: mean)

    def synthesis() -> None:
        model.g_s(y, q, step)

    def analysis() -> None:
        model.h_a(model.g_a(torch.zeros(1, side, side, 3), q, step))

    with torch.no_grad():  # as PyTorch counts those of the same layers
        counted = [kmac_per_pixel(job, side**2) for job in (analysis, entropy, synthesis)]
    assert work["encode"] == pytest.approx(counted[0] + counted[1])
    assert work["decode"] == pytest.approx(counted[1] + counted[2])


@given(
    st.integers(1, 64),
    st.integers(1, 20),
    st.floats(1e-3, 100),
    st.sampled_from([(FEATURE_MAX, 24), (1008, 24), (16384, 44)]),
    st.integers(0, 2**31),
)
def test_chosen_exponents_always_pass_the_proof(
    n_in: int, n_out: int, size: float, kind: tuple[int, int], seed: int
) -> None:
    limit, bits = kind
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(n_out, n_in, generator=generator) * size
    bias = torch.randn(n_out, generator=generator) * size * 100
    k = exponents(weight, bias, limit, bits)
    w = (weight.double() * torch.exp2(k.double())[:, None]).round()
    b = (bias.double() * torch.exp2(k.double())).round()
    assert (w.abs().sum(1) * limit + b.abs() < 2.0**bits).all()
    assert w.abs().max() <= 32767


def test_exponents_are_the_finest(shipped: Codec) -> None:
    """One bit more would break the bound of the sum or of the storage, give or take the allowance for rounding."""
    weight, bias = torch.randn(16, 160) * 0.1, torch.zeros(16)
    k = exponents(weight, bias, FEATURE_MAX, 24) + 1
    w = (weight.double() * torch.exp2(k.double())[:, None]).round()
    assert ((w.abs().sum(1) * FEATURE_MAX > 0.95 * 2**24) | (w.abs().amax(1) > 32767)).all()


def test_gradient_of_the_clamp() -> None:
    x = torch.tensor([-3.0, -3.0, 0.0, 3.0, 3.0], requires_grad=True)
    y = clamp_ste(x, -1, 1)
    assert y.tolist() == [-1, -1, 0, 1, 1]
    y.backward(torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0]))
    # Descent moves x against the gradient: outside, only what leads back passes.
    assert x.grad is not None and x.grad.tolist() == [0, -1, 1, 1, 0]


@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("grid", [False, True])
def test_gradient_of_requantise(grid: bool, through: bool) -> None:
    x = torch.tensor([-3000.0, 0.5, 1.5, 10.4, 3000.0], requires_grad=True)
    y = requantise(x, grid, through=through)
    assert y.tolist() == pytest.approx([-2047, 0, 2, 10, 2047] if grid else [-2047, 0.5, 1.5, 10.4, 2047])
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == ([1] * 5 if through else [0, 1, 1, 1, 0])
    with torch.no_grad():
        assert torch.equal(requantise(x.detach().clone(), grid), y)


def test_rounding_is_half_to_even_with_a_straight_gradient() -> None:
    x = torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5], requires_grad=True)
    y = round_ste(x)
    assert y.tolist() == [-2, 0, 0, 2, 2]
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1] * 5


def test_a_fresh_block_is_the_identity_and_can_learn() -> None:
    block = Block(8, exact=True)
    x = torch.randn(1, 4, 4, 8) * 100
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.w2.weight.grad is not None and block.w2.weight.grad.abs().max() > 0


@given(st.integers(0, 1000), st.integers(0, 2**31))
def test_quality_rows_follow_the_formula_of_the_specification(q: int, seed: int) -> None:
    table = QualityTable(5, 64, -2047, 2047)
    anchors = np.random.default_rng(seed).integers(-2047, 2048, (9, 5))
    table.freeze(torch.from_numpy(anchors))
    k = min(q // 125, 7)
    f = q - 125 * k
    expected = [(int(a) * (125 - f) + int(b) * f + 62) // 125 for a, b in zip(anchors[k], anchors[k + 1], strict=True)]
    with torch.no_grad():
        exact = table(torch.tensor([q]), True)[0, 0, 0]
    assert exact.tolist() == expected
    assert table(torch.tensor([q]), True)[0, 0, 0].tolist() == expected  # the same with gradients
    assert table(torch.tensor([q]), False)[0, 0, 0].tolist() == pytest.approx(expected, abs=0.51)


def test_steps_shrink_with_quality(shipped: Codec) -> None:
    steps = torch.stack([trained.exact(shipped.weights).steps(torch.tensor([q])).mean() for q in range(0, 1001, 25)])
    assert (steps[1:] < steps[:-1]).all()
    assert quality_lambda(torch.tensor([0, 1000])).tolist() == pytest.approx([0.0004, 0.5])


def test_checkerboard_phases_cover_everything_once() -> None:
    masks = [checkerboard(5, 7, 6, phase) for phase in (0, 1)]
    assert (masks[0] ^ masks[1]).all()
    for mask in masks:
        assert mask.any(-1).all()  # each phase covers every position


def test_depth_to_space_undoes_space_to_depth() -> None:
    x = torch.arange(2 * 8 * 12 * 3.0).view(2, 8, 12, 3)
    assert torch.equal(depth_to_space(space_to_depth(x, 4), 4), x)


def test_training_starts_as_a_dct_codec() -> None:
    basis = dct_basis()
    torch.testing.assert_close(basis @ basis.T, torch.eye(768), atol=1e-5, rtol=0)
    model = Model(Config(C=8, M=320, N=4, D=8, low=32, blocks_a=1, blocks_s=1, blocks_c=1))
    frequency = torch.arange(16.0)[:, None] + torch.arange(16.0)
    model.start_from_dct((1e4 / (1 + frequency) ** 2).flatten().repeat(3))
    i, j = np.mgrid[:64, :64]
    x = np.stack([128 + 90 * np.sin(i / 9), 128 + 50 * np.cos(j / 7), (i + j) * 1.0], -1).astype(np.uint8)
    q = torch.tensor([1000])
    with torch.no_grad():
        step = model.steps(q)
        y = model.g_a(torch.from_numpy(x).float()[None] - 128, q, step)
        x_hat = model.g_s((y * 16).round(), q, step)[0] / 64 + 128
    assert psnr(x, x_hat.round().clamp(0, 255).numpy().astype(np.uint8)) > 33


def test_inference_and_training_forward_agree(small: Codec) -> None:
    """There is one implementation: the training forward pass on the grid is the decoder."""
    model = trained.exact(small.weights)
    q = torch.tensor([400])
    y_hat = torch.randint(-300, 300, (1, 5, 6, model.cfg.M), generator=torch.Generator().manual_seed(1)).float()
    with torch.no_grad():
        inference = model.g_s(y_hat, q, model.steps(q))
    training = model.g_s(y_hat, q, model.steps(q))
    assert torch.equal(inference, training)


def test_a_shipped_model_can_be_trained_on() -> None:
    """`train.py --init MODEL.safetensors`: the weights of the file, float again and with gradients."""
    path = VECTORS / "small.safetensors"
    loaded = trained.exact(weights.load(path))
    model = Model(loaded.cfg)
    load_weights(model, path)
    assert not model.grid
    q, x = torch.tensor([500]), torch.from_numpy(picture(64, 64))[None]
    bits, x_hat = forward(model, x, q, None)
    (bits.sum() + x_hat.square().mean()).backward()
    slopes = (p.grad for name, p in model.named_parameters() if name != "filter.value")  # that is fitted
    assert all(grad is not None and grad.isfinite().all() for grad in slopes)
    model.set_grid(True)
    for ours, theirs in zip(model.modules(), loaded.modules(), strict=True):
        if isinstance(ours, Linear):
            torch.testing.assert_close(ours.effective()[0], theirs.effective()[0].float(), atol=2e-3, rtol=2e-3)


def test_float_layers_have_no_integers() -> None:
    layer = Linear(3, 2)
    with pytest.raises(AssertionError):
        layer.grid_weights()
