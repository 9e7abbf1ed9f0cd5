"""The index of rules at the end of bitstream_spec.md: python -m tools.make.rules

Of each rule its section, how many tests of tests/spec are named after it, and the invalid vectors that break it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "bitstream_spec.md"
HEADING = "## 14. Index of rules\n"
INTRODUCTION = """
Made by `python -m tools.make.rules`. Tests are those of `tests/spec` with the rule in their name,
vectors those of `tests/vectors/invalid` that break it, and in italics model files of `models.json`.
"""


def sections(text: str) -> dict[str, str]:
    """The number of the section in which each rule stands, by rule, in the order of the text."""
    found: dict[str, str] = {}
    for part in re.split(r"(?m)^## ", text.split(HEADING)[0]):
        number = part.split(".")[0] if part[:1].isdigit() else "conventions"
        for rule in re.findall(r"\*\*\[([A-Z]\d+)\]\*\*", part):
            found.setdefault(rule, number)
    return found


def tests() -> list[str]:
    """The rules that tests are named after, once for each test."""
    text = "".join(path.read_text() for path in sorted((ROOT / "tests" / "spec").glob("test_*.py")))
    return re.findall(r"(?m)^def test_([A-Z]\d+)_", text)


def vectors() -> dict[str, str]:
    """By name of an invalid vector, a pattern of the rules that it may be said to break."""
    folder = ROOT / "tests" / "vectors"
    files, models = (json.loads((folder / name).read_text()) for name in ("vectors.json", "models.json"))
    named = {f"*{name}*": facts for name, facts in models.items()}
    return {name: facts["breaks"] for name, facts in (files["invalid"] | named).items()}


def index(text: str) -> str:
    """The section, for a text of the specification."""
    named, broken = tests(), vectors()
    lines = ["| rule | section | tests | vectors |", "| --- | --- | ---: | --- |"]
    for rule, section in sorted(sections(text).items()):
        breaking = ", ".join(sorted(name for name, pattern in broken.items() if re.fullmatch(pattern, rule)))
        lines.append(f"| {rule} | {section} | {named.count(rule)} | {breaking} |".replace("|  |", "| |"))
    return f"{HEADING}{INTRODUCTION}\n" + "\n".join(lines) + "\n"


def indexed(text: str) -> str:
    """The specification with its index made anew."""
    return text.split(HEADING)[0].rstrip() + "\n\n" + index(text)


if __name__ == "__main__":
    SPEC.write_text(indexed(SPEC.read_text()))
