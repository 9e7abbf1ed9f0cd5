"""The package against tests/reference_decoder.py, which was written from bitstream_spec.md alone.

Both must give the same pixels for whatever an encoder may send, and refuse the same files. Four sources of files: the
package's encoder; `forge`, an encoder without a picture, that sends values no picture gives and so reaches every
clamp; the same with a model file of random weights; and damaged files with their CRC repaired.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import VECTORS

from tests import reference_decoder as reference
from tests.forgery import (
    EMPTY,
    EXTRA,
    OF_ONE,
    OF_PARTS,
    OF_SEVERAL,
    Chunk,
    changed_header,
    changed_tile,
    coloured,
    flagged,
    forge,
    index_of,
    join,
    leb128,
    parts_of,
    random_model,
    split,
    violations,
)
from vaecodec.codec import Codec
from vaecodec.pictures.picture import Picture

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def model_path() -> Path:
    """The shipped model, or the one that VAEC_TEST_MODEL names."""
    shipped = Path(__file__).parents[2] / "vaecodec" / "weights" / "base.safetensors"
    return Path(os.environ.get("VAEC_TEST_MODEL", shipped))


@pytest.fixture(scope="module")
def model(model_path: Path) -> bytes:
    return model_path.read_bytes()


@pytest.fixture(scope="module")
def codec(model_path: Path) -> Codec:
    return Codec(model_path)


def picture(kind: str, height: int, width: int, channels: int, seed: int = 0) -> Pixels:
    """Noise, a smooth gradient, hard edges of full contrast, or one value; alpha, if any, is coded."""
    rng = np.random.default_rng(seed)
    i, j, c = np.indices((height, width, channels))
    values: reference.Ints
    if kind == "noise":
        values = rng.integers(0, 256, i.shape)
    elif kind == "gradient":
        values = (i * (c + 1) + j * 2) * 255 // (height * channels + 2 * width)
    elif kind == "edges":
        values = 255 * ((i // 5 + j // 7 + c) % 2)
    else:
        values = np.full(i.shape, 200)
    pixels: Pixels = values.astype(np.uint8)
    return pixels


def assert_same(codec: Codec, model: bytes, data: bytes) -> Pixels:
    pixels = codec.decode(data).pixels
    other = reference.decode(data, model)
    assert pixels.shape == other.shape and pixels.dtype == other.dtype == np.uint8
    np.testing.assert_array_equal(pixels, other)
    return other


def outcome(decode: Callable[[], Pixels]) -> Pixels | None:
    """The pixels, or None if the file was refused; any other error is a failure."""
    try:
        return decode()
    except ValueError:
        return None


def assert_agree(codec: Codec, model: bytes, data: bytes) -> bool:
    """Both decoders refuse the file, or both give the same pixels; whether they decoded it."""
    pixels = outcome(lambda: codec.decode(data).pixels)
    other = outcome(lambda: reference.decode(data, model))
    assert (pixels is None) == (other is None), f"refused: package {pixels is None}, reference {other is None}"
    if pixels is not None and other is not None:
        np.testing.assert_array_equal(pixels, other)
    return pixels is not None


# Files of the package's encoder


@pytest.mark.parametrize("quality", [0, 37.5, 75, 100])
@pytest.mark.parametrize("kind", ["noise", "gradient", "edges"])
def test_tiles_and_qualities(codec: Codec, model: bytes, kind: str, quality: float) -> None:
    assert_same(codec, model, codec.encode(Picture(picture(kind, 200, 150, 3)), quality, tile=64))


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (64, 65), (15, 130)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sizes_and_colours(codec: Codec, model: bytes, size: tuple[int, int], channels: int) -> None:
    for kind in ("noise", "gradient"):
        assert_same(codec, model, codec.encode(Picture(picture(kind, *size, channels)), 60, tile=64))


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("kind", ["noise", "gradient", "constant"])
def test_alpha(codec: Codec, model: bytes, channels: int, kind: str) -> None:
    pixels = picture("gradient", 70, 130, channels)
    pixels[..., -1] = picture(kind, 70, 130, 1, seed=1)[..., 0]
    data = codec.encode(Picture(pixels), 50, tile=64)
    header, _ = reference.read_file(data)
    assert header.alpha == (1 if kind == "constant" else 2)
    decoded = assert_same(codec, model, data)
    np.testing.assert_array_equal(decoded[..., -1], pixels[..., -1])  # alpha is lossless


def test_large_tile(codec: Codec, model: bytes) -> None:
    assert_same(codec, model, codec.encode(Picture(picture("noise", 140, 260, 3)), 80, tile=256))


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("tile", [64, None])
def test_progressive(codec: Codec, model: bytes, channels: int, tile: int | None) -> None:
    """The same pixels as of another file; overlays and alpha among them."""
    pixels = picture("noise", 90, 150, channels)
    pixels[:70, :80] = picture("edges", 70, 80, channels)
    plain, progressive = (codec.encode(Picture(pixels), 60, tile=tile, progressive=wanted) for wanted in (False, True))
    np.testing.assert_array_equal(assert_same(codec, model, progressive), reference.decode(plain, model))


def test_metadata_is_skipped(codec: Codec, model: bytes) -> None:
    pixels = picture("edges", 20, 30, 3)
    data = codec.encode(Picture(pixels, icc=b"profile", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0", xmp=b"<x/>"), 50)
    plain = codec.encode(Picture(pixels), 50)
    np.testing.assert_array_equal(reference.decode(data, model), assert_same(codec, model, plain))


def test_pictures_cover_skips_and_escapes(codec: Codec) -> None:
    lengths = {}
    for kind, quality in (("gradient", 0), ("edges", 100)):
        data = codec.encode(Picture(picture(kind, 64, 64, 3)), quality, effort=2, tile=64)
        lanes, *_ = reference.read_tile(reference.read_file(data)[1][0])
        assert lanes is not None
        lengths[kind] = len(lanes.words), len(lanes.escapes)
    assert lengths["gradient"][0] < 16 * 320 // 8  # some elements took no part of a word
    assert lengths["edges"][1] > 0


# Forged files: whatever an encoder may send


@pytest.mark.parametrize("quality", [0, 62, 63, 499, 938, 1000])
@pytest.mark.parametrize(("escapes", "largest"), [(0.0, 0), (0.01, 64), (0.2, 32767)])
def test_forged_values(codec: Codec, model: bytes, quality: int, escapes: float, largest: int) -> None:
    header = reference.Header(100, 50, 1, quality, 1, 0, 0, "", b"")
    assert_same(codec, model, forge(model, header, quality % 5, escapes, largest, seed=quality))


@pytest.mark.parametrize("lanes_log2", range(8))
def test_forged_lanes(codec: Codec, model: bytes, lanes_log2: int) -> None:
    header = reference.Header(40, 70, 3, 700, 1, 2, 0, "", b"")
    assert_same(codec, model, forge(model, header, lanes_log2, 0.02, 300, seed=lanes_log2))


@pytest.mark.parametrize(
    ("gain", "config"),
    [
        (0, {}),
        (2, {"skip": 0, "dependent": 0}),
        (3, {"skip": 20, "blocks_s": 5, "dependent": 64}),
        (5, {"blocks_h": 0, "blocks_c": 1, "blocks_s": 3}),
    ],
)
def test_random_models(model: bytes, gain: int, config: dict[str, int], tmp_path: Path) -> None:
    other = random_model(model, gain, gain, config)
    path = tmp_path / "random.safetensors"
    path.write_bytes(other)
    codec = Codec(path)
    for quality, escapes in ((0, 0.0), (333, 0.01), (1000, 0.2)):
        header = reference.Header(100, 80, 1, quality, 1, 0, 0, "", b"")
        pixels = assert_same(codec, other, forge(other, header, 3, escapes, 32767, seed=quality))
        assert len(np.unique(pixels)) > 50  # not just black and white


# Damaged files


def test_damaged_tiles(codec: Codec, model: bytes) -> None:
    """One byte of a tile changed, the CRC right."""
    rng = np.random.default_rng(5)
    for channels, quality in ((4, 0), (3, 20)):
        head, tile = split(codec.encode(Picture(picture("gradient", 20, 40, channels)), quality))
        for at in [*range(14), *rng.integers(0, len(tile[1]), 30)]:
            changed = bytearray(tile[1])
            changed[at] ^= 1 << int(rng.integers(8))
            assert_agree(codec, model, join([head, (b"TILE", bytes(changed))]))


def test_damaged_header(codec: Codec, model: bytes) -> None:
    """The short one, and one with every field there."""
    chunks = split(codec.encode(Picture(picture("gradient", 20, 40, 4)), 10))
    named = {"number": 0, "model": codec.weights.name.encode(), "hash": codec.weights.hash}
    constant = changed_tile(chunks, alpha=b"")
    long = changed_header(constant, alpha=1, value=9, tile=3, features=2**20, rest=b"later", **named)
    decoded = 0
    for head, tile in (chunks, long):
        for at in range(len(head[1])):
            for bit in range(8):
                changed = bytearray(head[1])
                changed[at] ^= 1 << bit
                decoded += assert_agree(codec, model, join([(b"HEAD", bytes(changed)), tile]))
    assert decoded > 50


def test_header_cut_off(codec: Codec, model: bytes) -> None:
    """Anywhere: what follows is no part of it."""
    chunks = split(codec.encode(Picture(picture("gradient", 20, 40, 4)), 10))
    long = changed_header(chunks, tile=3, features=2**20)
    for end in range(len(long[0][1])):
        assert not assert_agree(codec, model, join([(b"HEAD", long[0][1][:end]), long[1]]))


def test_damaged_index(codec: Codec, model: bytes) -> None:
    head, index, *tiles = split(codec.encode(Picture(picture("gradient", 70, 80, 3)), 10, tile=64))
    for at in range(len(index[1])):
        for bit in range(8):
            changed = bytearray(index[1])
            changed[at] ^= 1 << bit
            assert not assert_agree(codec, model, join([head, (b"tIDX", bytes(changed)), *tiles]))


@pytest.mark.parametrize("progressive", [False, True])
def test_truncated(codec: Codec, model: bytes, progressive: bool) -> None:
    data = codec.encode(Picture(picture("gradient", 20, 40, 3)), 10, progressive=progressive)
    for end in range(len(data)):
        with pytest.raises(ValueError):
            reference.decode(data[:end], model)
        with pytest.raises(ValueError):
            codec.decode(data[:end])


@pytest.fixture(scope="module")
def chunks(codec: Codec) -> list[Chunk]:
    return split(codec.encode(Picture(picture("gradient", 20, 40, 4)), 30))


@pytest.fixture(scope="module")
def broken(small: Codec) -> dict[str, tuple[str, bytes]]:
    """Of a model without a number."""
    one = split(small.encode(Picture(picture("gradient", 20, 40, 4)), 30))
    pixels = Picture(picture("gradient", 70, 150, 4))
    several, parts = (split(small.encode(pixels, 30, tile=64, progressive=wanted)) for wanted in (False, True))
    return violations(one, several, parts)


@pytest.mark.parametrize("name", [*OF_ONE, *OF_SEVERAL, *OF_PARTS])
def test_violations(small: Codec, broken: dict[str, tuple[str, bytes]], name: str) -> None:
    (rule, data), model = broken[name], (VECTORS / "small.safetensors").read_bytes()
    with pytest.raises(ValueError, match=rf"^{rule}: "):
        reference.decode(data, model)
    with pytest.raises(ValueError):
        small.decode(data)


def test_unusual_but_valid(codec: Codec, model: bytes, chunks: list[Chunk]) -> None:
    """Unknown ancillary chunks anywhere, repeated; constant alpha; alpha_is_used either way; bytes behind
    VP8L bitstreams."""
    expected = assert_same(codec, model, join(chunks))
    head, tile = chunks
    named = {"number": 0, "model": codec.weights.name.encode(), "hash": codec.weights.hash}
    for order in (
        [head, EXTRA, EXTRA, tile],
        [head, (b"rESI", b"xyz"), EXTRA, index_of(chunks), tile],
        changed_header(chunks, rest=b"of later versions"),
        changed_header(chunks, features=2**16),
        changed_header(chunks, tile=15, features=2**34 + 2**16),
        changed_header(chunks, **named),
    ):
        np.testing.assert_array_equal(assert_same(codec, model, join(order)), expected)
    constant = changed_tile(changed_header(chunks, alpha=1, value=77), alpha=b"")
    assert (assert_same(codec, model, join(constant))[..., 3] == 77).all()
    assert (
        assert_same(codec, model, join(changed_tile(chunks, overlay=coloured(20, 40, 255))))[..., :3]
        != expected[..., :3]
    ).any()
    empty = changed_tile(chunks, **EMPTY)
    assert_same(codec, model, join(empty))
    for section in bitstreams(coloured(20, 40)):
        assert_same(codec, model, join(changed_tile(chunks, alpha=section)))
    for section in bitstreams(coloured(20, 40, 0)):
        np.testing.assert_array_equal(assert_same(codec, model, join(changed_tile(chunks, overlay=section))), expected)


def bitstreams(section: bytes) -> list[bytes]:
    """The same, whatever it says of its alpha, and with bytes behind it."""
    return [flagged(section, False), flagged(section, True), *(section + bytes([255] * n) for n in (1, 2, 99))]


def test_escape_limits(codec: Codec, model: bytes) -> None:
    """[E4]: 32767 and -32767 are values, -32768 and longer or padded numbers are not."""
    header = reference.Header(16, 16, 1, 500, 1, 0, 0, "", b"")
    chunks = split(forge(model, header, 0, 0.3, 32767, seed=0))
    for last, valid in ((65534, True), (65533, True), (65535, False), (65536, False)):
        escapes = parts_of(chunks[1][1][1:])["escapes"]
        at = max(i for i in range(len(escapes)) if i == 0 or escapes[i - 1] < 128)
        data = join(changed_tile(chunks, escapes=escapes[:at] + leb128(last)))
        if valid:  # nothing that is decoded later depends on the last symbol
            assert_same(codec, model, data)
        else:
            with pytest.raises(ValueError, match=r"^E4: "):
                reference.decode(data, model)
            with pytest.raises(ValueError):
                codec.decode(data)


def test_model_file(model: bytes) -> None:
    """Section 5: a changed weight does not go unnoticed, nor does a missing end."""
    changed = bytearray(model)
    changed[-1] ^= 1
    size = struct.unpack_from("<Q", model)[0]
    for bad in (b"", model[:100], model[: 8 + size + 1000], bytes(changed)):
        with pytest.raises(ValueError):
            reference.load_model(bad)


@pytest.mark.parametrize(("rule", "name", "value"), [("A1", "g_s.leave.b", 2**24), ("M1", "y.frequency", 7)])
def test_model_limits(model: bytes, rule: str, name: str, value: int, tmp_path: Path) -> None:
    path = tmp_path / "spoilt.safetensors"
    path.write_bytes(random_model(model, 0, 0, {}, (name, value)))
    with pytest.raises(ValueError, match=rf"^{rule}: "):
        reference.load_model(path.read_bytes())
    with pytest.raises(ValueError):
        Codec(path)
