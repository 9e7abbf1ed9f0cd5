"""The command `vaecodec bench`: reads options, runs, writes the outputs, prints the tables."""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaecodec.cli.values import Number, Whole
from vaecodec.console import count, printable, put, say
from vaecodec.errors import VaecError

if TYPE_CHECKING:
    from vaecodec.bench.analysis import Results
    from vaecodec.bench.codecs import BenchCodec, Options
    from vaecodec.bench.measure import Task
    from vaecodec.bench.rows import Row
    from vaecodec.bench.runner import Failure, Runner

DEFAULT_CODECS = "vaec,jpeg,webp,avif"
DEFAULT_OUT = Path("vaecodec-bench")
METRICS = ("psnr", "ms-ssim", "ssimulacra2")

HELP = """Compare codecs on pictures: real file bytes, tables, curves, and a page to look at.

\b
Examples:
  vaecodec bench photos/                               vaec, JPEG, WebP and AVIF
  vaecodec bench a.png --codecs vaec,jxl --qualities vaec=20,40,60,80
  vaecodec bench photos/ --external heic='heif-enc -q {q} {in} -o {out}' 'heif-dec {in} {out}'
  vaecodec bench photos/ --check baseline.csv          exits 1 when the rate has grown

Writes results.csv, environment.json, curves (SVG, PNG) and report.html into the folder given by --out, with the
coded files. After an interruption, --resume goes on. JPEG and its like are at their best usual settings; `--list`
names all codecs and says which are here.
"""


@dataclass(frozen=True)
class Choices:
    """The options as given."""

    places: tuple[Path, ...]
    codecs: str | None
    out: Path
    qualities: tuple[str, ...]
    metrics: tuple[str, ...]
    external: tuple[tuple[str, str, str], ...]
    compare: tuple[Path, ...]
    check: Path | None
    tolerance: float
    only: Path | None
    model: Path | None
    resume: bool
    force: bool
    jobs: int
    threads: int
    repeats: int
    report: bool
    quiet: bool


@click.command(help=HELP)
@click.argument("places", nargs=-1, metavar="PICTURES...", type=click.Path(path_type=Path))
@click.option("--codecs", metavar="LIST", help=f"Names with commas between.  [default: {DEFAULT_CODECS}]")
@click.option("--list", "list_codecs", is_flag=True, help="Name all codecs and leave.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help=f"Output folder.  [default: {DEFAULT_OUT}]")
@click.option("--qualities", multiple=True, metavar="[NAME=]LIST", help="Settings for all codecs, or for one.")
@click.option("--metrics", default=",".join(METRICS), metavar="LIST", help=f"Of {', '.join(METRICS)}.  [default: all]")
@click.option("--external", nargs=2, multiple=True, metavar="NAME=ENC DEC", help="A codec as two command lines.")
@click.option(
    "--compare", multiple=True, type=click.Path(path_type=Path), metavar="CSV", help="Show earlier results too."
)
@click.option(
    "--check", type=click.Path(path_type=Path), metavar="CSV", help="Exit 1 where BD-rate is worse than this."
)
@click.option(
    "--tolerance", type=Number(0), default=1.0, show_default=True, metavar="PERCENT", help="What --check lets pass."
)
@click.option("--only", type=click.Path(path_type=Path), metavar="FILE", help="Only pictures whose names it lists.")
@click.option("--model", type=click.Path(path_type=Path), metavar="FILE", help="Another model for vaec.")
@click.option("--resume", is_flag=True, help="Go on where an earlier run stopped.")
@click.option("-f", "--force", is_flag=True, help="Start again over an earlier run.")
@click.option("-j", "--jobs", default=1, show_default=True, type=Whole(1), metavar="N", help="Pictures at a time.")
@click.option("--threads", type=Whole(1), metavar="N", help="For each codec.  [default: cores / jobs]")
@click.option(
    "--repeats",
    default=1,
    show_default=True,
    type=Whole(1),
    metavar="N",
    help="Times are medians of so many.",
)
@click.option("--report/--no-report", default=True, help="Write report.html with the pictures side by side.")
@click.option("--quiet", is_flag=True, help="Print no tables.")
def bench(
    places: tuple[Path, ...],
    list_codecs: bool,
    out: Path | None,
    metrics: str,
    external: tuple[tuple[str, str], ...],
    threads: int | None,
    jobs: int,
    **rest: Any,
) -> int:
    programs = tuple(external_program(*pair) for pair in external)
    threads = threads or max(1, (os.cpu_count() or 1) // jobs)
    if list_codecs:
        return list_all(programs)
    if not places:
        raise click.UsageError("PICTURES is missing")
    chosen = tuple(name for name in metrics.split(",") if name)
    if unknown := set(chosen) - set(METRICS):
        raise click.BadParameter(
            f"there is no metric {', '.join(sorted(unknown))}, only {', '.join(METRICS)}", param_hint="--metrics"
        )
    with ExitStack() as stack:
        if out is None and rest["check"]:
            out = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        choices = Choices(
            places, out=out or DEFAULT_OUT, metrics=chosen, external=programs, threads=threads, jobs=jobs, **rest
        )
        try:
            return run(choices)
        except (VaecError, OSError) as error:
            where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
            say(f"vaecodec: {where}{error.strerror if isinstance(error, OSError) and error.strerror else error}")
            return 1


def external_program(first: str, decode: str) -> tuple[str, str, str]:
    name, equals, encode = first.partition("=")
    if not equals or not name.replace("-", "").replace("_", "").isalnum():
        raise click.BadParameter(f"{first!r} is not NAME=COMMAND, NAME of letters and digits", param_hint="--external")
    return name, encode, decode


def list_all(programs: tuple[tuple[str, str, str], ...]) -> int:
    from vaecodec.bench.codecs import Options, catalogue

    for name, codec in catalogue(Options(external=programs)).items():
        lack = codec.missing()
        dial = "lossless" if codec.lossless else ",".join(f"{s:g}" for s in codec.settings)
        put(f"{name:<20}{codec.label:<42}{f'not here: {lack}' if lack else dial}")
    return 0


def run(choices: Choices) -> int:
    """Plan, measure, analyse, write, print. Returns the exit code."""
    need_packages(choices)
    from vaecodec.bench import rows as csv_rows
    from vaecodec.bench.analysis import Results
    from vaecodec.bench.codecs import Options
    from vaecodec.bench.runner import Runner, find_pictures

    if (choices.out / "results.csv").exists() and not (choices.resume or choices.force):
        raise VaecError(f"{choices.out} has results already: --resume goes on with them, -f starts again")
    baseline = csv_rows.read(choices.check) if choices.check else []
    compared = [row for path in choices.compare for row in renamed(csv_rows.read(path), path)]
    only = frozenset(choices.only.read_text(errors="surrogateescape").split()) if choices.only else None
    pictures = find_pictures(choices.places, only)
    options = Options(choices.threads, choices.model, choices.external)
    codecs, lacking = choose(choices, options, baseline)
    tasks = plan(choices, options, pictures, codecs, baseline)
    runner = Runner(tasks, choices.out, choices.resume)
    try:
        measure_all(runner, choices.quiet)
    except KeyboardInterrupt:
        done = f"{len(runner.done)} of {runner.total} results are in {runner.path}"
        say(f"vaecodec: interrupted; {done}, --resume goes on")
        return 130
    failures = [*runner.failures, *lacking]
    measured = Results(in_order(runner.done, tasks))
    if measured.rows:
        results = Results([*measured.rows, *(row for row in compared if row.picture in pictures)])
        write_outputs(choices, options, results, failures, pictures, codecs)
        print_tables(choices, results)
    for failed in failures:
        say(f"vaecodec: failed: {' '.join(filter(None, (failed.picture, failed.codec)))}: {failed.error}")
    worse = check(baseline, measured, choices) if choices.check else False
    return 1 if worse or failures else 0


def need_packages(choices: Choices) -> None:
    from importlib.util import find_spec

    needed = ["scipy", "bjontegaard", "matplotlib", *(["pytorch_msssim"] if "ms-ssim" in choices.metrics else [])]
    if missing := [name for name in needed if not find_spec(name)]:
        raise VaecError(f"bench needs more packages ({', '.join(missing)}): pip install 'vaecodec[bench]'")


def renamed(rows: Iterable[Row], path: Path) -> list[Row]:
    """Rows of another run, their codecs marked with the file that they come from."""
    name = printable(path.name)
    return [replace(row, codec=f"{row.codec}@{name}", label=f"{row.label} ({name})") for row in rows]


def choose(choices: Choices, options: Options, baseline: Sequence[Row]) -> tuple[dict[str, BenchCodec], list[Failure]]:
    """The codecs to run, and those asked for that are not here. Raises: VaecError for an unknown name."""
    from vaecodec.bench.codecs import catalogue
    from vaecodec.bench.runner import Failure

    known = catalogue(options)
    default = ",".join(dict.fromkeys(row.codec for row in baseline)) or DEFAULT_CODECS
    names = [n for n in (choices.codecs or default).split(",") if n]
    if not choices.codecs:
        names += [name for name, *_ in choices.external]
    if unknown := [name for name in names if name not in known]:
        raise VaecError(f"there is no codec {', '.join(unknown)}; --list names them all")
    lacks = {name: lack for name in names if (lack := known[name].missing())}
    return {n: known[n] for n in dict.fromkeys(names) if n not in lacks}, [
        Failure("", name, 0, lack) for name, lack in lacks.items()
    ]


def plan(
    choices: Choices,
    options: Options,
    pictures: dict[str, Path],
    codecs: dict[str, BenchCodec],
    baseline: Sequence[Row],
) -> list[Task]:
    """Every task of the run, picture by picture. Raises: VaecError for settings that are no numbers."""
    from vaecodec.bench.measure import Task
    from vaecodec.bench.runner import coded_file
    from vaecodec.metrics.scores import ssimulacra2_source

    settings: dict[str, Sequence[float]] = {name: codec.settings for name, codec in codecs.items()}
    for row in baseline:  # a check repeats what its baseline did
        if row.codec in codecs:
            settings[row.codec] = sorted({r.setting for r in baseline if r.codec == row.codec})
    for text in choices.qualities:
        name, _, numbers = text.rpartition("=")
        if name and name not in codecs:
            raise VaecError(f"--qualities names {name}, which is not among the codecs of this run")
        try:
            values = sorted({float(n) for n in numbers.split(",")})
        except ValueError:
            raise VaecError(f"--qualities {text}: not numbers with commas between") from None
        for each in [name] if name else [n for n, codec in codecs.items() if not codec.lossless]:
            settings[each] = values
    by = ssimulacra2_source() if "ssimulacra2" in choices.metrics else ""
    return [
        Task(
            path=path,
            picture=picture,
            codec=name,
            setting=setting,
            file=coded_file(choices.out, name, codec.suffix, picture, setting),
            options=options,
            metrics=choices.metrics,
            ssimulacra2_by=by,
            repeats=choices.repeats,
            jobs=choices.jobs,
        )
        for picture, path in pictures.items()
        for name, codec in codecs.items()
        for setting in settings[name]
    ]


def measure_all(runner: Runner, quiet: bool) -> None:
    """Run with a bar that shows the time left."""
    if len(runner.left) < runner.total and not quiet:
        say(f"{runner.total - len(runner.left)} of {runner.total} results stand from the earlier run")
    shown = not quiet and sys.stderr.isatty()
    with click.progressbar(length=len(runner.left), label="bench", file=sys.stderr, hidden=not shown) as bar:
        for _ in runner.run():
            bar.update(1)


def in_order(rows: Iterable[Row], tasks: Sequence[Task]) -> list[Row]:
    place = {(t.picture, t.codec, t.setting): i for i, t in enumerate(tasks)}
    return sorted(rows, key=lambda row: place[row.key])


def write_outputs(
    choices: Choices,
    options: Options,
    results: Results,
    failures: Sequence[Failure],
    pictures: dict[str, Path],
    codecs: dict[str, BenchCodec],
) -> None:
    """environment.json, the curves and the page."""
    from vaecodec.bench.environment import environment
    from vaecodec.bench.plots import draw
    from vaecodec.bench.resources import of_codecs
    from vaecodec.bench.tables import environment_notes

    by = next((row.ssimulacra2_by for row in results.rows if row.ssimulacra2_by), None)
    facts = {
        "title": f"Rate and distortion on {len(results.pictures)} picture{'s' * (len(results.pictures) != 1)}",
        "date": time.strftime("%Y-%m-%d"),
        "command": shlex.join(["vaecodec", *sys.argv[1:]]),
        "environment": environment(),
        "notes": environment_notes(by, choices.jobs, choices.repeats, choices.threads),
    }
    if not choices.quiet:
        say("measuring memory, drawing curves" + (", making the report" if choices.report else ""))
    largest = max((p for p in results.pictures if p in pictures), key=lambda p: area(results, p))
    used = of_codecs(codecs, options, pictures[largest]) if choices.report else {}
    record = facts | {
        "codecs": {name: row.version for name, row in results.codecs.items()},
        "resources": used,
        "failures": [asdict(f) for f in failures],
    }
    write_text(choices.out / "environment.json", json.dumps(record, indent=2) + "\n")
    for metric in results.metrics:
        draw(results, metric, f"{facts['title']}, {facts['date']}", choices.out)
    if choices.report:
        from vaecodec.bench.page import render
        from vaecodec.bench.report import build, side_by_side

        views = side_by_side(results, pictures, choices.out, options)
        write_text(choices.out / "report.html", render(build(results, failures, facts, used, views)))


def area(results: Results, picture: str) -> int:
    return next(row.width * row.height for row in results.rows if row.picture == picture)


def write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def print_tables(choices: Choices, results: Results) -> None:
    if not choices.quiet:
        from vaecodec.bench.tables import summary

        put(*summary(results).split("\n"))
        say(f"written to {choices.out}")


def check(baseline: Sequence[Row], measured: Results, choices: Choices) -> bool:
    """Print how the measured curves compare with the baseline's; whether any is worse than the tolerance lets pass."""
    from vaecodec.bench.analysis import METRICS as ALL
    from vaecodec.bench.analysis import Results

    old = f"@{choices.check.name if choices.check else ''}"
    both = Results([*measured.rows, *(replace(row, codec=row.codec + old) for row in baseline)])
    names = [name for name in measured.lossy if name + old in both.codecs and both.complete(name, name + old)]
    if not names:
        raise VaecError(f"{choices.check} has no curve of these codecs on these pictures")
    worse = False
    for name in names:
        delta = both.bd(name + old, name, ALL[0])
        bad = delta.pchip is None or delta.pchip > choices.tolerance
        worse |= bad
        figure = "cannot be compared" if delta.pchip is None else f"{delta.pchip:+.2f} % BD-rate"
        on = count(len(both.complete(name, name + old)), "picture")
        verdict = "WORSE" if bad else "ok"
        put(f"{name}: {figure} against {choices.check} on {on}, tolerance {choices.tolerance:g} %: {verdict}")
    return worse
