"""The index of tiles: a part of a picture by reading a part of its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.commands import Run
from tests.files_with_faults import join, split
from tests.forgery import EXTRA
from tests.sample_pictures import picture
from vaecodec import files, jobs
from vaecodec.bitstream.chunks import CHUNK_OVERHEAD, read_chunks
from vaecodec.bitstream.container import INDEX, pack_index, parse, parse_indexed, unpack_index
from vaecodec.codec import Codec
from vaecodec.errors import CorruptFileError, LimitError
from vaecodec.pictures.picture import Picture

REGIONS = [(0, 0, 10, 10), (60, 60, 10, 10), (290, 190, 10, 10), (130, 0, 1, 200), (0, 0, 300, 200)]


class Counted:
    """The bytes of a file, and which of them were asked for."""

    def __init__(self, data: bytes) -> None:
        self.data, self.read = data, np.zeros(len(data), np.uint8)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, part: slice) -> memoryview:
        self.read[part] += 1
        return memoryview(self.data)[part]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "progressive"])
def data(request: pytest.FixtureRequest, small: Codec) -> bytes:
    """A file of 4 x 5 tiles."""
    pixels = Picture(picture(200, 300, 4), exif=b"II*\0", icc=b"icc")
    return small.encode(pixels, 60, tile=64, preview=True, progressive=request.param)


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_reads_the_tiles_that_it_needs(small: Codec, data: bytes, region: tuple[int, int, int, int]) -> None:
    counted = Counted(data)
    file = parse_indexed(counted)
    assert file is not None and file.metadata == parse(data).metadata and file.preview == parse(data).preview
    first = next(chunk for chunk in read_chunks(data) if chunk.type in ("TILE", "BASE"))
    assert not counted.read[first.start + CHUNK_OVERHEAD :].any(), "no tile was read, but the start of one's chunk"
    left, top, width, height = region
    part = small.decode_region(file, region).pixels
    np.testing.assert_array_equal(part, small.decode(data).pixels[top : top + height, left : left + width])
    margin = 16 * small.weights.cfg.margin
    rows = range(max(0, top - margin - 15) // 64, -(-min(200, top + height + margin + 15) // 64))
    columns = range(max(0, left - margin - 15) // 64, -(-min(300, left + width + margin + 15) // 64))
    needed = {row * 5 + column for row in rows for column in columns}
    for chunk in read_chunks(data):
        if chunk.type in ("TILE", "BASE", "LOWC", "HIGH") and chunk.data[0] not in needed:
            assert not counted.read[chunk.start + CHUNK_OVERHEAD : chunk.start + chunk.size].any()
    if region[2:] == (10, 10):
        assert np.count_nonzero(counted.read) < len(data) / 2
    assert counted.read.max() <= 2, "nothing is read over and over"


def test_all_of_it_is_a_file_as_any(small: Codec, data: bytes) -> None:
    file = parse_indexed(data)
    assert file is not None and len(file.tiles) == 20
    assert [tile.parts for tile in file.tiles] == [tile.parts for tile in parse(data).tiles]
    assert file.tiles[3:5] == list(parse(data).tiles[3:5])
    np.testing.assert_array_equal(small.decode(file).pixels, small.decode(data).pixels)
    for number in (20, -1, 60):
        with pytest.raises(IndexError):
            file.tiles[number]


def test_one_tile_needs_no_index(small: Codec) -> None:
    data = small.encode(picture(200, 300), 50)
    assert [kind for kind, _ in split(data)] == ["HEAD", "TILE"] and parse_indexed(data) is None


def test_the_limit_and_what_precedes_the_tiles_are_looked_at(data: bytes) -> None:
    with pytest.raises(LimitError):
        parse_indexed(data, max_pixels=200 * 300 - 1)
    damaged = bytearray(data)
    damaged[30] ^= 1
    with pytest.raises(CorruptFileError, match="checksum"):
        parse_indexed(bytes(damaged))


def test_other_chunks_among_the_tiles(small: Codec, data: bytes) -> None:
    """The index is right and does not tell where the tiles are: the whole file is read."""
    *chunks, last = split(data)
    mixed = join([*chunks, (EXTRA[0].decode(), b"x"), last])
    assert parse_indexed(mixed) is None
    region = (0, 0, 10, 10)
    np.testing.assert_array_equal(small.decode_region(mixed, region).pixels, small.decode_region(data, region).pixels)


def test_many_chunks_ahead_of_the_index(small: Codec, data: bytes) -> None:
    """Each would be a reading of its own: the whole file is read."""
    head, *rest = split(data)
    extra = (EXTRA[0].decode(), b"")
    assert parse_indexed(join([head, *[extra] * 50, *rest])) is not None
    counted = Counted(join([head, *[extra] * 10_000, *rest]))
    assert parse_indexed(counted) is None and np.count_nonzero(counted.read) < 2000


def test_a_wrong_index(small: Codec, data: bytes) -> None:
    chunks = split(data)
    at = next(n for n, (kind, _) in enumerate(chunks) if kind == INDEX)
    lengths = unpack_index(memoryview(chunks[at][1]))

    def indexed(lengths: list[int]) -> bytes:
        return join([*chunks[:at], (INDEX, pack_index(lengths)), *chunks[at + 1 :]])

    for bad in ([*lengths, 1], lengths[1:], [lengths[0] + 1, *lengths[1:]], [1] * 10**5):
        assert parse_indexed(indexed(bad)) is None
        with pytest.raises(CorruptFileError, match="index"):
            small.decode_region(indexed(bad), (0, 0, 10, 10))
    # Of the right sum: what it misses is told by the tiles.
    file = parse_indexed(indexed([lengths[0] + 1, lengths[1] - 1, *lengths[2:]]))
    assert file is not None
    with pytest.raises(CorruptFileError, match="not where the index says"):
        small.decode_region(file, (0, 0, 10, 10))


def test_a_damaged_tile_shows_where_it_is_needed(small: Codec, data: bytes) -> None:
    chunk = next(chunk for chunk in read_chunks(data) if chunk.type in ("TILE", "HIGH") and chunk.data[0] == 0)
    damaged = bytearray(data)
    damaged[chunk.start + chunk.size - 1] ^= 1
    file = parse_indexed(bytes(damaged))
    assert file is not None
    with pytest.raises(CorruptFileError, match="tile 0 is not where"):
        small.decode_region(file, (0, 0, 10, 10))
    far = (290, 190, 10, 10)
    np.testing.assert_array_equal(small.decode_region(file, far).pixels, small.decode_region(data, far).pixels)


# The command line


@pytest.mark.parametrize("progressive", [False, True])
def test_the_command_reads_a_part_of_a_file(
    real: Run, monkeypatch: pytest.MonkeyPatch, shipped: Codec, progressive: bool
) -> None:
    data = shipped.encode(picture(300, 2000), 50, tile=128, progressive=progressive)
    Path("a.vaec").write_bytes(data)
    wanted, read = [], files.Parts.__getitem__

    def watched(self: files.Parts, part: slice) -> memoryview:
        wanted.append(read(self, part))
        return wanted[-1]

    monkeypatch.setattr(files.Parts, "__getitem__", watched)
    monkeypatch.setattr(jobs.files, "read", lambda path: pytest.fail(f"{path} was read whole"))
    result = real("decode", "--region", "1000,100,64,48", "a.vaec", "a.ppm")
    assert result.code == 0, result.err
    assert 0 < sum(map(len, wanted)) < len(data) / 4
    expected = shipped.decode(data).pixels[100:148, 1000:1064]
    assert Path("a.ppm").read_bytes().endswith(expected.tobytes())


def test_the_command_with_other_files(real: Run, shipped: Codec) -> None:
    """Of stdin, without an index, and with an index that is not right."""
    pixels = picture(150, 200)
    data, one = (shipped.encode(pixels, 50, tile=side) for side in (64, None))
    expected = shipped.decode(data).pixels[20:30, 10:50]
    Path("one.vaec").write_bytes(one)
    chunks = [(kind, body[::-1] if kind == INDEX else body) for kind, body in split(data)]
    Path("wrong.vaec").write_bytes(join(chunks))
    assert real("decode", "--region", "10,20,40,10", "-", "a.ppm", stdin=data).code == 0
    assert Path("a.ppm").read_bytes().endswith(expected.tobytes())
    assert real("decode", "--region", "10,20,40,10", "one.vaec").code == 0
    assert real("decode", "--region", "10,20,40,10", "wrong.vaec").code == 3
    for region in ("10,20,4000,10", "0,0,200,151"):
        assert real("decode", "--region", region, "one.vaec").code != 0
