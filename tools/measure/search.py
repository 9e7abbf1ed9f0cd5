"""What the search for overlays costs where none is wanted: python -m tools.measure.search PICTURES...

Makes pictures that a search for screen content may be misled by of the photographs given, codes each with the default
effort and with effort 2, which does not search, in turns, and compares CPU seconds (one thread, model loaded, medians).
Exits with 1 where the default takes more than LIMIT times as long without an overlay in the end, or LIMIT_OVERLAY times
with one, or where it finds none and its file is not that of effort 2.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from vaecodec.bitstream import container
from vaecodec.codec.codec import Codec
from vaecodec.codec.defaults import EFFORT

LIMIT, LIMIT_OVERLAY = 1.5, 3.0  # times the CPU time of effort 2
PLAIN = 2
Pixels = NDArray[np.uint8]
Box = Image.Resampling.BOX
Cubic = Image.Resampling.BICUBIC


def through_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """4:2:0, as most JPEGs are."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return Image.open(buffer).convert("RGB")


def small(photo: Image.Image) -> Image.Image:
    """400 x 225, as pages on the web have them."""
    width, height = photo.size
    cut = min(height, width * 9 // 16)
    return through_jpeg(photo.crop((0, 0, width, cut)).resize((400, 225), Cubic), 85)


def smooth(photo: Image.Image) -> Image.Image:
    """Three megapixels with nothing sharp in them."""
    return through_jpeg(photo.resize((2048, 1536), Cubic).filter(ImageFilter.GaussianBlur(6)), 90)


def flat(photo: Image.Image) -> Image.Image:
    """The upper half a sky: one colour that goes over into another."""
    width, height = photo.size
    share = np.linspace(0, 1, height // 2)[:, None, None]
    sky = (1 - share) * np.array((90, 140, 210)) + share * np.array((190, 215, 235)) + np.zeros((1, width, 1))
    pixels = np.asarray(photo).copy()
    pixels[: len(sky)] = sky
    return through_jpeg(Image.fromarray(pixels), 50)


def enlarged(photo: Image.Image) -> Image.Image:
    """Every pixel of a JPEG four times, so that half the neighbours are equal."""
    part = through_jpeg(photo, 75).crop((0, 0, photo.width // 2, photo.height // 2))
    return part.resize((2 * part.width, 2 * part.height), Image.Resampling.NEAREST)


def gradient(photo: Image.Image) -> Image.Image:
    """The photograph's colours and nothing else."""
    return photo.resize((6, 4), Box).resize(photo.size, Cubic).filter(ImageFilter.GaussianBlur(4))


def framed(photo: Image.Image) -> Image.Image:
    """On white paper, through JPEG, as shops show what they sell."""
    page = Image.new("RGB", photo.size, "white")
    page.paste(photo.resize((photo.width // 2, photo.height // 2), Box), (photo.width // 4, photo.height // 4))
    return through_jpeg(page, 80)


def captioned(photo: Image.Image) -> Image.Image:
    """A photograph with a palette of four colours beneath it, sharp and thin: an overlay is wanted there."""
    pixels = np.asarray(photo).copy()
    cells = np.random.default_rng(1).integers(0, 4, (len(pixels) // 4, pixels.shape[1]))
    ink = np.array(((255, 255, 255), (20, 20, 30), (200, 30, 30), (255, 255, 255)), np.uint8)
    pixels[-len(cells) :] = ink[cells]
    return Image.fromarray(pixels)


KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "photograph": lambda photo: photo,
    "JPEG 90": lambda photo: through_jpeg(photo, 90),
    "JPEG 75": lambda photo: through_jpeg(photo, 75),
    "JPEG 50": lambda photo: through_jpeg(photo, 50),
    "small JPEG": small,
    "smooth 3-megapixel JPEG": smooth,
    "JPEG 50 with much sky": flat,
    "JPEG enlarged by nearest neighbours": enlarged,
    "gradient": gradient,
    "grey as RGB": lambda photo: through_jpeg(photo.convert("L").convert("RGB"), 90),
    "JPEG 80 on white": framed,
    "captioned": captioned,
}


def cpu_seconds(jobs: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Median of each job, in turns."""
    seconds: list[list[float]] = [[] for _ in jobs]
    for _ in range(repeats):
        for job, times in zip(jobs, seconds, strict=True):
            begun = time.process_time()
            job()
            times.append(time.process_time() - begun)
    return [statistics.median(times) for times in seconds]


def overlay_bytes(data: bytes) -> int:
    return sum(len(tile.overlay) for tile in container.parse(data).unpacked())


def compare(codec: Codec, pixels: Pixels, quality: float, repeats: int) -> tuple[str, bool]:
    """The columns of one picture, and whether it keeps to the limits."""
    plain, default = (codec.encode(pixels, quality, effort=e) for e in (PLAIN, EFFORT))
    jobs = [lambda e=e: codec.encode(pixels, quality, effort=e) for e in (PLAIN, EFFORT)]
    before, after = cpu_seconds(jobs, repeats)
    overlay = overlay_bytes(default)
    good = after <= (LIMIT_OVERLAY if overlay else LIMIT) * before and (bool(overlay) or default == plain)
    columns = f"{before:.2f} | {after:.2f} | {after / before:.2f} | {len(plain)} | {len(default)} | {overlay or 'none'}"
    return columns, good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of pictures to make of each")
    parser.add_argument("--quality", type=float, default=75)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    codec, failed = Codec(threads=1), []
    print(
        "| Picture | made of it | effort 2, s | default, s | ratio | effort 2, bytes | default, bytes | of it overlay |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for path in args.pictures:
        with Image.open(path) as image:
            photo = image.convert("RGB")
        for kind in args.kinds.split(","):
            pixels = np.asarray(KINDS[kind](photo))
            columns, good = compare(codec, pixels, args.quality, args.repeats)
            failed += [] if good else [f"{path.stem} ({kind})"]
            print(f"| {path.stem} | {kind} | {columns} |", flush=True)
    if failed:
        raise SystemExit("beyond the limits: " + ", ".join(failed))


if __name__ == "__main__":
    main()
