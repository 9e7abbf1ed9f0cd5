"""tools/train/fit_filter.py: the model's own filters."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import VECTORS
from PIL import Image

from tools.train.data import Crops, psnr
from tools.train.fit_filter import fit, hat, with_filters
from vaecodec.codec import Codec
from vaecodec.model import weights
from vaecodec.model.architecture import ANCHORS, FILTER_NUMBERS
from vaecodec.model.networks import QualityTable

SMALL = VECTORS / "small.safetensors"
PHOTO = Path(__file__).parents[1] / "data" / "kodim23.png"


@pytest.mark.parametrize("q", [0, 1, 124, 125, 600, 999, 1000])
def test_hat_is_what_quality_tables_do(q: int) -> None:
    anchors = np.random.default_rng(q).integers(-500, 500, (ANCHORS, 5))
    table = QualityTable(5, 1, -2047, 2047)
    table.freeze(torch.from_numpy(anchors))
    with torch.no_grad():
        row = table(torch.tensor([q]), True).numpy().ravel()
    np.testing.assert_allclose(row, hat(q) @ anchors, atol=0.5)


def test_fitted_filters_mend_pictures(tmp_path: Path) -> None:
    shutil.copy(PHOTO, tmp_path)
    plain, fitted = tmp_path / "plain.safetensors", tmp_path / "fitted.safetensors"
    with_filters(SMALL, plain, np.zeros((ANCHORS, FILTER_NUMBERS), np.int16))
    table = fit(weights.load(plain), Crops(tmp_path, 64, seed=1), 40)
    assert table.any() and not table[:, :24].any()  # chroma alone
    assert with_filters(plain, fitted, table)[:16] == weights.load(fitted).hash.hex() != weights.load(plain).hash.hex()
    with Image.open(PHOTO) as image:
        x = np.asarray(image.crop((100, 100, 400, 300)))
    for quality in (20, 60):
        before, after = (
            psnr(x, (c := Codec(path)).decode(c.encode(x, quality, effort=1)).pixels) for path in (plain, fitted)
        )
        assert after > before + 0.03
