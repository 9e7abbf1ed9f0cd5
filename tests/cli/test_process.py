"""The process of the command line: signals, standard streams that are closed or full, names that a terminal obeys."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import Run, picture_file, vaec_file
from vaecodec import console
from vaecodec.bitstream import container
from vaecodec.cli import app, batch


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("stdin", ["info", "-"]),
        ("stdin", ["encode", "-", "b.vaec"]),
        ("stdout", ["decode", "a.vaec", "-"]),
        ("stdout", ["encode", "--json", "a.png"]),
        ("stdout", ["info", "a.vaec"]),
        ("stdout", ["info", "--json", "a.vaec"]),
    ],
)
def test_a_closed_stream_that_is_needed(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, arguments: list[str]
) -> None:
    picture_file("a.png"), vaec_file("a.vaec")
    monkeypatch.setattr(sys, name, None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with pytest.raises(SystemExit) as ended:
        app.main([*arguments, "-f"] if arguments[0] == "encode" else arguments)
    assert ended.value.code == 1
    assert f"{name} is closed" in sys.stderr.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("encode", "a.png"), 0),
        (("encode", "a.png", "b.png", "--json"), 0),
        (("decode", "c.vaec"), 0),
        (("verify", "--decode", "c.vaec"), 0),
        (("info", "c.vaec"), 0),
        (("encode", "none.png"), 1),
        (("encode", "--fast", "a.png"), 2),
    ],
)
def test_nobody_need_hear_the_messages(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int
) -> None:
    picture_file("a.png"), picture_file("b.png"), vaec_file("c.vaec")
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(SystemExit) as ended:
        app.main(arguments)
    assert ended.value.code == code


def test_what_goes_to_a_closed_stderr_is_in_no_output(tmp_path: Path) -> None:
    """Such as a warning of a library, while the output is the only file that is open."""
    picture = picture_file(tmp_path / "a.png")
    script = (
        "import os, sys\nfrom vaecodec import cli, files\nput = files.put\n"
        "files.put = lambda data, handle: (handle.flush(), os.write(2, b'a warning'), put(data, handle))\n"
        "cli.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", script, "encode", str(picture)]
    ended = subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *command], check=False)
    assert ended.returncode == 0
    assert container.parse((tmp_path / "a.vaec").read_bytes()).header.width == 8


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_while_writing_leaves_nothing(tmp_path: Path, name: str) -> None:
    picture = picture_file(tmp_path / "a.png")
    script = (
        "import os, signal, sys\nfrom vaecodec import cli\n"
        f"os.fsync = lambda _: os.kill(os.getpid(), signal.{name})\n"
        "cli.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", script, "encode", str(picture)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    code = 128 + getattr(signal, name)
    assert (ended.returncode, ended.stderr) == (code, "vaecodec: terminated\n")
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="Linux")
def test_a_writer_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal, sys\nfrom vaecodec import files\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write(pathlib.Path(sys.argv[1]), b'data', files.STREAM, force=bool(sys.argv[2]))"
    )
    (tmp_path / "there").write_bytes(b"before")
    for name, force in (("new", ""), ("there", "yes")):
        ended = subprocess.run([sys.executable, "-c", script, str(tmp_path / name), force], check=False)
        assert ended.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == ["there"] and (tmp_path / "there").read_bytes() == b"before"


def test_a_signal_that_is_ignored_stays_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As nohup has it."""
    picture_file("a.png")
    monkeypatch.setattr(os, "fsync", lambda _: os.kill(os.getpid(), signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run("encode", "a.png").code == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_stdout_gets_one_sentence() -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "vaecodec", "--help"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "vaecodec: No space left on device\n")


# Names that a terminal would obey


HOSTILE = "a\x1b[2J\n\x9b\u202e\udcff.png"
SHOWN = r"a\x1b[2J\x0a\x9b\u202e\xff.png"


@pytest.mark.skipif(sys.platform != "linux", reason="such names are files on Linux only")
def test_names_are_escaped(run: Run) -> None:
    picture_file(HOSTILE)
    coded, shown = HOSTILE.replace("png", "vaec"), SHOWN.replace("png", "vaec")
    assert run("encode", HOSTILE).err.startswith(f"{SHOWN} -> {shown}  ")
    assert run("encode", HOSTILE).err == f"vaecodec: {SHOWN}: {shown} exists already; -f replaces it\n"
    assert run("info", coded).out.decode().splitlines()[0] == shown
    assert run("verify", coded).err.startswith(f"{shown}: ok ")
    assert run("encode", HOSTILE, "-o", "none/" + HOSTILE).err.endswith(": there is no folder none\n")
    assert SHOWN in run("encode", HOSTILE, "b.png", "-o", HOSTILE).err
    assert SHOWN in run("encode", "--icc", HOSTILE + "x", "b.png").err


@pytest.mark.skipif(sys.platform != "linux", reason="such names are files on Linux only")
def test_names_in_json_come_back(run: Run) -> None:
    picture_file(HOSTILE)
    result = run("encode", "--json", HOSTILE, "none.png")
    assert json.loads(result.out.splitlines()[0])["input"] == HOSTILE
    assert json.loads(run("info", "--json", HOSTILE.replace("png", "vaec")).out)["file"].startswith(HOSTILE[:-3])
    assert all(b" " <= bytes([byte]) < b"\x7f" for line in result.out.splitlines() for byte in line)


def test_names_in_progress_bars_are_escaped(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "PROGRESS_AFTER", 0.0)
    name = "a\x1b]0;owned\x07.png"
    picture_file(name)
    said = run("encode", name, terminal=True).err
    assert r"a\x1b]0;owned\x07.png  [" in said and "\x1b]" not in said and "\x07" not in said


@pytest.mark.parametrize("name", ["ärger.png", "写真　1.png", "👩‍👩‍👧.png", "a\\b c.png", "עברית.png"])
def test_other_names_stay_as_they_are(name: str) -> None:
    assert console.printable(name) == name


# A sign of life

WHERE_IT_TAKES_LONG = """
import sys
from vaecodec.cli import main

class Heavy:
    def find_spec(self, name, path=None, target=None):
        if name in ("vaecodec.codec.codec", "torch"):
            sys.stderr.write("<heavy>")
            sys.exit(0)

sys.meta_path.insert(0, Heavy())
sys.stderr.isatty = lambda: sys.argv[1] == "terminal"
for line in sys.argv[2:]:
    try:
        main(line.split())
    except SystemExit as ended:
        assert not ended.code, line
"""
LOADING = "\r\x1b[Kloading the model ...<heavy>\r\x1b[K"


def said_of_loading(terminal: str, *commands: str) -> str:
    command = [sys.executable, "-c", WHERE_IT_TAKES_LONG, terminal, *commands]
    return subprocess.run(command, capture_output=True, check=True).stderr.decode()


def test_loading_is_shown_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture_file("a.png"), picture_file("b.png"), vaec_file("c.vaec")
    commands = (
        *("encode a.png", "encode a.png b.png", "encode --denoise auto a.png", "encode --target-psnr 30 a.png"),
        *("encode -q 50 --effort 9 a.png", "decode c.vaec", "decode --scale 1/2 c.vaec", "decode --partial c.vaec"),
        *("verify --decode c.vaec", "thumbnail -s 500 c.vaec t.png", "denoise a.png d.png", "inpaint a.png d.png"),
        *("restore --operator blur:1 a.png d.png", "enhance a.png d.png", "sample s.png", "sample --like a.png s.png"),
        *("elbo a.png", "features a.png -o f.npz", "features c.vaec -o f.npz"),
    )
    assert said_of_loading("terminal", *commands) == LOADING * len(commands)


def test_loading_is_not_shown_where_nobody_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture_file("a.png"), vaec_file("c.vaec")
    quiet = ("encode --quiet a.png", "decode --quiet c.vaec", "verify --quiet --decode c.vaec", "enhance --quiet a.png")
    assert said_of_loading("terminal", *quiet) == "<heavy>" * 4
    assert said_of_loading("file", "encode a.png", "sample s.png") == "<heavy>" * 2


def test_a_batch_is_shown_while_its_workers_start(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    picture_file("a.png"), picture_file("b.png")
    monkeypatch.setattr(batch, "in_workers", lambda jobs, *_: (batch.Failure("no") for _ in jobs))
    assert run("encode", "-j", "2", "a.png", "b.png", terminal=True).err.startswith("\r\x1b[K0 of 2 files\r\x1b[K")
    assert "of 2 files" not in run("encode", "-j", "2", "--quiet", "a.png", "b.png", terminal=True).err
    assert "of 2 files" not in run("encode", "-j", "2", "a.png", "b.png").err


# What a command imports


HEAVY = {"torch", "numpy", "PIL", "multiprocessing"}


def modules_after(*arguments: str) -> set[str]:
    """Which modules the command line has loaded when it is done."""
    code = "import sys\nfrom vaecodec.cli import main\ntry: main()\nfinally: print(*sys.modules)"
    command = [sys.executable, "-c", code, *arguments]
    root = Path(__file__).parents[2]
    return set(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_help_and_version_import_no_command(arguments: list[str]) -> None:
    loaded = modules_after(*arguments)
    assert not loaded & HEAVY
    assert not loaded & {
        f"vaecodec.cli.{name}" for name in ("batch", "bench", "coding", "looking", "restoration", "vae")
    }


@pytest.mark.parametrize("name", ["encode", "decode", "info"])
def test_a_command_imports_no_other(name: str) -> None:
    loaded = modules_after(name, "--help")
    assert not loaded & (HEAVY | {"vaecodec.cli.bench", "vaecodec.cli.restoration", "vaecodec.cli.vae"})


def test_each_command_is_where_the_list_says_and_says_the_same_of_itself() -> None:
    for name, home in app.COMMANDS.items():
        command = app.cli.load(name)
        assert command.name == name
        assert " ".join((command.help or "").split()).startswith(home.summary.rstrip("."))


def test_the_list_names_every_command(run: Run) -> None:
    listed = run("--help").out.decode().split("Commands:")[1].split("\n")
    assert [line.split()[0] for line in listed if line.strip()] == sorted(app.COMMANDS)


def test_an_unknown_command_is_a_usage_error(run: Run) -> None:
    result = run("nothing")
    assert result.code == 2 and "no command" in result.err
