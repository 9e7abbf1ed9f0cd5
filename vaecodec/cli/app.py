"""The command line: reads arguments, calls the library, reports. Messages go to stderr, data to stdout.

Imports of NumPy, Pillow and torch stand inside the commands that need them: `info` starts without them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from vaecodec import files
from vaecodec.bitstream import container, limits
from vaecodec.bitstream.info import Info, read_info
from vaecodec.cli.batch import FAILED, How, each, run
from vaecodec.cli.bench import bench
from vaecodec.cli.jobs import CodecOnDemand, Decode, Encode
from vaecodec.cli.options import (
    FileName,
    Region,
    batch_options,
    inputs,
    metadata_options,
    options,
    rate_options,
    strip_option,
)
from vaecodec.cli.plan import Outputs, is_picture, is_vaec, output_format, plan
from vaecodec.cli.process import Ended, ends_in_order, hold_streams
from vaecodec.cli.restoration import Sigma, denoising
from vaecodec.cli.restoration import commands as restoration_commands
from vaecodec.cli.vae import commands as vae_commands
from vaecodec.codec.defaults import EFFORT
from vaecodec.console import Progress, count, human, hush_warnings, loading, printable, put, reason, say
from vaecodec.version import __version__

if TYPE_CHECKING:
    from vaecodec.codec.ratecontrol import Target

INTERRUPTED = 130

HELP = """Learned image compression: pictures to .vaec files and back.

\b
Examples:
  vaecodec encode photo.jpg                   makes photo.vaec beside it
  vaecodec encode -q 40 -o small/ *.png       many at once, into a folder
  vaecodec encode --target-size 80kB a.png    the best that fits
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
  130  interrupted; 143: terminated
"""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `vaecodec` and `python -m vaecodec`: runs a command and exits with its code."""
    hold_streams()
    with ends_in_order():
        sys.exit(code_of(argv))


def code_of(argv: Sequence[str] | None) -> int:
    """Run a command. Returns its exit code; the reason for an early end is reported."""
    try:
        return cli.main(argv, prog_name="vaecodec", standalone_mode=False)
    except click.ClickException as error:
        with suppress(OSError):
            click.UsageError(printable(error.format_message()), getattr(error, "ctx", None)).show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("vaecodec: interrupted")
        return INTERRUPTED
    except Ended as end:
        say("vaecodec: terminated")
        return end.code
    except OSError as error:  # not of a file, of which the command tells, but of stdout or the system
        say(f"vaecodec: {reason(error, files.STREAM)}")
        return FAILED


@click.group(help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    hush_warnings()


@cli.command()
@inputs
@rate_options
@click.option(
    "--effort",
    type=click.IntRange(1, 9),
    default=EFFORT,
    metavar="E",
    help=f"Higher is slower and better for its size; {EFFORT} by default.",
)
@click.option("--denoise", type=Sigma(), metavar="SIGMA", help="Remove noise first, of so many levels, or auto.")
@click.option("--preview/--no-preview", default=None, help="A small picture ahead; by default with large ones.")
@strip_option
@metadata_options
@batch_options
def encode(
    inputs: tuple[Path, ...],
    rate: float | Target,
    effort: int,
    denoise: float | str | None,
    preview: bool | None,
    strip: str,
    metadata: dict[str, bytes],
    max_pixels: int,
    outputs: Outputs,
    how: How,
) -> int:
    """Make .vaec files of pictures.

    Each output lies beside its input with the ending .vaec unless -o says otherwise. Of two names, a second one that
    ends in .vaec or is - is the output. Instead of a quality a target can be given, which takes several trials.
    Reads what Pillow reads (PNG, JPEG, WebP, TIFF, AVIF ...); EXIF, ICC, XMP and transparency are kept.
    """
    recipe = None
    if denoise:
        with loading(how.quiet):
            recipe = denoising(denoise)
    work = Encode(rate, effort, max_pixels, strip, metadata, preview, recipe)
    planned = plan(inputs, outputs, ".vaec", is_output=is_vaec, is_input=is_picture)
    return run(planned, work, how)


@cli.command()
@inputs
@click.option("--region", type=Region(), metavar="X,Y,W,H", help="Only this part, in pixels from the top left.")
@click.option("--scale", type=click.Choice(["1/2", "1/4", "1/8"]), help="Smaller, with a fraction of the work.")
@click.option("--max-size", type=click.IntRange(min=1), metavar="N", help="No side longer than N pixels.")
@click.option("--preview", is_flag=True, help="The small picture in the file, or 1/8 if there is none.")
@click.option("--partial", is_flag=True, help="What is left of a damaged file; exit code 3 says that it is.")
@strip_option
@batch_options
def decode(
    inputs: tuple[Path, ...],
    region: tuple[int, int, int, int] | None,
    scale: str | None,
    max_size: int | None,
    preview: bool,
    partial: bool,
    strip: str,
    max_pixels: int,
    outputs: Outputs,
    how: How,
) -> int:
    """Make pictures of .vaec files.

    Each output lies beside its input as a PNG file unless -o says otherwise; the ending of a name chooses the format
    (.png .jpg .webp .tif .avif .bmp .ppm ...), stdout gets PNG. Of two names, a second one that does not end in .vaec
    is the output. --region and --scale count pixels as they are stored, before any orientation.
    """
    if sum(map(bool, (region, scale, max_size, preview, partial))) > 1:
        raise click.UsageError("--region, --scale, --max-size, --preview and --partial exclude each other")
    planned = plan(inputs, outputs, ".png", is_output=lambda path: not is_vaec(path), is_input=is_vaec)
    formats = {target: output_format(target) for _, target in planned.jobs}
    fraction = int(scale[-1]) if scale else 1
    return run(planned, Decode(formats, max_pixels, region, fraction, max_size, strip, partial, preview), how)


@cli.command()
@click.option("-s", "--size", type=click.IntRange(1, 4096), default=128, metavar="N", help="128 by default.")
@options("force", "max_pixels")
@click.argument("source", metavar="IN", type=FileName())
@click.argument("target", metavar="OUT", type=FileName())
def thumbnail(size: int, force: bool, max_pixels: int, source: Path, target: Path) -> int:
    """Make a PNG thumbnail of a .vaec file, at most N pixels each way and upright.

    From the preview in the file where that is large enough, without PyTorch and even if the rest of the file is not
    there; otherwise by decoding at a small scale.
    """

    def make(source: Path) -> None:
        from io import BytesIO

        from vaecodec.pictures.preview import SIDE, read_preview, upright

        files.check_target(target, source, force)
        with files.opened(source) as data:
            picture = read_preview(data) if size <= SIDE else None
            if picture is None:
                header, _ = next(container.walk(data))
                limits.check_within(header, size, max_pixels)
                codec = CodecOnDemand(None, quiet=False)()
                picture = codec.decode_within(bytes(data[:]), size, max_pixels=max_pixels or None)
        buffer = BytesIO()
        upright(picture, size).save(buffer, "PNG")
        files.write(target, buffer.getbuffer(), source, force)

    return each((source,), make)


@cli.command()
@click.argument("file", type=FileName())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(file: Path, as_json: bool) -> int:
    """Print what a .vaec file holds: dimensions, quality, model, and its size by part."""

    def look(source: Path) -> None:
        with files.opened(source) as data:
            facts = read_info(data)
        put(*(as_json_text(source, facts) if as_json else as_text(source, facts)))

    return each((file,), look)


@cli.command()
@click.argument("inputs", nargs=-1, required=True, metavar="FILE...", type=FileName())
@click.option("--decode", "reconstruct", is_flag=True, help="Decode every pixel too.")
@options("threads", "max_pixels", "quiet")
def verify(inputs: tuple[Path, ...], reconstruct: bool, threads: int | None, max_pixels: int, quiet: bool) -> int:
    """Check the structure and the checksums of .vaec files; with --decode, their whole content."""
    if inputs.count(files.STREAM) > 1:
        raise click.UsageError("stdin can be read only once")
    codec = CodecOnDemand(threads, quiet)

    def look(source: Path) -> None:
        data = files.read(source)
        file = container.parse(data, max_pixels=max_pixels)
        if reconstruct:
            ready = codec()
            with Progress(source, quiet) as progress:
                ready.decode(file, max_pixels=None, progress=progress)
        else:
            file.unpacked()
        if not quiet:
            header, done = file.header, "decoded" if reconstruct else "structure and checksums"
            say(f"{source}: ok ({header.width} x {header.height}, {count(len(file.tiles), 'tile')}, {done})")

    return each(inputs, look)


for command in (bench, *restoration_commands, *vae_commands):
    cli.add_command(command)


# What `info` says


def as_json_text(source: Path, info: Info) -> list[str]:
    """The lines of one JSON object, its keys in the order of `Info`; sizes in bytes, `parts` adds up to `size`."""
    return json.dumps({"file": str(source), **asdict(info), "bpp": round(info.bpp, 4)}, indent=2).split("\n")


def as_text(source: Path, info: Info) -> list[str]:
    """The same for a person; parts that take nothing are left out."""
    rows = {
        "picture": f"{info.width} x {info.height}, {info.colour}, {info.depth} bits",
        "quality": f"{info.quality:g} of 100",
        "size": f"{human(info.size)}, {info.bpp:.3f} bpp",
        "model": f"{info.model} {info.model_hash}",
        "format": f"version {info.version}, {count(info.tiles, 'tile')} of {info.tile_side} pixels",
    }
    lines = [str(source), *(f"  {name:<10}{value}" for name, value in rows.items()), "  bytes by part"]
    parts = ((name, size) for name, size in info.parts.items() if size)
    return lines + [f"    {name:<8}{size:>10}  {100 * size / info.size:5.1f} %" for name, size in parts]
