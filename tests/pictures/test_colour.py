"""Colour spaces: what pictures say besides their ICC profile, and what becomes of it."""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vaecodec
from tests.commands import Run
from tests.picture_files import GREY, RGB, RGB_ALPHA, chunk, exif_bytes, noise, png, save, written
from tests.sample_pictures import picture
from vaecodec.bitstream.cicp import is_cicp, name_of
from vaecodec.codec import Codec
from vaecodec.errors import PictureError
from vaecodec.pictures import picture as picture_module
from vaecodec.pictures.colour import CONVERTED, DAMAGED, NO_RGB, PRIMARIES, STRETCHED, boxes, nclx
from vaecodec.pictures.metadata import STRIP, replaced, stripped
from vaecodec.pictures.picture import Picture
from vaecodec.pictures.preview import read_preview
from vaecodec.pictures.reading import as_picture, read_picture
from vaecodec.pictures.to_srgb import Converter, light, to_srgb

P3, HLG = b"\x0c\x0d\0\1", b"\x09\x12\0\1"
SRGB_CHUNK = chunk(b"sRGB", b"\0")
ADOBE = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(gamma * 100000)))


def chrm(chromaticities: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100000) for value in chromaticities)))


def iccp(profile: bytes = b"a profile") -> bytes:
    import zlib

    return chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))


def read(chunks: bytes, channels: int = RGB, pixels: np.ndarray | None = None) -> tuple[Picture, list[str]]:
    """A PNG file with such chunks."""
    pixels = noise(9, 70, channels) if pixels is None else pixels
    return read_picture(png(pixels, (0, 0, 4, 2, 6)[channels], 8, chunks), None)


@pytest.mark.parametrize(
    ("chunks", "cicp"),
    [
        (b"", None),
        (SRGB_CHUNK, None),
        (SRGB_CHUNK + gama(1) + chrm(PRIMARIES[9]), None),
        (gama(1 / 2.2), None),
        (gama(0.45) + chrm(PRIMARIES[1]), None),
        (chrm(PRIMARIES[1]), None),
        (chrm((0.31271, 0.32902, 0.63999, 0.33001, 0.30001, 0.59999, 0.15, 0.05999)), None),
        (gama(1 / 2.2) + chrm(PRIMARIES[12]), P3),
        (chrm(PRIMARIES[12]), P3),
        (gama(1) + chrm(PRIMARIES[9]), b"\x09\x08\0\1"),
        (gama(1 / 2.8) + chrm(PRIMARIES[5]), b"\5\5\0\1"),
        (gama(1), b"\1\x08\0\1"),
        (chunk(b"cICP", P3), P3),
        (chunk(b"cICP", HLG) + SRGB_CHUNK, HLG),
        (chunk(b"cICP", HLG) + gama(0.9) + chrm(ADOBE), HLG),
        (chunk(b"cICP", b"\1\x0d\0\1"), None),
        (chunk(b"cICP", b"\1\x0d\0\1") + gama(0.9), None),
        (gama(0), None),
        (iccp() + gama(0.9) + chrm(ADOBE), None),
    ],
)
def test_what_cicp_can_say_is_taken_so(chunks: bytes, cicp: bytes | None) -> None:
    found, notes = read(chunks)
    assert (found.cicp, notes) == (cicp, [])
    np.testing.assert_array_equal(found.pixels, noise(9, 70, RGB))


def test_cicp_stands_beside_a_profile() -> None:
    found, notes = read(chunk(b"cICP", b"\1\x0d\0\1") + iccp())
    assert (found.cicp, found.icc, notes) == (b"\1\x0d\0\1", b"a profile", [])


@pytest.mark.parametrize("bad", [b"", b"\1\x0d\0", b"\1\x0d\1\1", b"\1\x0d\0\1\0", b"\1\x0d\0\2"])
def test_a_cicp_that_is_none_of_rgb_is_not_kept(bad: bytes) -> None:
    found, notes = read(chunk(b"cICP", bad) + chrm(PRIMARIES[12]))
    assert (found.cicp, notes) == (P3, [NO_RGB] if bad else [])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_narrow_range_is_stretched(channels: int) -> None:
    pixels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], channels, axis=2)
    found, notes = read(chunk(b"cICP", b"\x09\x10\0\0"), channels, pixels)
    assert (found.cicp, notes) == (b"\x09\x10\0\1", [STRETCHED])
    levels = found.pixels[0, :, 0]
    assert (levels[:17] == 0).all() and (levels[235:] == 255).all() and levels[126] == 128 == levels[125] + 1
    if channels in (2, 4):
        np.testing.assert_array_equal(found.pixels[..., -1], pixels[..., -1])


@pytest.mark.parametrize("channels", [3, 4])
def test_other_primaries_are_converted_to_srgb(channels: int) -> None:
    """Colours of sRGB, written in Adobe's primaries and gamma, come back."""
    colours = picture(40, 50, channels)
    inside = light(colours[..., :3] / 255) @ np.linalg.inv(to_srgb(ADOBE)).T
    source = colours.copy()
    source[..., :3] = np.rint(255 * inside.clip(0, 1) ** (256 / 563))
    found, notes = read(gama(256 / 563) + chrm(ADOBE), channels, source)  # within what counts as sRGB's curve
    assert (found.cicp, notes) == (None, [CONVERTED])
    source[..., :3] = np.rint(255 * inside.clip(0, 1) ** (1 / 1.8))
    found, notes = read(gama(1 / 1.8) + chrm(ADOBE), channels, source)
    assert (found.cicp, notes) == (None, [CONVERTED])
    away = np.abs(found.pixels.astype(int) - colours)
    assert away.mean() < 0.6 and away[colours > 60].max() <= 3
    np.testing.assert_array_equal(found.pixels[..., 3:], colours[..., 3:])


def test_the_matrix_to_srgb() -> None:
    """Of Display P3, as CSS Color 4 has it; white stays white from any white."""
    known = [[1.2249, -0.2249, 0], [-0.0420, 1.0420, 0], [-0.0197, -0.0786, 1.0983]]
    np.testing.assert_allclose(to_srgb(PRIMARIES[12]), known, atol=2e-4)
    for these in PRIMARIES.values():
        np.testing.assert_allclose(to_srgb(these).sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize("channels", [1, 2])
def test_grey_has_no_primaries(channels: int) -> None:
    for chunks in (chrm(ADOBE), gama(1 / 2.2) + chrm(ADOBE), chrm(PRIMARIES[12])):
        found, notes = read(chunks, channels)
        assert (found.cicp, notes) == (None, [])
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], channels, axis=2)
    found, notes = read(gama(0.6) + chrm(ADOBE), channels, levels)
    assert notes == [CONVERTED] and found.pixels[0, 60, 0] == 84
    assert found.pixels[0, 0, 0] == 0 and found.pixels[0, 255, 0] == 255


@pytest.mark.parametrize(
    "nonsense", [(0.0,) * 8, (0.3, 0.0, *ADOBE[2:]), (0.3, 0.3) * 4, (*ADOBE[:2], *(0.3, 0.3) * 3)]
)
def test_nonsense_is_told(nonsense: tuple[float, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, notes = read(chrm(nonsense))
        assert (found.cicp, notes) == (None, [DAMAGED])
        np.testing.assert_allclose(found.pixels.astype(int), noise(9, 70, RGB), atol=1)
        assert read(gama(0.6) + chrm(nonsense))[1] == [CONVERTED, DAMAGED]


def test_large_pictures_are_converted_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    data = png(noise(150, 70, RGB), 2, 8, gama(0.6) + chrm(ADOBE))
    whole, notes = read_picture(data, None)
    monkeypatch.setattr(picture_module, "BY_ROWS_FROM", 1)
    strips, again = read_picture(data, None, by_rows=True)
    assert not isinstance(strips.pixels, np.ndarray) and again == notes == [CONVERTED]
    np.testing.assert_array_equal(strips.pixels[40:90], whole.pixels[40:90])
    tagged = png(noise(150, 70, RGB), 2, 8, chunk(b"cICP", P3))
    assert read_picture(tagged, None, by_rows=True)[0].cicp == P3


def test_images_of_pillow() -> None:
    """A file that is open is looked into, and its pixels still come."""
    data = png(noise(9, 70, RGB), 2, 8, chunk(b"cICP", P3))
    with Image.open(BytesIO(data)) as image:
        found = as_picture(image)
        assert found.cicp == P3
        np.testing.assert_array_equal(found.pixels, noise(9, 70, RGB))
        assert as_picture(image).cicp is None  # Pillow has let the file go
    image = Image.fromarray(noise(9, 9, RGB))
    image.info["cicp"] = HLG
    assert as_picture(image).cicp == HLG
    image.info |= {"cicp": b"nonsense", "gamma": "of a text chunk", "chromaticity": "so"}
    assert as_picture(image).cicp is None


# AVIF


def avif(primaries: int, curve: int) -> bytes:
    data = save(Image.fromarray(picture(16, 16)), "AVIF")
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, curve) + data[at + 4 :]


@pytest.mark.skipif("AVIF" not in Image.SAVE and not Image.init(), reason="this Pillow has no AVIF")
@pytest.mark.parametrize(
    ("named", "cicp"),
    [((1, 13), None), ((12, 13), P3), ((9, 18), HLG), ((2, 2), None), ((12, 2), P3), ((999, 1), None)],
)
def test_the_nclx_of_avif(named: tuple[int, int], cicp: bytes | None) -> None:
    found, notes = read_picture(avif(*named), None)
    assert (found.cicp, notes) == (cicp, [])


def test_an_avif_file_with_a_profile_and_one_with_several_spaces() -> None:
    box = b"\0\0\0\x13colrnclx\0\x0c\0\x0d\0\0\x80"
    other = b"\0\0\0\x13colrnclx\0\x01\0\x0d\0\0\x80"

    def file(colours: bytes) -> bytes:
        for kind, before in ((b"ipco", b""), (b"iprp", b""), (b"meta", bytes(4))):
            colours = struct.pack(">I", len(before + colours) + 8) + kind + before + colours
        return b"\0\0\0\x08ftyp" + colours

    assert nclx(file(box)) == nclx(file(box + box)) == P3
    assert nclx(file(box + other)) is None and nclx(file(b"")) is None and nclx(b"") is None
    assert list(boxes(b"\0\0\0\1wide\0\0\0\0\0\0\0\x12ab\0\0\0\0restxy", b"wide")) == [b"ab"]
    assert list(boxes(b"\0\0\0\0restxy", b"rest")) == [b"xy"] and list(boxes(b"\0\0\0\7rest", b"none")) == []
    tagged = avif(12, 13)
    profile = save(Image.fromarray(picture(16, 16)), "AVIF", icc_profile=b"profile")
    assert read_picture(tagged, None)[0].cicp == P3 and read_picture(profile, None)[0].cicp is None


# Files of ours


def test_it_comes_back(small: Codec) -> None:
    file = small.encode(Picture(picture(40, 30), icc=b"icc", cicp=P3), 50, preview=True)
    found = small.decode(file)
    assert (found.cicp, found.icc) == (P3, b"icc")
    preview = read_preview(file)
    assert preview and preview.cicp == P3
    assert small.decode_partial(file[:-20]).picture.cicp == P3
    again, notes = read_picture(written(found, "PNG")[0], None)
    assert (again.cicp, again.icc, notes) == (P3, b"icc", [])


def test_a_damaged_one_does_not_stop_what_is_left(small: Codec) -> None:
    file = small.encode(Picture(picture(40, 30), cicp=P3), 50)
    bad = file.replace(file[file.index(b"cICP") - 4 :][:16], chunk_of_ours(b"cICP", b"\1\1\1\1"))
    assert bad != file and small.decode_partial(bad).picture.cicp is None


def chunk_of_ours(kind: bytes, data: bytes) -> bytes:
    import zlib

    return struct.pack("<I", len(data)) + kind + data + struct.pack("<I", zlib.crc32(kind + data))


@pytest.mark.parametrize("bad", [b"", b"\1\1\0", b"\1\1\1\1", b"\1\1\0\0", "text", bytearray(P3)])
def test_a_picture_takes_nothing_else(bad: bytes) -> None:
    with pytest.raises(PictureError, match="cicp"):
        Picture(picture(4, 4), cicp=bad)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "TIFF", "AVIF", "BMP", "PPM"])
def test_formats_without_it(format: str) -> None:
    assert (
        "its colour space (Display P3) is not held by " + format
        in written(Picture(noise(3, 5, RGB), cicp=P3), format)[1]
    )


def test_strip_keeps_it_and_another_profile_does_not() -> None:
    full = Picture(picture(4, 4), b"icc", exif_bytes(), b"<x/>", P3)
    assert [stripped(full, level).cicp for level in STRIP] == [P3] * 3
    assert replaced(full, {"icc": b"new"}).cicp is None and replaced(full, {"icc": b"", "xmp": b"<y/>"}).cicp == P3


def test_names() -> None:
    assert name_of(P3) == "Display P3" and name_of(b"\1\x0d\0\1") == "sRGB" and name_of(HLG) == "BT.2100 HLG"
    assert name_of(b"\x0c\x08\0\1") == "primaries Display P3, curve linear"
    assert name_of(b"\xc8\xc9\0\1") == "primaries number 200, curve number 201"
    assert is_cicp(P3) and not is_cicp(P3[:3])


def test_info_says_it(run: Run) -> None:
    Path("p3.png").write_bytes(png(noise(9, 70, GREY), 0, 8, chunk(b"cICP", P3)))
    Path("icc.png").write_bytes(png(noise(9, 70, RGB_ALPHA), 6, 8, iccp()))
    Path("srgb.png").write_bytes(png(noise(9, 70, RGB), 2, 8))
    Path("other.png").write_bytes(png(noise(9, 70, RGB), 2, 8, gama(0.6)))
    for name, space in (("p3", "Display P3"), ("icc", "ICC profile"), ("srgb", "sRGB"), ("other", "sRGB")):
        told = run("encode", f"{name}.png", f"{name}.vaec").err
        assert (CONVERTED in told) == (name == "other")
        assert f"8 bits, {space}\n" in run("info", f"{name}.vaec").out.decode()
        assert f'"colour_space": "{space}"' in run("info", "--json", f"{name}.vaec").out.decode()


def test_the_plugin_of_pillow() -> None:
    vaecodec.register()
    image = Image.fromarray(picture(8, 8))
    image.info["cicp"] = P3
    stream = BytesIO()
    image.save(stream, "VAEC")
    with Image.open(stream) as opened:
        assert opened.info["cicp"] == P3 and as_picture(opened).cicp == P3


def test_a_converter_leaves_what_it_is_given() -> None:
    pixels = noise(5, 6, RGB)
    before = pixels.copy()
    np.testing.assert_array_equal(Converter(None, None)(pixels), before)
    np.testing.assert_array_equal(pixels, before)
