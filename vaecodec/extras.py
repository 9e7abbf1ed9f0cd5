"""What is not in the base install."""

from __future__ import annotations

from importlib.util import find_spec

from vaecodec.errors import VaecError


def need(module: str, what: str, extra: str = "", name: str = "") -> None:
    """That a module is there, which `what` needs.

    extra: that brings it; without one users bring it along, because they work with it anyway. name: of the package, if
    not the module's. Raises: VaecError where it is not there, in a sentence that says how to get it.
    """
    if find_spec(module) is None:
        how = f"'vaecodec[{extra}]'" if extra else module
        raise VaecError(f"{what} needs {name or module}, which is not installed: pip install {how}")


def need_torch(what: str) -> None:
    """The same for PyTorch."""
    need("torch", what, "torch", "PyTorch")
