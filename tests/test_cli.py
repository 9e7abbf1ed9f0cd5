"""The command line: what it reads and writes, says, refuses, and exits with.

Most tests put a fake codec in the place of the network; those at the end run the real one.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import stat
import subprocess
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

from vaecodec import __version__, cli, console, container, files
from vaecodec.container import Header, Tile, pack_chunk
from vaecodec.errors import UnsupportedError
from vaecodec.picture import Picture

SAMPLE = Path(__file__).parent / "data" / "kodim23.png"


class FakeCodec:
    """Lossless: the pixels lie in an ancillary chunk of an otherwise proper file."""

    made = 0
    threads: int | None = None
    qualities: list[float] = []  # noqa: RUF012
    efforts: list[int] = []  # noqa: RUF012
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
        progress: Callable[[float], None] | None = None,
    ) -> bytes:
        if self.fail:
            raise self.fail
        self.qualities.append(quality)
        self.efforts.append(effort)
        if progress:
            progress(0.5)
            progress(1.0)
        return vaec(picture, quality)

    def decode(
        self, data: bytes, *, max_pixels: int | None = None, progress: Callable[[float], None] | None = None
    ) -> Picture:
        if self.fail:
            raise self.fail
        layout = container.parse(data, max_pixels=max_pixels)
        header = layout.header
        raw = next(zlib.decompress(c.data) for c in layout.chunks if c.type == "rawp")
        pixels = np.frombuffer(raw, np.uint8).reshape(header.height, header.width, header.channels)
        return Picture(pixels, **layout.metadata)


def vaec(picture: Picture, quality: float = 75) -> bytes:
    channels = picture.pixels.shape[2]
    header = Header(
        version=container.VERSION,
        width=picture.width,
        height=picture.height,
        colour=container.CHANNELS.index(channels),
        depth=8,
        quality=round(quality * 10),
        tile=1,
        alpha=container.ALPHA_NONE if channels in (1, 3) else container.ALPHA_CODED,
        alpha_value=0,
        model="fake",
        model_hash=bytes(range(8)),
    )
    metadata = [(kind, getattr(picture, name)) for name, kind in container.METADATA.items()]
    tile = Tile(0, bytes(4), (b"esc", b"zz", b"low!", b"highhigh", b"", b""))
    rows, columns = header.grid
    return b"".join(
        [container.SIGNATURE, pack_chunk("HEAD", header.pack())]
        + [pack_chunk(kind, data) for kind, data in metadata if data]
        + [pack_chunk("rawp", zlib.compress(picture.pixels.tobytes()))]
        + [container.tile_chunk(n, tile) for n in range(rows * columns)]
        + [pack_chunk("DONE", b"")]
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
            cli.main([str(a) for a in arguments])
        return Result(int(ended.value.code or 0), buffers[1].getvalue(), buffers[2].getvalue().decode())

    yield call
    left = [p.name for p in tmp_path.rglob("*.tmp")]
    assert left == [], "a temporary file was left behind"


@pytest.fixture
def run(real: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same with a fake codec."""
    FakeCodec.made, FakeCodec.qualities, FakeCodec.efforts, FakeCodec.fail = 0, [], [], None
    monkeypatch.setitem(sys.modules, "vaecodec.codec", types.SimpleNamespace(Codec=FakeCodec))
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


# Where outputs go


def test_the_default_outputs_lie_beside_the_inputs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    picture = picture_file(tmp_path / "sub" / "a.b.png")
    assert run("encode", picture).code == 0
    original = pixels_of(picture)
    picture.unlink()
    assert run("decode", tmp_path / "sub" / "a.b.vaec").code == 0
    assert np.array_equal(pixels_of(picture), original)


@pytest.mark.parametrize("arguments", [("a.png", "b.vaec"), ("a.png", "-o", "b.vaec"), ("-o", "b.vaec", "a.png")])
def test_an_output_can_be_named(run: Run, arguments: tuple[str, ...]) -> None:
    picture_file("a.png")
    assert run("encode", *arguments).code == 0
    assert Path("b.vaec").exists() and not Path("a.vaec").exists()


@pytest.mark.parametrize("name", ["b.jpg", "b.WEBP", "b.tif", "b.bmp", "b.ppm"])
def test_decode_takes_the_format_from_the_name(run: Run, name: str) -> None:
    vaec_file("a.vaec")
    assert run("decode", "a.vaec", name).code == 0
    with Image.open(name) as image:
        assert (
            image.format == {"jpg": "JPEG", "webp": "WEBP", "tif": "TIFF", "bmp": "BMP", "ppm": "PPM"}[name[2:].lower()]
        )


def test_a_second_positional_that_is_an_input(run: Run) -> None:
    picture_file("a.png"), picture_file("b.png")
    assert run("encode", "a.png", "b.png").code == 0
    for name in ("a.png", "b.png"):
        Path(name).unlink()
    assert run("decode", "a.vaec", "b.vaec").code == 0
    assert Path("a.png").exists() and Path("b.png").exists()


def test_outputs_go_into_a_folder(run: Run) -> None:
    picture_file("a.png"), picture_file("b.jpg")
    Path("out").mkdir()
    assert run("encode", "a.png", "b.jpg", "-o", "out").code == 0
    assert run("decode", "out/a.vaec", "out", "-f").code == 0
    assert sorted(p.name for p in Path("out").iterdir()) == ["a.png", "a.vaec", "b.vaec"]
    assert not Path("a.vaec").exists()


def test_a_last_positional_that_is_a_folder_is_the_output(run: Run) -> None:
    picture_file("a.png"), picture_file("b.png")
    Path("out").mkdir()
    assert run("encode", "a.png", "out").code == 0
    assert run("encode", "-f", "a.png", "b.png", "out").code == 0
    assert sorted(p.name for p in Path("out").iterdir()) == ["a.vaec", "b.vaec"]
    assert not Path("a.vaec").exists()


def test_a_file_named_dash_can_be_reached(run: Run) -> None:
    os.rename(picture_file("x.png"), "-")
    assert run("encode", "./-").code == 0
    assert Path("-.vaec").exists()


def test_an_input_that_cannot_be_opened_does_not_stop_the_others(run: Run) -> None:
    os.symlink("loop", "loop")
    result = run("encode", "loop", picture_file("a.png"), "n" * 300 + ".png")
    assert result.code == 1 and Path("a.vaec").exists()
    assert result.err.count("vaecodec: ") == 3 and "vaecodec: 2 of 3 failed:" in result.err
    assert run("encode", "-f", "a.png", "-o", "loop/x.vaec").code == 1
    assert run("encode", "-f", "a.png", "-o", "n" * 300 + ".vaec").code == 1


def test_what_is_no_vaec_file_is_told_first(run: Run) -> None:
    assert run("decode", picture_file("a.png")).code == 3


@pytest.mark.parametrize("name, arguments", [("stdout", ["decode", "a.vaec", "-"]), ("stdin", ["info", "-"])])
def test_closed_standard_streams(run: Run, monkeypatch: pytest.MonkeyPatch, name: str, arguments: list[str]) -> None:
    vaec_file("a.vaec")
    monkeypatch.setattr(sys, name, None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 1
    assert f"{name} is closed" in sys.stderr.getvalue()  # type: ignore[attr-defined]


def test_streams(run: Run) -> None:
    picture = picture_file("a.png").read_bytes()
    for arguments in (("-",), ("-", "-"), ("-", "-o", "-"), ("a.png", "-"), ("a.png", "-o", "-")):
        coded = run("encode", *arguments, stdin=picture)
        assert coded.code == 0
        decoded = run("decode", "-", stdin=coded.out)
        assert decoded.code == 0
        assert np.array_equal(pixels_of(decoded.out), pixels_of(picture))
        assert "->" in coded.err and "->" in decoded.err
    assert run("encode", "-", "x.vaec", stdin=picture).out == b"" and Path("x.vaec").exists()
    assert run("decode", "-", "-o", "x.bmp", stdin=coded.out).code == 0 and Path("x.bmp").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "Missing argument"),
        (("a.png", "b.png", "-o", "x.vaec"), "several inputs"),
        (("a.png", "b.png", "-o", "-"), "several inputs"),
        (("-", "-", "-o", "out"), "only once"),
        (("-", "-o", "out"), "name of an output file"),
        (("a.png", "-", "b.png"), "stdout takes"),
        (("a.png", "a.jpg"), "both become"),
        (("a.png", "-o", "nowhere/"), "no folder nowhere/"),
        (("a.png", "b.png", "-o", "nowhere"), "no folder nowhere"),
        ((".",), "is a folder"),
        (("",), "is a folder"),
        (("a.png", "a.png"), "both become"),
        (("-q", "101", "a.png"), "0<=x<=100"),
        (("-q", "-1", "a.png"), "0<=x<=100"),
        (("-q", "nan", "a.png"), "nan"),
        (("-q", "best", "a.png"), "not a valid float"),
        (("--threads", "0", "a.png"), "x>=1"),
        (("--max-pixels", "-1", "a.png"), "x>=0"),
        (("--quick", "a.png"), "No such option"),
    ],
)
def test_usage_errors_of_encode(run: Run, arguments: tuple[str, ...], word: str) -> None:
    for name in ("a.png", "b.png", "a.jpg"):
        picture_file(name)
    Path("out").mkdir()
    before = sorted(Path().iterdir())
    result = run("encode", *arguments)
    assert result.code == 2 and result.out == b""
    assert word in result.err
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(("a.vaec", "b.xyz"), ".xyz"), (("a.vaec", "b"), "without an ending"), (("a.vaec", "-o", "b.vaec"), ".vaec")],
)
def test_decode_to_an_unknown_format_is_a_usage_error(run: Run, arguments: tuple[str, ...], word: str) -> None:
    vaec_file("a.vaec")
    result = run("decode", *arguments)
    assert result.code == 2 and word in result.err


def test_data_does_not_go_to_a_terminal(run: Run) -> None:
    picture_file("a.png")
    result = run("encode", "a.png", "-", terminal=True)
    assert result.code == 2 and result.out == b"" and "terminal" in result.err
    assert run("encode", "a.png", "-", "-f", terminal=True).out != b""


# Nothing is lost


def test_existing_files_are_kept_without_force(run: Run) -> None:
    picture_file("a.png")
    Path("a.vaec").write_bytes(b"precious")
    result = run("encode", "a.png")
    assert result.code == 1
    assert result.err == "vaecodec: a.png: a.vaec exists already; -f replaces it\n"
    assert Path("a.vaec").read_bytes() == b"precious" and FakeCodec.made == 0
    assert run("encode", "a.png", "-f").code == 0
    assert Path("a.vaec").read_bytes().startswith(container.SIGNATURE)


@pytest.mark.parametrize("force", [(), ("-f",)])
@pytest.mark.parametrize("output", ["a.vaec", "./sub/../a.vaec", "link.vaec", "hard.vaec"])
def test_the_input_is_never_the_output(run: Run, force: tuple[str, ...], output: str) -> None:
    picture_file("a.vaec", format="PNG")
    Path("sub").mkdir()
    Path("link.vaec").symlink_to("a.vaec")
    os.link("a.vaec", "hard.vaec")
    before = Path("a.vaec").read_bytes()
    result = run("encode", "a.vaec", "-o", output, *force)
    assert result.code == 1 and "replace the input" in result.err
    assert Path("a.vaec").read_bytes() == before


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_while_writing_leaves_everything_as_it_was(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    picture_file("a.png")
    Path("a.vaec").write_bytes(b"precious")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", fail)
    assert run("encode", "-f", "a.png").code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert Path("a.vaec").read_bytes() == b"precious"
    assert sorted(p.name for p in Path().iterdir()) == ["a.png", "a.vaec"]


def test_a_file_that_appears_meanwhile_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    picture_file("a.png")
    encode = FakeCodec.encode

    def slow(self: FakeCodec, *arguments: Any, **options: Any) -> bytes:
        Path("a.vaec").write_bytes(b"precious")
        return encode(self, *arguments, **options)

    monkeypatch.setattr(FakeCodec, "encode", slow)
    assert run("encode", "a.png").code == 1
    assert Path("a.vaec").read_bytes() == b"precious"


def test_permissions_and_links_of_a_replaced_file_stay(run: Run) -> None:
    picture_file("a.png")
    Path("real").mkdir()
    Path("real/x.vaec").touch()
    Path("real/x.vaec").chmod(0o640)
    Path("a.vaec").symlink_to("real/x.vaec")
    assert run("encode", "a.png", "-f").code == 0
    assert Path("a.vaec").is_symlink()
    assert stat.S_IMODE(Path("real/x.vaec").stat().st_mode) == 0o640
    assert Path("real/x.vaec").read_bytes().startswith(container.SIGNATURE)


def test_a_new_file_has_the_usual_permissions(run: Run) -> None:
    picture_file("a.png")
    before = os.umask(0o027)
    try:
        run("encode", "a.png")
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("a.vaec").stat().st_mode) == 0o640


def test_devices_are_written_to(run: Run) -> None:
    picture_file("a.png")
    assert run("encode", "a.png", "-o", os.devnull).code == 0
    assert not Path(os.devnull).is_file()


def test_a_missing_folder_is_an_error_before_any_work(run: Run) -> None:
    picture_file("a.png")
    result = run("encode", "a.png", "-o", "none/a.vaec")
    assert result.code == 1 and "there is no folder none" in result.err and FakeCodec.made == 0


# Messages


def test_the_result_line(run: Run) -> None:
    picture_file("a.png")
    result = run("encode", "a.png")
    size = Path("a.vaec").stat().st_size
    assert result.out == b""
    expected = rf"a\.png -> a\.vaec  {size} B  {size * 8 / 48:.3f} bpp  \d+\.\d\d s\n"
    assert re.fullmatch(expected, result.err)
    assert re.fullmatch(r"a\.vaec -> b\.png  8 x 6  \d+ B  \d+\.\d\d s\n", run("decode", "a.vaec", "b.png").err)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (61_249, "61.2 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB")],
)
def test_sizes(size: int, text: str) -> None:
    assert console.human(size) == text


def test_quiet_leaves_only_errors(run: Run) -> None:
    Image.new("P", (4, 4)).save("b.png")
    assert run("encode", "--quiet", "b.png").err == ""
    assert run("decode", "--quiet", "b.vaec", "c.png").err == ""
    assert run("verify", "--quiet", "b.vaec").err == ""
    assert "exists already" in run("encode", "--quiet", "b.png").err


def test_notes_are_told(run: Run) -> None:
    Image.new("P", (4, 4)).save("b.png")
    assert "vaecodec: b.png: note: its palette is converted to RGB\n" in run("encode", "b.png").err
    vaec_file("a.vaec", channels=4)
    assert "note: transparency is laid onto white" in run("decode", "a.vaec", "a.jpg").err


def test_progress_shows_on_a_terminal_after_a_second(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    picture_file("a.png")
    assert "%" not in run("encode", "a.png", terminal=True).err
    monkeypatch.setattr(console, "PROGRESS_AFTER", 0.0)
    assert "100%" in run("encode", "-f", "a.png", terminal=True).err
    assert "%" not in run("encode", "-f", "a.png", terminal=False).err
    assert "%" not in run("encode", "-f", "--quiet", "a.png", terminal=True).err


def test_options_reach_the_codec(run: Run) -> None:
    picture_file("a.png"), picture_file("b.png")
    run("encode", "-q", "12.5", "--threads", "3", "a.png", "b.png")
    assert FakeCodec.qualities == [12.5, 12.5] and FakeCodec.threads == 3
    assert FakeCodec.made == 1
    run("encode", "-f", "a.png")
    assert FakeCodec.qualities[-1] == 75 and FakeCodec.threads is None
    run("encode", "-f", "--effort", "9", "a.png")
    assert FakeCodec.efforts == [3, 3, 3, 9]
    assert run("encode", "-f", "--effort", "10", "a.png").code == 2


# Exit codes


def damaged() -> bytes:
    data = bytearray(vaec(Picture(np.zeros((6, 8, 3), np.uint8))))
    data[30] ^= 1
    return bytes(data)


def of_version(version: int) -> bytes:
    data = vaec(Picture(np.zeros((6, 8, 3), np.uint8)))
    head = bytearray(data[16 : 16 + Header.STRUCT.size])
    head[0] = version
    return container.SIGNATURE + pack_chunk("HEAD", bytes(head)) + data[20 + Header.STRUCT.size :]


@pytest.mark.parametrize("command", ["decode", "info", "verify"])
@pytest.mark.parametrize(
    ("content", "code", "word"),
    [
        (b"", 3, "not a .vaec file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), 3, "not a .vaec file"),
        (container.SIGNATURE[:3], 3, "signature"),
        (vaec(Picture(np.zeros((6, 8, 3), np.uint8)))[:-3], 3, "DONE"),
        (damaged(), 3, "checksum"),
        (of_version(1), 4, "version 1"),
        (None, 1, "No such file"),
    ],
)
def test_exit_codes_of_bad_files(run: Run, command: str, content: bytes | None, code: int, word: str) -> None:
    if content is not None:
        Path("x.vaec").write_bytes(content)
    result = run(command, "x.vaec")
    assert (result.code, result.out) == (code, b"")
    assert result.err.startswith("vaecodec: x.vaec: ") and word in result.err and result.err.count("\n") == 1
    assert not Path("x.png").exists()


@pytest.mark.parametrize("limit", [47, 48, 0])
def test_the_limit_of_pixels(run: Run, limit: int) -> None:
    picture_file("a.png"), vaec_file("b.vaec")
    expected = 5 if limit == 47 else 0
    assert run("encode", "--max-pixels", limit, "a.png").code == expected
    assert run("decode", "--max-pixels", limit, "b.vaec").code == expected
    assert run("verify", "--max-pixels", limit, "b.vaec").code == expected
    assert Path("a.vaec").exists() == Path("b.png").exists() == (expected == 0)


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (UnsupportedError("needs model base9"), 4, "needs model base9"),
        (MemoryError(), 1, "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "not enough memory"),
        (PermissionError(13, "Permission denied", "elsewhere"), 1, "Permission denied: elsewhere"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_of_the_codec(run: Run, error: BaseException, code: int, word: str) -> None:
    picture_file("a.png"), vaec_file("b.vaec")
    FakeCodec.fail = error
    for arguments in (("encode", "a.png"), ("decode", "b.vaec"), ("verify", "--decode", "b.vaec")):
        result = run(*arguments)
        assert result.code == code and word in result.err and "Traceback" not in result.err
    assert sorted(p.name for p in Path().iterdir()) == ["a.png", "b.vaec"]


def test_a_bug_is_not_hidden(run: Run) -> None:
    picture_file("a.png")
    FakeCodec.fail = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        run("encode", "a.png")


def test_with_several_inputs_one_failure_stops_nothing(run: Run) -> None:
    picture_file("a.png"), picture_file("c.png")
    Path("b.png").write_bytes(b"nonsense")
    result = run("encode", "a.png", "b.png", "none.png", "c.png")
    assert result.code == 1
    assert Path("a.vaec").exists() and Path("c.vaec").exists() and not Path("b.vaec").exists()
    assert "vaecodec: b.png: not a picture" in result.err and "vaecodec: none.png: No such file" in result.err
    Path("b.vaec").write_bytes(b"nonsense")
    result = run("verify", "a.vaec", "b.vaec", "c.vaec")
    assert result.code == 1 and result.err.count(": ok (") == 2


def test_an_unreadable_picture_does_not_wait_for_the_model(run: Run) -> None:
    Path("a.png").write_bytes(b"nonsense")
    Path("b.vaec").write_bytes(b"nonsense")
    assert run("encode", "a.png").code == 1 and run("decode", "b.vaec").code == 3
    assert FakeCodec.made == 0


def test_help_and_version(run: Run) -> None:
    for arguments in (("--help",), ("encode", "-h"), ("decode", "-h"), ("info", "-h"), ("verify", "-h")):
        result = run(*arguments)
        assert result.code == 0 and result.out.count(b"\n") <= 40
    text = run("--help").out.decode()
    assert all(f"\n    {code}  " in text for code in (0, 1, 2, 3, 4, 5, 130))
    assert run("--version").out.decode() == f"vaecodec {__version__}\n"
    assert run().code == 2 and run("reencode").code == 2


# info and verify


def test_info_as_json(run: Run) -> None:
    picture = Picture(np.zeros((100, 70, 4), np.uint8), icc=b"i" * 10, exif=b"e" * 20, xmp=b"x" * 30)
    data = vaec(picture, 12.5)
    Path("a.vaec").write_bytes(data)
    result = run("info", "--json", "a.vaec")
    facts = json.loads(result.out)
    parts = facts.pop("parts")
    assert (result.code, result.err) == (0, "")
    assert facts == {
        "file": "a.vaec",
        "size": len(data),
        "width": 70,
        "height": 100,
        "colour": "RGB+alpha",
        "depth": 8,
        "quality": 12.5,
        "version": 5,
        "model": "fake",
        "model_hash": "0001020304050607",
        "tile_side": 64,
        "tiles": 4,
        "lossless": False,
        "bpp": round(len(data) * 8 / 7000, 4),
    }
    assert sum(parts.values()) == len(data)
    assert (parts["icc"], parts["exif"], parts["xmp"]) == (10, 20, 30)
    assert (parts["lanes"], parts["z"], parts["low"], parts["high"], parts["escapes"]) == (16, 8, 16, 32, 12)


def test_info_as_text(run: Run) -> None:
    vaec_file("a.vaec")
    text = run("info", "a.vaec").out.decode()
    for line in ("8 x 6, RGB, 8 bits", "75 of 100, lossy", "fake 0001020304050607", "version 5, 1 tile of 64 pixels"):
        assert line in text
    assert re.search(r"high +8 ", text) and "alpha" not in text
    assert run("info", "-", stdin=Path("a.vaec").read_bytes()).out.decode() == text.replace("a.vaec", "-")


def test_verify(run: Run) -> None:
    vaec_file("a.vaec")
    result = run("verify", "a.vaec")
    assert (result.code, result.out) == (0, b"")
    assert result.err == "a.vaec: ok (8 x 6, 1 tile, structure and checksums)\n" and FakeCodec.made == 0
    assert run("verify", "--decode", "a.vaec").err == "a.vaec: ok (8 x 6, 1 tile, decoded)\n"
    assert run("verify", "-", stdin=Path("a.vaec").read_bytes()).code == 0
    assert run("verify", "-", "-").code == 2


def test_verify_looks_into_tiles(run: Run) -> None:
    data = Path(vaec_file("a.vaec")).read_bytes()
    layout = container.parse(data)
    start = next(c for c in layout.chunks if c.type == "TILE")
    bad = bytes([*start.data[:2], start.data[2] + 1]) + bytes(start.data[3:])  # right checksum, wrong length
    Path("a.vaec").write_bytes(data[: start.start] + pack_chunk("TILE", bad) + data[start.start + start.size :])
    assert run("verify", "a.vaec").code == 3 and run("info", "a.vaec").code == 3


# As a process of its own


def spawn(*arguments: object, stdin: bytes | None = None, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "vaecodec", *map(str, arguments)]
    root = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root}
    return subprocess.run(command, input=stdin, capture_output=True, env=environment, check=False, **options)


def test_info_imports_neither_torch_nor_numpy(tmp_path: Path) -> None:
    path = vaec_file(tmp_path / "a.vaec")
    code = (
        "import sys\nfrom vaecodec.cli import main\n"
        f"try: main(['info', {str(path)!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    )
    root = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, capture_output=True)


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    path = vaec_file(tmp_path / "a.vaec")
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "vaecodec", "info", str(path)]
    root = Path(__file__).parent.parent
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, cwd=root, check=False)
    os.close(write)
    assert ended.returncode == 1 and ended.stderr == b""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_exits_with_130(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vaecodec", "info", "-"]
    root = Path(__file__).parent.parent
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root)
    assert process.stdin is not None
    process.stdin.write(bytes(2**20))  # more than a pipe holds: returns when it reads
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and b"Traceback" not in err and b"interrupted" in err


# With the real codec


def test_real_round_trip_of_the_sample(tmp_path: Path) -> None:
    coded, decoded = tmp_path / "k.vaec", tmp_path / "k.png"
    for command in (("encode", SAMPLE, coded), ("verify", "--decode", coded), ("decode", coded, decoded)):
        ended = spawn(*command)
        assert ended.returncode == 0, ended.stderr.decode()
    assert coded.stat().st_size < 100_000
    error = pixels_of(decoded).astype(float) - pixels_of(SAMPLE)
    assert 10 * np.log10(255**2 / (error**2).mean()) > 34
    piped = spawn("decode", "-", stdin=coded.read_bytes())
    assert piped.stdout == decoded.read_bytes()


def test_real_quality_is_a_dial(real: Run) -> None:
    results = [real("encode", "-q", quality, SAMPLE, "-") for quality in (0, 50, 100)]
    sizes = [len(r.out) for r in results]
    assert [r.code for r in results] == [0, 0, 0]
    assert sizes == sorted(sizes) and sizes[0] * 5 < sizes[2]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_real_colours_alpha_and_metadata(real: Run, channels: int) -> None:
    tags = Image.Exif()
    tags[274] = 6
    exif = tags.tobytes()
    y, x = np.mgrid[0:37, 0:51]
    alpha = [(x * y) % 256] if channels in (2, 4) else []
    colours = [x * 4, y * 6, 200 - x - y][: channels - len(alpha)]  # smooth
    pixels = np.stack(colours + alpha, axis=2).astype(np.uint8)
    image = Image.fromarray(pixels if channels > 1 else pixels[..., 0])
    image.save("a.png", exif=exif, icc_profile=b"a profile" * 50)
    assert real("encode", "-q", "90", "a.png").code == 0
    assert real("decode", "a.vaec", "b.png").code == 0
    with Image.open("b.png") as again:
        assert again.mode == image.mode and again.size == image.size
        assert again.info["exif"] == exif and again.info["icc_profile"] == b"a profile" * 50
        decoded = np.asarray(again).reshape(pixels.shape)
    if alpha:
        assert np.array_equal(decoded[..., -1], pixels[..., -1])
    error = decoded.astype(int) - pixels
    assert np.abs(error[..., : len(colours)]).mean() < 4


def test_real_damage_and_a_missing_model(real: Run) -> None:
    vaec_file("a.vaec")
    result = real("decode", "a.vaec")
    assert result.code == 4 and "needs model fake" in result.err and result.err.count("\n") == 1
    picture_file("b.png")
    real("encode", "b.png")
    data = Path("b.vaec").read_bytes()
    Path("b.vaec").write_bytes(data[:-20])
    assert real("decode", "b.vaec", "c.png").code == 3 and not Path("c.png").exists()
    assert not Path("a.png").exists()


# The helper


def test_write_never_follows_a_planted_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    monkeypatch.setattr("secrets.token_hex", lambda _: "known")
    (tmp_path / ".vaecodec-known.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        files.write(tmp_path / "out", b"data", files.STREAM, force=False)
    assert victim.read_bytes() == b"precious"
