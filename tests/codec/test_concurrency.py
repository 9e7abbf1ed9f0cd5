"""One Codec in many threads; processes forked and spawned from one that has used it: the same bytes, and an end."""

from __future__ import annotations

import hashlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from tests.sample_pictures import picture
from vaecodec.bitstream import container
from vaecodec.codec import Codec

SHARED: Codec | None = None  # what forked processes inherit


def work(seed: int) -> tuple[str, str]:
    """Hashes of a file and of its pixels."""
    global SHARED
    SHARED = SHARED or Codec(threads=2)
    return coded(SHARED, seed)


def pixels_of(seed: int) -> np.ndarray:
    """A picture of four tiles, the first of which gets an overlay."""
    pixels = np.roll(picture(150, 170, 3), 7 * seed, axis=0)
    pixels[:128, :128] = (picture(8, 8, 3, seed) // 128 * 255).repeat(16, 0).repeat(16, 1)
    return pixels


def coded(codec: Codec, seed: int) -> tuple[str, str]:
    pixels = pixels_of(seed)
    data = codec.encode(pixels, 40 + seed, tile=128)
    decoded = codec.decode(data).pixels
    return hashlib.sha256(data).hexdigest(), hashlib.sha256(decoded.tobytes()).hexdigest()


def work_afresh(seed: int) -> tuple[str, str]:
    """The same with a codec of its own."""
    return coded(Codec(threads=2), seed)


@pytest.fixture(scope="module")
def alone() -> list[tuple[str, str]]:
    return [coded(Codec(threads=1), seed) for seed in range(8)]


def test_there_are_overlays() -> None:
    layout = container.parse(Codec(threads=1).encode(pixels_of(3), 43, tile=128))
    assert layout.unpacked()[0].overlay


@pytest.mark.parametrize("threads", [1, 2, None])
def test_eight_threads(alone: list[tuple[str, str]], threads: int | None) -> None:
    codec = Codec(threads=threads)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            assert list(pool.map(lambda seed: coded(codec, seed), range(8), timeout=120)) == alone


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
def test_processes(alone: list[tuple[str, str]], how: str) -> None:
    if how not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {how} on this system")
    work(0)  # the parent has a model, and threads have run
    with ProcessPoolExecutor(2, multiprocessing.get_context(how)) as pool:
        assert list(pool.map(work, range(8), timeout=120)) == alone
        assert list(pool.map(work_afresh, range(2), timeout=60)) == alone[:2]
