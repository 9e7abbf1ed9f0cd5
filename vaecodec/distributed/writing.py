"""Workers that write what they make, so that no picture goes through the process that shares them out."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from vaecodec import files
from vaecodec.distributed import tables
from vaecodec.distributed.names import Job
from vaecodec.distributed.worker import COLUMNS, Worker
from vaecodec.jobs import Features, Work
from vaecodec.outcomes import Failure, attempt
from vaecodec.remote import located

Row = dict[str, Any]  # as COLUMNS has it, without the bytes
BLANK: Row = {name: value for name, value in COLUMNS.items() if name != "bytes"}


class Coder(Protocol):
    """Does a batch of jobs: `row` for each, then `finish` with all rows, of which it gives those to report."""

    def row(self, job: Job) -> Row: ...

    def finish(self, rows: list[Row]) -> list[Row]: ...


class Files:
    """Writes an output for each file. One that is there already is done: by who did the same job before."""

    def __init__(self, work: Work, ending: str | None = None, force: bool = False) -> None:
        self.worker, self.force = Worker(work, ending), force

    def row(self, job: Job) -> Row:
        target = located(job.output)
        there = attempt(target, target.is_file) if not self.force else False
        if isinstance(there, Failure):
            return failed(BLANK | job._asdict(), there)
        if there:
            return BLANK | job._asdict() | {"notes": "was there already"}
        row = self.worker.row(job.path, None) | {"output": job.output}
        coded = row.pop("bytes")
        return row if coded is None else failed(row, written(target, partial(self.write, job, target, coded)))

    def write(self, job: Job, target: Path, coded: bytes) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write(target, coded, located(job.path), self.force)

    def finish(self, rows: list[Row]) -> list[Row]:
        return rows


class Parts:
    """Writes the features of a batch as one part of a table, named after the files in it."""

    def __init__(self, work: Features, folder: Path) -> None:
        self.worker, self.folder = Worker(work), folder

    def row(self, job: Job) -> Row:
        return self.worker.row(job.path, None)

    def finish(self, rows: list[Row]) -> list[Row]:
        import numpy as np

        good = [row for row in rows if row["error"] is None]
        digest = hashlib.sha256("\0".join(row["path"] for row in good).encode(errors="surrogateescape"))
        target = self.folder / f"part-{digest.hexdigest()[:16]}.parquet"
        held = [row | {"features": np.load(io.BytesIO(row["bytes"]))} for row in good]
        failure = written(target, partial(tables.put, target, held, tables.FEATURES, False)) if good else None
        done = [
            failed(row | {"output": str(target)}, failure) if row["error"] is None else row | {"output": ""}
            for row in rows
        ]
        return [{name: row[name] for name in BLANK} for row in done]


def written(target: Path, write: Callable[[], None]) -> Failure | None:
    """Write an output, if it is not there: who has come first has written the same."""

    def action() -> None:
        try:
            write()
        except FileExistsError:
            if not target.is_file():
                raise

    return attempt(target, action)


def failed(row: Row, failure: Failure | None) -> Row:
    """The row of a file, and why there is no output, if so."""
    return row | {"error": failure.message, "code": failure.code} if failure else row


def lost(job: Job, times: int) -> Row:
    """Of a file over which so many workers have died."""
    reason = f"its worker died {times} times, perhaps for lack of memory"
    return failed(BLANK | job._asdict(), Failure(reason))
