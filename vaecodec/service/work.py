"""What a worker process does for one request, from bytes to bytes."""

from __future__ import annotations

import hashlib
import json
import signal
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

from vaecodec.bitstream.chunks import SIGNATURE
from vaecodec.console import reason
from vaecodec.errors import CorruptFileError, LimitError, PictureError, UnsupportedError, VaecError
from vaecodec.jobs import CodecOnDemand, Encode, Progress, Step
from vaecodec.outcomes import Done

# What an error means to a client. Of those that fit, the first counts.
STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (CorruptFileError, 422),
    (UnsupportedError, 422),
    (LimitError, 413),
    (VaecError, 400),
    (MemoryError, 413),
    (OSError, 503),
)


@dataclass(frozen=True)
class Made:
    """The output for a request, width and height of the picture, and notes on what was converted.

    etag: of the data, without quotes.
    """

    data: bytes
    width: int
    height: int
    notes: list[str]
    etag: str


@dataclass(frozen=True)
class Refused:
    """The status for a request, and a sentence on why there is no output."""

    status: int
    message: str


class Job(Protocol):
    """What `jobs.Encode` and `jobs.Decode` are, and `Look`."""

    def open(self, source: bytes) -> Step: ...


@dataclass(frozen=True)
class Look:
    """A `.vaec` file to what `vaecodec info --json` says of it, but for its name."""

    def open(self, source: bytes) -> Step:
        return partial(self.look, source)

    def look(self, data: bytes, target: Path, codec: CodecOnDemand, progress: Progress | None) -> Done:
        """Raises: VaecError."""
        from vaecodec.bitstream.info import read_info

        facts = read_info(data)
        text = json.dumps(asdict(facts) | {"bpp": round(facts.bpp, 4)})
        return Done(text.encode(), "", {"width": facts.width, "height": facts.height})


def perform(job: Job, data: bytes, ending: str) -> Made | Refused:
    """Do a job with the bytes of a request. ending: of the output's name, which chooses its format."""
    if not data.startswith(SIGNATURE) and not isinstance(job, Encode):
        return Refused(415, "not a .vaec file")
    target = Path(tempfile.gettempdir()) / f"output{ending}"  # is not made; what is too large for memory lies there
    try:
        done = job.open(data)(target, codec(), None)
        coded = done.held()
    except (VaecError, MemoryError, OSError) as error:
        return refusal(job, data, error)
    etag = hashlib.sha256(coded).hexdigest()[:32]
    return Made(coded, done.facts["width"], done.facts["height"], done.notes, etag)


def refusal(job: Job, data: bytes, error: Exception) -> Refused:
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    if isinstance(job, Encode) and isinstance(error, PictureError):
        status = 422 if is_picture(data) else 415
    short = isinstance(error, MemoryError)
    return Refused(status, "the picture needs more memory than it may have" if short else reason(error, None))


def is_picture(data: bytes) -> bool:
    """Whether a picture of a known format begins here, be it damaged."""
    from io import BytesIO

    from vaecodec.bitstream.opening import open_picture

    try:
        open_picture(BytesIO(data)).close()
    except PictureError:
        return False
    except Exception:  # a plugin knows its format
        return True
    return True


@lru_cache(maxsize=1)
def codec() -> CodecOnDemand:
    """The model of this process."""
    return CodecOnDemand(threads=1, quiet=True)


def prepare(memory: int) -> None:
    """Be ready: what is used of every request is loaded. memory: bytes of address space; 0: no limit."""
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # may be for the whole group: what is accepted is finished first
    if memory:
        limit_memory(memory)
    import numpy as np

    from vaecodec.pictures.picture import Picture

    ready = codec()()
    ready.decode(ready.encode(Picture(np.zeros((64, 64, 3), np.uint8))))


def limit_memory(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (min(memory, hard) if hard >= 0 else memory, hard))


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a worker process is sent: `prepare` or `perform`, and its arguments."""
    return function(*arguments)
