"""What the functions take for files and pictures, and the sentence that they have for everything else."""

from __future__ import annotations

import array
import io
import mmap
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import vaecodec
from tests.files_with_faults import with_header
from tests.refusals import refused
from tests.sample_pictures import picture
from vaecodec.arguments import as_bytes
from vaecodec.codec import Codec
from vaecodec.errors import VaecError
from vaecodec.pictures.reading import as_picture

PIXELS = picture(40, 50)
SAMPLE = Path(__file__).with_name("data") / "kodim23.png"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, small: Codec) -> None:
    """The functions of the package with the small model."""
    monkeypatch.setattr("vaecodec.api.default_codec", lambda: small)


@pytest.fixture(scope="module")
def file(small: Codec) -> bytes:
    return small.encode(PIXELS)


# Files

READERS: dict[str, Callable[[Codec, Any], Any]] = {
    "vaecodec.decode": lambda codec, data: vaecodec.decode(data),
    "vaecodec.decode of a region": lambda codec, data: vaecodec.decode(data, region=(0, 0, 8, 8)),
    "vaecodec.decode at a scale": lambda codec, data: vaecodec.decode(data, scale=8),
    "vaecodec.decode within a size": lambda codec, data: vaecodec.decode(data, max_size=8),
    "vaecodec.decode_image": lambda codec, data: vaecodec.decode_image(data).pixels,
    "vaecodec.decode_batch": lambda codec, data: vaecodec.decode_batch([data])[0],
    "vaecodec.read_info": lambda codec, data: vaecodec.read_info(data),
    "decode": lambda codec, data: codec.decode(data).pixels,
    "decode_rows": lambda codec, data: next(codec.decode_rows(data)),
    "decode_partial": lambda codec, data: codec.decode_partial(data).picture.pixels,
    "decode_region": lambda codec, data: codec.decode_region(data, (0, 0, 8, 8)).pixels,
    "decode_scaled": lambda codec, data: codec.decode_scaled(data, 8).pixels,
    "decode_within": lambda codec, data: codec.decode_within(data, 8).pixels,
}


def mapped(data: bytes) -> mmap.mmap:
    memory = mmap.mmap(-1, len(data))
    memory.write(data)
    return memory


KINDS = [bytearray, memoryview, mapped, lambda data: np.frombuffer(data, np.uint8), lambda data: array.array("B", data)]


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_whatever_offers_bytes(small: Codec, file: bytes, reader: str) -> None:
    expected = READERS[reader](small, file)
    for kind in KINDS:
        np.testing.assert_equal(READERS[reader](small, kind(file)), expected)


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_paths_and_file_objects(small: Codec, file: bytes, reader: str, tmp_path: Path) -> None:
    """As Pillow and imagecodecs' imread do; a tensor of bytes as torchvision and torchcodec do."""
    expected, path = READERS[reader](small, file), tmp_path / "a.vaec"
    path.write_bytes(b"before" + file)
    with path.open("rb") as handle, path.open("rb", buffering=0) as raw:
        for stream in (handle, raw):
            stream.seek(6)  # read from there on
            np.testing.assert_equal(READERS[reader](small, stream), expected)
            assert not stream.closed and stream.read() == b""
    path.write_bytes(file)
    tensor = torch.from_numpy(np.frombuffer(file, np.uint8).copy())
    for kind in (str(path), path, Named(path), io.BytesIO(file), tensor):
        np.testing.assert_equal(READERS[reader](small, kind), expected)


class Named:
    """What `os.fspath` makes bytes of."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self.path)


class Text:
    def read(self) -> str:
        return "text"


def closed() -> io.BytesIO:
    stream = io.BytesIO(b"x")
    stream.close()
    return stream


def released() -> memoryview:
    view = memoryview(b"x")
    view.release()
    return view


NO_FILES = [
    (5, "not as int$"),
    (None, "not as NoneType$"),
    (released(), "not as memoryview$"),
    (io.StringIO("x"), r"open it with the mode 'rb' \(StringIO gives text\)"),
    (Text(), r"the read\(\) of Text gives str"),
    (closed(), r"BytesIO cannot be read \(I/O operation on closed file"),
    ("a\0b", r"'a\\x00b' is not the name of a file"),
    (torch.zeros(4, 4), r"is uint8 of shape \(N,\), not torch.float32 of shape \(4, 4\)"),
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("data", "words"), NO_FILES)
def test_what_is_no_file(small: Codec, reader: str, data: object, words: str) -> None:
    refused(lambda: READERS[reader](small, data), words)


@pytest.mark.parametrize("reader", READERS)
def test_a_text_is_a_path_whatever_it_says(small: Codec, file: bytes, reader: str, tmp_path: Path) -> None:
    for name in ("there is none", str(tmp_path / "none.vaec"), file[:40].decode("latin-1").replace("\0", "")):
        with pytest.raises(FileNotFoundError):
            READERS[reader](small, name)
    with pytest.raises(OSError):
        READERS[reader](small, tmp_path)


@given(st.one_of(st.binary(), st.text(), st.integers(), st.none(), st.lists(st.binary()), st.floats(), st.dates()))
def test_a_reader_raises_nothing_else(data: Any) -> None:
    for read in (vaecodec.read_info, Codec.open):
        with pytest.raises((VaecError, OSError)):
            read(data) if read is vaecodec.read_info else read(Codec.__new__(Codec), data)


@pytest.mark.parametrize("reader", READERS)
def test_errors_name_the_file(small: Codec, file: bytes, reader: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.vaec"
    path.write_bytes(b"nothing of the kind")
    refused(lambda: READERS[reader](small, path), f"^{re.escape(str(path))}: not a")
    path.write_bytes(with_header(file, width=30_000, height=30_000))
    refused(lambda: READERS[reader](small, str(path)), f"^{re.escape(str(path))}: ")


def test_a_region_of_a_file_on_disk_takes_its_tiles_alone(small: Codec, tmp_path: Path) -> None:
    pixels, path = picture(200, 300), tmp_path / "a.vaec"
    data = small.encode(pixels, tile=64)
    path.write_bytes(data[:-20] + bytes(20))  # the last tile is damaged
    part = vaecodec.decode(path, region=(0, 0, 30, 20))
    np.testing.assert_array_equal(part, vaecodec.decode(data, region=(0, 0, 30, 20)))


def test_a_batch_is_several_files(file: bytes) -> None:
    for files in (file, 5, None, "x.vaec", Path("x.vaec"), io.BytesIO(file)):
        refused(lambda files=files: vaecodec.decode_batch(files), "a batch is a list of files")  # type: ignore[misc]


def test_bytes_of_a_view_of_wider_items() -> None:
    assert as_bytes(memoryview(b"abcd").cast("H")) == as_bytes(memoryview(b"aXbXcXdX")[::2]) == b"abcd"


# Pictures


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (io.BytesIO(b"x"), "not a picture in a format that can be read|the file is empty"),  # when it is read again
        (b"x", "not a picture in a format that can be read"),
        (b"", "the file is empty"),
        (io.StringIO("x"), "open it with the mode 'rb'"),
        ("a\0b", "is not the name of a file"),
        (torch.zeros(8, 8, 3), r"Tensor of shape \(8, 8, 3\) is no picture: \(H, W\) or \(1..4, H, W\) is needed"),
        (torch.zeros(1, 3, 8, 8), r"Tensor of shape \(1, 3, 8, 8\) is no picture"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "array of int64 is no picture"),
        (torch.full((3, 8, 8), 255.0), r"within 0\.\.1"),
        (torch.zeros(3, 8, 8).to_sparse(), r"Tensor is no picture \("),
        (torch.zeros(3, 8, 8, device="meta"), r"Tensor is no picture \("),
        (memoryview(b"abcd").cast("B", (1, 2, 2)).cast("B"), "not a picture in a format"),
        (None, r"NoneType of shape \(\) is no picture"),
        (5, r"int of shape \(\) is no picture"),
        ([[1], [1, 2]], "list is no picture"),
        (np.zeros((4, 4), object), "array of object is no picture"),
        (np.zeros((4, 4), complex), "array of complex128 is no picture"),
        (Image.new("F", (8, 8)), "floating-point"),
        (Image.new("RGB", (0, 8)), "0 x 8"),
    ],
)
def test_what_is_no_picture(small: Codec, image: Any, words: str) -> None:
    refused(lambda: vaecodec.encode(image), words)
    refused(lambda: small.encode(image), words)


def test_a_picture_is_taken_as_a_file(small: Codec, tmp_path: Path) -> None:
    """In all ways that Pillow, imageio and imagecodecs' imread take one."""
    path = tmp_path / "a.png"
    with Image.open(SAMPLE) as image:
        image.crop((300, 100, 360, 150)).save(path, icc_profile=b"profile")
    data = path.read_bytes()
    expected = vaecodec.encode(Image.open(path))
    assert vaecodec.read_info(expected).parts["icc"] == 7
    stream = io.BytesIO(b"before" + data)
    stream.seek(6)
    for kind in (path, str(path), Named(path), data, bytearray(data), memoryview(data), mapped(data), stream):
        assert vaecodec.encode(kind) == expected
    assert not stream.closed
    assert small.encode(path) == small.encode(data) == expected


def test_errors_name_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(FileNotFoundError):
        vaecodec.encode(path)
    path.write_bytes(SAMPLE.read_bytes()[:9000])
    refused(lambda: vaecodec.encode(path), f"^{re.escape(str(path))}: .*truncated")
    refused(lambda: vaecodec.encode(str(SAMPLE), max_pixels=1000), f"^{re.escape(str(SAMPLE))}: .*limit of 1000")
    refused(lambda: vaecodec.encode(b"\x8bVAEC\r\n\x1a"), "read")


@given(
    st.sampled_from([(8, 9), (1, 8, 9), (2, 8, 9), (3, 8, 9), (4, 8, 9)]),
    st.sampled_from(["uint8", "uint16", "bfloat16", "float16", "float32", "float64"]),
    st.booleans(),
)
def test_tensors_are_coded_as_arrays(shape: tuple[int, ...], name: str, moved: bool) -> None:
    values = np.random.default_rng(len(shape)).integers(0, 256, shape, np.uint8)
    tensor = torch.from_numpy(values)
    if name == "uint16":
        tensor = (tensor.int() * 257).to(torch.uint16)
    elif name != "uint8":
        tensor = (tensor.double() / 255).to(getattr(torch, name)).requires_grad_()
    if moved:  # of other strides
        tensor = tensor.flip(-1).contiguous().flip(-1) if name != "uint16" else tensor.mT.contiguous().mT
    expected = values.transpose(1, 2, 0) if values.ndim == 3 else values[..., None]
    found = as_picture(tensor).pixels
    assert np.abs(found.astype(int) - expected).max() <= (1 if name == "bfloat16" else 0)


def test_views_of_several_dimensions_are_arrays(small: Codec) -> None:
    view = memoryview(PIXELS)
    assert view.ndim == 3 and small.encode(view) == small.encode(PIXELS)
