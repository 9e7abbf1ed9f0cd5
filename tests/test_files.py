"""Outputs appear whole or not at all, and nothing is lost."""

from __future__ import annotations

import os
import re
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.commands import FakeCodec, Run, picture_file
from vaecodec import files
from vaecodec.bitstream.chunks import SIGNATURE


def test_existing_files_are_kept_without_force(run: Run) -> None:
    picture_file("a.png")
    Path("a.vaec").write_bytes(b"precious")
    result = run("encode", "a.png")
    assert result.code == 1
    assert result.err == "vaecodec: a.png: a.vaec exists already; -f replaces it\n"
    assert Path("a.vaec").read_bytes() == b"precious" and FakeCodec.made == 0
    assert run("encode", "a.png", "-f").code == 0
    assert Path("a.vaec").read_bytes().startswith(SIGNATURE)


@pytest.mark.parametrize("force", [(), ("-f",)])
@pytest.mark.parametrize("output", ["a.vaec", "./sub/../a.vaec", "link.vaec", "hard.vaec"])
def test_the_input_is_never_the_output(run: Run, force: tuple[str, ...], output: str) -> None:
    picture_file("a.vaec", format="PNG")
    Path("sub").mkdir()
    Path("link.vaec").symlink_to("a.vaec")
    os.link("a.vaec", "hard.vaec")
    before = Path("a.vaec").read_bytes()
    result = run("encode", "a.vaec", "-o", output, *force)
    assert result.code == 1 and "replace the input" in result.err
    assert Path("a.vaec").read_bytes() == before


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_while_writing_leaves_everything_as_it_was(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    picture_file("a.png")
    Path("a.vaec").write_bytes(b"precious")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", fail)
    assert run("encode", "-f", "a.png").code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert Path("a.vaec").read_bytes() == b"precious"
    assert sorted(p.name for p in Path().iterdir()) == ["a.png", "a.vaec"]


def test_a_file_that_appears_meanwhile_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    picture_file("a.png")
    encode = FakeCodec.encode

    def slow(self: FakeCodec, *arguments: Any, **options: Any) -> bytes:
        Path("a.vaec").write_bytes(b"precious")
        return encode(self, *arguments, **options)

    monkeypatch.setattr(FakeCodec, "encode", slow)
    assert run("encode", "a.png").code == 1
    assert Path("a.vaec").read_bytes() == b"precious"


def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on FAT."""

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", fail)


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_in_the_last_moment_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    picture_file("a.png")
    if not links:
        without_links(monkeypatch)
    check = files.check_target

    def slow(*arguments: Any) -> None:
        check(*arguments)
        if list(Path().glob("*.tmp")):
            Path("a.vaec").write_bytes(b"precious")

    monkeypatch.setattr(files, "check_target", slow)
    result = run("encode", "a.png")
    assert (result.code, result.err) == (1, "vaecodec: a.png: a.vaec exists already; -f replaces it\n")
    assert Path("a.vaec").read_bytes() == b"precious"


@pytest.mark.parametrize("links", [True, False])
def test_of_several_writers_one_has_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    if not links:
        without_links(monkeypatch)
    start = threading.Barrier(4)

    def write(writer: int, target: Path) -> bool:
        start.wait()
        try:
            files.write(target, bytes([writer]), files.STREAM, force=False)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        for n in range(100):
            target = tmp_path / str(n)
            won = list(pool.map(write, range(4), [target] * 4))
            assert won.count(True) == 1 and target.read_bytes() == bytes([won.index(True)])
    assert len(os.listdir(tmp_path)) == 100


def test_a_failure_without_links_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    picture_file("a.png")
    without_links(monkeypatch)
    assert run("encode", "a.png").code == 0
    Path("a.vaec").unlink()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert run("encode", "a.png").code == 1
    assert os.listdir() == ["a.png"]


def test_a_link_to_nothing_is_written_through_with_force_only(run: Run) -> None:
    """As cp has it."""
    picture_file("a.png")
    Path("sub").mkdir()
    Path("a.vaec").symlink_to("sub/x.vaec")
    result = run("encode", "a.png")
    assert result.code == 1 and "a.vaec is a link to a file that is not there; -f makes that file" in result.err
    assert FakeCodec.made == 0 and os.listdir("sub") == []
    assert run("encode", "a.png", "-f").code == 0
    assert Path("a.vaec").is_symlink() and os.listdir("sub") == ["x.vaec"]
    Path("b.vaec").symlink_to("none/x.vaec")
    result = run("encode", "a.png", "b.vaec", "-f")
    assert result.code == 1 and re.search("there is no folder .*none$", result.err, re.M)


def test_permissions_and_links_of_a_replaced_file_stay(run: Run) -> None:
    picture_file("a.png")
    Path("real").mkdir()
    Path("real/x.vaec").touch()
    Path("real/x.vaec").chmod(0o640)
    Path("a.vaec").symlink_to("real/x.vaec")
    assert run("encode", "a.png", "-f").code == 0
    assert Path("a.vaec").is_symlink()
    assert stat.S_IMODE(Path("real/x.vaec").stat().st_mode) == 0o640
    assert Path("real/x.vaec").read_bytes().startswith(SIGNATURE)


def test_a_new_file_has_the_usual_permissions(run: Run) -> None:
    picture_file("a.png")
    before = os.umask(0o027)
    try:
        run("encode", "a.png")
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("a.vaec").stat().st_mode) == 0o640


def test_devices_are_written_to(run: Run) -> None:
    picture_file("a.png")
    assert run("encode", "a.png", "-o", os.devnull).code == 0
    assert not Path(os.devnull).is_file()


def test_a_missing_folder_is_an_error_before_any_work(run: Run) -> None:
    picture_file("a.png")
    result = run("encode", "a.png", "-o", "none/a.vaec")
    assert result.code == 1 and "there is no folder none" in result.err and FakeCodec.made == 0


def test_write_never_follows_a_planted_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    monkeypatch.setattr(os, "urandom", lambda _: b"known")
    (tmp_path / f".vaecodec-{b'known'.hex()}.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        files.write(tmp_path / "out", b"data", files.STREAM, force=False)
    assert victim.read_bytes() == b"precious"
