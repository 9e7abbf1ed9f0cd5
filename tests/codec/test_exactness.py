"""The same bytes everywhere: threads, stripes, bands, kernels, and settings of the caller; and why sums are exact."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sample_pictures import picture
from vaecodec import vae
from vaecodec.codec import Codec, latents, windows
from vaecodec.core.networks import KERNEL, kernels
from vaecodec.model import exact, trained, weights
from vaecodec.model.architecture import FLOAT32_BITS, FLOAT64_BITS, WIDE_FRACTION, Y_MAX, Z_MAX
from vaecodec.model.networks import z_features
from vaecodec.pictures.picture import Picture

QUALITIES = (0, 37.7, 75, 100)
COUNTS = range(1, 9)  # of threads
SHAPE = 200, 150


def coded(codec: Codec) -> list[bytes]:
    """A picture at several qualities, by all efforts that are the same everywhere, and in many tiles."""
    pixels = picture(*SHAPE)
    return [
        *(codec.encode(Picture(pixels), q) for q in QUALITIES),
        *(codec.encode(Picture(pixels), 50, effort=effort) for effort in (1, 2, 3)),
        codec.encode(Picture(pixels), 50, tune="psnr"),
        codec.encode(Picture(pixels), 60, tile=64),
    ]


@pytest.fixture(scope="module")
def files(shipped: Codec) -> list[bytes]:
    return coded(shipped)


@pytest.fixture(scope="module")
def expected(shipped: Codec, files: list[bytes]) -> list[np.ndarray]:
    return [shipped.decode(f).pixels for f in files]


def check(codec: Codec, files: list[bytes], expected: list[np.ndarray]) -> None:
    for data, pixels in zip(files, expected, strict=True):
        np.testing.assert_array_equal(codec.decode(data).pixels, pixels)


def with_threads(count: int) -> Codec:
    """However many processors there are."""
    codec = Codec(threads=1)
    codec.threads = count
    return codec


@pytest.mark.parametrize("count", COUNTS)
def test_any_number_of_threads(files: list[bytes], expected: list[np.ndarray], count: int) -> None:
    codec = with_threads(count)
    assert coded(codec) == files
    check(codec, files, expected)


@pytest.mark.parametrize("narrowest", [1, 3])
def test_any_stripes(
    monkeypatch: pytest.MonkeyPatch, files: list[bytes], expected: list[np.ndarray], narrowest: int
) -> None:
    """The picture is ten positions wide."""
    monkeypatch.setattr(windows, "NARROWEST", narrowest)
    assert len(windows.stripes(10, 8, 1)) == {1: 8, 3: 3}[narrowest]
    assert coded(with_threads(8)) == files
    check(with_threads(8), files, expected)


def test_bands_of_one_row_of_tiles(
    monkeypatch: pytest.MonkeyPatch, shipped: Codec, files: list[bytes], expected: list[np.ndarray]
) -> None:
    monkeypatch.setattr(windows, "BAND", 1)
    assert coded(shipped) == files
    check(shipped, files, expected)
    check(with_threads(3), files, expected)


@pytest.mark.parametrize("name", kernels())
def test_any_kernel(monkeypatch: pytest.MonkeyPatch, files: list[bytes], expected: list[np.ndarray], name: str) -> None:
    monkeypatch.setenv(KERNEL, name)
    codec = Codec(threads=1)
    assert coded(codec) == files
    check(codec, files, expected)


def test_a_kernel_that_is_not_there(monkeypatch: pytest.MonkeyPatch, files: list[bytes]) -> None:
    monkeypatch.setenv(KERNEL, "abacus")
    with pytest.raises(ImportError, match="this machine has the kernels plain"):
        Codec(threads=1).decode(files[0])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_other_users_of_the_networks(shipped: Codec, files: list[bytes], count: int) -> None:
    """Parts of pictures, features and samples are the same with any number of threads."""
    codec = with_threads(count)
    for data in files[1], files[-1]:
        for one in (codec.decode_region, shipped.decode_region):
            part = one(data, (20, 30, 40, 50)).pixels
            np.testing.assert_array_equal(part, shipped.decode(data).pixels[30:80, 20:60])
        for ours, theirs in (
            (codec.decode_scaled(data, 2).pixels, shipped.decode_scaled(data, 2).pixels),
            (codec.decode_partial(data[:-100]).picture.pixels, shipped.decode_partial(data[:-100]).picture.pixels),
            (vae.features(codec, data).pooled, vae.features(shipped, data).pooled),
            (vae.sample(codec, (64, 80), 50, seed=1).pixels, vae.sample(shipped, (64, 80), 50, seed=1).pixels),
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_nothing_of_the_process_is_set(files: list[bytes]) -> None:
    """No thread is left, nor anything else, whether a call ends well or not."""

    def state() -> Any:
        return threading.active_count(), dict(os.environ), np.geterr(), os.getcwd(), torch.get_num_threads()

    before, codec = state(), with_threads(4)
    codec.decode(files[-1])
    codec.encode(picture(70, 60), 50)
    rows = codec.decode_rows(files[-1])
    next(rows)
    rows.close()
    with pytest.raises(ZeroDivisionError):
        codec.decode(files[-1], progress=lambda share: 1 // 0)
    assert state() == before


def integer_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The layer in int64, where nothing is ever rounded: 2^-24 divides every grid in use."""
    one = 2**24
    w, b = ((v.double() * one).round().long() for v in (weight, bias))
    assert (x == x.round()).all()
    total = x.round().long() @ w.T + b
    return (total.double() / one).to(x.dtype)


@pytest.mark.parametrize("matmul", [exact.matmul, torch.nn.functional.linear, integer_linear])
def test_layers_of_pytorch(monkeypatch: pytest.MonkeyPatch, small: Codec, matmul: Any) -> None:
    """By oneDNN, by a BLAS and in whole numbers: those that training and the upper efforts run are the core's."""
    monkeypatch.setattr(exact, "matmul", matmul)
    cfg, q = small.weights.cfg, 437
    rng = np.random.default_rng(0)
    z = rng.integers(-9, 10, (2, 2, cfg.N))
    model, qs = trained.exact(small.weights), torch.full((1,), q)
    with torch.no_grad():
        found = model.h_s(torch.from_numpy(z).float()[None], qs)[0].numpy()
        np.testing.assert_array_equal(small.networks.decoder.features(q, z, 8, 8)[..., : cfg.D], found)


def test_every_sum_stays_within_its_bound(monkeypatch: pytest.MonkeyPatch, shipped: Codec, files: list[bytes]) -> None:
    """The proof, checked in practice: inputs are integers within the layer's limit, wherever they come from."""
    seen = []
    forward = exact.Linear.forward

    def checked(self: exact.Linear, x: torch.Tensor) -> torch.Tensor:
        if self.limit is not None:
            scale = 512 if self.wide else 1
            assert (x * scale == (x * scale).round()).all() and x.abs().max() <= self.limit
            seen.append(self)
        return forward(self, x)

    monkeypatch.setattr(exact.Linear, "forward", checked)
    model, file = trained.exact(shipped.weights), shipped.open(files[3])
    (tile,), q = file.unpacked(), torch.full((1,), file.header.quality)
    h, w = (-(-n // 16) for n in SHAPE)
    z_hat, _ = latents.decode_z(shipped.weights, int(q), tile, h, w)
    y_hat = torch.from_numpy(latents.decode_tile(shipped.networks, int(q), tile, h, w)[0]).float()[None]
    with torch.no_grad():
        features = z_features(model, torch.from_numpy(z_hat).float()[None], q, h, w)
        model.contexts(features, q, lambda i, mean, index, mask: y_hat[..., slice(*model.groups[i // 2])])
        model.g_s(y_hat, q, model.steps(q))
    assert set(seen) == {m for m in model.modules() if isinstance(m, exact.Linear) and m.limit is not None}


@pytest.fixture(scope="module")
def layers(shipped: Codec) -> dict[exact.Linear | exact.Depthwise, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Integer weights, biases and exponents of all exact layers, as the model file has them."""
    _, tensors = weights.read(weights.DEFAULT)
    return {
        module: tuple(torch.from_numpy(tensors[f"{path}.{name}"]).double() for name in "wbk")
        for path, module in trained.exact(shipped.weights).named_modules()
        if isinstance(module, (exact.Linear, exact.Depthwise)) and module.limit is not None
    }


def largest_sum(
    module: exact.Linear | exact.Depthwise, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor
) -> torch.Tensor:
    """The largest that a sum can be at any point, in whatever order its terms are added, in units of its grid."""
    x = x.double().abs()
    if isinstance(module, exact.Linear):
        return (x @ w.abs().T + b.abs()).max() * (2**WIDE_FRACTION if module.wide else 1)
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
    model, qs = trained.exact(shipped.weights), torch.full((1,), q)
    reached: dict[Any, float] = {}

    def look(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        w, b, _ = layers[module]
        reached[module] = max(reached.get(module, 0.0), float(largest_sum(module, inputs[0], w, b)))

    hooks = [module.register_forward_pre_hook(look) for module in layers]
    y_hat = adversarial((1, 8, 8, model.cfg.M), Y_MAX, y, seed)
    try:
        with torch.no_grad():
            features = model.h_s(adversarial((1, 2, 2, model.cfg.N), Z_MAX, z, seed), qs)
            model.contexts(features, qs, lambda i, mean, index, mask: y_hat[..., slice(*model.groups[i // 2])])
            model.g_s(y_hat, qs, model.steps(qs))
    finally:
        for hook in hooks:
            hook.remove()
    assert set(reached) == set(layers)
    for module, total in reached.items():
        assert total < 2 ** (FLOAT64_BITS if module.wide else FLOAT32_BITS)


def test_the_worst_input_of_every_layer(layers: Any) -> None:
    """All inputs at the limit, with the signs of a channel's weights: exact still, and within the bits."""
    for module, (w, b, k) in layers.items():
        if isinstance(module, exact.Depthwise):
            continue  # the same inequality, of nine terms: see `freeze`
        x = module.limit * w.sign()
        sums = x @ w.T + b
        assert sums.abs().max() < 2.0**module.bits
        with torch.no_grad():
            found = module(x[None, None].float())[0, 0]
        torch.testing.assert_close(found.double(), sums * torch.exp2(-k), rtol=0, atol=0)


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
