"""The processes of one training, as torchrun starts them on one machine or several; one alone otherwise.

Every process draws the same random numbers, for the whole batch, and works on its share; then gradients are averaged.
So what is trained does not depend on how many processes there are, but for the order of sums. All keep the same
weights and states of the optimisers; decisions that hang on a clock or a norm are the first one's.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")
S = TypeVar("S", Tensor, Sequence[Any])


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes, judges and reports."""
        return self.rank == 0

    def share(self, whole: S) -> S:
        """This process's part of a batch (B, ...) or a list; B is a multiple of the number of processes."""
        n = len(whole) // self.size
        return whole[self.rank * n : (self.rank + 1) * n]

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the processes: one exchange of all of them as one tensor."""
        if self.size == 1:
            return
        flat = torch.cat([t.detach().reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= self.size  # gloo adds only
        for t, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            t.detach().copy_(mean.view(t.shape))

    def from_first(self, value: T) -> T:
        """What the first process has; anything that can be pickled."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def agree(self, value: object, otherwise: str) -> None:
        """Raise SystemExit in all processes if one's value is not the first one's: "process 1 has (otherwise)"."""
        if self.size == 1:
            return
        values: list[object] = [None] * self.size
        dist.all_gather_object(values, value)
        for rank, other in enumerate(values):
            if other != values[0]:
                dist.destroy_process_group()  # all of them come here
                raise SystemExit(f"process {rank} has {otherwise}")


ALONE = Ranks()


def launched() -> Ranks:
    """Which process this is, by the environment that torchrun sets."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return ALONE
    return Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def needs_one(tool: str) -> None:
    """Raise SystemExit under torchrun, for a tool that several processes would do several times."""
    if launched().size > 1:
        raise SystemExit(f"{tool} runs in one process; tools.train.train alone runs in several, by torchrun")


@contextmanager
def together(device: str, batch: int) -> Iterator[Ranks]:
    """The processes that torchrun started, connected: by NCCL on GPUs, where each takes its own, by gloo on CPUs.

    Raises SystemExit for a batch that has no equal shares, and for a device that cannot be had.
    """
    ranks = launched()
    if ranks.size == 1:
        yield ALONE
        return
    if batch % ranks.size:
        raise SystemExit(f"--batch {batch}: {ranks.size} processes need a multiple of {ranks.size}")
    if device not in ("cpu", "cuda"):
        raise SystemExit(f"--device {device}: several processes need cpu, or cuda, where each takes a GPU of its own")
    if device == "cuda":
        own, gpus = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
        if own >= gpus:
            raise SystemExit(f"--device cuda: this machine has {gpus} GPUs, too few for a process each")
        torch.cuda.set_device(own)  # what "cuda" means from here on
    # Its functions keep the group that is there at import. What keeps it here holds threads that abort Python's end.
    importlib.import_module("torch.distributed.nn")
    dist.init_process_group("nccl" if device == "cuda" and dist.is_nccl_available() else "gloo")
    yield ranks
    dist.destroy_process_group()  # not after an error: it would wait for what the others no longer send
