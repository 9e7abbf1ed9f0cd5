"""A real service, and a real client of it."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
WAIT = 60.0  # seconds, for a machine that does other things too


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Asking(Thread):
    """A request that is under way; `answer` waits for the end of it."""

    def __init__(self, service: Service, *arguments: Any) -> None:
        super().__init__()
        self.connection, self.arguments = service.connect(), arguments
        self.found: Answer | None = None
        self.start()

    def run(self) -> None:
        self.found = talk(self.connection, *self.arguments)

    def answer(self) -> Answer:
        self.join(WAIT)
        assert self.found
        return self.found


class Service:
    """One that listens at a port of the loopback. process: None where another program is ahead of it."""

    def __init__(self, process: Any, port: int) -> None:
        self.process, self.port = process, port

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **options: Any
    ) -> Answer:
        return talk(self.connect(), method, path, body, headers or {}, **options)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask("POST", path, body, headers)

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), WAIT)

    def figure(self, name: str) -> float:
        """Of /metrics; 0 where it is not there."""
        found = re.search(rf"^vaecodec_{re.escape(name)} (.*)$", self.ask("GET", "/metrics").body.decode(), re.M)
        return float(found[1]) if found else 0.0

    def until(self, name: str, value: float) -> None:
        """Wait until a figure has a value."""
        wait_for(lambda: self.figure(name) == value)

    def workers(self) -> list[int]:
        """Process ids."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        ids = [int(number) for task in tasks for number in task.read_text().split()]
        return [number for number in ids if "spawn_main" in Path(f"/proc/{number}/cmdline").read_text()]

    @contextmanager
    def stopped(self) -> Iterator[list[int]]:
        """Within, no worker does anything: what is at work stays so."""
        workers = self.workers()
        for number in workers:
            os.kill(number, signal.SIGSTOP)
        try:
            yield workers
        finally:
            for number in workers:
                if is_there(number):
                    os.kill(number, signal.SIGCONT)


def talk(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any, headers: dict[str, str], **options: Any
) -> Answer:
    try:
        connection.request(method, path, body, headers, **options)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


@contextmanager
def serving(*options: object) -> Iterator[Service]:
    """`vaecodec serve` with options, from when it can be asked."""
    command = [sys.executable, "-m", "vaecodec", "serve", "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*command, *map(str, options)], stderr=subprocess.PIPE, env=environment)
    assert process.stderr is not None
    line = process.stderr.readline().decode()
    found = re.search(r":(\d+)$", line.strip())
    assert found, line + process.stderr.read().decode()
    Thread(target=process.stderr.read, daemon=True).start()  # or it might wait until someone reads
    service = Service(process, int(found[1]))
    try:
        wait_for(lambda: service.ask("GET", "/ready").status == 200)
        yield service
    finally:
        process.terminate()
        process.wait(WAIT)
        process.stderr.close()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def picture(width: int, height: int, format: str = "PNG", **options: Any) -> bytes:
    """A file of a smooth picture."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([x % 256, y % 256, (x + y) // 2 % 256], -1).astype(np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, format, **options)
    return written.getvalue()
