"""Pictures with all that belongs to them, turned upright; batches."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

import vaecodec
from tests.sample_pictures import picture
from vaecodec.codec import Codec
from vaecodec.errors import CorruptFileError, LimitError, VaecError
from vaecodec.pictures.exif import ORIENTATION, orientation, with_orientation
from vaecodec.pictures.picture import Picture, strips

XMP = b"<rdf:Description tiff:Orientation='%d'/><tiff:Orientation>%d</tiff:Orientation>"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, small: Codec) -> None:
    """The functions of the package with the small model."""
    monkeypatch.setattr("vaecodec.api.default_codec", lambda: small)


def exif_with(turn: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x10E] = turn, "a description"
    return exif.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_upright_is_as_pillow_turns(turn: int, channels: int) -> None:
    pixels = picture(4, 6, channels)
    png = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(png, "PNG", exif=exif_with(turn))
    source = Picture(pixels, b"icc", exif_with(turn), XMP % (turn, turn), bytes((1, 13, 0, 1)))
    found = source.upright()
    expected = np.asarray(ImageOps.exif_transpose(Image.open(png)))
    np.testing.assert_array_equal(found.pixels, expected.reshape(found.pixels.shape))
    assert source.orientation == turn and found.orientation == 1
    assert (found.exif, found.xmp) == (exif_with(1), XMP % (1, 1))
    assert (found.icc, found.cicp) == (source.icc, source.cicp)
    assert found.upright() is found


def test_a_stand_in_is_turned_too() -> None:
    pixels = picture(4, 6)
    found = Picture(strips(pixels.shape, lambda first, last: pixels[first:last]), exif=exif_with(6)).upright()
    np.testing.assert_array_equal(found.pixels, np.rot90(pixels, -1))


@given(st.binary(max_size=60), st.integers(0, 9), st.booleans(), st.data())
def test_an_orientation_is_changed_in_its_place(noise: bytes, turn: int, named: bool, data: st.DataObject) -> None:
    """In whatever is damaged nothing else changes, and nothing is raised."""
    whole = exif_with(turn)
    at = data.draw(st.integers(0, len(whole)))
    damaged = (b"Exif\0\0" if named else b"") + whole[:at] + noise + whole[at + len(noise) :]
    changed = with_orientation(damaged, 1)
    assert (len(changed) == len(damaged) and orientation(changed) == 1) or orientation(damaged) == 1
    assert sum(a != b for a, b in zip(changed, damaged, strict=True)) <= 8


@pytest.fixture
def turned(small: Codec) -> tuple[bytes, Picture]:
    source = Picture(picture(40, 50), b"profile", exif_with(6), b"<x/>")
    return small.encode(source), source


def test_a_picture_with_all_that_belongs_to_it(turned: tuple[bytes, Picture]) -> None:
    data, source = turned
    found = vaecodec.decode_image(data)
    np.testing.assert_array_equal(found.pixels, vaecodec.decode(data))
    assert (found.icc, found.exif, found.xmp, found.orientation) == (source.icc, source.exif, source.xmp, 6)


@pytest.mark.parametrize("options", [{}, {"scale": 2}, {"max_size": 20}, {"region": (8, 4, 16, 12)}])
def test_turned_on_request(turned: tuple[bytes, Picture], options: dict[str, Any]) -> None:
    data, _ = turned
    found = vaecodec.decode_image(data, upright=True, **options)
    np.testing.assert_array_equal(found.pixels, np.rot90(vaecodec.decode(data, **options), -1))
    assert found.orientation == 1


def test_options_exclude_each_other(turned: tuple[bytes, Picture]) -> None:
    with pytest.raises(VaecError, match="exclude"):
        vaecodec.decode_image(turned[0], scale=2, max_size=9)


@pytest.fixture
def files(small: Codec) -> list[bytes]:
    return [small.encode(picture(8, 9 + n), 40) for n in range(5)]


@pytest.mark.parametrize("threads", [None, 1, 2, np.int64(8)])
@pytest.mark.parametrize("options", [{}, {"scale": 2}, {"max_size": 4}])
def test_batches(files: list[bytes], threads: int | None, options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.vaec"
    path.write_bytes(files[0])
    mixed = [path, str(path), io.BytesIO(files[0]), *files]
    found = vaecodec.decode_batch(iter(mixed), threads=threads, **options)
    for pixels, data in zip(found, [files[0]] * 3 + files, strict=True):
        np.testing.assert_array_equal(pixels, vaecodec.decode(data, **options))
    assert vaecodec.decode_batch([]) == []


def test_batches_run_on_threads(files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits until the other has begun: in turn they would never end."""
    both, decode, counts = threading.Barrier(2, timeout=20), Codec.decode, []

    def together(codec: Codec, *arguments: Any, **options: Any) -> Picture:
        both.wait()
        counts.append(codec.threads)
        return decode(codec, *arguments, **options)

    monkeypatch.setattr(Codec, "decode", together)
    assert len(vaecodec.decode_batch(files[:2], threads=2)) == 2
    assert counts == [1, 1]


def test_the_first_error_of_a_batch(files: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "bad.vaec"
    path.write_bytes(b"nothing")
    with pytest.raises(CorruptFileError, match=r"bad\.vaec: not a"):
        vaecodec.decode_batch([files[0], path, files[1][:30]])
    with pytest.raises(LimitError):
        vaecodec.decode_batch(files, max_pixels=80)
    for threads in (0, -1, True, "2", 1.5):
        with pytest.raises(VaecError, match="threads"):
            vaecodec.decode_batch(files, threads=threads)  # type: ignore[arg-type]


def test_models_of_other_files_are_loaded_once(
    shipped: Codec, files: list[bytes], monkeypatch: pytest.MonkeyPatch, small: Codec
) -> None:
    """Whatever number of threads a codec has that shares them."""
    loaded: list[object] = []
    monkeypatch.setattr("vaecodec.codec.runtime.find", lambda *wanted: loaded.append(wanted) or small.weights)
    codec = shipped.with_threads(1)
    expected = small.decode(files[0]).pixels
    for threads in (3, 1, 2):
        other = codec.with_threads(threads)
        np.testing.assert_array_equal(other.decode(files[0]).pixels, expected)
        assert other.of(codec.open(files[0]).header).threads == threads
    assert len(loaded) == 1
