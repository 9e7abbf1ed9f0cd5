"""What a request asks for: its parameters, and the media type of the answer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vaecodec.bitstream.limits import SCALES
from vaecodec.codec.defaults import EFFORT, QUALITY, TUNES
from vaecodec.errors import VaecError
from vaecodec.jobs import Decode, Encode
from vaecodec.pictures.writing import format_of
from vaecodec.service.settings import Settings
from vaecodec.service.work import Look

VAEC, JSON = "image/vaec", "application/json"
# What pictures may be decoded to, by media type; where a client has no preference, the first.
ENDINGS = {
    "image/png": ".png",
    "image/webp": ".webp",
    "image/avif": ".avif",
    "image/jpeg": ".jpg",
    "image/tiff": ".tif",
    "image/x-portable-pixmap": ".ppm",
}
FORMATS = {"png": "image/png", "webp": "image/webp", "avif": "image/avif", "jpeg": "image/jpeg", "jpg": "image/jpeg"}
FORMATS |= {"tiff": "image/tiff", "ppm": "image/x-portable-pixmap"}
SHAPING = ("region", "scale", "max_size", "preview")  # of which one may be given
Parameter = Callable[[str], Any]  # of a text its value; raises ValueError, with the words that say what it should be


def number(low: float, high: float) -> Parameter:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return value

    return parse


def whole(low: int, high: int) -> Parameter:
    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,10}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def word(values: Mapping[str, Any]) -> Parameter:
    def parse(text: str) -> Any:
        if text not in values:
            raise ValueError(f"one of {', '.join(values)}")
        return values[text]

    return parse


def region(text: str) -> tuple[int, ...]:
    if not re.fullmatch(",".join(["[0-9]{1,10}"] * 4), text):
        raise ValueError("X,Y,WIDTH,HEIGHT in whole pixels")
    return tuple(map(int, text.split(",")))


FLAG = word({"true": True, "false": False, "1": True, "0": False})
TUNING = word({name: name for name in TUNES})
STRIP = word({name: name for name in ("none", "private", "all")})
SIDE = whole(1, 2**31 - 1)


def encoding(query: Iterable[tuple[str, str]], settings: Settings) -> Encode:
    """Raises: VaecError."""
    known = {"quality": number(0, 100), "effort": whole(1, settings.max_effort), "progressive": FLAG}
    values = parsed(query, known | {"tune": TUNING, "preview": FLAG, "strip": STRIP, "frame": SIDE})
    rate = values.pop("quality", QUALITY)
    effort = values.pop("effort", min(EFFORT, settings.max_effort))
    return Encode(rate, effort, settings.max_pixels, **values)


def decoding(query: Iterable[tuple[str, str]], settings: Settings) -> tuple[Decode, str | None]:
    """The job, and the media type that is asked for. Raises: VaecError."""
    scales = word({f"1/{scale}": scale for scale in (1, *SCALES)})
    known = {"region": region, "scale": scales, "max_size": SIDE, "preview": FLAG}
    values = parsed(query, known | {"strip": STRIP, "format": word(FORMATS)})
    if sum(name in values for name in SHAPING) > 1:
        raise VaecError(f"{', '.join(SHAPING)} exclude each other")
    kind = values.pop("format", None)
    return Decode(settings.max_pixels, **values), kind


def looking(query: Iterable[tuple[str, str]]) -> Look:
    """Raises: VaecError."""
    parsed(query, {})
    return Look()


def parsed(query: Iterable[tuple[str, str]], known: Mapping[str, Parameter]) -> dict[str, Any]:
    """The values of parameters. Raises: VaecError for those that are unknown, wrong or given twice."""
    values: dict[str, Any] = {}
    for name, text in query:
        if name not in known:
            raise VaecError(f"there is no parameter {name!r}" + (f"; use {', '.join(known)}" if known else ""))
        if name in values:
            raise VaecError(f"{name} is given twice")
        try:
            values[name] = known[name](text)
        except ValueError as error:
            raise VaecError(f"{name}: {text!r} is not {error}") from None
    return values


def writable() -> list[str]:
    """The media types that this installation decodes to, the preferred one first."""
    found = []
    for kind, ending in ENDINGS.items():
        try:
            format_of(f"output{ending}")
        except VaecError:
            continue
        found.append(kind)
    return found


def negotiated(accept: str, offers: Iterable[str]) -> str | None:
    """The media type of `offers` that an Accept header likes best, of equal ones the first; None where it takes none.

    As RFC 9110 has it: of the ranges that fit, the most specific one counts. Parameters but q are not looked at; a q
    that is none is 1, and a range that is not well formed is left out.
    """
    ranges = [found for part in accept.split(",") if (found := media_range(part))]
    if not accept.strip():
        ranges = [("*/*", 1.0)]

    def weight(offer: str) -> float:
        kinds = dict(sorted(ranges, key=lambda found: found[1]))  # of one that is given twice, the larger q
        fitting = (kinds[kind] for kind in (offer, f"{offer.split('/')[0]}/*", "*/*") if kind in kinds)
        return next(fitting, 0.0)

    best = max(offers, key=weight)
    return best if weight(best) > 0 else None


RANGE = re.compile(r"([!#$%&'*+.^_`|~\w-]+/[!#$%&'*+.^_`|~\w-]+)\s*(;.*)?", re.A | re.S)
Q = re.compile(r";\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)", re.I)


def media_range(text: str) -> tuple[str, float] | None:
    """A part of an Accept header and its q."""
    found = RANGE.fullmatch(text.strip())
    if found is None:
        return None
    q = Q.search(found[2] or "")
    return found[1].lower(), float(q[1]) if q else 1.0
