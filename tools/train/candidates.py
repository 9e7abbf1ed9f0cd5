"""Candidates for the networks' second generation: the model with parts exchanged, to be trained and compared.

No file has them: `CANDIDATES` maps a name to what it changes, `candidate` joins several ("relu+analysis"). Each takes
only operations that the decoder's integer arithmetic has: 1x1 and depthwise 3x3 convolutions, products, clamps, ReLU,
shifts. tools/train/screening.py trains them. Legend as in vaecodec/model/networks.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, register_parametrization, remove_parametrizations

from vaecodec.model.architecture import ANCHOR_STEP, ANCHORS, FEATURE_MAX, FEATURE_ONE, X_MAX, Y_PIXEL_MAX, Config
from vaecodec.model.exact import (
    Block,
    Depthwise,
    Linear,
    clamp_ste,
    depth_to_space,
    requantise,
    round_ste,
    space_to_depth,
)
from vaecodec.model.likelihood import logistic_bits
from vaecodec.model.networks import Analysis, Model, QualityTable

Change = Callable[["Candidate"], None]


def nearest_anchor(q: Tensor) -> Tensor:
    """Indices of the quality anchors that the tables of z are chosen by, of qualities q."""
    return ((q + ANCHOR_STEP // 2) // ANCHOR_STEP).long()


class Candidate(Model):
    """The model with parts exchanged.

    element_step: features (B,h,w,D) to a factor on each element's quantiser step, (B,h,w,M), or None.
    z_bank: z and q to bits, in place of one table for each quality and channel, or None.
    """

    def __init__(self, cfg: Config | None = None) -> None:
        super().__init__(cfg)
        self.element_step: ElementStep | None = None
        self.z_bank: TableBank | None = None


class ReluBlock(nn.Module):
    """x + W2(ReLU(DW3x3(W1 x))) with 1.5 C hidden channels: the multiply-accumulates of `Block`, and no gate."""

    def __init__(self, channels: int, *, exact: bool) -> None:
        super().__init__()
        limit, hidden = FEATURE_MAX if exact else None, 3 * channels // 2
        self.w1 = Linear(channels, hidden, limit=limit)
        self.dw = Depthwise(hidden, limit=limit)
        self.w2 = Linear(hidden, channels, limit=limit, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        grid = self.dw.grid
        h = requantise(self.w1(x), grid, through=True)
        h = self.w2(requantise(self.dw(h), grid, through=True).clamp_min(0))
        return requantise(x + (round_ste(h) if grid else h), False)


class TwoScaleSynthesis(nn.Module):
    """g_s in two scales: a body at 1/8 or 1/16 tells a pointwise network at 1/4 how to look at the linear shortcut.

    The shortcut's picture, cut into cells of 4 x 4 pixels, is what the pointwise network sees; the body gives each
    cell a scale and a shift for its `inner` channels. It adds to the shortcut what it makes of that.
    """

    def __init__(self, cfg: Config, *, cell: int, width: int, blocks: int, inner: int) -> None:
        """cell: side in pixels of a position of the body, 8 or 16. width: its channels."""
        super().__init__()
        self.up = 16 // cell  # from y to the body
        self.cells = cell // 4  # from the body to the pointwise network
        self.enter = Linear(cfg.M, self.up**2 * width, limit=Y_PIXEL_MAX / 512, wide=True)
        self.shortcut = Linear(cfg.M, 768, limit=Y_PIXEL_MAX / 512, wide=True)
        self.blocks = nn.ModuleList(Block(width, exact=True) for _ in range(blocks))
        self.film_scale = QualityTable(width, 64, 0, 511, start=1.0)
        self.film_bias = QualityTable(width, FEATURE_ONE, -FEATURE_MAX, FEATURE_MAX)
        self.tell = Linear(width, self.cells**2 * 2 * inner, limit=FEATURE_MAX)
        self.look = Linear(48, inner, limit=FEATURE_MAX)
        self.hidden = Linear(inner, inner, limit=FEATURE_MAX)
        self.leave = Linear(inner, 48, limit=FEATURE_MAX, zero=True)
        with torch.no_grad():  # no channel begins with the mean of the cell, which outweighs all else
            pixels = self.look.weight.view(inner, 16, 3)
            pixels -= pixels.mean(1, keepdim=True)

    def forward(self, y_hat: Tensor, q: Tensor, step: Tensor) -> Tensor:
        """y_hat (B,h,w,M) in 1/16 step -> x_hat (B,16h,16w,3) in 1/64 level, minus 128 levels."""
        grid = self.leave.grid
        y = ((y_hat.double() if grid else y_hat) * step).clamp(-Y_PIXEL_MAX, Y_PIXEL_MAX) * (1 / 512)
        scale, shift = self.body(y, q, grid).chunk(2, dim=-1)
        base = depth_to_space(self.shortcut(y if grid else y.float()), 16)
        base = requantise(base, grid, X_MAX).float()
        seen = requantise(space_to_depth(base, 4) * (1 / 4), grid)  # in 1/16 level
        p = requantise(self.look(seen), grid)
        p = requantise(p + p * scale * (1 / FEATURE_ONE) + shift, grid).clamp_min(0)
        p = requantise(self.hidden(p), grid).clamp_min(0)
        detail = depth_to_space(self.leave(p), 4)
        return (round_ste(detail) if grid else detail) + base

    def body(self, y: Tensor, q: Tensor, grid: bool) -> Tensor:
        """y in half levels -> scale - 1 and shift of each cell of 4 x 4 pixels, (B,4h,4w,2*inner)."""
        f = requantise(self.enter(y), grid).float()
        f = depth_to_space(f, self.up)
        scale, bias = self.film_scale(q, grid), self.film_bias(q, grid)
        for i, block in enumerate(self.blocks):
            if i == len(self.blocks) // 2:
                f = requantise(f * scale * (1 / 64) + bias, grid)
            f = block(f)
        return depth_to_space(requantise(self.tell(f), grid), self.cells)


class ElementStep(nn.Module):
    """A factor on the quantiser step of each element, told by the features of h_s: 2^-2 to 2^2 (later by a table)."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.leave = Linear(cfg.D, cfg.M, limit=FEATURE_MAX, zero=True)

    def forward(self, f: Tensor) -> Tensor:
        return torch.exp2(clamp_ste(self.leave(f) * (1 / FEATURE_ONE), -2, 2))


class TableBank(nn.Module):
    """Tables of z, of which each position of z takes the one that codes it in the fewest bits, and says which."""

    def __init__(self, cfg: Config, tables: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.randn(ANCHORS, tables, cfg.N) * 0.2)
        self.log_scale = nn.Parameter(torch.linspace(-1, 1, tables)[:, None].expand(ANCHORS, tables, cfg.N).clone())
        self.share = nn.Parameter(torch.zeros(ANCHORS, tables))

    def forward(self, z: Tensor, q: Tensor, exact: bool) -> Tensor:
        """Bits (B,) of z (B,h,w,N); those of the mixture, which a soft choice makes small, or of the best choice."""
        k = nearest_anchor(q)
        loc, scale = self.mean[k][:, None, None], self.log_scale[k][:, None, None].exp()  # (B,1,1,tables,N)
        index = self.share[k].log_softmax(-1)[:, None, None] * (-1 / math.log(2))
        bits = logistic_bits(z[..., None, :] - loc, scale).sum(-1) + index  # (B,h,w,tables)
        best = bits.amin(-1) if exact else torch.logsumexp(bits * -math.log(2), -1) * (-1 / math.log(2))
        return best.sum((1, 2))


def haar(n: int) -> Tensor:
    """(n, n) orthonormal Haar functions as rows, n a power of two."""
    h = torch.ones(1, 1, dtype=torch.float64)
    while len(h) < n:
        mean, difference = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) * 0.5**0.5
        h = torch.cat((torch.kron(h, mean), torch.kron(torch.eye(len(h), dtype=torch.float64), difference)))
    return h.float()


class Basis(nn.Module):
    """Parametrises a weight by its coefficients in an orthonormal basis of its inputs, or of its outputs."""

    rows: Tensor

    def __init__(self, rows: Tensor, outputs: bool) -> None:
        super().__init__()
        self.outputs = outputs
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, coefficients: Tensor) -> Tensor:
        return self.rows.T @ coefficients if self.outputs else coefficients @ self.rows

    def right_inverse(self, weight: Tensor) -> Tensor:
        return self.rows @ weight if self.outputs else weight @ self.rows.T


def in_haar_steps(layer: Linear, n: int, channels: Tensor, outputs: bool = False) -> None:
    """Train a layer on cells of n x n by its Haar coefficients. channels: a basis for what each position has."""
    cells = torch.kron(torch.kron(haar(n), haar(n)), channels)
    register_parametrization(layer, "weight", Basis(cells, outputs))


def with_haar(model: Candidate) -> None:
    """Layers between cells and single positions, trained in Haar steps (and opponent colours): the same functions."""
    colour = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
    colour /= colour.norm(dim=1, keepdim=True)
    c, d, n = model.g_a.enter.weight.shape[0], model.cfg.D, 8
    in_haar_steps(model.g_a.enter, n, colour)
    in_haar_steps(model.g_a.leave, 2, torch.eye(c))
    for layer in (model.h_a.down1, model.h_a.down2):
        in_haar_steps(layer, 2, torch.eye(d))
    for layer in (model.h_s.enter, model.h_s.up):
        in_haar_steps(layer, 2, torch.eye(d), outputs=True)
    g_s = model.g_s
    in_haar_steps(g_s.leave, math.isqrt(g_s.leave.weight.shape[0] // 3), colour, outputs=True)
    if not isinstance(g_s, TwoScaleSynthesis) or g_s.up == 2:
        in_haar_steps(g_s.enter, 2, torch.eye(g_s.enter.weight.shape[0] // 4), outputs=True)


def fold(model: Candidate) -> Candidate:
    """The same model with plain weights in place of coefficients; changes it."""
    for module in list(model.modules()):
        if is_parametrized(module, "weight"):
            remove_parametrizations(module, "weight")
    return model


def with_relu(model: Candidate) -> None:
    def blocks(module: nn.Module) -> Iterator[tuple[nn.Module, str, Block]]:
        for name, child in module.named_children():
            if isinstance(child, Block):
                yield module, name, child
            else:
                yield from blocks(child)

    for parent, name, block in list(blocks(model)):
        setattr(parent, name, ReluBlock(block.w2.weight.shape[0], exact=block.exact))


def with_larger_analysis(model: Candidate) -> None:
    """g_a of twice the channels, which costs no decoder anything."""
    model.g_a = Analysis(replace(model.cfg, C=2 * model.cfg.C))


def with_two_scales_from_8(model: Candidate) -> None:
    """A block less in the body, and no last layer of 8 x 8 pixels, pay for the pointwise network."""
    c = model.cfg.C
    two = TwoScaleSynthesis(model.cfg, cell=8, width=c, blocks=model.cfg.blocks_s - 1, inner=2 * c // 5)
    model.g_s = two  # type: ignore[assignment]


def with_two_scales_from_16(model: Candidate) -> None:
    """Twice the channels in the body, where a position costs a quarter, and one block less."""
    c = model.cfg.C
    two = TwoScaleSynthesis(model.cfg, cell=16, width=2 * c, blocks=model.cfg.blocks_s - 1, inner=2 * c // 5)
    model.g_s = two  # type: ignore[assignment]


def with_element_step(model: Candidate) -> None:
    model.element_step = ElementStep(model.cfg)


def with_table_bank(model: Candidate) -> None:
    model.z_bank = TableBank(model.cfg, 8)


# In the order in which they are made: what exchanges blocks or parametrises layers finds those of the parts before it.
CANDIDATES: dict[str, Change] = {
    "analysis": with_larger_analysis,
    "twoscale8": with_two_scales_from_8,
    "twoscale16": with_two_scales_from_16,
    "step": with_element_step,
    "bank": with_table_bank,
    "relu": with_relu,
    "haar": with_haar,
}


def candidate(names: str, cfg: Config) -> Candidate:
    """The networks as they are ("base"), or with one or several changes ("relu+analysis").

    Raises: KeyError for a name that CANDIDATES does not have.
    """
    wanted = {name: CANDIDATES[name] for name in names.split("+") if name != "base"}
    model = Candidate(cfg)
    for name, change in CANDIDATES.items():
        if name in wanted:
            change(model)
    return model
