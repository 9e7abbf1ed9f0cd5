"""Model files that say much: python -m tools.check.model_bombs

A picture names each as its model and is decoded by the command line, in a process of its own, which finds the file
where VAECODEC_MODELS says. Printed are how it ended, and the processor seconds and the peak memory beyond those of
the small model of tests/vectors.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.measure.measured import vaecodec
from vaecodec.bitstream.chunks import SIGNATURE, pack_chunk
from vaecodec.bitstream.header import RGB, Header
from vaecodec.bitstream.tiles import Tile, tile_chunks
from vaecodec.model import weights
from vaecodec.model.architecture import Config
from vaecodec.model.tensors import FILE_MAX, HEADER_MAX, TYPES, Declared

SMALL = Path(__file__).resolve().parents[2] / "tests" / "vectors" / "small.safetensors"
NAMES = {np.dtype(stored).name: name for name, stored in TYPES.items()}
Tensors = dict[str, NDArray]


def tensors_of(config: Config, columns: int = 2) -> Tensors:
    """Those of a model that is right and knows nothing: all 0, tables of two symbols. No encoder."""
    frequency = {f"{kind}.frequency": Declared(np.dtype(np.uint16), (1, columns)) for kind in "yz"}
    wanted = weights.layout(config, frequency)
    found = {name: np.zeros(shape, dtype) for name, (dtype, shape) in wanted.items()}
    found["step.t"] += 1
    for kind in "yz":
        found[f"{kind}.size"] += 2
        found[f"{kind}.frequency"][:, :2] = 32767
    return found


def pack(config: Config, tensors: Tensors, digest: str = "", at: int = 0) -> bytes:
    """A model file. at: how many bytes the tensors' places lie."""
    text = json.dumps(config.to_dict() | {"skip": 5, "dependent": 7})
    digest = digest or weights.model_hash(text, tensors).hex()
    metadata = {"format": weights.FORMAT, "name": "bomb", "config": text, "hash": digest}
    entries = {}
    for name, tensor in tensors.items():
        place = [at, at := at + tensor.nbytes]
        entries[name] = {"dtype": NAMES[tensor.dtype.name], "shape": tensor.shape, "data_offsets": place}
    head = json.dumps({"__metadata__": metadata} | entries).encode()
    return struct.pack("<Q", len(head)) + head + b"".join(t.tobytes() for t in tensors.values())


def changed(config: Config, change: Callable[[Tensors], object], columns: int = 2) -> bytes:
    tensors = tensors_of(config, columns)
    change(tensors)
    return pack(config, tensors)


def overflowing(tensors: Tensors) -> None:
    """In the layer that is looked at last."""
    tensors[[name for name in tensors if name.endswith(".w")][-1]][...] = 32767


def without_sum(tensors: Tensors) -> None:
    tensors["z.frequency"][-1] = 0


def bombs() -> dict[str, bytes]:
    claims = Config(C=1024, M=1024, D=1024, blocks_a=64, blocks_s=64, blocks_h=64, blocks_c=64)
    deep = Config(C=1, M=2, N=1, D=1, low=1, blocks_a=64, blocks_s=64, blocks_h=64, blocks_c=64)
    wide = Config(C=200, M=200, N=100, D=200, low=100, blocks_a=64, blocks_s=1, blocks_h=0, blocks_c=0)
    tables = Config(C=1, M=2, N=4096, D=1, low=1, blocks_a=0, blocks_s=0, blocks_h=0, blocks_c=0)
    small = weights.read(SMALL)[1]
    some: Tensors = {f"{name}.t": np.ones((9, 1024), np.int16) for name in ("step", "h_s.bias", "g_s.film_bias")}
    some["z.low"] = np.zeros(9 * claims.N, np.int16)
    few = {f"t{i}": np.zeros(0, np.int8) for i in range(HEADER_MAX // 80)}
    brackets = struct.pack("<Q", HEADER_MAX) + b"[" * HEADER_MAX
    return {
        "1024 channels and 64 blocks, the tensors of the small model": pack(claims, small),
        "1024 channels and 64 blocks, the tensors of the small model, four tables of the large one": pack(
            claims, small | some
        ),
        "1024 channels and 64 blocks, no tensor": pack(claims, {}),
        "64 blocks, one shape wrong": changed(deep, lambda t: t.update({"step.t": t["step.t"][:1]})),
        "64 blocks, the hash wrong": pack(deep, tensors_of(deep), "00" * 32),
        "64 blocks, the last layer may overflow": changed(deep, overflowing),
        "64 blocks": pack(deep, tensors_of(deep)),
        "200 channels, the last layer may overflow": changed(wide, overflowing),
        "200 channels": pack(wide, tensors_of(wide)),
        "tables of y of 6000 columns": changed(Config(4, 4, 4, 4, 2, 0, 0, 0, 0), without_sum, 6000),
        "4096 channels of z, tables of 20 columns, one without a sum": changed(tables, without_sum, 20),
        "4096 channels of z, tables of 20 columns": pack(tables, tensors_of(tables, 20)),
        "a header of tensors without bytes": pack(Config(), few),
        "a header of brackets": brackets,
        "a header that is too long": struct.pack("<Q", FILE_MAX) + bytes(2_000_000),
        "a file that is too long": brackets + bytes(FILE_MAX),
    }


def run(data: bytes, name: str, digest: bytes) -> tuple[int, float, float]:
    """Exit code, processor seconds and peak megabytes of decoding a picture of 64 x 64 with a model."""
    header = Header(64, 64, RGB, 500, name, digest)
    (tile,) = tile_chunks(0, Tile.empty(0, struct.pack("<I", 65536)))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "model.safetensors").write_bytes(data)
        source = Path(folder, "a.vaec")
        head = SIGNATURE + pack_chunk("HEAD", header.pack())
        source.write_bytes(head + tile)
        os.environ[weights.FOLDERS] = folder
        code, seconds, memory = vaecodec("decode", "--partial", "--threads", "1", source, source.with_suffix(".png"))
        return code, seconds, memory / 1e6


def digest_of(data: bytes) -> bytes:
    """What a file says its hash is, if it says so."""
    head = data[8 : 8 + int.from_bytes(data[:8], "little")]
    at = head.find(b'"hash": "') + 9
    return bytes.fromhex(head[at : at + 16].decode()) if at >= 9 else bytes(8)


def main() -> None:
    _, seconds, memory = run(SMALL.read_bytes(), "small", weights.load(SMALL).hash)
    print(f"The small model: {seconds:.1f} s, {memory:.0f} MB. What the others take besides:\n")
    print("| file | bytes | end | s | MB |\n| --- | ---: | --- | ---: | ---: |")
    for name, data in bombs().items():
        code, s, mb = run(data, "bomb", digest_of(data))
        end = f"refused ({code})" if code else "decoded"
        print(f"| {name} | {len(data)} | {end} | {max(s - seconds, 0):.1f} | {max(mb - memory, 0):.0f} |", flush=True)


if __name__ == "__main__":
    main()
