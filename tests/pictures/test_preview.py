"""Previews and thumbnails, and what desktops are told of the format."""

from __future__ import annotations

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.sample_pictures import picture
from tools.train.data import load
from vaecodec.bitstream.chunks import SIGNATURE, pack_chunk, read_chunks
from vaecodec.bitstream.header import VERSION
from vaecodec.cli import main
from vaecodec.codec import Codec, encoder
from vaecodec.errors import VaecError
from vaecodec.pictures.exif import orientation_exif
from vaecodec.pictures.picture import Picture
from vaecodec.pictures.preview import read_preview

DESKTOP = Path(__file__).resolve().parents[2] / "tools" / "desktop"
SAMPLE = Path(__file__).parents[1] / "data" / "kodim23.png"


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_previews(small: Codec, channels: int) -> None:
    pixels = picture(200, 300, channels)
    plain, with_one = (small.encode(Picture(pixels, icc=b"x"), 50, preview=wanted) for wanted in (False, True))
    assert read_preview(plain) is None
    assert [c.type for c in list(read_chunks(with_one))[:3]] == ["HEAD", "pREV", "iCCP"]
    found = read_preview(with_one)
    assert found is not None and found.pixels.shape == (85, 128, 4 if channels in (2, 4) else 3)
    np.testing.assert_array_equal(small.decode(plain).pixels, small.decode(with_one).pixels)


def test_large_pictures_have_one(small: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "FROM", 64 * 64)
    assert read_preview(small.encode(picture(64, 64))) and not read_preview(small.encode(picture(63, 64)))
    assert not read_preview(small.encode(picture(64, 64), preview=False))


def test_it_looks_like_the_picture(small: Codec) -> None:
    pixels = load(SAMPLE)
    found = read_preview(small.encode(pixels, 10, preview=True))
    assert found is not None
    expected = np.asarray(Image.fromarray(pixels).resize((128, 85), Image.Resampling.BOX)).astype(float)
    assert np.abs(found.pixels - expected).mean() < 6


@pytest.mark.parametrize("content", [b"", b"RIFF no picture", b"large"])
def test_bad_previews(small: Codec, tmp_path: Path, content: bytes) -> None:
    if content == b"large":
        Image.fromarray(picture(10, 300)).save(tmp_path / "x.webp")
        content = (tmp_path / "x.webp").read_bytes()
    data = small.encode(picture(64, 64), 50, preview=False)
    at = next(chunk.start for chunk in read_chunks(data) if chunk.type == "TILE")
    data = data[:at] + pack_chunk("pREV", content) + data[at:]
    with pytest.raises(VaecError, match="preview"):
        read_preview(data)
    small.decode(data)


def test_decode_preview(shipped: Codec, tmp_path: Path) -> None:
    """From a file's beginning; without a preview the picture at 1/8."""
    source, target = tmp_path / "a.vaec", tmp_path / "a.png"
    data = shipped.encode(load(SAMPLE), 50, preview=True)
    plain = shipped.encode(load(SAMPLE), 50)
    found = read_preview(data)
    assert found is not None
    for content, expected in ((data[:5000], found.pixels), (plain, shipped.decode_scaled(plain, 8).pixels)):
        source.write_bytes(content)
        with pytest.raises(SystemExit) as ended:
            main(["decode", "-f", "--preview", str(source)])
        assert not ended.value.code
        np.testing.assert_array_equal(load(target), expected)


def thumbnail(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["thumbnail", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_thumbnails(shipped: Codec, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "a.vaec", tmp_path / "a.png"
    upright = Picture(load(SAMPLE)[:200, :300], exif=orientation_exif(6))
    source.write_bytes(shipped.encode(upright, 50, preview=True))
    assert thumbnail("-s", 60, source, target) == 0
    with Image.open(target) as image:
        assert image.size == (40, 60) and image.getexif().get(ExifTags.Base.Orientation, 1) == 1
    assert thumbnail(source, target) == 1 and "exists already" in capsys.readouterr().err
    assert thumbnail("-f", "-s", 200, source, target) == 0, "larger than the preview: decoded"
    with Image.open(target) as image:
        assert image.size == (133, 200)
    source.write_bytes(shipped.encode(upright, 50))
    assert thumbnail("-f", "-s", 60, source, target) == 0, "without a preview: decoded"
    source.write_bytes(b"nothing")
    assert thumbnail("-f", source, target) == 3


def test_the_beginning_of_a_file_is_enough_and_torch_not_needed(shipped: Codec, tmp_path: Path) -> None:
    data = shipped.encode(load(SAMPLE), 75, preview=True)
    source, target = tmp_path / "a.vaec", tmp_path / "a.png"
    source.write_bytes(data[:6000])
    code = "import sys; from vaecodec.cli import main\ntry: main()\nfinally: print('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "thumbnail", str(source), str(target)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "False"
    assert load(target).shape == (85, 128, 3)


def test_the_mime_type_names_the_signature() -> None:
    root = ElementTree.parse(DESKTOP / "vaec-mime.xml").getroot()
    space = {"m": "http://www.freedesktop.org/standards/shared-mime-info"}
    match, glob = root.find(".//m:match", space), root.find(".//m:glob", space)
    assert match is not None and glob is not None and glob.get("pattern") == "*.vaec"
    assert match.get("value", "").encode().decode("unicode_escape").encode("latin-1") == SIGNATURE


@pytest.mark.skipif(not shutil.which("file"), reason="needs file(1)")
def test_magic(small: Codec, tmp_path: Path) -> None:
    path = tmp_path / "a.vaec"
    path.write_bytes(small.encode(picture(20, 30), 50))
    for option, expected in (
        ("-b", f"vaecodec picture, format version {VERSION}\n"),
        ("-bi", "image/vaec"),
    ):
        result = subprocess.run(
            ["file", "-m", DESKTOP / "vaec.magic", option, path], capture_output=True, text=True, check=True
        )
        assert expected in result.stdout
