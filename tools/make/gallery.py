"""The pictures of docs/guide/restoration.md and docs/guide/vae.md: python -m tools.make.gallery docs/guide

Spoils tests/data/kodim23.png in several ways, runs the commands on the results, and sets before and after side by side;
and draws samples.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SOURCE = Path(__file__).resolve().parents[2] / "tests" / "data" / "kodim23.png"
SHOWN = (190, 70, 190 + 380, 70 + 230)  # left, top, right, bottom


def vaecodec(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "vaecodec", *map(str, arguments)], check=True, capture_output=True)


def beside(before: Path, after: Path, target: Path) -> None:
    parts = []
    for path in (before, after):
        image = Image.open(path).convert("RGB")
        scale = image.width / Image.open(SOURCE).width  # of what was made larger, or is smaller
        box = tuple(round(scale * v) for v in SHOWN)
        part = image.crop(box)  # type: ignore[arg-type]
        parts.append(part if scale >= 1 else part.resize((380, 230), Image.Resampling.NEAREST))
    height = max(p.height for p in parts)
    both = Image.new("RGB", (2 * parts[1].width + 8, height), "white")
    both.paste(parts[0].resize(parts[1].size, Image.Resampling.NEAREST), (0, 0))
    both.paste(parts[1], (parts[1].width + 8, 0))
    both.save(target, quality=88)


def spoil(folder: Path) -> dict[str, tuple[Path, list[object]]]:
    """Of each picture its name, the spoilt file, and the command that mends it."""
    x = np.asarray(Image.open(SOURCE).convert("RGB")).astype(np.float64)
    rng = np.random.default_rng(0)
    made = {name: folder / f"{name}.png" for name in ("noise", "few", "letters", "blur", "small", "dull")}

    def save(name: str, pixels: np.ndarray) -> Path:
        Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8)).save(made[name])
        return made[name]

    def masked(name: str, missing: np.ndarray) -> list[object]:
        save(name, x * ~missing[..., None])
        Image.fromarray(missing.astype(np.uint8) * np.uint8(255)).save(folder / f"{name}-mask.png")
        return ["inpaint", "--mask", folder / f"{name}-mask.png"]

    drawing = Image.new("L", (x.shape[1], x.shape[0]))
    font = ImageFont.load_default(22)
    for row in range(0, x.shape[0], 34):
        ImageDraw.Draw(drawing).text((0, row), "what stood behind the letters " * 4, fill=255, font=font)
    jpeg = folder / "jpeg.jpg"
    Image.fromarray(x.astype(np.uint8)).save(jpeg, quality=10)
    smeared = sum(np.roll(x, k, axis=1) for k in range(-4, 5)) / 9
    halves = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, 3).mean(axis=(1, 3))
    return {
        "denoise": (save("noise", x + rng.normal(0, 25, x.shape)), ["denoise"]),
        "inpaint": (made["letters"], masked("letters", np.asarray(drawing) > 0)),
        "sparse": (made["few"], masked("few", rng.random(x.shape[:2]) < 0.8)),
        "jpeg": (jpeg, ["restore", "--operator", "jpeg"]),
        "motion": (save("blur", smeared + rng.normal(0, 1, x.shape)), ["restore", "--operator", "motion:9,0"]),
        "larger": (save("small", halves), ["restore", "--operator", "downsample:2"]),
        "enhance": (save("dull", 90 + x * 0.35 + rng.normal(0, 6, x.shape)), ["enhance"]),
    }


def main() -> None:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(__doc__)
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        for what, (spoilt, command) in spoil(Path(name)).items():
            mended = Path(name, f"{what}-mended.png")
            vaecodec(*command, spoilt, mended)
            beside(spoilt, mended, target / f"restoration-{what}.jpg")
            print(what, flush=True)
        samples(Path(name), target / "vae-samples.jpg")


def samples(folder: Path, target: Path) -> None:
    """Three qualities beside each other; above drawn from nothing, below with the z of the picture."""
    sheet = Image.new("RGB", (3 * 384, 2 * 256))
    options: list[list[object]] = [["--size", "384x256"], ["--like", SOURCE]]
    for column, quality in enumerate((20, 50, 80)):
        for row, given in enumerate(options):
            drawn = folder / f"sample-{quality}-{row}.png"
            vaecodec("sample", *given, "--seed", 1, "-q", quality, drawn)
            with Image.open(drawn) as image:
                part = image if image.width == 384 else image.resize((384, 256), Image.Resampling.LANCZOS)
                sheet.paste(part, (384 * column, 256 * row))
    sheet.save(target, quality=88)


if __name__ == "__main__":
    main()
