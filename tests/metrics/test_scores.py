"""The measures against the papers, other people's programs, and what is known by hand."""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import correlate1d

from vaecodec.errors import VaecError
from vaecodec.metrics import scores
from vaecodec.metrics.scores import BUILT_IN, PROGRAM, Pixels, decibel, ms_ssim, mse, psnr, ssimulacra2

SAMPLE = np.asarray(Image.open(Path(__file__).parents[1] / "data" / "kodim23.png").convert("RGB"))
Part = tuple[int, int, int, int]  # top, left, height, width


# Distortions in integers, the same on every machine.


def quantised(a: Pixels, step: int) -> Pixels:
    return np.minimum(a.astype(np.int64) // step * step + step // 2, 255).astype(np.uint8)


def noisy(a: Pixels, most: int) -> Pixels:
    y, x, c = np.indices(a.shape, dtype=np.int64)
    noise = (x * 73856093 ^ y * 19349663 ^ c * 83492791) * 48271 % 65521 % (2 * most + 1) - most
    return np.clip(a + noise, 0, 255).astype(np.uint8)


def blurry(a: Pixels, radius: int) -> Pixels:
    height, width, _ = a.shape
    side = 2 * radius + 1
    padded = np.pad(a.astype(np.int64), ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    total = np.sum([padded[i : i + height, j : j + width] for i in range(side) for j in range(side)], axis=0)
    return ((total + side**2 // 2) // side**2).astype(np.uint8)


def blocky(a: Pixels, side: int) -> Pixels:
    """Of each block only the pixel in its middle."""
    rows, columns = (np.minimum(np.arange(n) // side * side + side // 2, n - 1) for n in a.shape[:2])
    return a[rows][:, columns]


def brighter(a: Pixels, by: int) -> Pixels:
    return np.minimum(a.astype(np.int64) + by, 255).astype(np.uint8)


Distortion = Callable[[Pixels, int], Pixels]


def pair(part: Part, distort: Distortion, strength: int) -> tuple[Pixels, Pixels]:
    top, left, height, width = part
    a = np.ascontiguousarray(SAMPLE[top : top + height, left : left + width])
    return a, distort(a, strength)


def compressed(a: Pixels, kind: str, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(a).save(file, kind, quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


# MSE and PSNR


def test_mse_and_psnr_by_hand() -> None:
    black, white = np.zeros((2, 3, 3), np.uint8), np.full((2, 3, 3), 255, np.uint8)
    assert (mse(black, white), mse(white, black), psnr(black, white)) == (255**2, 255**2, 0)
    one = black.copy()
    one[0, 0, 0] = 3
    assert mse(black, one) == 9 / 18
    assert psnr(black, one) == pytest.approx(10 * math.log10(255**2 * 2))
    assert psnr(one, one) == math.inf


# MS-SSIM


def ms_ssim_of_the_paper(a: Pixels, b: Pixels) -> float:
    """Wang, Simoncelli, Bovik 2003, for each of R, G, B.

    The paper says nothing of odd sides. Here, as in pytorch-msssim, a line of zeros goes around such a side, and the
    2 x 2 means count them; others repeat the last line, drop it, or shift the pairs, which moves the result by up to
    0.002.
    """
    taps = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def window(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return correlate1d(correlate1d(x, taps, 0), taps, 1)[5:-5, 5:-5]

    def halved(x: NDArray[np.float64]) -> NDArray[np.float64]:
        x = np.pad(x, [(n % 2, n % 2) for n in x.shape])
        x = x[: x.shape[0] // 2 * 2, : x.shape[1] // 2 * 2]
        return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean((1, 3))

    channels = []
    for channel in range(3):
        x, y = a[..., channel].astype(np.float64), b[..., channel].astype(np.float64)
        product = 1.0
        for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            if scale:
                x, y = halved(x), halved(y)
            mx, my = window(x), window(y)
            vx, vy, cov = window(x * x) - mx**2, window(y * y) - my**2, window(x * y) - mx * my
            figure = (2 * cov + c2) / (vx + vy + c2)
            if scale == 4:
                figure = figure * (2 * mx * my + c1) / (mx**2 + my**2 + c1)
            product *= max(figure.mean(), 0.0) ** weight
        channels.append(product)
    return float(np.mean(channels))


EVEN: Part = (100, 200, 256, 256)
ODD: Part = (40, 60, 243, 321)
LEAST: Part = (10, 300, 161, 165)
MS_SSIM_PAIRS: list[tuple[Part, Distortion, int]] = [
    ((0, 200, 256, 400), quantised, 32),
    (EVEN, quantised, 16),
    (EVEN, noisy, 12),
    (EVEN, blurry, 2),
    (ODD, noisy, 40),
    (ODD, blocky, 8),
    (LEAST, blurry, 1),
    (LEAST, quantised, 64),
    (LEAST, brighter, 5),
]


@pytest.mark.parametrize(("part", "distort", "strength"), MS_SSIM_PAIRS)
def test_ms_ssim_is_the_papers(part: Part, distort: Distortion, strength: int) -> None:
    a, b = pair(part, distort, strength)
    assert ms_ssim(a, b) == pytest.approx(ms_ssim_of_the_paper(a, b), abs=1e-4)


@pytest.mark.parametrize("part", [EVEN, ODD, LEAST])
@pytest.mark.parametrize(("kind", "quality"), [("JPEG", 5), ("JPEG", 50), ("JPEG", 95), ("WEBP", 10), ("WEBP", 80)])
def test_ms_ssim_of_coded_pictures_is_the_papers(part: Part, kind: str, quality: int) -> None:
    a, _ = pair(part, brighter, 0)
    b = compressed(a, kind, quality)
    assert ms_ssim(a, b) == pytest.approx(ms_ssim_of_the_paper(a, b), abs=1e-4)


@pytest.mark.parametrize(
    ("part", "distort", "strength", "by_piq"),
    [  # piq 0.8.0, multi_scale_ssim(x, y, data_range=255.0) in float64
        (EVEN, quantised, 16, 0.972707),
        (EVEN, quantised, 64, 0.816023),
        (EVEN, noisy, 12, 0.957859),
        (EVEN, blurry, 2, 0.984993),
        ((200, 300, 176, 208), noisy, 40, 0.744495),
        ((200, 300, 176, 208), blocky, 8, 0.860067),
    ],
)
def test_ms_ssim_is_piqs(part: Part, distort: Distortion, strength: int, by_piq: float) -> None:
    assert ms_ssim(*pair(part, distort, strength)) == pytest.approx(by_piq, abs=1e-4)


def test_ms_ssim_of_equal_and_of_small_pictures() -> None:
    a, b = pair(LEAST, noisy, 5)
    assert ms_ssim(a, a) == 1
    assert ms_ssim(a[:160], b[:160]) is ms_ssim(a[:, :160], b[:, :160]) is None


def test_decibel() -> None:
    assert [decibel(x) for x in (0.0, 0.9, 0.99, 1.0)] == pytest.approx([0, 10, 20, math.inf])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_msssim", None)
    with pytest.raises(VaecError, match=r"^MS-SSIM needs the package pytorch-msssim: pip install 'vaecodec\[bench\]'$"):
        ms_ssim(*pair(LEAST, noisy, 5))


# SSIMULACRA2. Scores by the program ssimulacra2 of libjxl 0.11.2 (Debian 13, x86-64 with AVX2): with it on the PATH,
# test_the_program_gives_these_scores computes them again.

WHOLE: Part = (0, 0, 512, 768)
SSIMULACRA2: list[tuple[Part, Distortion, int, float]] = [
    (WHOLE, blurry, 1, 66.847),
    (WHOLE, blocky, 2, 45.937),
    (EVEN, brighter, 1, 95.435),
    (EVEN, noisy, 1, 95.135),
    (EVEN, noisy, 3, 89.493),
    (EVEN, quantised, 4, 92.438),
    (EVEN, quantised, 16, 51.139),
    (EVEN, quantised, 64, -50.635),
    (ODD, noisy, 12, 58.653),
    (ODD, blurry, 1, 63.929),
    (ODD, blurry, 2, 34.365),
    (ODD, blocky, 8, -55.488),
    ((100, 250, 200, 136), noisy, 3, 89.832),
    ((100, 250, 200, 136), blocky, 8, -2.682),
    ((30, 500, 128, 128), noisy, 40, 0.667),
    ((30, 500, 113, 113), quantised, 16, 60.427),  # the smallest with all six scales
    ((30, 500, 112, 150), quantised, 16, 58.329),
    ((250, 300, 97, 61), noisy, 12, 44.209),
    ((300, 300, 9, 17), noisy, 12, 91.110),
    ((300, 300, 8, 8), quantised, 16, 95.536),
]


@pytest.mark.parametrize(("part", "distort", "strength", "score"), SSIMULACRA2)
def test_ssimulacra2_is_the_programs(part: Part, distort: Distortion, strength: int, score: float) -> None:
    # Near 100 a score is the root of a small sum, of rounding errors for a good part.
    assert ssimulacra2(*pair(part, distort, strength), BUILT_IN) == pytest.approx(score, abs=0.2 if score > 90 else 0.1)


if scores.ssimulacra2_source() == PROGRAM:  # where it is at hand, the constants are made again

    @pytest.mark.parametrize(("part", "distort", "strength", "score"), SSIMULACRA2)
    def test_the_program_gives_these_scores(part: Part, distort: Distortion, strength: int, score: float) -> None:
        assert ssimulacra2(*pair(part, distort, strength), PROGRAM) == pytest.approx(score, abs=0.05)


@pytest.mark.parametrize("part", [EVEN, (0, 0, 33, 47), (300, 300, 8, 8)])
def test_ssimulacra2_of_equal_pictures_is_100(part: Part) -> None:
    a, b = pair(part, brighter, 0)
    assert ssimulacra2(a, b, BUILT_IN) == 100


@pytest.mark.parametrize("by", [BUILT_IN, PROGRAM])
def test_ssimulacra2_of_small_pictures_is_none(by: str) -> None:
    a, b = pair((0, 0, 8, 9), noisy, 3)
    assert ssimulacra2(a[:7], b[:7], by) is ssimulacra2(a[:, :7], b[:, :7], by) is None


def test_ssimulacra2_takes_any_memory_layout() -> None:
    a, b = pair(LEAST, noisy, 5)
    assert ssimulacra2(np.asfortranarray(a), np.asfortranarray(b), BUILT_IN) == pytest.approx(
        ssimulacra2(a, b, BUILT_IN), abs=1e-4
    )


STAND_IN = """#!{python}
import sys
from PIL import Image
assert [Image.open(path).size for path in sys.argv[1:]] == [(17, 9), (17, 9)]
print("a line before")
{ending}
"""


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> tuple[Any, ...]:
    """A program ssimulacra2 on the PATH, and a pair for it."""
    program = folder / "ssimulacra2"
    program.write_text(STAND_IN.format(python=sys.executable, ending=ending))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return pair((300, 300, 9, 17), noisy, 12)


@pytest.mark.skipif(os.name == "nt", reason="a script with #! as the program")
def test_the_program_on_the_path_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = stand_in(tmp_path, monkeypatch, "print('-1.25000000')")
    assert scores.ssimulacra2_source() == PROGRAM
    assert ssimulacra2(a, b, PROGRAM) == -1.25
    assert ssimulacra2(a, b, BUILT_IN) == pytest.approx(91.110, abs=0.1), "whatever is on the PATH"


@pytest.mark.skipif(os.name == "nt", reason="a script with #! as the program")
@pytest.mark.parametrize(
    ("ending", "says"),
    [("sys.exit('no such picture')", "no such picture"), ("sys.exit(7)", "exit code 7"), ("", "a line before")],
)
def test_a_failing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, says: str) -> None:
    a, b = stand_in(tmp_path, monkeypatch, ending)
    with pytest.raises(VaecError, match=f"^the program ssimulacra2 gave no score: .*{says}"):
        ssimulacra2(a, b, PROGRAM)


def test_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert scores.ssimulacra2_source() == BUILT_IN
    a, b = pair((300, 300, 9, 17), noisy, 12)
    with pytest.raises(VaecError, match="gave no score"):
        ssimulacra2(a, b, PROGRAM)
    with pytest.raises(VaecError, match="'x' is not known here"):
        ssimulacra2(a, b, "x")
