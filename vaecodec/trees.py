"""What lies in folders, here or elsewhere: which files are meant, and where in a tree of outputs they belong."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from vaecodec.remote import Remote

PICTURES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
    | {".jp2", ".j2k", ".jxl", ".bmp", ".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".qoi", ".gif"}
)


def is_vaec(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() == ".vaec"


def is_picture(path: Path) -> bool:
    """By its name; hidden files are not meant."""
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def wanted(folder: Path, is_input: Callable[[Path], bool], left: Counter[str]) -> Iterator[Path]:
    """The files in a folder that are meant; counts those that are left, by the reason. Raises: OSError, VaecError."""
    for path in below(folder, left):
        if why := left_because(path, is_input):
            left[why] += 1
        else:
            yield path


def below(folder: Path, left: Counter[str]) -> Iterator[Path]:
    """What is in a folder, at any depth; counts links to folders."""
    return folder.below() if isinstance(folder, Remote) else walked(folder, left)


def place_in(folder: Path, path: Path) -> Path:
    """Where in a folder a file lies, without what leads out of it: stores and archives have names with `..` in them."""
    return Path(*(part for part in path.parts[len(folder.parts) :] if part != os.pardir))


def walked(path: Path, left: Counter[str]) -> Iterator[Path]:
    """What is in a folder of this machine, at any depth; counts links to folders."""
    for folder, folders, names in os.walk(path):  # does not follow those links, which may lead round in circles
        left[LINKED] += sum(os.path.islink(Path(folder, name)) for name in folders)
        yield from (Path(folder, name) for name in names)


HIDDEN, MADE, OTHER, NO_FILE, LINKED = "hidden", ".vaec already", "with other endings", "no file", "link to a folder"


def left_because(path: Path, is_input: Callable[[Path], bool]) -> str:
    """Why a file found in a folder is not taken; "" for one that is."""
    if is_input(path):
        return "" if isinstance(path, Remote) or os.path.isfile(path) else NO_FILE
    if path.name.startswith("."):
        return HIDDEN
    return MADE if is_vaec(path) else OTHER


def because(left: Counter[str]) -> str:
    """How many were left for what reason, behind a colon; "" for none."""
    counted = [f"{number} {why}" for why, number in left.most_common() if number]
    return f": {', '.join(counted)}" if counted else ""
