"""What is done to one file, from bytes to bytes: by a command, a worker process, another machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Protocol

from vaecodec import files
from vaecodec.bitstream import container, limits
from vaecodec.bitstream.chunks import SIGNATURE
from vaecodec.bitstream.header import Header
from vaecodec.bitstream.limits import MAX_PIXELS
from vaecodec.codec.defaults import EFFORT, EFFORTS, QUALITY
from vaecodec.console import human, loading
from vaecodec.errors import TruncatedError
from vaecodec.extras import need_torch
from vaecodec.outcomes import Done
from vaecodec.pictures import PNG_LEVEL
from vaecodec.trees import is_picture, is_vaec

if TYPE_CHECKING:
    from vaecodec import vae
    from vaecodec.bitstream.container import File
    from vaecodec.codec.codec import Codec
    from vaecodec.codec.ratecontrol import Target
    from vaecodec.pictures.picture import Picture
    from vaecodec.restoration.recipes import Recipe

Progress = Callable[[float], None]
# Memory for each pixel of a picture that is coded: `tools/measure/huge.py --format png` measured 7 to 8 from 4 to 30
# megapixels (2026-11-29).
PIXEL_BYTES = 12
REFINED_BYTES = 100  # the same where an effort refines: 360 MB more for 2 megapixels, 740 MB for 8


class CodecOnDemand:
    """Makes the Codec when it is first asked for: a bad argument or picture need not wait for torch.

    quiet: nothing is shown meanwhile.
    """

    def __init__(self, threads: int | None, quiet: bool) -> None:
        self.threads, self.quiet = threads, quiet
        self.codec: Codec | None = None

    def __call__(self) -> Codec:
        if self.codec is None:
            with loading(self.quiet):
                from vaecodec.codec.codec import Codec

                self.codec = Codec(threads=self.threads)
        return self.codec


Step = Callable[[Path, CodecOnDemand, Progress | None], Done]  # to a target; raises VaecError


class Work(Protocol):
    """What is done to each file. ending: of outputs, by default. pixel_bytes: memory for each pixel of a picture,
    besides a model's."""

    ending: ClassVar[str]

    @property
    def pixel_bytes(self) -> int: ...

    @property
    def needs_torch(self) -> bool: ...

    def open(self, source: Path | bytes) -> Step:
        """Read a file, and look at what can be seen without the model; what is left to do. Raises: VaecError, OSError.

        source: its path, or all of it.
        """

    def pixels(self, source: Path) -> int:
        """How many a file has, by a look at its beginning; 0 where that does not tell."""

    def takes(self, path: Path) -> bool:
        """Whether a file that is found in a folder is meant, by its name."""


@dataclass(frozen=True)
class Encode:
    """A picture file to a `.vaec` file.

    rate: a quality, or a Target. strip: see `metadata.stripped`. metadata: by Picture field, instead of the file's own.
    preview, progressive, tune: see `Codec.encode`. recipe: what is done to the picture before, on a device as PyTorch
    names it. frame: which picture of a file, from 1; None: the first, with a note.
    """

    rate: float | Target = QUALITY
    effort: int = EFFORT
    max_pixels: int = MAX_PIXELS
    strip: str = "none"
    metadata: dict[str, bytes] = field(default_factory=dict)
    preview: bool | None = None
    recipe: Recipe | None = None
    device: str = "cpu"
    progressive: bool = False
    tune: str | None = None
    frame: int | None = None
    ending: ClassVar[str] = ".vaec"
    takes = staticmethod(is_picture)

    @property
    def pixel_bytes(self) -> int:
        coding = REFINED_BYTES if EFFORTS[self.effort].iterations else PIXEL_BYTES
        return max(coding, self.recipe.pixel_bytes) if self.recipe else coding

    @property
    def needs_torch(self) -> bool:
        return bool(self.recipe) or EFFORTS[self.effort].iterations > 0

    def open(self, source: Path | bytes) -> Step:
        """A picture's file may be left on disk. A file that is no picture is refused early."""
        kept = isinstance(source, Path) and files.on_disk(source) and not self.recipe
        return partial(self.encode, source if kept else whole(source))

    def encode(self, data: bytes | Path, target: Path, codec: CodecOnDemand, progress: Progress | None) -> Done:
        """Raises: VaecError."""
        from vaecodec.pictures.metadata import replaced, stripped
        from vaecodec.pictures.reading import read_picture

        by_rows = isinstance(self.rate, (int, float)) and not self.recipe  # else the whole is worked on
        picture, notes = read_picture(data, self.max_pixels, by_rows=by_rows, frame=self.frame)
        picture = replaced(stripped(picture, self.strip), self.metadata)
        ready = codec()
        start = time.perf_counter()
        if self.recipe:
            assert isinstance(data, bytes)
            picture, more = better(self.recipe, ready, self.device, picture, data, progress)
            notes, progress = notes + more, None
        facts: dict[str, Any] = {"width": picture.width, "height": picture.height}
        options: dict[str, Any] = {"effort": self.effort, "preview": self.preview, "progressive": self.progressive}
        options |= {"tune": self.tune, "progress": progress}
        figures = ""
        if isinstance(self.rate, (int, float)):
            coded, facts["quality"] = ready.encode(picture, self.rate, **options), self.rate
        else:
            found = ready.encode_to(picture, self.rate, **options)
            coded, facts["quality"] = found.data, found.quality
            figures = "  ".join(("", f"quality {found.quality:g}", found.likeness)).rstrip()
            if found.short:
                notes.append("this is quality 100, smaller than the target")
        bpp = len(coded) * 8 / (picture.width * picture.height)
        facts["bpp"] = round(bpp, 4)
        figures = f"{human(len(coded))}  {bpp:.3f} bpp{figures}"
        return Done(coded, figures, facts, notes, time.perf_counter() - start)

    def pixels(self, source: Path) -> int:
        """How many a file has, by a look at its beginning; 0 where that does not tell."""
        from vaecodec.bitstream.opening import open_picture

        try:
            with source.open("rb") as file, open_picture(file, self.max_pixels) as image:
                return image.width * image.height
        except Exception:  # what is wrong with it will be told in its turn
            return 0


@dataclass(frozen=True)
class Restore:
    """A picture file to a better one, or to a `.vaec` file of it.

    encode: for targets that end in .vaec, with the same recipe.
    """

    recipe: Recipe
    encode: Encode
    ending: ClassVar[str] = ".png"
    takes = staticmethod(is_picture)

    @property
    def pixel_bytes(self) -> int:
        return self.encode.pixel_bytes

    @property
    def needs_torch(self) -> bool:
        return True

    def open(self, source: Path | bytes) -> Step:
        """A file that is no picture is refused before the model is loaded."""
        return partial(self.restore, whole(source))

    def restore(self, data: bytes, target: Path, codec: CodecOnDemand, progress: Progress | None) -> Done:
        """Raises: VaecError."""
        if target.suffix.lower() == self.encode.ending:
            return self.encode.encode(data, target, codec, progress)
        from io import BytesIO

        from vaecodec.pictures.reading import read_picture
        from vaecodec.pictures.writing import write_picture

        picture, notes = read_picture(data, self.encode.max_pixels, frame=self.encode.frame)
        ready = codec()
        start = time.perf_counter()
        picture, more = better(self.recipe, ready, self.encode.device, picture, data, progress)
        written = BytesIO()
        notes += more + write_picture(picture, written, output_format(target))
        facts = {"width": picture.width, "height": picture.height}
        figures = f"{picture.width} x {picture.height}  {human(written.tell())}"
        return Done(written.getbuffer(), figures, facts, notes, time.perf_counter() - start)

    def pixels(self, source: Path) -> int:
        """How many a file has; 0 where its beginning does not tell."""
        return self.encode.pixels(source)


def whole(source: Path | bytes) -> bytes:
    """All of a file. Raises: OSError."""
    return source if isinstance(source, bytes) else files.read(source)


def output_format(target: Path) -> str:
    """Pillow's name of the format of a picture's file. Raises: PictureError where that cannot be written."""
    if target == files.STREAM or target.suffix.lower() == ".png":
        return "PNG"
    from vaecodec.pictures.writing import format_of

    return format_of(target)


def temporary(target: Path) -> BinaryIO:
    """A file without a name, for what is too large for memory, where the target will lie."""
    import tempfile

    return tempfile.TemporaryFile(dir=files.folder_of(target))


def better(
    recipe: Recipe, codec: Codec, device: str, picture: Picture, data: bytes, progress: Progress | None
) -> tuple[Picture, list[str]]:
    """What a recipe makes of a picture from the file `data`, and notes about it. Raises: VaecError."""
    need_torch("restoration")
    from vaecodec.codec.torch_settings import own_settings
    from vaecodec.restoration.recipes import Models

    with own_settings(codec.threads):
        return recipe.apply(Models(codec.weights, device), picture, data, progress)


@dataclass(frozen=True)
class Decode:
    """A `.vaec` file to a picture file.

    The ending of the target is that of the format. region: left, top, width, height. scale: 1, 2, 4 or 8.
    max_size: of the longer side. partial: make what can be made of a damaged file. preview: the small picture in the
    file, or the whole at 1/8. At most one of these is used. strip: see `metadata.stripped`.
    png_level: of zlib, 0..9, for PNG.
    """

    max_pixels: int = MAX_PIXELS
    region: tuple[int, int, int, int] | None = None
    scale: int = 1
    max_size: int | None = None
    strip: str = "none"
    partial: bool = False
    preview: bool = False
    png_level: int = PNG_LEVEL
    ending: ClassVar[str] = ".png"
    pixel_bytes: ClassVar[int] = PIXEL_BYTES
    needs_torch: ClassVar[bool] = False
    takes = staticmethod(is_vaec)

    def open(self, source: Path | bytes) -> Step:
        """A bad file need not wait for the model, but where as much as possible is made of it."""
        parts = files.in_parts(source) if isinstance(source, Path) and (self.preview or self.region) else None
        if self.preview:
            from vaecodec.pictures.preview import read_preview

            sliced = parts or whole(source)
            return partial(self.decode, read_preview(sliced) or bytes(sliced[:]))
        if self.region and parts and (file := container.parse_indexed(parts)):
            limits.check_region(file.header, self.region, self.max_pixels)
            return partial(self.decode, file)
        data = whole(source)
        if self.partial:
            return partial(self.decode, data)
        all_of_it = not self.region and not self.max_size and self.scale == 1
        file = container.parse(data, max_pixels=self.max_pixels if all_of_it else None)
        if self.region:
            limits.check_region(file.header, self.region, self.max_pixels)
        elif self.max_size:
            limits.check_within(file.header, self.max_size, self.max_pixels)
        elif not all_of_it:
            limits.check_scale(file.header, self.scale, self.max_pixels)
        return partial(self.decode, file)

    def decode(
        self, data: bytes | File | Picture, target: Path, codec: CodecOnDemand, progress: Progress | None
    ) -> Done:
        """Raises: VaecError."""
        from io import BytesIO

        from vaecodec.pictures.metadata import stripped
        from vaecodec.pictures.picture import Picture, is_large
        from vaecodec.pictures.writing import write_picture

        start, fault = time.perf_counter(), ""
        if isinstance(data, Picture):  # the preview in the file
            picture = data
        else:
            ready = codec()
            start = time.perf_counter()
            picture, fault = self.make(data, ready, progress)
        written = temporary(target) if is_large(picture.width, picture.height) else BytesIO()
        notes = write_picture(stripped(picture, self.strip), written, output_format(target), self.png_level)
        facts = {"width": picture.width, "height": picture.height}
        figures = f"{picture.width} x {picture.height}  {human(written.tell())}"
        coded = written.getbuffer() if isinstance(written, BytesIO) else written
        return Done(coded, figures, facts, notes, time.perf_counter() - start, fault)

    def make(self, data: bytes | File, codec: Codec, progress: Progress | None) -> tuple[Picture, str]:
        """What is wanted of the picture, and what is wrong with it. Raises: VaecError."""
        if isinstance(data, bytes):
            return self.rescue(data, codec) if self.partial else self.small(data, codec)
        if self.region:
            return codec.decode_region(data, self.region, max_pixels=None), ""
        if self.max_size:
            return codec.decode_within(data, self.max_size, max_pixels=None), ""
        if self.scale > 1:
            return codec.decode_scaled(data, self.scale, max_pixels=None), ""
        return self.rows(data, codec, progress), ""

    def rows(self, file: File, codec: Codec, progress: Progress | None) -> Picture:
        """A large picture by rows, which are decoded as they are written. Raises: VaecError."""
        from vaecodec.pictures.picture import Picture, from_above, is_large

        header = file.header
        if not is_large(header.width, header.height):
            return codec.decode(file, max_pixels=None, progress=progress)
        rows = codec.decode_rows(file, max_pixels=None, progress=progress)
        pixels = from_above((header.height, header.width, header.channels), rows)
        return Picture(pixels, **file.metadata)

    def small(self, data: bytes, codec: Codec) -> tuple[Picture, str]:
        """The whole at 1/8, as far as it is there. Raises: VaecError."""
        from vaecodec.codec.scaled import shrunk

        try:
            return codec.decode_scaled(data, 8, max_pixels=self.max_pixels or None), ""
        except TruncatedError:
            picture, fault = self.rescue(data, codec)
            size = -(-max(picture.width, picture.height) // 8)
            return replace(picture, pixels=shrunk(picture.pixels, size)), fault

    def rescue(self, data: bytes, codec: Codec) -> tuple[Picture, str]:
        """What can be made of a damaged file, and what is wrong with it. Raises: VaecError."""
        found = codec.decode_partial(data, max_pixels=self.max_pixels or None)
        faults = []
        for what, areas in {"lost": found.lost, "coarse": found.coarse}.items():
            if areas:
                faults.append(f"{what}: " + ", ".join(f"{w} x {h} at {x},{y}" for x, y, w, h in areas))
        if faults:
            faults.append(f"pixels up to {found.margin} around may differ, all others are as they were")
        elif not found.whole:
            faults.append("the file is damaged, but no pixel is lost")
        return found.picture, "; ".join(faults)

    def pixels(self, source: Path) -> int:
        """How many a file has, by a look at its header; 0 where that does not tell."""
        start = len(SIGNATURE) + 8
        try:
            with source.open("rb") as handle:
                header = Header.unpack(handle.read(start + 32)[start:])
        except Exception:
            return 0
        return header.width * header.height


@dataclass(frozen=True)
class Features:
    """A `.vaec` file, or a picture that is coded first, at a quality, to its pooled latents (see `vae.features`): a
    `.npy` file of (2 M + N,) float32."""

    quality: float = QUALITY
    max_pixels: int = MAX_PIXELS
    ending: ClassVar[str] = ".npy"
    pixel_bytes: ClassVar[int] = PIXEL_BYTES
    needs_torch: ClassVar[bool] = False

    def open(self, source: Path | bytes) -> Step:
        return partial(self.describe, whole(source))

    def describe(self, data: bytes, target: Path, codec: CodecOnDemand, progress: Progress | None) -> Done:
        """Raises: VaecError."""
        from io import BytesIO

        import numpy as np

        found, header, notes, seconds = self.look(data, codec)
        written = BytesIO()
        np.save(written, found.pooled)
        facts = {"width": header.width, "height": header.height}
        return Done(written.getvalue(), f"{len(found.pooled)} numbers", facts, notes, seconds)

    def look(self, data: bytes, codec: CodecOnDemand) -> tuple[vae.Features, Header, list[str], float]:
        """The features, what the file says, notes on what was converted, and the seconds. Raises: VaecError."""
        notes: list[str] = []
        start = time.perf_counter()
        if not data.startswith(SIGNATURE):
            from vaecodec.pictures.reading import read_picture

            picture, notes = read_picture(data, self.max_pixels)
            ready = codec()
            start = time.perf_counter()
            data = ready.encode(picture, self.quality)
        file = container.parse(data, max_pixels=self.max_pixels)
        ready = codec()
        from vaecodec import vae

        return vae.features(ready, data), file.header, notes, time.perf_counter() - start

    def pixels(self, source: Path) -> int:
        """Not known ahead."""
        return 0

    def takes(self, path: Path) -> bool:
        """Both kinds."""
        return is_vaec(path) or is_picture(path)
