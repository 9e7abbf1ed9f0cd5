"""Batches: folders, trees of outputs, several processes, and what becomes of failures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from tests.sample_pictures import picture
from vaecodec.cli import batch, main
from vaecodec.cli.batch import How
from vaecodec.cli.plan import Plan
from vaecodec.codec.defaults import EFFORTS
from vaecodec.jobs import Decode, Encode, Step


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with pictures in folders, and a file that is none."""
    monkeypatch.chdir(tmp_path)
    for n, name in enumerate(("b.png", "a.png", "sub/c.bmp", "sub/deep/d.PNG", ".hidden.png")):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(20, 30, seed=n)).save(path)
    (tmp_path / "in" / "notes.txt").write_text("not a picture")
    return tmp_path


def vaecodec(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0)


def names(folder: str) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


TREE = ["a.vaec", "b.vaec", "sub/c.vaec", "sub/deep/d.vaec"]


def test_a_folder_becomes_a_tree(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vaecodec("encode", "-r", "in", "--out-dir", "out/new") == 0
    assert names("out/new") == TREE
    *lines, last = capsys.readouterr().err.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["in/a.png", "in/b.png", "in/sub/c.bmp", "in/sub/deep/d.PNG"]
    assert last == "vaecodec: 2 files left alone: 1 hidden, 1 with other endings"
    assert vaecodec("decode", "-r", "out", "--out-dir", "back") == 0
    assert names("back") == [f"new/{name.replace('.vaec', '.png')}" for name in TREE]


def test_without_an_output_folder_outputs_lie_beside(tree: Path) -> None:
    assert vaecodec("encode", "-r", "in/sub") == 0
    assert {"sub/c.vaec", "sub/deep/d.vaec"} < set(names("in")) and "a.vaec" not in names("in")


def test_what_is_left_alone_is_counted_by_reason(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("old.vaec", "a.mp4", "b.mp4"):
        Path("in", name).write_bytes(b"")
    os.mkfifo("in/pipe.png")
    Path("in/round").symlink_to(Path("in").resolve())
    assert vaecodec("encode", "-r", "in", "in/a.png", "--out-dir", "out", "--dry-run", "--quiet") == 2  # a.vaec twice
    capsys.readouterr()
    for options in ((), ("-j", "2"), ("--quiet",)):
        assert vaecodec("encode", "-r", "in", "--out-dir", "out", "--dry-run", *options) == 0
        told = [line for line in capsys.readouterr().err.splitlines() if "left alone" in line]
        why = "3 with other endings, 1 hidden, 1 .vaec already, 1 no file, 1 link to a folder"
        assert len(told) == ("--quiet" not in options)
        assert not told or sorted(told[0].removeprefix("vaecodec: 7 files left alone: ").split(", ")) == sorted(
            why.split(", ")
        )
    Path("empty").mkdir()
    Path("empty/a.txt").write_bytes(b"")
    assert vaecodec("encode", "-r", "empty", "--out-dir", "out") == 2
    assert "nothing in the folder empty can be taken: 1 with other endings" in capsys.readouterr().err


def test_processes_make_the_same_files(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vaecodec("encode", "-r", "in", "--out-dir", "one", "--threads", "1") == 0
    one = capsys.readouterr().err
    assert vaecodec("encode", "-r", "in", "--out-dir", "two", "-j", "2") == 0
    two = capsys.readouterr().err
    assert names("two") == TREE
    assert all(Path("one", name).read_bytes() == Path("two", name).read_bytes() for name in TREE)
    order = [[line.split(" ")[0] for line in text.splitlines()] for text in (one, two)]
    assert order[0] == order[1]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_stops_nothing_and_is_listed_at_the_end(
    tree: Path, capsys: pytest.CaptureFixture[str], jobs: int
) -> None:
    Path("in/bad.png").write_bytes(b"nothing")
    assert vaecodec("encode", "-r", "in", "--out-dir", "out", "-j", jobs) == 1
    assert names("out") == TREE
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "vaecodec: 1 of 5 failed:",
        "  in/bad.png: not a picture in a format that can be read, or one damaged at its start",
    ]


def test_skip_existing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    Path("out/a.vaec").write_bytes(b"mine")
    assert vaecodec("encode", "-r", "in", "--out-dir", "out", "--skip-existing") == 0
    assert names("out") == TREE and Path("out/a.vaec").read_bytes() == b"mine"
    assert "1 file skipped" in capsys.readouterr().err
    assert vaecodec("encode", "-r", "in", "--out-dir", "out", "--skip-existing") == 0
    assert "4 files skipped" in capsys.readouterr().err


def test_dry_run_writes_nothing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = names(".")
    assert vaecodec("encode", "-r", "in", "--out-dir", "out", "--dry-run") == 0
    assert names(".") == before and not Path("out").exists()
    said = capsys.readouterr().err
    assert said.count("(not written)") == 4 and " bpp" in said


def test_json_lines(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("in/bad.png").write_bytes(b"nothing")
    assert vaecodec("encode", "-r", "in", "--out-dir", "out", "--json", "-q", "30") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["input"] for line in lines] == [
        *("in/a.png", "in/b.png", "in/bad.png", "in/sub/c.bmp", "in/sub/deep/d.PNG")
    ]
    assert lines[2]["ok"] is False and lines[2]["code"] == 1 and "not a picture" in lines[2]["error"]
    first = lines[0]
    assert first["ok"] and (first["width"], first["height"], first["quality"]) == (30, 20, 30)
    assert first["bytes"] == Path("out/a.vaec").stat().st_size
    assert first["bpp"] == pytest.approx(first["bytes"] * 8 / 600, abs=1e-3)


def test_preserve_keeps_times(tree: Path) -> None:
    os.utime("in/a.png", ns=(10**18, 12 * 10**17))
    assert vaecodec("encode", "-p", "in/a.png") == 0
    assert Path("in/a.vaec").stat().st_mtime_ns == 12 * 10**17
    assert vaecodec("decode", "--preserve", "in/a.vaec", "x.png") == 0
    assert Path("x.png").stat().st_mtime_ns == 12 * 10**17


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("in",), "-r takes what is in it"),
        (("-r", "empty"), "nothing in the folder empty"),
        (("-r", "in", "-o", "x.vaec"), "there is no folder x.vaec"),
        (("in/a.png", "--out-dir", "x", "-o", "y"), "exclude each other"),
        (("in/a.png", "--skip-existing", "-f"), "exclude each other"),
        (("in/a.png", "--json", "-o", "-"), "--json needs stdout"),
        (("-r", "in", "in/a.png", "--out-dir", "x"), "both become"),
        (("-j", "0", "in/a.png"), "-j"),
    ],
)
def test_usage_errors(tree: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], word: str) -> None:
    Path("empty").mkdir()
    assert vaecodec("encode", *arguments) == 2
    assert word in capsys.readouterr().err


def test_links_in_circles_end(tree: Path) -> None:
    os.symlink(tree / "in", "in/sub/again")
    assert vaecodec("encode", "-r", "in", "--out-dir", "out") == 0
    assert names("out") == TREE


def test_memory_bounds_the_workers(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [(Path("in/a.png"), Path("a.vaec")), (Path("in/b.png"), Path("b.vaec")), (Path("none"), Path("c.vaec"))]
    work = Encode(75.0, 3, 0)
    each = batch.WORKER_BYTES + work.pixel_bytes * 600
    for available, workers in ((None, 3), (10 * each, 3), (2 * each, 2), (2 * each - 1, 1), (0, 1)):
        monkeypatch.setattr(batch, "available_bytes", lambda value=available: value)
        assert batch.affordable(jobs, work, How(workers=8)) == workers
    assert batch.affordable([*jobs, (Path("-"), Path("d.vaec"))], work, How(workers=8)) == 1


def test_pytorch_needs_more_memory(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [(Path("in/a.png"), Path("a.vaec"))] * 8
    monkeypatch.setattr(batch, "available_bytes", lambda: 2_000_000_000)
    assert batch.affordable(jobs, Encode(75.0, 3, 0), How(workers=8)) == 8
    assert batch.affordable(jobs, Encode(75.0, 4, 0), How(workers=8)) == 2


def test_efforts_that_refine_need_more_memory() -> None:
    for effort, how in EFFORTS.items():
        assert (Encode(75.0, effort, 0).pixel_bytes > Encode(75.0, 1, 0).pixel_bytes) == (how.iterations > 0)


def test_sizes_are_seen_without_decoding(tree: Path) -> None:
    assert vaecodec("encode", "in/a.png") == 0
    assert Encode(75.0, 3, 0).pixels(Path("in/a.png")) == 600 == Decode(0).pixels(Path("in/a.vaec"))
    assert Encode(75.0, 3, 0).pixels(Path("in/notes.txt")) == 0 == Decode(0).pixels(Path("in/notes.txt"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says")
def test_available_memory_is_plausible() -> None:
    available = batch.available_bytes()
    assert available is not None and 2**20 < available <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_available_memory_is_read(tmp_path: Path) -> None:
    told = tmp_path / "meminfo"
    assert batch.available_bytes(told) is None
    told.write_text("MemTotal:       16384000 kB\nMemFree:         1000000 kB\n")
    assert batch.available_bytes(told) is None
    told.write_text("MemTotal:       16384000 kB\nMemAvailable:    8192000 kB\n")
    assert batch.available_bytes(told) == 8192000 * 1024


def test_a_worker_that_dies_is_told(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    jobs = [(Path("in/sub/c.bmp" if n in (2, 7) else "in/a.png"), Path(f"out/{n}.vaec")) for n in range(11)]
    assert batch.run(Plan(jobs), Dies(), How(workers=2)) == 1
    assert names("out") == sorted(f"{n}.vaec" for n in range(11) if n not in (2, 7))
    reason = "the worker process died, perhaps for lack of memory: try fewer --jobs"
    last = ["vaecodec: 2 of 11 failed:", *[f"  in/sub/c.bmp: {reason}"] * 2]
    assert capsys.readouterr().err.splitlines()[-3:] == last


class Dies(Encode):
    """Work of which the system kills the process over one picture."""

    def __init__(self) -> None:
        super().__init__(75.0, 3, 0)

    def open(self, source: Path) -> Step:
        if source == Path("in/sub/c.bmp"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().open(source)


@pytest.mark.parametrize(
    ("number", "jobs", "code"),
    [
        (signal.SIGINT, 1, 130),
        (signal.SIGINT, 2, 130),
        (signal.SIGTERM, 2, 143),
        (signal.SIGKILL, 2, -signal.SIGKILL),
    ],
)
def test_an_end_before_its_time_leaves_whole_files_only(
    tree: Path, number: signal.Signals, jobs: int, code: int
) -> None:
    """Ctrl-C goes to all processes of the group, other signals to the first alone: the others end with it."""
    for n in range(40):
        Image.fromarray(picture(300, 300, seed=n)).save(f"in/{n}.png")
    command = [sys.executable, "-m", "vaecodec", "encode", "-r", "in", "--out-dir", "out", "-j", str(jobs)]
    process = subprocess.Popen(
        [*command, "--threads", "1", "--effort", "6"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    process.stderr.readline()  # the first file is done
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    try:
        said = process.communicate(timeout=60)[1]  # ends when nobody has the pipe any more
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == code and "Traceback" not in said
    assert {130: "interrupted", 143: "terminated"}.get(code, "") in said
    whole = names("out")
    if number == signal.SIGKILL:  # which nobody can clean up after
        whole = [name for name in whole if not (name.startswith(".vaecodec-") and name.endswith(".tmp"))]
    assert 1 <= len(whole) < 44 and all(name.endswith(".vaec") for name in whole)
    assert vaecodec("verify", *(Path("out", name) for name in whole)) == 0
