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

from tests.forgery import (
    TILES,
    Chunk,
    chunks_of,
    index_of,
    packed,
    packed_fields,
    parts_of,
    unpacked,
)

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
SHIPPED = (VECTORS / "valid" / "base-middle.vaec").read_bytes()
SAMPLE = (VECTORS / "valid" / "small-size-33x17.vaec").read_bytes()
PIXELS_MAX = 2**16
SECONDS, SECONDS_EACH = 2.0, 2.0  # of one core, for a way to read a file, and for each megapixel of its work
TILES_MAX = 300  # of a file that is given another shape
LARGEST = 20_000  # bytes of a file
SIZES = {  # of fields of HEAD, in values
    **{"version": 256, "reserved": 2, "colour": 4, "alpha": 4, "value": 256, "tile": 256, "quality": 2**16},
    **dict.fromkeys(("width", "height", "number", "features"), 2**35),
}
KINDS = (b"iCCP", b"eXIf", b"xMPp", b"pREV", b"tIDX", b"TILE", b"BASE", b"LOWC", b"HIGH", b"abCD", b"rESI")
EDGES = (0, 1, 2, 63, 64, 127, 128, 255, 256, 1000, 65535, 2**31 - 1, 2**31, 2**32 - 1)
Mutate = Callable[[bytes], bytes]


class Slow(Exception):
    """A file took longer than it may."""


def check_file(data: bytes) -> None:
    """Everything that reads a file, on one of unknown origin. Raises what should not be raised."""
    from vaecodec.bitstream.container import parse_indexed
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
        for file in (data, parse_indexed(data)):
            if file:
                part = quickly(codec.decode_region, file, (x, y, 1, 1))
                assert np.array_equal(part.pixels, strict.pixels[y : y + 1, x : x + 1])
        quickly(write_picture, strict, BytesIO(), "PNG")
        quickly(upright, strict, 32)
        read_info(data)
    elif left is not None:
        assert not left.whole
    for look in (read_info, read_preview, parse_indexed):
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


def split(data: bytes) -> list[Chunk]:
    """Type and data of as many chunks as can be told apart."""
    found, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def join(start: bytes, chunks: list[Chunk]) -> bytes:
    packed = (struct.pack("<I", len(d)) + kind + d + struct.pack("<I", zlib.crc32(kind + d)) for kind, d in chunks)
    return start + b"".join(packed)


def mutate_file(data: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    """A file with something changed, whose checksums are right, and most often its index; one time in eight any
    bytes."""
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
        chunks.insert(i, (rng.choice(KINDS), mutate(content)))
    elif kind == b"HEAD":
        chunks[i] = kind, mutate_head(content, rng, mutate)
    elif kind in TILES and what > 3:
        chunks = with_other_tile(chunks, i, rng, mutate)
    else:
        chunks[i] = kind, mutate(content)
    if rng.randrange(8):
        chunks = [index_of(chunks) if kind == b"tIDX" else (kind, content) for kind, content in chunks]
    return join(data[:8], chunks)


def mutate_head(content: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    """A HEAD with another value in a field, or without one, or with one more."""
    try:
        fields = unpacked(content)
    except (ValueError, IndexError, struct.error):
        return mutate(content)
    name = rng.choice([*SIZES, "rest"])
    if name == "rest":
        fields["rest"] = mutate(fields["rest"])
    elif name in ("tile", "number", "features") and name in fields and rng.randrange(2):
        del fields[name]
    else:
        near = min(fields.get(name, 0) + 1, SIZES[name] - 1)
        fields[name] = rng.choice([near, *(edge for edge in EDGES if edge < SIZES[name])])
        if name == "number" and "model" not in fields:
            fields |= {"model": b"small", "hash": bytes(8)}
    return packed_fields(fields)


def reshaped(chunks: list[Chunk], rng: random.Random) -> list[Chunk]:
    """A file of another shape: its tiles, over and over, as many as that has."""
    try:
        head = unpacked(next(content for kind, content in chunks if kind == b"HEAD"))
        whole = [tile_of(chunks, i) for i, (kind, _) in enumerate(chunks) if kind in TILES[:2]]
        tiles = [parts_of(b"".join(chunks[i][1][1:] for i in where)) for where in whole]
    except (ValueError, IndexError, StopIteration, struct.error):
        return chunks
    if not tiles:
        return chunks
    side, thick = rng.choice([1, 2, 15]), rng.choice([1, 15, 16, 17, 64, 65])
    long = rng.randint(1, min(64 * side * TILES_MAX // -(-thick // (64 * side)), 2 * PIXELS_MAX // thick))
    head["width"], head["height"] = rng.choice([(thick, long), (long, thick)])
    head["tile"], progressive = side, rng.random() < 0.5
    head["features"] = head.get("features", 2**16) & ~1 | progressive
    if not head["features"]:
        del head["features"]
    count = -(-head["width"] // (64 * side)) * -(-head["height"] // (64 * side))
    others = [c for c in chunks if c[0] not in (b"HEAD", b"tIDX", *TILES)]
    numbered = chunks_of([tiles[n % len(tiles)] for n in range(count)], progressive)
    return [(b"HEAD", packed_fields(head)), *others, index_of(numbered), *numbered]


def tile_of(chunks: list[Chunk], i: int) -> list[int]:
    """Which chunks belong to the tile of which one is chunk i, if its number is below 128."""
    kind, content = chunks[i]
    kinds = TILES[:1] if kind == TILES[0] else TILES[1:]
    return [n for n, (other, data) in enumerate(chunks) if other in kinds and data[:1] == content[:1]]


def with_other_tile(chunks: list[Chunk], i: int, rng: random.Random, mutate: Mutate) -> list[Chunk]:
    """A tile with one of its parts changed and lengths that fit, or with a length or a flag that lies."""
    where = tile_of(chunks, i)
    try:
        parts = parts_of(b"".join(chunks[n][1][1:] for n in where))
    except (ValueError, IndexError):
        where = []
    if len(where) != (1 if chunks[i][0] == b"TILE" else 3):
        return [*chunks[:i], (chunks[i][0], mutate(chunks[i][1])), *chunks[i + 1 :]]
    name, flagged = rng.choice([*parts, "flags", "length"]), 0
    if name == "lanes":
        lanes = rng.choice([0, 1, 6, 7, 8, 9, 15])
        parts |= {"lanes": bytes([lanes]), "states": bytes(parts["states"] * 128)[: 4 << lanes if lanes < 8 else 0]}
    elif name == "flags":
        flagged = rng.choice([16, 32, 64, 128])
    elif name != "length":
        content = parts[name]
        content = mutate(content) if rng.randrange(4) else rng.choice([b"", content[:-2], content + b"\0\0"])
        parts[name] = content[: len(content) // 2 * 2] if name in ("z", "low", "high") else content
    cut = packed(parts, flagged)
    if name == "length":
        base = bytearray(cut[0])
        base[rng.randrange(min(len(base), 6))] = rng.choice([0, 1, 2, 127, 128, 255])
        cut[0] = bytes(base)
    changed, number = [*chunks], chunks[i][1][:1]
    for n, content in zip(where, cut if len(where) == 3 else [b"".join(cut)], strict=True):
        changed[n] = chunks[n][0], number + content
    return changed


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
