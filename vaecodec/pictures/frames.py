"""Files of several pictures: animations, pages, and the views of a camera. One of them is taken."""

from __future__ import annotations

from PIL import Image

from vaecodec.errors import PictureError

LAYERED = ("PSD",)  # whose "frames" are layers: Pillow gives them merged first


def chosen(count: int, number: int | None) -> tuple[int, list[str]]:
    """Which of so many pictures, from 0, is the one of a number from 1; None: the first, with a note on the others.

    Raises: PictureError where it is not there.
    """
    if number is None:
        note = f"the first of {count} pictures in the file is kept; --frame takes another"
        return 0, [note] if count > 1 else []
    if not 1 <= number <= count:
        has = "one picture" if count == 1 else f"{count} pictures"
        raise PictureError(f"there is no picture {number} for --frame: the file has {has}")
    return number - 1, []


def count_of(image: Image.Image) -> int:
    """How many pictures an opened image has."""
    return 1 if image.format in LAYERED else int(getattr(image, "n_frames", 1))


def take_frame(image: Image.Image, number: int | None) -> list[str]:
    """Turn an image that is not loaded to one of its pictures: see `chosen`. Returns notes."""
    place, notes = chosen(count_of(image), number)
    if place:
        image.seek(place)
    return notes
