"""What the program around has set in PyTorch is not touched by the codec, and does not touch it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch

from tests.sample_pictures import picture
from vaecodec.codec import Codec, torch_settings
from vaecodec.model import trained
from vaecodec.pictures.picture import Picture
from vaecodec.restoration.recipes import Denoise, Models

REFINED = 5  # an effort whose progress is told from within the work


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return picture(70, 60)


@pytest.fixture(scope="module")
def coded(shipped: Codec, pixels: np.ndarray) -> bytes:
    return shipped.encode(pixels, 60, effort=REFINED)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """As the caller's own setting, on a machine with any number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def in_a_new_thread(look: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(look()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.skipif(torch_settings.openmp() is None, reason="no OpenMP whose threads can be set one by one")
def test_threads_are_this_codecs_alone(two_threads: None, pixels: np.ndarray) -> None:
    """Seen while it works: in its own thread, in one that begins just then, and in the main one."""
    own: list[int] = []
    others: list[int] = []

    def look(share: float) -> None:
        own.append(torch.get_num_threads())
        others.append(in_a_new_thread(torch.get_num_threads))

    codec = Codec(threads=1)
    in_a_new_thread(lambda: codec.encode(pixels, effort=REFINED, progress=look))
    codec.encode(pixels, effort=REFINED, progress=look)
    assert 1 in own and set(own) <= {1, 2}  # 2 where progress is told between two bands
    assert set(others) == {2}
    assert torch.get_num_threads() == in_a_new_thread(torch.get_num_threads) == 2


@pytest.mark.skipif(torch_settings.openmp() is None, reason="no OpenMP whose threads can be set one by one")
@pytest.mark.parametrize("wide", [False, True])
def test_one_thread_is_one(two_threads: None, shipped: Codec, wide: bool) -> None:
    """By the time that the other threads of the process take: in PyTorch's kernels, and in MKL's of float64. Threads
    that are done spin for a while yet, so of one thread the least of some trials counts; and MKL may find that one is
    enough, so of two the most."""
    model, q = trained.exact(shipped.weights), torch.tensor([500])
    y_hat = torch.zeros(1, 32, 32, 384, dtype=torch.float64)

    def others() -> float:
        own, whole = time.thread_time(), time.process_time()
        model.g_s.enter(y_hat) if wide else model.g_s(y_hat.float(), q, model.steps(q))
        return (time.process_time() - whole) / (time.thread_time() - own) - 1

    with torch_settings.own_settings(1):
        assert min(others() for _ in range(5)) < 0.1
    with torch_settings.own_settings(2):
        assert max(others() for _ in range(5)) > 0.1


def test_threads_where_openmp_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray, coded: bytes
) -> None:
    """On some systems: PyTorch has its own number then, which is not touched."""
    monkeypatch.setattr(torch, "set_num_threads", lambda _: pytest.fail("it is for the whole process"))
    monkeypatch.setattr(torch_settings, "openmp", lambda: None)
    assert Codec(threads=1).encode(pixels, 60, effort=REFINED) == coded


def test_nothing_of_the_process_is_set(monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray, coded: bytes) -> None:
    for name in ("set_num_threads", "set_default_dtype", "set_default_device", "manual_seed"):

        def refuse(*_: Any, name: str = name) -> None:
            raise AssertionError(f"torch.{name} is for the whole process")

        monkeypatch.setattr(torch, name, refuse)
    before = torch.get_rng_state()
    codec = Codec(threads=2)
    codec.decode(codec.encode(pixels, 60, effort=REFINED))
    with torch_settings.own_settings(2):
        Denoise(20).apply(Models(codec.weights), Picture(pixels))
    torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)


def default_dtype(dtype: torch.dtype) -> Callable[[], AbstractContextManager[None]]:
    class Default(AbstractContextManager[None]):
        def __enter__(self) -> None:
            torch.set_default_dtype(dtype)

        def __exit__(self, *_: object) -> None:
            torch.set_default_dtype(torch.float32)

    return Default


class DefaultDevice(AbstractContextManager[None]):
    def __enter__(self) -> None:
        torch.set_default_device("meta")

    def __exit__(self, *_: object) -> None:
        torch.set_default_device(None)


SETTINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "none": nullcontext,
    "default float64": default_dtype(torch.float64),
    "default float16": default_dtype(torch.float16),
    "default device": DefaultDevice,
    "device of a block": lambda: torch.device("meta"),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_callers_settings(pixels: np.ndarray, coded: bytes, shipped: Codec, name: str) -> None:
    """A model loaded under them, files and pictures made under them, and the same model without them afterwards."""
    expected = shipped.decode(coded).pixels
    with SETTINGS[name]():
        codec = Codec(threads=1)
        for one in (codec, shipped):
            assert one.encode(pixels, 60, effort=REFINED) == coded
            np.testing.assert_array_equal(one.decode(coded).pixels, expected)
            one.decode_scaled(coded, 4)
            with torch_settings.own_settings(1):
                cleaned, _ = Denoise(20, fast=True).apply(Models(one.weights), Picture(pixels))
    assert codec.encode(pixels, 60, effort=REFINED) == coded
    with torch_settings.own_settings(1):
        again, _ = Denoise(20, fast=True).apply(Models(shipped.weights), Picture(pixels))
    np.testing.assert_array_equal(cleaned.pixels, again.pixels)
