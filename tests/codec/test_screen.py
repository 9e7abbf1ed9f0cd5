"""Overlays: finding what was drawn, coding it exactly, and leaving photographs alone."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.sample_pictures import picture
from vaecodec.bitstream import container
from vaecodec.bitstream.overlay import pack_overlay, unpack_overlay
from vaecodec.bitstream.tiles import EMPTY
from vaecodec.codec import Codec, encoder, screen
from vaecodec.codec.palettes import SIZES, Colours
from vaecodec.errors import CorruptFileError
from vaecodec.pictures.reading import as_picture

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    with Image.open(DATA / "kodim23.png") as image:
        return np.asarray(image)


def page(height: int = 200, width: int = 300) -> np.ndarray:
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
    return [len(tile.overlay) for tile in container.parse(data).unpacked()]


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
    filled = screen.fill(rgb, mask)
    np.testing.assert_array_equal(filled[~mask], rgb[~mask])
    if not mask.all():
        assert filled.min() >= 90
        assert filled.max() < 110


def test_a_draft_tells_letters_from_a_photograph(photo: np.ndarray) -> None:
    mixed = np.concatenate((page(256, 256), photo[:256, :256]), axis=1)
    draft = screen.find(lambda: mixed, lmbda=0.02)
    assert draft is not None
    mask = screen.mask_of(draft.chosen, mixed)
    assert mask[:, :256].all()
    assert mask[:, 256:].mean() < 0.2
    assert draft.sure()
    assert not screen.looks_drawn(photo)


def through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(buffer).convert("RGB"))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a codec packs overlays, and codes rows of tiles."""
    calls: Counter[str] = Counter()

    def count(module: ModuleType, name: str) -> None:
        function = getattr(module, name)

        def counted(*args: Any, **more: Any) -> Any:
            calls[name] += 1
            return function(*args, **more)

        monkeypatch.setattr(module, name, counted)

    count(screen, "pack_overlay")
    count(encoder, "encode_band")
    count(encoder, "sampled_error")
    return calls


@pytest.mark.parametrize("quality", [10, 50, 90])
@pytest.mark.parametrize("jpeg", [30, 50, 75])
def test_a_photograph_that_was_a_jpeg_is_coded_once(
    shipped: Codec, photo: np.ndarray, looks: Counter[str], jpeg: int, quality: float
) -> None:
    """Flat blocks and equal neighbours, as a compressor leaves them, do not make a drawing."""
    pixels = through_jpeg(photo[:256, :384], jpeg)
    assert screen.looks_drawn(pixels)
    data = shipped.encode(pixels, quality)
    assert looks["encode_band"] == 1
    assert looks["pack_overlay"] <= 3
    assert overlays(data) == [0]
    assert data == shipped.encode(pixels, quality, effort=2)


def drawing(height: int, width: int) -> np.ndarray:
    """Smooth shapes with soft edges, of which an overlay is hardly better than the networks."""
    image = Image.new("RGB", (2 * width, 2 * height), (250, 240, 220))
    draw, rng = ImageDraw.Draw(image), np.random.default_rng(3)
    for _ in range(40):
        x, y, r = rng.integers(0, 2 * width), rng.integers(0, 2 * height), rng.integers(10, 60)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(rng.integers(0, 256, 3)))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def test_what_is_near_the_limit_is_coded_at_most_twice(shipped: Codec, looks: Counter[str]) -> None:
    """Once where no overlay comes of it, with the bytes of effort 2; overlays are packed a few times at most."""
    pixels, sampled = drawing(192, 256), 0
    for quality in range(0, 100, 10):
        looks.clear()
        data = shipped.encode(pixels, quality)
        sampled += looks["sampled_error"]
        covered = container.parse(data).unpacked()[0].lanes_log2 == EMPTY
        assert looks["encode_band"] == 1 + (bool(looks["sampled_error"]) and any(overlays(data)))
        assert looks["pack_overlay"] <= 10
        assert covered or any(overlays(data)) or data == shipped.encode(pixels, quality, effort=2)
    assert sampled


@pytest.mark.parametrize("effort", [3, 4])
def test_a_trial_leaves_no_trace(shipped: Codec, looks: Counter[str], effort: int) -> None:
    """Pixels and progress are as without it, where a tile is coded for trial first."""
    pixels, shares = drawing(192, 256), list[float]()
    quality = next(q for q in range(0, 100, 10) if shipped.encode(pixels, q) and looks.pop("sampled_error", 0))
    decoded = np.empty_like(pixels)
    picture = as_picture(pixels)
    parts = shipped.encode_parts(picture, quality, effort=effort, decoded=decoded, progress=shares.append)
    data = b"".join(parts)
    np.testing.assert_array_equal(decoded, shipped.decode(data).pixels)
    assert data == shipped.encode(pixels, quality, effort=effort)
    assert shares == sorted(shares)
    assert shares[-1] == 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 900), st.integers(0, 2**32 - 1))
def test_palettes_are_smaller_and_smaller_and_say_what_they_err(h: int, w: int, colours: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (colours, 3), dtype=np.uint8)[rng.integers(0, colours, (h, w))]
    mask = rng.random((h, w)) < 0.7
    found = Colours(rgb)
    np.testing.assert_array_equal(found.distinct[found.index], rgb)
    used = len(np.unique(rgb[mask], axis=0))
    exact, *fewer = found.palettes(mask, used)
    assert (exact.size, exact.error) == (0, 0)
    np.testing.assert_array_equal(exact.colours, found.distinct)
    assert [p.size for p in fewer] == [n for n in SIZES if n < used]
    for palette in fewer:
        reduced = palette.colours[found.index]
        assert len(np.unique(reduced[mask], axis=0)) <= palette.size
        error = np.square(reduced[mask].astype(int) - rgb[mask]).sum()
        assert palette.error == pytest.approx(error)
    if used > 1:
        assert [p.size for p in found.palettes(mask, used - 1)] == [0]


def test_a_palette_of_well_known_colours_is_those_colours() -> None:
    """Sixteen colours with noise of one level around each: reduced to sixteen they err by no more than the noise."""
    rng = np.random.default_rng(2)
    true = np.stack(np.meshgrid((30, 90, 150, 210), (40, 200), (60, 180)), axis=-1).reshape(-1, 3)
    rgb = (true[rng.integers(0, 16, (64, 64))] + rng.integers(-1, 2, (64, 64, 3))).astype(np.uint8)
    palettes = Colours(rgb).palettes(np.ones((64, 64), bool), 10**6)
    (palette,) = (p for p in palettes if p.size == 16)
    assert palette.error <= 64 * 64 * 3


def test_a_rare_colour_stays() -> None:
    """A few pixels of red, yellow and green on a page of greys and blues, reduced to sixteen colours."""
    rng = np.random.default_rng(3)
    rgb = rng.integers(20, 236, (200, 200, 1), dtype=np.uint8) + np.array((0, 5, 10), np.uint8)
    buttons = np.array(((235, 90, 80), (240, 190, 60), (80, 200, 100)), np.uint8)
    rgb[:3, :20] = buttons[:, None]
    found = Colours(rgb)
    (palette,) = (p for p in found.palettes(np.ones(rgb.shape[:2], bool), 10**6) if p.size == 16)
    kept = palette.colours[found.index][:3, 0]
    np.testing.assert_allclose(kept.astype(int), buttons, atol=12)


def line_art(height: int, width: int) -> np.ndarray:
    """Thin coloured curves everywhere, with smooth edges: hardly a block of it has few colours."""
    image = Image.new("RGB", (4 * width, 4 * height), (250, 246, 235))
    draw, x = ImageDraw.Draw(image), np.arange(4 * width)
    for k in range(4 * height // 28):
        ink = ((20, 20, 60), (170, 30, 60), (20, 110, 60))[k % 3]
        draw.line(list(zip(x, 28 * k + 40 * np.sin(x / 97 + k / 3), strict=True)), ink, 5)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("quality", [30, 50, 75])
def test_line_art_with_smooth_edges_is_an_overlay(shipped: Codec, quality: float) -> None:
    """Reduced to some colours it has less error than the networks make of it, and fewer bits."""
    pixels = line_art(192, 256)
    assert screen.few_colours(pixels).mean() < 0.5
    data, plain = (shipped.encode(pixels, quality, effort=e) for e in (3, 2))
    assert all(overlays(data))
    assert len(data) < 1.1 * len(plain)
    assert psnr(shipped.decode(data).pixels, pixels) > psnr(shipped.decode(plain).pixels, pixels) + 2


@pytest.mark.parametrize("jpeg", [30, 75, 95])
def test_the_many_colours_of_line_art_are_those_of_edges(photo: np.ndarray, jpeg: int) -> None:
    for pixels, expected in ((line_art(256, 384), True), (through_jpeg(photo[:256, :384], jpeg), False)):
        assert screen.many_are_edges(pixels, screen.few_colours(pixels)) == expected


def test_at_a_low_quality_a_drawing_has_fewer_than_sixteen_colours(shipped: Codec) -> None:
    decoded = shipped.decode(shipped.encode(line_art(192, 256), 10)).pixels
    assert len(np.unique(decoded.reshape(-1, 3), axis=0)) < 16


@pytest.mark.parametrize("quality", [20, 75])
def test_a_screen_is_good_and_small(shipped: Codec, quality: float) -> None:
    """A third of the transform's bytes at a lower error; paper stays paper."""
    pixels = page()
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


@pytest.mark.parametrize("scale", [8, 16, 32])
def test_pixels_enlarged_in_step_with_the_blocks_are_exact(shipped: Codec, scale: int) -> None:
    """A cosine transform of those blocks sees no edge in them."""
    pixels = (picture(160 // scale, 160 // scale, 3) // 128 * 255).repeat(scale, 0).repeat(scale, 1)
    data = shipped.encode(pixels, 40)
    np.testing.assert_array_equal(shipped.decode(data).pixels, pixels)
    assert len(data) < len(shipped.encode(pixels, 40, effort=2)) / 2


@pytest.mark.parametrize("y", range(8, 248, 16))
def test_a_line_on_an_empty_page_is_found_wherever_it_is(y: int) -> None:
    """Most rows of the page are empty, those of a sample of them too."""
    image = Image.new("RGB", (256, 256), "white")
    ImageDraw.Draw(image).text((20, y), "Exact pixels over the synthesised ones", "navy")
    draft = screen.find(lambda: np.asarray(image), lmbda=0.02)
    assert draft is not None
    assert draft.sure()


def test_a_photograph_has_no_overlay(shipped: Codec, photo: np.ndarray) -> None:
    crop = photo[:128, :192]
    assert overlays(shipped.encode(crop, 75)) == [0]
    assert shipped.encode(crop, 75) == shipped.encode(crop, 75, effort=2)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_page_with_a_photograph(shipped: Codec, photo: np.ndarray, channels: int) -> None:
    """Letters exact, the photograph by the networks, in every colour type, over several tiles."""
    rgb = page(192, 320)
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


def slow_block_costs(rgb: np.ndarray, lmbda: float) -> np.ndarray:
    """`screen.block_costs` as its formula says."""
    basis, colours = (screen.cosines(n).astype(np.float64) for n in (screen.BLOCK, 3))
    h, w = (n // screen.BLOCK for n in rgb.shape[:2])
    x = (rgb @ colours.T).reshape(h, screen.BLOCK, w, screen.BLOCK, 3)
    x = np.einsum("ui,hiwjc,vj->hwcuv", basis, x, basis)
    mean = x[..., 0, 0].copy()
    x[:, 1:, :, 0, 0] -= mean[:, :-1]
    x[1:, 0, :, 0, 0] -= mean[:-1, 0]
    x[0, 0, :, 0, 0] = 0
    return screen.BITS / 2 * np.log2(1 + lmbda * x * x / screen.KNEE).sum((2, 3, 4))


@pytest.mark.parametrize("lmbda", [1e-4, 0.02, 5.0])
def test_costs_of_blocks(photo: np.ndarray, lmbda: float) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (32, 48, 3), np.uint8)
    for rgb in (photo[:64, :112], noise, np.full((16, 32, 3), 255, np.uint8)):
        got, expected = screen.block_costs(rgb, lmbda), slow_block_costs(rgb, lmbda)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-2)
