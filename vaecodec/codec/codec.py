"""The codec as a program meets it: pictures to `.vaec` bytes (encoder.py) and back (decoder.py, scaled.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vaecodec.arguments import Source, as_file, as_limit, as_path, as_region, as_whole, is_path, naming
from vaecodec.bitstream import container, limits, recovery
from vaecodec.bitstream.container import File
from vaecodec.bitstream.limits import MAX_PIXELS
from vaecodec.codec import decoder, encoder, partial, ratecontrol, scaled
from vaecodec.codec.defaults import EFFORT, QUALITY, TUNE
from vaecodec.codec.encoder import EncodeOptions
from vaecodec.codec.partial import Partial
from vaecodec.codec.ratecontrol import Found, Target
from vaecodec.codec.region import decode_region
from vaecodec.codec.runtime import Progress, Runtime
from vaecodec.files import in_parts
from vaecodec.pictures.picture import Picture
from vaecodec.pictures.reading import PictureLike, as_picture


class Codec(Runtime):
    """A loaded model that codes any number of pictures. Files of other models are decoded too, if those can be found.

    Args:
        model: a model file; the one in the package by default.
        threads: CPU threads, in the calls of this codec alone; by default as many as the process has processors.
            Never changes the bytes, neither those decoded nor those of a file.

    Raises: UnsupportedError where the model file cannot be used.
    """

    def encode(
        self,
        image: PictureLike,
        quality: float = QUALITY,
        *,
        effort: int = EFFORT,
        tile: int | None = None,
        preview: bool | None = None,
        progressive: bool = False,
        tune: str | None = None,
        progress: Progress | None = None,
    ) -> bytes:
        """Code a picture.

        Args:
            image: a Picture, a PIL image with its metadata, an array, a tensor, or a file (see `as_picture`).
            quality: 0..100, steps of 0.1 count.
            effort: 1..9, higher is slower and better for its size; decoding takes the same time.
            tile: side of the tiles in pixels, a multiple of 64 up to 1024; by default one tile up to
                1024 x 1024, and equal ones above, which are smaller where a side has more than 4096. preview: whether
                a small picture goes ahead of it, by default with large ones (preview.py). progressive: whether the high
                channels of all tiles stand behind everything else, so that the first part of the file shows the whole
                picture. tune: what is best for the size: "ssim", which is near to what the eye sees, or "psnr".
                progress: called with the share done, 0..1.

        Raises: VaecError where an argument is out of range.
        """
        picture = as_picture(image)
        options = EncodeOptions(effort, tile, preview, progressive, tune or TUNE)
        return b"".join(encoder.encode_parts(self, picture, quality, options, progress))

    def encode_to(
        self,
        image: PictureLike,
        target: Target,
        *,
        effort: int = EFFORT,
        tile: int | None = None,
        preview: bool | None = None,
        progressive: bool = False,
        tune: str | None = None,
        progress: Progress | None = None,
    ) -> Found:
        """Code a picture at the best quality that keeps to a size, or at the lowest that reaches a likeness.

        Takes several trials. A size is met within 1 % where quality 100 needs as much.
        Args: see `encode`; tune is "psnr" by default where a PSNR is to be reached. Raises: VaecError where an argument
        is out of range or no quality meets the target.
        """
        picture, effort = as_picture(image), as_whole(effort, "effort")
        tuned = tune or ("psnr" if target.psnr is not None else TUNE)

        def coded(
            effort: int, quality: float, progress: Progress | None, decoded: NDArray[np.uint8] | None
        ) -> Iterator[bytes]:
            options = EncodeOptions(effort, tile, preview, progressive, tuned)
            return encoder.encode_parts(self, picture, quality, options, progress, decoded)

        return ratecontrol.encode_to(coded, picture, target, effort, progress)

    def encode_parts(
        self,
        picture: Picture,
        quality: float = QUALITY,
        *,
        effort: int = EFFORT,
        tile: int | None = None,
        preview: bool | None = None,
        progressive: bool = False,
        tune: str | None = None,
        progress: Progress | None = None,
        decoded: NDArray[np.uint8] | None = None,
    ) -> Iterator[bytes]:
        """The same file as `encode`, in pieces: those of one tile as soon as it is coded, those of several together.

        Args: decoded: of the picture's shape, filled with what the file decodes to once all pieces are there; this
            takes less than decoding it.
        """
        options = EncodeOptions(effort, tile, preview, progressive, tune or TUNE)
        return encoder.encode_parts(self, picture, quality, options, progress, decoded)

    def decode(
        self,
        data: Source | File,
        *,
        max_pixels: int | None = MAX_PIXELS,
        out: NDArray[np.uint8] | None = None,
        progress: Progress | None = None,
    ) -> Picture:
        """Reconstruct a picture: the same pixels on every machine.

        Args:
            data: a whole file, as its bytes, its path or a file object; or what `open` made of it.
            max_pixels: refuse larger pictures before any work; None for no limit.
            out: an array (H, W, C) uint8 to write into, of any strides; undefined after an error.

        Returns: pixels (H, W, C) uint8, `out` if given, and the metadata as stored.
        Raises: NotVaecError, TruncatedError, CorruptFileError, UnsupportedError, LimitError; VaecError where `out` does
            not fit.
        """
        file = self.open(data, max_pixels)
        pixels = decoder.whole(self.of(file.header), file.header, file.unpacked(), out, progress)
        return Picture(pixels, **file.metadata)

    def decode_rows(
        self, data: Source | File, *, max_pixels: int | None = MAX_PIXELS, progress: Progress | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        """Reconstruct a picture from above, (n, W, C) uint8 at a time, in memory that does not grow with its height.

        Args and errors: as `decode`.
        """
        file = self.open(data, max_pixels)
        return decoder.strips(self.of(file.header), file.header, file.unpacked(), progress)

    def decode_partial(self, data: Source, *, max_pixels: int | None = MAX_PIXELS) -> Partial:
        """Reconstruct what can be had of a truncated or damaged file: see `Partial`.

        Raises: NotVaecError, CorruptFileError, UnsupportedError, LimitError where nothing can be had.
        """
        limit = as_limit(max_pixels, "max_pixels")
        with naming(data):
            found = recovery.recover(as_file(data), limit)
        return partial.partial(self.of(found.header), found)

    def decode_region(
        self, data: Source | File, region: tuple[int, int, int, int], *, max_pixels: int | None = MAX_PIXELS
    ) -> Picture:
        """Reconstruct a part of a picture from the tiles that it needs: the same pixels as in the whole.

        Of a file that is given by its path, only these tiles are read, where it has an index of them.
        Args: region: left, top, width, height, in pixels as they are stored. max_pixels: of the part.
        Raises: as `decode`; VaecError where the region is not within the picture.
        """
        wanted, limit = as_region(region), as_limit(max_pixels, "max_pixels")
        with naming(data):
            file = indexed(data) or self.open(data if isinstance(data, File) else as_file(data), None)
            limits.check_region(file.header, wanted, limit)
            pixels = decode_region(self.of(file.header), file, wanted)
        return Picture(pixels, **file.metadata)

    def decode_scaled(self, data: Source | File, scale: int, *, max_pixels: int | None = MAX_PIXELS) -> Picture:
        """Reconstruct a picture at 1/scale of its size, rounded up, with a fraction of the work.

        Near to the whole picture's mean over squares of that many pixels, not equal to it; see `scaled.scaled`.
        Args: scale: 2, 4 or 8. max_pixels: of what is made; the whole may have twice as many. Raises: as `decode`.
        """
        scale, file = as_whole(scale, "scale"), self.open(data, None)
        limits.check_scale(file.header, scale, as_limit(max_pixels, "max_pixels"))
        pixels = scaled.scaled(self.of(file.header), file.header, file.unpacked(), scale)
        return Picture(pixels, **file.metadata)

    def decode_within(self, data: Source | File, size: int, *, max_pixels: int | None = MAX_PIXELS) -> Picture:
        """Reconstruct a picture of at most `size` pixels each way, in proportion, with no more work than that needs.

        A smaller picture stays as it is. Args: max_pixels: of what is made; the whole may have twice as many.
        Raises: as `decode`; VaecError where size is not positive.
        """
        size, file = as_whole(size, "size"), self.open(data, None)
        limits.check_within(file.header, size, as_limit(max_pixels, "max_pixels"))
        scale = limits.scale_within(file.header, size)
        picture = self.decode(file, max_pixels=None) if scale == 1 else self.decode_scaled(file, scale, max_pixels=None)
        return replace(picture, pixels=scaled.shrunk(picture.pixels, size))

    def open(self, data: Source | File, max_pixels: int | None = MAX_PIXELS) -> File:
        """A file, parsed and its checksums compared, for one or more of the methods above: they take it in place of its
        bytes. Args and errors: as `decode`.
        """
        limit = as_limit(max_pixels, "max_pixels")
        if not isinstance(data, File):
            with naming(data):
                return container.parse(as_file(data), max_pixels=limit)
        container.check_header(data.header, data.size, limit)
        return data


def indexed(data: object) -> File | None:
    """A file by its path whose tiles are read as they are wanted, if it has an index of them."""
    parts = in_parts(as_path(data)) if is_path(data) else None
    return None if parts is None else container.parse_indexed(parts)
