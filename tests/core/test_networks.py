"""The networks of the native core: against those of PyTorch to the bit, its kernels against each other, and what is
refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.random_models import CONFIGS, model
from vaecodec.codec import Codec, synthesis, windows
from vaecodec.codec.soft_filter import applied, as_planes
from vaecodec.codec.synthesis import Synthesis
from vaecodec.codec.team import Team, team
from vaecodec.core.networks import KERNEL, Chain, Exact, Film, SynthesisRows, filter_pixels, full, kernels
from vaecodec.core.networks import Synthesis as CoreSynthesis
from vaecodec.model import native, trained
from vaecodec.model.architecture import Z_MAX
from vaecodec.model.loop_filter import KINDS, OUT_ONE, STRENGTH_MAX, Filter, Filters
from vaecodec.model.native import Networks
from vaecodec.model.weights import Weights

SEEDS = st.integers(0, 2**32 - 1)
MODELS = st.builds(model, st.integers(0, len(CONFIGS) - 1), st.integers(0, 7))
SIDES = st.integers(1, 9)
QUALITIES = st.sampled_from([0, 1, 124, 125, 500, 999, 1000])
KINDS_OF_Y = st.sampled_from(["small", "large", "mixed", "extreme", "few", "zero"])


@pytest.fixture(params=kernels())
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each kernel of this machine, used while the test runs."""
    monkeypatch.setenv(KERNEL, request.param)
    name: str = request.param
    return name


def y_of(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> NDArray[np.int16]:
    """y_hat in 1/16 step."""
    small, large = rng.integers(-40, 41, shape), rng.integers(-16383, 16384, shape)
    made = {
        "small": small,
        "large": large,
        "mixed": np.where(rng.random(shape) < 0.02, large, small),
        "extreme": rng.choice([-16383, 16383], shape),
        "few": large * (rng.random(shape) < 0.01),
        "zero": small * 0,
    }
    return made[kind].astype(np.int16)


def batch(a: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(a).float()[None]


# h_s and the context steps


@settings(max_examples=40)
@given(weights=MODELS, zh=st.integers(1, 3), zw=st.integers(1, 3), q=QUALITIES, seed=SEEDS)
def test_hyper_synthesis(weights: Weights, zh: int, zw: int, q: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    h, w = (int(rng.integers(4 * n - 3, 4 * n + 1)) for n in (zh, zw))
    z_hat = rng.integers(-Z_MAX, Z_MAX + 1, (zh, zw, weights.cfg.N))
    found = Networks(weights).decoder.features(q, z_hat, h, w)
    with torch.no_grad():
        expected = trained.exact(weights).h_s(batch(z_hat), torch.tensor([q]))[0, :h, :w]
    np.testing.assert_array_equal(found[..., : weights.cfg.D], expected.numpy())
    assert not found[..., weights.cfg.D :].any()


def slow_tables(
    weights: Weights, mean: NDArray[Any], index: NDArray[Any], mask: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """The map of tables of a step: 255 where nothing is coded."""
    table = np.rint(index / 16)  # half to even
    table = np.where(np.abs(mean) > 16, np.maximum(table, weights.skip), table)
    return np.where(mask & (table >= weights.skip), table, 255).astype(np.uint8)


@settings(max_examples=60)
@given(weights=MODELS, step=st.integers(0, 3), h=SIDES, w=SIDES, kind=KINDS_OF_Y, q=QUALITIES, seed=SEEDS)
def test_context_steps(weights: Weights, step: int, h: int, w: int, kind: str, q: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cfg = weights.cfg
    start, stop = cfg.groups[step // 2]
    features = np.zeros((h, w, full(cfg.D)), np.int16)
    features[..., : cfg.D] = rng.integers(-2047, 2048, (h, w, cfg.D)) >> rng.integers(0, 11)
    y_hat = y_of(rng, (h, w, cfg.M), kind)
    y_hat[..., cfg.known[step] :] = 0
    before, bias = y_hat.copy(), weights.row("index_bias", q)[start:stop]
    network = trained.exact(weights).context[step]
    with torch.no_grad():
        f, mean, index = network(batch(features[..., : cfg.D]), batch(before[..., : cfg.known[step]]))
    mean, index = mean[0].numpy(), (index[0].numpy() + bias).clip(0, 1008)
    places = np.indices((h, w, stop - start)).sum(0) % 2 == step % 2
    wanted = before.copy()
    wanted[..., start:stop][places] = mean[places]

    table, count = Networks(weights).decoder.step(step, q, features, y_hat)
    np.testing.assert_array_equal(table, slow_tables(weights, mean, index, places))
    np.testing.assert_array_equal(y_hat, wanted)
    np.testing.assert_array_equal(features[..., : cfg.D], f[0].numpy())
    coded = table[table != 255]
    assert count.tolist() == [(coded >= weights.dependent).sum(), (coded < weights.dependent).sum()]


# g_s


def planes_of(weights: Weights, q: int, y_hat: NDArray[np.int16]) -> NDArray[np.int16]:
    """(3, 16 h, 16 w) by the core, row by row."""
    h, w, _ = y_hat.shape
    rows, found, planes = Networks(weights).decoder.rows(q, h, w), [], np.zeros((3, 16, 16 * w), np.int16)
    for i in range(h + rows.net.depth):
        out = rows.push(np.ascontiguousarray(y_hat[i]) if i < h else None, planes)
        assert out == (i >= rows.net.depth)
        found += [planes.copy()] if out else []
    return np.concatenate(found, axis=1)


def slow_planes(weights: Weights, q: int, y_hat: NDArray[np.int16]) -> torch.Tensor:
    """(3, 16 h + 6, 16 w + 6), edges repeated, by PyTorch."""
    network, qs = trained.exact(weights), torch.tensor([q])
    with torch.no_grad():
        return as_planes(network.g_s(batch(y_hat), qs, network.steps(qs))[0])


@settings(max_examples=60)
@given(weights=MODELS, h=st.integers(1, 7), w=SIDES, kind=KINDS_OF_Y, q=QUALITIES, seed=SEEDS)
def test_synthesis(weights: Weights, h: int, w: int, kind: str, q: int, seed: int) -> None:
    """Wide layers too, whose inputs go up to 2^23."""
    y_hat = y_of(np.random.default_rng(seed), (h, w, weights.cfg.M), kind)
    expected = slow_planes(weights, q, y_hat)[:, 3:-3, 3:-3]
    np.testing.assert_array_equal(planes_of(weights, q, y_hat), expected.numpy())


@settings(max_examples=40)
@given(weights=MODELS, n=st.integers(1, 60), kind=KINDS_OF_Y, q=QUALITIES, seed=SEEDS)
def test_the_linear_branch(weights: Weights, n: int, kind: str, q: int, seed: int) -> None:
    """In int64: of whole numbers of any size, rounded once."""
    y = y_of(np.random.default_rng(seed), (n, weights.cfg.M), kind)
    product = (y.astype(np.int64) * weights.row("step", q)).clip(-(2**23), 2**23)
    w, b, k = (weights.tensors[f"g_s.shortcut.{name}"].astype(np.int64) for name in "wbk")
    sums, unit = product @ w.T + 512 * b, 512 << k
    whole, rest = sums // unit, sums % unit
    rounded = whole + ((2 * rest > unit) | ((2 * rest == unit) & (whole % 2 == 1)))
    expected = rounded.clip(-(2**20), 2**20).reshape(n, 16, 16, 3).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(Networks(weights).decoder.base(q, y), expected)


def drawn(networks: Networks, q: int, y_hat: NDArray[np.int16], cuts: list[int], threads: Team) -> NDArray[np.uint8]:
    """Pixels of y_hat that comes in bands, cut at some rows."""
    h, w, _ = y_hat.shape
    pixels = np.zeros((16 * h - 5, 16 * w - 3, 3), np.uint8)
    filters = Filters(Filter.of_model(networks.weights, q), max(h, w), 1)
    made = Synthesis(networks, q, pixels, filters, threads)
    for first, last in zip([0, *cuts], [*cuts, h], strict=True):
        if first < last:
            made.wait(made.add(y_hat[first:last]))
    assert made.done == h
    return pixels


@settings(max_examples=40)
@given(
    weights=MODELS,
    runs=st.lists(st.integers(0, 14), min_size=1, max_size=5),
    w=st.integers(1, 4),
    filled=st.booleans(),
    q=QUALITIES,
    seed=SEEDS,
)
def test_rows_of_zeros(weights: Weights, runs: list[int], w: int, filled: bool, q: int, seed: int) -> None:
    """Runs of them, which the core does not see in the middle, at the edges and between rows that say something."""
    rng = np.random.default_rng(seed)
    rows = []
    for k, length in enumerate(runs):
        rows += [np.zeros((length, w, weights.cfg.M), np.int16)]
        if k or filled:
            rows += [y_of(rng, (int(rng.integers(1, 3)), w, weights.cfg.M), "large")]
    y_hat = np.concatenate(rows)
    if not len(y_hat):
        return
    cuts = sorted(rng.integers(0, len(y_hat) + 1, 2).tolist())
    networks, planes = Networks(weights), slow_planes(weights, q, y_hat)
    rgb = applied(Filter.of_model(weights, q), planes)
    expected = (rgb / OUT_ONE).round().add(128).clamp(0, 255).permute(1, 2, 0).numpy().astype(np.uint8)
    found = drawn(networks, q, y_hat, cuts, Team(1, None))
    np.testing.assert_array_equal(found, expected[: found.shape[0], : found.shape[1]])


def test_rows_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as can be, and no pixel is another one."""
    weights = model(2, 0)
    y_hat = np.zeros((60, 2, weights.cfg.M), np.int16)
    y_hat[30] = 77
    pushed = []
    push = SynthesisRows.push
    monkeypatch.setattr(SynthesisRows, "push", lambda *a: (pushed.append(1), push(*a))[1])
    with_them = drawn(Networks(weights), 500, y_hat, [], Team(1, None))
    rows = 2 * weights.cfg.margin + 3
    assert len(pushed) == 2 * rows + 1 + weights.cfg.margin
    monkeypatch.setattr(synthesis.Still, "next", lambda self, row: False)
    np.testing.assert_array_equal(drawn(Networks(weights), 500, y_hat, [], Team(1, None)), with_them)
    assert len(pushed) > 60


@settings(max_examples=10)
@given(weights=MODELS, h=st.integers(1, 9), w=st.integers(2, 30), threads=st.integers(2, 8), seed=SEEDS)
def test_stripes(weights: Weights, h: int, w: int, threads: int, seed: int) -> None:
    networks = Networks(weights)
    y_hat = y_of(np.random.default_rng(seed), (h, w, weights.cfg.M), "mixed")
    alone = drawn(networks, 300, y_hat, [], Team(1, None))
    with pytest.MonkeyPatch.context() as patch, team(threads) as several:
        patch.setattr(windows, "NARROWEST", 1)
        np.testing.assert_array_equal(drawn(networks, 300, y_hat, [h // 2], several), alone)


# Filters


def weakened(values: NDArray[np.int64]) -> Filter:
    """The filter, made weaker until it is allowed."""
    found = Filter(tuple(values.tolist()))
    while found.strength() > STRENGTH_MAX:
        found = Filter(tuple(int(v / 2) for v in found.values))
    return found


@settings(max_examples=60)
@given(h=st.integers(1, 12), w=st.integers(1, 150), extreme=st.booleans(), seed=SEEDS)
def test_filters(h: int, w: int, extreme: bool, seed: int) -> None:
    """Of all strengths; a single coefficient may be as large as 56000."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-(2**20), 2**20], (h, w, 3)) if extreme else rng.normal(0, 3000, (h, w, 3))
    planes = as_planes(torch.from_numpy(np.rint(x)).float())
    bound = np.repeat([400, 9000, 400, 9000], KINDS)
    found = weakened(np.rint(rng.uniform(-bound, bound) * (rng.random(36) < rng.choice([0.1, 1]))).astype(np.int64))
    if extreme:
        one = np.zeros(36, np.int64)
        one[12] = rng.choice([-56000, 56000])
        found = weakened(one)
    expected = (applied(found, planes) / OUT_ONE).round().add(128).clamp(0, 255).permute(1, 2, 0).numpy()
    stored = planes.numpy().astype(np.int16)
    around = np.zeros((3, h + 8, w + 20), np.int16)  # a view into something larger
    around[:, 1 : h + 7, 5 : w + 11] = stored
    for name in kernels():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(KERNEL, name)
            rgb = np.zeros((h, w + 4, 3), np.uint8)
            filter_pixels(found.values, around[:, 1 : h + 7, 5 : w + 11], rgb[:, 2 : w + 2])
        np.testing.assert_array_equal(rgb[:, 2 : w + 2], expected)
        assert not rgb[:, :2].any() and not rgb[:, w + 2 :].any()


# g_a and h_a


def latents_of(networks: Networks, q: int, pixels: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
    """y and z of pixels (16 h, 16 w, 3)."""
    h, w = (n // 16 for n in pixels.shape[:2])
    rows, y = networks.encoder.rows(q, h, w), []
    for i in range(h + rows.net.depth):
        out = rows.push(np.ascontiguousarray(pixels[16 * i :][:16]) if i < h else None)
        assert (out is not None) == (i >= rows.net.depth)
        y += [] if out is None else [out.copy()]
    return np.stack(y), networks.encoder.z(np.stack(y))


def test_the_encoder_is_near_its_floats(shipped: Codec, clean: NDArray[np.uint8]) -> None:
    """For a thousandth of a step's square it is the same file on every machine."""
    pixels, network = np.ascontiguousarray(clean[:128, :192]), trained.exact(shipped.weights)
    for q in (100, 600, 950):
        y, z = latents_of(shipped.networks, q, pixels)
        qs = torch.tensor([q])
        with torch.no_grad():
            wanted = network.g_a(batch(pixels) - 128, qs, network.steps(qs))
            wanted_z = network.h_a(wanted)[0].numpy()
        assert np.square(y - wanted[0].numpy()).mean() < 1e-3
        assert np.square(z - wanted_z).mean() < 1e-2


@settings(max_examples=20)
@given(weights=MODELS, h=st.integers(1, 5), w=st.integers(1, 5), q=QUALITIES, seed=SEEDS)
def test_random_encoders_are_near_their_floats(weights: Weights, h: int, w: int, q: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (16 * h, 16 * w, 3), np.uint8)
    y, z = latents_of(Networks(weights), q, pixels)
    network, qs = trained.exact(weights), torch.tensor([q])
    with torch.no_grad():
        wanted = network.g_a(batch(pixels) - 128, qs, network.steps(qs))[0].numpy()
        padded = np.pad(y, ((0, -h % 4), (0, -w % 4), (0, 0)), "edge")
        wanted_z = network.h_a(batch(padded))[0].numpy()
    np.testing.assert_allclose(y, wanted, atol=0.02 * np.abs(wanted).max())
    np.testing.assert_allclose(z, wanted_z, atol=0.02 * np.abs(wanted_z).max() + 0.05)  # y is seen in 1/64


def test_scales_of_all_exponents() -> None:
    """Those of encoders go from -40 to 30; NumPy's ldexp of an int is of half precision."""
    k = np.arange(-40, 31)
    layer, taps = (Exact(np.zeros((len(k), n)), np.zeros(len(k)), k) for n in (2, 9))
    assert layer.packed().scale[: len(k)].tolist() == [2.0**-n for n in k.tolist()]
    assert sorted(taps.depthwise(1).scale.ravel().tolist())[-len(k) :] == sorted(2.0**-n for n in k.tolist())
    assert layer.packed(factor=16 / 1024).scale[: len(k)].tolist() == [2.0 ** (-6 - n) for n in k.tolist()]


# Kernels


def everything(weights: Weights, seed: int) -> list[NDArray[Any]]:
    """What all networks of a model make of random inputs, extreme ones among them."""
    rng, cfg, networks, q = np.random.default_rng(seed), weights.cfg, Networks(weights), int(seed % 1001)
    h, w = (int(n) for n in rng.integers(1, 9, 2))
    z_hat = rng.integers(-Z_MAX, Z_MAX + 1, (-(-h // 4), -(-w // 4), cfg.N))
    features, y_hat = networks.decoder.features(q, z_hat, h, w), np.zeros((h, w, cfg.M), np.int16)
    found: list[NDArray[Any]] = [features.copy()]
    for step in range(len(cfg.known)):
        found += [*networks.decoder.step(step, q, features, y_hat), y_hat.copy(), features.copy()]
    y = y_of(rng, (h, w, cfg.M), "mixed")
    found += [planes_of(weights, q, y), networks.decoder.base(q, y[0])]
    pixels = rng.choice([0, 255, 100], (16 * h, 16 * w, 3)).astype(np.uint8)
    return [*found, *latents_of(networks, q, pixels)]


@settings(max_examples=15)
@given(weights=MODELS, seed=SEEDS)
def test_all_kernels_make_the_same(weights: Weights, seed: int) -> None:
    made = {}
    for name in kernels():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(KERNEL, name)
            made[name] = everything(weights, seed)
    for name in made:
        for ours, theirs in zip(made[name], made["plain"], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_the_plain_kernel_is_always_there() -> None:
    assert next(iter(kernels().items())) == ("plain", 0)


def test_shipped_networks(kernel: str, shipped: Codec) -> None:
    """The sizes that the kernels are made for: against PyTorch, by each of them."""
    weights, rng, q = shipped.weights, np.random.default_rng(5), 640
    cfg, decoder, network = weights.cfg, Networks(weights).decoder, trained.exact(weights)
    z_hat, qs = rng.integers(-9, 10, (2, 3, cfg.N)), torch.tensor([q])
    features, y_hat = decoder.features(q, z_hat, 7, 10), np.zeros((7, 10, cfg.M), np.int16)
    told = []

    def code(step: int, mean: torch.Tensor, index: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        told.append((mean[0].numpy(), index[0].numpy(), mask.numpy()))
        return mean

    with torch.no_grad():
        whole = network.contexts(network.h_s(batch(z_hat), qs)[:, :7, :10], qs, code)
    for step in range(len(cfg.known)):
        table, _ = decoder.step(step, q, features, y_hat)
        np.testing.assert_array_equal(table, slow_tables(weights, *told[step]))
    np.testing.assert_array_equal(y_hat, whole[0].numpy())
    y_hat = y_of(rng, (7, 10, cfg.M), "mixed")
    np.testing.assert_array_equal(planes_of(weights, q, y_hat), slow_planes(weights, q, y_hat)[:, 3:-3, 3:-3].numpy())


# What is refused


@pytest.fixture(scope="module")
def decoder() -> native.Decoder:
    return Networks(model(2, 0)).decoder


@pytest.fixture(scope="module")
def encoder() -> native.Encoder:
    return Networks(model(2, 0)).encoder


CFG = CONFIGS[2]


def test_features_of_other_sizes(decoder: native.Decoder) -> None:
    z = np.zeros((1, 2, CFG.N), np.int16)
    for h, w in ((5, 8), (4, 9)):
        with pytest.raises(ValueError, match="do not fit"):
            decoder.features(0, z, h, w)
    with pytest.raises(ValueError, match="z of another"):
        decoder.features(0, np.zeros((1, 2, CFG.N + 40), np.int16), 4, 4)
    with pytest.raises(ValueError, match="z of another"):
        decoder.hyper(z, np.zeros(CFG.D + 40), 4, 4)


def test_steps_of_other_sizes(decoder: native.Decoder) -> None:
    features, y_hat = np.zeros((4, 5, full(CFG.D)), np.int16), np.zeros((4, 5, CFG.M), np.int16)
    for f, y, match in (
        (features[:3].copy(), y_hat, "another shape"),
        (features[..., :-32].copy(), y_hat, "another shape"),
        (features, y_hat[..., :-1].copy(), "do not fit"),
        (features.astype(np.int32), y_hat, "int16"),
        (features, y_hat.astype(np.float32), "int16"),
        (features[::-1], y_hat, "one piece"),
        (features, np.zeros((4, 5, 2 * CFG.M), np.int16)[..., ::2], "one piece"),
    ):
        with pytest.raises(ValueError, match=match):
            decoder.step(3, 0, f, y)
    with pytest.raises(ValueError, match="another shape"):
        decoder.contexts[0](features, y_hat, np.zeros(CFG.low + 1), 0, 0)


def test_rows_of_other_sizes(decoder: native.Decoder) -> None:
    planes, y = np.zeros((3, 16, 32), np.int16), np.zeros((2, CFG.M), np.int16)
    for bad in (
        np.zeros((3, 16, 31), np.int16),
        np.zeros((3, 15, 32), np.int16),
        np.zeros((2, 16, 32), np.int16),
        np.zeros((3, 16, 32), np.int32),
        np.zeros((3, 16, 64), np.int16)[..., ::2],
    ):
        with pytest.raises(ValueError, match="planes of another"):
            decoder.rows(0, 3, 2).push(y, bad)
    for row in (None, y[:1], y[:, :-1], np.zeros((3, CFG.M), np.int16)):
        with pytest.raises(ValueError, match="row of another"):
            decoder.rows(0, 3, 2).push(row, planes)
    with pytest.raises(ValueError, match="int16"):
        decoder.rows(0, 3, 2).push(y.astype(np.int32), planes)
    rows = decoder.rows(0, 1, 2)
    assert not rows.push(y, planes) and not rows.push(None, planes) and rows.push(None, planes)
    with pytest.raises(ValueError):
        rows.push(None, planes)
    with pytest.raises(ValueError, match="row of another"):
        rows.push(y, planes)
    with pytest.raises(ValueError, match="y of another"):
        decoder.base(0, y[:, :-1].copy())
    film = Film(np.zeros(CFG.C), np.zeros(CFG.C), 6)
    with pytest.raises(ValueError, match="row of another"):
        SynthesisRows(decoder.synthesis, np.zeros(CFG.M - 1), film, 3, 2)
    with pytest.raises(ValueError, match="row of another"):
        SynthesisRows(decoder.synthesis, np.zeros(CFG.M), Film(np.zeros(9), np.zeros(9), 6), 3, 2)


def test_pixels_of_other_sizes(encoder: native.Encoder) -> None:
    pixels = np.zeros((16, 32, 3), np.uint8)
    for bad in (pixels[:15], pixels[:, :31], pixels[..., :2]):
        with pytest.raises(ValueError, match="another shape"):
            encoder.rows(0, 3, 2).push(bad)
    with pytest.raises(ValueError, match="one piece"):
        encoder.rows(0, 3, 2).push(np.zeros((16, 64, 3), np.uint8)[:, ::2])
    with pytest.raises(ValueError, match="uint8"):
        encoder.rows(0, 3, 2).push(pixels.astype(np.int16))
    with pytest.raises(ValueError, match="too few"):
        encoder.rows(0, 3, 2).push(None)
    rows = encoder.rows(0, 1, 2)
    rows.push(pixels)
    with pytest.raises(ValueError, match="too many"):
        rows.push(pixels)
    with pytest.raises(ValueError, match="y of another"):
        encoder.z(np.zeros((4, 4, CFG.M + 60), np.float32))
    with pytest.raises(ValueError, match="do not fit"):
        encoder.hyper(np.zeros((4, 6, CFG.M), np.int16))


def test_filters_of_other_sizes() -> None:
    planes, rgb = np.zeros((3, 10, 11), np.int16), np.zeros((4, 5, 3), np.uint8)
    for p, pixels, numbers in (
        (planes[:, :-1], rgb, 36),
        (planes[:, :, :-1], rgb, 36),
        (planes[:2], rgb, 36),
        (planes.astype(np.int32), rgb, 36),
        (planes, rgb, 35),
        (planes, rgb.astype(np.int8), 36),
        (planes, np.zeros((4, 5, 6), np.uint8)[..., ::2], 36),
    ):
        with pytest.raises(ValueError, match="another shape"):
            filter_pixels([0] * numbers, p, pixels)


def test_the_widest_layers_that_a_model_may_have() -> None:
    """4096 inputs of the largest magnitudes and weights: no sum of a piece overflows."""
    n = 4096
    weight = np.zeros((768, n), np.int64)
    weight[0], weight[1] = 32767, -32768
    weight[2, ::2], weight[2, 1::2] = 32767, -32768
    shortcut = Exact(weight, np.arange(768), np.full(768, 24))
    net = CoreSynthesis(
        Exact(np.zeros((32, n)), np.zeros(32), np.zeros(32)),
        shortcut,
        Exact(np.zeros((192, 8)), np.zeros(192), np.zeros(192)),
        Chain([], 8, 2047, 7),
    )
    y = np.array([[16383, -16383] * (n // 2), [16383] * n, [1] * n, [-3, 0] * (n // 2)], np.int16)
    step = np.full(n, 32767)
    got = net.base(y, step).transpose(0, 2, 3, 1).reshape(len(y), -1)
    products = (y.astype(np.int64) * step).clip(-(2**23), 2**23)
    exact = (products @ weight.T + shortcut.bias * 512) / 2.0 ** (24 + 9)
    np.testing.assert_array_equal(got, np.rint(exact).clip(-(2**20), 2**20))
