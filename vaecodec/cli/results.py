"""What became of each input, a JSON object a line: on stdout, or in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaecodec.console import put

if TYPE_CHECKING:
    from vaecodec.outcomes import Done


def succeeded(source: Path, target: Path, done: Done) -> dict[str, Any]:
    facts = {"input": str(source), "output": str(target), "ok": True, "bytes": done.size} | done.facts
    return facts | {"seconds": round(done.seconds, 3), "notes": done.notes, "fault": done.fault}


def failed(source: Path | str, target: Path | str, message: str, code: int) -> dict[str, Any]:
    return {"input": str(source), "output": str(target), "ok": False, "error": message, "code": code}


@contextmanager
def results(path: Path | None, stdout: bool, force: bool, more: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Takes facts and writes them, each at once, to a file and to stdout, if those are wanted.

    more: a file that exists is added to. Raises: FileExistsError where neither that nor `force` is so; OSError.
    """
    if path and path.exists() and not (force or more):
        raise FileExistsError(f"{path} exists already; -f replaces it, --skip-existing adds to it")
    file = path.open("a" if more else "w", buffering=1, encoding="utf-8") if path else None
    try:

        def write(facts: dict[str, Any]) -> None:
            line = json.dumps(facts)
            if stdout:
                put(line)
            if file:
                file.write(line + "\n")

        yield write
    finally:
        if file:
            file.close()
