"""VP8L bitstreams of 40 x 20 pixels at the edges of RFC 9649: those that break [P3], and those that decode.

What breaks one rule keeps the others: whoever overlooks it finds pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.vp8l_writer import (
    COLOUR,
    DISTANCES,
    EVERY,
    GREENS,
    INDEXING,
    OTHERS,
    PREDICTOR,
    SUBTRACT_GREEN,
    Lengths,
    Reads,
    Writer,
    canonical,
)

WIDTH, HEIGHT = 40, 20
PIXELS = WIDTH * HEIGHT
LAST = 256 + 24  # the first symbol of green that is a colour of the cache
LONGEST: Lengths = {symbol: min(symbol + 1, 15) for symbol in range(16)}  # 1 to 15, and once more 15
SHORTEST = 0b0001  # in 4 bits: the prefix code of the symbol 0 alone
ONE = 0b1001  # of the symbol 1
COPYING = 5  # the group that copies


def random(seed: int, count: int, alpha: int | None = None, below: int = 256) -> list[list[int]]:
    """Red, green, blue, alpha."""
    pixels = np.random.default_rng(seed).integers(0, below, (count, 4))
    pixels[:, 3] = pixels[:, 3] if alpha is None else alpha
    return pixels.tolist()


def begun(cache: int | None = None) -> Writer:
    """A picture without transforms and entropy image, as far as its prefix codes."""
    return Writer(WIDTH, HEIGHT).put(0, 1).image(cache, meta=False)


def with_green(lengths: Lengths, cache: int | None = None) -> Writer:
    """Every pixel by the first symbol of a code, of at least one bit. The other codes have one symbol each."""
    writer = begun(cache)
    writer.normal(lengths, GREENS + (1 << cache if cache else 0))
    return writer.singles(0, 0, 255, 0).put(0, PIXELS)


def with_distances(lengths: Lengths) -> Writer:
    """A picture of one colour, that needs no distance."""
    writer = begun().singles(7, 0, 0, 255)
    writer.normal(lengths, DISTANCES)
    return writer


def with_code_lengths(lengths: Lengths) -> Writer:
    """The symbols 0 and 1 have a bit each, written by such a code of lengths."""
    writer = begun()
    code = writer.code_lengths(lengths)
    writer.put(0, 1).reads(code, [1, 1, *[0] * (GREENS - 2)] if code else [])
    return writer.singles(0, 0, 255, 0).put(0, PIXELS)


def with_reads(reads: Reads, most: int) -> Writer:
    """Every pixel by the first symbol of a code of one bit, whose lengths are read like that."""
    writer = begun()
    code = writer.code_lengths(EVERY)
    return writer.most(most).reads(code, reads).singles(0, 0, 255, 0).put(0, PIXELS)


def copied(first: int, length: int, distance: int) -> Writer:
    """So many pixels, a copy, and more than the rest of the picture."""
    writer = begun()
    green = writer.normal({3: 2, 4: 2, **dict.fromkeys(range(256, 264), 4)}, GREENS)
    distances = writer.singles(0, 0, 255).normal(dict.fromkeys(range(16), 4), DISTANCES)
    writer.symbols(green, *([3, 4] * first)[:first]).copy(green, distances, length, distance)
    return writer.symbols(green, *[4] * PIXELS)


def predicted(first: int, length: int, distance: int) -> Writer:
    """Of 5 x 3 blocks so many have the predictors 0 to 3, then comes a copy, and the rest has 3."""
    writer = Writer(WIDTH, HEIGHT).transform(PREDICTOR, 1).image()
    green = writer.normal({**dict.fromkeys(range(8), 4), **dict.fromkeys(range(256, 264), 4)}, GREENS)
    distances = writer.singles(0, 0, 0).normal(dict.fromkeys(range(16), 4), DISTANCES)
    writer.symbols(green, *([0, 1, 2, 3] * 4)[:first]).copy(green, distances, length, distance)
    return writer.symbols(green, *[3] * (15 - first - length)).put(0, 1).literals(random(1, PIXELS, 0), meta=False)


def repeated(kind: int) -> Writer:
    """A transform twice."""
    writer = Writer(WIDTH, HEIGHT)
    for _ in range(2):
        writer.transform(kind, 2)
        if kind != SUBTRACT_GREEN:
            writer.flat(0, 1, 0, 0)
    return writer.put(0, 1).flat(0, 7, 0, 255, meta=False)


def grouped(last: int, bad: int = -1) -> Writer:
    """Groups 0 to `last`, few of which are used, by blocks of 4 x 4 pixels. Copies run from one into others."""
    rng, count = np.random.default_rng(2), 0
    numbers = rng.choice([0, 1, COPYING, last], 50).tolist()
    writer = Writer(WIDTH, HEIGHT).put(0, 1).image(meta=True).put(0, 3)
    writer.literals([[n >> 8, n & 255, n * 7 & 255, n * 5 & 255] for n in numbers])
    green, distances = canonical({7: 1, 256 + 6: 1}), canonical({1: 1})
    for group in range(last + 1):
        if group in (COPYING, bad):
            writer.normal({7: 1, 256 + 6: 1} if group == COPYING else {0: 1, 1: 2}, GREENS)
        else:
            writer.singles(group % 251) if group in numbers else writer.put(SHORTEST, 4)
        writer.put(SHORTEST, 4).put(SHORTEST, 4).put(SHORTEST, 4).put(ONE, 4)
    while count < PIXELS:
        length = int(rng.integers(9, 13))
        if numbers[count // WIDTH // 4 * 10 + count % WIDTH // 4] != COPYING:
            count += 1
        elif 0 < count <= PIXELS - length and rng.random() < 0.3:
            writer.copy(green, distances, length, 2)
            count += length
        else:
            writer.symbols(green, 7)
            count += 1
    return writer


def refused() -> Iterator[tuple[str, bytes]]:
    """By what is wrong."""
    yield "green incomplete", with_green({0: 1, 1: 2}).data()
    yield "green all but complete", with_green({**LONGEST, 15: 0}).data()
    yield "green oversubscribed", with_green({0: 1, 1: 1, 2: 1}).data()
    yield "green just oversubscribed", with_green({**LONGEST, 16: 15}).data()
    yield "green empty", with_green({}).data()
    yield "distances incomplete", with_distances({0: 1, 1: 2}).data()
    yield "distances oversubscribed", with_distances({0: 1, 1: 1, 2: 1}).data()
    yield "distances empty", with_distances({}).data()
    yield "distances all past their alphabet", begun().singles(7, 0, 0, 255, 40).data()
    yield "code lengths incomplete", with_code_lengths({1: 1, 0: 2}).data()
    yield "code lengths oversubscribed", with_code_lengths({0: 1, 1: 1, 2: 1}).data()
    yield "code lengths empty", with_code_lengths({}).data()
    yield "zeros past the alphabet", with_reads([1, 1, (18, 127), (18, 127), (17, 0)], GREENS).data()
    yield "repetitions past the alphabet", with_reads([1, (18, 127), (18, 127), 0, 2, (16, 0)], GREENS).data()
    yield "max_symbol past the alphabet", with_reads([1, 1, *[0] * (GREENS - 2)], GREENS + 1).data()
    yield "a copy from before the picture", copied(3, 4, 120 + 4).data()
    yield "a copy from before the predictors", predicted(3, 4, 120 + 4).data()
    yield "a copy past the picture", copied(PIXELS - 4, 5, 120 + 1).data()
    yield "a copy past the predictors", predicted(9, 7, 120 + 1).data()
    yield "predictors twice", repeated(PREDICTOR).data()
    yield "colour transforms twice", repeated(COLOUR).data()
    yield "green subtracted twice", repeated(SUBTRACT_GREEN).data()
    yield "a cache of 0 bits", with_green({0: 1, 1: 1}, 0).data()
    yield "a cache of 12 bits", with_green({0: 1, 1: 1}, 12).data()
    yield "a bad group that is not used", grouped(7, bad=3).data()
    yield "a bad group among many", grouped(900, bad=500).data()
    yield "its last bytes missing", one_length().data()[:-2]


def single() -> Writer:
    """Codes that cost no bits: of one symbol that has a length, of one symbol twice, of one within the alphabet."""
    writer, count = begun(), 1
    green = writer.normal({7: 1, 256 + 6: 1}, GREENS)
    writer.normal({8: 15}, OTHERS)
    writer.simple(9, 9)
    writer.singles(255).simple(1, DISTANCES)
    writer.symbols(green, 7)
    while count < PIXELS:
        writer.copy(green, {1: (0, 0)}, min(9 + count % 4, PIXELS - count), 2)
        count += 9 + count % 4
    return writer


def repetitions() -> Writer:
    """16 ahead of any length repeats 8, else the last length that is not 0."""
    writer = begun()
    lengths = writer.code_lengths(EVERY)
    writer.put(0, 1).reads(lengths, [2, 0, (16, 0), (18, 127), (18, 126)])
    writer.code_lengths(EVERY)
    writer.put(0, 1).reads(lengths, [*[(16, 3)] * 42, (16, 1)]).singles(0, 255, 0)
    green, red = canonical(dict.fromkeys((0, 2, 3, 4), 2)), canonical(dict.fromkeys(range(256), 8))
    for pixel in random(3, PIXELS):
        writer.symbols(green, (0, 2, 3, 4)[pixel[1] % 4]).symbols(red, pixel[0])
    return writer


def one_length() -> Writer:
    """Lengths of 8 that cost no bits, as many as max_symbol says."""
    writer = begun()
    writer.code_lengths({8: 5})
    writer.most(256).singles(1, 2, 3, 0)
    green = canonical(dict.fromkeys(range(256), 8))
    return writer.symbols(green, *(pixel[1] for pixel in random(4, PIXELS)))


def longest() -> Writer:
    """Codes of up to 15 bits, and lengths that reach the alphabet's end ahead of max_symbol."""
    writer = begun()
    green = writer.normal(LONGEST, GREENS)
    lengths = writer.code_lengths(EVERY)
    writer.most(OTHERS).reads(lengths, [*range(1, 9), 8, (18, 127), (18, 98)]).singles(0, 255, 0)
    red = canonical({n: min(n + 1, 8) for n in range(9)})
    for pixel in random(5, PIXELS):
        writer.symbols(green, pixel[1] % 16).symbols(red, pixel[0] % 9)
    return writer


def key(red: int, green: int, blue: int, alpha: int, bits: int) -> int:
    """Of a colour in a cache."""
    return ((alpha << 24 | red << 16 | green << 8 | blue) * 0x1E35A7BD & 0xFFFFFFFF) >> 32 - bits


def cached() -> Writer:
    """A colour cache of 11 bits: what is in it by literals and by copies, what is not yet, and what never is."""
    there = [key(17, green, 99, 255, 11) for green in (9, 200)]
    colours = [LAST + k for k in (*there, *(k for k in (0, 1, 2) if k not in there))][:4]
    writer = begun(11)
    green = writer.normal({9: 2, 200: 2, 256 + 7: 2, **dict.fromkeys(colours, 4)}, GREENS + 2048)
    distances = writer.singles(17, 99, 255).normal({1: 1, 2: 1}, DISTANCES)
    rng, count = np.random.default_rng(6), 3
    writer.symbols(green, colours[0], 9, colours[0])
    while count < PIXELS:
        length = int(rng.integers(13, 17))
        if count <= PIXELS - length and rng.random() < 0.1:
            writer.copy(green, distances, length, 2 if count <= WIDTH else 3)
            count += length
        else:
            writer.symbols(green, int(rng.choice([9, 200, *colours])))
            count += 1
    return writer


def indexed(count: int, below: int) -> Writer:
    """Indices into so many opaque colours, and beyond them."""
    bits = 3 if count <= 2 else 2 if count <= 4 else 1 if count <= 16 else 0
    colours = random(7, count, 0)
    colours[0][3] = 255
    writer = Writer(WIDTH, HEIGHT).transform(INDEXING, count - 1).literals(colours).put(0, 1)
    return writer.literals(random(8, (WIDTH >> bits) * HEIGHT, below=below), meta=False)


def transformed(*kinds: int) -> Writer:
    """Transforms in this order. Blocks are of 4 x 4 pixels, their predictors any numbers."""
    writer, width = Writer(WIDTH, HEIGHT), WIDTH
    for kind in kinds:
        writer.transform(kind, 10 if kind == INDEXING else 0)
        if kind == INDEXING:
            colours, width = random(9, 11, 0), width // 2
            colours[0][3] = 255
            writer.literals(colours)
        elif kind != SUBTRACT_GREEN:
            image = random(10 + kind, width // 4 * HEIGHT // 4)
            writer.literals([[red, n * 5 % 256, blue, alpha] for n, (red, _, blue, alpha) in enumerate(image)])
    half = width * HEIGHT // 2  # pixels that are nearly alike, then others
    return writer.put(0, 1).literals(random(12, half, 0, below=4) + random(13, half, 0), meta=False)


def decoded() -> Iterator[tuple[str, str, str, bytes]]:
    """The section in which it shows, a name, what the vector has, and the bitstream."""
    reads = [1, 1, *[0] * (GREENS - 2)]
    for name, what, writer in (
        ("singles", "prefix codes of one symbol", single()),
        ("repetitions", "repeated code lengths", repetitions()),
        ("one-length", "code lengths that cost no bits, as many as max_symbol says", one_length()),
        ("longest", "prefix codes of 15 bits, a max_symbol that is not reached", longest()),
        ("max-symbol", "max_symbol as large as the alphabet", with_reads(reads, GREENS)),
        ("copy", "a copy of the first pixels", copied(3, 4, 120 + 3)),
        ("copy-to-the-end", "a copy as far as the end", copied(PIXELS - 4, 4, 120 + 1)),
        ("near", "a distance that would be below 1, among predictors", predicted(6, 6, 80)),
        ("cache", "a colour cache, and colours that it does not have", cached()),
        ("groups", "groups of prefix codes, some not used", grouped(7)),
        ("many-groups", "more groups of prefix codes than pixels", grouped(900)),
        ("padding", "bits of 1 behind the image data", begun().singles(7, 0, 0, 255, 0).put(63, 6)),
        ("transforms", "all transforms, indices not first", transformed(SUBTRACT_GREEN, PREDICTOR, INDEXING, COLOUR)),
    ):
        yield "alpha", name, what, writer.data()
    for name, what, writer in (
        ("transforms", "all transforms, indices first", transformed(INDEXING, PREDICTOR, COLOUR, SUBTRACT_GREEN)),
        ("predictors", "predictors of any number", transformed(PREDICTOR, COLOUR, SUBTRACT_GREEN)),
        ("palette", "indices beyond a palette of 3 colours", indexed(3, 256)),
        ("palette-of-20", "indices beyond a palette of 20 colours", indexed(20, 40)),
    ):
        yield "overlay", name, what, writer.data()
