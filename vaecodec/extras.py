"""What is not in the base install."""

from __future__ import annotations

from importlib.util import find_spec

from vaecodec.errors import VaecError


def need_torch(what: str) -> None:
    """Raises: VaecError where there is no PyTorch, which `what` needs, in a sentence that says how to get it."""
    if find_spec("torch") is None:
        raise VaecError(f"{what} needs PyTorch, which is not installed: pip install 'vaecodec[torch]'")
