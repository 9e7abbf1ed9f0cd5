"""The structural part of the training loss, against the package pytorch-msssim."""

from __future__ import annotations

import pytest
import pytorch_msssim
import torch

from tests.sample_pictures import picture
from tools.train.loss import Loss
from vaecodec.metrics.ms_ssim import SCALES, dissimilarity
from vaecodec.model.architecture import Config
from vaecodec.model.networks import Model


@pytest.mark.parametrize("noise", [2.0, 20.0])
def test_it_is_ms_ssim_from_half_the_resolution_on(noise: float) -> None:
    x = torch.from_numpy(picture(352, 400, 3))[None].float()
    y = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(1)) * noise
    a, b = (torch.nn.functional.avg_pool2d(v.permute(0, 3, 1, 2), 2) for v in (x, y))
    expected = 1 - pytorch_msssim.ms_ssim(a, b, data_range=255, weights=list(SCALES))
    assert float(dissimilarity(x, y)) == pytest.approx(float(expected), rel=0.05)


def test_small_pictures_have_fewer_scales() -> None:
    x = torch.from_numpy(picture(64, 64, 3))[None].float()
    assert float(dissimilarity(x, x)) == pytest.approx(0, abs=1e-5)
    assert float(dissimilarity(x, x.flip(1))) > 0.1


def test_a_share_moves_the_gradient_and_leaves_the_rest() -> None:
    config = Config(C=8, M=16, N=4, D=8, low=4, blocks_a=1, blocks_s=1, blocks_h=1, blocks_c=1)
    x = torch.from_numpy(picture(64, 64, 3))[None]
    gradients, reported = [], []
    for share in (0.0, 0.3):
        torch.manual_seed(3)
        model = Model(config)
        torch.manual_seed(4)
        loss, bpp, mse = Loss(torch.device("cpu"), structure=share)(model, x)
        loss.backward()
        gradients.append(torch.cat([p.grad.ravel() for p in model.parameters() if p.grad is not None]))
        reported.append((float(bpp), float(mse)))
    assert reported[0] == reported[1]
    assert float((gradients[0] - gradients[1]).abs().max()) > 1e-3 * float(gradients[0].abs().max()) > 0
