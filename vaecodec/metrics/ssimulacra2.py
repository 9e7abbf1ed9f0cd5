"""SSIMULACRA2 (Jon Sneyers, Cloudinary, 2022; version 2.1 of April 2023), for opaque sRGB pictures.

Written after tools/ssimulacra2.cc of https://github.com/libjxl/libjxl (BSD-3-Clause), which defines the metric; the
constants are its own. On six scales, each half the size of the one before, the three planes of the JPEG XL colour
space XYB are compared by SSIM and by how strong their edges are. In an area without detail the blur's rounding errors
are most of what remains, and they lower the scores of good pictures by up to a point: the blur is computed step by
step as libjxl computes it, in 32-bit floats with fused multiply-add.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
F = np.float32

SCALES = 6
LEAST_SIDE = 8
C2 = F(0.0009)
ABSORBANCE = np.array(
    [
        [0.3, 0.622, 0.078],
        [0.23, 0.692, 0.078],
        [0.24342268924547819, 0.20476744424496821, 0.5518098665095536],
    ],
    np.float32,
)
BIAS = F(0.0037930732552754493)

# One row for each plane (X, Y, B) and scale: SSIM, ringing, blur, by their means and then by their 4-norms.
WEIGHTS = np.array(
    [
        (0, 0.000737660671, 0, 0, 0.000779348168, 0),
        (0, 0.000437115573, 0, 1.10417264, 0.000662848341, 0.000152316328),
        (0, 0.00164064375, 0, 1.84224555, 11.4411726, 0),
        (0.000798910944, 0.000176816438, 0, 1.8787595, 10.9490699, 0),
        (0.000728934699, 0.967793708, 0, 0.000140034243, 0.998176698, 0.000319497559),
        (0.000455099211, 0, 0, 0.00136487662, 0, 0),
        (0, 0, 0, 7.46689033, 0, 17.445834),
        (0.000623560163, 0, 0, 6.68367815, 0.00037724408, 1.02788994),
        (225.205153, 0, 0, 19.2132382, 0.00114015246, 0.00123775564),
        (176.393176, 0, 0, 24.43301, 0.285208026, 0.000448543692),
        (0, 0, 0, 34.7790634, 44.8356253, 0),
        (0, 0, 0, 0, 0, 0),
        (0, 0.000868055657, 0, 0, 0, 0),
        (0, 0.000531319187, 0, 0.000165338142, 0, 0),
        (0, 0, 0, 0.00041791718, 0.00172908282, 0),
        (0.00208270058, 0, 0, 8.82698276, 23.1924334, 0),
        (95.1080499, 0.986397803, 0.983438279, 0.0012286405, 171.266726, 0.980785887),
        (0, 0, 0, 0.000513006459, 0, 0.000108540579),
    ]
).ravel()

# The blur is Charalampidis, "Recursive Implementation of the Gaussian Filter Using Truncated Cosine Functions" (2016),
# for sigma 1.5: the sum over k of AMPLITUDE[k] cos(OMEGA[k] n) for |n| < RADIUS, each cosine a recursion of its own.
RADIUS = 5
OMEGA = np.pi / (2 * RADIUS) * np.array([[1.0], [3.0], [5.0]])
AMPLITUDE = np.array([[0.178939141641], [0.0727261447362], [0.0129558191105]])
GAIN = (-AMPLITUDE * np.cos(OMEGA * (RADIUS + 1))).astype(np.float32).astype(np.float64)
FEEDBACK = (2 * np.cos(OMEGA)).astype(np.float32).astype(np.float64)


def ssimulacra2(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """The score of `b`, a distorted `a`, both (H, W, 3) RGB with sides of at least 8.

    At most 100, for equal pictures; 90 cannot be told from the original, 70 is high quality, 50 medium, 30 low; it can
    be far below 0. With a side under 113 there are fewer scales, and as in libjxl the weights then no longer belong
    to their maps: such scores tell little.
    """
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4).astype(np.float32)
    pyramid = [[linear[picture.transpose(2, 0, 1)] for picture in (a, b)]]
    while len(pyramid) < SCALES and min(pyramid[-1][0].shape[1:]) >= LEAST_SIDE:
        pyramid.append([halved(rgb) for rgb in pyramid[-1]])
    weights = WEIGHTS[: 18 * len(pyramid)].reshape(3, len(pyramid), 6)
    error = 0.0
    for scale, (rgb_a, rgb_b) in enumerate(pyramid):
        for plane_a, plane_b, weight in zip(xyb(rgb_a), xyb(rgb_b), weights[:, scale], strict=True):
            error += compare(plane_a, plane_b, weight)
    error *= 0.9562382616834844
    error = 2.326765642916932 * error - 0.020884521182843837 * error**2 + 6.248496625763138e-05 * error**3
    return 100 - 10 * error**0.6276336467831387 if error > 0 else 100.0


def halved(rgb: Floats) -> Floats:
    """(3, H, W) to half its size, with a last odd row or column repeated."""
    _, height, width = rgb.shape
    rgb = np.pad(rgb, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    return F(0.25) * (rgb[:, ::2, ::2] + rgb[:, ::2, 1::2] + rgb[:, 1::2, ::2] + rgb[:, 1::2, 1::2])


def xyb(rgb: Floats) -> Floats:
    """Linear RGB, (3, H, W) in 0 to 1, to XYB with all planes moved into 0 to 1 and Y taken from B."""
    mixed = np.tensordot(ABSORBANCE, rgb, axes=1) + BIAS
    long, middle, short = np.cbrt(mixed) - np.cbrt(BIAS)
    y = F(0.5) * (long + middle)
    return np.stack([F(7) * (long - middle) + F(0.42), y + F(0.01), short - y + F(0.55)])


def compare(a: Floats, b: Floats, weights: NDArray[np.float64]) -> float:
    """The weighted sum of the six figures of two planes, (H, W). What has no weight is not computed."""
    if not weights.any():
        return 0.0
    with_ssim = weights[0] or weights[3]
    means_a, means_b, *squares = blurred([a, b, a * a, b * b, a * b] if with_ssim else [a, b])
    edges = (F(1) + abs(b - means_b)) / (F(1) + abs(a - means_a)) - F(1)
    errors = {1: edges, 2: -edges}
    if with_ssim:
        aa, bb, ab = squares
        covariance = F(2) * (ab - means_a * means_b) + C2
        variance = (aa - means_a * means_a) + (bb - means_b * means_b) + C2
        errors[0] = F(1) - (F(1) - np.square(means_a - means_b)) * covariance / variance
    total = 0.0
    for column, error in errors.items():
        if weights[column] or weights[column + 3]:
            error = np.maximum(error, F(0))
            total += weights[column] * error.mean() + weights[column + 3] * np.square(np.square(error)).mean() ** 0.25
    return float(total)


def blurred(planes: list[Floats]) -> list[Floats]:
    """The planes, (H, W) each, blurred along both axes with zeros outside."""
    across = blurred_down(np.hstack([plane.T for plane in planes]))
    down = blurred_down(np.hstack([plane.T for plane in np.hsplit(across, len(planes))]))
    return np.hsplit(down, len(planes))


def blurred_down(x: Floats) -> Floats:
    """(H, W) blurred along its first axis."""
    height, width = x.shape
    sums = np.zeros((height + RADIUS - 1, width), np.float32)  # of the rows RADIUS - 1 below and RADIUS + 1 above
    sums[:height] = x
    sums[2 * RADIUS :] += x[: max(0, height - RADIUS - 1)]
    blur = np.empty((height, width), np.float32)
    now, last, before = (np.zeros((3, width)) for _ in range(3))  # float64, in which a product of float32 is exact
    term, rounded = np.empty((3, width)), np.empty((3, width), np.float32)
    for row, total in enumerate(sums, 1 - RADIUS):
        np.multiply(FEEDBACK, last, out=term)
        term -= before
        rounded[...] = term
        np.multiply(GAIN, total, out=now)
        now += rounded
        rounded[...] = now
        now[...] = rounded
        if row >= 0:
            np.add(rounded[1], rounded[2], out=blur[row])
            blur[row] += rounded[0]
        now, last, before = before, now, last
    return blur
