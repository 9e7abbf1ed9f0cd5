"""The next item is made while the one before is worked on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made in another thread while the caller works on the one before; at most one waits.

    Entropy coding runs on one core and leaves the others to the networks of the next band.
    """
    with ThreadPoolExecutor(1) as maker:
        end = object()
        following = maker.submit(next, items, end)
        while (item := following.result()) is not end:
            following = maker.submit(next, items, end)
            yield item  # type: ignore[misc]
