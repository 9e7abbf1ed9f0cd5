"""Running the jobs of a command, here or in worker processes. A job that fails does not stop the others."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import click

from vaecodec import files, trees
from vaecodec.cli.plan import Plan
from vaecodec.cli.results import failed, results, succeeded
from vaecodec.console import Overall, Progress, count, hush_warnings, report, say
from vaecodec.errors import CorruptFileError
from vaecodec.jobs import CodecOnDemand, Work
from vaecodec.outcomes import FAILED, Done, Failure, attempt
from vaecodec.remote import Remote

AHEAD = 2  # jobs begun for each worker before the first is done, so that none waits and few results lie about
# What a worker takes, with the model and some rows of latents, besides `Work.pixel_bytes` for each pixel of its
# picture: `tools/measure/huge.py --format png` measured 148 MB for 4 megapixels (2026-11-29).
WORKER_BYTES = 130_000_000
TORCH_BYTES = 800_000_000  # the same of PyTorch, if the work needs it (2026-11-22)
Job = tuple[Path, Path]


@dataclass(frozen=True)
class How:
    """How jobs are run and reported.

    workers: processes. threads: of each; by default the cores are shared out among the workers.
    folders: missing folders of outputs are made. preserve: outputs get the times of their inputs.
    results: a file of JSON lines. more: they are added to it.
    """

    workers: int = 1
    threads: int | None = None
    force: bool = False
    quiet: bool = False
    as_json: bool = False
    dry_run: bool = False
    preserve: bool = False
    folders: bool = False
    results: Path | None = None
    more: bool = False


def run(plan: Plan, work: Work, how: How) -> int:
    """Run every job and return the exit code: 0, that of the failure of a single job, or 1."""
    if how.preserve and any(isinstance(path, Remote) for job in plan.jobs for path in job):
        raise click.UsageError("--preserve is for files on this machine")
    workers = affordable(plan.jobs, work, how) if len(plan.jobs) > 1 else 1
    if workers < how.workers and workers < len(plan.jobs) and not how.quiet:
        say(f"vaecodec: note: memory allows {count(workers, 'job')} at a time")
    with results(how.results, how.as_json, how.force, how.more) as record:
        batch = Reports(plan, how, record)
        if workers > 1:
            batch.overall.begin()
        outcomes = in_workers(plan.jobs, work, workers, how) if workers > 1 else here(plan.jobs, work, how, batch)
        with closing(outcomes):  # the workers end with it
            for job, outcome in zip(plan.jobs, outcomes, strict=True):
                batch.finish(*job, outcome)
    return batch.end()


def each(sources: tuple[Path, ...], look: Callable[[Path], None]) -> int:
    """Look at every file, report those that fail, and return the exit code."""
    codes = []
    for source in sources:
        failure = attempt(source, partial(look, source))
        if failure:
            say(f"vaecodec: {source}: {failure.message}")
        codes.append(failure.code if failure else 0)
    return codes[0] if len(codes) == 1 else FAILED if any(codes) else 0


def prepare(source: Path, target: Path, how: How) -> None:
    """Raises OSError, before any work is done, where the output cannot or must not be written."""
    if how.folders and not files.is_dir(target.parent):
        if how.dry_run:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
    files.check_target(target, source, how.force)


@dataclass
class Reports:
    """Writes outputs, says what became of each job, and at the end of all."""

    plan: Plan
    how: How
    record: Callable[[dict[str, Any]], None]
    failures: list[tuple[Path, Failure]] = field(default_factory=list)
    done: int = 0

    def __post_init__(self) -> None:
        self.overall = Overall(len(self.plan.jobs), self.how.quiet)

    def finish(self, source: Path, target: Path, outcome: Done | Failure) -> None:
        """Write the output and report."""
        self.overall.clear()
        if isinstance(outcome, Done):
            start = time.perf_counter()
            outcome = attempt(source, partial(self.write, source, target, outcome)) or outcome
        if isinstance(outcome, Failure):
            say(f"vaecodec: {source}: {outcome.message}")
            self.failures.append((source, outcome))
        elif not self.how.as_json:
            seconds = outcome.seconds + time.perf_counter() - start
            figures = outcome.figures + ("  (not written)" if self.how.dry_run else "")
            report(source, target, outcome.notes, figures, seconds, self.how.quiet)
        if isinstance(outcome, Failure):
            self.record(failed(source, target, outcome.message, outcome.code))
        else:
            self.record(succeeded(source, target, outcome))
        if isinstance(outcome, Done) and outcome.fault:
            say(f"vaecodec: {source}: {outcome.fault}")
            self.failures.append((source, Failure(outcome.fault, CorruptFileError.exit_code)))
        self.done += 1
        self.overall.show(self.done)

    def write(self, source: Path, target: Path, done: Done) -> None:
        if self.how.dry_run:
            return
        files.write(target, done.data, source, self.how.force)
        if self.how.preserve and files.STREAM not in (source, target):
            times = source.stat()
            os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))

    def end(self) -> int:
        self.overall.clear()
        total = len(self.plan.jobs)
        if not self.how.quiet:
            rest(total, self.plan.skipped, self.plan.left)
        if total == 1 or not self.failures:
            return self.failures[0][1].code if self.failures else 0
        say(f"vaecodec: {len(self.failures)} of {total} failed:")
        for source, failure in self.failures:
            say(f"  {source}: {failure.message}")
        return FAILED


def rest(jobs: int, skipped: int, left: Counter[str]) -> None:
    """Say what was not done, and why."""
    if skipped:
        say(f"vaecodec: {count(skipped, 'file')} skipped: the output exists")
    if left.total():
        say(f"vaecodec: {count(left.total(), 'file')} left alone{trees.because(left)}")
    if not (jobs or skipped):
        say("vaecodec: there is nothing to do")


# Here, one after the other


def here(jobs: list[Job], work: Work, how: How, batch: Reports) -> Generator[Done | Failure, None, None]:
    """The outcomes of all jobs, in order."""
    codec = CodecOnDemand(how.threads, how.quiet)
    for number, (source, target) in enumerate(jobs):
        if len(jobs) == 1:
            with Progress(source, how.quiet) as progress:
                outcome = one(work, source, target, codec, how, progress)
            yield outcome
        else:
            yield one(work, source, target, codec, how, partial(batch.overall.part, number))


def one(
    work: Work, source: Path, target: Path, codec: CodecOnDemand, how: How, progress: Callable[[float], None] | None
) -> Done | Failure:
    """The outcome of one job; nothing is written."""

    def action() -> Done:
        step = work.open(source)
        prepare(source, target, how)
        return step(target, codec, progress)

    return attempt(source, action)


# In worker processes


def in_workers(jobs: list[Job], work: Work, workers: int, how: How) -> Generator[Done | Failure, None, None]:
    """The outcomes of all jobs, in order, the jobs being done by so many processes with a model each."""
    from vaecodec.workers import as_done, in_order

    threads = how.threads or max(1, cores() // workers)
    done = as_done(partial(in_worker, work, threads, how), jobs, workers, AHEAD * workers)
    with closing(done):
        for outcome in in_order(done):
            yield outcome or Failure("the worker process died, perhaps for lack of memory: try fewer --jobs")


@lru_cache(maxsize=1)
def worker_codec(threads: int) -> CodecOnDemand:
    """The model of this process."""
    hush_warnings()
    return CodecOnDemand(threads, quiet=True)


def in_worker(work: Work, threads: int, how: How, source: Path, target: Path) -> Done | Failure:
    outcome = one(work, source, target, worker_codec(threads), how, None)
    if isinstance(outcome, Done):
        outcome.data = outcome.held()  # a view cannot be sent
    return outcome


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def affordable(jobs: list[Job], work: Work, how: How) -> int:
    """So many of the wanted workers as there are jobs and memory for, going by the largest picture."""
    workers = min(how.workers, len(jobs))
    available = available_bytes()
    if workers == 1 or available is None or any(files.STREAM in job for job in jobs):
        return 1 if any(files.STREAM in job for job in jobs) else workers
    here = (source for source, _ in jobs if not isinstance(source, Remote))  # to ask elsewhere takes long
    largest = max(map(work.pixels, here), default=0)
    each = WORKER_BYTES + TORCH_BYTES * work.needs_torch + work.pixel_bytes * largest
    return max(1, min(workers, available // each))


def available_bytes(told: Path = Path("/proc/meminfo")) -> int | None:
    """Memory that can be had without swapping; None where the system does not say, as only Linux does."""
    try:
        lines = told.read_text().splitlines()
    except OSError:
        return None
    kilobytes = {name: value.split()[0] for name, _, value in (line.partition(":") for line in lines)}
    return int(kilobytes["MemAvailable"]) * 1024 if "MemAvailable" in kilobytes else None
