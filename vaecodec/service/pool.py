"""Worker processes for an event loop: a bounded queue before them, and a limit on the time of each call."""

from __future__ import annotations

import asyncio
import atexit
import math
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vaecodec.workers import Worker

START = 60.0  # seconds that a process may take until it is ready
AGAIN = 1.0  # seconds until the next one is tried where one did not get ready
LONGEST = 60  # seconds that a client may be told to wait
RECENT = 0.1  # what the last call counts in the mean of their seconds


class Busy(Exception):
    """No process is free, and there is no place in the queue; or none has become free in time."""


class Died(Exception):
    """A process ended over a call."""


class TookTooLong(Exception):
    """A process was ended because a call took too long."""


class Pool:
    """Calls `function` in `count` processes, after `function(*first)` in each of them.

    queue: calls that may wait. timeout: seconds that a call may wait, and then take. It lives in one event loop.
    """

    def __init__(
        self, function: Callable[..., Any], first: tuple[Any, ...], count: int, queue: int, timeout: float
    ) -> None:
        self.function, self.first, self.count, self.queue, self.timeout = function, first, count, queue, timeout
        self.workers: set[Worker] = set()  # all that are there
        self.idle: list[Worker] = []
        self.waiting: deque[asyncio.Future[Worker]] = deque()  # none of them done
        self.tasks: set[asyncio.Task[Any]] = set()  # the event loop does not hold them
        self.threads: ThreadPoolExecutor | None = None
        self.ready = self.lost = 0  # processes that take calls; that have ended before their time
        self.mean = 0.0  # seconds of a call

    @property
    def busy(self) -> int:
        """Processes at work."""
        return self.ready - len(self.idle)

    @property
    def full(self) -> bool:
        """Whether a call would be refused."""
        return not self.idle and len(self.waiting) >= self.queue

    @property
    def patience(self) -> int:
        """Seconds after which it may be of use to try again."""
        return max(1, min(LONGEST, math.ceil(self.mean * len(self.waiting) / max(1, self.ready))))

    def start(self) -> None:
        """The processes are ready some time later."""
        self.threads = ThreadPoolExecutor(self.count, "vaecodec")  # for each process one that talks to it
        atexit.register(self.close)  # a server may be in too much of a hurry
        for _ in range(self.count):
            self.keep(self.add())

    def close(self) -> None:
        """End all processes at once."""
        if self.threads is None:
            return
        threads, self.threads = self.threads, None
        for worker in list(self.workers):
            worker.process.kill()
        threads.shutdown(cancel_futures=True)
        for worker in self.workers:
            worker.end()
        atexit.unregister(self.close)

    async def __call__(self, *call: Any) -> Any:
        """What `function(*call)` returns. A call that is cancelled leaves the queue; at work it goes on.

        Raises: Busy, Died, TookTooLong.
        """
        worker = await self.turn()
        return await asyncio.shield(self.keep(self.use(worker, call)))

    async def turn(self) -> Worker:
        """A process that is free. Raises: Busy."""
        while self.idle:
            worker = self.idle.pop()
            if worker.process.is_alive():
                return worker
            self.replace(worker)
        if self.threads is None or self.full:
            raise Busy
        place: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self.waiting.append(place)
        try:
            await asyncio.wait([place], timeout=self.timeout)
        except asyncio.CancelledError:
            if place.done():
                self.free(place.result())
            raise
        finally:
            if not place.done():
                self.waiting.remove(place)
        if not place.done():
            raise Busy
        return place.result()

    def free(self, worker: Worker) -> None:
        """It is for who waits longest."""
        if self.waiting:
            self.waiting.popleft().set_result(worker)
        else:
            self.idle.append(worker)

    async def use(self, worker: Worker, call: tuple[Any, ...]) -> Any:
        clock = asyncio.get_running_loop().time
        start = clock()
        try:
            result = await self.talk(worker, call, self.timeout)
        except BaseException:
            self.replace(worker)
            raise
        self.mean += RECENT * (clock() - start - self.mean)
        self.free(worker)
        return result

    def replace(self, worker: Worker) -> None:
        self.end(worker)
        self.ready -= 1
        self.lost += 1
        self.keep(self.add())

    def end(self, worker: Worker) -> None:
        worker.end()
        self.workers.discard(worker)

    async def add(self) -> None:
        """One more process, however often it is tried."""
        while self.threads:
            worker = None
            try:
                worker = await asyncio.get_running_loop().run_in_executor(self.threads, self.begin)
                await self.talk(worker, self.first, START)
            except (Died, TookTooLong, OSError):  # the last: the system has no room for one more
                if worker:
                    self.end(worker)
                await asyncio.sleep(AGAIN)
            else:
                self.ready += 1
                self.free(worker)
                return

    def begin(self) -> Worker:
        """In a thread, as it takes its time."""
        worker = Worker(self.function)
        self.workers.add(worker)
        return worker

    async def talk(self, worker: Worker, call: tuple[Any, ...], seconds: float) -> Any:
        """Its answer. Raises: Died, TookTooLong."""

        def exchange() -> Any:
            worker.connection.send(call)
            return worker.connection.recv()

        if self.threads is None:
            raise Died
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        clock = loop.call_at(end, worker.process.kill)
        try:
            return await loop.run_in_executor(self.threads, exchange)
        except (EOFError, OSError):
            raise (TookTooLong if loop.time() >= end else Died) from None
        finally:
            clock.cancel()

    def keep(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do it beside. What it raises may interest nobody any more."""

        def done(task: asyncio.Task[Any]) -> None:
            self.tasks.discard(task)
            if not task.cancelled():
                task.exception()

        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(done)
        return task
