"""The commands that look at `.vaec` files: info, verify."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from vaecodec import files
from vaecodec.bitstream import container
from vaecodec.bitstream.info import Info, read_info
from vaecodec.cli.batch import each
from vaecodec.cli.options import FileName, options
from vaecodec.console import Progress, count, human, put, say
from vaecodec.jobs import CodecOnDemand


@click.command()
@click.argument("file", type=FileName())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(file: Path, as_json: bool) -> int:
    """Print what a .vaec file holds: dimensions, quality, model, and its size by part."""

    def look(source: Path) -> None:
        with files.opened(source) as data:
            facts = read_info(data)
        put(*(as_json_text(source, facts) if as_json else as_text(source, facts)))

    return each((file,), look)


@click.command()
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


# What `info` says


def as_json_text(source: Path, info: Info) -> list[str]:
    """The lines of one JSON object, its keys in the order of `Info`; sizes in bytes, `parts` adds up to `size`."""
    return json.dumps({"file": str(source), **asdict(info), "bpp": round(info.bpp, 4)}, indent=2).split("\n")


def as_text(source: Path, info: Info) -> list[str]:
    """The same for a person; parts that take nothing are left out."""
    rows = {
        "picture": f"{info.width} x {info.height}, {info.colour}, {info.depth} bits, {info.colour_space}",
        "quality": f"{info.quality:g} of 100",
        "size": f"{human(info.size)}, {info.bpp:.3f} bpp",
        "model": f"{info.model} {info.model_hash}",
        "format": f"version {info.version}, {count(info.tiles, 'tile')} of {info.tile_side} pixels",
    }
    lines = [str(source), *(f"  {name:<10}{value}" for name, value in rows.items()), "  bytes by part"]
    parts = ((name, size) for name, size in info.parts.items() if size)
    return lines + [f"    {name:<8}{size:>10}  {100 * size / info.size:5.1f} %" for name, size in parts]
