"""Batches by Ray Data: on a cluster, or on this machine.

A batch is a task of Ray: it goes to any core that is free, and to another when its process dies or its machine goes.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from vaecodec.distributed.names import Job
from vaecodec.distributed.writing import BLANK, Coder, Row, lost
from vaecodec.errors import VaecError
from vaecodec.extras import need

if TYPE_CHECKING:
    import pyarrow

TRIES = 3  # that a file gets, where its worker dies each time
STORE_BYTES = 100_000_000  # of Ray's store of objects on this machine: only names and results lie in it
BLOCK_BYTES = 2**20  # what Ray Data takes the results of a batch for, until it has seen some
ANSWER_SECONDS = 10
USAGE = "RAY_USAGE_STATS_ENABLED"
SHORT = "/tmp"  # where Ray's files lie, whatever TMPDIR says: the names of its sockets may have 107 letters


def need_ray() -> Any:
    """The package. Raises: VaecError where it is missing."""
    need("ray", "the engine", "ray", "Ray")
    import ray.data

    return ray


@contextmanager
def cluster(address: str | None, workers: int) -> Iterator[int]:
    """Within, Ray runs: that at an address, which `auto` finds, or one of this machine with so many workers.

    Gives the cores that it has now. What Ray starts here ends with it. Raises: VaecError where there is none.
    """
    ray, folder = need_ray(), None
    told: dict[str, Any] = {"address": address, "logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        folder = tempfile.mkdtemp(prefix="vaecodec-ray-", dir=SHORT if os.path.isdir(SHORT) else None)
        told |= {"address": "local", "num_cpus": workers, "include_dashboard": False}
        told |= {"object_store_memory": STORE_BYTES, "_temp_dir": folder}
    elif address != "auto":
        check_answers(address)
    try:
        with hushed(ray):
            try:
                with discreet():
                    ray.init(**told)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise VaecError(f"Ray: {first_line(error)}") from None
            yield int(ray.cluster_resources().get("CPU", 0))
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def check_answers(address: str) -> None:
    """That a server listens at HOST:PORT, for which Ray itself would wait for a very long time. Raises: VaecError."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except ValueError:
        raise VaecError(f"{address} is not HOST:PORT, as `ray start` prints it, or auto") from None
    except OSError as error:
        raise VaecError(f"there is no Ray cluster at {address}: {error.strerror or error}") from None


@contextmanager
def discreet() -> Iterator[None]:
    """What is begun within does not tell Ray's makers that it runs, and leaves us our handler of SIGTERM: behind Ray's
    own, its processes and our folder would stay."""
    handler, told = signal.getsignal(signal.SIGTERM), os.environ.get(USAGE)
    os.environ.setdefault(USAGE, "0")
    try:
        yield
    finally:
        if told is None:
            del os.environ[USAGE]
        if signal.getsignal(signal.SIGTERM) is not handler:
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def hushed(ray: Any) -> Iterator[None]:
    """Within, Ray says nothing, and Ray Data takes the results of our batches for as small as they are."""
    from ray._private import worker  # prints what becomes of other processes, whatever it is told

    ours: dict[str, Any] = {"enable_progress_bars": False, "print_on_execution_start": False}
    ours |= {"target_max_block_size": BLOCK_BYTES, "target_min_block_size": 1}
    with (
        changed(logging.getLogger("ray.data"), handlers=[logging.NullHandler()]),
        changed(ray.data.DataContext.get_current(), **ours),
        changed(worker, print_to_stdstream=lambda *_, **__: None),
    ):
        yield


@contextmanager
def changed(thing: Any, **values: Any) -> Iterator[None]:
    """Within, these attributes have other values, as far as this version of Ray has them."""
    before = {name: getattr(thing, name) for name in values if hasattr(thing, name)}
    try:
        for name in before:
            setattr(thing, name, values[name])
        yield
    finally:
        for name, value in before.items():
            setattr(thing, name, value)


def outcomes(
    jobs: Sequence[Job], coder: Coder, batch: int, workers: int | None = None, memory: int | None = None
) -> Generator[Row, None, None]:
    """What becomes of each job, as they are done, within a `cluster`.

    batch: jobs of a task. workers: at most so many tasks at a time; None: one for each core that the cluster has.
    memory: bytes that are set aside for each. Raises: VaecError where the cluster fails.
    """
    ray = need_ray()
    tries = ray.remote(Tries).options(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here(ray))
    attempts = tries.remote()
    blocks = [packed(job._asdict() for job in jobs[n : n + batch]) for n in range(0, len(jobs), batch)]
    # Ray Data begins a task again for ever whose worker dies; `do` ends that.
    tasks = ray.data.from_arrow(blocks).map_batches(
        partial(do, coder, attempts),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=1,
        memory=memory,
        compute=ray.data.TaskPoolStrategy(workers),
    )
    try:
        for table in tasks.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            yield from unpacked(table)
    except ray.exceptions.RayError as error:
        raise VaecError(f"Ray: {first_line(error)}") from None


def here(ray: Any) -> Any:
    """This machine: what must last as long as this process."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class Tries:
    """How often each thing was begun that has not ended."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()

    def begin(self, name: str) -> int:
        self.begun[name] += 1
        return self.begun[name]

    def end(self, name: str) -> None:
        del self.begun[name]


def do(coder: Coder, attempts: Any, table: pyarrow.Table) -> pyarrow.Table:
    """A task: a batch of jobs. One that is begun again, as its worker has died, is gone through with care: a file over
    which workers die is given up, and takes no other along."""
    import ray

    jobs = [Job(**row) for row in unpacked(table)]
    batch = f"batch {jobs[0].path}"
    careful = ray.get(attempts.begin.remote(batch)) > 1
    rows = []
    for job in jobs:
        times = ray.get(attempts.begin.remote(job.path)) if careful else 0
        rows.append(lost(job, TRIES) if times > TRIES else coder.row(job))
        if careful and times <= TRIES:
            attempts.end.remote(job.path)
    done = coder.finish(rows)
    attempts.end.remote(batch)
    return packed(done)


def packed(rows: Iterable[Row]) -> pyarrow.Table:
    """As it travels. Texts are bytes there: names of files may be no UTF-8."""
    import pyarrow as pa

    kinds = {str: pa.binary(), type(None): pa.binary(), int: pa.int64(), float: pa.float64()}
    found = [{name: os.fsencode(x) if isinstance(x, str) else x for name, x in row.items()} for row in rows]
    return pa.Table.from_pylist(found, pa.schema([(name, kinds[type(BLANK[name])]) for name in found[0]]))


def unpacked(table: pyarrow.Table) -> Iterator[Row]:
    for row in table.to_pylist():
        yield {name: os.fsdecode(x) if isinstance(x, bytes) else x for name, x in row.items()}
