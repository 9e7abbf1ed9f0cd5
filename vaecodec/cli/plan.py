"""Which file becomes which."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click

from vaecodec import files, jobs, trees
from vaecodec.cli.manifest import Named, in_shard, read_manifest
from vaecodec.errors import VaecError
from vaecodec.remote import Remote


@dataclass(frozen=True)
class Outputs:
    """Where outputs go, as the command line says it.

    output: -o. folder: --out-dir, made where it is missing. recursive: -r. skip: --skip-existing.
    stdout_taken: by something else than data. manifest: a file that names the inputs. shard: the part k of n to do.
    """

    output: Path | None
    folder: Path | None
    recursive: bool
    skip: bool = False
    force: bool = False
    stdout_taken: bool = False
    manifest: Path | None = None
    shard: tuple[int, int] | None = None


@dataclass(frozen=True)
class Plan:
    """Input and output of each job, in order, how many were left out because their output exists, and how many of what
    lies in folders for what other reason."""

    jobs: list[tuple[Path, Path]]
    skipped: int = 0
    left: Counter[str] = field(default_factory=Counter)


def plan(
    inputs: tuple[Path, ...],
    outputs: Outputs,
    ending: str,
    is_output: Callable[[Path], bool],
    is_input: Callable[[Path], bool],
) -> Plan:
    """What becomes what.

    Args:
        ending: of outputs that are not named. is_output: whether a second positional of this name is the output.
        is_input: whether a file found in a folder is meant.

    Raises: click.UsageError.
    """
    inputs, output = positionals(inputs, outputs, is_output)
    left: Counter[str] = Counter()
    if outputs.manifest:
        sources = read_manifest(outputs.manifest)
    else:
        sources = [found for path in inputs for found in expand(path, outputs.recursive, is_input, left)]
    if [found.source for found in sources].count(files.STREAM) > 1:
        raise click.UsageError("stdin can be read only once")
    targets = name_targets(sources, output, outputs, ending)
    check_streams(targets, outputs)
    jobs = [(found.source, target) for found, target in zip(sources, targets, strict=True)]
    check_twice(jobs)
    if outputs.shard:
        jobs = [job for job, found in zip(jobs, sources, strict=True) if in_shard(found.place, outputs.shard)]
    there = already(targets, output) if outputs.skip else set()
    wanted = [(source, target) for source, target in jobs if target not in there]
    return Plan(wanted, len(jobs) - len(wanted), left)


def positionals(
    inputs: tuple[Path, ...], outputs: Outputs, is_output: Callable[[Path], bool]
) -> tuple[tuple[Path, ...], Path | None]:
    """The inputs, and the output: by an option, or as the last positional. Raises: click.UsageError."""
    if outputs.folder and outputs.output:
        raise click.UsageError("--out-dir and -o exclude each other")
    if outputs.skip and outputs.force:
        raise click.UsageError("--skip-existing and --force exclude each other")
    output = outputs.folder or outputs.output
    if output is None and len(inputs) == 2 and (inputs[1] == files.STREAM or is_output(inputs[1])):
        return inputs[:1], inputs[1]
    if output is None and len(inputs) > 1 and files.is_dir(inputs[-1]) and not outputs.recursive:
        return inputs[:-1], inputs[-1]
    return inputs, output


def name_targets(sources: list[Named], output: Path | None, outputs: Outputs, ending: str) -> list[Path]:
    """The output of each input. Raises: click.UsageError."""
    if output is None:
        return [s.source if s.source == files.STREAM else s.target or s.source.with_suffix(ending) for s in sources]
    if output != files.STREAM and (outputs.folder or files.is_dir(output)):
        if any(found.source == files.STREAM for found in sources):
            raise click.UsageError("input from stdin needs the name of an output file, not of a folder")
        return [output / (found.target or found.place.with_suffix(ending)) for found in sources]
    if len(sources) > 1 or outputs.recursive:
        missing = f"go into one file; there is no folder {output}, -o {output}/ makes it"
        where = "go to stdout" if output == files.STREAM else missing
        raise click.UsageError(f"several inputs cannot {where}")
    return [output] * len(sources)


def already(targets: list[Path], output: Path | None) -> set[Path]:
    """Those of the targets that are there. Of a folder elsewhere: by one listing, not by a question for each."""
    if isinstance(output, Remote) and files.is_dir(output):
        return set(output.below())
    return {target for target in targets if target != files.STREAM and files.exists(target)}


def expand(path: Path, recursive: bool, is_input: Callable[[Path], bool], left: Counter[str]) -> list[Named]:
    """The inputs that a name stands for, sorted; counts those that are left.

    Raises: click.UsageError for a folder that is not to be searched, or has nothing in it.
    """
    if path == files.STREAM or not files.is_dir(path):
        return [Named(path, Path(path.name))]
    if not recursive:
        raise click.UsageError(f"{path} is a folder; -r takes what is in it")
    found = list(trees.wanted(path, is_input, left))
    if not found:
        raise click.UsageError(f"nothing in the folder {path} can be taken{trees.because(left)}")
    return [Named(p, trees.place_in(path, p)) for p in sorted(found)]


def check_twice(jobs: list[tuple[Path, Path]]) -> None:
    """Raises click.UsageError where two inputs would become one output."""
    taken: dict[str, Path] = {}
    for source, target in jobs:
        name = str(target) if isinstance(target, Remote) else os.path.realpath(target)
        if (other := taken.setdefault(name, source)) is not source:
            raise click.UsageError(f"{other} and {source} would both become {target}")


def check_streams(targets: list[Path], outputs: Outputs) -> None:
    """Raises click.UsageError where data would go to stdout twice, or to a terminal."""
    if files.STREAM in targets and len(targets) > 1:
        raise click.UsageError("stdout takes the output of one input only")
    if files.STREAM in targets and outputs.stdout_taken:
        raise click.UsageError("--json needs stdout for itself")
    if files.STREAM in targets and sys.stdout is not None and sys.stdout.isatty() and not outputs.force:
        raise click.UsageError("the output would go to the terminal; give -o FILE, or -f to do it anyway")


def output_format(target: Path) -> str:
    """Pillow's name of it. Raises: click.UsageError where the name's ending is no format that can be written."""
    try:
        return jobs.output_format(target)
    except VaecError as error:
        raise click.UsageError(f"{target}: {error}") from None
