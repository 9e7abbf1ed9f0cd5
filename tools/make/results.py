"""docs/log/results.md from benchmark folders: python -m tools.make.results RUN... (one for each set of pictures)

Each RUN is the --out folder of a `vaecodec bench`. Its curves go to docs/log/ as pictures, its figures into tables:
nothing on that page is written by hand.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import textwrap
from pathlib import Path

from vaecodec.bench import rows
from vaecodec.bench.analysis import Metric, Results

DOCS = Path(__file__).resolve().parents[2] / "docs" / "log"
COLUMNS = 100  # of prose
SHOWN = ("psnr", "ms_ssim_db", "ssimulacra2")
HEAD = """# Results

Made by `tools/make/results.py` from runs of `vaecodec bench`; what is counted, and how, stands in
[benchmark.md](../guide/benchmark.md). BD-rates are of the mean curves, PCHIP; negative: fewer bits
at equal quality. AVIF is in the tables as people get it (4:2:0, speed 6, default tuning) and tuned
for PSNR; no figure is against "AVIF" alone.
"""


def main() -> None:
    parts = [HEAD]
    for folder in map(Path, sys.argv[1:]):
        facts = json.loads((folder / "environment.json").read_text())
        parts.append(section(folder, Results(rows.read(folder / "results.csv")), facts))
    (DOCS / "results.md").write_text("\n".join(parts))


def section(folder: Path, results: Results, facts: dict) -> str:
    name, first = folder.name, results.rows[0]
    metrics = [m for m in results.metrics if m.key in SHOWN]
    versions = ", ".join(f"{k} {v}" for k, v in facts["environment"].items() if k not in ("system", "cores"))
    by = f"SSIMULACRA2 by: {first.ssimulacra2_by}." if first.ssimulacra2_by else ""
    lines = [
        f"## {name}: {len(results.pictures)} pictures",
        "",
        f"    {facts['command']}",
        "",
        textwrap.fill(f"{facts['date']}; {versions}. {by}".strip(), COLUMNS),
        "",
    ]
    for metric in metrics:
        target = DOCS / f"results-{name}-{metric.key}.png"
        shutil.copy(folder / f"curves-{metric.key}.png", target)
        lines.append(f"![{metric.label}]({target.name})")
    lines += ["", *bd_table(results, metrics), ""]
    if results.lossless:
        lines += [*lossless_table(results), ""]
    return "\n".join([*lines, *curve_table(results, metrics), ""])


def bd_table(results: Results, metrics: list[Metric]) -> list[str]:
    """Each codec against JPEG, with the spread over pictures by PSNR; then our own against each."""
    short = [m.label.split(",")[0] for m in metrics]
    lines = ["| against JPEG 4:2:0 | " + " | ".join(short) + " | PSNR, single pictures: median (from, to) |"]
    lines.append("| --- |" + " ---: |" * (len(metrics) + 1))
    for test in results.lossy:
        if test != "jpeg":
            cells = [percent(results, "jpeg", test, metric) for metric in metrics]
            single = [v for v in results.bd_pictures("jpeg", test, metrics[0]).values() if v is not None]
            spread = f"{statistics.median(single):+.1f} ({min(single):+.1f}, {max(single):+.1f}) %"
            lines.append(f"| {results.codecs[test].label} | " + " | ".join([*cells, spread]) + " |")
    lines += ["", "| vaecodec against | " + " | ".join(short) + " |", "| --- |" + " ---: |" * len(metrics)]
    for anchor in results.lossy:
        if anchor != "vaec":
            cells = [percent(results, anchor, "vaec", metric) for metric in metrics]
            lines.append(f"| {results.codecs[anchor].label} | " + " | ".join(cells) + " |")
    return lines


def percent(results: Results, anchor: str, test: str, metric: Metric) -> str:
    delta = results.bd(anchor, test, metric)
    if delta.pchip is None:
        return f"refused ({delta.overlap:.0%} overlap)"
    return f"{delta.pchip:+.1f} %" + (f" ({delta.overlap:.0%} overlap)" if delta.verdict == "warned" else "")


def lossless_table(results: Results) -> list[str]:
    lines = ["| lossless | bits per pixel |", "| --- | ---: |"]
    for name in results.lossless:
        bpp = statistics.fmean(row.bpp for row in results.rows if row.codec == name)
        lines.append(f"| {results.codecs[name].label} | {bpp:.3f} |")
    return lines


def curve_table(results: Results, metrics: list[Metric]) -> list[str]:
    """The mean curve of our own codec, which is what a change of weights is compared with."""
    short = " | ".join(m.label.split(",")[0] for m in metrics)
    lines = [f"| vaecodec, quality | bits per pixel | {short} |", "| ---: |" + " ---: |" * (len(metrics) + 1)]
    means = [results.mean("vaec", metric, results.complete("vaec")) for metric in metrics]
    for setting, (bpp, _) in means[0].items():
        lines.append(f"| {setting:g} | {bpp:.4f} | " + " | ".join(f"{mean[setting][1]:.2f}" for mean in means) + " |")
    return lines


if __name__ == "__main__":
    main()
