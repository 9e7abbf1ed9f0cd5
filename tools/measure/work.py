"""Work of the networks: multiply-accumulates of their layers, the time they take, and what the machine can do at most.

Multiply-accumulates are those of the layers: whatever a kernel leaves out because inputs are 0, and once where it takes
wide inputs in pieces.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from vaecodec.core import library, pointer
from vaecodec.core.networks import Chain, Exact, HyperAnalysis, Memory
from vaecodec.model.architecture import Config, Layer, decoding, encoding

# How many pixels a position of a layer's outputs stands for, by the beginning of its path: the first that fits.
PIXELS = {
    **{"g_s.enter": 256, "g_s.shortcut": 256, "g_s": 64, "context": 256},
    **{"h_s.enter": 4096, "h_s.block1": 1024, "h_s.up": 1024, "h_s": 256},
    **{"g_a.enter": 64, "g_a.blocks": 64, "g_a": 256},
    **{"h_a.enter": 256, "h_a.block1": 256, "h_a.down2": 4096, "h_a": 1024},
}
NETWORKS = {"encode": ("g_a", "h_a", "h_s", "context"), "decode": ("h_s", "context", "g_s")}
# The core's functions of each part of the work; those of the networks by their names.
FUNCTIONS = {
    "g_a": ("vaec_analysis_row",),
    "h_a": ("vaec_hyper_analyse",),
    "h_s": ("vaec_hyper_synthesis",),
    "context": ("vaec_context_step",),
    "g_s": ("vaec_synthesis_row",),
    "filter": ("vaec_filter",),
    "symbols": (
        *("vaec_rans_decode", "vaec_rans_encode", "vaec_candidates", "vaec_best_path"),
        *("vaec_places", "vaec_values", "vaec_add", "vaec_escapes"),
    ),
}
# Of the layer that `peak` runs: its weights take 32 KiB.
PEAK_INPUTS, PEAK_OUTPUTS, PEAK_POSITIONS = 512, 32, 576
LOOP = 200  # calls that are timed together


def kmac_of_networks(cfg: Config) -> dict[str, float]:
    """Multiply-accumulates per pixel, in thousands, of each network."""
    shapes: dict[str, Sequence[int]] = {
        path: (layer.outputs, layer.inputs) for path, layer in decoding(cfg).items() if isinstance(layer, Layer)
    }
    shapes |= {path: shape for path, shape in encoding(cfg).items() if path.endswith((".weight", ".shortcut"))}
    total = dict.fromkeys(("g_a", "h_a", "h_s", "context", "g_s"), 0.0)
    for path, shape in shapes.items():
        total[path.partition(".")[0]] += work(path, shape)
    return total


def kmac_of_codec(cfg: Config) -> dict[str, float]:
    """The same of `encode` and `decode`."""
    of = kmac_of_networks(cfg)
    return {direction: sum(of[name] for name in names) for direction, names in NETWORKS.items()}


def work(path: str, shape: Sequence[int]) -> float:
    """Of a layer whose weights have this shape."""
    return prod(shape) / next(pixels for start, pixels in PIXELS.items() if path.startswith(start)) / 1000


def convolution_flops(x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any) -> int:
    return 2 * prod(out_shape) * prod(weight[1:])


def kmac_per_pixel(job: Callable[[], object], pixels: int) -> float:
    """Multiply-accumulates that torch really runs in a job. Watches operators, so it does not matter how
    a layer is spelt; exact.py calls oneDNN's convolution by name, which torch's counter has to be told."""
    import torch  # not above: the core's work needs none
    from torch.utils.flop_counter import FlopCounterMode

    known = {torch.ops.aten.mkldnn_convolution: convolution_flops}
    with FlopCounterMode(display=False, custom_mapping=known) as counter:
        job()
    return counter.get_total_flops() / 2 / pixels / 1000


def spent(job: Callable[[], object]) -> float:
    """Processor seconds of this process."""
    start = time.process_time()
    job()
    return time.process_time() - start


@contextmanager
def clocked() -> Iterator[dict[str, float]]:
    """Processor seconds in the core's functions meanwhile, by part of the work; with one thread only."""
    core, seconds = library(), dict.fromkeys(FUNCTIONS, 0.0)
    before = {name: getattr(core, name) for names in FUNCTIONS.values() for name in names}

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            start = time.process_time()
            result = function(*arguments)
            seconds[part] += time.process_time() - start
            return result

        return call

    try:
        for part, names in FUNCTIONS.items():
            for name in names:
                setattr(core, name, timed(part, before[name]))
        yield seconds
    finally:
        for name, function in before.items():
            setattr(core, name, function)


def peak(seconds: float = 1.0) -> float:
    """The most multiply-accumulates per second that the best kernel reaches in a 1x1 layer, in a loop.

    The layer's weights lie in the L1 cache; 576 positions of 512 inputs come past them, from the L2 cache. It is run as
    the first layer of an h_a without blocks, whose other layers, 8 % of the work, count too.
    """
    side, (first, rest) = round(PEAK_POSITIONS**0.5), (layer(PEAK_INPUTS), layer(4 * PEAK_OUTPUTS))
    empty = Chain([], PEAK_OUTPUTS, 2047, 7)
    net = HyperAnalysis(first, empty, rest, empty, rest, 1.0)
    work = PEAK_POSITIONS * (first.weight.size + rest.weight.size * (1 / 4 + 1 / 16))
    y = np.random.default_rng(2).integers(-99, 100, (side, side, PEAK_INPUTS)).astype(np.int16)
    z = np.empty((side // 4, side // 4, PEAK_OUTPUTS), np.float32)
    memory = Memory(library().vaec_hyper_analysis_work(ctypes.byref(net.native), side, side))
    pointers = pointer(y, np.int16), pointer(z, np.float32), memory.at, memory.size
    function, call = library().vaec_hyper_analyse, (ctypes.byref(net.native), side, side, *pointers)
    best, stop = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < stop:
        best = max(best, LOOP * work / spent(lambda: [function(*call) for _ in range(LOOP)]))
    return best


def layer(inputs: int) -> Exact:
    weight = np.random.default_rng(inputs).integers(-9, 10, (PEAK_OUTPUTS, inputs))
    return Exact(weight, np.zeros(PEAK_OUTPUTS), np.full(PEAK_OUTPUTS, 8))
