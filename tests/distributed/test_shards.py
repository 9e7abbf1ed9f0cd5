"""Shards of WebDataset: what is coded, what is kept, and what is left out."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from tests.commands import picture_file
from vaecodec.codec import Codec
from vaecodec.distributed import Decode, Encode, Files, Shard, Worker, missing

LONG = "n" * 120  # a name that tar keeps in a header of its own


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def png(seed: int = 0) -> bytes:
    return picture_file(f"{seed}.png", seed=seed).read_bytes()


def tar(members: list[tuple[str, bytes | None]]) -> bytes:
    """A tar file; of folders the bytes are None."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as shard:
        for number, (name, data) in enumerate(members):
            info = tarfile.TarInfo(name)
            info.mtime, info.uname, info.mode = 1000.5 + number, "someone", 0o640
            info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            info.size = len(data or b"")
            shard.addfile(info, io.BytesIO(data or b""))
    return written.getvalue()


def members(data: bytes) -> list[tuple[str, bytes | None]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as shard:
        return [(info.name, file.read() if (file := shard.extractfile(info)) else None) for info in shard]


def recoded(data: bytes, work: Encode | Decode) -> dict[str, object]:
    done = Worker(Shard(work))({"path": ["x.tar"], "bytes": [data]})
    return {name: column[0] for name, column in done.items()}


def test_all_else_is_kept(shipped: Codec) -> None:
    other: list[tuple[str, bytes | None]] = [
        ("./a.json", b"{}"),
        ("folder", None),
        ("README", b"text"),
        ("b.cls", b"1"),
    ]
    given = [*other, ("b.seg.PNG", png()), ("b.png", png(1)), (f"{LONG}.png", png(2)), ("._c.png", b"not a picture")]
    done = recoded(tar(given), Encode(60))
    assert (done["error"], done["notes"], done["output"]) == (None, "", "x.tar")
    coded = [shipped.encode(png(seed), 60) for seed in range(3)]
    pictures = [("b.seg.vaec", coded[0]), ("b.vaec", coded[1]), (f"{LONG}.vaec", coded[2])]
    assert isinstance(done["bytes"], bytes)
    assert members(done["bytes"]) == [*other, *pictures, given[-1]]
    with tarfile.open(fileobj=io.BytesIO(done["bytes"])) as shard:
        found = [(info.mtime, info.uname, info.mode) for info in shard]
    assert found == [(1000.5 + number, "someone", 0o640) for number in range(len(given))]


def test_a_sample_with_a_bad_picture_is_left_out(shipped: Codec) -> None:
    samples = [("a.png", png()), ("a.cls", b"0"), ("b.cls", b"1"), ("b.png", b"bad"), ("b.left.png", png(1))]
    twice = [("c.png", png(2)), ("c.bmp", png(3)), ("c.vaec", b"x"), ("d.cls", b"3")]
    done = recoded(tar([*samples, *twice]), Encode(60))
    assert isinstance(done["bytes"], bytes) and isinstance(done["notes"], str) and done["error"] is None
    assert members(done["bytes"]) == [("a.vaec", shipped.encode(png(), 60)), ("a.cls", b"0"), ("d.cls", b"3")]
    assert done["notes"].split("; ") == [
        "left out, b.png: not a picture in a format that can be read, or one damaged at its start",
        *["left out, c.vaec: two files would have this name"] * 2,
    ]


def test_compressed_shards_and_back() -> None:
    data = tar([("a.png", png()), ("a.txt", b"word")])
    coded = recoded(gzip.compress(data), Encode(60))["bytes"]
    assert isinstance(coded, bytes) and coded == recoded(data, Encode(60))["bytes"]
    decoded = recoded(coded, Decode())["bytes"]
    assert isinstance(decoded, bytes) and [name for name, _ in members(decoded)] == ["a.png", "a.txt"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no tar file", "not a tar file, or a damaged one"),
        (tar([("a.cls", b"0" * 2000)])[:1500], "not a tar file, or a damaged one"),
        (gzip.compress(tar([("a.cls", b"0")]))[:60], "not a tar file, or a damaged one"),
        (tar([("a.cls", b"0")]), "no picture in it can be coded"),
        (tar([("a.png", b"bad")]), "no picture in it can be coded; left out, a.png: not a picture"),
    ],
)
def test_a_shard_is_written_whole_or_not(data: bytes, reason: str) -> None:
    Path("shards").mkdir()
    Path("shards/0.tar").write_bytes(data)
    work = Shard(Encode())
    (job,) = missing("shards", "coded", work)
    row = Files(work).row(job)
    assert row["error"].startswith(reason) and row["code"] == 1 and missing("shards", "coded", work) == [job]
