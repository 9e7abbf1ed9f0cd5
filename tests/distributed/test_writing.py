"""What becomes what, and how workers write it; no engine is needed."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import servers
from tests.commands import Run, picture_file
from vaecodec import vae
from vaecodec.codec import Codec
from vaecodec.distributed import Encode, Features, names, tables
from vaecodec.distributed.names import Job
from vaecodec.distributed.writing import BLANK, Files, Parts, lost
from vaecodec.errors import VaecError
from vaecodec.trees import is_picture, place_in


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in/x").mkdir(parents=True)


def output(path: Path) -> str:
    return str(Path("out") / place_in(Path("in"), path).with_suffix(".vaec"))


def test_jobs_of_a_folder() -> None:
    for name in ("in/b.png", "in/x/a.jpg", "in/x/c.png", "in/.hidden.png", "in/notes.txt"):
        picture_file(name) if name.endswith(("png", "jpg")) else Path(name).write_text("")
    Path("out/x").mkdir(parents=True)
    assert names.found_in(Path("none")) == set()
    Path("out/x/c.vaec").write_bytes(b"")
    found = names.listed(Path("in"), is_picture, output, names.found_in(Path("out")))
    assert found.jobs == [("in/b.png", "out/b.vaec"), ("in/x/a.jpg", "out/x/a.vaec")]
    assert found.skipped == 1 and found.left.total() == 2
    picture_file("in/b.jpg")
    with pytest.raises(VaecError, match=r"in/b\..* and in/b\..* would both become out/b.vaec"):
        names.listed(Path("in"), is_picture, output, ())
    with pytest.raises(VaecError, match="there is no folder none"):
        names.listed(Path("none"), is_picture, output, ())


def test_files_are_written_once(shipped: Codec) -> None:
    picture_file("in/a.png")
    coder, job = Files(Encode()), Job("in/a.png", "out/x/a.vaec")
    row = coder.row(job)
    coded = Path("out/x/a.vaec").read_bytes()
    assert coded == shipped.encode("in/a.png") and (row["output_size"], row["error"]) == (len(coded), None)
    assert tuple(row) == tuple(BLANK) and coder.finish([row]) == [row]
    Path("out/x/a.vaec").write_bytes(b"of another worker")
    row = coder.row(job)
    assert (row["notes"], row["error"]) == ("was there already", None)
    assert Path("out/x/a.vaec").read_bytes() == b"of another worker"
    assert Files(Encode(), force=True).row(job)["error"] is None and Path("out/x/a.vaec").read_bytes() == coded


def test_what_cannot_be_written_is_an_error_of_that_file(shipped: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    picture_file("in/a.png")
    Path("out/a.vaec").mkdir(parents=True)
    Path("file").write_text("")
    coder = Files(Encode())
    assert coder.row(Job("in/a.png", "out/a.vaec"))["error"] == "Is a directory"
    assert coder.row(Job("in/a.png", "file/a.vaec"))["code"] == 1
    row = coder.row(Job("in/none.png", "out/none.vaec"))
    assert (row["error"], row["path"], row["output"]) == ("No such file or directory", "in/none.png", "out/none.vaec")
    assert tuple(row) == tuple(BLANK) == tuple(lost(Job("a", "b"), 3))


def test_a_file_that_appears_meanwhile_is_that_of_another_worker(
    shipped: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture_file("in/a.png")
    Path("out").mkdir()
    encode = Encode.encode

    def late(*arguments: object) -> object:
        Path("out/a.vaec").write_bytes(b"first")
        return encode(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Encode, "encode", late)
    assert Files(Encode()).row(Job("in/a.png", "out/a.vaec"))["error"] is None
    assert Path("out/a.vaec").read_bytes() == b"first"


def test_parts_of_features(shipped: Codec) -> None:
    servers.modules("pyarrow")
    import pyarrow.parquet as pq

    Path("out").mkdir()
    jobs = [Job(str(picture_file(f"in/{n}.png", seed=n)), "") for n in range(3)] + [Job("in/none.png", "")]
    coder = Parts(Features(60), Path("out"))
    for _ in range(2):  # the second time, the part is there
        rows = coder.finish([coder.row(job) for job in jobs])
        assert [row["error"] for row in rows] == [None, None, None, "No such file or directory"]
        assert all(tuple(row) == tuple(BLANK) for row in rows)
        (part,) = Path("out").iterdir()
        assert [row["output"] for row in rows] == [str(part)] * 3 + [""] and tables.is_part(part)
    table = pq.read_table(part)
    assert table.column("path").to_pylist() == [job.path for job in jobs[:3]]
    assert table.column("width").to_pylist() == [8] * 3
    expected = vae.features(shipped, shipped.encode("in/1.png", 60)).pooled
    np.testing.assert_array_equal(table.column("features")[1].as_py(), expected)
    assert tables.paths_in([part]) == {job.path for job in jobs[:3]}
    Path("part-1.parquet").write_text("no table")
    with pytest.raises(VaecError, match=r"part-1.parquet is no table of features"):
        tables.paths_in([Path("part-1.parquet")])


def test_the_table_of_errors_replaces_only_its_like() -> None:
    servers.modules("pyarrow")
    import pyarrow.parquet as pq

    target = Path("errors.parquet")
    tables.put(target, [{"path": "a\udcff.png", "reason": "r", "code": 3}], tables.ERRORS, force=True)
    assert pq.read_table(target).to_pylist() == [{"path": "a\\xff.png", "reason": "r", "code": 3}]
    tables.check_errors(target, force=False)
    for text in (b"mine", _table_of_others()):
        target.write_bytes(text)
        with pytest.raises(FileExistsError, match="is no table of errors; -f replaces it"):
            tables.check_errors(target, force=False)
        tables.check_errors(target, force=True)


def _table_of_others() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), written)
    return written.getvalue()


def test_rows_travel_with_any_name() -> None:
    servers.modules("ray", "pyarrow")
    from vaecodec.distributed.ray_data import packed, unpacked

    rows = [BLANK | {"path": "a\udcff\u00e9.png", "seconds": 1.5}, BLANK | {"error": "no", "code": 3}]
    assert list(unpacked(packed(rows))) == rows


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("in",), 2, "TARGET is missing"),
        (("in", "-"), 2, "- is no folder"),
        (("in", "out", "--engine", "abacus"), 2, "'abacus' is not one of these"),
        (("none", "out"), 1, "there is no folder"),
        (("in", "http://127.0.0.1:9/out"), 1, "http:// can only be read"),
        (("in", "out", "--address", "nowhere"), 1, "nowhere is not HOST:PORT"),
        (("in", "out", "--address", "127.0.0.1:9"), 1, "there is no Ray cluster at 127.0.0.1:9: Connection refused"),
    ],
)
def test_refusals(run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    servers.modules("ray", "pyarrow")
    picture_file("in/a.png")
    result = run("encode-many", *arguments)
    assert result.code == code and said in result.err and len(result.err.splitlines()) <= 4


def test_without_the_engine(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run("encode-many", "in", "out")
    assert result.code == 1 and "pip install 'vaecodec[ray]'" in result.err and not os.path.exists("out")
    result = run("decode-many", "in", "out", "--format", "xyz")
    assert result.code == 2 and "xyz" in result.err
