"""The same bytes everywhere: threads, windows, tiles, number types and settings of the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import vaecodec.codec.runtime
import vaecodec.codec.synthesis
from tests.sample_pictures import picture
from vaecodec import vae
from vaecodec.codec import Codec
from vaecodec.model import exact, weights
from vaecodec.model.architecture import Y_MAX, Z_MAX
from vaecodec.pictures.picture import Picture

QUALITIES = (0, 37.7, 75, 100)


def codec_in_float64() -> Codec:
    """A codec whose exact layers all run in float64."""
    codec = Codec(threads=1)
    codec.weights = codec.weights.wide
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
    monkeypatch.setattr(vaecodec.codec.synthesis, "TALLEST", window)
    monkeypatch.setattr(vaecodec.codec.synthesis, "WINDOW", 0)  # no wider than a quarter of that
    check(shipped, files, expected)


def test_float64(files: list[bytes], expected: list[np.ndarray]) -> None:
    check(codec_in_float64(), files, expected)


def test_linear_instead_of_onednn(
    monkeypatch: pytest.MonkeyPatch, shipped: Codec, files: list[bytes], expected: list[np.ndarray]
) -> None:
    monkeypatch.setattr(exact, "matmul", torch.nn.functional.linear)
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
    monkeypatch.setattr(exact, "matmul", integer_linear)
    check(shipped, files[1:2], expected[1:2])


@pytest.fixture
def bf16(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A processor that takes the caller at his word: below the "highest" precision, factors are rounded to bfloat16."""

    def rounding(function: Any) -> Any:
        def rounded(x: torch.Tensor, weight: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
            if x.dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest":
                x, weight = x.bfloat16().float(), weight.bfloat16().float()
            return function(x, weight, *rest, **options)

        return rounded

    for place, name in ((torch, "mkldnn_convolution"), (F, "linear"), (F, "conv2d")):
        monkeypatch.setattr(place, name, rounding(getattr(place, name)))
    yield
    torch.set_float32_matmul_precision("highest")


def dtypes(codec: Codec) -> set[torch.dtype]:
    """Of the layers that are not float64 anyway, as they work just now."""
    with codec.exactly() as weights:
        layers = (m for m in weights.model.modules() if isinstance(m, exact.Linear) and not m.wide)
        return {m.frozen[0].dtype for m in layers if m.frozen is not None}


def test_rounded_factors_change_pixels(
    bf16: None, monkeypatch: pytest.MonkeyPatch, shipped: Codec, files: list[bytes], expected: list[np.ndarray]
) -> None:
    """What the tests below could not see otherwise."""
    monkeypatch.setattr(vaecodec.codec.runtime, "float32_is_exact", lambda: True)
    torch.set_float32_matmul_precision("medium")
    assert (shipped.decode_partial(files[2]).picture.pixels != expected[2]).any()


def test_callers_precision_setting(bf16: None, files: list[bytes], expected: list[np.ndarray]) -> None:
    """It may change at any time, also under a codec that is there already."""
    codec = Codec(threads=1)
    for precision, dtype in (("medium", torch.float64), ("highest", torch.float32), ("high", torch.float64)):
        torch.set_float32_matmul_precision(precision)
        check(codec, files[1:2], expected[1:2])
        assert dtypes(codec) == dtypes(Codec(threads=1)) == {dtype}
        assert torch.get_float32_matmul_precision() == precision


def test_precision_lowered_under_many_threads(bf16: None, files: list[bytes], expected: list[np.ndarray]) -> None:
    codec = Codec(threads=1)
    torch.set_float32_matmul_precision("medium")
    with ThreadPoolExecutor(4) as pool:
        for pixels in pool.map(lambda _: codec.decode(files[1]).pixels, range(4)):
            np.testing.assert_array_equal(pixels, expected[1])


def flip() -> None:
    """The caller changes his mind."""
    now = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if now == "highest" else "highest")


@pytest.mark.parametrize("first", ["highest", "medium"])
def test_precision_changed_between_bands(
    monkeypatch: pytest.MonkeyPatch, bf16: None, files: list[bytes], expected: list[np.ndarray], first: str
) -> None:
    monkeypatch.setattr(vaecodec.codec.synthesis, "BATCH", 1)  # a band for each row of tiles
    codec = Codec(threads=1)
    torch.set_float32_matmul_precision(first)
    strips = []
    for strip in codec.decode_rows(files[-1]):
        strips.append(strip)
        flip()
    assert len(strips) == 4
    np.testing.assert_array_equal(np.concatenate(strips), expected[-1])


@pytest.mark.parametrize("effort", [2, 5])
def test_precision_changed_while_encoding(
    monkeypatch: pytest.MonkeyPatch, bf16: None, shipped: Codec, clean: np.ndarray, effort: int
) -> None:
    """What the encoder takes the decoder to make is what it makes."""
    monkeypatch.setattr(vaecodec.codec.synthesis, "BATCH", 1)
    codec, pixels = Codec(threads=1), clean[:150, :60]
    decoded, pieces = np.empty_like(pixels), []
    for piece in codec.encode_parts(Picture(pixels), 60, tile=64, effort=effort, decoded=decoded):
        pieces.append(piece)
        flip()
    torch.set_float32_matmul_precision("highest")
    assert len(pieces) == 5  # HEAD, three tiles, DONE
    np.testing.assert_array_equal(shipped.decode(b"".join(pieces)).pixels, decoded)


def test_other_users_of_the_weights(bf16: None, shipped: Codec, files: list[bytes]) -> None:
    """Parts of pictures, features and samples are exact as well."""
    kinds: list[Callable[[Codec], np.ndarray]] = [
        lambda codec: codec.decode_region(files[1], (20, 30, 40, 50)).pixels,
        lambda codec: codec.decode_scaled(files[1], 2).pixels,
        lambda codec: codec.decode_partial(files[1][:-100]).picture.pixels,
        lambda codec: vae.features(codec, files[1]).y_hat,
        lambda codec: vae.sample(codec, (64, 80), 50, seed=1).pixels,
    ]
    for kind in kinds:
        wanted = kind(shipped)
        torch.set_float32_matmul_precision("medium")
        np.testing.assert_array_equal(kind(shipped), wanted)
        torch.set_float32_matmul_precision("highest")


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
    forward = exact.Linear.forward

    def checked(self: exact.Linear, x: torch.Tensor) -> torch.Tensor:
        if self.limit is not None:
            scale = 512 if self.wide else 1
            assert (x * scale == (x * scale).round()).all() and x.abs().max() <= self.limit
            seen.append(self)
        return forward(self, x)

    monkeypatch.setattr(exact.Linear, "forward", checked)
    shipped.decode(files[-2])
    layers = {m for m in shipped.weights.model.modules() if isinstance(m, exact.Linear) and m.limit is not None}
    assert set(seen) == layers


@pytest.fixture(scope="module")
def layers(shipped: Codec) -> dict[exact.Linear | exact.Depthwise, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Integer weights, biases and exponents of all exact layers, as the model file has them."""
    _, tensors = weights.read(weights.DEFAULT)
    return {
        module: tuple(torch.from_numpy(tensors[f"{path}.{name}"]).double() for name in "wbk")
        for path, module in shipped.weights.model.named_modules()
        if isinstance(module, (exact.Linear, exact.Depthwise)) and module.limit is not None
    }


def largest_sum(
    module: exact.Linear | exact.Depthwise, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor
) -> torch.Tensor:
    """The largest that a sum can be at any point, in whatever order its terms are added, in units of its grid."""
    x = x.double().abs()
    if isinstance(module, exact.Linear):
        return (x @ w.abs().T + b.abs()).max() * (2**exact.WIDE_FRACTION if module.wide else 1)
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
        assert total < 2 ** (exact.FLOAT64_BITS if module.wide else exact.FLOAT32_BITS)


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


def test_inexact_products_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert exact.float32_is_exact()

    def bf16(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x.bfloat16(), weight.bfloat16(), bias.bfloat16()).float()

    monkeypatch.setattr(exact, "matmul", bf16)
    assert not exact.float32_is_exact()


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
    assert dtypes(codec) == {torch.float64}
    codec.decode(files[0])
