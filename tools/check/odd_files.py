"""What becomes of odd picture files: python -m tools.check.odd_files NAME=FOLDER... [--show WORD]

Every file below a folder that is named like a picture is encoded by the command, and what comes of it is decoded. Each
is then one of

* encoded: its size is that which Pillow says, and its pixels, where Pillow knows them as 8 bits, are alike;
* refused: with a sentence;
* wrong: all else. It has no result, has another size or other pixels, or Pillow loads what is called damaged.

Printed are tables of the numbers by folder and of the sentences, then the wrong files; the exit code is 1 if there are
any. --show: also all files whose sentence or notes hold this word.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vaecodec.trees import PICTURES

MORE = {  # endings of what Pillow reads, or nobody, besides those that `encode -r` takes
    *(".ico", ".cur", ".icns", ".pcx", ".dcx", ".psd", ".sgi", ".rgb", ".ras", ".xbm", ".xpm", ".dds", ".blp", ".fli"),
    *(
        ".flc",
        ".im",
        ".msp",
        ".spider",
        ".fits",
        ".eps",
        ".wmf",
        ".emf",
        ".pfm",
        ".exr",
        ".hdr",
        ".svg",
        ".xcf",
        ".ani",
    ),
    *(".cr2", ".dng", ".iiq", ".btf", ".jps", ".j2c", ".jpx", ".jpc", ".pam", ".wbmp", ".gd", ".gd2", ".bpg", ".flif"),
    *(".dcm", ".pcd", ".pict", ".miff", ".djvu", ".fpx", ".bufr", ".grib", ".hdf5", ".mic", ".gbr"),
}
QUALITY, ALIKE = 90, 20.0  # of files; dB
AT_A_TIME, SECONDS = 50, 1200  # files for one process, and how long it may take
OTHER_COLOURS = (
    "CMYK",
    "are converted to sRGB",
    "are stretched",
    "32-bit samples",
    "JPEG XL",
)  # notes: Pillow's differ
FLOATING = ("F", "I", "LAB", "CMYK")  # modes that Pillow does not make the same of


@dataclass
class Outcome:
    """Of one file. kind: encoded, refused or wrong; why: a sentence, or what is wrong."""

    path: Path
    kind: str
    why: str = ""
    notes: tuple[str, ...] = ()


def odd_files(folder: Path) -> list[Path]:
    """All below it that are named like pictures."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES | MORE and path.is_file())


def command(*arguments: object) -> list[dict[str, Any]]:
    """What the command says in JSON. Raises: RuntimeError where it crashes."""
    line = [sys.executable, "-m", "vaecodec", *map(str, arguments), "--json", "--threads", "1"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS)
    if "Traceback" in done.stderr or done.returncode not in (0, 1, 3, 4, 5):
        print(done.stderr[-2000:], file=sys.stderr)
    return [json.loads(text) for text in done.stdout.splitlines()]


def outcomes(paths: list[Path]) -> Iterator[Outcome]:
    """What becomes of some files. They get names of their own, as a.gif and a.png would both become a.vaec."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        links = {folder / f"{number:04}{path.suffix}": path for number, path in enumerate(paths)}
        for link, path in links.items():
            link.symlink_to(path.resolve())
        said = {
            Path(each["input"]): each for each in command("encode", *links, "-o", f"{folder}/coded/", "-q", QUALITY)
        }
        coded = [Path(each["output"]) for each in said.values() if each["ok"]]
        back = command("decode", *coded, "-o", f"{folder}/back/") if coded else []
        decoded = {Path(each["output"]).stem for each in back if each["ok"]}
        for link, path in links.items():
            yield outcome(path, said.get(link), folder / "back" / f"{link.stem}.png", link.stem in decoded)


def outcome(path: Path, said: dict[str, Any] | None, back: Path, decoded: bool) -> Outcome:
    """Of what `encode` said of a file."""
    if said is None:
        return Outcome(path, "wrong", "no result")
    if not said["ok"]:
        wronged = "damaged" in said["error"] and loads(path)
        return Outcome(path, "wrong" if wronged else "refused", said["error"])
    notes = tuple(said["notes"])
    if not decoded:
        return Outcome(path, "wrong", "what was encoded cannot be decoded", notes)
    fault = difference(path, back, notes)
    return Outcome(path, "wrong" if fault else "encoded", fault, notes)


def loads(path: Path) -> bool:
    """Whether Pillow does, without ado."""
    try:
        with Image.open(path) as image:
            image.load()
    except Exception:
        return False
    return True


def difference(path: Path, back: Path, notes: tuple[str, ...]) -> str:
    """What is wrong with the picture that came back; "" for nothing that can be seen."""
    try:
        with Image.open(path) as image:
            image.load()
            deep = image.mode.startswith("I;16")
            wanted = (np.asarray(image) / 257).astype(np.uint8) if deep else None
            known = image.mode not in FLOATING and not any(word in note for note in notes for word in OTHER_COLOURS)
            known &= not (deep and "transparency" in image.info)
            shown = Image.fromarray(wanted) if wanted is not None else image.copy()
    except Exception as error:
        return "" if "JPEG XL" in " ".join(notes) else f"Pillow does not load it: {error!r}"
    with Image.open(back) as other:
        if other.size != shown.size:
            return f"its size is {other.size}, not {shown.size}"
        found = psnr(on_grey(other), on_grey(shown)) if known else np.inf
    return "" if found >= ALIKE else f"{found:.1f} dB"


def on_grey(image: Image.Image) -> np.ndarray:
    """(H, W, 3) float32 of what shows on grey."""
    image = image.convert("LA") if image.mode == "La" else image  # there is no other way from it
    pixels = np.asarray(image.convert("RGBA")).astype(np.float32)
    alpha = pixels[..., 3:] / 255
    return pixels[..., :3] * alpha + 128 * (1 - alpha)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.square(one - other).mean(), 1e-9)))


def general(sentence: str) -> str:
    """A sentence without what belongs to one file alone: numbers, what is in brackets, and lists."""
    return re.sub(r"\d+", "N", re.sub(r" \(.*\)|(?<=kept): .*|(?<=added to it): .*", "", sentence))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--show", metavar="WORD")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of Pillow
    Image.init()  # or TGA, if it is met first, takes icons for its own
    found: dict[str, list[Outcome]] = {}
    for each in options.folders:
        name, _, folder = each.rpartition("=")
        paths = odd_files(Path(folder))
        parts = [paths[at : at + AT_A_TIME] for at in range(0, len(paths), AT_A_TIME)]
        found[name or folder] = [result for part in parts for result in outcomes(part)]
    every = [result for results in found.values() for result in results]
    print("| files of | files | encoded | refused | wrong |\n| --- | ---: | ---: | ---: | ---: |")
    for name, results in [*found.items(), ("all", every)]:
        counted = Counter(result.kind for result in results)
        print(f"| {name} | {len(results)} | {counted['encoded']} | {counted['refused']} | {counted['wrong']} |")
    print("\n| refused because | files |\n| --- | ---: |")
    for sentence, number in Counter(general(r.why) for r in every if r.kind == "refused").most_common():
        print(f"| {sentence} | {number} |")
    print("\n| encoded with the note | files |\n| --- | ---: |")
    noted = Counter(note for r in every if r.kind == "encoded" for note in {general(note) for note in r.notes})
    for note, number in noted.most_common():
        print(f"| {note} | {number} |")
    wrong = [result for result in every if result.kind == "wrong"]
    for result in wrong:
        print(f"wrong: {result.path}: {result.why}")
    if options.show:
        for result in every:
            if options.show in " ".join((result.why, *result.notes)):
                print(f"{result.path}: {result.why} {'; '.join(result.notes)}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
