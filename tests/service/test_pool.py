"""Processes for an event loop; most of it is tested with the service (test_processes.py)."""

from __future__ import annotations

import asyncio
import multiprocessing
import os

import pytest

from vaecodec.service import pool
from vaecodec.service.pool import Busy, Died, Pool
from vaecodec.workers import Worker


def call(what: str) -> int:
    if what == "die":
        os._exit(1)
    if what == "fail":
        raise ValueError("a bug")
    return os.getpid()


async def ready(processes: Pool) -> None:
    while not processes.ready:
        await asyncio.sleep(0.02)


def test_it_is_started_again_until_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no room, and where a process dies before it is ready."""
    tries = 0

    def start(function: object) -> Worker:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise BlockingIOError("no room")
        worker = Worker(call)
        if tries == 2:
            worker.process.kill()
        return worker

    monkeypatch.setattr(pool, "Worker", start)
    monkeypatch.setattr(pool, "AGAIN", 0.01)

    async def use() -> None:
        processes = Pool(call, ("begin",), 1, 1, 60)
        processes.start()
        await ready(processes)
        assert tries == 3 and await processes("work") != os.getpid()
        processes.close()

    asyncio.run(use())
    assert not multiprocessing.active_children()


def test_bugs_and_deaths(capfd: pytest.CaptureFixture[str]) -> None:
    """Each ends one process. Before it is started and after its end it is busy."""

    async def use() -> None:
        processes = Pool(call, ("begin",), 1, 1, 60)
        with pytest.raises(Busy):
            await processes("work")
        processes.start()
        await ready(processes)
        found = {await processes("work")}
        for what in ("die", "fail"):
            with pytest.raises(Died):
                await processes(what)
            found.add(await processes("work"))
        assert len(found) == 3 and processes.lost == 2 and processes.ready == 1
        processes.close()
        with pytest.raises(Busy):
            await processes("work")

    asyncio.run(use())
    assert "ValueError: a bug" in capfd.readouterr().err
    assert not multiprocessing.active_children()
