"""How far a decoded picture is from its original. Everywhere `a` is the original and `b` the decoded one, both
(H, W, 3) uint8 RGB of equal shape.

Over a set of pictures there are two conventions for PSNR: the mean of the pictures' PSNRs, and the PSNR of the mean of
their MSEs, which is never above it. The first is infinite as soon as one picture is exact.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaecodec.errors import VaecError

Pixels = NDArray[np.uint8]

MS_SSIM_ABOVE = 160  # an 11-tap window on the fifth scale: 10 * 2**4
SSIMULACRA2_FROM = 8
PROGRAM = "ssimulacra2 (reference program, PATH)"
BUILT_IN = "vaecodec.metrics.ssimulacra2"
TIMEOUT = 3600.0  # seconds for one call of the program


def mse(a: Pixels, b: Pixels) -> float:
    """Mean squared error over pixels and channels, 0 to 255**2."""
    return float(np.mean(np.square(np.subtract(a, b, dtype=np.int32)), dtype=np.float64))


def psnr(a: Pixels, b: Pixels) -> float:
    """10 log10(255**2 / MSE) in dB, with the MSE over the three channels together; infinite for equal pictures."""
    return psnr_of_mse(mse(a, b))


def psnr_of_mse(error: float) -> float:
    """PSNR in dB of an MSE, or of a mean of MSEs."""
    return 10 * math.log10(255**2 / error) if error else math.inf


def ms_ssim(a: Pixels, b: Pixels) -> float | None:
    """MS-SSIM, at most 1, the mean of the channels R, G, B; None where the shorter side is 160 or less.

    Wang, Simoncelli, Bovik, "Multiscale structural similarity for image quality assessment" (2003), with its window
    (Gaussian, 11 taps, sigma 1.5) and weights, by the package pytorch-msssim as most papers on learned codecs do.
    Raises: VaecError without that package.
    """
    if min(a.shape[:2]) <= MS_SSIM_ABOVE:
        return None
    import torch

    try:
        import pytorch_msssim  # type: ignore[import-untyped]
    except ImportError:
        raise VaecError("MS-SSIM needs the package pytorch-msssim: pip install 'vaecodec[bench]'") from None

    x, y = (torch.tensor(picture.transpose(2, 0, 1)[None], dtype=torch.float32) for picture in (a, b))
    with torch.inference_mode():
        return float(pytorch_msssim.ms_ssim(x, y, data_range=255))


def decibel(x: float) -> float:
    """-10 log10(1 - x) for an MS-SSIM of at most 1, which crowds where people still see differences; infinite at 1."""
    return -10 * math.log10(1 - x) if x < 1 else math.inf


def ssimulacra2_source() -> str:
    """Who computes SSIMULACRA2 here: the reference program where it is on the PATH, else this package.

    Ask once for a run and hand it to each `ssimulacra2`, so that one table never has both.
    """
    return PROGRAM if shutil.which("ssimulacra2") else BUILT_IN


def ssimulacra2(a: Pixels, b: Pixels, source: str) -> float | None:
    """SSIMULACRA2, at most 100 (see ssimulacra2.py), by what `ssimulacra2_source` named; None with a side under 8.

    The two agree within 0.15 points on photographs of half a megapixel, and within 0.5 on large smooth pictures of
    high score, where rounding errors are most of what either sees.
    Raises: VaecError where the program is gone or fails.
    """
    if min(a.shape[:2]) < SSIMULACRA2_FROM:
        return None
    if source == PROGRAM:
        return by_program(a, b)
    if source == BUILT_IN:
        from vaecodec.metrics import ssimulacra2 as built_in

        return built_in.ssimulacra2(a, b)
    raise VaecError(f"SSIMULACRA2 by {source!r} is not known here; there are {PROGRAM!r} and {BUILT_IN!r}")


def by_program(a: Pixels, b: Pixels) -> float:
    """The score by the reference program, which reads PNGs without a colour profile as sRGB."""
    from PIL import Image

    with tempfile.TemporaryDirectory(prefix="vaecodec-") as folder:
        paths = [Path(folder, "original.png"), Path(folder, "decoded.png")]
        for path, picture in zip(paths, (a, b), strict=True):
            Image.fromarray(picture).save(path, compress_level=1)
        try:
            run = subprocess.run(["ssimulacra2", *paths], capture_output=True, text=True, timeout=TIMEOUT)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise VaecError(f"the program ssimulacra2 gave no score: {error}") from None
    last = run.stdout.strip().rpartition("\n")[2]
    try:
        if run.returncode == 0:
            return float(last)
        reason = run.stderr.strip().rpartition("\n")[2] or f"exit code {run.returncode}"
    except ValueError:
        reason = f"its last line is {last!r}"
    raise VaecError(f"the program ssimulacra2 gave no score: {reason}")
