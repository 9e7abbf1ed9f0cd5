"""IPTC as newspapers' programs wrote it before XMP (IIM 4), and the resources of Photoshop, in which it mostly lies.

Its fields go into XMP as the IPTC Photo Metadata Standard maps them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from vaecodec.pictures.xmp import Properties

IPTC, FLAG, URL, EXIF, XMP = 0x404, 0x40A, 0x40B, 0x422, 0x424  # resources of Photoshop
UTF8 = b"\x1b%G"  # in 1:90: the texts are in UTF-8
APPLICATION = 2  # the record that describes the picture
FIELDS = {  # of that record
    5: "dc:title",
    10: "photoshop:Urgency",
    15: "photoshop:Category",
    20: "photoshop:SupplementalCategories",
    25: "dc:subject",
    40: "photoshop:Instructions",
    80: "dc:creator",
    85: "photoshop:AuthorsPosition",
    90: "photoshop:City",
    92: "Iptc4xmpCore:Location",
    95: "photoshop:State",
    100: "Iptc4xmpCore:CountryCode",
    101: "photoshop:Country",
    103: "photoshop:TransmissionReference",
    105: "photoshop:Headline",
    110: "photoshop:Credit",
    115: "photoshop:Source",
    116: "dc:rights",
    120: "dc:description",
    122: "photoshop:CaptionWriter",
}
CODED = {  # fields with a code and more, and the part of them that XMP wants
    4: ("Iptc4xmpCore:IntellectualGenre", re.compile(r"\d{3}:(.+)", re.S)),
    12: ("Iptc4xmpCore:SubjectCode", re.compile(r"[^:]*:(\d{8})(?::|$)")),
}
DATES = {55: (60, "photoshop:DateCreated"), 62: (63, "xmp:CreateDate")}  # the date, its time of day, the property
PLAIN = frozenset({0, 3})  # version and type of the record, which say nothing of the picture


def resources(data: bytes) -> dict[int, bytes]:
    """Photoshop's image resources, by number; the first of each, as far as they are whole."""
    found: dict[int, bytes] = {}
    at = 0
    while data[at : at + 4] == b"8BIM" and at + 12 <= len(data):
        (number,), name = struct.unpack_from(">H", data, at + 4), data[at + 6]
        at += 6 + (1 + name + 1) // 2 * 2
        if at + 4 > len(data):
            break
        (size,) = struct.unpack_from(">I", data, at)
        found.setdefault(number, data[at + 4 : at + 4 + size])
        at += 4 + (size + 1) // 2 * 2
    return found


def fields(data: bytes) -> dict[tuple[int, int], list[bytes]]:
    """The data sets of IIM by record and number, as far as they are whole."""
    found: dict[tuple[int, int], list[bytes]] = {}
    at = 0
    while at + 5 <= len(data) and data[at] == 0x1C:
        record, number, size = struct.unpack_from(">BBH", data, at + 1)
        at += 5
        if size & 0x8000:  # the length of the length
            extent = size & 0x7FFF
            size, at = int.from_bytes(data[at : at + extent], "big"), at + extent
        found.setdefault((record, number), []).append(data[at : at + size])
        at += size
    return found


def from_iptc(data: bytes) -> tuple[Properties, list[str]]:
    """Properties for XMP of IIM data, and notes."""
    sets = fields(data)
    decode = decoder(sets.get((1, 90), [b""])[0])
    record = {number: list(map(decode, values)) for (of, number), values in sets.items() if of == APPLICATION}
    found: Properties = {}
    lost: list[int] = []
    for number, texts in record.items():
        if number in DATES:
            other, name = DATES[number]
            texts = [text for text in [date(texts[0], record.get(other, [""])[0])] if text]
        elif number in CODED:
            name, pattern = CODED[number]
            texts = [match[1] for text in texts if (match := pattern.match(text))]
        elif number in PLAIN or number in (60, 63):  # the time goes with its date
            continue
        else:
            name = FIELDS.get(number, "")
        texts = [text for text in texts if text.strip()]
        if name and texts:
            found[name] = texts
        elif any(text.strip() for text in record[number]):
            lost.append(number)
    lost += [time for day, (time, _) in DATES.items() if time in record and day not in record]
    said = ", ".join(f"2:{number:02}" for number in sorted(lost))
    return found, [f"fields of its IPTC without a place in XMP are not kept: {said}"] if lost else []


def decoder(charset: bytes) -> Callable[[bytes], str]:
    """From bytes to texts. Few writers name their character set: what is no UTF-8 is taken for Latin 1."""

    def decode(text: bytes) -> str:
        text = text.rstrip(b"\0")
        try:
            return text.decode()
        except UnicodeDecodeError:
            return text.decode("utf-8", "replace") if charset == UTF8 else text.decode("latin-1")

    return decode


def date(day: str, time: str) -> str:
    """In XMP's form, of CCYYMMDD and HHMMSS+HHMM; as far as it is known. "" for what is no date."""
    match = re.fullmatch(r"(\d{4})-?(\d\d)-?(\d\d)", day.strip())
    if match is None or match[1] == "0000":
        return ""
    year, month, number = match.groups()
    if "00" in (month, number):
        return year if month == "00" else f"{year}-{month}"
    clock = re.fullmatch(r"(\d\d):?(\d\d):?(\d\d)(?:([+-]\d\d):?(\d\d))?", time.strip())
    zone = f"{clock[4]}:{clock[5]}" if clock and clock[4] else ""
    return f"{year}-{month}-{number}" + (f"T{clock[1]}:{clock[2]}:{clock[3]}{zone}" if clock else "")


def from_photoshop(found: dict[int, bytes]) -> tuple[Properties, list[str]]:
    """The same of Photoshop's resources, with its copyright flag and address, as the XMP specification maps them."""
    properties, notes = from_iptc(found.get(IPTC, b""))
    if found.get(FLAG, b"")[:1] == b"\1":
        properties["xmpRights:Marked"] = ["True"]
    if address := found.get(URL, b"").strip(b"\0 "):
        properties["xmpRights:WebStatement"] = [decoder(b"")(address)]
    paths = sum(2000 <= number <= 2998 for number in found)
    return properties, notes + ([f"the paths of Photoshop ({paths}) are not kept"] if paths else [])
