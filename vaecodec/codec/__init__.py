"""Pictures to `.vaec` bytes and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaecodec.codec.codec import Codec

__all__ = ["Codec"]


def __getattr__(name: str) -> Any:
    """The codec loads torch, which other modules of this package do without (PEP 562)."""
    if name != "Codec":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vaecodec.codec.codec import Codec

    return Codec
