"""Shards of WebDataset: tar files whose pictures are coded, and all else in them is kept."""

from __future__ import annotations

import copy
import io
import lzma
import re
import tarfile
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import ClassVar

from vaecodec.errors import VaecError
from vaecodec.jobs import CodecOnDemand, Progress, Step, Work, whole
from vaecodec.outcomes import Done, Failure, attempt

KEY = re.compile(r"((?:.*/|)[^.]+)[.][^/]*")  # of a sample, as WebDataset has it: up to a name's first dot
Member = tuple[tarfile.TarInfo, bytes]


@dataclass(frozen=True)
class Shard:
    """A tar file to a tar file in which the members that `work` takes are coded: a.jpg becomes a.vaec, for example.

    The order, all other members, and the times and owners of all are kept. A sample, which is the members with one
    name up to its first dot, is left out where one of its pictures fails; a note says which, and why.
    """

    work: Work
    ending: ClassVar[str] = ".tar"

    @property
    def pixel_bytes(self) -> int:
        return self.work.pixel_bytes

    @property
    def needs_torch(self) -> bool:
        return self.work.needs_torch

    def takes(self, path: Path) -> bool:
        """By its name; hidden files are not meant."""
        return path.suffix.lower() == self.ending and not path.name.startswith(".")

    def pixels(self, source: Path) -> int:
        """Not known ahead."""
        return 0

    def open(self, source: Path | bytes) -> Step:
        """Raises: OSError."""
        return partial(self.recode, whole(source))

    def recode(self, data: bytes, target: Path, codec: CodecOnDemand, progress: Progress | None) -> Done:
        """Raises: VaecError where it is no whole tar file, or no picture of it can be coded."""
        start, coded, written = time.perf_counter(), 0, io.BytesIO()
        notes: list[str] = []
        with tarfile.open(fileobj=written, mode="w") as shard:
            for _, members in groupby(members_of(data), key_of):
                for info, held in self.sample(members, codec, notes):
                    shard.addfile(info, io.BytesIO(held))
                    coded += info.name.endswith(self.work.ending)
        if not coded:
            raise VaecError(f"no picture in it can be coded{''.join(f'; {note}' for note in notes[:1])}")
        facts = {"width": 0, "height": 0}
        return Done(written.getbuffer(), f"{coded} pictures", facts, notes, time.perf_counter() - start)

    def sample(self, members: Iterable[Member], codec: CodecOnDemand, notes: list[str]) -> list[Member]:
        """The members of a sample, coded; none of them where one fails. Adds what there is to say to the notes."""
        made: dict[str, Member] = {}
        faults = []
        for info, data in members:
            if info.isreg() and self.work.takes(Path(info.name)):
                done = attempt(Path(info.name), partial(self.code, info.name, data, codec))
                if isinstance(done, Failure):
                    faults.append(f"{info.name}: {done.message}")
                    continue
                notes += [f"{info.name}: {note}" for note in done.notes]
                data = done.held()
                info = renamed(info, self.output(info.name), len(data))
            if info.name in made:
                faults.append(f"{info.name}: two files would have this name")
            made[info.name] = info, data
        notes += [f"left out, {fault}" for fault in faults]
        return [] if faults else list(made.values())

    def code(self, name: str, data: bytes, codec: CodecOnDemand) -> Done:
        """Raises: VaecError."""
        return self.work.open(data)(Path(self.output(name)), codec, None)

    def output(self, name: str) -> str:
        """A path would lose the ./ of names that tar gives."""
        return name.removesuffix(Path(name).suffix) + self.work.ending


def members_of(data: bytes) -> Iterator[Member]:
    """Raises: VaecError."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as shard:
            for info in shard:
                if file := shard.extractfile(info) if info.isreg() else None:
                    data = file.read()
                    yield renamed(info, info.name, len(data)), data
                else:
                    yield info, b""
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise VaecError("not a tar file, or a damaged one") from error


def key_of(member: Member) -> str:
    """The name of its sample."""
    found = KEY.fullmatch(member[0].name)
    return found[1] if found else member[0].name


def renamed(info: tarfile.TarInfo, name: str, size: int) -> tarfile.TarInfo:
    """The same with another file in it. What says the old name or size in another way must go, and so must holes."""
    found = copy.copy(info)
    found.name, found.size, found.type = name, size, tarfile.REGTYPE
    found.pax_headers = {
        key: value for key, value in info.pax_headers.items() if key not in ("path", "size") and "sparse" not in key
    }
    return found
