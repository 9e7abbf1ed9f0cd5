"""`vaecodec encode-many` on a Ray cluster of two nodes on this machine.

    python -m tools.measure.cluster PICTURES [--files 2000] [--speed 300] [--runs 5]
    python -m tools.measure.cluster --names 200000

PICTURES is a folder, of which crops of 0.1 to 1 megapixel are made. First a run is disturbed: a worker is killed, a
node removed, the driver killed and started again. It is told how often pictures were coded, and whether all is as the
plain command makes it. Then, on an idle machine of two cores or more, one worker and two by turns: pictures a second,
from the first to the last, and the median of the ratios. With --names N only the driver is measured, for so many files
that cost no work.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from vaecodec.bench.resources import peak_memory
from vaecodec.cli.many import BATCH
from vaecodec.distributed import ray_data
from vaecodec.distributed.names import Job
from vaecodec.distributed.writing import BLANK, Row
from vaecodec.jobs import CodecOnDemand, Encode, Progress
from vaecodec.outcomes import Done

ROOT = Path(__file__).resolve().parents[2]
LOG = "VAECODEC_CODED"  # in the environment of a driver that counts: the file that its workers write to


# What is coded, and how often


@dataclass(frozen=True)
class Counted(Encode):
    """Adds a line to a log for each picture that is coded: the process, its peak memory, the time, the picture."""

    log: str = ""

    def encode(self, data: bytes | Path, target: Path, codec: CodecOnDemand, progress: Progress | None) -> Done:
        done = super().encode(data, target, codec, progress)
        with open(self.log, "a") as log:
            log.write(f"{os.getpid()} {peak_memory()} {time.time()} {target}\n")
        return done


class Line(NamedTuple):
    process: int
    memory: int  # bytes
    when: float
    name: str


def coded(log: Path) -> list[Line]:
    """What the log has."""
    lines = [line.split(" ", 3) for line in log.read_text().splitlines()]
    return [Line(int(process), int(memory), float(when), name) for process, memory, when, name in lines]


def crops(folder: Path, target: Path, count: int, megapixels: tuple[float, float] = (0.1, 1)) -> float:
    """So many JPEG files of sizes in between, in ten folders, of the pictures in a folder. Returns all megapixels."""
    rng, total = random.Random(0), 0.0
    sources = sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg", ".webp"))
    for number in range(count):
        pixels, shape = rng.uniform(*megapixels) * 1e6, rng.uniform(0.7, 1.4)
        size = round((pixels * shape) ** 0.5), round((pixels / shape) ** 0.5)
        path = target / str(number % 10) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(sources[number % len(sources)]) as image:
            box = rng.uniform(0, 0.3), rng.uniform(0, 0.3), rng.uniform(0.7, 1), rng.uniform(0.7, 1)
            left, top, right, bottom = (share * side for share, side in zip(box, image.size * 2, strict=True))
            image.convert("RGB").resize(size, box=(left, top, right, bottom)).save(path, quality=92)
        total += size[0] * size[1] / 1e6
    return total


# A cluster and its driver


@contextmanager
def two_nodes() -> Iterator[Any]:
    """A cluster of two nodes of one core, each with a raylet of its own; it ends with the block."""
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_worker_niceness", "0")  # by default workers give way to all others
    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    try:
        cluster.add_node(**node)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def driver(log: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """The command, with workers that count."""
    command = [sys.executable, "-m", "tools.measure.cluster", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {LOG: str(log)}, stderr=subprocess.PIPE, text=True)


def as_driver(log: str) -> None:
    from vaecodec.cli import main, many

    setattr(many, "Encode", partial(Counted, log=log))  # noqa: B010 (for mypy)
    main(sys.argv[1:])


def wait_for(log: Path, count: int, running: subprocess.Popen[str]) -> None:
    """Until so many were coded. Raises: RuntimeError where the driver ends before."""
    while not log.exists() or log.read_bytes().count(b"\n") < count:
        if running.poll() is not None:
            raise RuntimeError(f"the driver ended: {running.communicate()[1]}")
        time.sleep(0.05)


# What is measured


def disturbed(cluster: Any, source: Path, folder: Path, count: int) -> dict[str, int]:
    """Code the pictures while things happen; what came of it."""
    from vaecodec.cli.batch import cores

    log, target, plain = folder / "log", folder / "coded", folder / "plain"
    command = ["encode-many", source, target, "--address", cluster.address]
    first = driver(log, *command)
    wait_for(log, count // 5, first)
    os.kill(coded(log)[-1].process, signal.SIGKILL)
    wait_for(log, 2 * count // 5, first)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    wait_for(log, 3 * count // 5, first)
    first.kill()
    first.wait()
    before = len(list(target.rglob("*.vaec")))
    second = driver(log, *command)
    said = second.communicate()[1]
    if second.returncode:
        raise RuntimeError(said)
    arguments = ["encode", "--quiet", "-r", str(source), "--out-dir", str(plain), "-j", str(cores()), "--threads", "1"]
    subprocess.run([sys.executable, "-m", "vaecodec", *arguments], cwd=ROOT, check=True)
    times = Counter(line.name for line in coded(log))
    names = [path.relative_to(plain) for path in plain.rglob("*.vaec")]
    left = [path for path in target.rglob("*") if path.is_file() and path.suffix != ".vaec"]
    return {
        "pictures": count,
        "outputs": len(list(target.rglob("*.vaec"))),
        "equal to the plain command's": sum(filecmp.cmp(plain / name, target / name, False) for name in names),
        "done when the driver was killed": before,
        "codings": sum(times.values()),
        "pictures coded more than once": sum(number > 1 for number in times.values()),
        "other files left": len(left) - 1,  # but the table of errors
    }


def speed(cluster: Any, source: Path, folder: Path, workers: int) -> tuple[float, int]:
    """Pictures a second, from the first to the last, and the peak memory of a worker in bytes."""
    with tempfile.TemporaryDirectory(dir=folder) as target:
        log = Path(target, "log")
        running = driver(log, "encode-many", source, target, "--address", cluster.address, "--workers", str(workers))
        said = running.communicate()[1]
        if running.returncode:
            raise RuntimeError(said)
        lines = coded(log)
    times = sorted(line.when for line in lines)
    return (len(times) - 1) / (times[-1] - times[0]), max(line.memory for line in lines)


class Nothing:
    """Does no work."""

    def row(self, job: Job) -> Row:
        return BLANK | job._asdict()

    def finish(self, rows: list[Row]) -> list[Row]:
        return rows


def names(count: int) -> None:
    """What so many files cost the driver."""
    jobs = [Job(f"s3://bucket/in/2024/{n:08d}.jpg", f"s3://bucket/out/2024/{n:08d}.vaec") for n in range(count)]
    with ray_data.cluster(None, 2):
        start, first = time.perf_counter(), 0.0
        for _ in ray_data.outcomes(jobs, Nothing(), BATCH):
            first = first or time.perf_counter() - start
        seconds = time.perf_counter() - start
    print(f"{first:.0f} s to the first of {count} files, {(seconds - first) / count * 1e6:.0f} s a million", end=" ")
    print(f"from then on, {(peak_memory() or 0) / 1e6:.0f} MB")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="?")
    p.add_argument("--names", type=int)
    p.add_argument("--files", type=int, default=2000, help="of the disturbed run; 0: none")
    p.add_argument("--speed", type=int, default=300, help="of the runs for speed; 0: none")
    p.add_argument("--runs", type=int, default=5)
    args = p.parse_args()
    if args.names:
        return names(args.names)
    if args.pictures is None:
        p.error("PICTURES is missing")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.files:
            crops(args.pictures, folder / "many", args.files)
            with two_nodes() as cluster:
                for what, number in disturbed(cluster, folder / "many", folder, args.files).items():
                    print(f"{what}: {number}", flush=True)
        if args.speed:
            each = crops(args.pictures, folder / "few", args.speed) / args.speed  # megapixels
            ratios = []
            with two_nodes() as cluster:
                for _ in range(args.runs):
                    (one, memory), (two, _) = (speed(cluster, folder / "few", folder, n) for n in (1, 2))
                    ratios.append(two / one)
                    print(f"{one:.2f} pictures ({one * each:.2f} megapixels) a second by one worker of", end=" ")
                    print(f"{memory / 1e6:.0f} MB, {two:.2f} by two: {two / one:.2f}", flush=True)
            print(f"median: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    as_driver(os.environ[LOG]) if LOG in os.environ else main()
