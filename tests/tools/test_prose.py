"""tools/check/prose.py: what is a line of prose, and what is not."""

from __future__ import annotations

import pytest

from tools.check.prose import too_long

LONG = "word " * 25


@pytest.mark.parametrize("line", [f"| {LONG} |", f"    {LONG}", "https://example.org/" + 100 * "x", "word " * 20])
def test_aside(line: str) -> None:
    assert not list(too_long(line))


def test_code_between_fences() -> None:
    assert [number for number, _ in too_long(f"```\n{LONG}\n```\n{LONG}")] == [4]
    assert [number for number, _ in too_long(f"* {LONG}\n  {LONG}")] == [1, 2]
