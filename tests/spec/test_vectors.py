"""The conformance suite, with the package and with the independent decoder; see tools/make/vectors.py."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import VECTORS

from tests.broken_models import changed
from tests.reference_decoder import decode
from tests.reference_model import load_model
from tools.train.split_model import split
from vaecodec import __version__
from vaecodec.bitstream import header
from vaecodec.bitstream.chunks import pack_chunk
from vaecodec.bitstream.container import pack_index, parse
from vaecodec.bitstream.header import VERSION, Header
from vaecodec.bitstream.tiles import Tile
from vaecodec.codec import Codec
from vaecodec.codec.latents import decode_tile, decode_z
from vaecodec.core.networks import KERNEL, kernels
from vaecodec.errors import UnsupportedError, VaecError
from vaecodec.model import trained, weights

STAGED = "small-size-65x64"
MODELS_BROKEN = json.loads((VECTORS / "models.json").read_text())
RECORD = json.loads((VECTORS / "vectors.json").read_text())
MODELS: dict[str, Path] = {
    "base": weights.DEFAULT,
    "small": VECTORS / "small.safetensors",
    "three": VECTORS / "three.safetensors",
}
CODECS = {kind: Codec(path, threads=1) for kind, path in MODELS.items()}
SMALL_HASH = "a3c6aa0934d51378"


@pytest.mark.parametrize("kind", RECORD)
def test_every_file_is_recorded(kind: str) -> None:
    assert {p.stem for p in (VECTORS / kind).glob("*.vaec")} == set(RECORD[kind])
    assert len(RECORD[kind]) >= 60


@pytest.mark.parametrize("name", RECORD["valid"])
def test_valid(name: str) -> None:
    data, facts = (VECTORS / "valid" / f"{name}.vaec").read_bytes(), RECORD["valid"][name]
    model = facts["model"]
    for pixels in (CODECS[model].decode(data).pixels, decode(data, MODELS[model].read_bytes())):
        assert list(pixels.shape) == facts["shape"]
        assert hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest() == facts["sha256"]


@pytest.mark.parametrize("kernel", kernels())
def test_valid_by_each_kernel(monkeypatch: pytest.MonkeyPatch, kernel: str) -> None:
    """Whatever instructions the core uses."""
    monkeypatch.setenv(KERNEL, kernel)
    codecs = {model: Codec(path, threads=1) for model, path in MODELS.items()}
    for name, facts in RECORD["valid"].items():
        pixels = codecs[facts["model"]].decode((VECTORS / "valid" / f"{name}.vaec").read_bytes()).pixels
        assert hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest() == facts["sha256"], name


@pytest.mark.parametrize("name", RECORD["invalid"])
def test_invalid(name: str) -> None:
    data, facts = (VECTORS / "invalid" / f"{name}.vaec").read_bytes(), RECORD["invalid"][name]
    with pytest.raises(VaecError):
        CODECS[facts["model"]].decode(data)
    with pytest.raises(ValueError, match=f"^{facts['breaks']}: "):
        decode(data, MODELS[facts["model"]].read_bytes())


def test_stages() -> None:
    """What the package has on the way to the pixels of one file."""
    data, facts = (VECTORS / "valid" / f"{STAGED}.vaec").read_bytes(), RECORD["valid"][STAGED]
    file, networks = parse(data), CODECS["small"].networks
    (tile,), (h, w), q = file.unpacked(), (4, 5), file.header.quality
    z_hat, _ = decode_z(networks.weights, q, tile, h, w)
    y_hat, damaged = decode_tile(networks, q, tile, h, w)
    assert not damaged
    for name, numbers in (("z_hat", z_hat.astype("i1")), ("y_hat", y_hat.astype("<i2"))):
        assert hashlib.sha256(numbers.tobytes()).hexdigest() == facts["stages"][name], name
    model, quality = trained.exact(networks.weights), torch.tensor([q])
    x_hat = model.g_s(torch.from_numpy(y_hat)[None].float(), quality, model.steps(quality))[0]
    assert hashlib.sha256(x_hat.numpy().astype("<i4").tobytes()).hexdigest() == facts["stages"]["x_hat"]


@pytest.mark.parametrize("name", MODELS_BROKEN)
def test_broken_models(name: str, tmp_path: Path) -> None:
    facts, small = MODELS_BROKEN[name], MODELS["small"].read_bytes()
    model, path = changed(small, facts["changes"]), tmp_path / "model.safetensors"
    path.write_bytes(model)
    with pytest.raises(UnsupportedError, match="unusable model file"):
        Codec(path, threads=1)
    with pytest.raises(ValueError, match=f"^{facts['breaks']}: "):
        load_model(model)


def test_the_runner_finds_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of decoders that do nothing, that refuse everything, that crash, and that decode anything to one pixel."""
    from tools.check import conformance

    source = VECTORS / "valid" / "small-size-1x1.vaec"
    facts, target = RECORD["valid"]["small-size-1x1"], tmp_path / "out.png"
    monkeypatch.setattr(conformance, "SECONDS", 2)
    own = f"{sys.executable} -c"
    cases = {
        f"{own} 'import sys; sys.exit(3)'": ("was refused", ""),
        f"{own} 'import os; os.abort()'": ("crashed", "crashed"),
        f"{own} 'import time; time.sleep(9)'": ("takes more", "takes more"),
        f"{own} \"from PIL import Image; Image.new('RGB', (1, 1)).save('{{out}}')\"": ("has other", "was decoded"),
        f"{own} \"from PIL import Image; Image.new('L', (2, 1)).save('{{out}}')\"": ("has the shape", "was decoded"),
    }
    for command, expected in cases.items():
        for valid, what in zip((True, False), expected, strict=True):
            found = conformance.fault(command, valid, source, facts, target)
            assert found.startswith(what) and bool(found) == bool(what)


def test_the_runner_on_the_package(tmp_path: Path) -> None:
    """One file of each kind, by the command line and by the independent decoder."""
    from tools.check import conformance

    for kind, name in (("valid", "small-grey-alpha"), ("valid", "base-far"), ("invalid", "crc")):
        source, facts = VECTORS / kind / f"{name}.vaec", RECORD[kind][name]
        assert conformance.fault(conformance.OWN, kind == "valid", source, facts, tmp_path / f"{name}.png") == ""


def test_files_of_other_models_are_decoded(monkeypatch: pytest.MonkeyPatch, shipped: Codec) -> None:
    """Where VAECODEC_MODELS says where the model is."""
    data = (VECTORS / "valid" / "small-size-1x1.vaec").read_bytes()
    codec = Codec(threads=1)
    monkeypatch.delenv(weights.FOLDERS, raising=False)
    with pytest.raises(UnsupportedError, match=f"needs model small \\({SMALL_HASH}\\); there is base"):
        codec.decode(data)
    monkeypatch.setenv(weights.FOLDERS, f"/nowhere:{VECTORS}")
    np.testing.assert_array_equal(codec.decode(data).pixels, CODECS["small"].decode(data).pixels)
    assert codec.decode_partial(data).whole and codec.decode_scaled(data, 2).pixels.shape == (1, 1, 3)
    own = shipped.encode(np.zeros((9, 9, 3), np.uint8))
    np.testing.assert_array_equal(codec.decode(own).pixels, shipped.decode(own).pixels)


COMPAT = json.loads((VECTORS / "compat" / "compat.json").read_text())


@pytest.mark.parametrize("name", COMPAT)
def test_files_of_every_release_are_decoded(shipped: Codec, name: str) -> None:
    """docs/reference/models.md: what a release from 0.5 on has coded stays decodable."""
    picture = shipped.decode((VECTORS / "compat" / f"{name}.vaec").read_bytes())
    assert list(picture.pixels.shape) == COMPAT[name]["shape"] and COMPAT[name]["format"] <= VERSION
    assert hashlib.sha256(picture.pixels.tobytes()).hexdigest() == COMPAT[name]["sha256"]
    assert (picture.icc, picture.exif, picture.xmp) == (b"icc", b"II*\0exif", b"<xmp/>")


def test_every_release_has_a_file(shipped: Codec) -> None:
    """So that none is forgotten when a model is shipped or a version raised."""
    name = f"{__version__}-{shipped.weights.name}-{shipped.weights.hash.hex()}"
    assert {name, f"{name}-progressive"} <= set(COMPAT)
    assert {facts["format"] for facts in COMPAT.values()} >= {VERSION}
    assert {p.stem for p in (VECTORS / "compat").glob("*.vaec")} == set(COMPAT)


def test_retired_models_decode_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "retired.safetensors"
    path.write_bytes(split(MODELS["small"])[0])
    assert path.stat().st_size < MODELS["small"].stat().st_size
    codec = Codec(path, threads=1)
    data = (VECTORS / "valid" / "small-alpha.vaec").read_bytes()
    np.testing.assert_array_equal(codec.decode(data).pixels, CODECS["small"].decode(data).pixels)
    with pytest.raises(VaecError, match="retired"):
        codec.encode(np.zeros((9, 9, 3), np.uint8))


def test_the_small_model_is_small_and_frozen() -> None:
    assert MODELS["small"].stat().st_size < 150_000
    metadata, _ = weights.read(MODELS["small"])
    assert metadata["hash"].startswith(SMALL_HASH)


def test_container_bytes_are_pinned() -> None:
    """Given fields, given bytes: these may only change with the format's version."""
    full = Header(300, 200, 3, 623, "base", bytes(range(8)), tile=4, alpha=1, alpha_value=200, features=1 | 1 << 16)
    named = "00" + "6261736500000000" + "0001020304050607"
    assert full.pack().hex() == "09776f02" + "ac02" + "c801" + "c8" + "04" + named + "818004"
    assert Header(300, 200, 0, 1000, *header.MODELS[1]).pack().hex() == "0900e803" + "ac02" + "c801"
    coded = {"escapes": b"e", "z": b"zz", "low": b"lowlow", "high": b"h" * 200, "alpha": b"", "overlay": b"o"}
    tile = Tile.empty(1, b"\0\0\1\0\1\0\1\0").having(**coded, filter=b"ff")
    head = b"\xb1\x01\x02\x06\x02\x01" + b"\0\0\1\0\1\0\1\0"
    assert tile.split() == (head + b"ezz", b"lowlowffo", b"h" * 200)
    assert tile.pack() == b"".join(tile.split())
    assert pack_chunk("BASE", b"").hex() == "0000000042415345" + "d51321f6"
    assert pack_index([1, 127, 128, 300]).hex() == "017f8001ac02"
