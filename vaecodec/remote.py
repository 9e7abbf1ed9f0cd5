"""Files elsewhere, by their URLs: s3://, gs://, http(s)://, sftp://, zip:// and what else fsspec knows.

fsspec is loaded with the first such file, and never for one on this machine.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from vaecodec.errors import VaecError

URL = re.compile("([A-Za-z][A-Za-z0-9+.-]+)://")
# Stores in which an object appears whole, under its name, once all of it is there; they have no folders to be made.
OBJECTS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})
FRESH = {name: {"use_listings_cache": False} for name in ("s3", "s3a", "gs", "gcs")}  # others write there meanwhile
TREES = frozenset({"sftp", "ssh"})  # file systems: a temporary file gets the name
WEB = frozenset({"http", "https"})  # no listing; what stands behind ? is no part of a name
HEAD = 2**14  # bytes that are read first: the chunks ahead of the tiles, as a rule
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}
PACKAGES |= {"sftp": "paramiko", "ssh": "paramiko", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs"}


def located(name: str) -> Path:
    """The path of a name: a `Remote` for a URL, which file:// is not, and neither is file:/ as Spark writes it."""
    found = URL.match(name)
    if found is None:
        return Path(name.removeprefix("file:") if name.startswith("file:/") else name)
    return Path(name[found.end() :]) if found[1].lower() in ("file", "local") else Remote(name)


class Remote(type(Path())):  # type: ignore[misc]  # PosixPath or WindowsPath
    """The path of a file elsewhere. What the package does with paths works on it, and nothing more.

    A tail stays where it is as names are made of names: `?...` on the web, and `::...`, as in
    `zip://a.png::s3://bucket/a.zip`. All methods that ask the store raise OSError, and VaecError where a package is
    missing.
    """

    url: str
    tail: str

    def __new__(cls, url: str | os.PathLike[str]) -> Remote:
        text = os.fspath(url)
        scheme, rest = text.split("://", 1)
        body = re.split(r"::|[?#]" if scheme.lower() in WEB else "::", rest, maxsplit=1)[0]
        self: Remote = super().__new__(cls, f"{scheme}:/{body}")
        self.url, self.tail = f"{scheme}://{body.rstrip('/')}", rest[len(body) :]
        return self

    def __init__(self, url: str | os.PathLike[str]) -> None:
        if sys.version_info >= (3, 12):  # before, __new__ has done it
            super().__init__(self.url.replace("://", ":/", 1))

    # Names

    def __str__(self) -> str:
        return self.url + self.tail

    __fspath__ = __str__

    def __repr__(self) -> str:
        return f"Remote({str(self)!r})"

    def __reduce__(self) -> tuple[type[Remote], tuple[str]]:
        return Remote, (str(self),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def scheme(self) -> str:
        return self.url.split("://")[0].lower()

    @property
    def parent(self) -> Remote:
        return Remote(self.url.rpartition("/")[0] + self.tail) if self.url.count("/") > 2 else self

    def expanduser(self) -> Remote:
        return self

    def with_name(self, name: str) -> Remote:
        return self.parent / name

    def with_suffix(self, suffix: str) -> Remote:
        return self.with_name(self.stem + suffix)

    def __truediv__(self, name: str | os.PathLike[str]) -> Remote:
        text = name if isinstance(name, str) else Path(name).as_posix()  # a text may have // in it, a path has not
        return Remote(f"{self.url}{'' if self.url.endswith('/') else '/'}{text}{self.tail}")

    # What is there

    @cached_property
    def place(self) -> tuple[Any, str]:
        """The store, and the name in it."""
        try:
            import fsspec
        except ImportError:
            raise VaecError(f"{self.scheme}:// needs fsspec, which is not installed: {how_to_get('')}") from None
        with in_a_sentence(self):
            try:
                return fsspec.core.url_to_fs(str(self), **FRESH.get(self.scheme, {}))
            except ImportError as error:
                package = PACKAGES.get(self.scheme, "")
                why = f"{package}, which is not installed" if package else f"a package ({' '.join(str(error).split())})"
                raise VaecError(f"{self.scheme}:// needs {why}: {how_to_get(package)}") from None

    def ask(self, what: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the store with this name."""
        store, name = self.place
        with in_a_sentence(self):
            return getattr(store, what)(name, *arguments, **options)

    def exists(self, **_: Any) -> bool:
        try:
            self.ask("info")
        except FileNotFoundError:
            return False
        return True

    def is_file(self, **_: Any) -> bool:
        try:
            return self.ask("info")["type"] == "file"
        except FileNotFoundError:
            return False

    def is_dir(self, **_: Any) -> bool:
        """On the web nothing is: that would take reading a page."""
        if self.scheme in WEB:
            return False
        try:
            return self.ask("info")["type"] == "directory"
        except FileNotFoundError:
            return False

    def below(self) -> Iterator[Remote]:
        """All files in this folder, at any depth."""
        root = self.place[1].strip("/")
        for name in self.ask("find"):
            yield self / name.strip("/")[len(root) :].lstrip("/")

    # Reading and writing

    def read_bytes(self) -> bytes:
        return self.ask("cat_file")

    def open(self, mode: str = "rb", *_: Any, **__: Any) -> BinaryIO:
        """All of it, in memory."""
        if mode != "rb":
            raise OSError(f"{self} is not on this machine")
        return io.BytesIO(self.read_bytes())

    def check_target(self, force: bool) -> None:
        """Raises: FileExistsError, FileNotFoundError, OSError where it cannot be written."""
        if self.scheme not in OBJECTS | TREES:
            raise OSError(f"{self.scheme}:// can only be read")
        if self.scheme in TREES and not self.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {self.parent}")
        if not force and self.exists():
            raise FileExistsError(f"{self} exists already; -f replaces it")

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """With those above it; in a store of objects there is nothing to make."""
        if self.scheme not in TREES:
            return
        try:
            self.ask("makedirs", exist_ok=exist_ok)
        except OSError:
            if not (exist_ok and self.is_dir()):  # another process may have made it first
                raise

    def put(self, data: bytes, force: bool) -> None:
        """Write the whole of it, or nothing: by the store's own put, or under a temporary name first.

        Without `force` nothing is replaced. Raises: FileExistsError; OSError.
        """
        if self.scheme in OBJECTS:
            self.ask("pipe_file", data, mode="overwrite" if force else "create")
            return
        temporary = self.with_name(f".vaecodec-{os.urandom(8).hex()}.tmp")
        store, name = self.place
        try:
            temporary.ask("pipe_file", data)
            if not force:
                self.check_target(force)  # it may have appeared meanwhile
            with in_a_sentence(self):  # SFTP's plain rename replaces nothing
                (store.ftp.posix_rename if force else store.ftp.rename)(temporary.place[1], name)
        except BaseException:
            with suppress(OSError):
                temporary.ask("rm_file")
            raise


class Ranged:
    """The bytes of a file elsewhere, of which exactly what is sliced is read, and its beginning once."""

    def __init__(self, path: Remote) -> None:
        self.path = path
        size = path.ask("info")["size"]
        if size is None:  # a server that does not say
            self.start = path.read_bytes()
            self.size = len(self.start)
        else:
            self.size, self.start = size, b""

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> memoryview:
        """Raises: OSError, also where the file has become shorter."""
        start, stop, _ = part.indices(self.size)
        stop = max(start, stop)
        if not self.start:
            self.start = self.read(0, min(HEAD, self.size))
        if start == stop or stop <= len(self.start):
            return memoryview(self.start)[start:stop]
        if start < len(self.start):
            return memoryview(self.start[start:] + self.read(len(self.start), stop))
        return memoryview(self.read(start, stop))

    def read(self, start: int, stop: int) -> bytes:
        if start == stop:
            return b""
        data: bytes = self.path.ask("cat_file", start=start, end=stop)
        if len(data) == self.size:  # a server that knows no ranges
            self.start = data
            data = data[start:stop]
        if len(data) != stop - start:
            raise OSError("the file was cut off while it was read")
        return data


def how_to_get(package: str) -> str:
    """In a shell."""
    return (
        "pip install 'vaecodec[remote]'" if package in ("", "s3fs", "aiohttp", "paramiko") else f"pip install {package}"
    )


@contextmanager
def in_a_sentence(path: Remote) -> Iterator[None]:
    """What stores and their libraries raise, as an OSError that reads as one of a file on this machine."""
    try:
        yield
    except (VaecError, ImportError, MemoryError, BlockingIOError):
        raise
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    except FileExistsError:
        raise FileExistsError(f"{path} exists already; -f replaces it") from None
    except PermissionError:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from None
    except Exception as error:  # those of botocore, aiohttp, paramiko and zipfile are of many kinds
        what = " ".join(str(error).split()) or type(error).__name__
        raise OSError(f"{path.scheme}:// failed: {what}") from error
