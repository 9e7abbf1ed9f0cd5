"""`vaecodec serve` when it is full, when processes stand still or die, when clients do, and at its end.

A worker that is stopped (SIGSTOP) is one that takes for ever.
"""

from __future__ import annotations

import io
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.service.serving import WAIT, Asking, Service, is_there, picture, serving, wait_for
from vaecodec.codec import Codec
from vaecodec.pictures.picture import Picture

SMALL = picture(120, 90)
HEAD = b"POST /encode HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """One process, and room for one more request. Nobody has to hurry."""
    with serving("--processes", 1, "--queue", 1) as running:
        yield running


@pytest.fixture(scope="module")
def hasty() -> Iterator[Service]:
    """A service with little patience."""
    with serving("--processes", 1, "--timeout", 2) as running:
        yield running


def test_who_finds_it_full_is_told_at_once(service: Service) -> None:
    with service.stopped():
        first = Asking(service, "POST", "/encode", SMALL, {})
        service.until("processes_busy", 1)
        second = Asking(service, "POST", "/encode", SMALL, {})
        service.until("queue_length", 1)
        start = time.monotonic()
        third = service.post("/encode", SMALL)
        assert third.status == 503 and time.monotonic() - start < WAIT / 4
        assert 1 <= int(third.headers["Retry-After"]) <= 60 and "too many requests" in third.json["detail"]
        assert service.ask("GET", "/health").status == 200
    assert first.answer().status == second.answer().status == 200
    assert first.answer().body == second.answer().body


def test_who_leaves_makes_room(service: Service) -> None:
    with service.stopped():
        at_work = service.raw()
        at_work.sendall(HEAD % len(SMALL) + SMALL)
        service.until("processes_busy", 1)
        waiting = service.raw()
        waiting.sendall(HEAD % len(SMALL) + SMALL)
        service.until("queue_length", 1)
        waiting.close()
        service.until("queue_length", 0)
        at_work.close()
        service.until('requests_total{route="encode",status="gone"}', 2)
        another = Asking(service, "POST", "/encode", SMALL, {})
        service.until("queue_length", 1)
    assert another.answer().status == 200
    service.until("processes_busy", 0)
    assert service.figure("held_bytes") == 0


def test_a_process_that_dies_takes_one_request_along(service: Service) -> None:
    with service.stopped() as workers:
        lost = Asking(service, "POST", "/encode", SMALL, {})
        service.until("processes_busy", 1)
        waits = Asking(service, "POST", "/encode", SMALL, {})
        service.until("queue_length", 1)
        os.kill(workers[0], signal.SIGKILL)
    assert lost.answer().status == 503 and lost.answer().headers["Retry-After"]
    assert waits.answer().status == 200
    assert service.workers() != workers and service.ask("GET", "/ready").status == 200


def test_one_that_dies_idle_takes_none(service: Service) -> None:
    (worker,) = service.workers()
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: len(list(Path(f"/proc/{worker}/task").iterdir())) == 1)  # its threads hold the pipe too
    wait_for(lambda: "State:\tZ" in Path(f"/proc/{worker}/status").read_text())
    assert service.post("/encode", SMALL).status == 200
    assert not is_there(worker)


def test_what_takes_too_long_ends_with_its_process(hasty: Service) -> None:
    with hasty.stopped() as workers:
        answer = hasty.post("/encode", SMALL)
    assert answer.status == 504 and "longer than 2 seconds" in answer.json["detail"]
    assert "Retry-After" not in answer.headers
    wait_for(lambda: hasty.ask("GET", "/ready").status == 200)
    assert hasty.post("/encode", SMALL).status == 200
    assert not is_there(workers[0])


def test_no_request_waits_longer_than_it_may(hasty: Service) -> None:
    with hasty.stopped():
        asked = [Asking(hasty, "POST", "/encode", SMALL, {}) for _ in range(2)]
        statuses = sorted(one.answer().status for one in asked)
    assert statuses in ([503, 504], [200, 504])  # where the next process is ready in time
    wait_for(lambda: hasty.ask("GET", "/ready").status == 200)


def test_a_body_that_drips(hasty: Service) -> None:
    """A request that takes its time is ended, and so is one that never gets to its body."""
    with hasty.raw() as slow, hasty.raw() as slower:
        slow.sendall(HEAD % 1000)
        slower.sendall(b"POST /encode HTT")
        for _ in range(25):
            try:
                slow.sendall(b"x")
                slower.sendall(b"P")
            except OSError:
                break
            time.sleep(0.1)
        assert b" 408 " in read(slow) and b"200" not in read(slower)
    assert hasty.post("/encode", SMALL).status == 200


def read(connection: socket.socket) -> bytes:
    """Until the end, however that comes."""
    found = b""
    try:
        while part := connection.recv(2**16):
            found += part
    except OSError:
        pass
    return found


def test_a_client_that_takes_nothing(hasty: Service, shipped: Codec) -> None:
    """Its answer, which is larger than what the system holds of it, is not held for long."""
    size = 10_000_000
    coded = shipped.encode(Picture(np.zeros((64, 64, 3), np.uint8), xmp=bytes(size)))
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", hasty.port))
        slow.sendall(b"POST /decode?format=webp HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(coded))
        slow.sendall(coded)
        hasty.until('requests_total{route="decode",status="200"}', 1)
        assert hasty.figure("held_bytes") == 0
        assert len(read(slow)) < size


def test_memory_is_limited() -> None:
    """Of bodies all together, and of each process."""
    with serving("--processes", 1, "--max-bytes", "1MB", "--held", "1.5MB", "--memory", "512MiB") as service:
        with service.raw() as half:
            half.sendall(HEAD % 999_999 + bytes(900_000))
            service.until("held_bytes", 900_000)
            answer = service.post("/encode", bytes(900_000))
            assert answer.status == 503 and "large requests" in answer.json["detail"]
        service.until("held_bytes", 0)
        written = io.BytesIO()
        Image.new("RGB", (8000, 7000)).save(written, "JPEG")
        answer = service.post("/encode", written.getvalue())
        assert answer.status == 413 and "more memory" in answer.json["detail"]
        assert service.post("/encode", SMALL).status == 200


def test_its_end_is_in_order() -> None:
    """What is accepted is done, nobody else is let in, and no process is left."""
    with serving("--processes", 1) as service:
        with service.stopped() as workers:
            at_work = Asking(service, "POST", "/encode", SMALL, {})
            service.until("processes_busy", 1)
            waits = Asking(service, "POST", "/encode", SMALL, {})
            service.until("queue_length", 1)
            for number in (service.process.pid, *workers):  # as a terminal or a supervisor does it
                os.kill(number, signal.SIGTERM)
            wait_for(lambda: not accepts(service))
            assert service.process.poll() is None
        assert at_work.answer().status == waits.answer().status == 200
        assert service.process.wait(WAIT) == 0
        assert not any(map(is_there, workers))


def accepts(service: Service) -> bool:
    try:
        service.raw().close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left(number: int) -> None:
    with serving("--processes", 2) as service:
        wait_for(lambda: len(service.workers()) == 2)
        workers = service.workers()
        os.kill(service.process.pid, number)
        assert service.process.wait(WAIT) == (0 if number == signal.SIGINT else -number)
        wait_for(lambda: not any(map(is_there, workers)))


def test_a_client_that_resets(service: Service) -> None:
    """In the middle of its body."""
    for _ in range(5):
        connection = service.raw()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(HEAD % 10_000 + SMALL)
        connection.close()
    assert service.post("/encode", SMALL).status == 200
    service.until("held_bytes", 0)
