"""The commands and the Python of the pages in docs/ run as they stand there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tools.make import api
from tools.make.man import page
from vaecodec.cli.app import cli, main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*/*.md"))
CONSOLE, PYTHON = (re.compile(rf"^```{name}\n(.*?)^```", re.M | re.S) for name in ("console", "python"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: photo.png, an album with folders in it, and the names of what is in that."""
    monkeypatch.chdir(tmp_path)
    with Image.open(ROOT / "tests" / "data" / "kodim23.png") as image:
        image.crop((100, 100, 500, 420)).save("photo.png")
    Path("album/2024").mkdir(parents=True)
    for name in ("album/a.png", "album/2024/b.png"):
        shutil.copy("photo.png", name)
    Path("names.txt").write_text("album/a.png\nalbum/2024/b.png\n")
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if CONSOLE.search(page.read_text())], ids=lambda p: p.stem)
def test_commands(page: Path, folder: Path) -> None:
    lines = [line for block in CONSOLE.findall(page.read_text()) for line in block.splitlines()]
    commands = [shlex.split(line[2:]) for line in lines if line.startswith("$ ")]
    assert commands
    for program, *arguments in commands:
        assert program == "vaecodec"
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code, arguments


@pytest.mark.parametrize(
    "page",  # engines: by tests/distributed/test_engines.py
    [page for page in PAGES if PYTHON.search(page.read_text()) and page.stem != "engines"],
    ids=lambda p: p.stem,
)
def test_python(page: Path, folder: Path) -> None:
    names = {"image": Image.open("photo.png")}
    for block in PYTHON.findall(page.read_text()):
        exec("import vaecodec\n" + block, names)


def test_the_pages_are_found() -> None:
    assert {"first-steps", "quality-and-size", "batches", "parts-and-previews", "metadata", "python", "pillow"} <= {
        page.stem for page in PAGES
    }


def test_the_page_of_functions_is_up_to_date() -> None:
    assert (ROOT / "docs" / "reference" / "api.md").read_text() == api.page()


def test_the_man_page_is_up_to_date() -> None:
    """By the names in it: how click words a help text may change with its version."""
    written = (ROOT / "docs" / "vaecodec.1").read_text().replace("\\-", "-")
    made = page().replace("\\-", "-")
    for name in cli.homes:
        command = cli.load(name)
        for text in (made, written):
            assert f"vaecodec {name}" in text
            for parameter in command.params:
                assert all(
                    option in text for option in (*parameter.opts, *parameter.secondary_opts) if option[0] == "-"
                )
    assert set(re.findall(r"--[a-z-]+", made)) == set(re.findall(r"--[a-z-]+", written))


def test_numbers_of_vectors_are_those_that_are_there() -> None:
    """What a page says of tests/vectors, a command can count."""
    record = json.loads((ROOT / "tests" / "vectors" / "vectors.json").read_text())
    said = re.findall(r"has (\d+) (valid|invalid) files", (ROOT / "docs" / "reference" / "robustness.md").read_text())
    assert dict(map(reversed, said)) == {kind: str(len(record[kind])) for kind in ("valid", "invalid")}


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *PAGES], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert target.startswith(("https://", "http://", "mailto:")) or (page.parent / target).exists(), target
