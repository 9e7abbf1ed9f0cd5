"""From what the networks give to pixels, for reference_decoder.py: filters, alpha, overlays; sections 9 and 10 of
bitstream_spec.md."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
from PIL import Image

from tests.reference_model import Array, Ints, need, strength


def diamond(reach: int) -> list[tuple[int, int]]:
    """Section 9: half of the offsets within a diamond, rows first."""
    offsets = [(d, e) for d in range(reach + 1) for e in range(-reach, reach + 1) if abs(d) + abs(e) <= reach]
    return offsets[offsets.index((0, 1)) :]


def read_filter(section: bytes, default: list[int]) -> list[int]:
    """Section 9: the 36 numbers of a filter."""
    bits = "".join(f"{byte:08b}" for byte in section)
    values: list[int] = []
    while section and len(values) < 36:
        need("1" in bits, "S2: the filter is cut off")
        zeros = bits.index("1")
        need(zeros <= 16, "S4: a number of the filter is too long")
        code, bits = bits[zeros : 2 * zeros + 1], bits[2 * zeros + 1 :]
        need(len(code) == zeros + 1, "S2: the filter is cut off")
        u = int(code, 2) - 1
        values.append(default[len(values)] + (u // 2 if u % 2 == 0 else -(u + 1) // 2))
    need(len(bits) < 8 and "1" not in bits, "S2: data behind the filter")
    need(strength(values) <= 56000, "S3: the filter is too strong")
    return values or default


def filtered(x_hat: Array, values: list[int]) -> Ints:
    """Section 9: rgb of the whole latent grid by one filter."""
    x = np.clip(np.rint(x_hat / 8), -1024, 1023).astype(np.int64)
    s, first, second = (x @ weights for weights in ((1, 2, 1), (1, -1, 0), (0, -1, 1)))
    s = moved(s, diamond(3), values[:12], values[12:24], 128)
    first, second = (moved(a, diamond(2), values[24:30], values[30:], 32) for a in (first, second))
    total = np.stack((s + 3 * first - second, s - first - second, s - first + 3 * second), axis=-1)
    return to_rgb(total / 4096)


def moved(a: Ints, offsets: list[tuple[int, int]], plain: list[int], clipped: list[int], bound: int) -> Ints:
    """Section 9: F(A)."""
    padded, (height, width), total = np.pad(a, 3, mode="edge"), a.shape, 128 * a
    for (d, e), weight, small in zip(offsets, plain, clipped, strict=True):
        for n in (1, -1):
            u = padded[3 + n * d :, 3 + n * e :][:height, :width] - a
            total = total + weight * u + small * np.clip(u, -bound, bound)
    return total


def to_rgb(x: Array) -> Ints:
    """Section 9: samples of levels minus 128."""
    return np.clip(np.rint(x) + 128, 0, 255).astype(np.int64)


def decode_alpha(section: bytes, height: int, width: int) -> Ints:
    """Section 10: the alpha samples of a tile of height x width pixels."""
    return decode_vp8l(section, height, width)[..., 1]


def paste_overlay(section: bytes, rgb: Ints) -> None:
    """Section 10: the overlay over rgb (height, width, 3)."""
    rgba = decode_vp8l(section, *rgb.shape[:2])
    need(np.isin(rgba[..., 3], (0, 255)).all(), "P4: an alpha sample of the overlay is neither 0 nor 255")
    there = rgba[..., 3] == 255
    rgb[there] = rgba[there, :3]


def decode_vp8l(section: bytes, height: int, width: int) -> Ints:
    """Section 10: red, green, blue and alpha, by any decoder of RFC 9649: here Pillow's, as a file."""
    need(section[:1] == b"\x2f" and len(section) >= 5, "P3: not a VP8L bitstream")
    fields = int.from_bytes(section[1:5], "little")
    need(fields % 2**14 == width - 1 and (fields >> 14) % 2**14 == height - 1, "P1: of another size than the tile")
    used = (fields | 1 << 28).to_bytes(4, "little")  # Pillow gives no alpha samples otherwise
    file = b"WEBPVP8L" + struct.pack("<I", len(section)) + b"\x2f" + used + section[5:] + b"\0" * (len(section) % 2)
    try:
        with Image.open(BytesIO(b"RIFF" + struct.pack("<I", len(file)) + file)) as image:
            return np.asarray(image.convert("RGBA")).astype(np.int64)
    except OSError as error:
        raise ValueError(f"P3: a VP8L bitstream does not decode: {error}") from error
