"""How functions refuse what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vaecodec.errors import VaecError


def refused(call: Callable[[], Any], words: str) -> None:
    """It raises VaecError with one sentence that has these words."""
    with pytest.raises(VaecError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200
