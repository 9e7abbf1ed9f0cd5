"""What damage does: python -m tools.check.damage PICTURES... [--count 2000] [--seed N] [--progressive]
    [--jobs N] [--log FILE]

A file of two megapixels, with metadata and a preview, in tiles of 256 pixels, made of the pictures, is damaged in many
ways. Each time strict decoding must say what is wrong or give the same pixels, and partial decoding must give the
pixels of all tiles that are whole, but for the rim that it reports, as they were. Cases in the log are not done again.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing import Process
from pathlib import Path

import numpy as np

from tools.train.data import load
from vaecodec.bitstream.chunks import SIGNATURE, read_chunks
from vaecodec.bitstream.recovery import recover
from vaecodec.codec import Codec
from vaecodec.codec.partial import Partial
from vaecodec.errors import VaecError
from vaecodec.pictures.picture import Picture

HEIGHT, WIDTH, TILE, QUALITY = 1088, 1920, 256, 50
Damage = Callable[[bytes, np.random.Generator], bytes]


def mosaic(pictures: list[Path]) -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8, of the pictures side by side."""
    row = np.concatenate([load(p)[:512, :512] for p in pictures], axis=1)
    times = -(-WIDTH // row.shape[1]), -(-HEIGHT // row.shape[0])
    return np.ascontiguousarray(np.tile(row, (times[1], times[0], 1))[:HEIGHT, :WIDTH])


def chunks_of(data: bytes) -> list[bytes]:
    """The signature and the chunks."""
    found = [SIGNATURE]
    return found + [data[c.start : c.start + c.size] for c in read_chunks(data)]


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(data)))
    return data[:at] + bytes([data[at] ^ int(rng.integers(1, 256))]) + data[at + 1 :]


def burst(data: bytes, rng: np.random.Generator) -> bytes:
    at, length = int(rng.integers(len(data))), int(rng.integers(2, 5000))
    noise = rng.bytes(len(data[at : at + length]))
    return data[:at] + noise + data[at + length :]


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data)))]


def missing(data: bytes, rng: np.random.Generator) -> bytes:
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 5000))
    return data[:at] + data[at + length :]


def drop(data: bytes, rng: np.random.Generator) -> bytes:
    parts = chunks_of(data)
    del parts[int(rng.integers(len(parts)))]
    return b"".join(parts)


def double(data: bytes, rng: np.random.Generator) -> bytes:
    parts = chunks_of(data)
    at = int(rng.integers(len(parts)))
    return b"".join([*parts[: at + 1], *parts[at:]])


def swap(data: bytes, rng: np.random.Generator) -> bytes:
    parts = chunks_of(data)
    i, j = rng.choice(len(parts), 2, replace=False)
    parts[i], parts[j] = parts[j], parts[i]
    return b"".join(parts)


WAYS: dict[str, Damage] = {
    "a byte changed": flip,
    "up to 5,000 bytes changed": burst,
    "cut off": truncate,
    "up to 5,000 bytes missing": missing,
    "a chunk dropped": drop,
    "a chunk doubled": double,
    "two chunks swapped": swap,
}


def strict(codec: Codec, damaged: bytes, true: np.ndarray) -> str:
    try:
        pixels = codec.decode(damaged).pixels
    except VaecError:
        return "refused"
    return "harmless" if np.array_equal(pixels, true) else "WRONG PIXELS"


def partial(codec: Codec, damaged: bytes, true: np.ndarray, known: dict[object, str]) -> str:
    """What partial decoding makes of it. Its pixels depend on the tiles that can be recovered alone, so that equal
    losses, of which there are many, are decoded once."""
    try:
        left = recover(damaged)
        there = (left.tiles, left.truncated)
        key = left.header, *(frozenset((k, tuple(map(bytes, v.parts))) for k, v in part.items()) for part in there)
        if key not in known:
            known[key] = verdict(codec.decode_partial(damaged), true)
    except VaecError:
        return "nothing to be had"
    return known[key]


def verdict(found: Partial, true: np.ndarray) -> str:
    """Whether all is as it was that should be."""
    pixels = found.picture.pixels
    if pixels.shape != true.shape:
        return "WRONG SIZE"
    trusted = np.ones(true.shape[:2], bool)
    for x, y, w, h in (*found.lost, *found.coarse):
        rows, columns = (slice(max(0, a - found.margin), a + n + found.margin) for a, n in ((y, h), (x, w)))
        trusted[rows, columns] = False
    if not np.array_equal(pixels[trusted], true[trusted]):
        return "WRONG PIXELS"
    return "all" if not (found.lost or found.coarse) else "part"


def make(pictures: list[Path], progressive: bool) -> tuple[Codec, bytes, np.ndarray]:
    """A codec, the file to damage, and its pixels."""
    codec = Codec(threads=1)
    picture = Picture(mosaic(pictures), icc=b"i" * 500, exif=b"II*\0" + b"e" * 500, xmp=b"x" * 2000)
    data = codec.encode(picture, QUALITY, tile=TILE, preview=True, progressive=progressive)
    return codec, data, codec.decode(data).pixels


def run(pictures: list[Path], seed: int, progressive: bool, cases: list[int]) -> Iterator[list[str]]:
    """Number, way, and what strict and partial decoding make of it, of each case."""
    codec, data, true = make(pictures, progressive)
    known: dict[object, str] = {}
    for k in cases:
        way = list(WAYS)[k % len(WAYS)]
        damaged = WAYS[way](data, np.random.default_rng([seed, k]))
        yield [str(k), way, strict(codec, damaged, true), partial(codec, damaged, true, known)]


def run_and_log(pictures: list[Path], seed: int, progressive: bool, cases: list[int], log: Path) -> None:
    with log.open("a", buffering=1) as handle:  # one line, one write: several processes may append
        for result in run(pictures, seed, progressive, cases):
            handle.write("\t".join(result) + "\n")


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    p.add_argument("--count", type=int, default=2000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--progressive", action="store_true", help="damage a progressive file")
    p.add_argument("--jobs", type=int, default=1)
    p.add_argument("--log", type=Path, default=Path("damage.tsv"))
    args = p.parse_args()
    args.log.touch()
    done = {int(line.split("\t")[0]) for line in args.log.read_text().splitlines()}
    cases = sorted(set(range(args.count)) - done)
    workers = [
        Process(target=run_and_log, args=(args.pictures, args.seed, args.progressive, cases[j :: args.jobs], args.log))
        for j in range(args.jobs)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return report(args.log)


def report(log: Path) -> int:
    """Print the table; 1 where something was wrong."""
    results: dict[str, tuple[Counter[str], Counter[str]]] = {way: (Counter(), Counter()) for way in WAYS}
    for line in log.read_text().splitlines():
        _, way, *found = line.split("\t")
        for counter, what in zip(results[way], found, strict=True):
            counter[what] += 1
    print("| damage | strict decoding | partial decoding |\n| --- | --- | --- |")
    for way, counts in results.items():
        cells = (", ".join(f"{n} {what}" for what, n in c.most_common()) for c in counts)
        print(f"| {way} | {' | '.join(cells)} |")
    return int(any(what.isupper() for counts in results.values() for c in counts for what in c))


if __name__ == "__main__":
    sys.exit(main())
