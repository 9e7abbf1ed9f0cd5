"""compressai as the yardstick: its rANS coder on our symbols, its CDF quantisation behind our tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compressai._CXX import pmf_to_quantized_cdf
from compressai.ans import BufferedRansEncoder

from tools.train.data import load
from vaecodec.bitstream.container import parse
from vaecodec.bitstream.tiles import Tile
from vaecodec.codec import Codec, latents
from vaecodec.entropy import rans
from vaecodec.pictures.picture import Picture

SAMPLE = Path(__file__).parents[1] / "data" / "kodim23.png"


@pytest.mark.parametrize("quality", [25, 75])
def test_coded_size_within_one_percent_of_compressai(monkeypatch: pytest.MonkeyPatch, quality: int) -> None:
    """All symbols of a real picture, each with its own table."""
    encoder, pack = BufferedRansEncoder(), latents.pack_tile

    def spy(runs: list[rans.Run]) -> Tile:
        for tables, table, value, _ in runs:
            symbol, _ = tables.symbols(table, value)
            cdfs = np.concatenate((tables.start, np.full((len(tables.size), 1), 0)), axis=1)
            cdfs[np.arange(len(tables.size)), tables.size] = rans.ONE
            # Their last symbol is an escape too: as offsets are 0 and sizes one larger, ours never meets it.
            encoder.encode_with_indexes(
                symbol.tolist(),
                table.tolist(),
                [[*row[: n + 1].tolist(), rans.ONE] for row, n in zip(cdfs, tables.size, strict=True)],
                (tables.size + 2).tolist(),
                [0] * len(tables.size),
            )
        return pack(runs)

    monkeypatch.setattr(latents, "pack_tile", spy)
    tile = parse(Codec().encode(Picture(load(SAMPLE)), quality)).unpacked()[0]
    theirs = len(encoder.flush())
    ours = len(tile.states) + sum(len(s) for s in tile.words)
    assert ours == pytest.approx(theirs, rel=0.01)


def test_quantised_tables_are_as_good_as_the_probabilities() -> None:
    """What compressai's quantisation, used at export, loses: far below a thousandth of a bit on a smooth PMF."""
    p = np.exp(-np.abs(np.arange(-40, 41)) / 5.0)
    p /= p.sum()
    q = np.diff(pmf_to_quantized_cdf(p.tolist(), rans.PRECISION)) / rans.ONE
    assert q.min() > 0 and q.sum() == 1
    assert 0 <= (p * np.log2(p / q)).sum() < 1e-3
