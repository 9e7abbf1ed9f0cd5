"""Lines of prose that are too long to read: python -m tools.check.prose

Prints each line of more than 100 columns of the Markdown files, but for tables, code, quotations and links that have a
line of their own, and exits with 1 if there is any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (".", "docs", "docs/*", "tests/data", "training")
LIMIT = 100
ASIDE = re.compile(r"\s*[|>]|    |\s*!?\[[^\]]*\]\([^)]*\)$|\s*<?https?://\S*$")  # table, quotation, code, link


def too_long(text: str) -> Iterator[tuple[int, str]]:
    """Numbers of lines, and the lines."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= line.lstrip().startswith("```")
        if len(line) > LIMIT and not fenced and not ASIDE.match(line):
            yield number, line


def main() -> int:
    found = 0
    for path in sorted({path for folder in FOLDERS for path in ROOT.glob(f"{folder}/*.md")}):
        for number, line in too_long(path.read_text(encoding="utf-8")):
            print(f"{path.relative_to(ROOT)}:{number}: {len(line)} columns: {line[:60]}...")
            found += 1
    return int(found > 0)


if __name__ == "__main__":
    raise SystemExit(main())
