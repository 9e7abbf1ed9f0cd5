"""Which metadata goes along: what `--strip` leaves, and metadata given as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vaecodec.errors import VaecError
from vaecodec.pictures.exif import EXIF_IDENTIFIER, orientation, orientation_exif
from vaecodec.pictures.picture import Picture

STRIP = ("none", "private", "all")


def stripped(picture: Picture, level: str) -> Picture:
    """A picture without what a level of STRIP takes away.

    private: EXIF (where, when, with what) and XMP. all: the ICC profile too, without which colours may look different.
    The orientation always stays, as the one tag of an EXIF block, for without it the picture would lie on its side; so
    does cICP.
    """
    if level == "none":
        return picture
    turned = orientation(picture.exif)
    exif = orientation_exif(turned) if turned != 1 else None
    return replace(picture, exif=exif, xmp=None, icc=picture.icc if level == "private" else None)


def replaced(picture: Picture, metadata: Mapping[str, bytes | None]) -> Picture:
    """A picture with other metadata, by field; None keeps the picture's own, b"" takes it away.

    Another ICC profile takes the picture's cICP away, which would go before it.
    """
    changed: dict[str, Any] = {name: data or None for name, data in metadata.items() if data is not None}
    if changed.get("icc"):
        changed.setdefault("cicp", None)
    return replace(picture, **changed)


def given(kind: str, data: bytes) -> bytes:
    """Metadata of a kind of `container.METADATA` from the bytes of a file of its own, as a Picture holds it.

    Raises: VaecError where the bytes are nothing of the kind.
    """
    if kind == "exif":
        data = data.removeprefix(EXIF_IDENTIFIER)
        right, what = data[:4] in (b"II*\0", b"MM\0*"), "EXIF: a block that begins with a TIFF header"
    elif kind == "icc":
        right, what = data[36:40] == b"acsp", "an ICC profile"
    else:
        right, what = b"<" in data[:1024], "XMP: a packet of XML"
    if not right:
        raise VaecError(f"this is not {what}")
    return data
