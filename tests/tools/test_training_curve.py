"""tools/make/training.py: the table of the training page, as the curve reads it."""

from __future__ import annotations

from tools.make.training import LOG, SHOWN, percent, table


def test_every_kept_run_has_its_figures() -> None:
    rows = table(LOG.read_text())
    assert len(rows) >= 10 and "DCT start" in rows[0]["What"]
    for row in rows:
        assert 0 < float(row["core-hours"]) < 24 and 0 < float(row["pixels seen, 10^9"]) < 100
        assert all(-90 < percent(row[column]) < 0 for column in SHOWN)


def test_a_figure_with_remarks() -> None:
    assert percent("-48.81 %** (effort 2; -53.52 % by default)") == -48.81
