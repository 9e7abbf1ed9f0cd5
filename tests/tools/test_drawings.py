"""The comparison of drawings with their AVIF."""

import numpy as np
import pytest
from PIL import features

from tests.sample_pictures import picture
from tools.measure.drawings import LOSSLESS, Avif, scores

SOURCE = "vaecodec.metrics.ssimulacra2"


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_a_file_of_equal_bytes_lies_between_smaller_and_larger_ones() -> None:
    avif = Avif(picture(64, 80, 3), "4:4:4", SOURCE)
    low, high = len(avif.file(30)), len(avif.file(60))
    assert low < high
    between = avif.within((low + high) // 2)
    assert avif.scores(30)[0] < between[0] < avif.scores(60)[0]
    np.testing.assert_array_equal(avif.within(10**6), avif.scores(100))


def test_an_exact_picture_counts_for_a_finite_number() -> None:
    pixels = picture(20, 20, 3)
    assert scores(pixels, pixels, SOURCE)[0] == LOSSLESS
