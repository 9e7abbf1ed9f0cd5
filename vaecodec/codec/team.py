"""Threads that share the work on one picture. The core lets go of the interpreter's lock: they run side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
A = TypeVar("A")


class Coming(Protocol[T_co]):
    """What a piece of work gives, once it is done."""

    def result(self) -> T_co: ...


class Later(Generic[T]):
    """Work that is done when its result is asked for."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.work = work

    def result(self) -> T:
        return self.work()


class Team:
    """So many threads; one works in the caller's, when a result is asked for."""

    def __init__(self, count: int, pool: ThreadPoolExecutor | None) -> None:
        self.count, self.pool = count, pool

    def begin(self, work: Callable[[], T]) -> Coming[T]:
        """The result of a piece of work, to come. It is asked for once."""
        return self.pool.submit(work) if self.pool else Later(work)

    def map(
        self, work: Callable[[A], T], over: Iterable[A], progress: Callable[[float], None] | None = None
    ) -> list[T]:
        """The results for all of them. progress: called with the share done."""
        begun = [self.begin(lambda one=one: work(one)) for one in over]  # type: ignore[misc]
        found = []
        for coming in begun:
            found.append(coming.result())
            if progress:
                progress(len(found) / len(begun))
        return found


@contextmanager
def team(count: int | None) -> Iterator[Team]:
    """Threads for a while, by default as many as the process has processors. None of them is left afterwards."""
    count = count or available()
    if count == 1:
        yield Team(1, None)
        return
    pool = ThreadPoolExecutor(count)
    try:
        yield Team(count, pool)
    finally:
        pool.shutdown(cancel_futures=True)


def available() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
