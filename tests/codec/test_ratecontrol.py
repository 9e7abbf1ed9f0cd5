"""Rate control: the search on curves of all kinds, and real files that keep to their targets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import vaecodec
from tests.sample_pictures import picture
from tools.train.data import load
from vaecodec.bitstream.header import QUALITY_MAX
from vaecodec.cli import main
from vaecodec.cli.options import Size
from vaecodec.codec import Codec
from vaecodec.codec.ratecontrol import KINDS, Target, likeness, search
from vaecodec.errors import VaecError
from vaecodec.pictures.picture import Picture

QUALITY = QUALITY_MAX
SAMPLE = Path(__file__).parents[1] / "data" / "kodim23.png"


@settings(deadline=None)
@given(
    smallest=st.floats(200, 1e6),
    growth=st.floats(1.5, 5),
    bend=st.floats(-0.8, 0.8),
    noise=st.floats(0, 0.002),
    share=st.floats(-0.2, 1.2),
    guess=st.integers(0, QUALITY),
)
def test_sizes_are_met_within_one_per_cent_and_never_exceeded(
    smallest: float, growth: float, bend: float, noise: float, share: float, guess: int
) -> None:
    """Curves as real ones are: nearly straight, and not quite monotone."""
    trials = []

    def size(q: int) -> float:
        trials.append(q)
        t = q / QUALITY
        return round(smallest * math.exp(growth * t + bend * t * (1 - t) + noise * math.sin(37 * q)))

    wanted = smallest * math.exp(growth * round(share, 3))
    ends = size(0), size(QUALITY)
    trials.clear()
    try:
        q = search(KINDS["size"], wanted, guess, size)
    except VaecError:
        assert ends[0] > wanted
        return
    assert size(q) <= wanted * (1 + 1e-12)  # logarithms are compared, and rounded
    assert q == QUALITY or size(q) >= 0.99 * wanted
    assert len(set(trials)) <= 8


@given(steps=st.lists(st.integers(0, QUALITY), min_size=1, max_size=4), guess=st.integers(0, QUALITY))
def test_curves_with_jumps_still_end_on_the_right_side(steps: list[int], guess: int) -> None:
    """As where a picture turns into a drawing: the search must end, and never on the wrong side."""

    def value(q: int) -> float:
        return 30.0 + 5 * sum(q >= s for s in steps)

    q = search(KINDS["psnr"], 33.0, guess, value)
    assert value(q) >= 33
    assert value(search(KINDS["size"], 33.0, guess, value)) <= 33 if value(0) <= 33 else True


@pytest.mark.parametrize("size", [4000, 8000, 11_000])
def test_target_sizes(shipped: Codec, size: int) -> None:
    pixels = picture(130, 150)
    data = vaecodec.encode(pixels, target_size=size)
    assert 0.99 * size <= len(data) <= size
    assert vaecodec.decode(data).shape == pixels.shape


def test_target_bpp_is_that_of_the_whole_file(small: Codec) -> None:
    pixels = picture(96, 128)
    plain = small.encode_to(pixels, Target(bpp=0.4))
    assert 0.97 * 0.4 <= len(plain.data) * 8 / (96 * 128) <= 0.4
    laden = small.encode_to(Picture(pixels, icc=bytes(100)), Target(bpp=0.4))
    assert len(laden.data) * 8 / (96 * 128) <= 0.4
    assert laden.quality < plain.quality


# On so small a picture SSIMULACRA2 goes up and down by more than 2 from one quality to the next.
@pytest.mark.parametrize(("name", "value", "over"), [("psnr", 27.0, 1.0), ("ssimulacra2", 50.0, 6.0)])
def test_targets_of_likeness(shipped: Codec, name: str, value: float, over: float) -> None:
    pixels = load(SAMPLE)[100:300, 100:356]
    found = shipped.encode_to(pixels, Target(**{name: value}))
    reached = likeness(pixels, shipped.decode(found.data).pixels, name)
    assert value <= reached < value + over
    assert f"{reached:.1f}"[:3] in found.likeness


def test_effort_counts(small: Codec) -> None:
    """A target is met at every effort, at a quality that is no lower for the slower one."""
    pixels = picture(96, 96)
    quick, slow = (small.encode_to(pixels, Target(size=500), effort=effort) for effort in (3, 6))
    assert 0.95 * 500 <= len(slow.data) <= 500
    assert slow.data == small.encode(pixels, slow.quality, effort=6)
    assert quick.data == small.encode(pixels, quick.quality)


def test_a_size_beyond_quality_100_is_said(small: Codec) -> None:
    found = small.encode_to(picture(40, 40), Target(size=10**6))
    assert found.short and found.quality == 100


def test_what_cannot_be_reached_is_refused(small: Codec) -> None:
    with pytest.raises(VaecError, match="10 bytes cannot be reached: quality 0 gives"):
        small.encode_to(picture(64, 64), Target(size=10))
    with pytest.raises(VaecError, match=r"90.00 dB cannot be reached: quality 100 gives"):
        small.encode_to(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8), Target(psnr=90))


@pytest.mark.parametrize(
    "target", [{}, {"size": 1, "bpp": 1}, {"size": 0}, {"psnr": -3}, {"bpp": math.nan}, {"ssimulacra2": 100}]
)
def test_impossible_targets(target: dict[str, float]) -> None:
    with pytest.raises(VaecError):
        Target(**target)


def test_quality_and_target_exclude_each_other() -> None:
    with pytest.raises(VaecError, match="exclude"):
        vaecodec.encode(picture(8, 8), 50, target_size=1000)


@pytest.mark.parametrize(("channels", "tile"), [(1, None), (4, 64), (3, 64)])
def test_the_encoder_knows_what_decoders_see(small: Codec, channels: int, tile: int | None) -> None:
    """With overlays that cover a tile, transparency, several bands."""
    pixels = picture(150, 130, channels)
    pixels[:64, :64] = (picture(8, 8, channels) // 128 * 255).repeat(8, 0).repeat(8, 1)
    decoded = np.zeros_like(pixels)
    data = b"".join(small.encode_parts(Picture(pixels), 60, tile=tile, decoded=decoded))
    np.testing.assert_array_equal(decoded, small.decode(data).pixels)


def command_line(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "a.png", tmp_path / "a.vaec"
    Image.fromarray(load(SAMPLE)[100:300, 100:356]).save(source)
    assert command_line("encode", "--target-size", "4kB", source) == 0
    assert 3960 <= target.stat().st_size <= 4000
    assert "  quality " in capsys.readouterr().err
    assert command_line("encode", "-f", "--target-size", "1MB", source) == 0
    assert "note: this is quality 100, smaller than the target" in capsys.readouterr().err
    assert command_line("encode", "-f", "--target-psnr", "90", source) == 1
    assert "90.00 dB cannot be reached" in capsys.readouterr().err
    assert target.exists(), "what was there is kept"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("-q", "50", "--target-size", "1kB"), "--quality and --target-size exclude each other"),
        (("--target-bpp", "1", "--target-psnr", "40"), "exclude each other"),
        (("--target-size", "12 potatoes"), "is not a size"),
        (("--target-size", "1.2.3kB"), "is not a size"),
        (("--target-size", "0"), "not a positive number"),
        (("--target-psnr", "nan"), "not a number"),
        (("--target-ssimulacra2", "100"), "below 100"),
    ],
)
def test_usage_errors(arguments: tuple[str, ...], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line("encode", *arguments, "a.png") == 2
    assert word in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "size"), [("80000", 80_000), ("80kB", 80_000), ("1.5 MB", 1_500_000), (".5GB", 5e8), ("64KiB", 65_536)]
)
def test_sizes(text: str, size: float) -> None:
    assert Size().convert(text, None, None) == size
