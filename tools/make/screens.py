"""Draw 44 screens, text pages, charts and drawings for tools/measure/screens.py: python -m tools.make.screens OUT

Everything is made here, from a fixed seed, with Pillow and matplotlib and its DejaVu fonts; one photograph (Kodak 23,
free to use) stands in some of the screens.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from PIL import Image, ImageDraw, ImageFilter, ImageFont

ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "tests/data/kodim23.png"
WORDS = (ROOT / "bitstream_spec.md").read_text().replace("|", " ").split()
CODE = (ROOT / "vaecodec/entropy/rans.py").read_text().splitlines()
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
TAB20 = plt.colormaps["tab20"](np.arange(20))
Rng = np.random.Generator


def font(size: int, family: str = "DejaVu Sans") -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_manager.findfont(family), size)


def page(
    size: tuple[int, int], ink: tuple, paper: tuple, pixels: int, family: str, columns: int = 1, seed: int = 0
) -> Image.Image:
    """Running text in columns."""
    image = Image.new("RGB", size, paper)
    draw, face = ImageDraw.Draw(image), font(pixels, family)
    width = size[0] // columns
    at = seed * 97
    for column in range(columns):
        for y in range(20, size[1] - 2 * pixels, round(1.4 * pixels)):
            line = ""
            while face.getlength(line + WORDS[at % len(WORDS)]) < width - 40:
                line += WORDS[at % len(WORDS)] + " "
                at += 1
            draw.text((column * width + 20, y), line, ink, face)
    return image


def text_pages() -> dict[str, Image.Image]:
    a4 = (800, 1000)
    smooth = page((1600, 1600), BLACK, WHITE, 30, "DejaVu Serif", seed=5)
    pages = {
        "small": page(a4, BLACK, WHITE, 11, "DejaVu Sans"),
        "serif": page(a4, (30, 30, 30), (250, 248, 240), 15, "DejaVu Serif", seed=1),
        "large": page(a4, BLACK, WHITE, 26, "DejaVu Serif", seed=2),
        "columns": page(a4, BLACK, WHITE, 12, "DejaVu Serif", 2, seed=3),
        "dark": page(a4, (210, 210, 220), (24, 26, 32), 14, "DejaVu Sans", seed=4),
        "red": page(a4, (200, 20, 20), WHITE, 14, "DejaVu Sans", seed=6),
        "half-size": smooth.resize(a4, Image.Resampling.LANCZOS),
        "bilevel": page(a4, BLACK, WHITE, 13, "DejaVu Sans", seed=7).convert("1").convert("RGB"),
        "scan": page(a4, (40, 40, 50), (245, 243, 235), 16, "DejaVu Serif", seed=8).rotate(
            1.3, Image.Resampling.BICUBIC, fillcolor=(245, 243, 235)
        ),
    }
    return pages


def code(size: tuple[int, int], paper: tuple, colours: list[tuple], pixels: int) -> Image.Image:
    """An editor: words of a source file, coloured by what they are."""
    image = Image.new("RGB", size, paper)
    draw, face = ImageDraw.Draw(image), font(pixels, "DejaVu Sans Mono")
    draw.rectangle((0, 0, 3 * pixels, size[1]), tuple((c * 9 + 128) // 10 for c in paper))
    for row, line in enumerate(CODE[: size[1] // round(1.35 * pixels)]):
        y, x = row * round(1.35 * pixels), 3.5 * pixels
        draw.text((6, y), f"{row + 1:3}", colours[0], face)
        for word in line.replace(" ", " \0").split("\0"):
            draw.text((x, y), word, colours[hash_of(word) % len(colours)], face)
            x += face.getlength(word)
    return image


def hash_of(word: str) -> int:
    return sum(map(ord, word))


def terminals() -> dict[str, Image.Image]:
    dark = [(130, 130, 130), (230, 230, 230), (90, 180, 255), (250, 190, 90), (120, 220, 130), (240, 110, 140)]
    light = [(150, 150, 150), (20, 20, 20), (0, 60, 180), (160, 60, 0), (0, 110, 30)]
    return {
        "editor-dark": code((1024, 768), (30, 32, 40), dark, 14),
        "editor-light": code((1024, 768), (255, 255, 255), light, 13),
        "terminal": code((800, 600), (0, 0, 0), [(0, 255, 70)], 15),
        "log": code((1280, 800), (253, 246, 227), light, 11),
    }


def figure(draw: Callable[[Axes, Rng], object], projection: str | None = None, dark: bool = False) -> Image.Image:
    with plt.style.context("dark_background" if dark else "default"):
        canvas = plt.figure(figsize=(8, 6), dpi=100)
        axes = canvas.add_subplot(projection=projection)
        draw(axes, np.random.default_rng(7))
        axes.set_title("Made for testing")
        canvas.canvas.draw()
        pixels = np.asarray(canvas.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]
        plt.close(canvas)
    return Image.fromarray(pixels)


def charts() -> dict[str, Image.Image]:
    t = np.linspace(0, 10, 400)
    u, v = np.meshgrid(np.linspace(-3, 3, 80), np.linspace(-3, 3, 80))
    wave = np.sin(u * v) + np.cos(u**2)

    def lines(ax: Axes, rng: Rng) -> None:
        for k in range(6):
            ax.plot(t, np.sin(t + k) + 0.1 * k * t, label=f"series {k}")
        ax.legend()
        ax.grid()

    def dots(ax: Axes, rng: Rng) -> None:
        ax.scatter(rng.normal(size=900), rng.normal(size=900), c=rng.uniform(size=900), s=18)

    return {
        "lines": figure(lines),
        "lines-dark": figure(lines, dark=True),
        "noise": figure(lambda ax, rng: [ax.plot(rng.normal(size=300).cumsum(), lw=0.8) for _ in range(12)]),
        "bars": figure(lambda ax, rng: ax.bar(range(20), rng.uniform(1, 9, 20), color=TAB20)),
        "scatter": figure(dots),
        "heatmap": figure(lambda ax, rng: ax.imshow(rng.uniform(size=(24, 32)), cmap="viridis")),
        "image": figure(lambda ax, rng: ax.imshow(wave, cmap="magma", interpolation="bilinear")),
        "contours": figure(lambda ax, rng: ax.contourf(u, v, wave, 12, cmap="coolwarm")),
        "pie": figure(lambda ax, rng: ax.pie(rng.uniform(1, 5, 7), labels=list("abcdefg"), autopct="%.1f%%")),
        "histogram": figure(lambda ax, rng: [ax.hist(rng.normal(k, 1, 4000), 60, alpha=0.5) for k in range(3)]),
        "polar": figure(lambda ax, rng: ax.fill(t, np.abs(np.sin(3 * t)), alpha=0.4), "polar"),
        "surface": figure(lambda ax, rng: ax.plot_surface(u, v, wave, cmap="viridis"), "3d"),  # type: ignore[attr-defined]
        "arrows": figure(lambda ax, rng: ax.quiver(u[::5, ::5], v[::5, ::5], wave[::5, ::5], u[::5, ::5])),
    }


def window(rng: Rng, dark: bool, photo: bool, size: tuple[int, int] = (1024, 640)) -> Image.Image:
    """A window with a title bar, buttons, a table, and perhaps a photograph."""
    paper, ink, bar = ((40, 42, 48), (225, 225, 230), (60, 63, 72)) if dark else (WHITE, (40, 40, 40), (232, 234, 240))
    image = Image.new("RGB", size, paper)
    draw, face = ImageDraw.Draw(image), font(14)
    draw.rectangle((0, 0, size[0], 36), bar)
    draw.text((14, 9), "vaecodec - an invented program", ink, face)
    for k, colour in enumerate(((235, 90, 80), (240, 190, 60), (80, 200, 100))):
        draw.ellipse((size[0] - 80 + 24 * k, 11, size[0] - 66 + 24 * k, 25), colour)
    for k in range(6):
        box = (16, 60 + 52 * k, 176, 98 + 52 * k)
        draw.rounded_rectangle(box, 8, tuple(rng.integers(60, 220, 3).tolist()), outline=ink)
        draw.text((34, 70 + 52 * k), WORDS[int(rng.integers(len(WORDS)))], WHITE, face)
    left, right = 200, size[0] - (360 if photo else 20)
    for row in range(20):
        y = 56 + 28 * row
        if row % 2:
            draw.rectangle((left, y, right, y + 27), tuple((9 * p + b) // 10 for p, b in zip(paper, bar, strict=True)))
        for x in range(left + 8, right - 90, 110):
            draw.text((x, y + 5), f"{rng.normal() * 100:.2f}", ink, face)
    if photo:
        with Image.open(PHOTO) as picture:
            image.paste(picture.convert("RGB").resize((336, 224), Image.Resampling.LANCZOS), (size[0] - 348, 70))
        draw.text((size[0] - 348, 304), "a photograph", ink, face)
    return image


def gradient(size: tuple[int, int], a: tuple, b: tuple) -> Image.Image:
    t = np.linspace(0, 1, size[1])[:, None, None] * 0.7 + np.linspace(0, 0.3, size[0])[None, :, None]
    return Image.fromarray(np.round(np.array(a) * (1 - t) + np.array(b) * t).astype(np.uint8))


def screens(rng: Rng) -> dict[str, Image.Image]:
    desktop = gradient((1280, 720), (30, 60, 120), (190, 120, 160))
    shadow = Image.new("L", desktop.size, 0)
    ImageDraw.Draw(shadow).rectangle((210, 90, 1130, 660), 140)
    shade = shadow.filter(ImageFilter.GaussianBlur(14))
    desktop.paste(BLACK, mask=shade)
    desktop.paste(window(rng, False, True, (900, 560)), (200, 80))
    slide = gradient((1024, 576), (250, 250, 255), (200, 215, 240))
    draw = ImageDraw.Draw(slide)
    for k, line in enumerate(("A learned image codec", "decodes to the same bytes", "everywhere")):
        draw.text((80, 90 + 90 * k), line, (20, 40, 90), font(52))
    article = page((900, 900), (34, 34, 34), WHITE, 17, "DejaVu Serif", seed=9)
    with Image.open(PHOTO) as picture:
        article.paste(picture.convert("RGB").crop((60, 40, 660, 440)), (150, 250))
    return {
        "window": window(rng, False, False),
        "window-dark": window(rng, True, False),
        "window-photo": window(rng, False, True),
        "window-dark-photo": window(rng, True, True),
        "desktop": desktop,
        "slide": slide,
        "article": article,
    }


def fractal() -> Image.Image:
    y, x = np.mgrid[-1.2:1.2:600j, -1.6:1.6:800j]
    z, n = x + 1j * y, np.zeros(x.shape)
    for _ in range(60):
        inside = np.abs(z) < 4
        z[inside] = z[inside] ** 2 - 0.78 + 0.14j
        n += inside
    return Image.fromarray((plt.cm.twilight(n / 60)[..., :3] * 255).astype(np.uint8))


def shapes(rng: Rng, smooth: bool, outline: bool) -> Image.Image:
    n = 3 if smooth else 1
    image = Image.new("RGB", (800 * n, 600 * n), (240, 235, 220))
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        points = rng.uniform((0, 0), (800 * n, 600 * n)) + rng.normal(0, 60 * n, (4, 2))
        colour = tuple(rng.integers(0, 256, 3).tolist())
        line = BLACK if outline else colour
        if rng.random() < 0.5:
            draw.polygon([tuple(p) for p in points], colour, line, 2 * n)
        else:
            draw.ellipse((*np.sort(points[:2], axis=0).ravel(),), colour, line, 2 * n)
    return image.resize((800, 600), Image.Resampling.LANCZOS)


def drawings(rng: Rng) -> dict[str, Image.Image]:
    curves = Image.new("RGB", (1600, 1200), WHITE)
    draw = ImageDraw.Draw(curves)
    t = np.linspace(0, 60, 6000)
    draw.line(list(zip(800 + 560 * np.cos(t) * np.cos(0.31 * t), 600 + 560 * np.sin(0.97 * t))), BLACK, 2)  # noqa: B905
    sprite = rng.integers(0, 6, (20, 13))
    sprite = np.concatenate((sprite, sprite[:, ::-1]), axis=1)
    palette = rng.integers(0, 256, (6, 3)).astype(np.uint8)
    i, j = np.mgrid[:512, :512]
    ramp = np.clip((i + j) / 1022 + rng.uniform(-0.5, 0.5, i.shape), 0, 1).round()
    maze = Image.fromarray((rng.random((75, 100)) < 0.5).astype(np.uint8) * 255)
    return {
        "curves": curves.resize((800, 600), Image.Resampling.LANCZOS),
        "shapes": shapes(rng, True, False),
        "cartoon": shapes(rng, True, True),
        "polygons": shapes(rng, False, False),
        "pixel-art": Image.fromarray(palette[sprite].repeat(24, 0).repeat(24, 1)),
        "checkerboard": Image.fromarray(((i + j) % 2 * 255).astype(np.uint8)).convert("RGB"),
        "dither": Image.fromarray((ramp * 255).astype(np.uint8)).convert("RGB"),
        "gradient": gradient((800, 600), (255, 120, 0), (20, 0, 90)),
        "maze": maze.resize((800, 600), Image.Resampling.NEAREST).convert("RGB"),
        "fractal": fractal(),
        "rainbow": Image.fromarray(np.stack((i // 2, j // 2, (i ^ j) // 2), -1).astype(np.uint8)),
    }


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    kinds = {"text": text_pages(), "code": terminals(), "chart": charts(), "screen": screens(rng)}
    kinds["drawing"] = drawings(rng)
    for kind, pictures in kinds.items():
        for name, image in pictures.items():
            image.save(out / f"{kind}-{name}.png", optimize=True)
    print(f"{sum(map(len, kinds.values()))} pictures in {out}")


if __name__ == "__main__":
    main()
