"""The networks of the native core: layers packed as it takes them, and calls that check sizes.

Legend: h w rows and columns of positions of y, D and C channels of features, filled up with zeros to a multiple of 32.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaecodec.core import library, pointer

GROUP = 32  # numbers of channels are multiples of this
BLOCK = 16  # outputs that stand together in a packed weight
KERNELS = 5
KERNEL = "VAECODEC_KERNEL"  # environment variable: a kernel by name, in place of the best there is
BAD_ROUNDING = -6
NOT_CODED = 255  # in a map of tables
CELL = 16
INPUT_BITS = 25  # of wide layers, with the sign
PIECE_BITS = range(4, 16)  # of the pieces that they come in


def _fields(names: str, kind: type[Any] = ctypes.c_int32) -> Iterator[tuple[str, type[Any]]]:
    """Fields of one type, as ctypes wants them."""
    return ((name, kind) for name in names.split())


class _Linear(ctypes.Structure):
    _fields_ = (*_fields("weight bias scale", ctypes.c_void_p), *_fields("inputs outputs"))


class _Depthwise(ctypes.Structure):
    _fields_ = (*_fields("weight bias scale", ctypes.c_void_p), *_fields("channels"))


class _Block(ctypes.Structure):
    _fields_ = (("first", _Linear), ("middle", _Depthwise), ("last", _Linear), *_fields("gated"))


class _Chain(ctypes.Structure):
    _fields_ = (*_fields("block", ctypes.c_void_p), *_fields("count channels film kernel limit shift"))


class _Film(ctypes.Structure):
    _fields_ = (*_fields("scale bias", ctypes.c_void_p), *_fields("shift"))


class _Hyper(ctypes.Structure):
    _fields_ = (*_fields("enter up", _Linear), *_fields("first then", _Chain))


class _Context(ctypes.Structure):
    _fields_ = (*_fields("enter leave", _Linear), ("chain", _Chain), *_fields("known start count padded phase"))


class _Wide(ctypes.Structure):
    _fields_ = (("sums", _Linear), ("bias", ctypes.c_void_p))


class _Synthesis(ctypes.Structure):
    _fields_ = (
        *_fields("enter shortcut", _Wide),
        ("leave", _Linear),
        ("chain", _Chain),
        *_fields("channels bits pieces"),
    )


class _Analysis(ctypes.Structure):
    _fields_ = (*_fields("enter leave shortcut", _Linear), ("chain", _Chain))


class _HyperAnalysis(ctypes.Structure):
    _fields_ = (*_fields("enter down leave", _Linear), *_fields("first then", _Chain))


@cache
def kernels() -> dict[str, int]:
    """Numbers of the kernels that this machine runs, by name, the best one last."""
    names = ((n, library().vaec_kernel_name(n)) for n in range(KERNELS))
    return {name.decode(): n for n, name in names if name}


def kernel() -> int:
    """The one that KERNEL names, or else the best. Raises: ImportError for a name that there is not."""
    there = kernels()
    name = os.environ.get(KERNEL) or list(there)[-1]
    if name not in there:
        raise ImportError(f"{KERNEL}={name}: this machine has the kernels {', '.join(there)}")
    return there[name]


def full(n: int) -> int:
    """A number of channels filled up."""
    return -(-n // GROUP) * GROUP


def filled(a: NDArray[Any], axis: int, parts: int) -> NDArray[Any]:
    """An array whose axis is in equal parts, each filled up with zeros."""
    a = np.moveaxis(a, axis, 0)
    size = len(a) // parts
    out = np.zeros((parts, full(size), *a.shape[1:]), a.dtype)
    out[:, :size] = a.reshape(parts, size, *a.shape[1:])
    return np.moveaxis(out.reshape(-1, *a.shape[1:]), 0, axis)


@dataclass(frozen=True)
class Exact:
    """A layer's integers: weight (outputs, inputs) or (channels, 9), bias, and k, the output being the sum / 2^k."""

    weight: NDArray[Any]
    bias: NDArray[Any]
    k: NDArray[Any]

    def packed(self, outputs: int = 1, inputs: int = 1, factor: float = 1) -> Linear:
        """As the core takes a 1x1 layer. outputs, inputs: how many equal parts they are in. factor: on its scale."""
        weight = filled(filled(self.weight.astype(np.int16), 0, outputs), 1, inputs)
        bias, scale = self._numbers(outputs, factor)
        rows, columns = weight.shape
        cells = weight.reshape(rows // BLOCK, BLOCK, columns // 2, 2).transpose(0, 2, 1, 3)
        return Linear(np.ascontiguousarray(cells), bias, scale)

    def depthwise(self, parts: int) -> Depthwise:
        """As the core takes a depthwise layer, whose channels are in so many equal parts."""
        weight = filled(np.pad(self.weight.astype(np.int16), ((0, 0), (0, 1))), 0, parts)
        groups = len(weight) // GROUP
        weight = weight.reshape(groups, 4, 2, 4, 5, 2).transpose(0, 4, 2, 1, 3, 5)
        bias, scale = (v.reshape(groups, 4, 2, 4).swapaxes(1, 2) for v in self._numbers(parts, 1))
        return Depthwise(*map(np.ascontiguousarray, (weight, bias, scale)))

    def _numbers(self, parts: int, factor: float) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        scale = np.ldexp(float(factor), -self.k.astype(np.int64)).astype(np.float32)  # of an int: float16
        return filled(self.bias.astype(np.int32), 0, parts), filled(scale, 0, parts)


@dataclass(frozen=True)
class Linear:
    """A packed 1x1 layer; see `vaec_linear`."""

    weight: NDArray[np.int16]
    bias: NDArray[np.int32]
    scale: NDArray[np.float32]

    @property
    def outputs(self) -> int:
        return len(self.bias)

    @property
    def inputs(self) -> int:
        return 2 * self.weight.shape[1]

    def native(self) -> _Linear:
        numbers = pointer(self.weight, np.int16), pointer(self.bias, np.int32), pointer(self.scale, np.float32)
        return _Linear(*numbers, self.inputs, self.outputs)

    def wide(self) -> tuple[Linear, _Wide]:
        """For `vaec_wide`, and what has to live as long."""
        sums = Linear(self.weight, np.zeros_like(self.bias), self.scale)
        return sums, _Wide(sums.native(), pointer(self.bias, np.int32))


@dataclass(frozen=True)
class Depthwise:
    """A packed depthwise layer; see `vaec_depthwise`."""

    weight: NDArray[np.int16]
    bias: NDArray[np.int32]
    scale: NDArray[np.float32]

    def native(self) -> _Depthwise:
        numbers = pointer(self.weight, np.int16), pointer(self.bias, np.int32), pointer(self.scale, np.float32)
        return _Depthwise(*numbers, self.bias.size)


class Chain:
    """Blocks one after the other, gated ones."""

    def __init__(
        self, blocks: Sequence[Sequence[Exact]], channels: int, limit: int, shift: int, film: int = -1
    ) -> None:
        """blocks: the three layers of each. limit: of features, 2^shift standing for 1. film: before which block they
        are scaled, -1 for none."""
        self.channels, self.count = full(channels), len(blocks)
        self.layers = [(a.packed(outputs=2), b.depthwise(2), c.packed()) for a, b, c in blocks]
        native = [_Block(a.native(), b.native(), c.native(), 1) for a, b, c in self.layers]
        self.blocks = (_Block * max(1, len(native)))(*native)
        self.native = _Chain(ctypes.addressof(self.blocks), self.count, self.channels, film, kernel(), limit, shift)


class Film:
    """What features are scaled by for a quality, rows (channels,); see `vaec_film`."""

    def __init__(self, scale: NDArray[Any], bias: NDArray[Any], shift: int) -> None:
        self.scale, self.bias = (filled(v.astype(np.int32), 0, 1) for v in (scale, bias))
        self.native = _Film(pointer(self.scale, np.int32), pointer(self.bias, np.int32), shift)


class Memory:
    """What a function works in."""

    def __init__(self, size: int) -> None:
        self.bytes = np.empty(size + 64, np.uint8)
        self.size = size
        self.at = self.bytes.ctypes.data + -self.bytes.ctypes.data % 64


def done(result: int) -> int:
    """Raises: ValueError where a function has found a size that does not fit; RuntimeError where floats are rounded
    in another way than this process began with."""
    if result == BAD_ROUNDING:
        raise RuntimeError("this thread rounds floats other than half to even: the core cannot compute exactly")
    if result < 0:
        raise ValueError("the core was given arrays of sizes that do not fit")
    return result


class Hyper:
    """h_s."""

    def __init__(self, enter: Exact, up: Exact, first: Chain, then: Chain) -> None:
        self.first, self.then = first, then
        self.enter, self.up = enter.packed(outputs=4), up.packed(outputs=4)
        self.native = _Hyper(self.enter.native(), self.up.native(), first.native, then.native)

    def __call__(self, z_hat: NDArray[np.integer], bias: NDArray[Any], h: int, w: int) -> NDArray[np.int16]:
        """z_hat (zh, zw, N) integers to features (h, w, D). bias: the quality's row."""
        zh, zw, _ = z_hat.shape
        z, row = filled((16 * z_hat).astype(np.int16), 2, 1), filled(bias.astype(np.int16), 0, 1)
        if z.shape[2] != self.enter.inputs or len(row) != self.first.channels:
            raise ValueError("z of another model")
        features = np.empty((h, w, self.then.channels), np.int16)
        net, memory = ctypes.byref(self.native), Memory(library().vaec_hyper_work(ctypes.byref(self.native), zh, zw))
        z = np.ascontiguousarray(z)
        done(
            library().vaec_hyper_synthesis(
                *(net, pointer(row, np.int16), zh, zw, pointer(z, np.int16), h, w),
                *(pointer(features, np.int16), memory.at, memory.size),
            )
        )
        return features


class Context:
    """A context step."""

    def __init__(
        self, enter: Exact | None, chain: Chain, leave: Exact, known: int, channels: tuple[int, int], phase: int
    ) -> None:
        """channels: the first one that the step codes, and their end."""
        self.chain, self.start, self.count = chain, channels[0], channels[1] - channels[0]
        empty = Exact(np.zeros((GROUP, GROUP), np.int16), *np.zeros((2, GROUP), np.int32))
        self.enter, self.leave = (enter or empty).packed(), leave.packed(outputs=2)
        sizes = known, self.start, self.count, full(self.count), phase
        self.native = _Context(self.enter.native(), self.leave.native(), chain.native, *sizes)

    def __call__(
        self, features: NDArray[np.int16], y_hat: NDArray[np.int16], bias: NDArray[Any], skip: int, dependent: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The map of tables (h, w, count) of a step, and how many elements are dependent and how many are not.

        Args:
            features: (h, w, D), change. y_hat: (h, w, M) in 1/16 step, gets the means.
            bias: (count,) of the indices. skip, dependent: see `Weights`.
        """
        h, w, channels = y_hat.shape
        row = np.ascontiguousarray(bias, np.int32)
        if features.shape != (h, w, self.chain.channels) or len(row) != self.count:
            raise ValueError("features of another shape")
        table, number = np.empty((h, w, self.count), np.uint8), np.zeros(2, np.int64)
        net, memory = ctypes.byref(self.native), Memory(library().vaec_context_work(ctypes.byref(self.native), h, w))
        done(
            library().vaec_context_step(
                *(net, h, w, pointer(features, np.int16), pointer(y_hat, np.int16), channels, pointer(row, np.int32)),
                *(skip, dependent, pointer(table, np.uint8), pointer(number, np.int64), memory.at, memory.size),
            )
        )
        return table, number


class Synthesis:
    """g_s."""

    def __init__(self, enter: Exact, shortcut: Exact, leave: Exact, chain: Chain) -> None:
        """enter, shortcut: wide ones, of at most 4096 inputs: so a piece of a few bits fits whatever their weights."""
        self.chain, self.channels = chain, enter.weight.shape[1]
        most = max(int(np.abs(e.weight.astype(np.int64)).sum(1).max()) for e in (enter, shortcut))
        bits = max(bits for bits in PIECE_BITS if most << (bits - 1) < 1 << 31)
        self.biases = enter.packed(outputs=4), by_colour(shortcut, CELL).packed()
        self.enter, wide_enter = self.biases[0].wide()
        self.shortcut, wide_shortcut = self.biases[1].wide()
        self.leave = by_colour(leave, CELL // 2).packed()
        pieces = self.channels, bits, -(-INPUT_BITS // bits)
        self.native = _Synthesis(wide_enter, wide_shortcut, self.leave.native(), chain.native, *pieces)
        self.depth = -(-chain.count // 2)  # rows of y that have to come before one goes out

    def base(self, y: NDArray[np.int16], step: NDArray[Any]) -> NDArray[np.int32]:
        """What the linear branch alone makes of y (n, M) in 1/16 step: (n, 3, 16, 16) in 1/64 level."""
        n, row = len(y), np.ascontiguousarray(step, np.int32)
        if y.shape[1] != self.channels or len(row) != self.channels:
            raise ValueError("y of another model")
        out, net = np.empty((n, 3, CELL, CELL), np.int32), ctypes.byref(self.native)
        memory = Memory(library().vaec_synthesis_work(net, n))
        done(
            library().vaec_shortcut(
                net, pointer(row, np.int32), n, pointer(y, np.int16), pointer(out, np.int32), memory.at, memory.size
            )
        )
        return out


def by_colour(layer: Exact, side: int) -> Exact:
    """A layer that makes cells of pixels, its outputs ordered (colour, row, column)."""
    order = np.arange(side * side * 3).reshape(side, side, 3).transpose(2, 0, 1).reshape(-1)
    return Exact(layer.weight[order], layer.bias[order], layer.k[order])


class SynthesisRows:
    """g_s of an array of positions (height, width), row by row."""

    def __init__(self, net: Synthesis, step: NDArray[Any], film: Film, height: int, width: int) -> None:
        self.net, self.film, self.height, self.width, self.row = net, film, height, width, 0
        self.step = np.ascontiguousarray(step, np.int32)
        if len(self.step) != net.channels or len(film.scale) != net.chain.channels:
            raise ValueError("a row of another model")
        self.memory = Memory(library().vaec_synthesis_work(ctypes.byref(net.native), width))

    def push(self, y: NDArray[np.int16] | None, planes: NDArray[np.int16]) -> bool:
        """The next row of y (width, M) in 1/16 step, or None behind the last; whether one went out, `net.depth` above.

        planes: (3, 16, 16 width), R + 2 G + B, R - G and B - G in 1/8 level, are written then.
        """
        cells = 3, CELL, CELL * self.width
        if planes.shape != cells or planes.dtype != np.int16 or planes.strides[2] != 2 or planes.strides[1] % 2:
            raise ValueError("planes of another shape")
        if (y is None) != (self.row >= self.height) or (y is not None and y.shape != (self.width, self.net.channels)):
            raise ValueError("a row of another shape")
        places = (ctypes.c_void_p * 3)(*(plane.ctypes.data for plane in planes))
        out = done(
            library().vaec_synthesis_row(
                *(ctypes.byref(self.net.native), pointer(self.step, np.int32), ctypes.byref(self.film.native)),
                *(self.height, self.width, self.row, None if y is None else pointer(y, np.int16), places),
                *(planes.strides[1] // 2, self.memory.at, self.memory.size),
            )
        )
        self.row += 1
        return bool(out)


def filter_pixels(coefficients: Sequence[int], planes: NDArray[np.int16], rgb: NDArray[np.uint8]) -> None:
    """Make rgb (h, w, 3) of planes (3, h + 6, w + 6) by one filter: `vaec_filter`."""
    h, w, _ = rgb.shape
    numbers = np.array(coefficients, np.int32)
    if planes.shape != (3, h + 6, w + 6) or planes.dtype != np.int16 or planes.strides[2] != 2 or planes.strides[1] % 2:
        raise ValueError("planes of another shape")
    if len(numbers) != 36 or rgb.dtype != np.uint8 or rgb.strides[1:] != (3, 1):
        raise ValueError("pixels of another shape")
    places = (ctypes.c_void_p * 3)(*(plane[3:, 3:].ctypes.data for plane in planes))
    library().vaec_filter(
        *(kernel(), pointer(numbers, np.int32), places, planes.strides[1] // 2, h, w, rgb.ctypes.data, rgb.strides[0])
    )


class Analysis:
    """g_a."""

    def __init__(self, enter: Exact, leave: Exact, shortcut: Exact, chain: Chain, factor: float) -> None:
        """factor: on the outputs of `leave`."""
        self.chain, self.channels = chain, len(leave.bias)
        self.layers = enter.packed(), leave.packed(inputs=4, factor=factor), shortcut.packed()
        self.native = _Analysis(*(layer.native() for layer in self.layers), chain.native)
        self.depth = -(-chain.count // 2)


class AnalysisRows:
    """g_a of an array of positions (height, width), row by row."""

    def __init__(
        self, net: Analysis, part: NDArray[np.float32], bound: float, film: Film, height: int, width: int
    ) -> None:
        """part: (M,) what y is multiplied by. bound: on its magnitude."""
        self.net, self.film, self.height, self.width, self.row, self.bound = net, film, height, width, 0, bound
        self.part = filled(part.astype(np.float32), 0, 1)
        self.memory = Memory(library().vaec_analysis_work(ctypes.byref(net.native), width))

    def push(self, pixels: NDArray[np.uint8] | None) -> NDArray[np.float32] | None:
        """The next 16 rows of pixels (16, 16 width, 3), or None behind the last; y (width, M) of the row of positions
        that goes out, `net.depth` above, or None."""
        if (pixels is None) != (self.row >= self.height):
            raise ValueError("a row too many, or too few")
        if pixels is not None and pixels.shape != (CELL, CELL * self.width, 3):
            raise ValueError("pixels of another shape")
        y = np.empty((self.width, full(self.net.channels)), np.float32)
        out = done(
            library().vaec_analysis_row(
                *(ctypes.byref(self.net.native), ctypes.byref(self.film.native), pointer(self.part, np.float32)),
                *(self.bound, self.height, self.width, self.row),
                *(None if pixels is None else pointer(pixels, np.uint8), pointer(y, np.float32)),
                *(self.memory.at, self.memory.size),
            )
        )
        self.row += 1
        return y[:, : self.net.channels] if out else None


class HyperAnalysis:
    """h_a."""

    def __init__(self, enter: Exact, first: Chain, down: Exact, then: Chain, leave: Exact, factor: float) -> None:
        """factor: on the outputs of `leave`."""
        self.first, self.then, self.channels = first, then, len(leave.bias)
        self.layers = enter.packed(), down.packed(inputs=4), leave.packed(inputs=4, factor=factor)
        self.native = _HyperAnalysis(*(layer.native() for layer in self.layers), first.native, then.native)

    def __call__(self, y: NDArray[np.int16]) -> NDArray[np.float32]:
        """y (h, w, M) on a grid, h and w multiples of 4, to z (h / 4, w / 4, N)."""
        h, w, _ = y.shape
        y = np.ascontiguousarray(filled(y, 2, 1))
        if y.shape[2] != self.layers[0].inputs:
            raise ValueError("y of another model")
        z, net = np.empty((h // 4, w // 4, full(self.channels)), np.float32), ctypes.byref(self.native)
        memory = Memory(library().vaec_hyper_analysis_work(net, h, w))
        done(
            library().vaec_hyper_analyse(
                net, h, w, pointer(y, np.int16), pointer(z, np.float32), memory.at, memory.size
            )
        )
        return z[..., : self.channels]
