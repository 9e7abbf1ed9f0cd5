"""The commands of README's "Use" and of `vaecodec --help`, one after the other, as they stand there."""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from tests.commands import SAMPLE, Run
from vaecodec.bitstream.chunks import SIGNATURE
from vaecodec.cli import app

README = Path(__file__).resolve().parents[1] / "README.md"
DAMAGED = 3  # the exit code of --partial, which is for damaged files


def pictures(*names: str) -> None:
    """What the commands read: parts of the sample picture, large enough for every metric of bench."""
    with Image.open(SAMPLE) as image:
        for n, name in enumerate(names):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            image.crop((100 + 20 * n, 100, 276 + 20 * n, 268)).save(name)


def commands(text: str) -> list[str]:
    """The lines that are commands, without what is said of them behind some spaces."""
    lines = [line.strip() for line in text.splitlines()]
    return [line.split("   ")[0] for line in lines if line.startswith(("vaecodec ", "cat "))]


def stages(command: str) -> Iterator[list[str]]:
    """The programs of a pipe with their arguments, `*.png` being replaced as a shell does it."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    stage: list[str] = []
    for word in [*lexer, "|"]:
        if word == "|":
            yield stage
            stage = []
        else:
            stage += sorted(glob.glob(word)) if "*" in word and " " not in word else [word]


def do(command: str, run: Run) -> None:
    data = b""
    for program, *arguments in stages(command):
        if program == "cat":
            data = Path(*arguments).read_bytes()
        elif program == "ssh":  # there is no other machine: what would go there is what is looked at
            assert data.startswith(SIGNATURE)
        else:
            assert program == "vaecodec"
            result = run(*arguments, stdin=data)
            assert result.code == (DAMAGED if "--partial" in arguments else 0), f"{command}: {result.err}"
            data = result.out


def test_readme(real: Run) -> None:
    pictures("tests/data/kodim23.png", "photo.png", "photo.jpg", "b.jpg", "c.jpg", "noisy.png", "a.png")
    pictures("album/a.png", "album/2024/b.png", "photos/c.png")
    pictures("big.png", "card/broken.png")
    with Image.open("big.png") as image:
        image.resize((600, 520)).save("big.png")
    Path("names").write_text("photos/c.png\n")
    for name in ("big", "card/broken"):
        do(f"vaecodec encode -f {name}.png", real)
        Path(f"{name}.png").unlink()
    broken = Path("card/broken.vaec")
    broken.write_bytes(broken.read_bytes()[:-100])
    shown = re.search(r"^## Use$(.*?)^In Python:$", README.read_text(), re.M | re.S)
    assert shown and len(commands(shown[1])) > 15
    for command in commands(shown[1]):
        do(command, real)


def test_help(real: Run) -> None:
    pictures("photo.jpg", "a.png")
    assert len(commands(app.HELP)) >= 3
    for command in commands(app.HELP):
        do(command, real)
