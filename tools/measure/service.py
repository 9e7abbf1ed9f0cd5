"""The service under ten times its load, a tenth of it hostile: python -m tools.measure.service PICTURES...

First `vaecodec serve` is asked by as many clients as it has processes, one request after the other: that is its
capacity. Then requests begin at so many times that rate, whether others are answered or not, each on a connection of
its own. Half of them encode one of the pictures, half decode one. Hostile ones are of the kinds in HOSTILE, in turn.
Memory is the sum of the resident sets of all its processes, twice a second; pages that they share count in each.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import os
import random
import statistics
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from vaecodec.codec.codec import Codec
from vaecodec.pictures.reading import read_picture

MAX_BYTES, MAX_PIXELS, TIMEOUT, QUEUE = 4_000_000, 4_000_000, 5, 4  # of the service; QUEUE: for each process
OPEN = 900  # connections of the client at a time
PATIENCE = 6 * TIMEOUT  # seconds after which the client takes a request for lost
INVALID = sorted((Path(__file__).parents[2] / "tests" / "vectors" / "invalid").glob("*.vaec"))
Request = tuple[str, bytes]


@dataclass
class Seen:
    """What came of requests. status: by whether they were hostile; seconds: of those with a status, good ones only."""

    status: dict[bool, Counter[str]] = field(default_factory=lambda: {False: Counter(), True: Counter()})
    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)  # MB
    left_out: int = 0


# The client


async def ask(port: int, request: Request, stay: bool = True, pace: float = 0.0) -> str:
    """The status of an answer that has come whole, or "none". stay: for the answer. pace: seconds between bytes."""
    path, body = request
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode())
        for at in range(0, len(body), 1 if pace else len(body) or 1):
            writer.write(body[at : at + 1] if pace else body)
            await writer.drain()
            if pace:
                await asyncio.sleep(pace)
        if not stay:
            return "left"
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(answer.partition(b"content-length: ")[2].split()[0]))
        return answer.split()[1].decode()
    except (OSError, asyncio.IncompleteReadError):
        return "none"
    finally:
        if writer:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


# Hostile requests


def header_of(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG of such a size, be there as many rows or not."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows))]
    chunks = (struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def flat() -> bytes:
    """As many pixels as the service allows, in few bytes."""
    written = io.BytesIO()
    Image.new("RGB", (2000, MAX_PIXELS // 2000)).save(written, "PNG")
    return written.getvalue()


def hostile(port: int, good: list[Request]) -> Iterator[Callable[[], asyncio._CoroutineLike[str]]]:
    """What to do, for ever."""
    rng, invalid, bomb = random.Random(0), itertools.cycle(INVALID), flat()
    for n in itertools.count():
        path, body = good[n % len(good)]
        yield lambda: ask(port, ("/encode", rng.randbytes(10_000)))
        yield lambda: ask(port, ("/decode", next(invalid).read_bytes()))
        yield lambda path=path, body=body: ask(port, (path, body[: len(body) // 2]))  # type: ignore[misc]
        yield lambda: ask(port, ("/encode", header_of(2**31 - 1, 2**31 - 1)))
        yield lambda: ask(port, ("/encode", header_of(1000, 1000, bytes(2**25))))
        yield lambda: ask(port, ("/encode", bomb))
        yield lambda: ask(port, ("/decode", bytes(MAX_BYTES + 1)))
        yield lambda path=path, body=body: ask(port, (path, body), stay=False)  # type: ignore[misc]
        yield lambda path=path, body=body: ask(port, (path, body), pace=0.2)  # type: ignore[misc]
        yield lambda path=path, body=body: ask(port, (f"{path}?quality=1e999&region=1", body))  # type: ignore[misc]


# Load


async def capacity(port: int, good: list[Request], clients: int, seconds: float) -> float:
    """Requests a second when nobody waits."""
    end, order, done = time.perf_counter() + seconds, itertools.cycle(good), 0

    async def client() -> None:
        nonlocal done
        while time.perf_counter() < end:
            assert await ask(port, next(order)) == "200"
            done += 1

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return done / (time.perf_counter() - start)


async def load(port: int, good: list[Request], rate: float, seconds: float, share: float, process: int) -> Seen:
    seen, order, bad, rng = Seen(), itertools.cycle(good), hostile(port, good), random.Random(1)
    tasks: set[asyncio.Task[None]] = set()
    start = time.perf_counter()

    async def one(is_hostile: bool) -> None:
        begun = time.perf_counter()
        try:
            status = await asyncio.wait_for(next(bad)() if is_hostile else ask(port, next(order)), PATIENCE)
        except asyncio.TimeoutError:
            status = "lost"
        seen.status[is_hostile][status] += 1
        if not is_hostile:
            seen.seconds.setdefault(status, []).append(time.perf_counter() - begun)

    for n in itertools.count():
        due = start + n / rate
        if due > start + seconds:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if len(tasks) >= OPEN:
            seen.left_out += 1
            continue
        task = asyncio.create_task(one(rng.random() < share))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if time.perf_counter() - start > len(seen.memory) / 2:
            seen.memory.append(resident(process))
    await asyncio.gather(*tasks)
    return seen


def resident(process: int) -> float:
    """MB of a process and its children."""
    children = [n for task in Path(f"/proc/{process}/task").glob("*/children") for n in task.read_text().split()]
    total = 0
    for number in (str(process), *children):
        with suppress(OSError):
            total += int(Path(f"/proc/{number}/statm").read_text().split()[1])
    return total * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def serving(processes: int) -> Iterator[tuple[int, int]]:
    """Its port and the number of its process."""
    command = [sys.executable, "-m", "vaecodec", "serve", "--port", "0", "--processes", str(processes)]
    command += ["--max-bytes", str(MAX_BYTES), "--max-pixels", str(MAX_PIXELS), "--timeout", str(TIMEOUT)]
    service = subprocess.Popen([*command, "--queue", str(QUEUE * processes)], stderr=subprocess.PIPE, text=True)
    assert service.stderr
    try:
        yield int(service.stderr.readline().rpartition(":")[2]), service.pid
    finally:
        service.terminate()
        print(f"\nexit code {service.wait()}; on stderr: {Counter(service.stderr.read().splitlines()) or 'nothing'}")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--times", type=float, default=10, help="the capacity")
    p.add_argument("--hostile", type=float, default=0.1, help="share of the requests")
    p.add_argument("--processes", type=int, default=1)
    args = p.parse_args()
    codec, files = Codec(), [path.read_bytes() for path in args.pictures]
    good: list[Request] = []
    for data in files:
        good += [("/encode", data), ("/decode", codec.encode(read_picture(data, None)[0]))]
    with serving(args.processes) as (port, process):
        while asyncio.run(ask(port, good[0])) != "200":
            time.sleep(0.1)
        able = asyncio.run(capacity(port, good, args.processes, 10))
        seen = asyncio.run(load(port, good, args.times * able, args.seconds, args.hostile, process))
    report(seen, able, args.processes, args.seconds)


def report(seen: Seen, able: float, processes: int, seconds: float) -> None:
    service = processes / able
    waiting = (QUEUE + 1) * service
    print(f"\ncapacity {able:.1f} requests a second, {service:.3f} s each; behind a full queue {waiting:.2f} s")
    for name, counts in (("good", seen.status[False]), ("hostile", seen.status[True])):
        rows = ", ".join(f"{status}: {n}" for status, n in sorted(counts.items()))
        print(f"{name}, {counts.total() / seconds:.1f} a second: {rows}")
    if seen.left_out:
        print(f"{seen.left_out} did not begin, as {OPEN} were open")
    print("\n| good requests with | a second | p50, s | p95, s | p99, s | largest, s |\n|" + " ---: |" * 6)
    for status, times in sorted(seen.seconds.items()):
        p50, p95, p99 = (quantile(times, q) for q in (50, 95, 99))
        print(f"| {status} | {len(times) / seconds:.1f} | {p50:.2f} | {p95:.2f} | {p99:.2f} | {max(times):.2f} |")
    third = -(-len(seen.memory) // 3)
    thirds = (f"{statistics.mean(seen.memory[at : at + third]):.0f}" for at in range(0, len(seen.memory), third))
    print(f"\nmemory by thirds of the time: {', '.join(thirds)} MB, {max(seen.memory):.0f} at most")


def quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else values[0]


if __name__ == "__main__":
    main()
