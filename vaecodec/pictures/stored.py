"""The metadata of what Pillow has opened and loaded, from wherever formats and programs put it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from vaecodec.pictures.colour import boxes, file_of
from vaecodec.pictures.exif import DESCRIPTIVE, EXIF_IDENTIFIER, density_exif, descriptive, sentence
from vaecodec.pictures.iptc import EXIF, IPTC, XMP, from_photoshop, resources
from vaecodec.pictures.words import REPEATED, from_comments, from_texts, modified
from vaecodec.pictures.xmp import Properties, added

if TYPE_CHECKING:
    from PIL import Image

RAW = "Raw profile type "  # beginning of a keyword: of a text chunk in which ImageMagick puts metadata
ADOBE_XMP = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
PHOTOSHOP = b"Photoshop 3.0\0"
# Beginnings of a JPEG file's segments of which nothing is lost, or nothing but what is about the file.
KNOWN_SEGMENTS = (
    *(b"JFIF\0", b"JFXX\0", b"Adobe", b"Ducky", b"ICC_PROFILE\0", b"MPF\0"),
    *(EXIF_IDENTIFIER, ADOBE_XMP, EXTENDED_XMP, PHOTOSHOP),
)
KNOWN_CHUNKS = (
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sRGB cICP sBIT tEXt zTXt iTXt eXIf pHYs tIME acTL fcTL fdAT".split()
)
IPTC_TAG, PHOTOSHOP_TAG = 33723, 34377  # of TIFF
UUIDS = {  # of boxes of JPEG 2000
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): "xmp",
    b"JpgTiffExif->JP2": "exif",
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"): "iptc",
}
TECHNICAL = frozenset(  # tags of TIFF that say how its pixels lie, or what is kept elsewhere
    {*range(254, 260), *range(262, 267), *range(273, 275), *range(277, 282), 284, *range(288, 294), 297, 317}
    | {*range(320, 326), 330, *range(332, 335), *range(338, 342), 347, *range(512, 522), *range(529, 533), 700}
    | {IPTC_TAG, PHOTOSHOP_TAG, 34665, 34675, 34853, 40965}
)
LARGEST = 2**26  # bytes of a chunk or box that is read


@dataclass
class Found:
    """What has been found so far."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    photoshop: dict[int, bytes] = field(default_factory=dict)
    words: Properties = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def say(self, words: Properties) -> None:
        """What is there already stays."""
        self.words = words | self.words


def before_loading(image: Image.Image, opened: Callable[[], BinaryIO] | None) -> Found:
    """What lies outside of `Image.info`, and may be out of reach once the pixels are loaded.

    opened: opens the image's file once more.
    """
    found = Found()
    if image.format == "TIFF":
        _from_tiff(image, found)
    elif image.format in ("PNG", "JPEG2000"):
        with file_of(image, opened) as file:
            if file:
                (_from_png_chunks if image.format == "PNG" else _from_boxes)(file, found)
    elif image.format in ("JPEG", "MPO"):
        _from_segments(getattr(image, "applist", []), found)
    elif image.format == "PSD":
        for number, _, data in reversed(getattr(image, "resources", [])):
            found.photoshop[number] = data
    return found


def metadata_of(image: Image.Image, found: Found) -> dict[str, bytes | None]:
    """ICC profile, EXIF and XMP of an image that is loaded; adds to the notes of what was found before that.

    EXIF is from its TIFF header on, and both it and XMP are byte for byte what the file holds. XMP gets what the file
    says elsewhere in words: see `iptc` and `words`.
    """
    info = image.info
    found.icc = _stored(info.get("icc_profile"))
    found.xmp = _stored(info.get("xmp")) or found.xmp
    found.exif = found.exif or _stored(info.get("exif"))
    _from_texts(image, found)
    found.exif = found.exif or _stored(found.photoshop.get(EXIF))
    found.xmp = found.xmp or _stored(found.photoshop.get(XMP))
    words, notes = from_photoshop(found.photoshop)
    found.words = words | found.words
    comments = [data for kind, data in getattr(image, "applist", []) if kind == "COM"]
    others = (info.get(name) for name in ("comment", "id_section"))
    found.say(from_comments(comments or [data for data in others if isinstance(data, bytes)]))
    xmp, more = added(found.xmp, found.words)
    found.notes += notes + more
    exif = found.exif.removeprefix(EXIF_IDENTIFIER) if found.exif else None
    return {"icc": found.icc, "exif": exif or _density(image), "xmp": xmp}


def _stored(value: object) -> bytes | None:
    """Bytes from `Image.info`, where a text chunk of the same name may have put something else."""
    return value if isinstance(value, bytes) and value else None


def _density(image: Image.Image) -> bytes | None:
    """The resolution that a file names outside of EXIF, as EXIF; None for what viewers assume anyway."""
    dpi = image.info.get("dpi")
    if image.format == "TIFF" or not isinstance(dpi, tuple) or len(dpi) != 2:
        return None
    x, y = (float(v) for v in dpi)
    sensible = 1 <= x < 65536 and 1 <= y < 65536
    return density_exif((x, y)) if sensible and (round(x), round(y)) != (72, 72) else None


def _from_segments(segments: list[tuple[str, bytes]], found: Found) -> None:
    """Of a JPEG file. Photoshop's resources may go on in the next one."""
    photoshop = b"".join(data[len(PHOTOSHOP) :] for _, data in segments if data.startswith(PHOTOSHOP))
    found.photoshop = resources(photoshop)
    if any(data.startswith(EXTENDED_XMP) for _, data in segments):
        found.notes.append("the extended part of its XMP is not kept")
    lost = sorted({kind for kind, data in segments if kind != "COM" and not data.startswith(KNOWN_SEGMENTS)})
    if lost:
        found.notes.append(f"segments of the JPEG file are not kept: {', '.join(lost)}")


def _from_png_chunks(file: BinaryIO, found: Found) -> None:
    """What Pillow does not look at."""
    lost: dict[str, None] = {}
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"tIME" and length == 7:
            found.say(modified(file.read(7)))
            length = 0
        elif kind not in KNOWN_CHUNKS and kind.isalpha():
            lost[kind.decode()] = None
        file.seek(length + 4, 1)
    if lost:
        found.notes.append(f"chunks of the PNG file are not kept: {', '.join(lost)}")


def _from_boxes(file: BinaryIO, found: Found) -> None:
    """Of a JPEG 2000 file."""
    for box in boxes(file.read(LARGEST), b"uuid"):
        kind, data = UUIDS.get(box[:16]), box[16:]
        if kind == "iptc":
            found.photoshop.setdefault(IPTC, data)
        elif kind:
            setattr(found, kind, getattr(found, kind) or data)


def _from_texts(image: Image.Image, found: Found) -> None:
    """Of a PNG file: what ImageMagick has put into text chunks, and what they say."""
    texts = getattr(image, "text", None) if image.format == "PNG" else None
    plain = []
    for keyword, text in (texts or {}).items():
        if keyword.startswith(RAW):
            _from_raw(keyword.removeprefix(RAW), text, found)
        elif keyword != "XML:com.adobe.xmp" and not keyword.startswith(REPEATED):
            plain.append((keyword, text))
    words, notes = from_texts(plain)
    found.say(words)
    found.notes += notes


def _from_raw(kind: str, text: str, found: Found) -> None:
    """Metadata in hexadecimal, behind its kind and its length."""
    try:
        data = bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        found.notes.append(f"a damaged text chunk is not kept: {RAW}{kind}"[:100])
        return
    if kind in ("iptc", "8bim"):
        held = resources(data) if data.startswith(b"8BIM") else {IPTC: data}
        found.photoshop = held | found.photoshop
    elif kind == "xmp" or data.startswith(ADOBE_XMP):
        found.xmp = found.xmp or data.removeprefix(ADOBE_XMP)
    elif kind in ("exif", "APP1", "app1"):
        found.exif = found.exif or data
    elif kind in ("icc", "icm"):
        found.icc = found.icc or data
    else:
        found.notes.append(f"a text chunk is not kept: {RAW}{kind}"[:100])


def _from_tiff(image: Image.Image, found: Found) -> None:
    """EXIF made from a TIFF's tags, and IPTC. Pillow turns its pixels as it loads them: orientation 1 is stored."""
    from PIL import ExifTags

    tags: Any = getattr(image, "tag_v2", {})
    raw: dict[int, bytes] = getattr(
        tags, "_tagdata", {}
    )  # as Pillow's own reader of IPTC: the types of both are a mess
    found.photoshop = resources(raw.get(PHOTOSHOP_TAG, b""))
    if iptc := raw.get(IPTC_TAG):
        found.photoshop[IPTC] = iptc
    lost = [tag for tag in tags if tag not in DESCRIPTIVE and tag not in TECHNICAL]
    if lost:
        found.notes.append(f"tags of the TIFF file are not kept: {', '.join(map(_tag_name, lost))}")
    try:
        exif = descriptive(image.getexif())
        if len(exif):
            exif[ExifTags.Base.Orientation] = 1
            found.exif = exif.tobytes()
    except Exception as error:  # Pillow raises all kinds of errors for bad bytes
        found.notes.append(f"its EXIF is damaged and not kept ({sentence(error)})")


def _tag_name(tag: int) -> str:
    from PIL import TiffTags

    name = TiffTags.lookup(tag).name
    return str(tag) if name == "unknown" else str(name)
