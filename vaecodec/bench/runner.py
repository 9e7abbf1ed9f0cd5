"""All pictures through all codecs: what is left to do, in worker processes, every result kept at once."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from vaecodec.bench import rows as csv_rows
from vaecodec.bench.measure import Task, codecs, load, measure
from vaecodec.bench.rows import Row
from vaecodec.console import reason
from vaecodec.errors import VaecError
from vaecodec.metrics.scores import MS_SSIM_ABOVE
from vaecodec.workers import as_done

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".avif"}


@dataclass(frozen=True)
class Failure:
    picture: str
    codec: str
    setting: float
    error: str


def find_pictures(places: Sequence[Path], only: frozenset[str] | None) -> dict[str, Path]:
    """Names in the results and files: files as given, folders searched for pictures, sorted.

    `only` keeps the pictures with these file names. Raises: VaecError where nothing is found or two names are equal.
    """
    found: dict[str, Path] = {}
    for place in places:
        if not place.exists():
            raise VaecError(f"{place}: there is no such file or folder")
        inside = sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        for path in inside if place.is_dir() else [place]:
            if only is not None and path.name not in only:
                continue
            name = path.relative_to(place).as_posix() if place.is_dir() else path.name
            if found.setdefault(name, path).resolve() != path.resolve():
                raise VaecError(f"{found[name]} and {path} would both be called {name} in the results")
    if not found:
        raise VaecError("there are no pictures in " + ", ".join(map(str, places)))
    return found


def coded_file(folder: Path, codec: str, suffix: str, picture: str, setting: float) -> Path:
    """Where a coded file is kept; a hash tells apart names that had to be changed for the file system."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", picture)
    if safe != picture or len(safe) > 100:
        safe = f"{safe[:100]}-{hashlib.sha256(picture.encode(errors='surrogatepass')).hexdigest()[:8]}"
    return folder / "files" / codec / f"{safe}@{setting:g}{suffix}"


class Runner:
    """The tasks of one run and the results file that they go to."""

    def __init__(self, tasks: list[Task], out: Path, resume: bool) -> None:
        self.out, self.path = out, out / "results.csv"
        self.done = self._earlier(tasks) if resume and self.path.exists() else []
        have = {row.key for row in self.done}
        self.left = [task for task in tasks if (task.picture, task.codec, task.setting) not in have]
        self.total = len(tasks)
        self.failures: list[Failure] = []

    def _earlier(self, tasks: list[Task]) -> list[Row]:
        """Rows of an earlier run that this one would measure again alike: same pixels, codec, version and metrics."""
        data = self.path.read_bytes()
        if data and not data.endswith(b"\n"):  # killed while it wrote its last row
            self.path.write_bytes(data[: data.rfind(b"\n") + 1])
        known = {row.key: row for row in csv_rows.read(self.path)}
        kept = []
        for task in tasks:
            row = known.get((task.picture, task.codec, task.setting))
            if row is not None and _still_holds(row, task):
                kept.append(row)
        return kept

    def run(self) -> Iterator[Row | Failure]:
        """Do what is left; yield each result as it comes, already written to the file."""
        self.out.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        with csv_rows.opened(temporary, "w") as handle:
            csv_rows.write_header(handle)
            csv_rows.append(handle, self.done)
        os.replace(temporary, self.path)
        with csv_rows.opened(self.path, "a") as handle:
            for result in self._results():
                if isinstance(result, Row):
                    self.done.append(result)
                    csv_rows.append(handle, [result])
                else:
                    self.failures.append(result)
                yield result

    def _results(self) -> Iterator[Row | Failure]:
        jobs = self.left[0].jobs if self.left else 1
        if jobs == 1:
            yield from map(attempt, self.left)
            return
        with closing(as_done(attempt, [(task,) for task in self.left], jobs)) as results:
            for number, result in results:
                yield result or failure(self.left[number], "a worker process died")


def _still_holds(row: Row, task: Task) -> bool:
    codec = codecs(task.options)[task.codec]
    same = row.version == codec.version() and row.command == codec.command(task.setting)
    same = same and (row.repeats, row.threads) == (task.repeats, task.options.threads)
    if "ssimulacra2" in task.metrics:
        same = same and row.ssimulacra2_by == task.ssimulacra2_by
    if "ms-ssim" in task.metrics:
        same = same and (row.ms_ssim is not None or min(row.width, row.height) <= MS_SSIM_ABOVE)
    same = same and task.file.exists() and task.file.stat().st_size == row.bytes
    try:
        return same and load(task.path)[1] == row.pixels
    except VaecError:
        return False


def failure(task: Task, error: str) -> Failure:
    return Failure(task.picture, task.codec, task.setting, error)


def attempt(task: Task) -> Row | Failure:
    """Measure, or say why not: a picture or a codec that fails does not stop the rest."""
    try:
        return measure(task)
    except Exception as error:  # codecs are other people's libraries: anything may come
        known = isinstance(error, (VaecError, OSError, MemoryError))
        return failure(task, reason(error, task.path) if known else f"{type(error).__name__}: {error}")
