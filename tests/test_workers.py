"""Worker processes: order, deaths, and that none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from vaecodec.workers import as_done, in_order

ROOT = Path(__file__).resolve().parents[1]
DEADLY = {2, 3, 7}


def twice(number: int) -> int:
    """Of which the system kills the process now and then."""
    if number in DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def pid(_: int) -> int:
    return os.getpid()


def test_a_death_takes_no_other_job_along() -> None:
    results = dict(as_done(twice, [(n,) for n in range(11)], 2))
    assert results == {n: None if n in DEADLY else 2 * n for n in range(11)}


def test_results_come_in_order() -> None:
    results = list(in_order(as_done(twice, [(n,) for n in (5, 7, 4, 6, 1)], 2)))
    assert results == [10, None, 8, 12, 2]


def test_workers_are_used_again() -> None:
    assert len({found for _, found in as_done(pid, [(n,) for n in range(6)], 2)} | {os.getpid()}) <= 3


def test_no_job_is_begun_too_far_ahead(tmp_path: Path) -> None:
    """The first job ends only when nobody has begun the fourth."""
    fifo = tmp_path / "first"
    os.mkfifo(fifo)
    begun = as_done(wait_for, [(fifo if n == 0 else None, tmp_path / str(n)) for n in range(6)], 2, ahead=3)
    assert [next(begun)[0], next(begun)[0]] == [1, 2]
    with fifo.open("wb"):
        assert sorted(p.name for p in tmp_path.iterdir() if p != fifo) == ["0", "1", "2"]
    assert sorted(number for number, _ in begun) == [0, 3, 4, 5]


def wait_for(fifo: Path | None, mark: Path) -> None:
    mark.touch()
    if fifo:
        fifo.read_bytes()


def test_a_bug_is_shown_and_stops_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(in_order(as_done(int, [("1",), ("one",), ("2",)], 1))) == [1, None, 2]
    assert "ValueError: invalid literal for int() with base 10: 'one'" in capfd.readouterr().err


def test_whoever_stops_listening_ends_them() -> None:
    results = as_done(pid, [(n,) for n in range(9)], 1)
    _, worker = next(results)
    assert worker
    results.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


ENDLESS = """
import os, sys
from vaecodec.workers import as_done

def endless(idle):
    os.write(1, b"%d\\n" % os.getpid())
    while not idle: pass

if __name__ == "__main__":
    for _ in as_done(endless, [(True,), (False,), (False,)], 2): pass
"""


def test_none_outlives_its_parent(tmp_path: Path) -> None:
    """Killed at work. Who reads the pipe hears its end when the last of them is gone."""
    (tmp_path / "endless.py").write_text(ENDLESS)
    command = [sys.executable, str(tmp_path / "endless.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, start_new_session=True)
    assert parent.stdout is not None
    begun = [parent.stdout.readline() for _ in range(3)]
    parent.kill()
    try:
        assert parent.communicate(timeout=60)[0] == b"" and all(begun)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)
