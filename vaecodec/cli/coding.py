"""The commands that make files of pictures and back: encode, decode, thumbnail.

Imports of NumPy, Pillow and torch stand inside: a bad argument need not wait for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaecodec import files
from vaecodec.bitstream import container, limits
from vaecodec.cli.batch import How, each, run
from vaecodec.cli.options import (
    FileName,
    batch_options,
    denoising,
    effort_option,
    frame_option,
    inputs,
    metadata_options,
    options,
    png_level_option,
    rate_options,
    strip_option,
    tune_option,
)
from vaecodec.cli.plan import Outputs, output_format, plan
from vaecodec.cli.presets import preset_option
from vaecodec.cli.values import OneOf, Region, Sigma, Whole
from vaecodec.console import loading
from vaecodec.jobs import CodecOnDemand, Decode, Encode
from vaecodec.trees import is_picture, is_vaec

if TYPE_CHECKING:
    from vaecodec.codec.ratecontrol import Target


@click.command()
@inputs
@preset_option
@rate_options
@effort_option
@tune_option
@click.option("--denoise", type=Sigma(), metavar="SIGMA", help="Remove noise of so many levels first; or auto.")
@click.option("--preview/--no-preview", default=None, help="A small picture ahead; large ones have it.")
@click.option("--progressive/--sequential", help="Its first part shows the whole picture.")
@frame_option
@strip_option
@metadata_options
@batch_options
def encode(
    inputs: tuple[Path, ...],
    rate: float | Target,
    effort: int,
    tune: str | None,
    denoise: float | str | None,
    preview: bool | None,
    progressive: bool,
    frame: int | None,
    strip: str,
    metadata: dict[str, bytes],
    max_pixels: int,
    outputs: Outputs,
    how: How,
) -> int:
    """Make .vaec files of pictures.

    Each output lies beside its input unless -o says otherwise. Of two names, a second one that ends in .vaec or is - is
    the output. Metadata and transparency are kept. A target takes several trials.
    """
    recipe = None
    if denoise:
        with loading(how.quiet):
            recipe = denoising(denoise)
    work = Encode(
        rate, effort, max_pixels, strip, metadata, preview, recipe, progressive=progressive, tune=tune, frame=frame
    )
    planned = plan(inputs, outputs, ".vaec", is_output=is_vaec, is_input=is_picture)
    return run(planned, work, how)


@click.command()
@inputs
@click.option("--region", type=Region(), metavar="X,Y,W,H", help="Only this part, in pixels from the top left.")
@click.option("--scale", type=OneOf(["1/2", "1/4", "1/8"]), help="Smaller, with a fraction of the work.")
@click.option("--max-size", type=Whole(1), metavar="N", help="No side longer than N pixels.")
@click.option("--preview", is_flag=True, help="The small picture in the file, or 1/8 if there is none.")
@click.option("--partial", is_flag=True, help="What is left of a damaged file; exit code 3 says that it is.")
@png_level_option
@strip_option
@batch_options
def decode(
    inputs: tuple[Path, ...],
    region: tuple[int, int, int, int] | None,
    scale: str | None,
    max_size: int | None,
    preview: bool,
    partial: bool,
    png_level: int,
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
    for _, target in planned.jobs:
        output_format(target)
    fraction = int(scale[-1]) if scale else 1
    work = Decode(max_pixels, region, fraction, max_size, strip, partial, preview, png_level)
    return run(planned, work, how)


@click.command()
@click.option("-s", "--size", type=Whole(1, 4096), default=128, metavar="N", help="1 to 4096, 128 by default.")
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
