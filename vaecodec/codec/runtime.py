"""A loaded model to compute with: its weights, what makes their products exact, threads; and models of other files."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vaecodec.arguments import as_whole
from vaecodec.bitstream.container import Header
from vaecodec.codec.torch_settings import own_settings
from vaecodec.errors import VaecError
from vaecodec.model.exact import float32_is_exact
from vaecodec.model.weights import DEFAULT, Weights, find, load

if TYPE_CHECKING:
    from typing_extensions import Self  # of Python 3.11 on in typing

Progress = Callable[[float], None]  # called with the share done, 0..1


class Runtime:
    """See `Codec` for the arguments and what they raise."""

    def __init__(self, model: str | Path | None = None, threads: int | None = None) -> None:
        if threads is not None and as_whole(threads, "threads") < 1:
            raise VaecError(f"{threads} threads cannot code anything")
        self.threads = min(int(threads), os.cpu_count() or 1) if threads else None
        if model is not None and not isinstance(model, (str, os.PathLike)):
            raise VaecError(f"a model is the path of a file, not {type(model).__name__}")
        self._others: dict[tuple[str, bytes], Self] = {}  # by name and hash of their model
        with own_settings(self.threads):
            self.weights = load(Path(model) if model else DEFAULT)  # `exactly` hands out those to compute with

    def of(self, header: Header) -> Self:
        """The one that has a file's model: this, or another. Raises: UnsupportedError where there is none."""
        wanted = header.model, header.model_hash
        if wanted == (self.weights.name, self.weights.hash):
            return self
        if wanted not in self._others:
            other = copy.copy(self)
            with own_settings(self.threads):
                other.weights = find(*wanted)
            self._others[wanted] = other
        return self._others[wanted]

    @contextmanager
    def exactly(self) -> Iterator[Weights]:
        """Settings to compute under (torch_settings.py), and the weights whose products are exact under them. The next
        time the caller's settings may differ, and then so do the weights."""
        with own_settings(self.threads):
            yield self.weights if float32_is_exact() else self.weights.wide
