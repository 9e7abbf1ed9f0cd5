"""One picture through one codec at one setting: a real file, its size, what it lost, and how long it took."""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from vaecodec.bench.codecs import BenchCodec, Options, Pixels, catalogue
from vaecodec.bench.rows import Row
from vaecodec.errors import PictureError, VaecError
from vaecodec.metrics import scores

T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """What a worker is told: which picture, codec and setting, and how to measure."""

    path: Path
    picture: str  # its name in the results
    codec: str
    setting: float
    file: Path  # where the coded file is kept
    options: Options
    metrics: tuple[str, ...]
    ssimulacra2_by: str
    repeats: int
    jobs: int


def load(path: Path) -> tuple[Pixels, str]:
    """RGB pixels, upright, on white where the picture is transparent; and the start of their SHA-256.

    Raises: PictureError where the file cannot be read.
    """
    try:
        return _load(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror or error}") from None


@lru_cache(maxsize=1)
def _load(path: Path, _changed: int) -> tuple[Pixels, str]:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            pixels = np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow's plugins raise all kinds of errors for bad bytes
        raise PictureError(f"cannot be read: {error}") from None
    return pixels, hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:16]


@lru_cache(maxsize=1)
def codecs(options: Options) -> dict[str, BenchCodec]:
    """The codecs of this process, their models loaded once."""
    return catalogue(options)


_warm: set[str] = set()


def measure(task: Task) -> Row:
    """Code the picture, keep the file, and compare what comes back from it. Raises: VaecError, OSError."""
    codec = codecs(task.options)[task.codec]
    pixels, digest = load(task.path)
    if task.codec not in _warm:  # the first call pays for imports, tables and kernels
        codec.load()
        codec.decode(codec.encode(pixels, task.setting))
        _warm.add(task.codec)
    data, enc_s = timed(codec, task.repeats, lambda: codec.encode(pixels, task.setting))
    task.file.parent.mkdir(parents=True, exist_ok=True)
    temporary = task.file.with_name(f"{task.file.name}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, task.file)
    data = task.file.read_bytes()
    decoded, dec_s = timed(codec, task.repeats, lambda: codec.decode(data))
    if decoded.shape != pixels.shape or decoded.dtype != np.uint8:
        raise VaecError(f"{task.codec} gave {decoded.dtype} of shape {decoded.shape} for {pixels.shape}")
    if codec.lossless and not np.array_equal(decoded, pixels):
        raise VaecError(f"{task.codec} should be lossless and is not")
    height, width = pixels.shape[:2]
    return Row(
        picture=task.picture,
        pixels=digest,
        width=width,
        height=height,
        codec=task.codec,
        label=codec.label,
        lossless=codec.lossless,
        version=codec.version(),
        setting=task.setting,
        command=codec.command(task.setting),
        bytes=task.file.stat().st_size,
        bpp=round(task.file.stat().st_size * 8 / (width * height), 6),
        mse=round(scores.mse(pixels, decoded), 6),
        psnr=round(scores.psnr(pixels, decoded), 5),
        ms_ssim=rounded(scores.ms_ssim(pixels, decoded)) if "ms-ssim" in task.metrics else None,
        ssimulacra2=rounded(scores.ssimulacra2(pixels, decoded, task.ssimulacra2_by))
        if "ssimulacra2" in task.metrics
        else None,
        ssimulacra2_by=task.ssimulacra2_by if "ssimulacra2" in task.metrics else "",
        enc_s=round(enc_s, 5),
        dec_s=round(dec_s, 5),
        repeats=task.repeats,
        jobs=task.jobs,
        threads=task.options.threads,
    )


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def timed(codec: BenchCodec, repeats: int, job: Callable[[], T]) -> tuple[T, float]:
    """The result of the last run and the median seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = job()
        whole = time.perf_counter() - start
        seconds.append(whole if codec.seconds is None else codec.seconds)
    return result, statistics.median(seconds)
