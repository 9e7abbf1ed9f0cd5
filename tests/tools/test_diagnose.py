"""The accounts of tools/measure/diagnose.py add up to the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tools.measure.diagnose import account_for, ideal_bits
from vaecodec.codec import Codec


@pytest.mark.parametrize("quality", [200, 700])
def test_bits_add_up(shipped: Codec, quality: int) -> None:
    crop = np.asarray(Image.open(Path(__file__).parents[1] / "data" / "bench" / "kodim05-crop.png"))
    with torch.no_grad():
        account = account_for(shipped, [crop], quality)
    assert account.section_bits.sum() == account.file_bits
    # The coder's words against the sum of what the tables say: some bytes for each lane.
    assert account.steps.sum() == pytest.approx(account.section_bits[1:4].sum(), rel=0.02, abs=600)
    assert account.bands.sum() == pytest.approx(account.steps.sum()) == pytest.approx(account.table_bits)
    assert 0 < ideal_bits(account.counts) < account.table_bits
    assert account.coded.sum() == sum(account.counts.values())
