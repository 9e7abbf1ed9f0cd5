"""The command line: messages, exit codes, `info` and `verify`, and as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.commands import SAMPLE, FakeCodec, Run, picture_file, pixels_of, vaec, vaec_file
from tests.files_with_faults import with_header
from vaecodec import __version__, console
from vaecodec.bitstream.chunks import SIGNATURE, pack_chunk, read_chunks
from vaecodec.errors import UnsupportedError
from vaecodec.pictures.picture import Picture

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
    said = run("encode", "-f", "a.png", terminal=True).err
    assert "100%" in said and "\na.png -> a.vaec" in said, "on a line of its own"
    assert "%" not in run("encode", "-f", "a.png", terminal=False).err
    assert "%" not in run("encode", "-f", "--quiet", "a.png", terminal=True).err


def test_long_work_says_how_long_it_takes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Since its first part was done: a model may have been loaded before."""
    for quiet, spent, share, said in (
        (False, 5, 0.1, "vaecodec: a.png: this takes about 50 s"),
        (False, 60, 0.05, "vaecodec: a.png: this takes about 20 min"),
        (False, 5, 0.9, ""),
        (False, 0.5, 0.01, ""),
        (True, 60, 0.05, ""),
    ):
        times = iter([0.0, 30.0, 30.0 + spent])
        monkeypatch.setattr(console.time, "perf_counter", lambda times=times: next(times))
        with console.Progress(Path("a.png"), quiet) as progress:
            progress.wanted = False
            progress(0.01)
            progress(0.01 + share)
        assert capsys.readouterr().err.strip() == said


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
    run("encode", "-f", "--tune", "psnr", "a.png")
    assert FakeCodec.tunes == [None] * 4 + ["psnr"]


# Exit codes


def damaged() -> bytes:
    data = bytearray(vaec(Picture(np.zeros((6, 8, 3), np.uint8))))
    data[30] ^= 1
    return bytes(data)


def of_version(version: int) -> bytes:
    return with_header(vaec(Picture(np.zeros((6, 8, 3), np.uint8))), version=version)


@pytest.mark.parametrize("command", ["decode", "info", "verify"])
@pytest.mark.parametrize(
    ("content", "code", "word"),
    [
        (b"", 3, "not a .vaec file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), 3, "not a .vaec file"),
        (SIGNATURE[:3], 3, "signature"),
        (vaec(Picture(np.zeros((6, 8, 3), np.uint8)))[:-3], 3, "end of the file"),
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
        assert result.code == 0 and result.out.count(b"\n") <= 46
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
        "colour_space": "ICC profile",
        "depth": 8,
        "quality": 12.5,
        "version": 9,
        "model": "fake",
        "model_hash": "0001020304050607",
        "tile_side": 64,
        "tiles": 4,
        "progressive": False,
        "bpp": round(len(data) * 8 / 7000, 4),
    }
    assert sum(parts.values()) == len(data)
    assert (parts["icc"], parts["exif"], parts["xmp"]) == (10, 20, 30)
    assert (parts["lanes"], parts["z"], parts["low"], parts["high"], parts["escapes"]) == (16, 8, 16, 32, 12)


def test_info_as_text(run: Run) -> None:
    vaec_file("a.vaec")
    text = run("info", "a.vaec").out.decode()
    for line in ("8 x 6, RGB, 8 bits, sRGB", "75 of 100", "fake 0001020304050607", "version 9, 1 tile of 64 pixels"):
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
    start = next(c for c in read_chunks(data) if c.type == "TILE")
    bad = bytes([*start.data[:2], 127]) + bytes(start.data[3:])  # right checksum, wrong length
    Path("a.vaec").write_bytes(data[: start.start] + pack_chunk("TILE", bad) + data[start.start + start.size :])
    assert run("verify", "a.vaec").code == 3 and run("info", "a.vaec").code == 3


# As a process of its own


def spawn(*arguments: object, stdin: bytes | None = None, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "vaecodec", *map(str, arguments)]
    root = str(Path(__file__).parents[2])
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
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, capture_output=True)


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    path = vaec_file(tmp_path / "a.vaec")
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "vaecodec", "info", str(path)]
    root = Path(__file__).parents[2]
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, cwd=root, check=False)
    os.close(write)
    assert ended.returncode == 1 and ended.stderr == b""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_exits_with_130(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vaecodec", "info", "-"]
    root = Path(__file__).parents[2]
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


def test_a_frame_is_chosen(run: Run) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])
    first = run("encode", "a.gif", "first.vaec")
    assert first.code == 0 and "note: the first of 3 pictures in the file is kept; --frame takes another" in first.err
    second = run("encode", "--frame", 2, "a.gif", "second.vaec")
    assert second.code == 0 and "first of" not in second.err
    for name, place in (("first", 0), ("second", 1)):
        assert run("decode", f"{name}.vaec").code == 0
        assert pixels_of(f"{name}.png")[4, 4, place] == 250
    fourth = run("encode", "--frame", 4, "a.gif", "fourth.vaec")
    assert fourth.code == 1 and not Path("fourth.vaec").exists()
    assert fourth.err == "vaecodec: a.gif: there is no picture 4 for --frame: the file has 3 pictures\n"
    assert run("encode", "--frame", 0, "a.gif").code == 2


def test_a_frame_is_restored(real: Run) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    frames[0].save("a.tif", save_all=True, append_images=frames[1:])
    assert real("denoise", "--frame", 2, "a.tif", "b.png").code == 0
    assert pixels_of("b.png")[8, 8, 1] > 240


def test_commands_without_the_option_tell_which_frame_they_take(real: Run) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    frames[0].save("a.tif", save_all=True, append_images=frames[1:])
    for arguments in (("elbo", "a.tif"), ("features", "a.tif", "-o", "b.npz"), ("sample", "--like", "a.tif", "c.png")):
        done = real(*arguments)
        assert done.code == 0 and "vaecodec: a.tif: note: the first of 2 pictures" in done.err
