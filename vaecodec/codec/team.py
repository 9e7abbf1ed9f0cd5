"""Threads that share the work on one picture. The core lets go of the interpreter's lock: they run side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
A = TypeVar("A")


class Team:
    """So many threads; one works in the caller's, and begins when it is asked."""

    def __init__(self, count: int, pool: ThreadPoolExecutor | None) -> None:
        self.count, self.pool = count, pool

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """The result of a piece of work, to come."""
        if self.pool:
            return self.pool.submit(work)
        done: Future[T] = Future()
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)
            if not isinstance(error, Exception):
                raise
        return done

    def map(self, work: Callable[[A], T], over: Iterable[A]) -> list[T]:
        """The results for all of them."""
        return [future.result() for future in [self.begin(lambda one=one: work(one)) for one in over]]  # type: ignore[misc]


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
