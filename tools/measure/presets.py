"""What the presets of `encode` give: python -m tools.measure.presets PICTURES...

Means over the pictures of bits per pixel, PSNR and SSIMULACRA2 (by the package's own metric), and the median processor
time to encode one, the model being loaded, on one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from tools.train.data import load, psnr
from vaecodec import Codec, Picture
from vaecodec.cli.presets import PRESETS
from vaecodec.codec.defaults import QUALITY
from vaecodec.metrics.ssimulacra2 import ssimulacra2


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    pictures = [load(path) for path in p.parse_args().pictures]
    codec = Codec(threads=1)
    codec.encode(pictures[0])
    print("| preset | bpp | PSNR, dB | SSIMULACRA2 | encode, s |\n| --- | ---: | ---: | ---: | ---: |")
    for name, preset in {**PRESETS, "none": {"quality": QUALITY}}.items():
        options = {option: value for option, value in preset.items() if option != "strip"}  # there is nothing to strip
        figures, times = [], []
        for pixels in pictures:
            start = time.process_time()
            data = codec.encode(Picture(pixels), **options)
            times.append(time.process_time() - start)
            decoded = codec.decode(data).pixels
            figures.append((8 * len(data) / pixels[..., 0].size, psnr(decoded, pixels), ssimulacra2(pixels, decoded)))
        bpp, db, score = np.mean(figures, axis=0)
        print(f"| `{name}` | {bpp:.2f} | {db:.1f} | {score:.0f} | {statistics.median(times):.2f} |", flush=True)


if __name__ == "__main__":
    main()
