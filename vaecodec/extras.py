"""What is not in the base install."""

from __future__ import annotations

from importlib.util import find_spec

from vaecodec.errors import VaecError


def need_torch(what: str) -> None:
    """Raises: VaecError where there is no PyTorch, which `what` needs, in a sentence that says how to get it."""
    if find_spec("torch") is None:
        raise VaecError(f"{what} needs PyTorch, which is not installed: pip install 'vaecodec[torch]'")


def need(extra: str, **modules: str) -> None:
    """Raises: VaecError where one of the modules is missing, in a sentence with its name and how to get it."""
    for module, name in modules.items():
        if find_spec(module) is None:
            raise VaecError(f"this needs {name}, which is not installed: pip install 'vaecodec[{extra}]'")
