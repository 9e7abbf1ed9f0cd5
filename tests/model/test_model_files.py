"""Model files that nobody vouches for: one sentence, soon, and no memory for what they only say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import VECTORS
from safetensors.numpy import save

from tests.model_files import join, repack, split
from tests.sample_pictures import picture
from tools.train import split_model
from vaecodec.codec import Codec
from vaecodec.errors import UnsupportedError
from vaecodec.model import tensors as files
from vaecodec.model import trained, weights
from vaecodec.pictures.picture import Picture
from vaecodec.restoration import denoiser

SMALL = VECTORS / "small.safetensors"


def refused(path: Path) -> str:
    """What is said of a model file."""
    with pytest.raises(UnsupportedError) as found:
        Codec(path)
    message = str(found.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and message.isprintable() and len(message) < 400
    return message


def entry(dtype: Any = "I16", shape: Any = (2,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "change",
    [
        entry("BF16"),
        entry("F8_E4M3"),
        entry([]),
        entry(None),
        entry(shape=[1] * 70),
        entry(shape=[2**70]),
        entry(shape=[-2, -1]),
        entry(shape=[2.0]),
        entry(shape=[True, 2]),
        entry(shape="2"),
        entry(shape=[10**4000] * 3),
        entry(offsets=(0,)),
        entry(offsets=(4, 0)),
        entry(offsets=("0", 4)),
        entry(offsets=None),
        {"dtype": "I16"},
        [],
        None,
        "I16",
    ],
    ids=lambda change: repr(change)[:60],
)
def test_entries_of_a_header(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "m.safetensors"
    for name in ("x", "y.low"):
        path.write_bytes(join({name: change}, bytes(4)))
        refused(path)
    header, data = split(SMALL.read_bytes())
    path.write_bytes(join(header | {"y.low": change}, data))
    refused(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        bytes(8),
        b"\xff" * 100,
        join([]),
        join("x"),
        join({"__metadata__": []}),
        join({"__metadata__": {"format": 3}}),
        join({"__metadata__": {"format": "vaecodec-model-3", "name": "\udc80", "hash": "\n", "config": "\ud800"}}),
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        (9).to_bytes(8, "little") + b'{"x": \xff}',
    ],
    ids=range(11),
)
def test_headers(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    refused(path)


def test_bytes_of_two_tensors_or_of_none(tmp_path: Path) -> None:
    """They would be read and hashed again and again."""
    header, data = split(SMALL.read_bytes())
    path = tmp_path / "m.safetensors"
    twice = header | {"x": header["y.frequency"]}
    for changed, rest in ((twice, data), (header, data + b"\0"), (header, data[:-1])):
        path.write_bytes(join(changed, rest))
        assert "bytes" in refused(path)


@pytest.mark.parametrize(
    "name, value", [("skip", 64), ("skip", -1), ("dependent", 65), ("low", 16), ("blocks_s", True)]
)
def test_configs(tmp_path: Path, name: str, value: int) -> None:
    metadata, tensors = weights.read(SMALL)
    config = json.loads(metadata["config"]) | {name: value}
    assert "config" in refused(repack(tmp_path, tensors, config=json.dumps(config)))


def test_the_largest_skip_decodes(tmp_path: Path) -> None:
    metadata, tensors = weights.read(SMALL)
    config = json.loads(metadata["config"]) | {"skip": 63, "dependent": 64}
    codec, pixels = Codec(repack(tmp_path, tensors, config=json.dumps(config))), picture(40, 50)
    decoded = np.empty_like(pixels)
    data = b"".join(codec.encode_parts(Picture(pixels), 80, decoded=decoded))
    np.testing.assert_array_equal(codec.decode(data).pixels, decoded)


def test_other_tensors_than_those_of_the_architecture(tmp_path: Path) -> None:
    """Those of encoders are outside the hash; they are all there, or none is."""
    _, tensors = weights.read(SMALL)
    nan = np.full_like(tensors["enc.g_a.enter.bias"], np.nan)
    without = {name: value for name, value in tensors.items() if name != "enc.g_a.enter.bias"}
    for changed, what in (
        (tensors | {"x": np.zeros(3, np.int16)}, "1 tensors that"),
        (tensors | {"enc.x": np.zeros(3, np.float16)}, "1 tensors that"),
        (tensors | {"enc.g_a.enter.bias": nan}, "finite"),
        (tensors | {"enc.g_a.enter.bias": nan[:-1]}, "enc.g_a.enter.bias is not float16 of 8"),
        (without, "no tensor enc.g_a.enter.bias"),
    ):
        assert what in refused(repack(tmp_path, changed))


def test_nothing_is_read_before_all_shapes_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file of a large architecture took 7 GB. Its first tables are those of the architecture."""
    metadata, tensors = weights.read(SMALL)
    wide = {"C": 1024, "M": 1024, "D": 1024, "blocks_a": 64, "blocks_s": 64, "blocks_h": 64, "blocks_c": 64}
    for name, width in (("step", "M"), ("h_s.bias", "D"), ("g_s.film_bias", "C")):
        tensors[f"{name}.t"] = np.ones((9, wide[width]), np.int16)
    config = json.dumps(json.loads(metadata["config"]) | wide)
    path = repack(tmp_path, tensors, config=config)
    monkeypatch.setattr(files.TensorFile, "read", lambda _: pytest.fail("read"))
    assert "is not" in refused(path)


def test_declared_networks_take_no_memory(tmp_path: Path) -> None:
    """Nor do those that a retired model lacks."""
    (tmp_path / "retired.safetensors").write_bytes(split_model.split(SMALL)[0])
    codec = Codec(tmp_path / "retired.safetensors")
    assert not codec.weights.encodes
    assert all(value.is_meta for value in trained.encoding(trained.exact(codec.weights)).values())
    pixels = picture(40, 50)
    whole = Codec(SMALL)
    data = whole.encode(pixels, 60)
    np.testing.assert_array_equal(codec.decode(data).pixels, whole.decode(data).pixels)


def test_a_model_in_two_files(tmp_path: Path) -> None:
    """The encoder's part lies beside the decoder's; without it the model decodes."""
    path, pixels = tmp_path / "a.safetensors", picture(40, 50)
    split_model.main(SMALL, path)
    data = Codec(path).encode(pixels, 60)
    assert data == Codec(SMALL).encode(pixels, 60)
    metadata, tensors = files.read_file(weights.beside(path))
    nan = {"enc.g_a.enter.bias": tensors["enc.g_a.enter.bias"] * np.nan}
    for changed, said, what in (
        (tensors, metadata | {"model": "00" * 32}, "none for the model beside it"),
        (tensors, metadata | {"format": weights.FORMAT}, "none for the model beside it"),
        (tensors | {"enc.x": np.zeros(3, np.float16)}, metadata, "tensors that"),
        (tensors | nan, metadata, "finite"),
    ):
        weights.beside(path).write_bytes(save(changed, said))
        with pytest.raises(UnsupportedError, match=f"{weights.beside(path)}: .*{what}"):
            Codec(path)
    weights.beside(path).unlink()
    np.testing.assert_array_equal(Codec(path).decode(data).pixels, Codec(SMALL).decode(data).pixels)


def test_loading_imports_no_compiler() -> None:
    """Some of what can be done with tensors that have no memory makes PyTorch import a thousand modules."""
    code = (
        "import sys; from vaecodec.codec.codec import Codec; there = set(sys.modules); Codec();"
        "print(*(sys.modules.keys() - there))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=VECTORS.parent)
    assert len(done.stdout.split()) < 20


def test_files_that_are_too_long(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with path.open("wb") as handle:
        handle.truncate(files.FILE_MAX + 1)
    assert "longer than" in refused(path)
    header = {"__metadata__": {"x": "x" * files.HEADER_MAX}}
    path.write_bytes(join(header))
    assert "header is longer" in refused(path)
    assert "no such file" in refused(tmp_path)
    assert "no such file" in refused(tmp_path / "none")


def test_a_decoy_stands_in_nobodys_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the name and the hash, but of other tensors, or of none."""
    data = Codec(SMALL).encode(picture(40, 50), 60)
    metadata, tensors = weights.read(SMALL)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    repack(tmp_path / "a", tensors | {"y.low": tensors["y.low"] + 2}, hash=metadata["hash"])
    (tmp_path / "b" / "x.safetensors").write_bytes(join({"__metadata__": metadata}))
    monkeypatch.setenv(weights.FOLDERS, f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    with pytest.raises(UnsupportedError, match="needs model small") as found:
        Codec(threads=1).decode(data)
    assert f"{tmp_path / 'b' / 'x.safetensors'}: unusable" in str(found.value)
    monkeypatch.setenv(weights.FOLDERS, f"{tmp_path / 'a'}:{tmp_path / 'b'}:{SMALL.parent}")
    np.testing.assert_array_equal(Codec(threads=1).decode(data).pixels, Codec(SMALL).decode(data).pixels)


def change_blocks(header: dict[str, Any], blocks: str) -> None:
    header["__metadata__"]["blocks"] = blocks


def change_type(header: dict[str, Any], dtype: str) -> None:
    header["film.value"]["dtype"] = dtype


@pytest.mark.parametrize(
    "change, to", [(change_blocks, b) for b in ("0", "9", "65", "1" * 5000, "x", "\u0663")] + [(change_type, "BF16")]
)
def test_denoisers(tmp_path: Path, shipped: Codec, change: Callable[[dict[str, Any], str], None], to: str) -> None:
    header, data = split(denoiser.SHIPPED.read_bytes())
    change(header, to)
    path = tmp_path / "d.safetensors"
    path.write_bytes(join(header, data))
    with pytest.raises(UnsupportedError, match="unusable denoiser"):
        denoiser.Denoiser(shipped.weights, path=path)
