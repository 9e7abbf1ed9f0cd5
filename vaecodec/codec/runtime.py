"""A loaded model to code with: its weights and networks, threads; and models of other files."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vaecodec.arguments import as_whole
from vaecodec.bitstream.header import Header
from vaecodec.codec.team import available
from vaecodec.errors import VaecError
from vaecodec.model.native import Networks
from vaecodec.model.weights import DEFAULT, Weights, find, load

if TYPE_CHECKING:
    from typing_extensions import Self  # of Python 3.11 on in typing

Progress = Callable[[float], None]  # called with the share done, 0..1


def part_of(progress: Progress | None, first: float, last: float) -> Progress | None:
    """The progress of a part of the work, which ends where `last` of all is done."""
    return (lambda share: progress(first + share * (last - first))) if progress else None


class Runtime:
    """See `Codec` for the arguments and what they raise."""

    networks: Networks

    def __init__(self, model: str | Path | None = None, threads: int | None = None) -> None:
        if threads is not None and as_whole(threads, "threads") < 1:
            raise VaecError(f"{threads} threads cannot code anything")
        self.threads = min(int(threads), os.cpu_count() or 1) if threads else available()
        if model is not None and not isinstance(model, (str, os.PathLike)):
            raise VaecError(f"a model is the path of a file, not {type(model).__name__}")
        self._others: dict[tuple[str, bytes], Networks] = {}  # by name and hash of their model
        self.networks = Networks(load(Path(model) if model else DEFAULT))

    @property
    def weights(self) -> Weights:
        """The model's file."""
        return self.networks.weights

    def of(self, header: Header) -> Self:
        """The one that has a file's model: this, or another. Raises: UnsupportedError where there is none."""
        wanted = header.model, header.model_hash
        if wanted == (self.weights.name, self.weights.hash):
            return self
        if wanted not in self._others:
            self._others[wanted] = Networks(find(*wanted))
        other = copy.copy(self)
        other.networks = self._others[wanted]
        return other

    def with_threads(self, threads: int) -> Self:
        """The same with so many threads, at least one; the models are shared."""
        other = copy.copy(self)
        other.threads = threads
        return other
