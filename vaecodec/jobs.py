"""Which file becomes which, and running them all, whatever happens to one of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaecodec import files
from vaecodec.console import reason, say
from vaecodec.errors import VaecError

if TYPE_CHECKING:
    from vaecodec.codec import Codec

FAILED = 1


def plan(
    inputs: tuple[Path, ...], output: Path | None, ending: str, is_output: Callable[[Path], bool], force: bool
) -> list[tuple[Path, Path]]:
    """Input and output of each job. `is_output`: whether a second positional of this name is the output.

    Raises: click.UsageError.
    """
    if output is None and len(inputs) == 2 and (inputs[1] == files.STREAM or is_output(inputs[1])):
        output = inputs[1]
        inputs = inputs[:1]
    elif output is None and len(inputs) > 1 and os.path.isdir(inputs[-1]):
        *first, output = inputs
        inputs = tuple(first)
    if nameless := [path for path in inputs if not path.name]:
        raise click.UsageError(f"{nameless[0]} is a folder")
    if inputs.count(files.STREAM) > 1:
        raise click.UsageError("stdin can be read only once")
    if output is not None and output != files.STREAM and os.path.isdir(output):
        if files.STREAM in inputs:
            raise click.UsageError("input from stdin needs the name of an output file, not of a folder")
        targets = [output / path.with_suffix(ending).name for path in inputs]
    elif output is not None:
        if len(inputs) > 1:
            where = "go to stdout" if output == files.STREAM else f"go into one file; there is no folder {output}"
            raise click.UsageError(f"several inputs cannot {where}")
        targets = [output]
    else:
        targets = [path if path == files.STREAM else path.with_suffix(ending) for path in inputs]
    if files.STREAM in targets and len(targets) > 1:
        raise click.UsageError("stdout takes the output of one input only")
    if files.STREAM in targets and sys.stdout is not None and sys.stdout.isatty() and not force:
        raise click.UsageError("the output would go to the terminal; give -o FILE, or -f to do it anyway")
    taken: dict[str, Path] = {}
    for source, target in zip(inputs, targets, strict=True):
        if (other := taken.setdefault(os.path.realpath(target), source)) is not source:
            raise click.UsageError(f"{other} and {source} would both become {target}")
    return list(zip(inputs, targets, strict=True))


def output_format(target: Path) -> str:
    """Raises: click.UsageError where the name's ending is no format that can be written."""
    if target == files.STREAM or target.suffix.lower() == ".png":
        return "PNG"
    from vaecodec.writing import format_of

    try:
        return format_of(target)
    except VaecError as error:
        raise click.UsageError(f"{target}: {error}") from None


def each(jobs: list[tuple[Path, Path]], run: Callable[[Path, Path], None]) -> int:
    """Run every job, report those that fail, and return the exit code."""
    codes = []
    for source, target in jobs:
        try:
            run(source, target)
            codes.append(0)
        except BrokenPipeError:  # nobody reads stdout any more
            raise
        except (VaecError, OSError, MemoryError, RuntimeError) as error:
            if type(error) is RuntimeError and "memory" not in str(error):  # torch says so when memory runs out
                raise
            say(f"vaecodec: {source}: {reason(error, source)}")
            codes.append(error.exit_code if isinstance(error, VaecError) else FAILED)
    return codes[0] if len(codes) == 1 else FAILED if any(codes) else 0


class CodecOnDemand:
    """Makes the Codec when it is first asked for: a bad argument or picture need not wait for torch."""

    def __init__(self, threads: int | None) -> None:
        self.threads = threads
        self.codec: Codec | None = None

    def __call__(self) -> Codec:
        if self.codec is None:
            from vaecodec.codec import Codec

            self.codec = Codec(threads=self.threads)
        return self.codec
