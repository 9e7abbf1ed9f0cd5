"""What is wrong with a command line, as one plain sentence. Click's own words stay where there are none of ours."""

from __future__ import annotations

import re

import click

PLAIN = {
    r"Option '(.+)' requires an argument\.": "{} needs a value",
    r"Option '(.+)' requires (\d+) arguments\.": "{} needs {} values",
    r"Option '(.+)' does not take a value\.": "{} takes no value",
    r"Got unexpected extra arguments? \((.+)\)": "there is no place for {} here",
    r"No such command '(.+?)'\..*": "there is no command {}",
    r"Missing command\.": "a command is missing",
}


def sentence(error: click.ClickException) -> str:
    """Without the full stop, as all messages."""
    if isinstance(error, click.NoSuchOption):
        near = [name for name in error.possibilities or () if name.startswith("--")][:2]
        return f"there is no option {error.option_name}" + (f"; is {' or '.join(near)} meant?" if near else "")
    if isinstance(error, click.MissingParameter) and error.param:
        return f"{name_of(error.param)} is missing"
    if isinstance(error, click.BadParameter) and (error.param or error.param_hint):
        name = name_of(error.param) if error.param else error.param_hint
        return f"{name}: {error.message}"
    text = error.format_message()
    for pattern, plain in PLAIN.items():
        if found := re.fullmatch(pattern, text, re.DOTALL):
            return plain.format(*found.groups())
    return text


def name_of(param: click.Parameter) -> str:
    """As people type it: the longest form of an option, or what stands for an argument in the usage line."""
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    return (param.metavar or str(param.name).upper()).removesuffix("...")
