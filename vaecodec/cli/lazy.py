"""A group of commands whose modules are imported as they are used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click


class Home(NamedTuple):
    """Where a command is defined, under its own name (with _ for -), and one line on it for the list of all."""

    module: str
    summary: str


class LazyGroup(click.Group):
    """Its commands are known by `homes`. Neither their list nor a command imports the module of another."""

    def __init__(self, *arguments: Any, homes: Mapping[str, Home], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.homes = homes

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.homes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.load(cmd_name) if cmd_name in self.homes else None

    def load(self, name: str) -> click.Command:
        """A command by its name. Raises: KeyError."""
        command: click.Command = getattr(import_module(self.homes[name].module), name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, home.summary) for name, home in sorted(self.homes.items())])
