"""The types of options' values, each with one plain sentence for a value that it does not take."""

from __future__ import annotations

import math
import re
from typing import Any

import click

NOISE_MAX = 150.0  # levels
AUTO = "auto"
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


class Number(click.ParamType):  # type: ignore[type-arg]
    """A finite number, between bounds where those are given."""

    name = "number"

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"{str(value)!r} is not a number", param, ctx)
        self.check(number, value, param, ctx)
        return number

    def check(self, number: float, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Raises: click.BadParameter where it is not within the bounds."""
        low, high = self.low, self.high
        if low is not None and high is not None and not low <= number <= high:
            self.fail(f"{value} is not between {low:g} and {high:g}", param, ctx)
        if low is not None and number < low:
            self.fail(f"{value} is less than {low:g}", param, ctx)


class Whole(Number):
    """A whole number, between bounds where those are given."""

    name = "whole number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", str(value).strip()):
            self.fail(f"{str(value)!r} is not a whole number", param, ctx)
        self.check(int(value), value, param, ctx)
        return int(value)


class OneOf(click.Choice[str]):
    """One of some words."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        *most, last = self.choices
        return f"{str(value)!r} is not one of these: {', '.join(most)} or {last}"


class Size(click.ParamType):  # type: ignore[type-arg]
    """Bytes: 80000, 80kB, 1.5MB, 64KiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return value
        match = re.fullmatch(r"([0-9]+|[0-9]*[.][0-9]+) ?([A-Za-z]*)", value.strip())
        if match is None or match[2].upper() not in UNITS:
            self.fail(f"{value!r} is not a size such as 80000, 80kB or 1.5MB", param, ctx)
        return float(match[1]) * UNITS[match[2].upper()]


class Pattern(click.ParamType):  # type: ignore[type-arg]
    """Whole numbers in a text of some shape, as a tuple."""

    pattern = what = ""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(self.pattern, value)
        numbers = tuple(map(int, match.groups())) if match else None
        if numbers is None or not self.fits(*numbers):
            self.fail(f"{value!r} is not {self.what}", param, ctx)
        return numbers

    def fits(self, *numbers: int) -> bool:
        return True


class Shard(Pattern):
    """K/N, a part of a batch, K being 1..N."""

    name, pattern = "shard", "([0-9]{1,9})/([0-9]{1,9})"
    what = "a shard such as 3/16, from 1/16 to 16/16"

    def fits(self, *numbers: int) -> bool:
        return 1 <= numbers[0] <= numbers[1]


class Region(Pattern):
    """A part of a picture: left, top, width, height."""

    name, pattern = "region", ",".join(["([0-9]{1,10})"] * 4)
    what = "X,Y,WIDTH,HEIGHT in whole pixels"


class Dimensions(Pattern):
    """WIDTHxHEIGHT, as (width, height)."""

    name, pattern = "size", "([0-9]{1,6})x([0-9]{1,6})"
    what = "a size such as 640x480"

    def fits(self, *numbers: int) -> bool:
        return all(numbers)


class Sigma(click.ParamType):  # type: ignore[type-arg]
    """Levels of noise, or AUTO."""

    name = "sigma"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            sigma = 0.0 if value == AUTO else float(value)
        except ValueError:
            sigma = -1.0
        if not (value == AUTO or 0 < sigma <= NOISE_MAX):
            self.fail(f"{value!r} is neither auto nor a number of levels above 0, up to {NOISE_MAX:g}", param, ctx)
        return sigma or AUTO
