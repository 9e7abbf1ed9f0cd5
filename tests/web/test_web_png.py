"""PNG files that the web decoder writes, as Pillow reads them; pictures turned upright."""

from __future__ import annotations

import itertools
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from tests.web.node import run

WRITE = """
const { toPNG, upright } = await load("png.js");
answer(args[0].map(({ path, odd, icc, ...picture }, n) => {
  const pixels = read(path);
  const buffer = new ArrayBuffer(pixels.length + odd); // pixels may lie anywhere
  const data = new Uint8ClampedArray(buffer, odd);
  data.set(pixels);
  const given = { ...picture, icc: icc && new Uint8Array(Buffer.from(icc, "hex")), data, damaged: [7] };
  writeFileSync(`${path}.png`, toPNG(given));
  const { data: turned, icc: same, ...rest } = upright(given);
  writeFileSync(`${path}.turned`, turned);
  const unchanged = Buffer.compare(new Uint8Array(buffer, odd), pixels) === 0 && same === given.icc;
  return { ...rest, unchanged, clamped: turned instanceof Uint8ClampedArray };
}));
"""
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
COLOURS: list[dict[str, Any]] = [
    {},
    {"icc": bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())},
    {"cicp": [12, 13, 0, 1]},
    {"cicp": [9, 16, 0, 1], "icc": bytes(range(256)) * 300},
]


def rgba(height: int, width: int, channels: int) -> np.ndarray:
    """Pixels as a Picture has them, grey as three equal samples, and opaque where there is no alpha."""
    pixels = np.random.default_rng(height * width + channels).integers(0, 256, (height, width, 4), np.uint8)
    if channels < 3:
        pixels[..., 1:3] = pixels[..., :1]
    if channels % 2:
        pixels[..., 3] = 255
    return pixels


def in_the_file(pixels: np.ndarray, channels: int) -> np.ndarray:
    picked = pixels[..., {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]]
    return picked[..., 0] if channels == 1 else picked


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """As Pillow turns what a viewer shows."""
    image = Image.fromarray(pixels)
    image.getexif()[0x112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def chunks_of(png: bytes) -> dict[str, bytes]:
    """By type; each once, its checksum right."""
    found, at = {}, 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        data, (crc,) = png[at + 8 : at + 8 + length], struct.unpack_from(">I", png, at + 8 + length)
        assert zlib.crc32(kind + data) == crc
        assert kind.decode() not in found
        found[kind.decode()] = data
        at += 12 + length
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[dict[str, Any], np.ndarray, dict[str, Any]]]:
    """Pictures that were given, their pixels, and what came back."""
    folder = tmp_path_factory.mktemp("png")
    pictures, pixels = [], []
    shapes = [(5, 3), (1, 1), (40, 17), (1, 70000), (300, 90)]
    for n, (channels, orientation) in enumerate(itertools.product(MODES, range(1, 9))):
        for shape in shapes if channels == orientation else shapes[2:3]:
            pixels.append(rgba(*shape, channels))
            path = folder / f"{len(pixels)}"
            path.write_bytes(pixels[-1].tobytes())
            size = {"height": shape[0], "width": shape[1], "channels": channels, "orientation": orientation}
            colours = COLOURS[n % len(COLOURS)]
            icc = {"icc": colours["icc"].hex()} if "icc" in colours else {}
            pictures.append({"path": path, "odd": n % 3, **size, **colours, **icc})
    return list(zip(pictures, pixels, run(WRITE, folder, pictures), strict=True))


Written = list[tuple[dict[str, Any], np.ndarray, dict[str, Any]]]


def test_pixels_of_png(written: Written) -> None:
    for given, pixels, _ in written:
        with Image.open(f"{given['path']}.png") as image:
            assert image.mode == MODES[given["channels"]]
            wanted = in_the_file(turned(pixels, given["orientation"]), given["channels"])
            np.testing.assert_array_equal(np.asarray(image), wanted)
            assert not image.getexif()


def test_colours_of_png(written: Written) -> None:
    for given, _, _ in written:
        chunks = chunks_of(Path(f"{given['path']}.png").read_bytes())
        kinds = {"cICP": "cicp" in given, "iCCP": "icc" in given}
        assert {kind: kind in chunks for kind in kinds} == kinds
        assert ("sRGB" in chunks) == (not any(kinds.values()))
        assert next(iter(chunks)) == "IHDR" and list(chunks)[-2:] == ["IDAT", "IEND"]
        if "cICP" in chunks:
            assert list(chunks["cICP"]) == given["cicp"]
        if "iCCP" in chunks:
            with Image.open(f"{given['path']}.png") as image:
                assert image.info["icc_profile"].hex() == given["icc"]


def test_upright(written: Written) -> None:
    for given, pixels, told in written:
        wanted = turned(pixels, given["orientation"])
        assert (told["height"], told["width"], told["orientation"]) == (*wanted.shape[:2], 1)
        found = np.frombuffer(Path(f"{given['path']}.turned").read_bytes(), np.uint8)
        np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)
        assert (
            told["unchanged"] and told["clamped"] and told["damaged"] == [7] and told.get("cicp") == given.get("cicp")
        )
