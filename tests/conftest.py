"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaecodec.codec import Codec

VECTORS = Path(__file__).with_name("vectors")


@pytest.fixture(scope="session")
def small() -> Codec:
    """A codec with the small frozen model of the conformance files."""
    return Codec(VECTORS / "small.safetensors", threads=1)


@pytest.fixture(scope="session")
def shipped() -> Codec:
    """A codec with the model in the package."""
    return Codec(threads=1)
