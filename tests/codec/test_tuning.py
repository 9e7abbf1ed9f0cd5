"""What errors are worth to the eye: weights by channel and place, and what files that are tuned by them look like."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vaecodec
from vaecodec.bitstream.header import CELL
from vaecodec.codec import Codec, tuning
from vaecodec.codec.ratecontrol import Target
from vaecodec.errors import VaecError
from vaecodec.metrics.scores import ms_ssim, ssimulacra2, ssimulacra2_source
from vaecodec.model.architecture import STEP_ONE
from vaecodec.model.weights import Weights

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    with Image.open(DATA / "kodim23.png") as image:
        return np.asarray(image)[64:448, 128:640]


def wave(u: int, v: int, colour: tuple[float, float, float]) -> np.ndarray:
    """A function (16, 16, 3) of the DCT, of u half waves down and v across."""
    n = (np.arange(CELL) + 0.5) * math.pi / CELL
    return (np.cos(u * n)[:, None] * np.cos(v * n))[..., None] * np.array(colour) / 16


def with_functions(weights: Weights, *functions: np.ndarray) -> Weights:
    """A model whose first channels have these functions in the linear branch of g_a."""
    shortcut = weights.tensors["enc.g_a.shortcut"].copy()
    shortcut[: len(functions)] = [f.ravel() for f in functions]
    return replace(weights, tensors=weights.tensors | {"enc.g_a.shortcut": shortcut})


def test_channels_by_their_waves(shipped: Codec) -> None:
    white, green = (1, 1, 1), (1, -2, 1)
    cases = [(0, 0, white), (0, 1, white), (3, 0, white), (4, 4, white), (0, 9, white), (0, 0, green), (2, 3, green)]
    weights = with_functions(shipped.weights, *(wave(*case) for case in cases))
    found, detail = tuning.channels(weights)
    for (u, v, _), factor in zip(cases, found, strict=False):
        frequency = math.hypot(*(32 / math.pi * math.sin(n * math.pi / 32) for n in (u, v)))  # by differences
        assert factor == pytest.approx(2.6 * 4.5 / (4.5 + frequency), rel=0.04)
    assert detail[: len(cases)].tolist() == [False, True, True, True, True, False, False]
    assert found.dtype == np.float32 and found.shape == detail.shape == (weights.cfg.M,)


def test_places_by_their_energy(shipped: Codec) -> None:
    _, detail = tuning.channels(shipped.weights)
    steps = shipped.weights.row("step", 500) / STEP_ONE
    channel = int(np.flatnonzero(detail)[0])
    for energy, weight in ((0, 2.04), (127, 1.0), (128 * 32, 0.595)):  # levels squared, a pixel
        y = np.zeros((2, 3, len(steps)), np.float32)
        y[1, 2, channel] = math.sqrt(energy) * CELL / steps[channel]
        y[0, 0, ~detail] = 1e4  # means and chroma hide nothing
        place = tuning.worth_of(shipped.weights, 500, y).place
        assert place[1, 2] == pytest.approx(weight, rel=0.05) and place[0, 0] == place[0, 1] == place.max()
    assert tuning.worth_of(shipped.weights, 500, np.full_like(y, 1e6)).place.min() > 0.2


def test_worth_of_a_part() -> None:
    worth = tuning.Worth(np.array([1, 2], np.float32), np.arange(6, dtype=np.float32).reshape(2, 3))
    part = worth.part(slice(1, 2), slice(1, 3))
    np.testing.assert_array_equal(part(np.array([1, 10], np.float32)), [[[4, 80], [5, 100]]])


def test_tuned_files_look_better_at_their_size(shipped: Codec, photo: np.ndarray) -> None:
    for quality, effort in ((30, 2), (70, 3), (40, 6)):
        plain = shipped.encode(photo, quality, effort=effort, tune="psnr")
        tuned = shipped.encode_to(photo, Target(size=len(plain)), effort=effort).data
        assert len(tuned) <= len(plain)
        before, after = (shipped.decode(data).pixels for data in (plain, tuned))
        source = ssimulacra2_source()
        assert ssimulacra2(photo, after, source) > ssimulacra2(photo, before, source) + 0.3
        assert ms_ssim(photo, after) > ms_ssim(photo, before)


def test_a_psnr_is_reached_by_what_is_tuned_for_it(shipped: Codec, photo: np.ndarray) -> None:
    target = Target(psnr=34.0)
    by_default, ssim = shipped.encode_to(photo, target), shipped.encode_to(photo, target, tune="ssim")
    assert by_default.data == shipped.encode(photo, by_default.quality, tune="psnr")
    assert len(by_default.data) < len(ssim.data)


def test_tiles_and_bands_are_tuned_alike(small: Codec) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (150, 200, 3), np.uint8)
    for effort in (3, 5):
        data = small.encode(pixels, 60, effort=effort, tile=64, tune="ssim")
        assert data == small.encode(pixels, 60, effort=effort, tile=64), "the default"
        assert data != small.encode(pixels, 60, effort=effort, tile=64, tune="psnr")
        assert small.decode(data).pixels.shape == pixels.shape
    assert small.encode(pixels, 60, effort=1, tune="psnr") == small.encode(pixels, 60, effort=1), "plain rounding"


def test_what_is_no_tuning(small: Codec) -> None:
    for tune in ("fast", 3):
        with pytest.raises(VaecError, match=r"tune .* is not one of psnr, ssim"):
            small.encode(np.zeros((8, 8, 3), np.uint8), tune=tune)  # type: ignore[arg-type]
    data = vaecodec.encode(np.zeros((8, 8, 3), np.uint8), tune="psnr")
    assert data == vaecodec.encode(np.zeros((8, 8, 3), np.uint8)), "nothing to weigh"
