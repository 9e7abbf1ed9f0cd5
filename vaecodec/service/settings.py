"""What a service allows, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vaecodec.codec.defaults import EFFORT, EFFORTS
from vaecodec.errors import VaecError
from vaecodec.extras import need_torch

QUEUE = 4  # requests that may wait, for each process
BODIES = 16  # of the largest, that may be in memory
MEMORY, PIXEL_MEMORY = 2**30, 24  # bytes of a process: of its own, and for each pixel; about twice of what is used
LEAST_MEMORY = 2**29


@dataclass(frozen=True)
class Settings:
    """None stands for the default.

    processes: that code, with one thread each; by default one for each core. queue: requests that may wait for one of
    them; by default 4 for each. max_bytes: of a request's body. max_pixels: as with the commands; 0: no limit.
    max_effort: that a request may ask for, 1..9. timeout: seconds that each of these may take: to receive a request, to
    wait for a process, to code, to send the answer. held: bytes of bodies and answers in memory, all together; by
    default 16 of the largest bodies. memory: bytes of address space of a process, on Linux; by default what follows
    from the pixels, and where these have no limit, or PyTorch is needed, none; 0: no limit.
    """

    processes: int | None = None
    queue: int | None = None
    max_bytes: int = 2**25
    max_pixels: int = 2**26
    max_effort: int = EFFORT
    timeout: float = 30.0
    held: int | None = None
    memory: int | None = None

    def complete(self) -> Settings:
        """With numbers in place of the defaults. Raises: VaecError where one is out of its range."""
        from vaecodec.codec.team import available

        least = {"processes": 1, "queue": 0, "max_bytes": 1, "max_pixels": 0, "timeout": 0.001, "memory": 0}
        least["held"] = self.max_bytes
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise VaecError(f"{name} is less than {low:g}")
        if 0 < (self.memory or 0) < LEAST_MEMORY:
            raise VaecError(f"memory is less than {LEAST_MEMORY} bytes, which a process needs")
        if self.max_effort not in EFFORTS:
            raise VaecError(f"max_effort is not between {min(EFFORTS)} and {max(EFFORTS)}")
        by_torch = EFFORTS[self.max_effort].filters
        if by_torch:
            need_torch(f"effort {self.max_effort}")
        processes = self.processes or available()
        memory = MEMORY + PIXEL_MEMORY * self.max_pixels if self.max_pixels and not by_torch else 0
        return replace(
            self,
            processes=processes,
            queue=QUEUE * processes if self.queue is None else self.queue,
            held=self.held or BODIES * self.max_bytes,
            memory=memory if self.memory is None else self.memory,
        )
