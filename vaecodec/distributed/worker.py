"""The worker of engines that share out many files: they bring the bytes by batches, it codes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from vaecodec.jobs import CodecOnDemand, Work
from vaecodec.outcomes import FAILED, Done, Failure, attempt
from vaecodec.remote import located

# What a batch holds when it is done, a list in each column, and what stands there for a file that failed.
COLUMNS: dict[str, Any] = {
    "path": "",
    "output": "",
    "bytes": None,
    "error": None,
    "code": 0,
    "width": 0,
    "height": 0,
    "input_size": 0,
    "output_size": 0,
    "seconds": 0.0,
    "notes": "",
}


class Worker:
    """Codes batches of files, in the process that calls it: for Ray Data, Dask, Spark and their like.

    It can be pickled. The model is loaded with the first file, once a process.

    Args:
        work: `Encode(...)`, `Decode(...)` or `Features(...)`.
        ending: of the names of outputs; by default .vaec, .png or .npy. Of decoded pictures it chooses the format.
        threads: that a file is coded with. Engines start a worker for each core.
    """

    def __init__(self, work: Work, ending: str | None = None, threads: int = 1) -> None:
        self.work, self.ending, self.threads = work, work.ending if ending is None else ending, threads

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Code a batch.

        Args: batch: `path`, names or URLs; `bytes`, what is in these files. Without the second, they are read.

        Returns: columns in the order of the batch. path: as given; output: the same with the new ending; bytes: of the
        output, or None; error: a sentence on why there is none, or None; code: the exit code for that, or 0; width and
        height of the picture; input_size and output_size in bytes; seconds of coding; notes on what was converted,
        joined by "; ". No file raises an error.
        """
        paths = [str(path) for path in batch["path"]]
        rows = [self.row(path, data) for path, data in zip(paths, batch.get("bytes", [None] * len(paths)), strict=True)]
        return {name: [row[name] for row in rows] for name in COLUMNS}

    def row(self, path: str, data: bytes | None) -> dict[str, Any]:
        """What becomes of one file, by the names of the columns."""
        source = located(path)
        target = source.with_suffix(self.ending)
        found = COLUMNS | {"path": path, "output": str(target)}
        outcome = self.outcome(source, target, data, found)
        if isinstance(outcome, Failure):
            return found | {"error": outcome.message, "code": outcome.code}
        coded = outcome.held()
        found |= {name: outcome.facts[name] for name in ("width", "height")}
        found |= {"bytes": coded, "output_size": len(coded), "seconds": outcome.seconds}
        return found | {"notes": "; ".join(outcome.notes)}

    def outcome(self, source: Path, target: Path, data: bytes | None, found: dict[str, Any]) -> Done | Failure:
        """Also what is an error of ours is one of this file only: a million others wait."""

        def action() -> Done:
            held = source.read_bytes() if data is None else bytes(data)
            found["input_size"] = len(held)
            return self.work.open(held)(target, codec_of(self.threads), None)

        try:
            return attempt(source, action)
        except Exception as error:
            return Failure(f"an error of vaecodec: {type(error).__name__}: {error}", FAILED)


@lru_cache(maxsize=1)
def codec_of(threads: int) -> CodecOnDemand:
    """The model of this process."""
    return CodecOnDemand(threads, quiet=True)
