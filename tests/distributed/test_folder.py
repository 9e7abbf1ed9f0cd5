"""Which files of a folder are to be done by an engine, and that they are done once."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from tests.commands import Run, picture_file, vaec_file
from vaecodec.codec import Codec
from vaecodec.distributed import Decode, Encode, Features, Files, Shard, missing
from vaecodec.errors import VaecError


@pytest.fixture(autouse=True)
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("album/b").mkdir(parents=True)
    for name in ("album/a.PNG", "album/b/c d.jpg", "album/.hidden.png"):
        picture_file(name)
    vaec_file("album/e.vaec")
    for name in ("album/notes.txt", "album/f.tar"):
        Path(name).touch()
    return tmp_path


def test_what_each_work_takes(album: Path) -> None:
    def taken(work: object, ending: str | None = None) -> list[str]:
        return [str(Path(job.output).relative_to(album / "out")) for job in missing("album", "out", work, ending)]  # type: ignore[arg-type]

    assert taken(Encode()) == ["a.vaec", "b/c d.vaec"]
    assert taken(Decode()) == ["e.png"] and taken(Decode(), ".jpg") == ["e.jpg"]
    assert taken(Features()) == ["a.npy", "b/c d.npy", "e.npy"]
    assert taken(Shard(Encode())) == ["f.tar"]


def test_the_same_as_the_command_and_then_what_is_missing(real: Run, album: Path) -> None:
    assert real("encode", "-q", "60", "-r", "album", "--out-dir", "by-command").code == 0
    work = Encode(60)
    jobs = missing("album", Path("out"), work)
    assert jobs[0] == (f"{album}/album/a.PNG", f"{album}/out/a.vaec")
    rows = [pickle.loads(pickle.dumps(Files(work))).row(job) for job in jobs[:1]]
    assert rows[0]["error"] is None and missing("album", "out", work) == jobs[1:]
    rows += [Files(work).row(job) for job in jobs]
    assert missing("album", "out", work) == [] and [row["error"] for row in rows] == [None] * 3
    for name in ("a.vaec", "b/c d.vaec"):
        assert Path("out", name).read_bytes() == Path("by-command", name).read_bytes()


def test_what_is_refused() -> None:
    with pytest.raises(VaecError, match="no folder"):
        missing("none", "out", Encode())
    picture_file("album/a.bmp")
    with pytest.raises(VaecError, match=r"a\.(bmp|PNG) and .* would both become .*/out/a\.vaec"):
        missing("album", "out", Encode())


def test_a_row_has_the_columns_that_spark_is_told(shipped: Codec) -> None:
    from vaecodec.distributed import CODED, COLUMNS, WRITTEN, Worker

    job = missing("album", "out", Encode())[0]
    named = {text: [column.split()[0] for column in text.split(", ")] for text in (WRITTEN, CODED)}
    for _ in range(2):  # the second time it is there
        assert sorted(Files(Encode()).row(job)) == sorted(named[WRITTEN])
    assert sorted(Worker(Encode())({"path": [job.path]})) == sorted(named[CODED]) == sorted(COLUMNS)
