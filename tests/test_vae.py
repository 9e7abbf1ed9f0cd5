"""Samples follow the model's tables; the evidence bound is one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.commands import FakeCodec, Run
from tests.sample_pictures import picture
from tools.train.data import load
from vaecodec import vae
from vaecodec.bitstream.tiles import SECTIONS, Tile
from vaecodec.cli import main
from vaecodec.codec import Codec
from vaecodec.entropy.rans import ONE, STATE_START, Decoder
from vaecodec.errors import VaecError
from vaecodec.pictures.picture import Picture

KODAK = Path(__file__).parent / "data" / "kodim23.png"


def test_samples(shipped: Codec) -> None:
    one, same, other = (vae.sample(shipped, (130, 90), 50, seed).pixels for seed in (1, 1, 2))
    assert one.shape == (130, 90, 3)
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.5 and one.std() > 10
    for shape in ((0, 5), (1 << 14, 1 << 14)):
        with pytest.raises(VaecError, match="too large"):
            vae.sample(shipped, shape, 50, 0)


def test_random_bits_follow_the_tables(shipped: Codec) -> None:
    """What sampling rests on: each symbol comes up as often as its table says."""
    tables, rng, count = shipped.weights.y_tables, np.random.default_rng(0), 20_000
    states = (STATE_START + rng.integers(0, 1 << 16, 128)).astype("<u4").tobytes()
    for row in (5, 25, 45):
        decoder = Decoder(states, rng.bytes(2 * count))
        symbols = decoder.decode(tables, np.full(count, row, np.uint16))[0]
        expected = tables.frequency[row] / ONE * count
        found = np.bincount(symbols, minlength=len(expected))
        assert (np.abs(found - expected) <= 5 * np.sqrt(expected) + 1).all()


def test_samples_of_several_tiles(small: Codec) -> None:
    assert vae.sample(small, (1030, 40), 30, 0).pixels.shape == (1030, 40, 3)


def test_the_hyperprior_carries_something(shipped: Codec) -> None:
    """A picture drawn again from its z is nearer to it than one drawn from nothing: by activity, not by content."""
    x = load(KODAK)[100:356, 200:456]
    again = vae.resample(shipped, Picture(x), 60, 0).pixels
    assert (again != vae.resample(shipped, Picture(x), 60, 1).pixels).mean() > 0.5

    def activity(pixels: np.ndarray) -> np.ndarray:
        return np.log(1 + pixels.astype(float).mean(axis=2).reshape(4, 64, 4, 64).std(axis=(1, 3))).ravel()

    drawn = [np.corrcoef(activity(vae.sample(shipped, (256, 256), 60, s).pixels), activity(x))[0, 1] for s in range(3)]
    assert np.corrcoef(activity(again), activity(x))[0, 1] > max(0.3, max(drawn))


@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_is_left_out(small: Codec, channels: int) -> None:
    """Of a sample like a picture; that of grey ones was whatever the memory held."""
    pixels = picture(70, 50, channels)
    drawn = vae.resample(small, Picture(pixels), 60, 3).pixels
    np.testing.assert_array_equal(drawn, vae.resample(small, Picture(pixels[..., :-1]), 60, 3).pixels)


def test_tiles_that_are_made_are_tiles(monkeypatch: pytest.MonkeyPatch, small: Codec) -> None:
    """With all the sections that the format has."""
    made: list[Tile] = []
    monkeypatch.setattr(vae, "shown", lambda _codec, _header, tiles: made.extend(tiles))
    vae.sample(small, (70, 50), 60, 0)
    vae.resample(small, Picture(picture(70, 50)), 60, 0)
    assert len(made) == 2 and all(len(tile.sections) == len(SECTIONS) for tile in made)


def test_the_bound(shipped: Codec) -> None:
    x = Picture(load(KODAK)[:128, :192])
    low, high = vae.bound(shipped, x, 40, 1), vae.bound(shipped, x, 100, 1)
    assert low.total > high.total > 1 and low.rate < high.rate
    flat = vae.bound(shipped, Picture(np.full((64, 64, 1), 128, np.uint8)), 90, 1)
    assert flat.distortion < 0.5


@pytest.mark.parametrize("deviation", [0.3, 2.0, 40.0])
def test_costs_are_those_of_probabilities(deviation: float) -> None:
    """For each decoded level, those of all 256 levels sum to one."""
    decoded = np.full((1, 1), 250, np.uint8)
    bits = [vae.bits_around(np.full((1, 1), level, np.uint8), decoded, deviation) for level in range(256)]
    assert math.fsum(2.0**-b for b in bits) == pytest.approx(1, abs=1e-6)
    assert np.argmin(bits) == 250


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        return int(ended.value.code or 0)

    source, target = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(picture(60, 80)).save(source)
    assert run("sample", "--size", "96x48", "--seed", 5, target) == 0
    assert load(target).shape == (48, 96, 3)
    assert run("sample", target) == 1, "it exists"
    assert run("sample", "-f", "--like", source, "-q", 30, target) == 0
    assert load(target).shape == (60, 80, 3)
    assert run("sample", "--like", source, "--size", "5x5", target) == run("sample", "--size", "0x5", target) == 2
    capsys.readouterr()
    assert run("elbo", "--json", "-q", 90, source) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["total"] == pytest.approx(facts["rate"] + facts["distortion"], abs=1e-3)
    assert run("elbo", tmp_path / "none.png") == 1


def test_features(shipped: Codec) -> None:
    """The same latents as the decoder's, of any number of tiles; much the same at another quality."""
    x = load(KODAK)[:200, :330]
    one, tiled, coarse = (
        vae.features(shipped, shipped.encode(Picture(x), q, tile=t, effort=1))
        for q, t in ((90, None), (90, 64), (50, None))
    )
    assert one.y_hat.shape == (13, 21, 384) and one.z_hat.shape == (4, 6, 96) == tiled.z_hat.shape
    assert one.pooled.shape == (2 * 384 + 96,)
    assert np.abs(one.y_hat - tiled.y_hat).mean() < 0.3 * np.abs(one.y_hat).mean()
    # The first channel is about the mean of a cell in luma, in levels times 16.
    cells = np.pad(x, ((0, 8), (0, 6), (0, 0)), mode="edge").reshape(13, 16, 21, 16, 3).mean(axis=(1, 3, 4))
    assert np.abs(np.corrcoef(one.y_hat[..., 0].ravel(), cells.ravel())[0, 1]) > 0.95
    assert np.corrcoef(one.y_hat[..., 0].ravel(), coarse.y_hat[..., 0].ravel())[0, 1] > 0.99
    hidden = Picture(np.full((64, 64, 3), 255, np.uint8))
    assert vae.features(shipped, shipped.encode(hidden, 75)).pooled.shape == (2 * 384 + 96,)


def test_features_command(tmp_path: Path, shipped: Codec) -> None:
    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        return int(ended.value.code or 0)

    x, out = picture(70, 90), tmp_path / "f.npz"
    Image.fromarray(x).save(tmp_path / "a.png")
    (tmp_path / "a.vaec").write_bytes(shipped.encode(Picture(x), 75))
    assert run("features", tmp_path / "a.png", tmp_path / "a.vaec", "--latents", "-o", out) == 0
    with np.load(out) as archive:
        assert list(archive["files"]) == [str(tmp_path / "a.png"), str(tmp_path / "a.vaec")]
        np.testing.assert_allclose(archive["pooled"][0], archive["pooled"][1], atol=0.5)
        assert archive["y_hat_1"].shape == (5, 6, 384) and archive["z_hat_0"].shape == (2, 2, 96)
    assert run("features", tmp_path / "a.png", "-o", out) == 1, "it exists"
    (tmp_path / "bad.vaec").write_bytes(b"nothing")
    assert run("features", tmp_path / "bad.vaec", tmp_path / "a.vaec", "-f", "-o", out) == 1
    with np.load(out) as archive:
        assert len(archive["files"]) == 1


@pytest.mark.parametrize("arguments", [("elbo",), ("features", "-o", "f.npz"), ("verify",)])
def test_stdin_is_read_once(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "-", "-")
    assert (result.code, FakeCodec.made) == (2, 0)
    assert "stdin can be read only once" in result.err
