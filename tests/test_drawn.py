"""Overlays: finding what was drawn, coding it exactly, and leaving photographs alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import picture
from PIL import Image, ImageDraw

from vaecodec import container, drawn
from vaecodec.codec import Codec
from vaecodec.container import Tile
from vaecodec.errors import CorruptFileError
from vaecodec.overlay import pack_overlay, unpack_overlay

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    with Image.open(DATA / "kodim23.png") as image:
        return np.asarray(image)


def screen(height: int = 200, width: int = 300) -> np.ndarray:
    """White paper with lines and letters."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for y in range(8, height, 16):
        draw.text((5, y), "Exact pixels over the synthesised ones", "navy")
        draw.line((0, y, width, y), "red")
    return np.asarray(image)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9)))


def overlays(data: bytes) -> list[int]:
    return [len(Tile.unpack(t).overlay) for t in container.parse(data).tiles]


@given(st.integers(1, 80), st.integers(1, 80), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_overlays_come_back(height: int, width: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = rng.random((height, width)) < share
    data = pack_overlay(rgb, mask)
    if not mask.any():
        assert data == b""
        return
    colours, there = unpack_overlay(data, height, width)
    np.testing.assert_array_equal(there, mask)
    np.testing.assert_array_equal(colours[mask], rgb[mask])


@given(st.data())
def test_a_damaged_overlay_is_an_error_or_another_picture(data: st.DataObject) -> None:
    good = pack_overlay(picture(30, 40, 3), np.ones((30, 40), bool))
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + data.draw(st.integers(0, 3)) :]
    try:
        colours, there = unpack_overlay(bad, 30, 40)
    except CorruptFileError:
        return
    assert colours.shape == (30, 40, 3)
    assert there.shape == (30, 40)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (5, 7), (64, 64), (33, 65)])
def test_fill_keeps_the_rest_and_goes_on_from_it(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    rgb = rng.integers(90, 110, (*size, 3), dtype=np.uint8)
    mask = rng.random(size) < 0.7
    rgb[mask] = 255
    filled = drawn.fill(rgb, mask)
    np.testing.assert_array_equal(filled[~mask], rgb[~mask])
    if not mask.all():
        assert filled.min() >= 90
        assert filled.max() < 110


def test_masks_tell_letters_from_a_photograph(photo: np.ndarray) -> None:
    mixed = np.concatenate((screen(256, 256), photo[:256, :256]), axis=1)
    everything, few, nothing = drawn.masks(mixed)
    assert everything.all()
    assert not nothing.any()
    assert few[:, :256].all()
    assert few[:, 256:].mean() < 0.2
    assert drawn.looks_drawn(mixed)
    assert not drawn.looks_drawn(photo)


def test_reductions_leave_what_the_mask_does_not_cover(photo: np.ndarray) -> None:
    rgb = photo[:64, :64]
    mask = np.zeros((64, 64), bool)
    mask[:32] = True
    exact, *reduced = drawn.reductions(rgb, mask)
    np.testing.assert_array_equal(exact, rgb)
    for n, colours in zip(drawn.PALETTES, reduced, strict=True):
        np.testing.assert_array_equal(colours[32:], rgb[32:])
        assert len(np.unique(colours[:32].reshape(-1, 3), axis=0)) <= n


@pytest.mark.parametrize("quality", [20, 75])
def test_a_screen_is_good_and_small(shipped: Codec, quality: float) -> None:
    """A third of the transform's bytes at a lower error; paper stays paper."""
    pixels = screen()
    data, plain = (shipped.encode(pixels, quality, effort=e) for e in (3, 2))
    decoded = shipped.decode(data).pixels
    assert len(data) < len(plain) / 3
    assert psnr(decoded, pixels) > psnr(shipped.decode(plain).pixels, pixels) + 3
    white = (pixels == 255).all(2)
    assert (decoded[white] == 255).all()


def test_a_checkerboard_is_exact(shipped: Codec) -> None:
    """No neighbours are equal, and no transform can do it."""
    pixels = np.repeat((np.indices((100, 130)).sum(0) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    data = shipped.encode(pixels, 10)
    np.testing.assert_array_equal(shipped.decode(data).pixels, pixels)
    assert len(data) < 200


def test_a_photograph_has_no_overlay(shipped: Codec, photo: np.ndarray) -> None:
    crop = photo[:128, :192]
    assert overlays(shipped.encode(crop, 75)) == [0]
    assert shipped.encode(crop, 75) == shipped.encode(crop, 75, effort=2)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_page_with_a_photograph(shipped: Codec, photo: np.ndarray, channels: int) -> None:
    """Letters exact, the photograph by the networks, in every colour type, over several tiles."""
    rgb = screen(192, 320)
    rgb = np.concatenate((rgb, photo[100:164, 200:520]))
    alpha = np.full((*rgb.shape[:2], 1), 200, np.uint8)
    alpha[5:9] = 0
    colours = rgb if channels >= 3 else rgb[..., 1:2]
    pixels = colours if channels in (1, 3) else np.concatenate((colours, alpha), axis=2)
    data = shipped.encode(pixels, 75, tile=256)
    decoded = shipped.decode(data).pixels
    assert all(overlays(data))
    assert psnr(decoded[:176], pixels[:176]) > 38
    assert 30 < psnr(decoded[192:], pixels[192:]) < 50
    if channels in (2, 4):
        np.testing.assert_array_equal(decoded[..., -1:], alpha)
