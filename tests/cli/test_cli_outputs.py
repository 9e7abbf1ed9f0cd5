"""The command line: where outputs go, and that nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.commands import Run, picture_file, pixels_of, vaec_file

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


@pytest.mark.parametrize("option", ["-o", "--out-dir"])
def test_a_name_with_a_slash_at_its_end_is_a_folder(run: Run, option: str) -> None:
    picture_file("a.png"), picture_file("b.png")
    assert run("encode", "a.png", option, "new/", "--dry-run").code == 0 and not Path("new").exists()
    assert run("encode", "a.png", option, "new/").code == 0
    assert run("encode", "a.png", "b.png", option, "new/deep/").code == 0
    assert sorted(map(str, Path("new").rglob("*.vaec"))) == ["new/a.vaec", "new/deep/a.vaec", "new/deep/b.vaec"]
    result = run("encode", "a.png", option, "b.png/")
    assert result.code == 1 and "File exists: b.png" in result.err


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
        ((), "IN is missing"),
        (("a.png", "b.png", "-o", "x.vaec"), "several inputs"),
        (("a.png", "b.png", "-o", "-"), "several inputs"),
        (("-", "-", "-o", "out"), "only once"),
        (("-", "-o", "out"), "name of an output file"),
        (("a.png", "-", "b.png"), "stdout takes"),
        (("a.png", "a.jpg"), "both become"),
        (("nowhere/", "-o", "out"), "no folder nowhere/"),
        (("a.png", "nowhere/"), "no folder nowhere/"),
        (("a.png", "b.png", "-o", "nowhere"), "no folder nowhere, -o nowhere/ makes it"),
        (("a.png", "-o", "out/", "--out-dir", "out"), "exclude each other"),
        ((".",), "is a folder"),
        (("",), "is a folder"),
        (("a.png", "a.png"), "both become"),
        (("-q", "101", "a.png"), "between 0 and 100"),
        (("-q", "-1", "a.png"), "between 0 and 100"),
        (("-q", "nan", "a.png"), "nan"),
        (("-q", "best", "a.png"), "not a number"),
        (("--threads", "0", "a.png"), "less than 1"),
        (("--max-pixels", "-1", "a.png"), "less than 0"),
        (("--quick", "a.png"), "no option"),
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
