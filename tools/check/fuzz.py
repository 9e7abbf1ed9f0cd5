"""Coverage-guided fuzzing with atheris: python -m tools.check.fuzz file|model CORPUS [libFuzzer's options]

`file`: changed files of tests/vectors, of other shapes too, thin and tall ones, go through everything that reads a
`.vaec` file. `model`: changed model files are loaded. Only a `VaecError` may come of it, in each way within two seconds
of one core and as many for each megapixel of work, in a process of 2 GB at most; what a strict decoder takes, partial
decoding must give bit for bit. What fails is written beside CORPUS as crash-..., and belongs
into tests/data/fuzz, minimised (-minimize_crash=1), where CI tries it again and again.

    pip install -e ".[fuzz]"
    python -m tools.check.fuzz file runs/fuzz -max_total_time=3600 -rss_limit_mb=2048 -timeout=10
"""

from __future__ import annotations

import json
import os
import random
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
SHIPPED = (VECTORS / "valid" / "base-middle.vaec").read_bytes()
SAMPLE = (VECTORS / "valid" / "small-size-33x17.vaec").read_bytes()
PIXELS_MAX = 2**16
SECONDS, SECONDS_EACH = 2.0, 2.0  # of one core, for a way to read a file, and for each megapixel of its work
TILES_MAX = 300  # of a file that is given another shape
LARGEST = 20_000  # bytes of a file
HEADER = "<BIIBBHBBB8s8s"
EDGES = (0, 1, 2, 63, 64, 127, 128, 255, 256, 1000, 65535, 2**31 - 1, 2**31, 2**32 - 1)
Mutate = Callable[[bytes], bytes]


class Slow(Exception):
    """A file took longer than it may."""


def check_file(data: bytes) -> None:
    """Everything that reads a file, on one of unknown origin. Raises what should not be raised."""
    from vaecodec.bitstream.info import read_info
    from vaecodec.errors import VaecError
    from vaecodec.pictures.preview import read_preview, upright
    from vaecodec.pictures.writing import write_picture

    codec, quickly = small_codec(), partial(timed, SECONDS + SECONDS_EACH * work(data) / 1e6)
    strict = left = None
    with suppress(VaecError):
        strict = quickly(codec.decode, data, max_pixels=PIXELS_MAX)
    with suppress(VaecError):
        left = quickly(codec.decode_partial, data, max_pixels=PIXELS_MAX)
    if strict is not None:
        assert left is not None and left.whole and np.array_equal(left.picture.pixels, strict.pixels)
        for scale in (2, 8):
            quickly(codec.decode_scaled, data, scale, max_pixels=PIXELS_MAX)
        assert max(quickly(codec.decode_within, data, 20, max_pixels=PIXELS_MAX).pixels.shape[:2]) <= 20
        x, y = strict.width // 2, strict.height // 2
        part = quickly(codec.decode_region, data, (x, y, 1, 1))
        assert np.array_equal(part.pixels, strict.pixels[y : y + 1, x : x + 1])
        quickly(write_picture, strict, BytesIO(), "PNG")
        quickly(upright, strict, 32)
        read_info(data)
    elif left is not None:
        assert not left.whole
    for look in (read_info, read_preview):
        with suppress(VaecError):
            quickly(look, data)


def timed(seconds: float, read: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What a call gives. Raises: Slow where it takes longer than so many seconds of one core."""
    start = time.process_time()
    try:
        return read(*arguments, **options)
    finally:
        if (taken := time.process_time() - start) > seconds:
            raise Slow(f"{read.__name__} took {taken:.1f} s")


def work(data: bytes) -> int:
    """The pixels of a square that is as much work as a file within the limit says that it is; 0 of others."""
    from vaecodec.bitstream.container import walk
    from vaecodec.bitstream.limits import worked
    from vaecodec.errors import VaecError

    with suppress(VaecError):
        header, _ = next(walk(data, max_pixels=PIXELS_MAX))
        return worked(header.width, header.height, header.tile_side)
    return 0


def check_model(data: bytes) -> None:
    """A model file of unknown origin, and a file that says it is for it. Raises what should not be raised."""
    from vaecodec.codec import Codec
    from vaecodec.errors import VaecError
    from vaecodec.model.weights import find

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        path.write_bytes(data)
        with suppress(VaecError):
            codec = timed(SECONDS, Codec, path, threads=1)
            signature, (head, *rest) = SAMPLE[:8], split(SAMPLE)
            named = head[1][:-16] + codec.weights.name.encode().ljust(8, b"\0") + codec.weights.hash
            timed(SECONDS, codec.decode, join(signature, [(head[0], named), *rest]))
        with suppress(VaecError):
            os.environ["VAECODEC_MODELS"] = folder
            timed(SECONDS, find, "nobody", bytes(8))


_codec: list = []


def small_codec():  # type: ignore[no-untyped-def]
    """A codec with the model of tests/vectors."""
    if not _codec:
        from vaecodec.codec import Codec

        _codec.append(Codec(VECTORS / "small.safetensors", threads=1))
        _codec[0].decode(SHIPPED)  # loads the other model of the corpus, which is not the time of any file
    return _codec[0]


def split(data: bytes) -> list[tuple[bytes, bytes]]:
    """Type and data of as many chunks as can be told apart."""
    found, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def join(start: bytes, chunks: list[tuple[bytes, bytes]]) -> bytes:
    packed = (struct.pack("<I", len(d)) + kind + d + struct.pack("<I", zlib.crc32(kind + d)) for kind, d in chunks)
    return start + b"".join(packed)


def mutate_file(data: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    """A file with something changed, whose checksums are right; one time in eight any bytes."""
    chunks = split(data)
    if not chunks or not rng.randrange(8):
        return mutate(data)
    if not rng.randrange(4):
        chunks = reshaped(chunks, rng)
    i = rng.randrange(len(chunks))
    kind, content = chunks[i]
    what = rng.randrange(8)
    if what == 0:
        del chunks[i]
    elif what == 1:
        chunks.insert(rng.randrange(len(chunks) + 1), chunks[i])
    elif what == 2:
        chunks.insert(i, (rng.choice([b"iccp", b"exif", b"xmpp", b"prev", b"abCD", b"TILE"]), mutate(content)))
    elif kind == b"HEAD" and len(content) == struct.calcsize(HEADER):
        fields = list(struct.unpack(HEADER, content))
        k = rng.randrange(9)
        size = (1, 4, 4, 1, 1, 2, 1, 1, 1)[k]
        fields[k] = rng.choice([e for e in EDGES if e < 256**size] + [min(fields[k] + 1, 256**size - 1)])
        chunks[i] = kind, struct.pack(HEADER, *fields)
    elif kind == b"TILE" and what > 3:
        chunks[i] = kind, mutate_tile(content, rng, mutate)
    else:
        chunks[i] = kind, mutate(content)
    return join(data[:8], chunks)


def reshaped(chunks: list[tuple[bytes, bytes]], rng: random.Random) -> list[tuple[bytes, bytes]]:
    """A file of another shape: its tiles, over and over, as many as that has."""
    from vaecodec.bitstream.chunks import pack_varint

    heads = [c for c in chunks if c[0] == b"HEAD" and len(c[1]) == struct.calcsize(HEADER)]
    tiles = [content for kind, content in chunks if kind == b"TILE" and content]
    if not heads or not tiles:
        return chunks
    side, thick = rng.choice([1, 2, 16]), rng.choice([1, 15, 16, 17, 64, 65])
    long = rng.randint(1, min(64 * side * TILES_MAX // -(-thick // (64 * side)), 2 * PIXELS_MAX // thick))
    fields = list(struct.unpack(HEADER, heads[0][1]))
    fields[1], fields[2], fields[6] = *rng.choice([(thick, long), (long, thick)]), side
    count = -(-fields[1] // (64 * side)) * -(-fields[2] // (64 * side))
    others = [c for c in chunks if c[0] not in (b"HEAD", b"TILE", b"DONE")]
    numbered = [(b"TILE", pack_varint(n) + tiles[n % len(tiles)][1:]) for n in range(count)]
    return [(b"HEAD", struct.pack(HEADER, *fields)), *others, *numbered, (b"DONE", b"")]


def mutate_tile(content: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    """A tile with one of its parts changed and lengths that fit, or with a length that lies."""
    from vaecodec.bitstream.chunks import pack_varint, unpack_varint
    from vaecodec.bitstream.tiles import Tile
    from vaecodec.errors import VaecError

    try:
        view = memoryview(content)
        number, at = unpack_varint(view, 0)
        tile = Tile.unpack(view[at:])
    except VaecError:
        return mutate(content)
    parts = [bytes(tile.states), *map(bytes, tile.sections)]
    lanes, lengths = tile.lanes_log2, [len(p) for p in parts[1:]]
    k = rng.randrange(len(parts) + 2)
    if k < len(parts):
        parts[k] = mutate(parts[k]) if rng.randrange(4) else rng.choice([b"", parts[k][:-2], parts[k] + b"\0\0"])
        if k in (2, 3, 4):
            parts[k] = parts[k][: len(parts[k]) // 2 * 2]
        lengths = [len(p) for p in parts[1:]]
    elif k == len(parts):
        lanes = rng.choice([0, 1, 6, 7, 8, 255])
        parts[0] = bytes(parts[0] * 128)[: 4 << min(lanes, 8)]
    else:
        lengths[rng.randrange(len(lengths))] = rng.choice(EDGES)
    return pack_varint(number) + bytes([lanes]) + b"".join(map(pack_varint, lengths)) + b"".join(parts)


def mutate_model(data: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    """A model file with a number, a tensor or a line of its metadata changed, and its hash right again; one time in
    eight any bytes."""
    from safetensors.numpy import save

    from vaecodec.model.tensors import read_file
    from vaecodec.model.weights import model_hash

    try:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            metadata, tensors = read_file(Path(file.name))
            config = json.loads(metadata["config"])
            name = rng.choice(sorted(tensors))
    except Exception:  # what an earlier change has made of it
        return mutate(data)
    what, tensor = rng.randrange(8), tensors[name]
    if what == 0:
        return mutate(data)
    if what == 1:
        config[rng.choice(["C", "M", "N", "low", "blocks_s", "skip", "new"])] = rng.choice([*EDGES, -1, 0.5, None, "x"])
        metadata["config"] = json.dumps(config)
    elif what == 2:
        key = rng.choice(sorted(metadata))
        metadata[key] = mutate(metadata[key].encode()).decode("latin-1")
    elif what == 3:
        del tensors[name]
    elif what == 4:
        tensors[name] = tensor.astype(rng.choice([np.int8, np.int16, np.int32, np.uint16, np.float16, np.float64]))
    elif what == 5:
        tensors[name] = rng.choice([tensor[:-1], tensor.ravel(), tensor[None], np.repeat(tensor, 2, 0)])
    elif tensor.size:
        flat = np.frombuffer(mutate(tensor.tobytes())[: tensor.nbytes].ljust(tensor.nbytes, b"\xff"), tensor.dtype)
        tensors[name] = flat.reshape(tensor.shape)
    if rng.randrange(8):
        metadata["hash"] = model_hash(metadata.get("config", ""), tensors).hex()
    return bytes(save({key: np.ascontiguousarray(value) for key, value in tensors.items()}, metadata))


TARGETS = {"file": (check_file, mutate_file), "model": (check_model, mutate_model)}


def main() -> None:
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    if len(sys.argv) < 3 or sys.argv[1] not in TARGETS:
        sys.exit(__doc__)
    check, mutator = TARGETS[sys.argv[1]]
    corpus = Path(sys.argv[2])
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = sorted(VECTORS.glob("*/*.vaec")) if sys.argv[1] == "file" else [VECTORS / "small.safetensors"]
    for seed in seeds:
        if seed.stat().st_size <= (LARGEST if sys.argv[1] == "file" else 10**6):
            (corpus / f"seed-{seed.stem}").write_bytes(seed.read_bytes())
    with atheris.instrument_imports(include=["vaecodec"]):
        import vaecodec.bitstream.info
        import vaecodec.codec.codec
        import vaecodec.pictures.preview
        import vaecodec.pictures.writing  # noqa: F401

    def custom(data: bytes, largest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        return mutator(data, rng, lambda part: atheris.Mutate(part, len(part) + 64))[:largest]

    longest = "-max_len=20000" if sys.argv[1] == "file" else "-max_len=1000000"
    options = [sys.argv[0], f"-artifact_prefix={corpus}-", longest, "-rss_limit_mb=2048", *sys.argv[3:], str(corpus)]
    atheris.Setup(options, check, custom_mutator=custom)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
