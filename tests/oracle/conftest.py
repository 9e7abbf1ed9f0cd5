"""Tests that need compressai, or a whole training: they run in the train environment, where nothing is skipped."""

from __future__ import annotations

import importlib.util

import pytest

if importlib.util.find_spec("compressai") is None:
    raise pytest.UsageError("tests/oracle needs compressai: pip install -e '.[train]' in an environment of its own")
