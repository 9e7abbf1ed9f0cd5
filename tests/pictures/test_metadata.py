"""What metadata goes along: stripping, files of metadata, resolutions, orientation."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from tests.sample_pictures import picture
from vaecodec.bitstream import container
from vaecodec.cli import main
from vaecodec.errors import VaecError
from vaecodec.pictures.exif import density, orientation
from vaecodec.pictures.metadata import STRIP, given, stripped
from vaecodec.pictures.picture import Picture
from vaecodec.pictures.reading import read_picture
from vaecodec.pictures.writing import write_picture

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(turned: int = 1, **tags: object) -> bytes:
    made = Image.Exif()
    made[ExifTags.Base.Orientation], made[ExifTags.Base.Artist] = turned, "somebody"
    for name, value in tags.items():
        made[getattr(ExifTags.Base, name)] = value
    return made.tobytes().removeprefix(b"Exif\0\0")


def full(turned: int = 1) -> Picture:
    return Picture(picture(20, 30), icc=ICC, exif=exif(turned), xmp=b"<x/>")


@pytest.mark.parametrize("turned", [1, 6])
def test_levels(turned: int) -> None:
    source = full(turned)
    none, private, everything = (stripped(source, level) for level in STRIP)
    assert none == source
    for less in (private, everything):
        assert less.xmp is None and orientation(less.exif) == turned
        assert b"somebody" not in (less.exif or b"")
        assert (less.exif is None) == (turned == 1)
    assert private.icc == ICC and everything.icc is None


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with Path("a.png").open("wb") as handle:
        write_picture(full(6), handle, "PNG")
    return tmp_path


def test_command_line(folder: Path) -> None:
    def metadata(name: str) -> dict[str, bytes]:
        return container.parse(Path(name).read_bytes()).metadata

    assert run("encode", "a.png", "all.vaec") == 0
    assert run("encode", "--strip", "private", "a.png", "private.vaec") == 0
    assert run("encode", "--strip", "all", "a.png", "none.vaec") == 0
    assert metadata("all.vaec").keys() == {"icc", "exif", "xmp"}
    assert metadata("private.vaec").keys() == {"icc", "exif"}
    assert metadata("none.vaec").keys() == {"exif"}
    assert run("decode", "--strip", "all", "all.vaec", "bare.png") == 0
    with Image.open("bare.png") as image:
        assert dict(image.getexif()) == {ExifTags.Base.Orientation: 6}
        assert "icc_profile" not in image.info

    Path("e"), Path("e").write_bytes(b"Exif\0\0" + exif(Software="ours"))
    Path("i").write_bytes(ICC)
    Path("x").write_bytes(b"<new/>")
    assert run("encode", "--strip", "all", "--exif", "e", "--icc", "i", "--xmp", "x", "a.png", "given.vaec") == 0
    assert metadata("given.vaec") == {"exif": exif(Software="ours"), "icc": ICC, "xmp": b"<new/>"}


@pytest.mark.parametrize(
    ("option", "name", "word"),
    [
        ("--exif", "a.png", "not EXIF"),
        ("--icc", "a.png", "not an ICC"),
        ("--xmp", "z", "not XMP"),
        ("--icc", "no", "No such file"),
    ],
)
def test_metadata_that_is_none(
    folder: Path, capsys: pytest.CaptureFixture[str], option: str, name: str, word: str
) -> None:
    Path("z").write_bytes(bytes(100))
    assert run("encode", option, name, "a.png") == 2
    assert word in capsys.readouterr().err and not Path("a.vaec").exists()


def test_given_takes_exif_with_and_without_its_identifier() -> None:
    assert given("exif", exif()) == given("exif", b"Exif\0\0" + exif()) == exif()
    with pytest.raises(VaecError):
        given("exif", b"")


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
@pytest.mark.parametrize("dpi", [(300, 300), (150, 75)])
def test_a_resolution_is_kept(format: str, dpi: tuple[int, int]) -> None:
    """As PNG and JPEG have it outside of EXIF, to EXIF, and back to both."""
    source = io.BytesIO()
    Image.fromarray(picture(8, 8)).save(source, format, dpi=dpi)
    read, _ = read_picture(source.getvalue(), None)
    assert density(read.exif) == pytest.approx(dpi, abs=0.02)
    written = io.BytesIO()
    write_picture(read, written, format)
    with Image.open(written) as image:
        assert image.info["dpi"] == pytest.approx(dpi, abs=0.02)


def test_no_resolution_makes_no_exif() -> None:
    for options in ({}, {"dpi": (72, 72)}):
        source = io.BytesIO()
        Image.fromarray(picture(8, 8)).save(source, "PNG", **options)
        assert read_picture(source.getvalue(), None)[0].exif is None


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"XResolution": 118.11, "YResolution": 118.11, "ResolutionUnit": 3}, 300),
        ({"XResolution": 0, "YResolution": 3}, None),
        ({"ResolutionUnit": 9, "XResolution": 3, "YResolution": 3}, None),
        ({}, None),
    ],
)
def test_density(tags: dict[str, object], expected: float | None) -> None:
    found = density(exif(**tags))
    assert found == (None if expected is None else pytest.approx((expected, expected), rel=1e-3))


def test_pixels_are_stored_as_they_are(folder: Path) -> None:
    """An orientation is carried, and applied only where the output format cannot carry it."""
    assert run("encode", "a.png") == 0
    assert run("decode", "a.vaec", "b.png") == 0 and run("decode", "a.vaec", "b.bmp") == 0
    with Image.open("b.png") as png, Image.open("b.bmp") as bmp:
        assert png.size == (30, 20) and bmp.size == (20, 30)
        np.testing.assert_array_equal(np.asarray(png.transpose(Image.Transpose.ROTATE_270)), np.asarray(bmp))
