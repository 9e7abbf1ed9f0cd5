"""Fixtures that several test files share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests.commands import real, run  # noqa: F401 (fixtures)
from tools.train.data import load
from vaecodec.codec import Codec
from vaecodec.restoration.recipes import Models

# As in a shell's background or under nohup, and then in all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A shared machine may stall any example, and what CI runs should be the same for everyone.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

VECTORS = Path(__file__).with_name("vectors")
SLOW = {"shipped", "models", "real"}  # fixtures: the model in the package, the command line with it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what codes with the shipped model or starts processes: `pytest -m "not slow"` leaves it out."""
    for item in items:
        assert isinstance(item, pytest.Function)
        if SLOW & set(item.fixturenames) or {"subprocess", "multiprocessing"} & vars(item.module).keys():
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def small() -> Codec:
    """A codec with the small frozen model of the conformance files."""
    return Codec(VECTORS / "small.safetensors", threads=1)


@pytest.fixture(scope="session")
def shipped() -> Codec:
    """A codec with the model in the package."""
    return Codec(threads=1)


@pytest.fixture(scope="session")
def models(shipped: Codec) -> Models:
    """What restores pictures, of the shipped model."""
    return Models(shipped.weights)


@pytest.fixture(scope="session")
def clean() -> np.ndarray:
    """(160, 192, 3) uint8: the head of a parrot."""
    return load(Path(__file__).parent / "data" / "kodim23.png")[64:224, 360:552]
