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
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"([0-9]+|[0-9]*[.][0-9]+) ?([A-Za-z]*)", value.strip())
        if match is None or match[2].upper() not in UNITS:
            self.fail(f"{value!r} is not a size such as 80000, 80kB or 1.5MB", param, ctx)
        return float(match[1]) * UNITS[match[2].upper()]


class Region(click.ParamType):  # type: ignore[type-arg]
    """A part of a picture: left, top, width, height."""

    name = "region"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([0-9]{1,10}),([0-9]{1,10}),([0-9]{1,10}),([0-9]{1,10})", value)
        if match is None:
            self.fail(f"{value!r} is not X,Y,WIDTH,HEIGHT in whole pixels", param, ctx)
        return tuple(map(int, match.groups()))


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
