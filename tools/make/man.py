"""Make the man page from the command line's own help: python -m tools.make.man > docs/vaecodec.1"""

from __future__ import annotations

import re
import sys

import click

from vaecodec.cli.app import cli
from vaecodec.version import __version__


def escaped(text: str) -> str:
    """Text for roff: its own characters as they are, no line that looks like a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def prose(text: str) -> list[str]:
    """Paragraphs of a click help text; those behind a \\b line stay as they are set."""
    lines = []
    for paragraph in text.strip().split("\n\n"):
        if paragraph.startswith("\b\n"):
            lines += [".PP", ".nf", escaped(paragraph[2:]), ".fi"]
        else:
            lines += [".PP", escaped(" ".join(paragraph.split()))]
    return lines


def options(command: click.Command, context: click.Context) -> list[str]:
    lines = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            names, text = record
            lines += [".TP", f".B {escaped(names)}", escaped(text)]
    return lines


def page() -> str:
    """The whole page, in roff's man macros."""
    lines = [f'.TH VAECODEC 1 "" "vaecodec {__version__}"', ".SH NAME", "vaecodec \\- learned image codec"]
    context = click.Context(cli, info_name="vaecodec", **cli.context_settings)
    commands = {name: cli.load(name) for name in sorted(cli.homes)}
    lines += [".SH SYNOPSIS"]
    for name, command in commands.items():
        usage = " ".join(command.collect_usage_pieces(click.Context(command, context, name)))
        lines += [f".B vaecodec {name}", escaped(usage), ".br"]
    lines += [".SH DESCRIPTION", *prose(cli.help or "")]
    for name, command in commands.items():
        inner = click.Context(command, context, name)
        lines += [f".SH {name.upper()}", *prose(command.help or ""), *options(command, inner)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
