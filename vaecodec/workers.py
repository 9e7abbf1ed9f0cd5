"""Jobs in worker processes: one that dies takes no job but its own along, and none outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """A process that calls a function with what it is sent, one job after the other."""

    def __init__(self, function: Callable[..., Any]) -> None:
        context = multiprocessing.get_context("spawn")  # forking a process with PyTorch's threads in it may hang
        self.connection, other = context.Pipe()
        self.process: BaseProcess = context.Process(target=serve, args=(function, other), daemon=True)
        self.process.start()
        other.close()  # or the end of the process would not show

    def end(self) -> None:
        """At once: whatever it does is of no use any more."""
        self.connection.close()
        self.process.kill()
        self.process.join()


def serve(function: Callable[..., Any], connection: Connection) -> None:
    """The life of a worker. An error that `function` raises ends it, with a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # reaches every process of a terminal; one answer is enough
    threading.Thread(target=end_with_parent, daemon=True).start()
    with suppress(EOFError):
        while True:
            connection.send(function(*connection.recv()))


def end_with_parent() -> None:
    """However it ends, and whatever this process is doing then."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def as_done(
    function: Callable[..., T], jobs: Iterable[tuple[Any, ...]], count: int, ahead: int | None = None
) -> Generator[tuple[int, T | None], None, None]:
    """The number of each job and what `function(*job)` returns in one of `count` processes, as they come.

    None where the process died over it. No job is begun that is `ahead` or more behind the first unfinished one.
    """
    left = deque(enumerate(jobs))
    done: deque[tuple[int, T | None]] = deque()
    idle: list[Worker] = []
    busy: dict[Connection, tuple[int, Worker]] = {}
    try:
        while left or busy or done:
            while left and len(busy) < count and (ahead is None or left[0][0] < first(busy, left[0][0]) + ahead):
                number, job = left.popleft()
                worker = begin(function, job, idle)
                busy[worker.connection] = number, worker
            if done:  # only now: who gets it may take his time
                yield done.popleft()
                continue
            ready = wait(list(busy))
            for connection in [connection for connection in busy if connection in ready]:
                number, worker = busy.pop(connection)
                done.append((number, answer(worker, idle)))
    finally:
        for worker in (*idle, *(worker for _, worker in busy.values())):
            worker.end()


def begin(function: Callable[..., Any], job: tuple[Any, ...], idle: list[Worker]) -> Worker:
    """An idle worker, or else a new one, that has got the job."""
    while idle and not idle[-1].process.is_alive():
        idle.pop().end()
    worker = idle.pop() if idle else Worker(function)
    with suppress(OSError):  # of a worker that has just died its answer will tell
        worker.connection.send(job)
    return worker


def answer(worker: Worker, idle: list[Worker]) -> Any:
    """Its result, after which it is idle; None if it has died."""
    try:
        result = worker.connection.recv()
    except (EOFError, OSError):
        worker.end()
        return None
    idle.append(worker)
    return result


def first(busy: dict[Connection, tuple[int, Worker]], otherwise: int) -> int:
    """The number of the first unfinished job."""
    return min((number for number, _ in busy.values()), default=otherwise)


def in_order(results: Iterable[tuple[int, T]]) -> Iterator[T]:
    """Numbered results by their numbers, of which none is missing in the end."""
    held: dict[int, T] = {}
    wanted = 0
    for number, result in results:
        held[number] = result
        while wanted in held:
            yield held.pop(wanted)
            wanted += 1
