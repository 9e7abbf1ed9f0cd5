"""Which file becomes which, for batches of any size: names as texts, and few questions to a store."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vaecodec import files, trees
from vaecodec.errors import VaecError
from vaecodec.remote import Remote


class Job(NamedTuple):
    """A file and its output: absolute names, or URLs."""

    path: str
    output: str


@dataclass(frozen=True)
class Listing:
    """What is to be done, how much is done already, and what lies there besides, by the reason why it is left."""

    jobs: list[Job]
    skipped: int = 0
    left: Counter[str] = field(default_factory=Counter)


def absolute(folder: Path) -> Path:
    """As it is found from anywhere: a worker has a current folder of its own."""
    return folder if isinstance(folder, Remote) else Path(os.path.abspath(folder))


def listed(
    source: Path, is_input: Callable[[Path], bool], output: Callable[[Path], str], done: Collection[str]
) -> Listing:
    """The jobs of a folder, sorted by their outputs.

    output: that of a file. done: outputs that are there, which are left out. Raises: VaecError where the folder is
    missing, or two files would become one; OSError.
    """
    if not files.is_dir(source):
        raise VaecError(f"there is no folder {source}")
    left: Counter[str] = Counter()
    taken: dict[str, str] = {}
    for path in trees.wanted(source, is_input, left):
        name = output(path)
        if (other := taken.setdefault(name, str(path))) != str(path):
            raise VaecError(f"{other} and {path} would both become {name}")
    jobs = sorted((Job(path, name) for name, path in taken.items() if name not in done), key=lambda job: job.output)
    return Listing(jobs, len(taken) - len(jobs), left)


def found_in(folder: Path) -> set[str]:
    """The names of all files in a folder, by one listing of it; none of one that is not there. Raises: OSError."""
    return set(map(str, trees.below(folder, Counter()))) if files.is_dir(folder) else set()


def make_folder(folder: Path) -> None:
    """With those above it, where they are missing. Raises: OSError, also for what can only be read; VaecError."""
    folder.mkdir(parents=True, exist_ok=True)
