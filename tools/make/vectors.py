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

from tests.forgery import (
    EXTRA,
    VIOLATIONS,
    changed_header,
    changed_tile,
    coloured,
    flagged,
    forge,
    golomb,
    join,
    leb128,
    put,
    split,
)
from tests.reference_decoder import Header, decode
from tests.sample_pictures import picture
from tools.train.data import load
from vaecodec.codec import Codec
from vaecodec.model import weights
from vaecodec.pictures.picture import Picture
from vaecodec.version import __version__

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
MODELS = {"small": VECTORS / "small.safetensors", "base": weights.DEFAULT}
FOREVER = "0.5"  # from this release on models stay decodable
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
    for value in (32767, -32767):
        yield f"escape-{value}", f"an escape at its limit, {value}", with_escape(data, value)


def with_escape(model: bytes, value: int) -> bytes:
    """A file whose last escape has that value, where nothing that is decoded later depends on it."""
    header = Header(16, 16, 1, 500, 1, 0, 0, "", b"")
    for seed in range(1000):
        chunks = split(forge(model, header, 0, 0.3, 32767, seed))
        parts: list[bytes] = []
        changed_tile(chunks, parts.extend)
        at = max(i for i in range(len(parts[2])) if i == 0 or parts[2][i - 1] < 128)
        changed = put(2, parts[2][:at] + leb128(2 * value if value >= 0 else -2 * value - 1))
        file = join(changed_tile(chunks, changed))
        with suppress(ValueError):
            decode(file, model)
            return file
    raise AssertionError("every escape has something that depends on it")


def unusual(codec: Codec) -> Iterator[Vector]:
    """Valid files that are written otherwise than the encoder does."""
    head, tile, done = split(codec.encode(Picture(picture(20, 40, 4)), 30))
    yield "ancillary", "unknown ancillary chunks, repeated", join([head, EXTRA, EXTRA, tile, (b"abcd", b"xyz"), done])
    constant = changed_tile(changed_header([head, tile, done], alpha=1, value=77), put(6, b""))
    yield "alpha-unlike", "constant alpha of 77", join(constant)
    yield (
        "empty",
        "a tile without latents and overlay",
        join(changed_tile([head, tile, done], lambda p: p.__setitem__(slice(6), [b"\xff", *[b""] * 5]))),
    )
    yield (
        "overlay-over",
        "an overlay over all of a tile that has latents",
        join(changed_tile([head, tile, done], put(7, coloured(20, 40, 255)))),
    )
    yield (
        "overlay-nothing",
        "an overlay that is clear everywhere",
        join(changed_tile([head, tile, done], put(7, coloured(20, 40, 0)))),
    )
    tiles = split(codec.encode(Picture(picture(150, 130, 1)), 30, effort=4, tile=64))
    strong = golomb([150, *[-3] * 11, 900, *[40] * 11, *[5] * 6, *[100] * 6])
    for name, what, section in (
        ("filter-strong", "a strong filter in one of many tiles", strong),
        ("filter-of-noughts", "a filter that is the default one", golomb([0] * 36)),
    ):
        yield name, what, join(changed_tile(tiles, put(8, section)))
    section, clear = coloured(20, 40), coloured(20, 40, 0)
    for number, name, what, content in (
        (6, "alpha-colours", "alpha with other red, blue and alpha samples", section),
        (6, "alpha-unused", "alpha with alpha_is_used 0 and alpha samples", flagged(section, False)),
        (6, "alpha-behind", "bytes behind the image data of alpha", section + b"\xff" * 99),
        (6, "alpha-odd", "alpha of an odd length", section + b"\xff" * (1 + len(section) % 2)),
        (7, "overlay-unused", "an overlay with alpha_is_used 0, clear everywhere", flagged(clear, False)),
        (7, "overlay-behind", "bytes behind the image data of an overlay", clear + b"\xff" * 99),
    ):
        yield name, what, join(changed_tile([head, tile, done], put(number, content)))


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


def invalid(codec: Codec) -> Iterator[tuple[str, str, bytes]]:
    """Name, rule, file: each breaks one rule of the specification; and files cut off."""
    chunks = split(codec.encode(Picture(picture(20, 40, 4)), 30))
    for name, (rule, change) in VIOLATIONS.items():
        changed = change(chunks)
        yield name.replace(" ", "-"), rule, changed if isinstance(changed, bytes) else join(changed)
    whole = join(chunks)
    for at in (0, 1, 7, 8, 12, 30, 52, 60, len(whole) // 2, len(whole) - 12, len(whole) - 1):
        yield f"cut-at-{at}", "F1" if at < 8 else "[FC]3", whole[:at]


def compatible(codec: Codec) -> None:
    """A file of the shipped model into tests/vectors/compat. Those of releases before 0.5 may go."""
    path = VECTORS / "compat" / "compat.json"
    path.parent.mkdir(exist_ok=True)
    record = json.loads(path.read_text()) if path.exists() else {}
    record = {name: facts for name, facts in record.items() if release(facts["release"]) >= release(FOREVER)}
    rgba = np.dstack((load(ROOT / "tests" / "data" / "kodim23.png")[100:250, 180:400], picture(150, 220, 1)))
    data = codec.encode(Picture(rgba, b"icc", b"II*\0exif", b"<xmp/>", b"\x0c\x0d\0\1"), 62.5, tile=128, preview=True)
    name = f"{__version__}-{codec.weights.name}-{codec.weights.hash.hex()}"
    (path.parent / f"{name}.vaec").write_bytes(data)
    digest = hashlib.sha256(decode(data, weights.DEFAULT.read_bytes()).tobytes()).hexdigest()
    record[name] = {"release": __version__, "shape": list(rgba.shape), "sha256": digest}
    for file in path.parent.glob("*.vaec"):
        if file.stem not in record:
            file.unlink()
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def release(version: str) -> tuple[int, ...]:
    """In order."""
    return tuple(map(int, version.split(".")[:2]))


def main() -> None:
    path = VECTORS / "vectors.json"
    record = json.loads(path.read_text()) if path.exists() else {"valid": {}, "invalid": {}}
    missing = "--missing" in sys.argv
    kinds = ("base", "small") if "--all" in sys.argv else ("base",)
    codecs = {kind: Codec(MODELS[kind], threads=1) for kind in kinds}
    made: dict[str, list[Vector]] = {"base": list(real(codecs["base"]))}
    if "small" in codecs:
        small = codecs["small"]
        made["small"] = [*encoded(small), *forged(MODELS["small"]), *unusual(small)]
        kept = record["invalid"] if missing else {}
        record["invalid"] = dict(kept)
        for name, rule, data in (vector for vector in invalid(small) if vector[0] not in kept):
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
            facts = {"model": kind, "for": what, "shape": list(pixels.shape), "sha256": digest}
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
