"""Exact arithmetic on the dyadic grid: why a `.vaec` file decodes to the same bytes everywhere.

Every activation on the decoder side is an *integer* held in a float tensor, clamped to
``[-FEATURE_MAX, FEATURE_MAX]``; every weight is an integer times ``2**-k`` with its own k per output
channel. A sum of products is then exact, in any order and on any device, as long as

    sum_i |w_i| * A_i + |bias| < 2**24        (float32; 2**53 for the layers that run in float64)

counted in units of ``2**-k``. `exponents` chooses the finest k for which the inequality *provably*
holds, so a layer that is built by it cannot overflow. After each layer the result is rounded to an
integer again (half to even) and clamped. See bitstream_spec.md, section "Arithmetic".

During training the same modules run in floating point (`grid=False`), then with the rounding
switched on and gradients passed straight through it (`grid=True`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaecodec.model.architecture import (
    EXPONENT_MAX,
    FEATURE_MAX,
    FEATURE_ONE,
    FLOAT32_BITS,
    FLOAT64_BITS,
    WEIGHT_MAX,
    WIDE_FRACTION,
)

# Bits that the weights of wide layers do without: a model packs 5 % smaller, and a picture of 43 dB loses 0.0006 dB.
WIDE_SPARED = 3


def round_ste(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes straight through."""
    return x + (x.round() - x).detach() if x.requires_grad else x.round()


class _Clamp(torch.autograd.Function):
    """Clamp whose gradient also passes outside the range when it points back inside."""

    @staticmethod
    def forward(ctx, x, low, high):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        ctx.low, ctx.high = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        keep = ((x >= ctx.low) | (grad < 0)) & ((x <= ctx.high) | (grad > 0))
        return grad * keep, None, None


def clamp_ste(x: Tensor, low: float, high: float) -> Tensor:
    """Clamp to [low, high]; a value outside can still learn its way back (see `_Clamp`)."""
    return _Clamp.apply(x, low, high)


class _Requantise(torch.autograd.Function):
    """See `requantise`. Keeps its output only, which the next layer keeps anyway."""

    @staticmethod
    def forward(ctx, x, limit, grid):  # type: ignore[no-untyped-def]
        out = (x.round() if grid else x).clamp(-limit, limit)
        ctx.save_for_backward(out)
        ctx.limit = limit
        return out

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (out,) = ctx.saved_tensors
        # Nought where clamped; in arithmetic, which a compiler vectorises better than masks.
        return grad * (ctx.limit - out.abs()).clamp(0, 1), None, None


def requantise(x: Tensor, grid: bool, limit: float = FEATURE_MAX, through: bool = False) -> Tensor:
    """Back to the grid of integers: round half to even, clamp to [-limit, limit].

    Without `grid` only the clamp is applied. Works in place when no gradient is asked for. The gradient
    passes the rounding but not the clamp: passing it everywhere lets features run away behind the clamp
    (measured: g_s saturated after 2,000 steps, and the loss rose again). `through` passes it all the same:
    inside a block it saves a quarter of the step's time, and the stream around it is held.
    """
    if torch.is_grad_enabled():
        if through:
            return x + ((x.round() if grid else x).clamp(-limit, limit) - x).detach()
        return _Requantise.apply(x, limit, grid)
    return (x.round_() if grid else x).clamp_(-limit, limit)


def exponents(weight: Tensor, bias: Tensor, limit: float, bits: int) -> Tensor:
    """Finest exponent k per output channel that the overflow proof allows.

    Args:
        weight: (out, fan_in) real weights. bias: (out,) in units of the output.
        limit: largest magnitude A of an input. bits: 24 for float32, 53 for float64.

    Returns:
        (out,) int64 k such that with w = round(weight * 2**k), b = round(bias * 2**k)
        sum|w| * A + |b| < 2**bits and |w| <= 32767. Rounding adds at most half a unit per weight.
    """
    w, b = weight.detach().double(), bias.detach().double()
    room = 2.0**bits - 2 - limit * 0.5 * w.shape[1]
    fits = room / (w.abs().sum(1) * limit + b.abs()).clamp_min(1e-9)
    stores = (WEIGHT_MAX - 0.5) / w.abs().amax(1).clamp_min(1e-9)
    return torch.minimum(fits, stores).log2().floor().clamp(0, EXPONENT_MAX).long()


def matmul(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """F.linear; where oneDNN is there, by its 1x1 convolution, twice as fast as MKL on AMD machines.

    On the grid every correct implementation gives the same bits, so this choice is one of speed.
    """
    inference = not torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
    if inference and x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        x, kernel = x.permute(0, 3, 1, 2), weight[:, :, None, None]
        return torch.mkldnn_convolution(x, kernel, bias, (0, 0), (1, 1), (1, 1), 1).permute(0, 2, 3, 1)
    return F.linear(x, weight, bias)


def normal(*shape: int, std: float) -> Tensor:
    """Random weights to begin a training with. Networks that are `declared` only need none: to draw these without a
    device, PyTorch would import its compiler first, for two seconds."""
    weight = torch.empty(*shape)
    return weight if weight.is_meta else weight.normal_(std=std)


class Linear(nn.Module):
    """A 1x1 convolution on NHWC tensors; on the decoder side an exact one.

    Args:
        limit: bound on the magnitude of the inputs, None on the (float) encoder side.
        wide: run in float64, where 2**53 leaves room for 24-bit inputs.
        zero: start at zero, so that a fresh block is the identity.
    """

    def __init__(
        self, n_in: int, n_out: int, *, limit: float | None = None, wide: bool = False, zero: bool = False
    ) -> None:
        super().__init__()
        self.limit, self.wide, self.grid = limit, wide, False
        self.weight = nn.Parameter(normal(n_out, n_in, std=0.0 if zero else n_in**-0.5))
        self.bias = nn.Parameter(torch.zeros(n_out))  # in units of FEATURE_ONE
        self.frozen: tuple[Tensor, Tensor] | None = None

    @property
    def bits(self) -> int:
        """What the sums of integers may take: significand bits less the fraction bits of the inputs."""
        return FLOAT64_BITS - WIDE_FRACTION if self.wide else FLOAT32_BITS

    def grid_weights(self: Linear | Depthwise) -> tuple[Tensor, Tensor, Tensor]:
        """Integer weight (out, in), integer bias (out,) and exponent k (out,) of the exact layer."""
        assert self.limit is not None
        bias = self.bias.detach() * FEATURE_ONE
        k = exponents(self.weight, bias, self.limit, self.bits)
        if self.wide:
            k = (k - WIDE_SPARED).clamp_min(0)
        scale = torch.exp2(k.double())
        w = (self.weight.detach().double() * scale[:, None]).round()
        return w, (bias.double() * scale).round(), k

    def effective(self: Linear | Depthwise) -> tuple[Tensor, Tensor]:
        """Weight and bias as used: on the grid if `grid`, with straight-through gradients."""
        if self.frozen is not None:
            return self.frozen
        weight: Tensor = self.weight
        bias = self.bias * FEATURE_ONE
        if self.grid and self.limit is not None:
            w, b, k = self.grid_weights()
            scale = torch.exp2(-k.double())
            weight = weight + ((w * scale[:, None]).float() - weight).detach()
            bias = bias + ((b * scale).float() - bias).detach()
        return weight, bias

    def freeze(self: Linear | Depthwise, w: Tensor, b: Tensor, k: Tensor) -> None:
        """Run from now on with these integers (see `grid_weights`), without gradients.

        Raises: ValueError where they fail the overflow proof.
        """
        assert self.limit is not None
        if w.shape != self.weight.shape or b.shape != self.bias.shape or k.shape != b.shape:
            raise ValueError("a layer has another shape")
        w, b, k = w.double(), b.double(), k.double()
        if k.min() < 0 or k.max() > EXPONENT_MAX:
            raise ValueError("a layer's exponent is out of range")
        if (w.abs().sum(1) * self.limit + b.abs() >= 2.0**self.bits).any():
            raise ValueError("a layer's weights fail the overflow proof")
        scale = torch.exp2(-k)
        weight, bias = w * scale[:, None], b * scale
        self.weight, self.bias = nn.Parameter(weight.float()), nn.Parameter((bias / FEATURE_ONE).float())
        self.frozen = (weight, bias) if self.wide else (weight.float(), bias.float())
        self.grid = True

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.effective()
        if self.wide and self.grid:
            return F.linear(x.double(), weight.double(), bias.double())
        if self.frozen is not None:
            x = x.to(weight.dtype)
        return matmul(x, weight, bias)


class Depthwise(nn.Module):
    """A depthwise 3x3 convolution on NHWC tensors with zeros outside; exact on the decoder side."""

    bits, wide = FLOAT32_BITS, False

    def __init__(self, channels: int, *, limit: float | None = None) -> None:
        super().__init__()
        self.limit, self.grid = limit, False
        weight = normal(channels, 9, std=0.1)
        weight[:, 4] += 1.0  # near the identity
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.frozen: tuple[Tensor, Tensor] | None = None

    grid_weights = Linear.grid_weights
    effective = Linear.effective
    freeze = Linear.freeze

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.effective()
        if self.frozen is not None:
            x = x.to(weight.dtype)
        weight = weight.view(-1, 1, 3, 3)
        return F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1, groups=weight.shape[0]).permute(0, 2, 3, 1)


class Block(nn.Module):
    """x + W2(gate(DW3x3(W1 x))), gate(a, b) = a * clamp(b, -2, 2). About 3 C^2 MAC per position.

    The gate is a product and a clamp because those are exact on the grid; exp, SiLU, softmax are not.
    """

    def __init__(self, channels: int, *, exact: bool) -> None:
        super().__init__()
        limit = FEATURE_MAX if exact else None
        self.exact = exact
        self.w1 = Linear(channels, 2 * channels, limit=limit)
        self.dw = Depthwise(2 * channels, limit=limit)
        self.w2 = Linear(channels, channels, limit=limit, zero=True)
        with torch.no_grad():
            self.dw.bias[channels:] = 1.0  # the gate starts open: a fresh block is near linear

    def forward(self, x: Tensor) -> Tensor:
        grid = self.dw.grid
        h = requantise(self.w1(x), grid, through=True)
        a, b = requantise(self.dw(h), grid, through=True).chunk(2, dim=-1)
        h = a * b.clamp(-2 * FEATURE_ONE, 2 * FEATURE_ONE) * (1 / FEATURE_ONE)
        h = self.w2(requantise(h, grid))
        if grid:
            h = round_ste(h)
        return requantise(x + h, False)


def set_grid(module: nn.Module, grid: bool) -> None:
    """Switch the rounding of every exact layer below `module` on or off."""
    for m in module.modules():
        if isinstance(m, (Linear, Depthwise)) and m.limit is not None:
            m.grid = grid


def space_to_depth(x: Tensor, n: int) -> Tensor:
    """(B, H, W, C) -> (B, H/n, W/n, n*n*C), the position inside the cell outermost."""
    b, h, w, c = x.shape
    return x.view(b, h // n, n, w // n, n, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h // n, w // n, n * n * c)


def depth_to_space(x: Tensor, n: int) -> Tensor:
    """The inverse of `space_to_depth`: (B, H, W, n*n*C) -> (B, H*n, W*n, C)."""
    b, h, w, c = x.shape
    x = x.view(b, h, w, n, n, c // (n * n)).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h * n, w * n, c // (n * n))


def half() -> torch.autocast:
    """bfloat16 where the processor has it: what need not be exact takes two thirds of the time there."""
    has: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # of newer PyTorch versions
    return torch.autocast("cpu", torch.bfloat16, enabled=bool(has.get("avx512_bf16") or has.get("amx_bf16")))


Network = TypeVar("Network", bound=nn.Module)


def declared(make: Callable[[], Network]) -> Network:
    """Networks in float32 that have names and shapes, but no numbers and no memory: they are for a file to fill. Making
    them draws no random numbers, and asks for no default that the program around may have set."""
    with torch.device("meta"):
        return make().float()
