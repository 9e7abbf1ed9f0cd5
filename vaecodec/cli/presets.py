"""Settings of `encode` by name. docs/guide/quality-and-size.md says what they give (`tools/measure/presets.py`)."""

from __future__ import annotations

from typing import Any

import click

from vaecodec.cli.values import OneOf

# Values of options, which stand wherever an option is not given.
PRESETS: dict[str, dict[str, Any]] = {
    "web": {"quality": 65.0, "progressive": True, "preview": False, "strip": "private"},
    "archive": {"quality": 95.0, "preview": True},
    "thumbnail": {"quality": 45.0, "preview": False, "strip": "all"},
}


def use(context: click.Context, _param: click.Parameter, name: str | None) -> None:
    """Callback of --preset, which comes before all others."""
    if name:
        context.default_map = {**(context.default_map or {}), **PRESETS[name]}


preset_option = click.option(
    "--preset",
    type=OneOf(list(PRESETS)),
    metavar="NAME",
    is_eager=True,
    expose_value=False,
    callback=use,
    help=f"Settings by name: {', '.join(PRESETS)}.",
)


def from_preset(name: str) -> bool:
    """Whether the value of an option comes from a preset."""
    return click.get_current_context().get_parameter_source(name) is click.core.ParameterSource.DEFAULT_MAP
