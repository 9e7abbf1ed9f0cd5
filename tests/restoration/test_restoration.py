"""Restoration: the mathematics of its parts, and that pictures do get better."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.sample_pictures import close, noisy, picture
from tools.train.data import load, psnr
from vaecodec.cli import main
from vaecodec.codec import Codec
from vaecodec.errors import VaecError
from vaecodec.pictures.picture import Picture
from vaecodec.pictures.reading import read_picture
from vaecodec.restoration import cleaner
from vaecodec.restoration.cleaner import quality_for, shifts
from vaecodec.restoration.jpeg import NARROW, TO_YCC, Jpeg, shrunk, to_blocks
from vaecodec.restoration.noise import noise_level
from vaecodec.restoration.operators import Blur, Downsampling, Linear, Mask, Projections, filled
from vaecodec.restoration.prior import Prior, posterior_mean
from vaecodec.restoration.recipes import Denoise, Enhance, Inpaint, Models, Undo, parse_operator
from vaecodec.restoration.solver import denoise, restore

KODAK = Path(__file__).parents[1] / "data" / "kodim23.png"


@pytest.fixture(scope="module")
def prior(models: Models) -> Prior:
    return models.prior


OPERATORS = {
    "mask": (Mask(np.random.default_rng(1).random((48, 64)) < 0.3), (48, 64)),
    "gaussian": (Blur.gaussian(1.3), (48, 64)),
    "motion": (Blur.motion(7, 25), (40, 33)),
    "uneven": (Blur((np.random.default_rng(2).random((3, 7)) / 10).astype(np.float32)), (20, 31)),
    "downsampling": (Downsampling(3), (48, 66)),
    "projections": (Projections((64, 96), 0.1), (64, 96)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_adjoint(name: str) -> None:
    """<A x, b> = <x, A' b>."""
    operator, shape = OPERATORS[name]
    assert isinstance(operator, Linear)
    rng = np.random.default_rng(3)
    x = rng.standard_normal((*shape, 3)).astype(np.float32)
    image = operator.forward(x)
    b = rng.standard_normal(image.shape).astype(np.float32)
    assert np.vdot(image, b) == pytest.approx(np.vdot(x, operator.adjoint(b)), rel=1e-3, abs=1e-2)


@pytest.mark.parametrize("name", OPERATORS)
def test_fit_is_the_least_sum(name: str) -> None:
    """At the minimum of |A x - b|^2 / noise^2 + |x - v|^2 / sigma^2 the gradient is 0."""
    operator, shape = OPERATORS[name]
    assert isinstance(operator, Linear)
    rng = np.random.default_rng(4)
    x, v = (rng.standard_normal((*shape, 3)).astype(np.float32) * 50 for _ in range(2))
    observed, noise, sigma = operator.forward(x), 4.0, 8.0
    found = operator.fit(v, observed, noise, sigma)

    def gradient(at: np.ndarray) -> np.ndarray:
        return operator.adjoint(operator.forward(at) - observed) / noise**2 + (at - v) / sigma**2

    assert np.abs(gradient(found)).max() < 0.02 * np.abs(gradient(v)).max()


def test_blur_is_what_it_says() -> None:
    """A point becomes the kernel; a line of 9 pixels at 0 degrees lies in a row; sums stay."""
    x = np.zeros((31, 31, 3), np.float32)
    x[15, 15] = 1
    kernel = Blur.gaussian(1.0).kernel
    np.testing.assert_allclose(Blur.gaussian(1.0).forward(x)[9:16, 9:16, 0], kernel, atol=1e-6)
    motion = Blur.motion(9, 0).kernel
    assert motion.sum() == pytest.approx(1, abs=1e-5) and motion[len(motion) // 2].sum() == pytest.approx(1, abs=1e-5)
    lopsided = np.zeros((3, 3), np.float32)
    lopsided[0, 2] = 1  # a correlation takes the pixel above and to the right
    expected = np.random.default_rng(0).random((12, 14, 3)).astype(np.float32)
    np.testing.assert_allclose(Blur(lopsided).forward(expected), expected[:-2, 2:], atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(d=st.floats(-30, 30), deviation=st.floats(0.02, 30), noise=st.floats(0.05, 10))
def test_posterior_mean(d: float, deviation: float, noise: float) -> None:
    """Against the integral."""
    b = deviation / math.sqrt(2)
    width = 12 * min(noise, b) + abs(d)
    r = np.concatenate([np.linspace(-width, width, 40001), d + np.linspace(-10 * noise, 10 * noise, 40001)])
    r = np.unique(r)
    log = -np.abs(r) / b - (d - r) ** 2 / (2 * noise**2)
    weight = np.exp(log - log.max()) * np.gradient(r)
    expected = float((weight * r).sum() / weight.sum())
    found = float(posterior_mean(*(torch.tensor([v], dtype=torch.float64) for v in (d, deviation, noise))))
    assert found == pytest.approx(expected, abs=0.02 * max(noise, deviation) + 1e-3)


def test_shifts_cover_the_cell() -> None:
    assert len(set(shifts(256))) == 256 and all(0 <= v < 16 for shift in shifts(300) for v in shift)
    assert quality_for(1e-9) == 1000 and quality_for(1e9) == 0 and 400 < quality_for(25, 200) < 600


@pytest.mark.parametrize("sigma", [5, 15, 25, 40])
def test_noise_is_measured(clean: np.ndarray, sigma: float) -> None:
    assert noise_level(noisy(load(KODAK), sigma)) == pytest.approx(sigma, rel=0.1)
    assert noise_level(noisy(clean[..., :1], sigma)) == pytest.approx(sigma, rel=0.2)


def test_noise_of_what_has_none() -> None:
    assert noise_level(np.full((40, 40, 3), 77, np.uint8)) == 0
    assert noise_level(np.zeros((1, 1, 3), np.uint8)) == noise_level(np.full((50, 50, 1), 255, np.uint8)) == 0
    assert noise_level(load(KODAK)) < 1.5


@pytest.mark.parametrize(("sigma", "gain"), [(15, 7.5), (25, 9.0), (50, 10.0)])
def test_denoising(prior: Prior, clean: np.ndarray, sigma: float, gain: float) -> None:
    spoilt = noisy(clean, sigma)
    found = denoise(prior, spoilt.astype(np.float32), sigma)
    assert close(found, clean) > psnr(spoilt, clean) + gain


def test_a_guide_and_shifts_help(prior: Prior, clean: np.ndarray) -> None:
    x = noisy(clean, 25).astype(np.float32)
    one, many = prior.clean(x, 25), prior.clean(x, 25, shifts(6))
    assert close(many, clean) > close(one, clean) + 0.1
    assert close(prior.clean(x, 25, shifts(6), many), clean) > close(many, clean) + 0.5


def test_windows_do_not_show(prior: Prior, monkeypatch: pytest.MonkeyPatch) -> None:
    x = noisy(load(KODAK)[:200, :330], 20).astype(np.float32)
    whole = prior.clean(x, 20)
    monkeypatch.setattr(cleaner, "WINDOW", 128)
    assert len(cleaner.spans(256)) == 2
    parts = prior.clean(x, 20)
    assert np.abs(parts - whole).mean() < 0.3, "contexts see a little farther than the margin"


def test_inpainting(prior: Prior, clean: np.ndarray) -> None:
    known = np.random.default_rng(5).random(clean.shape[:2]) < 0.2
    operator = Mask(known)
    observed = operator.forward(clean.astype(np.float32))
    found = restore(prior, operator, observed)
    assert close(found, clean) > close(operator.start(observed), clean) + 1.5
    assert np.abs(found - clean)[known].max() < 3


def test_filling_is_smooth_and_keeps_what_is_known() -> None:
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32)[:, None, None], (40, 30, 3)) * 4
    known = (np.random.default_rng(6).random((40, 30, 1)) < 0.3).astype(np.float32)
    found = filled(ramp * known, known)
    np.testing.assert_allclose(found * known, ramp * known, atol=1e-4)
    assert np.abs(found - ramp).mean() < 4
    alone = np.zeros((7, 5, 1), np.float32)
    alone[3, 2] = 1
    np.testing.assert_allclose(filled(alone * np.float32(50), alone), 50, atol=1e-3)


@pytest.mark.parametrize(("subsampling", "quality"), [(0, 10), (1, 10), (2, 10), (2, 20)])
def test_jpeg(prior: Prior, clean: np.ndarray, subsampling: int, quality: int) -> None:
    file = io.BytesIO()
    Image.fromarray(clean).save(file, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(file) as image:
        operator, observed = Jpeg.of(image), np.asarray(image.convert("RGB"), np.float32)
    found = restore(prior, operator, observed)
    assert close(found, clean) > close(observed, clean) + 0.7
    fitted = operator.fit(np.full_like(observed, 90), observed, 0, 1)
    for i, (table, coarser) in enumerate(zip(operator.tables, operator.coarser, strict=True)):
        mine, its = (to_blocks(shrunk((p @ TO_YCC.T)[..., i], coarser)) for p in (fitted, observed))
        assert (np.abs(mine - np.rint(its / table) * table) <= NARROW * table + 0.1).all()


@pytest.mark.parametrize("mode", ["CMYK", "RGB", "L", "YCbCr"])
def test_jpeg_files_of_other_colours(models: Models, clean: np.ndarray, mode: str) -> None:
    file = io.BytesIO()
    options = {"keep_rgb": True} if mode == "RGB" else {}
    Image.fromarray(clean).convert(mode).save(file, "JPEG", quality=10, **options)
    if mode in ("CMYK", "RGB"):
        with pytest.raises(VaecError, match="no JPEG file of"):
            parse_operator("jpeg", file.getvalue())
    else:
        observed = load_any(file.getvalue())
        done, _ = Undo("jpeg").apply(models, observed, file.getvalue())
        true = np.asarray(Image.fromarray(clean).convert("L" if mode == "L" else "RGB")).reshape(observed.pixels.shape)
        assert psnr(done.pixels, true) > psnr(observed.pixels, true) + 0.5


def load_any(data: bytes) -> Picture:
    return read_picture(data, None)[0]


def test_deblurring_and_superresolution(prior: Prior, clean: np.ndarray) -> None:
    blur = Blur.gaussian(1.5)
    big = load(KODAK)[64 - 5 : 224 + 5, 360 - 5 : 552 + 5].astype(np.float32)
    observed = blur.forward(big) + np.random.default_rng(7).normal(0, 1, clean.shape).astype(np.float32)
    shares: list[float] = []
    found = restore(prior, blur, observed, 1.0, progress=shares.append)
    assert close(found, clean) > close(observed, clean) + 3.6
    assert len(blur.turns(1).levels) <= 20, "a third of what others take"
    assert shares == sorted(shares) and shares[-1] == 1 and len(set(shares)) > len(blur.turns(1).levels)
    fewer = Downsampling(2)
    small = fewer.forward(clean.astype(np.float32))
    assert close(restore(prior, fewer, small), clean) > close(fewer.start(small), clean) + 0.5


def test_compressed_sensing(prior: Prior) -> None:
    x = load(KODAK)[64:192, 360:488].astype(np.float32)
    operator = Projections((128, 128), 0.1)
    assert close(restore(prior, operator, operator.forward(x)), x.astype(np.uint8)) > 24


@settings(deadline=None, max_examples=12)
@given(height=st.integers(1, 40), width=st.integers(1, 40), channels=st.integers(1, 4))
def test_any_picture(small: Codec, height: int, width: int, channels: int) -> None:
    given_picture = Picture(picture(height, width, channels), icc=b"profile")
    models = Models(small.weights)
    for recipe in (Denoise(10), Enhance(), Undo("blur:0.5")):
        done, _ = recipe.apply(models, given_picture, b"")
        assert done.pixels.shape == given_picture.pixels.shape and done.icc == b"profile"
        if channels in (2, 4):
            np.testing.assert_array_equal(done.pixels[..., -1], given_picture.pixels[..., -1])
    if channels in (1, 3):
        done, _ = Undo("downsample:2").apply(models, given_picture, b"")
        assert done.pixels.shape == (2 * height, 2 * width, channels)


def test_transparent_pixels_are_filled_in(small: Codec) -> None:
    pixels = picture(50, 60, 4)
    pixels[..., 3] = 255
    pixels[10:20, 10:30, 3] = 0
    done, notes = Inpaint().apply(Models(small.weights), Picture(pixels), b"")
    assert done.pixels.shape == (50, 60, 3) and notes == ["6.7 % filled in"]
    known = pixels[..., 3] > 0
    np.testing.assert_array_equal(done.pixels[known], pixels[..., :3][known])
    pixels[..., 3] = 0
    with pytest.raises(VaecError, match="leaves nothing"):
        Inpaint().apply(Models(small.weights), Picture(pixels), b"")


@pytest.mark.parametrize(
    "text", ["", "blur", "blur:0", "blur:nan", "motion:5", "downsample:5", "jpeg:2", "cat", "jpeg"]
)
def test_bad_operators(text: str) -> None:
    with pytest.raises(VaecError):
        parse_operator(text, KODAK.read_bytes())


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], clean: np.ndarray) -> None:
    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        return int(ended.value.code or 0)

    source, mask, jpeg = tmp_path / "a.png", tmp_path / "mask.png", tmp_path / "a.jpg"
    Image.fromarray(noisy(clean, 25)).save(source)
    Image.fromarray(clean).save(jpeg, quality=10)
    holes = np.zeros(clean.shape[:2], np.uint8)
    holes[::8] = 255
    Image.fromarray(holes).save(mask)
    assert run("denoise", source) == 0
    assert psnr(load(tmp_path / "a.denoised.png"), clean) > 28
    assert "noise of 2" in capsys.readouterr().err
    assert run("denoise", "--sigma", "25", source, tmp_path / "b.vaec", "-q", "60") == 0
    assert run("encode", "-q", "60", source, tmp_path / "c.vaec") == 0
    assert run("encode", "-q", "60", "--denoise", "auto", source, tmp_path / "d.vaec") == 0
    sizes = {name: (tmp_path / f"{name}.vaec").stat().st_size for name in "bcd"}
    assert max(sizes["b"], sizes["d"]) < sizes["c"] / 2
    decoded = {
        name: psnr(Codec(threads=1).decode((tmp_path / f"{name}.vaec").read_bytes()).pixels, clean) for name in "cd"
    }
    assert decoded["d"] > decoded["c"] + 2, "smaller, and nearer to the picture behind the noise"
    assert run("inpaint", jpeg, tmp_path / "e.png", "--mask", mask) == 0
    assert run("restore", "--operator", "jpeg", jpeg) == 0
    assert psnr(load(tmp_path / "a.restored.png"), clean) > psnr(load(jpeg), clean) + 0.7
    assert run("enhance", jpeg, tmp_path / "f.png") == 0
    capsys.readouterr()
    assert run("inpaint", source, tmp_path / "g.png", "--mask", source.with_name("none.png")) == 1
    assert "the mask" in capsys.readouterr().err
    assert run("inpaint", source, tmp_path / "g.png") == 1
    assert "--mask says which" in capsys.readouterr().err
    assert run("restore", "--operator", "jpeg", source, tmp_path / "g.png") == 1
    assert run("restore", "--operator", "cat", source) == 2
    assert run("denoise", "--sigma", "0", source) == 2
    capsys.readouterr()
    assert run("denoise", "--device", "nowhere", source, tmp_path / "g.png") == 1
    assert "no device 'nowhere'" in capsys.readouterr().err
    assert not (tmp_path / "g.png").exists()
