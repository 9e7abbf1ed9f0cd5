"""What the command line says: lines on stderr, progress bars, sizes for people."""

from __future__ import annotations

import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import click

PROGRESS_AFTER = 1.0  # seconds until a progress bar shows
LONG = 10.0  # seconds of work of which it is said how long it takes


def say(message: str) -> None:
    """One line on stderr, if there is one; stdout is for data."""
    with suppress(OSError):
        click.echo(printable(message), err=True)


def put(*lines: str) -> None:
    """Lines on stdout. Raises: OSError."""
    if sys.stdout is None:
        raise OSError("stdout is closed")
    text = "\n".join(map(printable, lines))
    click.echo(text.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding))


# Control characters, line ends, what turns the direction of text, and lone surrogates: as such Python holds the bytes
# of a file name that are no UTF-8.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would obey; a name in it may come from anybody."""
    return UNPRINTABLE.sub(lambda found: escaped(found[0]), text)


def escaped(character: str) -> str:
    code = ord(character)
    code -= 0xDC00 if 0xDC80 <= code <= 0xDCFF else 0
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def hush_warnings() -> None:
    """Pillow warns of odd metadata, for programmers; in a process of our own they have to ask Python for it (-W)."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def reason(error: Exception, source: Path | None) -> str:
    """Why `source` failed, in one sentence; None: no file did."""
    if isinstance(error, (MemoryError, RuntimeError)):
        return "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        elsewhere = error.filename not in (None, str(source))
        return f"{error.strerror}: {error.filename}" if elsewhere else error.strerror
    return str(error)


def report(source: Path, target: Path, notes: list[str], figures: str, seconds: float, quiet: bool) -> None:
    """Notes and the result line, such as `kodim01.png -> kodim01.vaec  61.2 kB  1.245 bpp  0.31 s`.

    The time is that for coding and writing, the model being loaded.
    """
    if quiet:
        return
    for note in notes:
        say(f"vaecodec: {source}: note: {note}")
    say(f"{source} -> {target}  {figures}  {seconds:.2f} s")


def human(size: int) -> str:
    """Bytes in the unit that suits: 312 B, 61.2 kB (1000 bytes each), 12.3 MB."""
    if size < 1000:
        return f"{size} B"
    return f"{size / 1e3:.1f} kB" if size < 999_950 else f"{size / 1e6:.1f} MB"


def duration(seconds: float) -> str:
    """Time for people: 40 s, 12 min, 3 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def status(text: str) -> None:
    """Instead of the line at the foot of a terminal."""
    with suppress(OSError):
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


@contextmanager
def loading(quiet: bool, what: str = "loading the model ...") -> Iterator[None]:
    """On a terminal, a line for the seconds that PyTorch and a model take to load, and no trace of it afterwards."""
    wanted = not quiet and sys.stderr.isatty()
    if wanted:
        status(what)
    try:
        yield
    finally:
        if wanted:
            status("")


class Overall:
    """One line at the foot of a terminal for a batch: how many files are done, and about how long the rest takes."""

    EVERY = 0.2  # seconds

    def __init__(self, total: int, quiet: bool) -> None:
        self.total, self.start, self.shown = total, time.perf_counter(), 0.0
        self.wanted = total > 1 and not quiet and sys.stderr.isatty()

    def begin(self) -> None:
        """Show at once, as it is long until the first file is done."""
        if self.wanted:
            status(f"0 of {self.total} files")

    def show(self, done: float) -> None:
        """done: files, with the share of the one at hand."""
        now = time.perf_counter()
        if not self.wanted or now - self.start < PROGRESS_AFTER or (now - self.shown < self.EVERY and done % 1):
            return
        self.shown = now
        left = f", about {duration((now - self.start) * (self.total / done - 1))} left" if done else ""
        status(f"{int(done)} of {self.total} files{left}")

    def part(self, number: int, share: float) -> None:
        """The file after so many is done to this share."""
        self.show(number + min(share, 0.999))

    def clear(self) -> None:
        """Make room for a line of its own."""
        if self.wanted:
            status("")


class Progress:
    """For work that takes more than a second: a bar on a terminal, and anywhere a line on how long it takes, if that is
    long. Call it with the share done, 0..1."""

    STEPS = 1000
    TOLD_FROM = 0.01  # share that must be done before anything is said of the rest

    def __init__(self, source: Path, quiet: bool) -> None:
        self.start = time.perf_counter()
        self.source, self.told = source, quiet
        self.first: tuple[float, float] | None = None  # when it was called first, and with what
        self.wanted = not quiet and sys.stderr.isatty()
        label = printable(source.name)
        self.make = partial(click.progressbar, length=self.STEPS, label=label, file=sys.stderr)
        self.bar: Any = None

    def __call__(self, share: float) -> None:
        self._tell(share)
        if self.bar is None and self.wanted and time.perf_counter() - self.start > PROGRESS_AFTER:
            self.bar = self.make().__enter__()
        if self.bar is not None:
            self.bar.update(round(min(share, 1.0) * self.STEPS) - self.bar.pos)

    def _tell(self, share: float) -> None:
        """Say once how long all of it will take, by what was done since the first call."""
        now = time.perf_counter()
        self.first = self.first or (now, share)
        spent, done = now - self.first[0], share - self.first[1]
        if self.told or done < self.TOLD_FROM or spent < PROGRESS_AFTER:
            return
        self.told = True
        if spent / done >= LONG:
            say(f"vaecodec: {self.source}: this takes about {duration(spent / done)}")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.__exit__(*error)
