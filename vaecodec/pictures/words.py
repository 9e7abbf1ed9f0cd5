"""What a picture file says in words outside of EXIF and XMP: text chunks of PNG, comments. They go into XMP."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime

from vaecodec.pictures.xmp import Properties

KEYWORDS = {  # of PNG, in small letters
    "title": "dc:title",
    "author": "dc:creator",
    "artist": "dc:creator",
    "description": "dc:description",
    "copyright": "dc:rights",
    "keywords": "dc:subject",
    "creation time": "xmp:CreateDate",
    "software": "xmp:CreatorTool",
    "source": "tiff:Model",  # "device used to create the image"
    "disclaimer": "xmpRights:UsageTerms",
    "comment": "exif:UserComment",
}
# Of ImageMagick: when the file was made, and EXIF that is there as a whole, too.
REPEATED = ("date:", "exif:", "icc:", "png:", "jpeg:", "tiff:", "xmp:", "photoshop:")
NAMED = 40  # letters of a keyword in a note
SHOWN = 8  # keywords in a note


def from_texts(texts: Iterable[tuple[str, str]]) -> tuple[Properties, list[str]]:
    """Properties for XMP of the text chunks of a PNG file, (keyword, text), and notes."""
    found: Properties = {}
    lost = []
    for keyword, text in texts:
        name = KEYWORDS.get(keyword.strip().lower(), "")
        if name == "xmp:CreateDate":
            text = moment(text)
        if name and text.strip():
            found.setdefault(name, []).append(text)
        elif text.strip() or name:
            lost.append(keyword[:NAMED])
    if not lost:
        return found, []
    more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
    return found, [f"texts without a place in XMP are not kept: {', '.join(lost[:SHOWN])}{more}"]


def from_comments(comments: Iterable[bytes]) -> Properties:
    """The same of comments, whose character set no format names: what is no UTF-8 is taken for Latin 1."""
    texts = []
    for comment in comments:
        comment = comment.strip(b"\0 \r\n")
        try:
            texts.append(comment.decode())
        except UnicodeDecodeError:
            texts.append(comment.decode("latin-1"))
    joined = "\n".join(dict.fromkeys(text for text in texts if text))
    return {"exif:UserComment": [joined]} if joined else {}


def moment(text: str) -> str:
    """A time in XMP's form, of one as in mail, which PNG recommends, or as in ISO 8601; "" for any other."""
    text = text.strip()
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError, TypeError, IndexError, OverflowError):
            return read(text.replace("Z", "+00:00") if read is not parsedate_to_datetime else text).isoformat()
    return ""


def modified(data: bytes) -> Properties:
    """The same of PNG's tIME."""
    if len(data) != 7:
        return {}
    with suppress(ValueError):
        return {"xmp:ModifyDate": [datetime(data[0] << 8 | data[1], *data[2:7]).isoformat() + "Z"]}
    return {}
