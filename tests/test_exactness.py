"""The same bytes everywhere: threads, windows, tiles, number types and settings of the caller."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import VECTORS
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import picture

import vaecodec.bands
from vaecodec import grid, weights
from vaecodec.codec import Codec
from vaecodec.model import Y_MAX, Z_MAX
from vaecodec.picture import Picture

QUALITIES = (0, 37.7, 75, 100)


def codec_in_float64(model: str | None) -> Codec:
    """A codec whose exact layers all run in float64."""
    codec = Codec(model, threads=1)
    codec.weights = weights.load(VECTORS / "small.safetensors" if model else weights.DEFAULT, torch.float64)
    return codec


@pytest.fixture(scope="module")
def files(shipped: Codec) -> list[bytes]:
    """Pictures at several qualities; the last one of many tiles."""
    pixels = picture(200, 150)
    return [*(shipped.encode(Picture(pixels), q) for q in QUALITIES), shipped.encode(Picture(pixels), 60, tile=64)]


@pytest.fixture(scope="module")
def expected(shipped: Codec, files: list[bytes]) -> list[np.ndarray]:
    return [shipped.decode(f).pixels for f in files]


def check(codec: Codec, files: list[bytes], expected: list[np.ndarray]) -> None:
    for data, pixels in zip(files, expected, strict=True):
        np.testing.assert_array_equal(codec.decode(data).pixels, pixels)


def test_again_and_with_two_threads(shipped: Codec, files: list[bytes], expected: list[np.ndarray]) -> None:
    check(shipped, files, expected)
    check(Codec(threads=2), files, expected)


@pytest.mark.parametrize("window", [1, 3, 7])
def test_any_window(
    monkeypatch: pytest.MonkeyPatch, shipped: Codec, files: list[bytes], expected: list[np.ndarray], window: int
) -> None:
    monkeypatch.setattr(vaecodec.bands, "TALLEST", window)
    monkeypatch.setattr(vaecodec.bands, "WINDOW", 0)  # no wider than a quarter of that
    check(shipped, files, expected)


def test_float64(files: list[bytes], expected: list[np.ndarray]) -> None:
    check(codec_in_float64(None), files, expected)


def test_linear_instead_of_onednn(
    monkeypatch: pytest.MonkeyPatch, shipped: Codec, files: list[bytes], expected: list[np.ndarray]
) -> None:
    monkeypatch.setattr(grid, "matmul", torch.nn.functional.linear)
    check(shipped, files, expected)


def integer_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The layer in int64, where nothing is ever rounded: 2^-24 divides every grid in use."""
    one = 2**24
    w, b = ((v.double() * one).round().long() for v in (weight, bias))
    assert (x == x.round()).all()
    total = x.round().long() @ w.T + b
    return (total.double() / one).to(x.dtype)


def test_integers(
    monkeypatch: pytest.MonkeyPatch, shipped: Codec, files: list[bytes], expected: list[np.ndarray]
) -> None:
    monkeypatch.setattr(grid, "matmul", integer_linear)
    check(shipped, files[1:2], expected[1:2])


def dtypes(codec: Codec) -> set[torch.dtype]:
    """Of the layers that are not float64 anyway."""
    layers = (m for m in codec.weights.model.modules() if isinstance(m, grid.Linear) and not m.wide)
    return {m.frozen[0].dtype for m in layers if m.frozen is not None}


def test_callers_precision_setting(files: list[bytes], expected: list[np.ndarray]) -> None:
    """It may change at any time, also under a codec that is there already."""
    codec = Codec(threads=1)
    assert dtypes(codec) == {torch.float32}
    torch.set_float32_matmul_precision("medium")
    try:
        check(codec, files[:2], expected[:2])
        assert dtypes(codec) == dtypes(Codec(threads=1)) == {torch.float64}
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    check(codec, files[:1], expected[:1])
    assert dtypes(codec) == {torch.float32}


def test_callers_autocast_and_gradients(shipped: Codec, files: list[bytes], expected: list[np.ndarray]) -> None:
    with torch.autocast("cpu", torch.bfloat16), torch.enable_grad():
        check(shipped, files[:1], expected[:1])
        assert torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()


def test_threads_are_put_back(shipped: Codec, files: list[bytes]) -> None:
    before = torch.get_num_threads()
    Codec(threads=before + 1).decode(files[0])
    assert torch.get_num_threads() == before


def test_every_sum_stays_within_its_bound(monkeypatch: pytest.MonkeyPatch, shipped: Codec, files: list[bytes]) -> None:
    """The proof, checked in practice: inputs are integers within the layer's limit, wherever they come from."""
    seen = []
    forward = grid.Linear.forward

    def checked(self: grid.Linear, x: torch.Tensor) -> torch.Tensor:
        if self.limit is not None:
            scale = 512 if self.wide else 1
            assert (x * scale == (x * scale).round()).all() and x.abs().max() <= self.limit
            seen.append(self)
        return forward(self, x)

    monkeypatch.setattr(grid.Linear, "forward", checked)
    shipped.decode(files[-2])
    layers = {m for m in shipped.weights.model.modules() if isinstance(m, grid.Linear) and m.limit is not None}
    assert set(seen) == layers


@pytest.fixture(scope="module")
def layers(shipped: Codec) -> dict[grid.Linear | grid.Depthwise, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Integer weights, biases and exponents of all exact layers, as the model file has them."""
    _, tensors = weights.read(weights.DEFAULT)
    return {
        module: tuple(torch.from_numpy(tensors[f"{path}.{name}"]).double() for name in "wbk")
        for path, module in shipped.weights.model.named_modules()
        if isinstance(module, (grid.Linear, grid.Depthwise)) and module.limit is not None
    }


def largest_sum(
    module: grid.Linear | grid.Depthwise, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor
) -> torch.Tensor:
    """The largest that a sum can be at any point, in whatever order its terms are added, in units of its grid."""
    x = x.double().abs()
    if isinstance(module, grid.Linear):
        return (x @ w.abs().T + b.abs()).max() * (2**grid.WIDE_FRACTION if module.wide else 1)
    planes, kernels = x.permute(0, 3, 1, 2), w.abs().view(-1, 1, 3, 3)
    return torch.nn.functional.conv2d(planes, kernels, b.abs(), padding=1, groups=len(w)).max()


LARGE = st.sampled_from(["all high", "all low", "checks", "single", "noise", "zero"])


def adversarial(shape: tuple[int, ...], limit: int, kind: str, seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    values = {
        "all high": lambda: np.full(shape, limit),
        "all low": lambda: np.full(shape, -limit),
        "checks": lambda: limit * (1 - 2 * (np.indices(shape).sum(0) % 2)),
        "single": lambda: limit * (rng.random(shape) < 0.01) * rng.choice([-1, 1], shape),
        "noise": lambda: rng.choice([-limit, 0, limit], shape),
        "zero": lambda: np.zeros(shape),
    }
    return torch.from_numpy(np.asarray(values[kind](), np.float32))


@settings(max_examples=25)
@given(z=LARGE, y=LARGE, q=st.sampled_from([0, 1, 500, 999, 1000]), seed=st.integers(0, 99))
def test_no_sum_leaves_its_bits(shipped: Codec, layers: Any, z: str, y: str, q: int, seed: int) -> None:
    """Latents at the limits of their ranges, everywhere in the decoder: 24 bits hold every sum, 44 the wide ones."""
    model, qs = shipped.weights.model, torch.full((1,), q)
    reached: dict[Any, float] = {}

    def look(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        w, b, _ = layers[module]
        reached[module] = max(reached.get(module, 0.0), float(largest_sum(module, inputs[0], w, b)))

    hooks = [module.register_forward_pre_hook(look) for module in layers]
    y_hat = adversarial((1, 8, 8, model.cfg.M), Y_MAX, y, seed)
    try:
        with shipped.exactly():
            features = model.h_s(adversarial((1, 2, 2, model.cfg.N), Z_MAX, z, seed), qs)
            model.contexts(features, qs, lambda i, mean, index, mask: y_hat[..., slice(*model.groups[i // 2])])
            model.g_s(y_hat, qs, model.steps(qs))
    finally:
        for hook in hooks:
            hook.remove()
    assert set(reached) == set(layers)
    for module, total in reached.items():
        assert total < 2 ** (grid.FLOAT64_BITS if module.wide else grid.FLOAT32_BITS)


def test_the_worst_input_of_every_layer(layers: Any) -> None:
    """All inputs at the limit, with the signs of a channel's weights: exact still, and within the bits."""
    for module, (w, b, k) in layers.items():
        if isinstance(module, grid.Depthwise):
            continue  # the same inequality, of nine terms: see `freeze`
        x = module.limit * w.sign()
        sums = x @ w.T + b
        assert sums.abs().max() < 2.0**module.bits
        with torch.no_grad():
            found = module(x[None, None].float())[0, 0]
        torch.testing.assert_close(found.double(), sums * torch.exp2(-k), rtol=0, atol=0)


def test_inexact_products_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert grid.float32_is_exact()

    def bf16(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x.bfloat16(), weight.bfloat16(), bias.bfloat16()).float()

    monkeypatch.setattr(grid, "matmul", bf16)
    assert not grid.float32_is_exact()


@pytest.mark.parametrize("effort", [3, 4])
def test_callers_of_other_types(files: list[bytes], expected: list[np.ndarray], effort: int) -> None:
    """Programs that work in float64: the same pixels, and the same files."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        codec = Codec(threads=1)
        check(codec, files, expected)
        data = codec.encode(Picture(picture(70, 60)), 60, effort=effort)
    finally:
        torch.set_default_dtype(before)
    assert codec.encode(Picture(picture(70, 60)), 60, effort=effort) == data


def test_a_caller_may_have_set_one_backend_alone(monkeypatch: pytest.MonkeyPatch, files: list[bytes]) -> None:
    """After that PyTorch refuses to say what the precision is: float64 then."""

    def mixed() -> str:
        raise RuntimeError("mix of the legacy and new APIs")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", mixed)
    codec = Codec(threads=1)
    assert not codec.exact32
    codec.decode(files[0])
