"""vaecodec/web/vp8l.js decodes and refuses what libwebp does; all bitstreams in one process of Node."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from node import run
from PIL import Image

from tests import forged_vp8l
from tests.sample_pictures import picture
from tools.train.data import load
from vaecodec.bitstream.vp8l import RIFF_HEADER, unpack
from vaecodec.errors import CorruptFileError

PHOTO = load(Path(__file__).resolve().parents[1] / "data" / "kodim23.png")
MUTATED = 4000
SCRIPT = """
const { decodeVP8L } = await load("vp8l.js");
const { createHash } = await import("node:crypto");
const [path, cases] = args;
const data = read(path);
answer(cases.map(([start, end, height, width]) => {
  try {
    const pixels = decodeVP8L(data.subarray(start, end), width, height);
    return pixels.length === 4 * width * height ? createHash("sha256").update(pixels).digest("hex") : "another length";
  } catch (error) {
    return error.rule ?? error.stack;
  }
}));
"""


class Case(NamedTuple):
    data: bytes
    height: int
    width: int


def decoded(cases: list[Case], folder: Path) -> list[str]:
    """Of each the SHA-256 of its pixels, or the rule that it breaks."""
    ends = np.cumsum([len(case.data) for case in cases]).tolist()
    path = folder / "bitstreams"
    path.write_bytes(b"".join(case.data for case in cases))
    places = [(end - len(c.data), end, c.height, c.width) for c, end in zip(cases, ends, strict=True)]
    found: list[str] = run(SCRIPT, folder, path, places)
    return found


def expected(case: Case) -> str:
    """The same of libwebp."""
    try:
        pixels = unpack(*case, "overlay")
    except CorruptFileError as error:
        return "P1" if "size" in str(error) else "P3"
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def check(cases: list[Case], folder: Path) -> list[str]:
    """Gives what both found."""
    ours, theirs = decoded(cases, folder), [expected(case) for case in cases]
    different = [(n, *pair) for n, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]]
    assert not different, (len(different), different[:3], cases[different[0][0]])
    return theirs


def packed(pixels: np.ndarray, quality: int, method: int) -> Case:
    file = BytesIO()
    options = {"lossless": True, "exact": True, "quality": quality, "method": method}
    Image.fromarray(pixels).save(file, "WEBP", **options)
    length = int.from_bytes(file.getvalue()[RIFF_HEADER - 4 : RIFF_HEADER], "little")
    return Case(file.getvalue()[RIFF_HEADER : RIFF_HEADER + length], *pixels.shape[:2])


def pictures(rng: np.random.Generator, count: int, most: tuple[int, int]) -> Iterator[Case]:
    """Of all kinds and sizes."""
    for n in range(count):
        height, width = (int(rng.integers(1, side + 1)) for side in most) if n else most
        i, j = np.mgrid[:height, :width]
        top, left = rng.integers(PHOTO.shape[0] - height), rng.integers(PHOTO.shape[1] - width)
        photo = PHOTO[top : top + height, left : left + width]
        few = rng.integers(0, 256, (int(rng.integers(1, 40)), 4))
        pixels = (
            photo,
            np.dstack((photo, picture(height, width, 1))),
            photo[..., 1:2].repeat(3, 2),
            picture(height, width, 4),
            np.stack((3 * i, 2 * j, i + j, 255 - i), -1) % 256,
            few[rng.integers(len(few), size=(height, width))],
            few[(i // 5 + j // 7) % len(few)],
            np.full((height, width, 4), few[0]),
            rng.integers(0, 256, (height, width, 4)),
        )[n % 9]
        yield packed(pixels.astype(np.uint8), int(rng.integers(101)), int(rng.integers(7)))


def mutated(rng: np.random.Generator, case: Case) -> Case:
    """Bits flipped, mostly where the prefix codes are, bytes left out at the end, bytes behind it."""
    data, kind = bytearray(case.data), rng.random()
    if kind < 0.75:
        end = min(len(data), 60) if rng.random() < 0.5 else len(data)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(0 if rng.random() < 0.05 else 5, end)] ^= 1 << rng.integers(8)
    elif kind < 0.9:
        del data[-int(rng.integers(1, 12 if rng.random() < 0.5 else len(data))) :]
    else:
        at = int(rng.integers(5, len(data)))
        data[at:at] = rng.bytes(int(rng.integers(1, 5)))
    return case._replace(data=bytes(data) + (rng.bytes(int(rng.integers(1, 9))) if rng.random() < 0.1 else b""))


REFUSED = [Case(data, forged_vp8l.HEIGHT, forged_vp8l.WIDTH) for _, data in forged_vp8l.refused()]
DECODED = [Case(data, forged_vp8l.HEIGHT, forged_vp8l.WIDTH) for *_, data in forged_vp8l.decoded()]


def test_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    large, small, thin = pictures(rng, 45, (200, 300)), pictures(rng, 180, (40, 40)), pictures(rng, 90, (1, 5))
    found = check([*large, *small, *thin], tmp_path)
    assert not {"P1", "P3"} & set(found)


def test_edges(tmp_path: Path) -> None:
    assert set(check(REFUSED, tmp_path)) == {"P3"}
    assert not {"P1", "P3"} & set(check(DECODED, tmp_path))


def test_beginnings(tmp_path: Path) -> None:
    """Cut off anywhere; of another size, version and signature."""
    whole = DECODED[-1]
    cut = [whole._replace(data=whole.data[:length]) for length in range(len(whole.data))]
    others = [whole._replace(height=whole.height + 1), whole._replace(width=whole.width - 1)]
    flipped = [bytes(b ^ (n == k // 8) << k % 8 for n, b in enumerate(whole.data)) for k in range(40)]
    found = check([*cut, *others, *(whole._replace(data=data) for data in flipped)], tmp_path)
    assert found[len(cut) :][:2] == ["P1", "P1"] and len(set(found[-40:]) - {"P1", "P3"}) == 1


def test_mutations(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    sources = [*REFUSED, *DECODED, *pictures(rng, 150, (40, 40)), *pictures(rng, 10, (200, 300))]
    found = check([mutated(rng, sources[n % len(sources)]) for n in range(MUTATED)], tmp_path)
    assert sum(rule == "P3" for rule in found) in range(MUTATED // 3, MUTATED * 9 // 10)
