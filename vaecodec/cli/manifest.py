"""The inputs of a batch: named in a file, and shared out among machines."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import click

from vaecodec import files
from vaecodec.console import reason
from vaecodec.remote import Remote, located


class Named(NamedTuple):
    """An input, its place in a tree of outputs, and the name of its output where that is given."""

    source: Path
    place: Path
    target: Path | None = None


def read_manifest(path: Path) -> list[Named]:
    """What a manifest names: a file a line, or an object of JSON with "input" and perhaps "output".

    Names are those of files, from the current folder on, or URLs. Empty lines are left out. Raises: click.UsageError.
    """
    try:
        text = files.read(path).decode(errors="surrogateescape")
    except OSError as error:
        raise click.UsageError(f"--manifest {path}: {reason(error, path)}") from None
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        try:
            if line.strip():
                found.append(parse_object(line) if line.startswith("{") else named(line))
        except ValueError as error:
            raise click.UsageError(f"--manifest {path}: line {number} {error}") from None
    return found


def parse_object(line: str) -> Named:
    """Raises: ValueError with what a line is not."""
    try:
        facts = json.loads(line)
    except ValueError:
        raise ValueError("is not JSON") from None
    source, target = facts.get("input"), facts.get("output")
    if not isinstance(source, str) or not source:
        raise ValueError('has no "input"')
    if not isinstance(target, str | None) or target == "":
        raise ValueError('has an "output" that is no name')
    return named(source, target)


def named(source: str, target: str | None = None) -> Named:
    """An input by its name. Its place is that name, without what leads out of the current folder."""
    if "\0" in source + (target or ""):
        raise ValueError("has a name with a zero byte")
    path = located(source)
    parts = [part for part in path.parts if part not in (os.sep, os.pardir) and part != path.anchor]
    if isinstance(path, Remote):
        parts = parts[1:]  # without the scheme
    return Named(a_file(source), Path(*parts), None if target is None else a_file(target))


def a_file(name: str) -> Path:
    """Never a standard stream."""
    path = located(name)
    return Path.cwd() / path if path == files.STREAM else path


def in_shard(place: Path, shard: tuple[int, int]) -> bool:
    """Whether a file is in shard k of n: by CRC-32 of its place in a tree of outputs, so whatever the other files."""
    number, count = shard
    return zlib.crc32(os.fsencode(place.as_posix())) % count == number - 1
