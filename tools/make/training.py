"""The curve of training-log.md, BD-rate over pixels seen, from the table of that page: python -m tools.make.training"""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib.figure import Figure

LOG = Path(__file__).resolve().parents[2] / "docs" / "log" / "training-log.md"
SHOWN = {"held-out after": "30 held-out pictures", "Kodak after": "Kodak", "cid22-val after": "cid22-val"}


def table(text: str) -> list[dict[str, str]]:
    """Rows of the first table of a page, by the names of its columns."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip(" *") for cell in line] for line in lines]
    head, *rows = cells[: next((i for i, row in enumerate(cells) if len(row) != len(cells[0])), len(cells))]
    return [dict(zip(head, row, strict=True)) for row in rows[1:]]


def percent(cell: str) -> float:
    found = re.match(r"-?[\d.]+", cell)
    assert found, cell
    return float(found[0])


def main() -> None:
    rows = table(LOG.read_text())
    seen = [sum(float(row["pixels seen, 10^9"]) for row in rows[: i + 1]) for i in range(len(rows))]
    figure = Figure(figsize=(7, 4), dpi=110)
    axes = figure.add_subplot()
    for column, label in SHOWN.items():
        axes.plot(seen, [percent(row[column]) for row in rows], "o-", markersize=4, label=label)
    axes.set(xlabel="pixels seen in training, 10^9", ylabel="BD-rate (PSNR) against JPEG 4:2:0, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(LOG.with_suffix(".png"), bbox_inches="tight")


if __name__ == "__main__":
    main()
