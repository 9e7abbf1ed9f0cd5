"""Arguments and options that several commands share, and the types of their values."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaecodec import files
from vaecodec.bitstream.limits import MAX_PIXELS
from vaecodec.cli.batch import How
from vaecodec.cli.plan import Outputs
from vaecodec.cli.presets import from_preset
from vaecodec.cli.values import Number, OneOf, Shard, Size, Whole
from vaecodec.codec.defaults import EFFORT, QUALITY, TUNE, TUNES
from vaecodec.console import reason
from vaecodec.errors import VaecError
from vaecodec.extras import need_torch
from vaecodec.pictures import PNG_LEVEL
from vaecodec.remote import Remote, located

if TYPE_CHECKING:
    from vaecodec.codec.ratecontrol import Target
    from vaecodec.restoration.recipes import Recipe


class FileName(click.ParamType):  # type: ignore[type-arg]
    """A path; exactly `-` is a standard stream. Whether it can be read is found out when its turn comes.

    new_folder: a name that ends in a slash may be that of a folder that is not there yet. here: URLs are refused.
    """

    name = "path"

    def __init__(self, new_folder: bool = False, here: bool = False) -> None:
        self.new_folder, self.here = new_folder, here

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if isinstance(value, Path):
            return value
        path = located(value)
        if self.here and isinstance(path, Remote):
            self.fail(f"{value} is not on this machine", param, ctx)
        if is_folder(value) and not self.new_folder and not files.is_dir(path):
            self.fail(f"there is no folder {value}", param, ctx)
        if path == files.STREAM and value != "-":  # ./- is a file
            return Path.cwd() / path
        return path


def read_once(ctx: click.Context, param: click.Parameter, names: tuple[Path, ...]) -> tuple[Path, ...]:
    """Callback of an argument that takes several files: stdin is one of them once at most."""
    if names.count(files.STREAM) > 1:
        raise click.UsageError("stdin can be read only once", ctx)
    return names


def is_folder(name: str) -> bool:
    """Whether it can be nothing else, as its end shows."""
    return name.endswith(("/", os.sep))


def options(*names: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """The options of these names, shared by several commands."""
    known = {
        "force": click.option("-f", "--force", is_flag=True, help="Replace existing files."),
        "threads": click.option("--threads", type=Whole(1), metavar="N", help="Threads to use, by default all."),
        "max_pixels": click.option(
            "--max-pixels",
            type=Whole(0),
            default=MAX_PIXELS,
            metavar="N",
            help="Refuse larger pictures; 0: none.",
        ),
        "quiet": click.option("--quiet", is_flag=True, help="Only report errors."),
    }

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        for name in reversed(names):
            command = known[name](command)
        return command

    return decorate


inputs = click.argument("inputs", nargs=-1, metavar="IN...", type=FileName())


def batch_options(command: Callable[..., int]) -> Callable[..., int]:
    """What goes where and how it is run, which the command gets as `outputs` and `how`, and max_pixels."""

    @click.option("-o", "--output", metavar="PATH", help="File, folder (FOLDER/ is made), - for stdout.")
    @click.option(
        "--out-dir",
        type=FileName(new_folder=True),
        metavar="DIR",
        help="Folder for outputs, a tree like the inputs'.",
    )
    @click.option("--manifest", type=FileName(), metavar="FILE", help="Take the names of inputs from it, one a line.")
    @click.option("--results", type=FileName(here=True), metavar="FILE", help="Write what --json prints into it.")
    @click.option("--shard", type=Shard(), metavar="K/N", help="Only the K-th of N parts of the inputs.")
    @click.option("-r", "--recursive", is_flag=True, help="Take what is in folders, at any depth.")
    @click.option("--skip-existing", is_flag=True, help="Leave out inputs whose output exists.")
    @options("force")
    @click.option("-p", "--preserve", is_flag=True, help="Give outputs the times of their inputs.")
    @click.option("--dry-run", is_flag=True, help="Do all but write, and say what would be.")
    @click.option("-j", "--jobs", type=Whole(1), default=1, metavar="N", help="Files at a time.")
    @options("threads", "max_pixels")
    @click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line for each file.")
    @options("quiet")
    @wraps(command)
    def with_batch(
        *arguments: Any,
        output: str | None,
        out_dir: Path | None,
        manifest: Path | None,
        results: Path | None,
        shard: tuple[int, int] | None,
        recursive: bool,
        skip_existing: bool,
        force: bool,
        preserve: bool,
        dry_run: bool,
        jobs: int,
        threads: int | None,
        as_json: bool,
        quiet: bool,
        **others: Any,
    ) -> int:
        if bool(others["inputs"]) == bool(manifest):
            raise click.UsageError("IN and --manifest exclude each other" if manifest else "IN is missing")
        target = None if output is None else FileName(new_folder=True).convert(output, None, None)
        if output is not None and is_folder(output) and out_dir is None:
            target, out_dir = None, target
        as_json, results = as_json or results == files.STREAM, None if results == files.STREAM else results
        outputs = Outputs(target, out_dir, recursive, skip_existing, force, as_json, manifest, shard)
        folders = out_dir is not None or recursive or manifest is not None
        how = How(jobs, threads, force, quiet, as_json, dry_run, preserve, folders, results, skip_existing)
        return command(*arguments, outputs=outputs, how=how, **others)

    return with_batch


effort_option = click.option(
    "--effort",
    type=Whole(1, 9),
    default=EFFORT,
    metavar="E",
    help=f"1 to 9, slower and better; {EFFORT} by default.",
)

tune_option = click.option(
    "--tune",
    type=OneOf(TUNES),
    help=f"What is best for the size: PSNR, or what the eye sees; {TUNE} by default, psnr with --target-psnr.",
)

png_level_option = click.option(
    "--png-level",
    type=Whole(0, 9),
    default=PNG_LEVEL,
    metavar="N",
    help=f"Of PNG outputs: 0 is quick and large, 9 slow and small; {PNG_LEVEL} by default.",
)

frame_option = click.option(
    "--frame",
    type=Whole(1),
    metavar="N",
    help="Which frame or page; 1 by default.",
)

strip_option = click.option(
    "--strip",
    type=OneOf(["none", "private", "all"]),
    default="none",
    help="Leave out EXIF and XMP; all: the ICC too.",
)


def metadata_options(command: Callable[..., int]) -> Callable[..., int]:
    """--exif, --icc and --xmp, which the command gets as `metadata`: bytes by Picture field."""

    @click.option("--exif", type=FileName(), metavar="FILE", help="EXIF to store instead of the picture's own.")
    @click.option("--icc", type=FileName(), metavar="FILE", help="The same with an ICC profile.")
    @click.option("--xmp", type=FileName(), metavar="FILE", help="The same with XMP.")
    @wraps(command)
    def with_metadata(*arguments: Any, exif: Path | None, icc: Path | None, xmp: Path | None, **others: Any) -> int:
        from vaecodec.pictures.metadata import given

        metadata = {}
        for kind, path in (("exif", exif), ("icc", icc), ("xmp", xmp)):
            if path is None:
                continue
            try:
                metadata[kind] = given(kind, path.read_bytes())
            except (VaecError, OSError) as error:
                raise click.UsageError(f"--{kind} {path}: {reason(error, path)}") from None
        return command(*arguments, metadata=metadata, **others)

    return with_metadata


def denoising(sigma: float | str, fast: bool = False) -> Recipe:
    """For a value of `Sigma`."""
    need_torch("restoration")
    from vaecodec.restoration.recipes import Denoise

    return Denoise(None if isinstance(sigma, str) else sigma, fast)


def rate_options(command: Callable[..., int]) -> Callable[..., int]:
    """--quality or one of the targets, which the command gets as `rate`: a quality 0..100 or a Target."""

    @click.option(
        "-q",
        "--quality",
        type=Number(0, 100),
        metavar="Q",
        help=f"0 to 100, higher is better; {QUALITY:g} by default.",
    )
    @click.option("--target-size", type=Size(), metavar="SIZE", help="The best that fits: 80kB, 1.5MB, 64KiB.")
    @click.option("--target-bpp", type=Number(), metavar="BPP", help="The same in bits per pixel.")
    @click.option("--target-psnr", type=Number(), metavar="DB", help="The lowest quality that reaches this PSNR.")
    @click.option("--target-ssimulacra2", type=Number(), metavar="SCORE", help="The same by SSIMULACRA2, below 100.")
    @wraps(command)
    def with_rate(
        *arguments: Any,
        quality: float | None,
        target_size: float | None,
        target_bpp: float | None,
        target_psnr: float | None,
        target_ssimulacra2: float | None,
        **options: Any,
    ) -> int:
        targets = {"size": target_size, "bpp": target_bpp, "psnr": target_psnr, "ssimulacra2": target_ssimulacra2}
        given = [f"--target-{name}" for name, value in targets.items() if value is not None]
        if given and from_preset("quality"):
            quality = None
        if quality is not None:
            given.insert(0, "--quality")
        if len(given) > 1:
            raise click.UsageError(f"{' and '.join(given)} exclude each other")
        rate: float | Target = QUALITY if quality is None else quality
        if given and quality is None:
            from vaecodec.codec.ratecontrol import Target

            try:
                rate = Target(**targets)
            except VaecError as error:
                raise click.UsageError(str(error)) from None
        return command(*arguments, rate=rate, **options)

    return with_rate
