"""Items made ahead: in order, in another thread, never more than one too many; errors arrive where they would have."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from vaecodec.ahead import ahead


def test_order_and_how_far() -> None:
    made: list[tuple[int, int]] = []

    def items() -> Iterator[int]:
        for i in range(5):
            made.append((i, threading.get_ident()))
            yield i

    for got in ahead(items()):
        assert got in [i for i, _ in made]
        assert len(made) <= got + 2
    assert [i for i, _ in made] == list(range(5))
    assert threading.get_ident() not in {thread for _, thread in made}
    assert list(ahead(iter(()))) == []


def test_an_error_comes_after_what_was_made_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    got = ahead(items())
    assert next(got) == 1
    with pytest.raises(ValueError, match="the second"):
        next(got)


def test_leaving_early_leaves_no_thread() -> None:
    before = threading.active_count()
    got = ahead(iter(range(100)))
    assert next(got) == 0
    got.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
