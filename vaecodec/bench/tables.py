"""The figures as text, for the terminal."""

from __future__ import annotations

import statistics

from vaecodec.bench.analysis import REFUSE_BELOW, WARN_BELOW, Delta, Metric, Results
from vaecodec.bench.resources import peak_memory
from vaecodec.console import count


def summary(results: Results) -> str:
    """Mean curves, lossless rates, BD-rates of every pair and notes about them."""
    parts = [curves(results)]
    if results.lossless:
        parts.append(lossless(results))
    if len(results.lossy) > 1:
        parts += [matrix(results, m) for m in results.metrics if m.key != "psnr_mse"]  # that one is in the report
    parts += steps_back(results)
    return "\n\n".join(parts)


def curves(results: Results) -> str:
    metrics = results.metrics
    heads = {"psnr": "PSNR", "psnr_mse": "PSNR(mse)", "ms_ssim_db": "MS-SSIM dB", "ssimulacra2": "SSIMU.2"}
    lines = [f"{'codec':<20}{'setting':>8}{'bpp':>9}" + "".join(f"{heads[m.key]:>12}" for m in metrics)]
    for name in results.lossy:
        pictures = results.complete(name)
        means = {m.key: results.mean(name, m, pictures) for m in metrics}
        for setting, (bpp, _) in means["psnr"].items():
            cells = (f"{means[m.key][setting][1]:>12.3f}" if setting in means[m.key] else f"{'-':>12}" for m in metrics)
            lines.append(f"{name:<20}{setting:>8g}{bpp:>9.4f}" + "".join(cells))
        if len(pictures) < len(results.pictures):
            lines.append(
                f"{'':20}  (means over the {len(pictures)} of {len(results.pictures)} pictures that it has coded)"
            )
    return "\n".join(lines)


def lossless(results: Results) -> str:
    lines = [f"{'lossless':<20}{'bpp':>9}"]
    for name in results.lossless:
        rows = [row for row in results.rows if row.codec == name]
        lines.append(f"{name:<20}{statistics.fmean(row.bpp for row in rows):>9.4f}")
    return "\n".join(lines)


def matrix(results: Results, metric: Metric) -> str:
    """BD-rates of the mean curves, a line for each pair; of our own codec against others, not the other way round."""
    lines = [f"BD-rate by {metric.label} (mean curves; negative: fewer bits than the anchor)"]
    lines.append(f"{'codec':<20}{'anchor':<20}{'PCHIP':>10}{'Akima':>10}{'overlap':>9}   range")
    anchors = [name for name in results.lossy if name != "vaec"]
    for test in results.lossy:
        for anchor in anchors:
            if test != anchor:
                lines.append(f"{test:<20}{anchor:<20}" + cells(results.bd(anchor, test, metric)))
    return "\n".join(lines)


def cells(delta: Delta) -> str:
    if delta.pchip is None or delta.akima is None:
        return f"{'refused':>20}{delta.overlap:>9.0%}   less than {REFUSE_BELOW:.0%} of the range is common"
    note = f"   warned: less than {WARN_BELOW:.0%} is common" if delta.verdict == "warned" else ""
    figures = f"{delta.pchip:>+9.2f}%{delta.akima:>+9.2f}%{delta.overlap:>9.0%}"
    return f"{figures}   {delta.low:.2f} to {delta.high:.2f}{note}"


def steps_back(results: Results) -> list[str]:
    """Dials that do not do what a dial should: of the mean curves each step, of single pictures the number."""
    found = []
    for name in results.lossy:
        pictures = results.complete(name)
        found += [f"mean of {line}" for line in results.steps_back(name, pictures)]
        if single := sum(len(results.steps_back(name, [p])) for p in pictures):
            found.append(f"{name}: {count(single, 'step')} back in the curves of single pictures")
    return ["not monotone:\n" + "\n".join(f"  {line}" for line in found)] if found else []


def environment_notes(ssimulacra2_by: str | None, jobs: int, repeats: int, threads: int) -> list[str]:
    """What a reader must know about how the figures came about, one sentence each."""
    memory = (
        "Memory is the largest resident size of a fresh process that codes the largest picture, Python and libraries "
        "included; of a codec that is a program, the program's own."
    )
    notes = [
        "Sizes are the bytes of the real files on disk; the pictures were given to every codec without metadata.",
        "Quality is that of the 8-bit RGB pixels decoded from those files; transparent pictures were put on white.",
        "PSNR is over all samples of the three channels. The mean over pictures of their PSNRs, and the PSNR of the "
        "mean squared error over pictures, are two conventions that give different figures; each is named.",
        f"Times are medians of {count(repeats, 'run')} in one process after one to warm up, with "
        f"{count(threads, 'thread')} for each codec that has threads, {count(jobs, 'picture')} at a time; loading a "
        "model is apart. Programs are timed from start to end.",
        "Memory is not measured, as this system does not tell it." if peak_memory() is None else memory,
    ]
    if ssimulacra2_by:
        notes.append(f"SSIMULACRA2 by: {ssimulacra2_by}.")
    return notes
