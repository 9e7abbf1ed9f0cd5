"""From a wanted size or a wanted likeness to the quality that gives it, by trials.

Bytes, dB and scores all grow with the quality, and each on a scale of its own nearly in a straight line. So a search
begins on the line that photographs follow on average, goes on along the secant of what it has found, and ends within
its tolerance after some three trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vaecodec.arguments import as_number
from vaecodec.bitstream.header import QUALITY_MAX
from vaecodec.errors import VaecError

if TYPE_CHECKING:
    from vaecodec.pictures.picture import Picture

QUICK = 3  # the highest effort at which trials are made first, because coding is quick up to there
# Codes the picture at an effort and a quality, and fills an array with what that decodes to.
Coded = Callable[[int, float, Callable[[float], None] | None, NDArray[np.uint8] | None], Iterable[bytes]]


@dataclass(frozen=True)
class Kind:
    """What a target is about. `scaled` is its value where it grows linearly with the quality.

    start, rise: the average line, at quality 0 and over the whole dial, for bytes as bits per pixel.
    tolerance: on the scale, on the side where a result may lie. ceiling: not above the value, else not below it.
    tries: trials at most, so that a search takes no more than 8 times as long as coding once.
    """

    text: str
    scaled: Callable[[float], float]
    start: float
    rise: float
    tolerance: float
    ceiling: bool
    tries: int


KINDS = {
    "size": Kind("{:.0f} bytes", math.log, -3.15, 4.0, 0.008, True, 7),
    "psnr": Kind("{:.2f} dB", lambda v: min(v, 100.0), 26.0, 17.2, 0.05, False, 5),
    "ssimulacra2": Kind("SSIMULACRA2 {:.1f}", lambda v: -math.log(max(100 - v, 0.01)), -5.0, 2.6, 0.03, False, 4),
}


@dataclass(frozen=True)
class Target:
    """What a file must reach. Give exactly one.

    size: bytes of the whole file, never more. bpp: the same in bits per pixel.
    psnr: dB, RGB, never less. ssimulacra2: a score below 100, never less.

    Raises: VaecError where it is not one, or not a positive finite number.
    """

    size: float | None = None
    bpp: float | None = None
    psnr: float | None = None
    ssimulacra2: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) != 1:
            raise VaecError(f"one target is needed, not {len(given)}")
        ((name, value),) = given.items()
        value = as_number(value, f"a target {name} of")
        object.__setattr__(self, name, value)  # a number of NumPy's may have too few bits for what is done with it
        if value <= 0:
            raise VaecError(f"a target {name} of {value:g} is not a positive number")
        if name == "ssimulacra2" and value >= 100:
            raise VaecError("a target SSIMULACRA2 must be below 100")

    def resolve(self, pixels: int) -> tuple[str, float]:
        """Its kind and value for a picture of so many pixels; bits per pixel as bytes."""
        if self.bpp is not None:
            return "size", self.bpp * pixels / 8
        return next((name, value) for name, value in vars(self).items() if value is not None)


@dataclass(frozen=True)
class Found:
    """A file that meets a target, with its quality (0..100).

    likeness: what it came to, as text, for targets of likeness. short: the best there is, yet smaller than was allowed.
    """

    data: bytes
    quality: float
    likeness: str = ""
    short: bool = False


def encode_to(
    coded: Coded, picture: Picture, target: Target, effort: int, progress: Callable[[float], None] | None = None
) -> Found:
    """Code a picture so that it meets a target: see `Codec.encode_to`."""
    name, wanted = target.resolve(picture.width * picture.height)
    kind = KINDS[name]
    guess = first_guess(kind, wanted, picture.width * picture.height)
    trials = 0

    def search_at(effort: int, guess: int) -> Found:
        files: dict[int, tuple[bytes, float]] = {}

        def measure(q: int) -> float:
            nonlocal trials
            if q not in files:
                first, last = (1 - 0.6**n for n in (trials, trials + 1))  # nobody knows how many there will be
                part = (lambda share: progress(first + share * (last - first))) if progress else None
                decoded = None if kind.ceiling else np.empty_like(picture.pixels)
                data = b"".join(coded(effort, q / 10, part, decoded))
                files[q] = data, len(data) if decoded is None else likeness(picture.pixels, decoded, name)
                trials += 1
            return files[q][1]

        q = search(kind, wanted, guess, measure)
        value = measure(q)
        if not kind.ceiling:
            return Found(files[q][0], q / 10, likeness=kind.text.format(value))
        short = q == QUALITY_MAX and kind.scaled(value) < kind.scaled(wanted) - kind.tolerance
        return Found(files[q][0], q / 10, short=short)

    if effort > QUICK:
        guess = round(search_at(QUICK, guess).quality * 10)
    found = search_at(effort, guess)
    if progress:
        progress(1)
    return found


def likeness(a: NDArray[np.uint8], b: NDArray[np.uint8], name: str) -> float:
    """PSNR or SSIMULACRA2 of two pictures (H, W, C), transparency left out."""
    from vaecodec.codec.pixels import as_rgb
    from vaecodec.metrics import scores, ssimulacra2

    a, b = as_rgb(a), as_rgb(b)
    if name == "psnr":
        return scores.psnr(a, b)
    if min(a.shape[:2]) < scores.SSIMULACRA2_FROM:
        raise VaecError(f"SSIMULACRA2 needs {scores.SSIMULACRA2_FROM} pixels a side")
    return ssimulacra2.ssimulacra2(a, b)


def first_guess(kind: Kind, wanted: float, pixels: int) -> int:
    """The quality 0..1000 that gives `wanted` on average."""
    scaled = kind.scaled(wanted) - (math.log(pixels / 8) if kind is KINDS["size"] else 0.0)
    return round(min(1.0, max(0.0, (scaled - kind.start) / kind.rise)) * QUALITY_MAX)


def search(kind: Kind, wanted: float, guess: int, measure: Callable[[int], float]) -> int:
    """The best quality 0..1000 of those tried: the highest that is not above `wanted`, or the lowest not below it.

    Args: measure: what a quality gives, in the unit of `wanted`.
    Raises: VaecError where no quality gives it.
    """
    aim = kind.scaled(wanted)
    low, high = (aim - kind.tolerance, aim) if kind.ceiling else (aim, aim + kind.tolerance)
    tried: dict[int, float] = {}
    q = guess
    while q not in tried:
        tried[q] = kind.scaled(measure(q))
        below = max((p for p, v in tried.items() if v < low), default=-1)
        above = min((p for p, v in tried.items() if v > high), default=QUALITY_MAX + 1)
        good = [p for p, v in tried.items() if (v <= high if kind.ceiling else v >= low)]
        if low <= tried[q] <= high or (good and len(tried) >= kind.tries):
            break
        if above == 0 or below == QUALITY_MAX:
            break
        q = next_guess(tried, (low + high) / 2, kind.rise / QUALITY_MAX)
        if len(tried) > kind.tries:
            q = (below + above) // 2
        q = min(max(q, below + 1), above - 1) if below < above - 1 else (below if kind.ceiling else above)
    if not good:
        end = 0 if kind.ceiling else QUALITY_MAX
        reached = kind.text.format(measure(end))
        raise VaecError(f"{kind.text.format(wanted)} cannot be reached: quality {end // 10} gives {reached}")
    return max(good) if kind.ceiling else min(good)


def next_guess(tried: dict[int, float], aim: float, slope: float) -> int:
    """Where the line through the two trials nearest to `aim`, on both sides if possible, meets it."""
    nearest = sorted(tried, key=lambda p: abs(tried[p] - aim))
    a = nearest[0]
    others = [p for p in nearest[1:] if (tried[p] < aim) != (tried[a] < aim)] or nearest[1:]
    if others and (tried[others[0]] - tried[a]) * (others[0] - a) > 0:
        slope = (tried[others[0]] - tried[a]) / (others[0] - a)
    q = a + (aim - tried[a]) / slope
    return round(min(max(q, 0), QUALITY_MAX))
