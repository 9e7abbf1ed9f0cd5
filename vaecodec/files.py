"""Files in and out: `-` for the standard streams, URLs, and outputs that appear whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vaecodec.errors import VaecError
from vaecodec.remote import Ranged, Remote

STREAM = Path("-")


def read(path: Path) -> bytes:
    """The bytes of a file or of stdin. Raises: OSError."""
    if path != STREAM:
        return path.read_bytes()
    if sys.stdin is None:
        raise OSError("stdin is closed")
    return sys.stdin.buffer.read()


class OnDemand:
    """The bytes of an open file, read as they are sliced: for code that looks at one part of it at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, os.SEEK_END)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> memoryview:
        """Raises: OSError where the file has become shorter."""
        start, stop, _ = part.indices(self.size)
        self.file.seek(start)
        data = self.file.read(max(0, stop - start))
        if len(data) < stop - start:
            raise OSError("the file was cut off while it was read")
        return memoryview(data)


class Parts:
    """The bytes of a file that is opened for each part that is wanted: for one of which little is."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, path.stat().st_size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> memoryview:
        """Raises: OSError where the file has become shorter."""
        with self.path.open("rb") as file:
            return OnDemand(file)[part]


def in_parts(path: Path) -> Parts | Ranged | None:
    """The bytes of a file of which few are wanted; None for what is no file but read at once. Raises: OSError."""
    if isinstance(path, Remote):
        return Ranged(path)
    return Parts(path) if on_disk(path) else None


def is_dir(path: Path) -> bool:
    """Whether it is a folder, here or elsewhere. What cannot be asked is none: using it will tell why."""
    if not isinstance(path, Remote):
        return os.path.isdir(path)
    try:
        return path.is_dir()
    except (OSError, VaecError):
        return False


def exists(path: Path) -> bool:
    """The same of a file."""
    if not isinstance(path, Remote):
        return os.path.exists(path)
    try:
        return path.exists()
    except (OSError, VaecError):
        return False


def on_disk(path: Path) -> bool:
    """Whether it is a file on this machine."""
    return path != STREAM and not isinstance(path, Remote) and path.is_file()


@contextmanager
def opened(path: Path) -> Iterator[bytes | OnDemand | Ranged]:
    """The bytes of a file as they are wanted; those of stdin and of pipes at once. Raises: OSError."""
    if isinstance(path, Remote):
        yield Ranged(path)
        return
    if path == STREAM or not path.is_file():
        yield read(path)
        return
    with path.open("rb") as file:
        yield OnDemand(file)


def check_target(target: Path, source: Path, force: bool) -> None:
    """Refuse, before any work is done, an output that cannot or must not be written.

    Raises: FileExistsError for the input itself and, without `force`, for any existing file or link;
    FileNotFoundError where its folder is missing.
    """
    if target == STREAM:
        return
    if isinstance(target, Remote):
        if target == source:
            raise FileExistsError("the output would replace the input")
        target.check_target(force)
        return
    for folder in (target.parent, Path(os.path.realpath(target)).parent):  # the second: where a link leads
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder}")
    if takes_data(target) or not os.path.lexists(target):
        return
    if not target.exists() and not force:
        raise FileExistsError(f"{target} is a link to a file that is not there; -f makes that file")
    if target.exists() and not isinstance(source, Remote) and source != STREAM and is_same(source, target):
        raise FileExistsError("the output would replace the input")
    if not force:
        raise FileExistsError(f"{target} exists already; -f replaces it")


def is_same(source: Path, target: Path) -> bool:
    return source.exists() and target.samefile(source)


def takes_data(target: Path) -> bool:
    """Whether it is a device or a pipe, which loses nothing when it is written to."""
    return target.exists() and not target.is_file()


def folder_of(target: Path) -> Path | None:
    """Where a temporary file that becomes `target` may lie; None, for streams and missing folders: where the system
    has them."""
    here = target != STREAM and not isinstance(target, Remote)
    return target.parent if here and target.parent.is_dir() else None


def write(target: Path, data: bytes | memoryview | BinaryIO, source: Path, force: bool) -> None:
    """Write `data` beside `target`, then give it that name: on any failure what was there before is still there.

    Without `force`, of several writers of one new name exactly one has success.
    Raises: what `check_target` does; OSError.
    """
    if target == STREAM:
        if sys.stdout is None:
            raise OSError("stdout is closed")
        put(data, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    if isinstance(target, Remote):
        check_target(target, source, force)
        target.put(held(data), force)
        return
    if takes_data(target):
        with target.open("wb") as handle:
            put(data, handle)
        return
    final = Path(os.path.realpath(target)) if force else target  # through a symbolic link, which stays
    temporary = final.with_name(f".vaecodec-{os.urandom(8).hex()}.tmp")
    try:
        put_whole(data, temporary)
        check_target(target, source, force)  # it may have appeared meanwhile
        if not force:
            name_anew(temporary, final)
            return
        if final.exists():
            temporary.chmod(final.stat().st_mode & 0o7777)
        os.replace(temporary, final)
    except FileExistsError:
        check_target(target, source, force)  # says it better
        raise
    finally:
        temporary.unlink(missing_ok=True)


def put_whole(data: bytes | memoryview | BinaryIO, target: Path) -> None:
    """Make a new file, which gets its name once all of it is there: where the system can do that, a process that is
    killed leaves nothing behind. Raises: FileExistsError; OSError."""
    try:
        unnamed = os.fdopen(os.open(target.parent, os.O_TMPFILE | os.O_RDWR, 0o666), "w+b")
    except (AttributeError, OSError):  # other systems than Linux; file systems that have no such files
        put_named(data, target)
        return
    with unnamed:
        put(data, unnamed)
        settle(unnamed)
        number = unnamed.fileno()
        try:  # with src_dir_fd, which means nothing here, the link is followed
            os.link(f"/proc/self/fd/{number}", target, src_dir_fd=number, follow_symlinks=True)
        except FileExistsError:
            raise
        except OSError:  # no /proc
            put_named(unnamed, target)


def put_named(data: bytes | memoryview | BinaryIO, target: Path) -> None:
    with target.open("xb") as handle:  # x: not through a link that somebody has put there
        put(data, handle)
        settle(handle)


def settle(handle: BinaryIO) -> None:
    """Or a new name may outlive a power cut, and what was written not."""
    handle.flush()
    os.fsync(handle.fileno())


def name_anew(temporary: Path, target: Path) -> None:
    """Give a file a name that no other file has. Raises: FileExistsError; OSError."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: an empty file holds the name for a moment
        target.open("xb").close()
        try:
            os.replace(temporary, target)
        except BaseException:
            target.unlink()
            raise


def put(data: bytes | memoryview | BinaryIO, handle: BinaryIO) -> None:
    """All of `data` into an open file."""
    if isinstance(data, (bytes, memoryview)):
        handle.write(data)
        return
    data.seek(0)
    while part := data.read(2**20):
        handle.write(part)


def held(data: bytes | memoryview | BinaryIO) -> bytes:
    """All of `data`, in memory."""
    if isinstance(data, (bytes, memoryview)):
        return bytes(data)
    data.seek(0)
    return data.read()
