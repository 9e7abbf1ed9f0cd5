"""The commands for more files than one machine is for: encode-many, decode-many, features-many."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaecodec import files
from vaecodec.cli.batch import cores, rest
from vaecodec.cli.options import (
    FileName,
    effort_option,
    options,
    png_level_option,
    rate_options,
    strip_option,
    tune_option,
)
from vaecodec.cli.plan import output_format
from vaecodec.cli.presets import preset_option
from vaecodec.cli.results import failed
from vaecodec.cli.values import Number, OneOf, Size, Whole
from vaecodec.codec.defaults import QUALITY
from vaecodec.console import Overall, count, loading, put, say
from vaecodec.distributed import tables
from vaecodec.distributed.names import Listing, absolute, found_in, listed, make_folder
from vaecodec.distributed.writing import Coder, Files, Parts, Row
from vaecodec.jobs import Decode, Encode, Features, Work
from vaecodec.outcomes import FAILED
from vaecodec.remote import located
from vaecodec.trees import place_in

if TYPE_CHECKING:
    from vaecodec.codec.ratecontrol import Target

TOLD = 20  # failures that are told as they happen; the table has them all
SHARES = 20  # batches for each core, at least: none is long the last one
BATCH = 64  # files, at most: a batch that is begun again costs a look at each
PART = 1000  # pictures in a part of a table of features, at most


@dataclass(frozen=True)
class Many:
    """Where from, where to, and how.

    workers: at a time; None: as many as there are cores. memory: bytes to set aside for each. batch: files that go to a
    worker together. errors: the table of those that failed.
    """

    source: Path
    target: Path
    address: str | None
    workers: int | None
    memory: int | None
    batch: int | None
    errors: Path
    force: bool
    as_json: bool
    quiet: bool

    def share(self, jobs: int, cores: int, most: int) -> int:
        """How many files go to a worker together."""
        return self.batch or max(1, min(most, jobs // (SHARES * max(1, cores))))


def many_options(command: Callable[..., int]) -> Callable[..., int]:
    """SOURCE, TARGET and how it is run, which the command gets as `many`, and max_pixels."""

    @click.argument("source", metavar="SOURCE", type=FileName(new_folder=True))
    @click.argument("target", metavar="TARGET", type=FileName(new_folder=True))
    @click.option("--engine", type=OneOf(["ray"]), default="ray", help="Who shares out the work; ray by default.")
    @click.option("--address", metavar="HOST:PORT", help="Of a cluster that runs; auto finds it. Else one is started.")
    @click.option("--workers", type=Whole(1), metavar="N", help="Files at a time; one for each core by default.")
    @click.option("--memory", type=Size(), metavar="SIZE", help="To set aside for each worker, such as 500MB.")
    @click.option("--batch", type=Whole(1), metavar="N", help="Files that go to a worker together.")
    @click.option(
        "--errors", type=FileName(), metavar="FILE", help="Table of failures; TARGET/_errors.parquet by default."
    )
    @options("max_pixels")
    @click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line for each file.")
    @options("quiet")
    @wraps(command)
    def with_many(
        *arguments: Any,
        source: Path,
        target: Path,
        engine: str,
        address: str | None,
        workers: int | None,
        memory: float | None,
        batch: int | None,
        errors: Path | None,
        as_json: bool,
        quiet: bool,
        force: bool = False,
        **others: Any,
    ) -> int:
        if files.STREAM in (source, target, errors):
            raise click.UsageError("- is no folder")
        source, target = absolute(source), absolute(target)
        # Who reads a folder of Parquet as one table leaves out what begins with _.
        table = target / "_errors.parquet" if errors is None else absolute(errors)
        set_aside = None if memory is None else int(memory)
        many = Many(source, target, address, workers, set_aside, batch, table, force, as_json, quiet)
        return command(*arguments, many=many, **others)

    return with_many


@click.command("encode-many")
@many_options
@preset_option
@rate_options
@effort_option
@tune_option
@click.option("--preview/--no-preview", default=None, help="A small picture ahead; large ones have it.")
@click.option("--progressive/--sequential", help="Its first part shows the whole picture.")
@strip_option
@options("force")
def encode_many(
    rate: float | Target,
    effort: int,
    tune: str | None,
    preview: bool | None,
    progressive: bool,
    strip: str,
    max_pixels: int,
    many: Many,
) -> int:
    """Make .vaec files on a cluster.

    All pictures in SOURCE are coded. SOURCE and TARGET are folders that every machine sees, or URLs. TARGET gets a tree
    like that of SOURCE. Workers write the outputs. What is there already is left out: the same line again goes on where
    a run has ended.
    """
    work = Encode(rate, effort, max_pixels, strip, preview=preview, progressive=progressive, tune=tune)
    return to_files(work, work.ending, many)


@click.command("decode-many")
@many_options
@click.option("--format", "ending", default=".png", metavar="ENDING", help="Of outputs: png by default, jpg, webp ...")
@click.option("--scale", type=OneOf(["1/2", "1/4", "1/8"]), help="Smaller, with a fraction of the work.")
@click.option("--max-size", type=Whole(1), metavar="N", help="No side longer than N pixels.")
@png_level_option
@strip_option
@options("force")
def decode_many(
    ending: str, scale: str | None, max_size: int | None, png_level: int, strip: str, max_pixels: int, many: Many
) -> int:
    """Make pictures on a cluster.

    Of all .vaec files in SOURCE. The rest is as with encode-many.
    """
    if scale and max_size:
        raise click.UsageError("--scale and --max-size exclude each other")
    ending = f".{ending.removeprefix('.')}"
    output_format(Path(f"a{ending}"))
    work = Decode(max_pixels, None, int(scale[-1]) if scale else 1, max_size, strip, png_level=png_level)
    return to_files(work, ending, many)


@click.command("features-many")
@many_options
@click.option("-q", "--quality", type=Number(0, 100), default=QUALITY, metavar="Q", help=f"{QUALITY:g} by default.")
def features_many(quality: float, max_pixels: int, many: Many) -> int:
    """Describe pictures on a cluster.

    All pictures and .vaec files in SOURCE, by their latents. TARGET gets Parquet files of up to 1000 rows (--batch):
    path, width, height and features, a list of float32 as `pooled` of the command features. Pictures of which a part in
    TARGET tells are left out.
    """

    work = Features(quality, max_pixels)

    def planned() -> Listing:
        parts = (path for path in map(located, found_in(many.target)) if tables.is_part(path))
        return listed(many.source, work.takes, lambda p: tables.text(str(p)), tables.paths_in(parts))

    return run(planned, Parts(work, many.target), PART, many)


def to_files(work: Work, ending: str, many: Many) -> int:
    """A file for each file."""

    def output(path: Path) -> str:
        return str(many.target / place_in(many.source, path).with_suffix(ending))

    def planned() -> Listing:
        return listed(many.source, work.takes, output, set() if many.force else found_in(many.target))

    return run(planned, Files(work, ending, many.force), BATCH, many)


def run(planned: Callable[[], Listing], coder: Coder, most: int, many: Many) -> int:
    """Do what is planned and return the exit code. most: files in a batch. Raises: VaecError, OSError."""
    from vaecodec.distributed import ray_data

    ray_data.need_ray()
    make_folder(many.target)
    tables.check_errors(many.errors, many.force)
    with loading(many.quiet, "looking what is there ..."):
        listing = planned()
    report = Report(many, listing)
    if listing.jobs:
        with ray_data.cluster(many.address, many.workers or cores()) as found:
            batch = many.share(len(listing.jobs), many.workers or found, most)
            rows = ray_data.outcomes(listing.jobs, coder, batch, many.workers, many.memory)
            report.overall.begin()
            with closing(rows):
                for row in rows:
                    report.take(row)
    return report.end()


@dataclass
class Report:
    """Says what becomes of each file, and at the end of all."""

    many: Many
    listing: Listing
    failures: list[Row] = field(default_factory=list)
    done: int = 0

    def __post_init__(self) -> None:
        self.overall = Overall(len(self.listing.jobs), self.many.quiet)

    def take(self, row: Row) -> None:
        failure = row["error"] is not None
        self.done += 1
        if failure:
            self.failures.append(row)
        if self.many.as_json or (failure and len(self.failures) <= TOLD):
            self.overall.clear()
        if self.many.as_json:
            put(json.dumps(facts(row)))
        if failure and len(self.failures) <= TOLD:
            say(f"vaecodec: {row['path']}: {row['error']}")
        self.overall.show(self.done)

    def end(self) -> int:
        """Write the table of failures. Raises: OSError."""
        self.overall.clear()
        failures = [row | {"reason": row["error"]} for row in self.failures]
        tables.put(self.many.errors, failures, tables.ERRORS, force=True)
        if not self.many.quiet:
            rest(len(self.listing.jobs), self.listing.skipped, self.listing.left)
        done = f"{count(self.done - len(failures), 'file')} done"
        if failures:
            say(f"vaecodec: {done}, {len(failures)} failed: {self.many.errors} says why")
        elif self.done and not self.many.quiet:
            say(f"vaecodec: {done}")
        return FAILED if failures else 0


def facts(row: Row) -> dict[str, Any]:
    """As --json of other commands has them."""
    if row["error"] is not None:
        return failed(row["path"], row["output"], row["error"], row["code"])
    found = {"input": row["path"], "output": row["output"], "ok": True, "bytes": row["output_size"]}
    found |= {name: row[name] for name in ("width", "height")} | {"seconds": round(row["seconds"], 3)}
    return found | {"notes": row["notes"].split("; ") if row["notes"] else []}
