"""IPTC, text chunks and comments: kept in XMP, or said in a note."""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tests.picture_files import chunk, exif_bytes, noise, png, save, written
from vaecodec.pictures.iptc import date, fields, from_iptc, resources
from vaecodec.pictures.reading import read_picture
from vaecodec.pictures.words import moment
from vaecodec.pictures.xmp import CONTAINERS, NAMESPACES, RDF, added, properties

XMP = (
    b"<?xpacket begin='\xef\xbb\xbf' id='W5M0MpCehiHzreSzNTczkc9d'?>\n<x:xmpmeta xmlns:x='adobe:ns:meta/'>"
    b"<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><r:Description r:about='uuid:1' "
    b"xmlns:p='http://ns.adobe.com/photoshop/1.0/' p:City='Ulm'/></r:RDF></x:xmpmeta>\n<?xpacket end='w'?>"
)
RGB = Image.fromarray(noise(8, 8, 3))


def iim(*sets: tuple[int, int, bytes]) -> bytes:
    return b"".join(struct.pack(">BBBH", 0x1C, record, number, len(data)) + data for record, number, data in sets)


def photoshop(**held: bytes) -> bytes:
    return b"".join(
        b"8BIM" + struct.pack(">HHI", int(number[1:], 16), 0, len(data)) + data + bytes(len(data) % 2)
        for number, data in held.items()
    )


def jpeg(*segments: tuple[int, bytes], **options: Any) -> bytes:
    data = save(RGB, "JPEG", **options)
    more = b"".join(b"\xff" + bytes([kind]) + struct.pack(">H", len(part) + 2) + part for kind, part in segments)
    return data[:2] + more + data[2:]


def said(xmp: bytes | None) -> dict[str, list[str]]:
    found = properties(xmp or b"")
    assert found is not None
    return found[0]


SETS = [
    (1, 90, b"\x1b%G"),
    *((2, 5, "Tür".encode()), (2, 120, b"A door"), (2, 25, b"door"), (2, 25, b"wood"), (2, 80, b"A. Body")),
    *((2, 55, b"20240229"), (2, 60, b"112233+0100"), (2, 90, b"Ulm"), (2, 12, b"IPR:04000000:economy")),
    *((2, 116, b"(c) A. Body"), (2, 0, b"\0\4"), (2, 65, b"A program")),
]
EXPECTED = {
    "dc:title": ["Tür"],
    "dc:description": ["A door"],
    "dc:subject": ["door", "wood"],
    "dc:creator": ["A. Body"],
    "photoshop:DateCreated": ["2024-02-29T11:22:33+01:00"],
    "photoshop:City": ["Ulm"],
    "Iptc4xmpCore:SubjectCode": ["04000000"],
    "dc:rights": ["(c) A. Body"],
}


def tiff(tag: int, data: bytes, numbers: bool = False) -> bytes:
    """A TIFF with a tag of bytes, or of the same as numbers of 32 bits."""
    data += bytes(-len(data) % 4)
    tags = ImageFileDirectory_v2()
    tags.tagtype[tag] = 7
    tags[tag] = data
    entry = struct.pack("<HHI", tag, 7, len(data))
    other = struct.pack("<HHI", tag, 4, len(data) // 4)
    return save(RGB, "TIFF", tiffinfo=tags).replace(entry, other if numbers else entry)


def raw_png(kind: str, data: bytes) -> bytes:
    info = PngInfo()
    info.add_text(f"Raw profile type {kind}", f"\n{kind}\n{len(data):8}\n{data.hex()}\n", zip=True)
    return save(RGB, "PNG", pnginfo=info)


CARRIERS: dict[str, Callable[[bytes], bytes]] = {
    "JPEG": lambda data: jpeg((0xED, b"Photoshop 3.0\0" + photoshop(x0404=data))),
    "JPEG, in two segments": lambda data: jpeg(
        *((0xED, b"Photoshop 3.0\0" + part) for part in (photoshop(x0404=data)[:40], photoshop(x0404=data)[40:]))
    ),
    "TIFF": lambda data: tiff(33723, data),
    "TIFF, as numbers": lambda data: tiff(33723, data, numbers=True),
    "TIFF, by Photoshop": lambda data: tiff(34377, photoshop(x0404=data)),
    "PNG, by ImageMagick": lambda data: raw_png("iptc", photoshop(x0404=data)),
    "PNG, plain": lambda data: raw_png("iptc", data),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("carrier", CARRIERS)
def test_iptc_goes_into_xmp(carrier: str) -> None:
    picture, notes = read_picture(CARRIERS[carrier](iim(*SETS)), None)
    assert said(picture.xmp) == EXPECTED
    assert notes == ["fields of its IPTC without a place in XMP are not kept: 2:65"]


def test_iptc_of_a_psd_and_what_photoshop_says_besides() -> None:
    held = photoshop(x0404=iim((2, 90, b"Ulm")), x040A=b"\1", x040B=b"https://a.b/", x0422=exif_bytes(), x07D0=b"path")
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 8, 8, 8, 3) + bytes(4) + struct.pack(">I", len(held)) + held
    picture, notes = read_picture(header + bytes(4) + b"\0\0" + bytes(192), None)
    web = {"xmpRights:Marked": ["True"], "xmpRights:WebStatement": ["https://a.b/"]}
    assert said(picture.xmp) == {"photoshop:City": ["Ulm"], **web}
    assert picture.exif == exif_bytes() and notes == ["the paths of Photoshop (1) are not kept"]


def test_texts_of_png_go_into_xmp() -> None:
    info = PngInfo()
    texts = {"Title": "A & B", "Author": "Somebody", "Description": "<p>", "Copyright": "2026", "Software": "Draw 1"}
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    info.add_itxt("Comment", "süß", lang="de")
    info.add_text("Creation Time", "Sun, 29 Nov 2026 10:00:00 +0100", zip=True)
    picture, notes = read_picture(save(RGB, "PNG", pnginfo=info), None)
    names = ["dc:title", "dc:creator", "dc:description", "dc:rights", "xmp:CreatorTool"]
    assert notes == [] and said(picture.xmp) == {
        **{name: [text] for name, text in zip(names, texts.values(), strict=True)},
        **{"exif:UserComment": ["süß"], "xmp:CreateDate": ["2026-11-29T10:00:00+01:00"]},
    }


def test_what_png_says_without_a_place_in_xmp_is_told() -> None:
    info = PngInfo()
    for keyword in ("workflow", "Warning", "date:create", "exif:Make"):
        info.add_text(keyword, "{}")
    info.add_text("Creation Time", "long ago")
    more = chunk(b"bKGD", bytes(6)) + chunk(b"tIME", struct.pack(">H5B", 2026, 11, 29, 1, 2, 3))
    data = save(RGB, "PNG", pnginfo=info)
    picture, notes = read_picture(data[:33] + more + data[33:], None)
    assert said(picture.xmp) == {"xmp:ModifyDate": ["2026-11-29T01:02:03Z"]}
    assert notes == [
        "chunks of the PNG file are not kept: bKGD",
        "texts without a place in XMP are not kept: workflow, Warning, Creation Time",
    ]
    many = b"".join(chunk(b"tEXt", f"key {n}\0text".encode()) for n in range(100))
    assert "key 7 and 92 more" in read_picture(png(noise(4, 4, 3), 2, 8, many), None)[1][0]


@pytest.mark.parametrize("format", ["JPEG", "GIF", "JPEG2000", "TGA"])
def test_comments_go_into_xmp(format: str) -> None:
    for comment, text in ((b"hello\nthere", "hello\nthere"), (b"sch\xf6n\0", "schön"), ("schön".encode(), "schön")):
        options = {"id_section": comment} if format == "TGA" else {"comment": comment}
        picture, _ = read_picture(save(RGB, format, **options), None)
        assert said(picture.xmp) == {"exif:UserComment": [text]}
    assert read_picture(save(RGB, format), None)[0].xmp is None or format == "JPEG2000"  # OpenJPEG names itself


def test_several_comments_and_unknown_segments_of_jpeg() -> None:
    data = jpeg((0xFE, b"one"), (0xFE, b"two"), (0xFE, b"one"), (0xEB, b"JP..."), (0xE4, b"maker"))
    picture, notes = read_picture(data, None)
    assert said(picture.xmp) == {"exif:UserComment": ["one\ntwo"]}
    assert notes == ["segments of the JPEG file are not kept: APP11, APP4"]


def test_tags_of_tiff_are_kept_or_told() -> None:
    tags = ImageFileDirectory_v2()
    tags[269], tags[285], tags[0x9C9B] = "A scan", "page 7", b"T\0i\0"
    tags.tagtype[0x9C9B], tags.tagtype[42112] = 1, 2
    tags[42112] = "<GDALMetadata/>"
    picture, notes = read_picture(save(RGB, "TIFF", tiffinfo=tags), None)
    exif = Image.Exif()
    exif.load(picture.exif or b"")
    assert (exif[269], exif[285], exif[0x9C9B]) == ("A scan", "page 7", b"T\0i\0")
    assert notes == ["tags of the TIFF file are not kept: GDAL_METADATA"]


@pytest.mark.parametrize(("kind", "field", "data"), [
    ("xmp", "xmp", XMP), ("APP1", "xmp", b"http://ns.adobe.com/xap/1.0/\0" + XMP), ("icc", "icc", b"profile"),
    ("APP1", "exif", b"Exif\0\0" + exif_bytes()), ("exif", "exif", exif_bytes())])  # fmt: skip
def test_metadata_in_texts_of_imagemagick(kind: str, field: str, data: bytes) -> None:
    picture, notes = read_picture(raw_png(kind, data), None)
    kept = getattr(picture, field)
    assert notes == [] and kept and data.endswith(kept)


def test_raw_texts_that_are_damaged_or_unknown_are_told() -> None:
    info = PngInfo()
    info.add_text("Raw profile type exif", "\nexif\n  9\nno hex\n")
    info.add_text("Raw profile type other", "\nother\n  1\n00\n")
    _, notes = read_picture(save(RGB, "PNG", pnginfo=info), None)
    assert notes == [f"{what} text chunk is not kept: Raw profile type {kind}"
                     for what, kind in (("a damaged", "exif"), ("a", "other"))]  # fmt: skip


def test_uuid_boxes_of_jpeg_2000() -> None:
    data = save(RGB, "JPEG2000", no_jp2=False)
    names = {"be7acfcb97a942e89c71999491e3afac": XMP, b"JpgTiffExif->JP2".hex(): exif_bytes(),
             "33c7a4d2b81d4723a0baf1a3e097ad38": iim((2, 101, b"Ulm"))}  # fmt: skip
    for name, content in names.items():
        data += struct.pack(">I4s", 24 + len(content), b"uuid") + bytes.fromhex(name) + content
    picture, notes = read_picture(data, None)
    assert notes == [] and picture.exif == exif_bytes()
    assert said(picture.xmp)["photoshop:City"] == ["Ulm"] == said(picture.xmp)["photoshop:Country"]


@pytest.mark.parametrize("format", ["BMP", "JPEG", "PNG"])
def test_the_resolution_is_kept(format: str) -> None:
    exif = Image.Exif()
    exif.load(read_picture(save(RGB, format, dpi=(300, 300)), None)[0].exif or b"")
    assert round(exif[0x11A]) == 300


# What is added to XMP


def test_what_is_added_leaves_the_rest_byte_for_byte() -> None:
    whole, notes = added(XMP, {"dc:title": ["A & B"], "photoshop:City": ["Ulm"]})
    assert notes == [] and whole is not None
    at = next(n for n in range(len(XMP)) if whole[n] != XMP[n])
    assert whole.endswith(XMP[at:]) and len(whole) > len(XMP)
    assert said(whole) == {"photoshop:City": ["Ulm"], "dc:title": ["A & B"]}
    abouts = [e.get(f"{{{RDF}}}about") for e in ElementTree.fromstring(whole).iter(f"{{{RDF}}}Description")]
    assert abouts == ["uuid:1", "uuid:1"]  # the same picture
    assert added(XMP, {"photoshop:City": ["Ulm"]}) == (XMP, []) == added(XMP, {})


def test_xmp_goes_before_what_differs() -> None:
    whole, notes = added(XMP, {"photoshop:City": ["Bonn"]})
    assert whole == XMP and notes == [
        "its XMP says something else than its other metadata, and is kept: photoshop:City"
    ]


@pytest.mark.parametrize(
    "bad",
    [
        b"<x/>",
        XMP[:-90],
        XMP.decode().encode("utf-16"),
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + XMP,
        b"<?xml version='1.0' encoding='latin-1'?>" + XMP,
    ],
)
def test_xmp_that_cannot_be_read_stays_as_it_is(bad: bytes) -> None:
    assert added(bad, {"dc:title": ["T"]}) == (
        bad, ["its XMP cannot be read, so that nothing is added to it: dc:title not kept"])  # fmt: skip


@given(st.dictionaries(st.sampled_from(sorted(CONTAINERS)), st.text(min_size=1), min_size=1), st.booleans())
def test_any_text_makes_xmp_that_can_be_read(texts: dict[str, str], alone: bool) -> None:
    whole, notes = added(None if alone else XMP, {name: [text] for name, text in texts.items()})
    assert notes == [] and texts.keys() <= said(whole).keys()
    for name, text in texts.items():
        if text.isprintable() and text == text.strip():
            assert said(whole)[name] == [text]


def test_a_packet_has_the_usual_prefixes() -> None:
    whole, _ = added(None, {f"{prefix}:a": ["b"] for prefix in NAMESPACES})
    assert whole and all(f"<{prefix}:a>b</{prefix}:a>".encode() in whole for prefix in NAMESPACES)


@given(st.binary(max_size=60), st.booleans())
def test_any_iptc_and_any_resources(data: bytes, begun: bool) -> None:
    fields(b"\x1c\2" + data if begun else data)
    resources(b"8BIM" + data if begun else data)
    found, _ = from_iptc(b"\x1c\2" + data)
    added(XMP, found)


def test_long_data_sets_of_iptc() -> None:
    data = b"\x1c\2\x78" + struct.pack(">HI", 0x8004, 40_000) + b"a" * 40_000 + iim((2, 90, b"Ulm"))
    assert from_iptc(data)[0] == {"dc:description": ["a" * 40_000], "photoshop:City": ["Ulm"]}


@pytest.mark.parametrize(
    ("day", "time", "expected"),
    [
        *(("20240229", "112233+0100", "2024-02-29T11:22:33+01:00"), ("20240229", "", "2024-02-29")),
        *(("20240000", "", "2024"), ("20240200", "", "2024-02"), ("00000000", "", ""), ("yesterday", "", "")),
        ("2024-02-29", "11:22:33", "2024-02-29T11:22:33"),
    ],
)
def test_dates_of_iptc(day: str, time: str, expected: str) -> None:
    assert date(day, time) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("29 Nov 2026 10:00:00 GMT", "2026-11-29T10:00:00+00:00"),
        ("2026-11-29T10:00:00Z", "2026-11-29T10:00:00+00:00"),
        *(("2026-11-29", "2026-11-29T00:00:00"), ("", ""), ("soon", ""), ("1 2 3", "")),
    ],
)
def test_moments(text: str, expected: str) -> None:
    assert moment(text) == expected


def test_xmp_made_of_words_goes_back_into_files() -> None:
    picture, _ = read_picture(jpeg((0xFE, b"hello")), None)
    for format in ("PNG", "JPEG", "WEBP", "TIFF"):
        data, notes = written(picture, format)
        assert notes == [] and read_picture(data, None)[0].xmp == picture.xmp
    assert Image.open(BytesIO(written(picture, "JPEG")[0])).info.get("comment") is None  # it stands in XMP alone
