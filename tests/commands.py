"""The command line with a codec that costs no time, and files for it."""

from __future__ import annotations

import io
import sys
import types
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vaecodec.bitstream import container
from vaecodec.bitstream.chunks import SIGNATURE, pack_chunk, read_chunks
from vaecodec.bitstream.header import ALPHA_CODED, ALPHA_NONE, CHANNELS, Header
from vaecodec.bitstream.tiles import Tile, tile_chunks
from vaecodec.cli import app
from vaecodec.pictures.picture import Picture

SAMPLE = Path(__file__).parent / "data" / "kodim23.png"


class FakeCodec:
    """Lossless: the pixels lie in an ancillary chunk of an otherwise proper file."""

    made = 0
    threads: int | None = None
    qualities: list[float] = []  # noqa: RUF012
    efforts: list[int] = []  # noqa: RUF012
    tunes: list[str | None] = []  # noqa: RUF012
    fail: BaseException | None = None

    def __init__(self, threads: int | None = None) -> None:
        type(self).made += 1
        type(self).threads = threads

    def encode(
        self,
        picture: Picture,
        quality: float = 75,
        *,
        effort: int = 3,
        preview: bool | None = None,
        progressive: bool = False,
        tune: str | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> bytes:
        if self.fail:
            raise self.fail
        self.qualities.append(quality)
        self.efforts.append(effort)
        self.tunes.append(tune)
        if progress:
            progress(0.5)
            progress(1.0)
        return vaec(picture, quality)

    def decode(
        self, file: container.File, *, max_pixels: int | None = None, progress: Callable[[float], None] | None = None
    ) -> Picture:
        if self.fail:
            raise self.fail
        header, whole = file.header, bytes(file.tiles[0].parts[0].obj)  # the bytes that the tile is a part of
        raw = next(zlib.decompress(c.data) for c in read_chunks(whole) if c.type == "raWp")
        pixels = np.frombuffer(raw, np.uint8).reshape(header.height, header.width, header.channels)
        return Picture(pixels, **file.metadata)


def vaec(picture: Picture, quality: float = 75) -> bytes:
    channels = picture.pixels.shape[2]
    header = Header(
        width=picture.width,
        height=picture.height,
        colour=CHANNELS.index(channels),
        quality=round(quality * 10),
        tile=1,
        alpha=ALPHA_NONE if channels in (1, 3) else ALPHA_CODED,
        model="fake",
        model_hash=bytes(range(8)),
    )
    metadata = [(kind, getattr(picture, name)) for name, kind in container.METADATA.items()]
    coded = {"escapes": b"esc", "z": b"zz", "low": b"low!", "high": b"highhigh", "alpha": b"a" if header.alpha else b""}
    tile = Tile.empty(0, bytes(4)).having(**coded)
    rows, columns = header.grid
    return b"".join(
        [SIGNATURE, pack_chunk("HEAD", header.pack())]
        + [pack_chunk(kind, data) for kind, data in metadata if data]
        + [pack_chunk("raWp", zlib.compress(picture.pixels.tobytes()))]
        + [chunk for n in range(rows * columns) for chunk in tile_chunks(n, tile)]
    )


@dataclass
class Result:
    code: int
    out: bytes
    err: str


Run = Callable[..., Result]


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Runs the command line in an empty folder: real(*arguments, stdin=b"", terminal=False)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, stdin: bytes = b"", terminal: bool = False) -> Result:
        buffers = [io.BytesIO(stdin), io.BytesIO(), io.BytesIO()]
        for name, buffer in zip(("stdin", "stdout", "stderr"), buffers, strict=True):
            stream = io.TextIOWrapper(buffer, "utf-8", write_through=True)
            monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
            monkeypatch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as ended:
            app.main([str(a) for a in arguments])
        return Result(int(ended.value.code or 0), buffers[1].getvalue(), buffers[2].getvalue().decode())

    yield call
    left = [p.name for p in tmp_path.rglob("*.tmp")]
    assert left == [], "a temporary file was left behind"


@pytest.fixture
def run(real: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same with a fake codec."""
    FakeCodec.made, FakeCodec.qualities, FakeCodec.efforts, FakeCodec.fail = 0, [], [], None
    FakeCodec.tunes = []
    monkeypatch.setitem(sys.modules, "vaecodec.codec.codec", types.SimpleNamespace(Codec=FakeCodec))
    return real


def picture_file(path: Path | str, channels: int = 3, seed: int = 0, **options: Any) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, channels), np.uint8)
    Image.fromarray(pixels if channels > 1 else pixels[..., 0]).save(path, **options)
    return Path(path)


def vaec_file(path: Path | str, channels: int = 3) -> Path:
    pixels = np.random.default_rng(1).integers(0, 256, (6, 8, channels), np.uint8)
    Path(path).write_bytes(vaec(Picture(pixels)))
    return Path(path)


def pixels_of(source: Path | str | bytes) -> np.ndarray:
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        return np.array(image)
