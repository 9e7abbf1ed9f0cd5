"""The process that a command line is: what ends it, and standard streams that are closed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = ("SIGTERM", "SIGHUP")  # besides SIGINT, of which Python makes KeyboardInterrupt


class Ended(BaseException):
    """A signal has asked for an end. code: to exit with, as shells put it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Within, a signal that would end the process at once raises Ended: temporary files and workers go first.

    Those that are ignored, as under nohup, stay so. Elsewhere than in the main thread nothing is changed.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
        before = {number: signal.SIG_DFL for number in numbers if signal.getsignal(number) == signal.SIG_DFL}
    try:
        for number in before:
            signal.signal(number, end)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # what is tidied up now is not to be interrupted
    raise Ended(number)


def hold_streams() -> None:
    """Let no file get the number of a standard stream that is closed: what a library says would go into that file.

    Messages then go nowhere; that stdin or stdout is closed is an error of the command that wants it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # the lowest free number is given
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (as long as the process)
