"""Draw ten pieces of line art with smooth edges for tools/measure/drawings.py: python -m tools.make.drawings OUT

Plans, maps, comics, handwriting: drawn at four times the size from a fixed seed, with Pillow and the DejaVu fonts, and
reduced, so that every edge has all the levels between its two colours.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tools.make.screens import BLACK, TAB20, WHITE, WORDS, font

FINE = 4  # how much larger the drawing is drawn
Rng = np.random.Generator
Points = NDArray[np.float64]


class Sheet:
    """A sheet of paper, on which lengths are pixels of the finished picture."""

    def __init__(self, width: int, height: int, paper: tuple = WHITE) -> None:
        self.size, self.image = (width, height), Image.new("RGB", (FINE * width, FINE * height), paper)
        self.draw = ImageDraw.Draw(self.image)

    def line(self, points: Points, ink: tuple = BLACK, width: float = 1.0) -> None:
        """Through points (n, 2), with round joints where it is wide."""
        wide = max(1, round(FINE * width))
        self.draw.line([tuple(p) for p in FINE * points], ink, wide, joint="curve")

    def stroke(self, points: Points, widths: NDArray[np.float64], ink: tuple = BLACK) -> None:
        """A pen's way through points (n, 2), with its width (n,) at each."""
        for (x, y), r in zip(FINE * points, FINE * widths / 2, strict=True):
            self.draw.ellipse((x - r, y - r, x + r, y + r), ink)

    def shape(self, points: Points, fill: tuple | None = None, ink: tuple | None = BLACK, width: float = 1.0) -> None:
        """A closed line through points (n, 2)."""
        if fill:
            self.draw.polygon([tuple(p) for p in FINE * points], fill)
        if ink:
            self.line(np.concatenate((points, points[:2])), ink, width)

    def text(self, x: float, y: float, words: str, pixels: int, ink: tuple = BLACK, anchor: str = "la") -> None:
        self.draw.text((FINE * x, FINE * y), words, ink, font(FINE * pixels), anchor=anchor)

    def finished(self) -> Image.Image:
        return self.image.resize(self.size, Image.Resampling.LANCZOS)


def arc(x: float, y: float, rx: float, ry: float, first: float = 0, last: float = 1, n: int = 90) -> Points:
    """Points of an ellipse from one share of a turn to another."""
    t = 2 * np.pi * np.linspace(first, last, n)
    return np.stack((x + rx * np.cos(t), y + ry * np.sin(t)), axis=1)


def smooth(points: Points, n: int = 12) -> Points:
    """A curve through points (k, 2): Catmull-Rom's."""
    p = np.concatenate((points[:1], points, points[-1:]))
    t = np.linspace(0, 1, n, endpoint=False)[:, None]
    a, b, c, d = p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]
    curve = b + (c - a) / 2 * t + (a - 2.5 * b + 2 * c - d / 2) * t**2 + (1.5 * (b - c) + (d - a) / 2) * t**3
    return np.concatenate((curve.reshape(-1, 2), points[-1:]))


def blob(rng: Rng, x: float, y: float, r: float, rough: float = 0.25) -> Points:
    """A closed curve about a circle."""
    t = np.linspace(0, 2 * np.pi, 11)
    radii = r * (1 + rough * rng.uniform(-1, 1, 11))
    radii[-1] = radii[0]
    return smooth(np.stack((x + radii * np.cos(t), y + radii * np.sin(t)), axis=1))


def plan(rng: Rng) -> Image.Image:
    """The floor of a house: walls, doors, hatching, stairs, measures."""
    sheet = Sheet(800, 600)
    xs, ys = (40, 210, 330, 560, 760), (40, 220, 390, 540)
    for k, x in enumerate(xs):
        sheet.line(np.array(((x, ys[0]), (x, ys[-1]))), width=7 if k in (0, 4) else 4)
    for k, y in enumerate(ys):
        sheet.line(np.array(((xs[0], y), (xs[-1], y))), width=7 if k in (0, 3) else 4)
    for x in xs[1:-1]:
        for y in ys[:-1]:
            top, wide = y + rng.uniform(30, 70), rng.uniform(38, 56)
            sheet.line(np.array(((x, top), (x, top + wide))), WHITE, 5)
            sheet.line(arc(x, top, wide, wide, 0, 0.25), width=0.8)
            sheet.line(np.array(((x, top), (x + wide, top))), width=1.2)
    for k in range(40):  # stairs and a hatched room
        sheet.line(np.array(((570 + 4.6 * k, 400), (570 + 4.6 * k, 460))), width=0.7)
        sheet.line(np.array(((48 + 4 * k, 226), (44 + 4 * k - 0.3 * k, 384))), (90, 90, 90), 0.6)
    for k, (a, b) in enumerate(itertools.pairwise(xs)):
        sheet.line(np.array(((a, 568), (b, 568))), width=0.8)
        sheet.text((a + b) / 2, 572, f"{(b - a) / 40:.2f}", 12, anchor="ma")
        for y in ys[:-1]:
            sheet.text((a + b) / 2 + 20, y + 14, WORDS[int(rng.integers(len(WORDS)))], 11)
        sheet.line(arc(a + 70, 300 + 14 * k, 26, 18), width=1)
        sheet.line(arc(a + 70, 300 + 14 * k, 20, 13), width=0.6)
    return sheet.finished()


def chart(rng: Rng) -> Image.Image:
    """Curves in many colours over a grid."""
    sheet = Sheet(720, 480)
    for k in range(12):
        sheet.line(np.array(((60, 30 + 36 * k), (700, 30 + 36 * k))), (215, 215, 215), 0.7)
        sheet.text(52, 30 + 36 * k, f"{1.1 - 0.2 * k:.1f}", 11, anchor="rm")
        sheet.line(np.array(((60 + 58 * k, 30), (60 + 58 * k, 426))), (215, 215, 215), 0.7)
        sheet.text(60 + 58 * k, 432, f"{5 * k}", 11, anchor="ma")
    t = np.linspace(0, 1, 600)
    for k in range(14):
        height = np.sin(6.3 * t * (1 + 0.13 * k) + k) * np.exp(-0.7 * t) + 0.05 * rng.normal(size=600).cumsum() / 4
        points = np.stack((60 + 638 * t, 228 - 150 * height), axis=1)
        sheet.line(points, tuple((255 * TAB20[k, :3]).astype(int).tolist()), 1.4)
    sheet.shape(np.array(((60, 30), (698, 30), (698, 426), (60, 426))), width=1)
    return sheet.finished()


def comic(rng: Rng) -> Image.Image:
    """Faces with outlines and flat colours."""
    sheet = Sheet(768, 512, (250, 240, 215))
    skins = ((250, 214, 180), (224, 172, 125), (160, 108, 72), (255, 226, 200))
    for k in range(12):
        x, y = 96 + 190 * (k % 4) + rng.normal(0, 6), 95 + 160 * (k // 4) + rng.normal(0, 6)
        coat = tuple(rng.integers(60, 240, 3).tolist())
        sheet.shape(blob(rng, x, y + 80, 62, 0.1), coat, width=3)
        sheet.shape(blob(rng, x, y - 12, 62, 0.2), tuple(rng.integers(20, 200, 3).tolist()), width=3)
        sheet.shape(arc(x, y, 48, 56), skins[int(rng.integers(4))], width=3)
        for side in (-1, 1):
            sheet.shape(arc(x + 18 * side, y - 12, 9, 12), WHITE, width=2)
            sheet.stroke(np.array(((x + 18 * side + rng.normal(0, 2), y - 10),)), np.array((7.0,)))
            brow = arc(x + 18 * side, y - 24, 13, 8, 0.58, 0.92)
            sheet.stroke(brow, np.linspace(1, 4, len(brow)))
        sheet.line(smooth(np.array(((x, y - 4), (x - 6, y + 14), (x + 3, y + 15)))), width=2)
        sheet.shape(arc(x, y + 28, rng.uniform(10, 24), rng.uniform(3, 12)), (190, 50, 50), width=2.5)
        for _ in range(14):
            at = arc(x, y - 8, 58, 56, 0.55, 0.95, 14)[int(rng.integers(14))]
            sheet.line(smooth(at + np.array(((0, 0), (3, 9), (-2, 18))) * rng.uniform(0.5, 1.3)), width=1.5)
    return sheet.finished()


def handwriting(rng: Rng) -> Image.Image:
    """Joined letters of a broad nib, in blue ink."""
    sheet = Sheet(800, 520, (253, 252, 247))
    for row in range(11):
        sheet.line(np.array(((30, 56 + 44 * row), (770, 56 + 44 * row))), (200, 215, 235), 0.7)
        x = 36.0
        while x < 720:
            letters = int(rng.integers(2, 9))
            steps = np.stack((rng.uniform(2.5, 6.5, 5 * letters), np.zeros(5 * letters)), axis=1).cumsum(0)
            tall = np.where(rng.random(5 * letters) < 0.12, 2.6, 1)
            heights = np.where(np.arange(5 * letters) % 2, -13 * tall, 0) + rng.normal(0, 1.5, 5 * letters)
            points = smooth(np.stack((x + steps[:, 0] - 0.25 * heights, 54 + 44 * row + heights), axis=1), 40)
            way = np.diff(points, axis=0, prepend=points[:1])
            widths = 1 + 1.6 * np.abs(np.sin(np.arctan2(way[:, 1], way[:, 0]) - 0.7))
            sheet.stroke(points, widths, (24, 36, 110))
            x = points[-1, 0] + 16
    return sheet.finished()


def town(rng: Rng) -> Image.Image:
    """A map: land, water, heights, roads with edges, names."""
    sheet = Sheet(800, 600, (242, 239, 228))
    for x, y in rng.uniform((0, 0), (800, 600), (9, 2)):
        sheet.shape(blob(rng, x, y, 90), (206, 229, 190), (150, 190, 140), 1)
    river = smooth(np.stack((np.linspace(-10, 810, 12), 300 + 60 * rng.normal(size=12)), axis=1))
    sheet.line(river, (110, 160, 205), 17)
    sheet.line(river, (170, 208, 236), 15)
    for _ in range(5):
        x, y = rng.uniform((60, 60), (740, 540))
        seed = int(rng.integers(1 << 30))
        for ring in range(8):
            sheet.shape(blob(np.random.default_rng(seed), x, y, 14 + 13 * ring), None, (190, 150, 110), 0.7)
    roads = [smooth(rng.uniform((0, 0), (800, 600), (5, 2))) for _ in range(16)]
    for k, road in enumerate(roads):
        sheet.line(road, (150, 120, 90), 7 if k > 11 else 4.4)
    for k, road in enumerate(roads):
        sheet.line(road, (252, 214, 120) if k > 11 else WHITE, 5 if k > 11 else 3)
    rail = smooth(rng.uniform((0, 0), (800, 600), (4, 2)), 60)
    sheet.line(rail, (90, 90, 90), 2)
    for point in rail[::3]:
        sheet.stroke(point[None], np.array((3.4,)), (90, 90, 90))
    for _ in range(46):
        x, y = rng.uniform((10, 10), (700, 580))
        sheet.text(x, y, WORDS[int(rng.integers(len(WORDS)))], int(rng.integers(9, 15)), (60, 50, 60))
    return sheet.finished()


def diagram(rng: Rng) -> Image.Image:
    """Rounded boxes of words, joined by curved arrows."""
    sheet = Sheet(800, 560)
    boxes = [
        (60 + 190 * i + rng.uniform(-14, 14), 44 + 96 * j + rng.uniform(-10, 10)) for i in range(4) for j in range(5)
    ]
    for _ in range(30):
        (a, b), (c, d) = (boxes[int(k)] for k in rng.choice(20, 2, replace=False))
        way = smooth(np.array(((a + 120, b + 22), (a + 160, b + 22), (c - 40, d + 22), (c, d + 22))), 20)
        ink = tuple((200 * TAB20[int(rng.integers(20)), :3]).astype(int).tolist())
        sheet.line(way, ink, 1.3)
        sheet.shape(np.array(((c, d + 22), (c - 9, d + 17), (c - 9, d + 27))), ink, None)
    for x, y in boxes:
        fill = tuple((255 - 60 * (1 - TAB20[int(rng.integers(20)), :3])).astype(int).tolist())
        box = tuple(FINE * v for v in (x, y, x + 120, y + 44))
        sheet.draw.rounded_rectangle(box, 9 * FINE, fill, (50, 60, 80), round(1.4 * FINE))
        words = [WORDS[int(k)][:16] for k in rng.integers(0, len(WORDS), 2)]
        for k, word in enumerate(words):
            sheet.text(x + 60, y + 6 + 16 * k, word, 12, (30, 30, 40), "ma")
    return sheet.finished()


def engraving(rng: Rng) -> Image.Image:
    """A landscape of lines that swell where it is dark."""
    sheet = Sheet(720, 540)
    x = np.linspace(0, 720, 1500)
    for row in range(86):
        y = 8 + 6.2 * row + 9 * np.sin(x / 60 + row / 9) + 4 * np.sin(x / 23 - row / 5)
        hill = np.exp(-(((x - 430) / 150) ** 2 + ((y - 260) / 120) ** 2))
        dark = 0.25 + 0.75 * np.abs(np.sin(x / 140 + row / 21)) * (1 - hill) + 0.4 * hill
        sheet.stroke(np.stack((x, y), axis=1), 0.5 + 3.2 * dark, (20, 20, 20))
    return sheet.finished()


def guilloche(rng: Rng) -> Image.Image:
    """Rosettes of thin lines in two inks, as on a banknote."""
    sheet = Sheet(640, 480, (247, 246, 236))
    t = np.linspace(0, 2 * np.pi, 3000)
    for k in range(12):
        r = 90 + 62 * np.sin(12 * t + k * 0.52) * np.cos(5 * t) + 6 * k
        sheet.line(np.stack((230 + r * np.cos(t), 240 + r * np.sin(t)), axis=1), (30, 90, 60), 0.8)
        wave = 240 + 190 * np.sin(t * 2 + 0.09 * k) * np.cos(t / 2)
        sheet.line(np.stack((20 + 600 * t / t[-1], wave), axis=1), (120, 40, 70), 0.7)
    return sheet.finished()


def tree(rng: Rng) -> Image.Image:
    """Branches that fork and thin out, and leaves, in ink."""
    sheet = Sheet(640, 640)

    def branch(x: float, y: float, angle: float, length: float, width: float) -> None:
        ends = np.array((x + length * np.cos(angle), y + length * np.sin(angle)))
        bend = (np.array((x, y)) + ends) / 2 + rng.normal(0, length / 12, 2)
        way = smooth(np.stack((np.array((x, y)), bend, ends)), 30)
        sheet.stroke(way, np.linspace(width, 0.72 * width, len(way)))
        if width < 1:
            leaf = arc(0, 0, 7, 3, n=20) @ np.array(((np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))))
            sheet.shape(leaf + ends, None, width=0.7)
            return
        for turn in (-0.5, 0.42) if rng.random() < 0.8 else (-0.6, 0.05, 0.6):
            branch(ends[0], ends[1], angle + turn + rng.normal(0, 0.15), length * rng.uniform(0.72, 0.86), 0.68 * width)

    branch(320, 630, -np.pi / 2, 120, 15)
    return sheet.finished()


def mesh(rng: Rng) -> Image.Image:
    """A wire frame of hills, light on dark."""
    sheet = Sheet(720, 480, (18, 24, 38))
    u, v = np.meshgrid(np.linspace(-3, 3, 44), np.linspace(-3, 3, 44))
    z = 1.3 * np.exp(-(u**2) - v**2) + 0.4 * np.sin(2 * u) * np.cos(1.5 * v)
    x, y = 360 + 78 * (u - v), 290 + 36 * (u + v) - 90 * z
    grid = np.stack((x, y), axis=2)
    for k in range(44):
        sheet.line(grid[k], (120, 220, 210), 0.9)
        sheet.line(grid[:, k], (230, 150, 120), 0.9)
    return sheet.finished()


DRAWINGS = (plan, chart, comic, handwriting, town, diagram, engraving, guilloche, tree, mesh)


def drawings() -> dict[str, Image.Image]:
    """All of them by name."""
    return {draw.__name__: draw(np.random.default_rng(1)) for draw in DRAWINGS}


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name, image in drawings().items():
        image.save(out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
