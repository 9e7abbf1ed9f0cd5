"""What becomes of a job with a file: an output, or a sentence on why there is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from vaecodec import files
from vaecodec.console import reason
from vaecodec.errors import VaecError

FAILED = 1  # the exit code for an input that failed
Result = TypeVar("Result")


@dataclass
class Done:
    """The output for one input. seconds: what the work took, the model being loaded."""

    data: bytes | memoryview | BinaryIO  # BinaryIO: a file without a name, of what is too large for memory
    figures: str  # for the result line
    facts: dict[str, Any]  # for programs
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    fault: str = ""  # the output is there, and yet something is wrong

    @property
    def size(self) -> int:
        """Bytes."""
        if isinstance(self.data, (bytes, memoryview)):
            return memoryview(self.data).nbytes
        return self.data.seek(0, os.SEEK_END)

    def held(self) -> bytes:
        """The whole of it, which can be sent to another process."""
        return files.held(self.data)


@dataclass(frozen=True)
class Failure:
    """Why a job failed, in a sentence, and the exit code for that."""

    message: str
    code: int = FAILED


def attempt(source: Path, action: Callable[[], Result]) -> Result | Failure:
    """What an action with a file gives, or the failure to report; other errors, which are bugs, are raised."""
    try:
        return action()
    except BrokenPipeError:  # no program reads stdout any more
        raise
    except (VaecError, OSError, MemoryError, RuntimeError) as error:
        if type(error) is RuntimeError and "memory" not in str(error):  # torch says so when memory runs out
            raise
        return Failure(reason(error, source), error.exit_code if isinstance(error, VaecError) else FAILED)
