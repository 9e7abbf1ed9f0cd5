"""VP8L bitstreams by hand (RFC 9649, section 3): also those that no encoder writes, and that break its rules.

Nothing is checked here. Names are those of the RFC: a prefix code is simple (one or two symbols) or normal (lengths,
which are coded by a code-length code); an image has five of them, or five for each group of an entropy image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)  # of the code-length code
PREDICTOR, COLOUR, SUBTRACT_GREEN, INDEXING = range(4)  # transforms
GREENS, OTHERS, DISTANCES = 256 + 24, 256, 40  # symbols of the alphabets, without a colour cache
# All of 16 to 18 and the lengths 0 to 12: 16 codes of 4 bits.
EVERY = dict.fromkeys((*range(13), 16, 17, 18), 4)
Code = dict[int, tuple[int, int]]  # of a symbol: the code as it is read, bit by bit from the lowest, and its length
Lengths = Mapping[int, int]  # of symbols that have one
Reads = Iterable[int | tuple[int, int]]  # symbols of the code-length code; 16, 17 and 18 with their extra bits


def canonical(lengths: Lengths) -> Code:
    """The code of given lengths, whose bits stand in the order in which they are read. A single symbol has none."""
    coded = sorted((length, symbol) for symbol, length in lengths.items() if length)
    if len(coded) == 1:
        return {coded[0][1]: (0, 0)}
    code, found, before = 0, {}, 0
    for length, symbol in coded:
        code <<= length - before
        found[symbol] = int(f"{code:0{length}b}"[::-1], 2), length
        code, before = code + 1, length
    return found


def prefix(value: int) -> tuple[int, int, int]:
    """Of a length or a distance: symbol, extra bits and how many these are."""
    if value <= 4:
        return value - 1, 0, 0
    high = (value - 1).bit_length() - 1
    return 2 * high + (value - 1 >> high - 1 & 1), value - 1 & (1 << high - 1) - 1, high - 1


class Writer:
    """A bitstream on the way. Each method writes something behind what is there, and gives the writer or a code."""

    def __init__(self, width: int = 0, height: int = 0) -> None:
        self.bits = ""  # first to last
        if width:
            self.put(0x2F, 8).put(width - 1, 14).put(height - 1, 14).put(1, 1).put(0, 3)

    def put(self, value: int, count: int) -> Writer:
        self.bits += f"{value:0{count}b}"[::-1] if count else ""
        return self

    def symbols(self, code: Code, *symbols: int) -> Writer:
        for symbol in symbols:
            self.put(*code[symbol])
        return self

    def simple(self, *symbols: int) -> Code:
        """A code of one symbol, which costs no bits, or of two."""
        self.put(1, 1).put(len(symbols) - 1, 1).put(1, 1)
        for symbol in symbols:
            self.put(symbol, 8)
        return canonical(dict.fromkeys(symbols, 1))

    def singles(self, *symbols: int) -> Writer:
        """Codes of one symbol each."""
        for symbol in symbols:
            self.simple(symbol)
        return self

    def copy(self, green: Code, distances: Code, length: int, distance: int) -> Writer:
        """distance: as it is coded, 1 to 120 for pixels nearby, else 120 more than it is."""
        for code, first, value in ((green, 256, length), (distances, 0, distance)):
            symbol, extra, count = prefix(value)
            self.symbols(code, first + symbol).put(extra, count)
        return self

    def code_lengths(self, lengths: Lengths) -> Code:
        """The beginning of a normal code: its code-length code."""
        count = max((n + 1 for n, symbol in enumerate(ORDER) if lengths.get(symbol)), default=0)
        self.put(0, 1).put(max(count, 4) - 4, 4)
        for symbol in ORDER[: max(count, 4)]:
            self.put(lengths.get(symbol, 0), 3)
        return canonical(lengths)

    def reads(self, code: Code, reads: Reads) -> Writer:
        """Lengths by a code-length code."""
        for read in reads:
            symbol, extra = read if isinstance(read, tuple) else (read, 0)
            self.symbols(code, symbol).put(extra, {16: 2, 17: 3, 18: 7}.get(symbol, 0))
        return self

    def normal(self, lengths: Lengths, alphabet: int) -> Code:
        """A code whose lengths are written in full, each in 4 bits."""
        self.reads(self.code_lengths(dict.fromkeys(range(16), 4)), ()).put(0, 1)
        for symbol in range(alphabet):
            self.put(int(f"{lengths.get(symbol, 0):04b}"[::-1], 2), 4)
        return canonical(lengths)

    def most(self, count: int) -> Writer:
        """max_symbol: so many lengths are read."""
        return self.put(1, 1).put(7, 3).put(count - 2, 16)

    def image(self, cache: int | None = None, meta: bool | None = None) -> Writer:
        """The beginning of an image: bits of its colour cache, and of the main one (where meta is not None) whether it
        has an entropy image."""
        self.put(0, 1) if cache is None else self.put(1, 1).put(cache, 4)
        return self if meta is None else self.put(int(meta), 1)

    def transform(self, kind: int, parameter: int = 0) -> Writer:
        """parameter: bits of a block less 2, or colours less 1."""
        return self.put(1, 1).put(kind, 2).put(parameter, {PREDICTOR: 3, COLOUR: 3, INDEXING: 8}.get(kind, 0))

    def flat(self, red: int, green: int, blue: int, alpha: int, meta: bool | None = None) -> Writer:
        """A whole image of one colour."""
        return self.image(meta=meta).singles(green, red, blue, alpha, 0)

    def literals(self, pixels: Sequence[Sequence[int]], meta: bool | None = None) -> Writer:
        """A whole image of pixels (red, green, blue, alpha), with codes of 8 bits."""
        self.image(meta=meta)
        for alphabet in (GREENS, OTHERS, OTHERS, OTHERS):
            eights = self.code_lengths({8: 1, 0: 1})
            self.put(0, 1).reads(eights, [8] * 256 + [0] * (alphabet - 256))
        self.simple(0)
        eights = canonical(dict.fromkeys(range(256), 8))
        for red, green, blue, alpha in pixels:
            self.symbols(eights, green, red, blue, alpha)
        return self

    def data(self) -> bytes:
        """Filled with bits of 0 to whole bytes."""
        filled = self.bits + "0" * (-len(self.bits) % 8)
        return int(filled[::-1], 2).to_bytes(len(filled) // 8, "little")
