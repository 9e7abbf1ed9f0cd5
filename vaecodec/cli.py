"""The command line: reads arguments, calls the library, reports. Messages go to stderr, data to stdout.

Imports of NumPy, Pillow and torch stand inside the commands that need them: `info` starts without them.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from vaecodec import __version__, container, files
from vaecodec.bench.command import bench
from vaecodec.console import Progress, count, human, reason, report, say
from vaecodec.errors import VaecError
from vaecodec.info import Info, read_info

if TYPE_CHECKING:
    from vaecodec.codec import Codec

FAILED, INTERRUPTED = 1, 130
MAX_PIXELS = 2**28

HELP = """Learned image compression: pictures to .vaec files and back.

\b
Examples:
  vaecodec encode photo.jpg                   makes photo.vaec beside it
  vaecodec encode -q 40 -o small/ *.png       many at once, into a folder
  vaecodec decode photo.vaec photo.png        the ending chooses the format

\b
"-" as a file name stands for stdin or stdout. Existing files are kept unless -f is given.

\b
Exit codes:
  0  everything worked
  1  a file failed: unreadable picture, output exists, I/O error;
     with several inputs: at least one of them failed
  2  usage error
  3  not a .vaec file, or damaged (3, 4 and 5: when there is one input)
  4  made with a format version or a model that this program does not have
  5  more pixels than --max-pixels
  130  interrupted
"""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `vaecodec` and `python -m vaecodec`: runs a command and exits with its code."""
    try:
        code = cli.main(argv, prog_name="vaecodec", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("vaecodec: interrupted")
        code = INTERRUPTED
    sys.exit(code)


@click.group(help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    pass


class FileName(click.ParamType):  # type: ignore[type-arg]
    """A path; exactly `-` is a standard stream. Whether it can be read is found out when its turn comes."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if isinstance(value, Path):
            return value
        if value.endswith("/") and not os.path.isdir(value):
            self.fail(f"there is no folder {value}", param, ctx)
        path = Path(value)
        if path == files.STREAM and value != "-":  # ./- is a file
            return Path.cwd() / path
        return path


def options(*names: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """The options of these names, shared by several commands."""
    known = {
        "output": click.option(
            "-o", "--output", type=FileName(), metavar="PATH", help="File, folder, or - for stdout."
        ),
        "force": click.option("-f", "--force", is_flag=True, help="Replace existing files."),
        "threads": click.option(
            "--threads", type=click.IntRange(min=1), metavar="N", help="Threads to use, up to all cores (the default)."
        ),
        "max_pixels": click.option(
            "--max-pixels",
            type=click.IntRange(min=0),
            default=MAX_PIXELS,
            show_default=True,
            metavar="N",
            help="Refuse larger pictures; 0 = no limit.",
        ),
        "quiet": click.option("--quiet", is_flag=True, help="Only report errors."),
    }

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        for name in reversed(names):
            command = known[name](command)
        return command

    return decorate


inputs = click.argument("inputs", nargs=-1, required=True, metavar="IN...", type=FileName())


def check_quality(_context: click.Context, _option: click.Parameter, value: float) -> float:
    if math.isnan(value):
        raise click.BadParameter("nan is not a quality")
    return value


@cli.command()
@inputs
@options("output")
@click.option(
    "-q",
    "--quality",
    type=click.FloatRange(0, 100),
    default=75.0,
    show_default=True,
    callback=check_quality,
    help="Larger is better and bigger; 100 is still lossy.",
)
@click.option(
    "--effort",
    type=click.IntRange(1, 9),
    default=3,
    show_default=True,
    help="Higher is slower and smaller; decoding takes the same time.",
)
@options("force", "threads", "max_pixels", "quiet")
def encode(
    inputs: tuple[Path, ...],
    output: Path | None,
    quality: float,
    effort: int,
    force: bool,
    threads: int | None,
    max_pixels: int,
    quiet: bool,
) -> int:
    """Make .vaec files of pictures.

    Each output lies beside its input with the ending .vaec unless -o says otherwise. Of two names, a second one that
    ends in .vaec or is - is the output. Reads what Pillow reads (PNG, JPEG, WebP, TIFF, AVIF ...); EXIF, ICC, XMP
    and transparency are kept.
    """
    jobs = plan(inputs, output, ".vaec", is_output=lambda path: path.suffix.lower() == ".vaec", force=force)
    codec = CodecOnDemand(threads)

    def run(source: Path, target: Path) -> None:
        from vaecodec.reading import read_picture

        files.check_target(target, source, force)
        picture, notes = read_picture(files.read(source), max_pixels)
        ready = codec()
        start = time.perf_counter()
        with Progress(source, quiet) as progress:
            data = ready.encode(picture, quality, effort=effort, progress=progress)
        files.write(target, data, source, force)
        bpp = len(data) * 8 / (picture.width * picture.height)
        report(source, target, notes, f"{human(len(data))}  {bpp:.3f} bpp", start, quiet)

    return each(jobs, run)


@cli.command()
@inputs
@options("output", "force", "threads", "max_pixels", "quiet")
def decode(
    inputs: tuple[Path, ...],
    output: Path | None,
    force: bool,
    threads: int | None,
    max_pixels: int,
    quiet: bool,
) -> int:
    """Make pictures of .vaec files.

    Each output lies beside its input as a PNG file unless -o says otherwise; the ending of a name chooses the format
    (.png .jpg .webp .tif .avif .bmp .ppm ...), stdout gets PNG. Of two names, a second one that does not end in .vaec
    is the output.
    """
    jobs = plan(inputs, output, ".png", is_output=lambda path: path.suffix.lower() != ".vaec", force=force)
    formats = {target: output_format(target) for _, target in jobs}
    codec = CodecOnDemand(threads)

    def run(source: Path, target: Path) -> None:
        from io import BytesIO

        from vaecodec.writing import write_picture

        data = files.read(source)
        container.parse(data, max_pixels=max_pixels)  # a bad file need not wait for the model
        files.check_target(target, source, force)
        ready = codec()
        start = time.perf_counter()
        with Progress(source, quiet) as progress:
            picture = ready.decode(data, max_pixels=max_pixels or None, progress=progress)
        written = BytesIO()
        notes = write_picture(picture, written, formats[target])
        size = written.tell()
        files.write(target, written.getbuffer(), source, force)
        report(source, target, notes, f"{picture.width} x {picture.height}  {human(size)}", start, quiet)

    return each(jobs, run)


@cli.command()
@click.argument("file", type=FileName())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(file: Path, as_json: bool) -> int:
    """Print what a .vaec file holds: dimensions, quality, model, and its size by part."""

    def run(source: Path, _target: Path) -> None:
        facts = read_info(files.read(source))
        click.echo(as_json_text(source, facts) if as_json else as_text(source, facts))

    return each([(file, file)], run)


@cli.command()
@click.argument("inputs", nargs=-1, required=True, metavar="FILE...", type=FileName())
@click.option("--decode", "reconstruct", is_flag=True, help="Decode every pixel too.")
@options("threads", "max_pixels", "quiet")
def verify(inputs: tuple[Path, ...], reconstruct: bool, threads: int | None, max_pixels: int, quiet: bool) -> int:
    """Check the structure and the checksums of .vaec files; with --decode, their whole content."""
    if inputs.count(files.STREAM) > 1:
        raise click.UsageError("stdin can be read only once")
    codec = CodecOnDemand(threads)

    def run(source: Path, _target: Path) -> None:
        data = files.read(source)
        layout = container.parse(data, max_pixels=max_pixels)
        for tile in layout.tiles:
            container.Tile.unpack(tile)
        if reconstruct:
            ready = codec()
            with Progress(source, quiet) as progress:
                ready.decode(data, max_pixels=max_pixels or None, progress=progress)
        if not quiet:
            header, done = layout.header, "decoded" if reconstruct else "structure and checksums"
            say(f"{source}: ok ({header.width} x {header.height}, {count(len(layout.tiles), 'tile')}, {done})")

    return each([(path, path) for path in inputs], run)


cli.add_command(bench)


# What goes where


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


# What `info` says


def as_json_text(source: Path, info: Info) -> str:
    """One JSON object, its keys in the order of `Info`; sizes in bytes, `parts` adds up to `size`."""
    return json.dumps({"file": str(source), **asdict(info), "bpp": round(info.bpp, 4)}, indent=2)


def as_text(source: Path, info: Info) -> str:
    """The same for a person; parts that take nothing are left out."""
    rows = {
        "picture": f"{info.width} x {info.height}, {info.colour}, {info.depth} bits",
        "quality": f"{info.quality:g} of 100, {'lossless' if info.lossless else 'lossy'}",
        "size": f"{human(info.size)}, {info.bpp:.3f} bpp",
        "model": f"{info.model} {info.model_hash}",
        "format": f"version {info.version}, {count(info.tiles, 'tile')} of {info.tile_side} pixels",
    }
    lines = [str(source), *(f"  {name:<10}{value}" for name, value in rows.items()), "  bytes by part"]
    parts = ((name, size) for name, size in info.parts.items() if size)
    return "\n".join(lines + [f"    {name:<8}{size:>10}  {100 * size / info.size:5.1f} %" for name, size in parts])
