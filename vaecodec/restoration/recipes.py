"""What the commands do to a picture: each a small class that takes a Picture and gives the better one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from vaecodec.bitstream.limits import MAX_PIXELS
from vaecodec.bitstream.opening import load, open_picture
from vaecodec.errors import PictureError, UnsupportedError, VaecError
from vaecodec.model.weights import Weights
from vaecodec.pictures.exif import sentence
from vaecodec.pictures.picture import Picture
from vaecodec.restoration.cleaner import Cleaner
from vaecodec.restoration.denoiser import Denoiser
from vaecodec.restoration.jpeg import Jpeg
from vaecodec.restoration.noise import noise_level
from vaecodec.restoration.operators import Blur, Downsampling, Floats, Mask, Operator
from vaecodec.restoration.prior import Prior
from vaecodec.restoration.solver import denoise, restore

Progress = Callable[[float], None]
QUIET = 1.0  # levels of noise below which there is nothing to remove


class Models:
    """What recipes may use, on a device as PyTorch names it; each is made when it is first asked for."""

    def __init__(self, weights: Weights, device: str = "cpu") -> None:
        """Raises: VaecError where there is no such device."""
        self.weights, self.device = weights, device
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:  # by the kind of device
            raise VaecError(f"there is no device {device!r} ({str(error).splitlines()[0]})") from None

    @cached_property
    def prior(self) -> Prior:
        return Prior(self.weights, self.device)

    @cached_property
    def denoiser(self) -> Cleaner:
        """The one trained for this model; for a model without one the prior, which is slower and not as good."""
        try:
            return Denoiser(self.weights, self.device)
        except UnsupportedError:
            return self.prior


class Recipe(ABC):
    """Frozen and small, so that worker processes can be handed one."""

    pixel_bytes: ClassVar[int] = 180  # memory for each pixel; 10 megapixels took 50 for noise, 130 to 160 otherwise

    @abstractmethod
    def apply(
        self, models: Models, picture: Picture, data: bytes, progress: Progress | None = None
    ) -> tuple[Picture, list[str]]:
        """The better picture, and notes about it.

        Args: data: the file that the picture was read from. Raises: VaecError.
        """


@dataclass(frozen=True)
class Denoise(Recipe):
    """sigma: of the noise in 8-bit levels; None to measure it. fast: one pass, at a small loss."""

    sigma: float | None = None
    fast: bool = False
    pixel_bytes = 60

    def apply(
        self, models: Models, picture: Picture, data: bytes = b"", progress: Progress | None = None
    ) -> tuple[Picture, list[str]]:
        colours, weight = levels(picture)
        sigma = self.sigma if self.sigma is not None else noise_level(colours[..., : 3 if weight == 1 else 1])
        notes = [] if self.sigma is not None else [f"noise of {sigma:.1f} levels"]
        if sigma < QUIET:
            return picture, [*notes, "nothing to remove"]
        count = 1 if self.fast else None
        found = denoise(models.denoiser, colours, sigma * weight, count=count, progress=progress)
        return with_colours(picture, found), notes


@dataclass(frozen=True)
class Inpaint(Recipe):
    """mask: of a picture file that is white where pixels are missing; None: they are where the picture is clear."""

    mask: Path | None = None

    def apply(
        self, models: Models, picture: Picture, data: bytes = b"", progress: Progress | None = None
    ) -> tuple[Picture, list[str]]:
        missing = self.missing(picture)
        colours, _ = levels(picture)
        found = restore(models.prior, Mask(~missing), colours, progress=progress)
        done = with_colours(picture, np.where(missing[..., None], found, colours))
        if self.mask is None:
            done = replace(done, pixels=done.pixels[..., :-1])
        return done, [f"{100 * missing.mean():.1f} % filled in"]

    def missing(self, picture: Picture) -> NDArray[np.bool_]:
        """(H, W). Raises: VaecError where the mask is none for this picture."""
        if self.mask is None:
            if picture.pixels.shape[2] not in (2, 4):
                raise VaecError("no pixel is transparent: --mask says which are missing")
            return np.asarray(picture.pixels[..., -1] == 0)
        try:
            with self.mask.open("rb") as file, open_picture(file, MAX_PIXELS) as image:
                width, height = image.size
                if (width, height) == (picture.width, picture.height):
                    load(image)
                    return np.asarray(image.convert("L")) >= 128
        except Exception as error:  # Pillow's plugins raise all kinds of errors for bad bytes
            raise VaecError(f"the mask {self.mask} cannot be read ({sentence(error)})") from None
        raise VaecError(f"the mask is {width} x {height}, the picture {picture.width} x {picture.height}")


@dataclass(frozen=True)
class Undo(Recipe):
    """operator: how the picture was spoilt, as `parse_operator` takes it. noise: in 8-bit levels, besides."""

    operator: str
    noise: float = 0.0

    def apply(
        self, models: Models, picture: Picture, data: bytes = b"", progress: Progress | None = None
    ) -> tuple[Picture, list[str]]:
        colours, weight = levels(picture)
        operator = parse_operator(self.operator, data)
        found = restore(models.prior, operator, colours, self.noise * weight, progress=progress)
        if found.shape != colours.shape and picture.pixels.shape[2] in (2, 4):
            raise PictureError("a picture with transparency cannot be made larger")
        return with_colours(picture, found), []


@dataclass(frozen=True)
class Enhance(Recipe):
    """Noise away, then the tones stretched to the whole range (Pillow's `autocontrast`), colours kept.

    cutoff: per cent of the darkest and of the brightest pixels that may be clipped.
    """

    cutoff: float = 0.5
    pixel_bytes = 60

    def apply(
        self, models: Models, picture: Picture, data: bytes = b"", progress: Progress | None = None
    ) -> tuple[Picture, list[str]]:
        clean, notes = Denoise().apply(models, picture, data, progress)
        colours = clean.pixels if clean.pixels.shape[2] in (1, 3) else clean.pixels[..., :-1]
        image = Image.fromarray(colours[..., 0] if colours.shape[2] == 1 else colours)
        stretched = np.asarray(ImageOps.autocontrast(image, cutoff=self.cutoff, preserve_tone=True))
        pixels = clean.pixels.copy()
        pixels[..., : colours.shape[2]] = stretched.reshape(colours.shape)
        return replace(clean, pixels=pixels), notes


def parse_operator(text: str, data: bytes = b"") -> Operator:
    """blur:DEVIATION, motion:LENGTH,ANGLE, downsample:FACTOR, or jpeg, which reads its tables from the file `data`.

    Raises: VaecError where it says nothing sensible.
    """
    name, _, rest = text.partition(":")
    try:
        numbers = [float(part) for part in rest.split(",")] if rest else []
        if name == "blur" and len(numbers) == 1 and 0.3 <= numbers[0] <= 20:
            return Blur.gaussian(numbers[0])
        if name == "motion" and len(numbers) == 2 and 1 < numbers[0] <= 100:
            return Blur.motion(*numbers)
        if name == "downsample" and numbers in ([2.0], [3.0], [4.0]):
            return Downsampling(int(numbers[0]))
        if name == "jpeg" and not rest:
            with open_picture(BytesIO(data)) as image:
                return Jpeg.of(image)
    except (ValueError, OSError) as error:
        if isinstance(error, VaecError):
            raise
    raise VaecError(f"{text!r} is no operator: blur:1.5, motion:9,30, downsample:2 (to 4) or jpeg (of a JPEG file)")


def levels(picture: Picture) -> tuple[Floats, float]:
    """Colours (H, W, 3) of a picture, and what noise in it counts for: of grey made three colours, the square root of
    three, for it is the same in all of them."""
    pixels = picture.pixels.astype(np.float32)
    if pixels.shape[2] >= 3:
        return pixels[..., :3], 1.0
    return np.repeat(pixels[..., :1], 3, axis=2), float(np.sqrt(3))


def with_colours(picture: Picture, colours: Floats) -> Picture:
    """The picture with these colours (h, w, 3), as grey if it was; its transparency and metadata stay."""
    if picture.pixels.shape[2] < 3:
        colours = colours.mean(axis=2, keepdims=True)
    rounded = np.rint(colours).clip(0, 255).astype(np.uint8)
    if picture.pixels.shape[2] in (2, 4):
        rounded = np.concatenate((rounded, picture.pixels[..., -1:]), axis=2)
    return replace(picture, pixels=rounded)
