"""The conformance suite: python -m tools.make.vectors [--all] [--missing]

tests/vectors/valid has files that every decoder must decode to the same pixels, tests/vectors/invalid files that it
must refuse. vectors.json says of each what it is for, and the SHA-256 of its pixels, which the independent decoder of
the tests makes, or the rule of bitstream_spec.md that it breaks. Without --all only those of the shipped model are
made again; the others may change with the format's version alone. With --missing those that are recorded stay as they
are, whatever this machine's encoder would make of them, and new ones come beside them. tests/vectors/compat has a file
of each model that was in a release, which no later release may fail to decode (docs/reference/models.md).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from tests import broken_models, forged_edges, forged_vp8l
from tests.forgery import (
    EMPTY,
    EXTRA,
    Chunk,
    changed_header,
    changed_tile,
    coloured,
    flagged,
    forge,
    golomb,
    index_of,
    join,
    leb128,
    parts_of,
    split,
    violations,
)
from tests.reference_decoder import Coder, Header, decode, decode_latents, read_file, read_tile, synthesise
from tests.reference_model import Array, Ints, Table, load_model
from tests.sample_pictures import picture
from tools.train.data import load
from vaecodec.bitstream.header import VERSION
from vaecodec.codec import Codec
from vaecodec.model import weights
from vaecodec.pictures.picture import Picture
from vaecodec.version import __version__

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
MODELS = {"base": weights.DEFAULT, "small": VECTORS / "small.safetensors", "three": VECTORS / "three.safetensors"}
STAGED = "small-size-65x64"  # what a decoder has on the way is recorded too
FORMAT = 9  # from this version of the format on files stay decodable,
FOREVER = "0.5"  # and from this release on models do
SIZES = ((1, 1), (1, 17), (63, 1), (16, 16), (15, 130), (17, 33), (64, 64), (64, 65), (65, 64))
QUALITIES = (0, 6.2, 6.3, 12.5, 49.9, 87.5, 93.7, 93.8, 100)  # anchors of z change at 6.25 and 93.75
Vector = tuple[str, str, bytes]  # name, what it is for, file


def encoded(codec: Codec) -> Iterator[Vector]:
    """Files of an encoder."""

    def file(pixels: np.ndarray, quality: float = 75, effort: int = 2, **options: Any) -> bytes:
        metadata = {k: options.pop(k) for k in ("cicp", "icc", "exif", "xmp") if k in options}
        return codec.encode(Picture(pixels, **metadata), quality, effort=effort, **options)

    for h, w in SIZES:
        yield f"size-{w}x{h}", f"{w} x {h} pixels", file(picture(h, w))
    for q in QUALITIES:
        yield f"quality-{q:g}", f"quality {q:g}", file(picture(48, 60), q)
    for side, (h, w) in ((64, (150, 200)), (64, (129, 64)), (128, (200, 150)), (192, (100, 300))):
        yield (
            f"tiles-{side}-{w}x{h}",
            f"tiles of {side} pixels, cut at the edges",
            file(picture(h, w), 40, tile=side),
        )
    for h, w in ((1, 300), (300, 1)):
        yield f"thin-{w}x{h}", "a row or a column of tiles, one pixel thick", file(picture(h, w), 40, tile=64)
    for q in (0, 50, 100):
        yield f"grey-{q}", f"grey, quality {q}", file(picture(33, 65, 1), q)
    yield "grey-alpha", "grey with coded alpha, tiles", file(picture(70, 50, 2), 20, tile=64)
    yield "alpha", "RGB with coded alpha, tiles", file(picture(90, 130, 4), 60, tile=128)
    for value in (0, 255):
        flat = picture(20, 30, 4)
        flat[..., 3] = value
        yield f"alpha-{value}", f"constant alpha of {value}", file(flat)
    flat = picture(20, 30, 2)
    flat[..., 1] = 77
    yield "grey-alpha-77", "grey with constant alpha", file(flat)
    metadata: dict[str, Any] = {kind: kind.encode() * 50 for kind in ("icc", "exif", "xmp")}
    metadata["cicp"] = b"\x0c\x0d\0\1"
    for kind, data in metadata.items():
        yield f"with-{kind}", f"metadata: {kind}", codec.encode(Picture(picture(16, 20), **{kind: data}), 75, effort=2)
    yield "with-all", "all metadata and a preview", file(picture(40, 50), preview=True, **metadata)
    for channels in (1, 3):
        yield f"filter-{channels}", "filters, tiles", file(picture(250, 260, channels), 60, 4, tile=192)
    chequers = (picture(8, 8) // 128 * 255).repeat(16, 0).repeat(16, 1)
    yield "escapes", "escapes", file(chequers, 100)
    mixed = np.concatenate((chequers, load(ROOT / "tests" / "data" / "kodim23.png")[120:248, 180:308]), axis=1)
    yield "overlay-covers", "an overlay over a tile without latents", file(chequers, 50, 3)
    yield "overlay-mixed", "an overlay over part of a tile", file(mixed, 100, 3)
    yield "overlay-grey", "overlays of a grey picture, tiles", file(mixed[..., :1], 100, 3, tile=64)
    drawn = np.concatenate((chequers, picture(128, 128, 1)), axis=2)
    yield "overlay-alpha", "overlays and coded alpha, tiles", file(drawn, 70, 3, tile=64)
    for name, what, pixels, options in (
        ("one", "one tile", picture(50, 60), {"effort": 3}),
        ("grey", "grey, tiles", picture(130, 70, 1), {"tile": 64}),
        ("alpha", "coded alpha, tiles, metadata", picture(70, 150, 4), {"tile": 64, "exif": b"II*\0"}),
        ("overlays", "overlays and coded alpha, tiles", drawn, {"tile": 64, "effort": 3}),
        ("covered", "a tile without latents", chequers, {"effort": 3}),
        ("filters", "filters, tiles", picture(250, 260), {"tile": 192, "effort": 4}),
    ):
        yield (
            f"progressive-{name}",
            f"progressive, {what}",
            file(pixels, 60, **options, progressive=True),
        )


def forged(model: Path) -> Iterator[Vector]:
    """Files that no encoder writes, and that are valid."""
    data = model.read_bytes()
    for lanes in range(8):
        header = Header(40, 30, 3, 700, 1, 2, 0, "", b"")
        yield f"lanes-{2**lanes}", f"random symbols in {2**lanes} lanes", forge(data, header, lanes, 0.02, 300, lanes)
    for q in (0, 62, 63, 499, 938, 1000):
        for escapes, largest in ((0.01, 64), (0.2, 32767)):
            header = Header(60, 50, 1, q, 1, 0, 0, "", b"")
            what = f"random symbols, escapes up to {largest}, quality {q / 10:g}"
            yield f"random-{q}-{largest}", what, forge(data, header, 3, escapes, largest, q)
    header = Header(100, 70, 3, 700, 1, 2, 0, "", b"", features=1)
    yield "random-progressive", "random symbols in a progressive file", forge(data, header, 2, 0.02, 300, 5)
    for value in (32767, -32767):
        yield f"escape-{value}", f"an escape at its limit, {value}", with_escape(data, value)


def of_three_groups(model: Path) -> Iterator[Vector]:
    """Files of a model with three groups of channels: the small one, grown by `tools.train.grow`, without encoder."""
    data = model.read_bytes()
    for q, features in ((0, 0), (560, 0), (1000, 1)):
        header = Header(70, 40, 1, q, 1, 0, 0, "", b"", features=features)
        what = f"random symbols, three groups of channels, quality {q / 10:g}" + ", progressive" * features
        yield f"random-{q}", what, forge(data, header, 2, 0.01, 300, q)


def with_escape(model: bytes, value: int) -> bytes:
    """A file whose last escape has that value, where nothing that is decoded later depends on it."""
    header = Header(16, 16, 1, 500, 1, 0, 0, "", b"")
    for seed in range(1000):
        chunks = split(forge(model, header, 0, 0.3, 32767, seed))
        escapes = parts_of(chunks[1][1][1:])["escapes"]
        at = max(i for i in range(len(escapes)) if i == 0 or escapes[i - 1] < 128)
        changed = escapes[:at] + leb128(2 * value if value >= 0 else -2 * value - 1)
        file = join(changed_tile(chunks, escapes=changed))
        with suppress(ValueError):
            decode(file, model)
            return file
    raise AssertionError("every escape has something that depends on it")


def unusual(codec: Codec) -> Iterator[Vector]:
    """Valid files that are written otherwise than the encoder does."""
    chunks = split(codec.encode(Picture(picture(20, 40, 4)), 30))
    head, tile = chunks
    yield "ancillary", "unknown ancillary chunks, repeated", join([head, EXTRA, EXTRA, (b"abCd", b"xyz"), tile])
    yield "residual", "a chunk whose type is reserved", join([head, (b"rESI", b"xyz"), tile])
    constant = changed_tile(changed_header(chunks, alpha=1, value=77), alpha=b"")
    yield "alpha-unlike", "constant alpha of 77", join(constant)
    yield "empty", "a tile without latents and overlay", join(changed_tile(chunks, **EMPTY))
    yield (
        "overlay-over",
        "an overlay over all of a tile that has latents",
        join(changed_tile(chunks, overlay=coloured(20, 40, 255))),
    )
    yield (
        "overlay-nothing",
        "an overlay that is clear everywhere",
        join(changed_tile(chunks, overlay=coloured(20, 40, 0))),
    )
    yield "index-of-one", "an index of one tile", join([head, index_of(chunks), tile])
    for name, what, fields in (
        ("longer", "a HEAD with fields of later versions", {"rest": b"of later versions"}),
        ("features", "features that need not be known", {"features": 2**16 + 2**34, "rest": b"\1"}),
        ("tile", "a tile side that is written", {"tile": 15}),
    ):
        yield f"head-{name}", what, join(changed_header(chunks, **fields))
    yield from of_several(codec)
    yield from of_bitstreams(chunks)


def of_bitstreams(chunks: list[Chunk]) -> Iterator[Vector]:
    """Transparency and overlays that are written otherwise."""
    section, clear = coloured(20, 40), coloured(20, 40, 0)
    for kind, name, what, content in (
        ("alpha", "alpha-colours", "alpha with other red, blue and alpha samples", section),
        ("alpha", "alpha-unused", "alpha with alpha_is_used 0 and alpha samples", flagged(section, False)),
        ("alpha", "alpha-behind", "bytes behind the image data of alpha", section + b"\xff" * 99),
        ("alpha", "alpha-odd", "alpha of an odd length", section + b"\xff" * (1 + len(section) % 2)),
        ("overlay", "overlay-unused", "an overlay with alpha_is_used 0, clear everywhere", flagged(clear, False)),
        ("overlay", "overlay-behind", "bytes behind the image data of an overlay", clear + b"\xff" * 99),
    ):
        changed: dict[str, Any] = {kind: content}
        yield name, what, join(changed_tile(chunks, **changed))
    for kind, name, what, content in forged_vp8l.decoded():
        changed = {kind: content}
        yield f"{kind}-{name}", f"{kind}: {what}", join(changed_tile(chunks, **changed))


def of_several(codec: Codec) -> Iterator[Vector]:
    """Valid files of several tiles that are written otherwise than the encoder does."""
    head, index, *tiles = split(codec.encode(Picture(picture(150, 130, 1)), 30, effort=4, tile=64))
    strong = golomb([150, *[-3] * 11, 900, *[40] * 11, *[5] * 6, *[100] * 6])
    for name, what, section in (
        ("filter-strong", "a strong filter in one of many tiles", strong),
        ("filter-of-noughts", "a filter that is the default one", golomb([0] * 36)),
    ):
        yield name, what, join(changed_tile([head, *tiles], filter=section))
    mixed = [head, EXTRA, (b"eXIf", b"II*\0"), index, *(c for tile in tiles for c in (tile, EXTRA))][:-1]
    yield "index-and-others", "chunks ahead of the index and between the tiles", join(mixed)
    parts = split(codec.encode(Picture(picture(70, 150, 4)), 30, tile=64, progressive=True))
    yield "progressive-without-index", "a progressive file without an index", join([parts[0], *parts[2:]])
    more = [*parts[:8], EXTRA, *parts[8:14], (b"abCd", b"xyz"), *parts[14:]]
    yield (
        "progressive-ancillary",
        "unknown ancillary chunks in a progressive file",
        join(changed_header(more, features=1 + 2**16)),
    )


def real(codec: Codec) -> Iterator[Vector]:
    """Files of the shipped model."""
    crop = load(ROOT / "tests" / "data" / "kodim23.png")[120:376, 180:436]

    def file(pixels: np.ndarray, quality: float, **options: Any) -> bytes:
        return codec.encode(Picture(np.ascontiguousarray(pixels)), quality, **options)

    yield "low", "a photograph, quality 5", file(crop, 5)
    yield "middle", "a photograph, quality 62.3, tiles", file(crop, 62.3, tile=128)
    yield "high", "a photograph, quality 100, tiles", file(crop[:128, :128], 100, tile=64)
    yield "grey", "a grey photograph", file(crop[:100, :90, 1:2], 50)
    yield "effort", "a photograph, effort 9, with a filter", file(crop[:64, :64], 40, effort=9)
    yield "filters", "a photograph, tiles with filters", file(crop, 80, effort=4, tile=192)
    yield "far", "means beyond one step, which are not skipped", file(picture(300, 1, 1), 100)
    yield "noise", "noise and edges, quality 0", file(picture(70, 90), 0)
    yield "pixel", "one pixel", file(picture(1, 1), 75)
    yield "progressive", "a photograph, progressive, tiles", file(crop, 50, tile=128, progressive=True)
    chunks = split(file(picture(20, 40), 50))
    named: dict[str, Any] = {"number": 0, "model": codec.weights.name.encode(), "hash": codec.weights.hash}
    yield "named", "model 1 by its name", join(changed_header(chunks, **named))


def invalid(codec: Codec) -> Iterator[tuple[str, str, bytes]]:
    """Name, rule, file: each breaks one rule of the specification; and files cut off."""
    one, several, parts = sources(codec)
    for name, (rule, data) in violations(one, several, parts).items():
        yield name.replace(" ", "-"), rule, data
    whole = join(one)
    for at in (0, 1, 7, 8, 12, 30, 43, 44, 60, len(whole) // 2, len(whole) - 4, len(whole) - 1):
        yield f"cut-at-{at}", "F1" if at < 8 else "[FC]3", whole[:at]
    whole = join(parts)
    for third in (1, 2):
        yield f"progressive-cut-at-{third}-of-3", "[FC]3", whole[: len(whole) * third // 3]


def sources(codec: Codec) -> tuple[list[Chunk], list[Chunk], list[Chunk]]:
    """What `violations` takes."""
    one, several = Picture(picture(20, 40, 4)), Picture(picture(70, 150, 4))
    cut, parts = (split(codec.encode(several, 30, tile=64, progressive=wanted)) for wanted in (False, True))
    return split(codec.encode(one, 30)), cut, parts


def compatible(codec: Codec) -> None:
    """Files of the shipped model into tests/vectors/compat. Those of another format, and those of a release before 0.5
    whose model is another, may go."""
    path = VECTORS / "compat" / "compat.json"
    path.parent.mkdir(exist_ok=True)
    model = f"{codec.weights.name}-{codec.weights.hash.hex()}"
    record = json.loads(path.read_text()) if path.exists() else {}
    record = {name: facts for name, facts in record.items() if stays(name, facts, model)}
    rgba = np.dstack((load(ROOT / "tests" / "data" / "kodim23.png")[100:250, 180:400], picture(150, 220, 1)))
    source = Picture(rgba, b"icc", b"II*\0exif", b"<xmp/>", b"\x0c\x0d\0\1")
    for ending, progressive in (("", False), ("-progressive", True)):
        data = codec.encode(source, 62.5, tile=128, preview=True, progressive=progressive)
        name = f"{__version__}-{model}{ending}"
        (path.parent / f"{name}.vaec").write_bytes(data)
        digest = hashlib.sha256(decode(data, weights.DEFAULT.read_bytes()).tobytes()).hexdigest()
        record[name] = {"release": __version__, "format": VERSION, "shape": list(rgba.shape), "sha256": digest}
    for file in path.parent.glob("*.vaec"):
        if file.stem not in record:
            file.unlink()
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def stays(name: str, facts: dict[str, Any], model: str) -> bool:
    """Whether a file of a release stays."""
    return facts.get("format", 0) >= FORMAT and (release(facts["release"]) >= release(FOREVER) or model in name)


def release(version: str) -> tuple[int, ...]:
    """In order."""
    return tuple(map(int, version.split(".")[:2]))


class Listener:
    """Reads symbols, and keeps those of z."""

    def __init__(self, lanes: Coder) -> None:
        self.lanes = lanes
        self.z: Array | None = None

    def run(self, tables: list[Table], numbers: Ints, dependent: bool) -> tuple[Array, Array]:
        values, quantisers = self.lanes.run(tables, numbers, dependent)
        self.z = np.clip(values, -63, 63) if self.z is None else self.z
        return values, quantisers

    def finish(self, section: str) -> None:
        self.lanes.finish(section)


def stages(data: bytes, model: bytes) -> dict[str, str]:
    """SHA-256 of what a decoder has on the way, of a file of one tile."""
    header, (tile,) = read_file(data)
    weights = load_model(model)
    lanes, *_ = read_tile(tile)
    assert lanes
    listener = Listener(lanes)
    y_hat = decode_latents(weights, header.quality, *header.grid, listener)
    assert listener.z is not None
    found = {"z_hat": listener.z.astype("i1"), "y_hat": y_hat.astype("<i2")}
    found["x_hat"] = synthesise(weights, header.quality, y_hat).astype("<i4")
    return {name: hashlib.sha256(numbers.tobytes()).hexdigest() for name, numbers in found.items()}


def main() -> None:
    path = VECTORS / "vectors.json"
    record = json.loads(path.read_text()) if path.exists() else {"valid": {}, "invalid": {}}
    missing = "--missing" in sys.argv
    kinds = tuple(MODELS) if "--all" in sys.argv else ("base",)
    codecs = {kind: Codec(MODELS[kind], threads=1) for kind in kinds}
    made: dict[str, list[Vector]] = {"base": list(real(codecs["base"]))}
    if "small" in codecs:
        small = codecs["small"]
        data = MODELS["small"].read_bytes()
        edges = forged_edges.valid(data)
        made["small"] = [*encoded(small), *forged(MODELS["small"]), *edges, *unusual(small)]
        made["three"] = list(of_three_groups(MODELS["three"]))
        models = broken_models.record(data, split(small.encode(picture(1, 1), 50)))
        (VECTORS / "models.json").write_text(json.dumps(models, indent=1) + "\n")
        kept = record["invalid"] if missing else {}
        record["invalid"] = dict(kept)
        broken = [*invalid(small), *((n.replace(" ", "-"), r, f) for n, r, f in forged_edges.invalid(data))]
        for name, rule, data in (vector for vector in broken if vector[0] not in kept):
            (VECTORS / "invalid" / f"{name}.vaec").write_bytes(data)
            record["invalid"][name] = {"model": "small", "breaks": rule}
    for kind, vectors in made.items():
        model = MODELS[kind].read_bytes()
        recorded = record["valid"]
        record["valid"] = {name: facts for name, facts in recorded.items() if facts["model"] != kind}
        for name, what, data in vectors:
            if missing and f"{kind}-{name}" in recorded:
                record["valid"][f"{kind}-{name}"] = recorded[f"{kind}-{name}"]
                continue
            pixels = decode(data, model)
            (VECTORS / "valid" / f"{kind}-{name}.vaec").write_bytes(data)
            digest = hashlib.sha256(pixels.tobytes()).hexdigest()
            facts: dict[str, Any] = {"model": kind, "for": what, "shape": list(pixels.shape), "sha256": digest}
            if f"{kind}-{name}" == STAGED:
                facts["stages"] = stages(data, model)
            record["valid"][f"{kind}-{name}"] = facts
            print(f"{kind}-{name}: {len(data)} bytes, {digest[:16]}")
    for folder in ("valid", "invalid"):
        for file in (VECTORS / folder).glob("*.vaec"):
            if file.stem not in record[folder]:
                file.unlink()
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    if not missing:
        compatible(codecs["base"])
    print(f"{len(record['valid'])} valid files, {len(record['invalid'])} invalid ones")


if __name__ == "__main__":
    main()
