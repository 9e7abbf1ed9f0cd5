"""Rate-distortion curves as SVG and PNG, by matplotlib."""

from __future__ import annotations

from pathlib import Path

from vaecodec.bench.analysis import Metric, Results

# Okabe and Ito's palette (jfly.uni-koeln.de/color): told apart by colour-blind people. One colour and marker a family.
FAMILIES = {
    "vaec": ("#D55E00", "o"),
    "jpeg": ("#0072B2", "s"),
    "webp": ("#009E73", "^"),
    "avif": ("#CC79A7", "D"),
    "jpeg2000": ("#E69F00", "P"),
    "jxl": ("#56B4E9", "v"),
    "png": ("#000000", "X"),
}
OTHERS = ("#7F7F7F", "*")
DASHES = ("-", "--", "-.", ":")


def styles(names: list[str]) -> dict[str, tuple[str, str, str]]:
    """Colour, marker and line of each codec; members of a family differ in their line."""
    seen: dict[str, int] = {}
    result = {}
    for name in names:
        family = next((f for f in (name.split("@")[0], name.split("@")[0].split("-")[0]) if f in FAMILIES), "")
        number = seen[family] = seen.get(family, -1) + 1
        colour, marker = FAMILIES.get(family, OTHERS)
        result[name] = colour, marker, DASHES[number % len(DASHES)]
    return result


def draw(results: Results, metric: Metric, title: str, out: Path) -> list[Path]:
    """Write the mean curves of one metric as OUT/curves-METRIC.svg and .png; returns the files."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # not pyplot, which keeps state

    figure = Figure(figsize=(8, 5.4), layout="constrained")
    axes = figure.subplots()
    style = styles(list(results.codecs))
    for name in results.lossy:
        points = sorted(results.mean(name, metric, results.complete(name)).values())
        if points:
            colour, marker, dash = style[name]
            wide = 2.4 if name == "vaec" else 1.4
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, linestyle=dash, linewidth=wide,
                      markersize=5, label=results.codecs[name].label)  # fmt: skip
    right = axes.get_xlim()[1]
    for name in results.lossless:
        rates = [bpp for bpp, _ in results.mean(name, metric, results.complete(name)).values()]
        for bpp in rates:
            if bpp <= 2 * right:
                axes.axvline(
                    bpp, color=style[name][0], linestyle=":", label=f"{results.codecs[name].label} ({bpp:.2f})"
                )
    axes.set_xlabel("bits per pixel (mean, bytes of the file)")
    axes.set_ylabel(metric.label + (f" [{metric.unit}]" if metric.unit else ""))
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    files = [out / f"curves-{metric.key}{suffix}" for suffix in (".svg", ".png")]
    with rc_context({"svg.hashsalt": "vaecodec"}):  # the same file for the same curves
        for file in files:
            figure.savefig(file, dpi=144, metadata={"Date": None} if file.suffix == ".svg" else None)
    return files
