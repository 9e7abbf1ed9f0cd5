"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from vaecodec.codec import Codec

# A shared machine may stall any example, and what CI runs should be the same for everyone.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

VECTORS = Path(__file__).with_name("vectors")


@pytest.fixture(scope="session")
def small() -> Codec:
    """A codec with the small frozen model of the conformance files."""
    return Codec(VECTORS / "small.safetensors", threads=1)


@pytest.fixture(scope="session")
def shipped() -> Codec:
    """A codec with the model in the package."""
    return Codec(threads=1)
