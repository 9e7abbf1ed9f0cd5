"""The codec as the variational autoencoder that it is: pictures drawn from it, its bound on what they cost,
and its latents as features."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vaecodec.bitstream import container
from vaecodec.bitstream.header import CELL, Header
from vaecodec.bitstream.tiles import EMPTY, LANES_LOG2_MAX, Tile
from vaecodec.codec.codec import Codec
from vaecodec.codec.decoder import reconstruct
from vaecodec.codec.latents import decode_z
from vaecodec.codec.synthesis import Band
from vaecodec.codec.team import team
from vaecodec.entropy.rans import STATE_START
from vaecodec.errors import VaecError
from vaecodec.model.architecture import MEAN_ONE, STEP_ONE, Z_CELL
from vaecodec.model.loop_filter import Filters
from vaecodec.model.weights import Weights
from vaecodec.pictures.picture import Picture

SAMPLE_MAX = 1 << 26  # pixels


def sample(codec: Codec, shape: tuple[int, int], quality: float, seed: int) -> Picture:
    """A picture (height, width) drawn from the model: random bits, decoded.

    An entropy decoder turns random bits into symbols that follow its tables; here z from its prior, then y given z,
    step by step. Raises: VaecError where the shape is out of range.
    """
    if not (0 < shape[0] and 0 < shape[1] and shape[0] * shape[1] <= SAMPLE_MAX):
        raise VaecError(f"a sample of {shape[1]} x {shape[0]} pixels is empty or too large")
    header = container.parse(codec.encode(np.zeros((*shape, 3), np.uint8), quality, effort=1)).header
    rng = np.random.default_rng(seed)
    states = STATE_START + rng.integers(0, 1 << 16, 1 << LANES_LOG2_MAX)
    tiles = []
    for number in range(math.prod(header.grid)):
        coded = Tile.empty(LANES_LOG2_MAX, states.astype("<u4").tobytes())
        tiles.append(replace(coded.having(z=random_words(codec, header, number, rng)), truncated=True))
    return shown(codec, header, tiles)


def resample(codec: Codec, picture: Picture, quality: float, seed: int) -> Picture:
    """A picture with the z of another and a y drawn anew: what the hyperprior carries, and what it leaves open. It is
    opaque: transparency has no latents."""
    file = container.parse(codec.encode(colours(picture), quality, effort=1))
    rng = np.random.default_rng(seed)
    tiles = []
    for number, tile in enumerate(file.unpacked()):
        # Behind z's words come random ones. The few bits that the coder's states hold by then are still the picture's.
        words = random_words(codec, file.header, number, rng)[len(tile.words[0]) :]
        coded = Tile.empty(tile.lanes_log2, tile.states).having(z=bytes(tile.words[0]), low=words)
        tiles.append(replace(coded, truncated=True))
    return shown(codec, file.header, tiles)


def random_words(codec: Codec, header: Header, number: int, rng: np.random.Generator) -> bytes:
    """As many as a tile can take: one for each symbol."""
    _, _, height, width = header.tile_box(number)
    h, w = -(-height // CELL), -(-width // CELL)
    cfg = codec.weights.cfg
    return rng.bytes(2 * (h * w * cfg.M + -(-h // Z_CELL) * -(-w // Z_CELL) * cfg.N))


def shown(codec: Codec, header: Header, tiles: list[Tile]) -> Picture:
    """What the decoder makes of tiles that may have words left over."""
    pixels = np.empty((header.height, header.width, header.channels), np.uint8)
    filters = Filters.read(codec.weights, header, {})
    for _ in reconstruct(codec, header, tiles, filters, pixels, damaged=set()):
        pass
    return Picture(pixels)


def colours(picture: Picture) -> NDArray[np.uint8]:
    """Its pixels (H, W, 1 or 3) without transparency."""
    return picture.pixels[..., : 3 if picture.pixels.shape[2] >= 3 else 1]


@dataclass(frozen=True)
class Bound:
    """Bits per dimension, a dimension being a sample of a pixel. deviation: of the Gaussian around x_hat, in levels."""

    rate: float
    distortion: float
    deviation: float

    @property
    def total(self) -> float:
        """Minus the evidence lower bound: no fewer bits can be had from this model for the exact picture."""
        return self.rate + self.distortion


def bound(codec: Codec, picture: Picture, quality: float, effort: int) -> Bound:
    """The evidence lower bound of the exact 8-bit pixels, with its sign changed.

    The latents are discrete and the encoder picks one, y_hat, with certainty, so that for any of them
    -log2 P(x) <= -log2 P(y_hat) - log2 P(x | y_hat). The first term is the file's size. For the second, samples are
    normal around the decoded ones, with the deviation that suits this picture best, integrated over each level and
    normalised over the 256. (Kingma and Welling 2014, eq. 3, the posterior a point mass.)
    """
    pixels = np.ascontiguousarray(colours(picture))
    data = codec.encode(pixels, quality, effort=effort)
    decoded = codec.decode(data).pixels
    rate = 8 * len(data) / pixels.size
    error = math.sqrt(float(np.mean((pixels.astype(np.float64) - decoded) ** 2)))
    deviations = np.geomspace(max(0.7 * error, 0.2), max(1.2 * error, 0.4), 12)
    costs = [bits_around(pixels, decoded, float(s)) for s in deviations]
    best = int(np.argmin(costs))
    return Bound(rate, costs[best], float(deviations[best]))


def bits_around(pixels: NDArray[np.uint8], decoded: NDArray[np.uint8], deviation: float) -> float:
    """Mean of -log2 P(pixel | decoded), P normal, cut to 0..255 and integrated over each level."""
    edges = np.arange(-255, 257) - 0.5
    below = np.array([0.5 * math.erfc(-e / (deviation * math.sqrt(2))) for e in edges])
    mass = np.maximum(np.diff(below), 1e-30)  # of differences -255..255
    level = np.arange(256)
    table = mass[255 + level[None, :] - level[:, None]]  # decoded x pixel
    table /= table.sum(axis=1, keepdims=True)
    return float(np.mean(-np.log2(table)[decoded, pixels]))


@dataclass(frozen=True)
class Features:
    """What a file says of its picture, without its pixels.

    y_hat: (ceil(H / 16), ceil(W / 16), M) float32, in 8-bit levels, whatever the quality. z_hat: (ceil(H / 64),
    ceil(W / 64), N) float32. pooled: (2 M + N,) float32: over all positions the mean of y_hat, its mean magnitude, and
    the mean of z_hat.
    """

    y_hat: NDArray[np.float32]
    z_hat: NDArray[np.float32]
    pooled: NDArray[np.float32]


def features(codec: Codec, data: bytes) -> Features:
    """The latents of a `.vaec` file; tiles of a drawn picture that an overlay hides have none (0).

    Raises: NotVaecError, TruncatedError, CorruptFileError, UnsupportedError.
    """
    file = codec.open(data, None)
    codec, header, tiles = codec.of(file.header), file.header, file.unpacked()
    rows, columns = header.grid
    with team(codec.threads) as threads:
        y_hat = Band(codec.networks, header, tiles, range(rows), range(columns), threads).y_hat()
    step = (codec.weights.row("step", header.quality) / (STEP_ONE * MEAN_ONE)).astype(np.float32)
    y, z = y_hat * step, z_of(codec.weights, header, tiles)
    pooled = np.concatenate([y.mean(axis=(0, 1)), np.abs(y).mean(axis=(0, 1)), z.mean(axis=(0, 1))])
    return Features(y, z, pooled)


def z_of(weights: Weights, header: Header, tiles: list[Tile]) -> NDArray[np.float32]:
    """z_hat of all tiles, joined: (ceil(H / 64), ceil(W / 64), N)."""
    h, w = -(-header.height // CELL), -(-header.width // CELL)
    z = np.zeros((-(-h // Z_CELL), -(-w // Z_CELL), weights.cfg.N), np.float32)
    side = header.tile_side // CELL
    for number, tile in enumerate(tiles):
        if tile.lanes_log2 == EMPTY:
            continue
        top, left = (side * n for n in divmod(number, header.grid[1]))
        size = min(side, h - top), min(side, w - left)
        z_hat = decode_z(weights, header.quality, tile, *size)[0]
        z[top // Z_CELL :, left // Z_CELL :][: z_hat.shape[0], : z_hat.shape[1]] = z_hat
    return z
