"""The commands of vae.py: sample, elbo. Imports of NumPy and torch stand inside, as in coding.py."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaecodec import files
from vaecodec.cli.batch import each
from vaecodec.cli.options import FileName, options, read_once
from vaecodec.cli.plan import output_format
from vaecodec.cli.values import Dimensions, Number, Whole
from vaecodec.codec.defaults import EFFORT, QUALITY
from vaecodec.console import put, say
from vaecodec.jobs import CodecOnDemand, Features

if TYPE_CHECKING:
    from vaecodec.pictures.picture import Picture

quality_option = click.option(
    "-q", "--quality", type=Number(0, 100), default=QUALITY, metavar="Q", help=f"0 to 100, {QUALITY:g} by default."
)


@click.command()
@click.option("--size", type=Dimensions(), metavar="WxH", help="In pixels; 512x512 by default.")
@click.option("--like", type=FileName(), metavar="PICTURE", help="Keep the hyperprior of a picture, draw the rest.")
@click.option("--seed", type=Whole(0), default=0, metavar="N", help="Another picture for each; 0 by default.")
@quality_option
@options("force", "threads", "max_pixels")
@click.argument("target", metavar="OUT", type=FileName())
def sample(
    size: tuple[int, int] | None,
    like: Path | None,
    seed: int,
    quality: float,
    force: bool,
    threads: int | None,
    max_pixels: int,
    target: Path,
) -> int:
    """Draw a picture from the model: what random bits decode to.

    It knows textures and edges, not things: expect patches of them.
    """
    if size and like:
        raise click.UsageError("--size and --like exclude each other")
    format = output_format(target)

    def make(target: Path) -> None:
        from vaecodec.pictures.writing import write_picture

        source = like or files.STREAM
        files.check_target(target, source, force)
        codec, written = CodecOnDemand(threads, quiet=False)(), BytesIO()
        from vaecodec import vae  # wants PyTorch, which the codec has loaded

        if like is None:
            picture = vae.sample(codec, size[::-1] if size else (512, 512), quality, seed)
        else:
            picture = vae.resample(codec, with_notes(like, files.read(like), max_pixels), quality, seed)
        write_picture(picture, written, format)
        files.write(target, written.getbuffer(), source, force)

    return each((target,), make)


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="PICTURE...", type=FileName(), callback=read_once)
@quality_option
@click.option("--effort", type=Whole(1, 9), default=EFFORT, metavar="E", help=f"As of encode; {EFFORT} by default.")
@options("threads", "max_pixels")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line for each picture.")
def elbo(
    inputs: tuple[Path, ...], quality: float, effort: int, threads: int | None, max_pixels: int, as_json: bool
) -> int:
    """The evidence lower bound of exact pictures, in bits per dimension with its sign changed: smaller is better.

    Rate, the bits of the .vaec file, and distortion, the bits that the exact pixels cost given the decoded ones, by a
    normal distribution of the best deviation. A dimension is one colour of one pixel. Together they bound what the
    model says the picture costs without loss; the bound is tightest at quality 100.
    """
    codec = CodecOnDemand(threads, quiet=False)

    def look(source: Path) -> None:
        picture, ready = with_notes(source, files.read(source), max_pixels), codec()
        from vaecodec.vae import bound

        found = bound(ready, picture, quality, effort)
        facts = {"rate": found.rate, "distortion": found.distortion, "total": found.total}
        if as_json:
            put(json.dumps({"file": str(source), **{name: round(bits, 4) for name, bits in facts.items()}}))
        else:
            put("  ".join([str(source), *(f"{name} {bits:.3f}" for name, bits in facts.items())]))

    return each(inputs, look)


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="FILE...", type=FileName(), callback=read_once)
@click.option("-o", "--output", type=FileName(), required=True, metavar="OUT.npz", help="The archive to write.")
@click.option("--latents", is_flag=True, help="Keep y_hat and z_hat too, not only the pooled ones.")
@quality_option
@options("force", "threads", "max_pixels")
def features(
    inputs: tuple[Path, ...],
    output: Path,
    latents: bool,
    quality: float,
    force: bool,
    threads: int | None,
    max_pixels: int,
) -> int:
    """Describe pictures by their latents, for search and classification.

    Of .vaec files without making their pixels; other pictures are coded first, at the quality of -q. The archive has
    `files` (n,) and `pooled` (n, 2 M + N): means and mean magnitudes of y_hat, in 8-bit levels, and means of z_hat.
    With --latents also y_hat_0, z_hat_0 and so on (rows, columns, channels).
    """
    codec, work = CodecOnDemand(threads, quiet=False), Features(quality, max_pixels)
    found: dict[str, Any] = {}
    names: list[str] = []
    pooled: list[Any] = []

    def look(source: Path) -> None:
        one, _, notes, _ = work.look(files.read(source), codec)
        for note in notes:
            say(f"vaecodec: {source}: note: {note}")
        if latents:
            found.update({f"y_hat_{len(names)}": one.y_hat, f"z_hat_{len(names)}": one.z_hat})
        names.append(str(source))
        pooled.append(one.pooled)

    def save(target: Path) -> None:
        import numpy as np

        written = BytesIO()
        np.savez_compressed(written, files=np.array(names), pooled=np.stack(pooled), **found)
        files.write(target, written.getbuffer(), files.STREAM, force)

    failed = each((output,), lambda target: files.check_target(target, files.STREAM, force))
    if failed:
        return failed
    code = each(inputs, look)
    return (each((output,), save) or code) if names else code


def with_notes(source: Path, data: bytes, max_pixels: int) -> Picture:
    """The picture in a file; what was converted is told. Raises: VaecError."""
    from vaecodec.pictures.reading import read_picture

    picture, notes = read_picture(data, max_pixels)
    for note in notes:
        say(f"vaecodec: {source}: note: {note}")
    return picture
