"""The preview in a file: a small WebP picture ahead of everything else, for thumbnails without the model."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaecodec.bitstream.chunks import SIGNATURE, Source, read_chunks
from vaecodec.bitstream.cicp import is_cicp
from vaecodec.bitstream.container import TILES
from vaecodec.bitstream.opening import open_picture
from vaecodec.bitstream.recovery import whole_chunks
from vaecodec.errors import LimitError, VaecError
from vaecodec.pictures.exif import orientation
from vaecodec.pictures.picture import Picture
from vaecodec.pictures.to_pillow import TURNS

SIDE = 128  # pixels, the most that the format allows
SAMPLED = 16 * SIDE  # of a longer side than twice this, only some pixels are looked at
QUALITY = 60  # of WebP: 0.9 to 3 kB for the Kodak pictures
FIRST = 2**14  # bytes of a file that are looked at first: a preview needs few
BEGINNING = 2**20  # bytes of a file in which a preview is looked for
FROM = 4_000_000  # pixels of a picture that gets a preview by default: next to its file the preview is small


def make_preview(pixels: NDArray[np.uint8]) -> bytes:
    """The `prev` chunk's data for pixels (H, W, C)."""
    from PIL import WebPImagePlugin  # noqa: F401 (or `save` would load all plugins)

    step = max(1, max(pixels.shape[:2]) // SAMPLED)
    rows = range(0, pixels.shape[0], step)
    pixels = pixels[:] if step == 1 else np.concatenate([pixels[row : row + 1, ::step] for row in rows])
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)  # as good as any for such a step, and quick
    buffer = io.BytesIO()
    image.convert("RGBA" if pixels.shape[2] in (2, 4) else "RGB").save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


def read_preview(data: Source) -> Picture | None:
    """The preview of a file with its EXIF and cICP; None where it has none. Only the beginning of the file is read, and
    the rest need not be there. Raises: VaecError."""
    start = bytes(data[:FIRST])
    if not is_ahead(start):
        start = bytes(data[:BEGINNING])
    chunk, exif, cicp = (next(whole_chunks(start, kind), None) for kind in (b"pREV", b"eXIf", b"cICP"))
    if chunk is None:
        return None
    try:
        with open_picture(io.BytesIO(chunk), SIDE**2, ["WEBP", "JPEG"]) as image:
            if max(image.size) > SIDE:
                raise LimitError("too long")
            pixels = np.asarray(image.convert("RGBA" if "A" in image.mode else "RGB"))
    except LimitError:
        raise VaecError("the file's preview is too large") from None
    except Exception as error:  # Pillow's plugins raise many kinds
        raise VaecError("the file's preview is damaged") from error
    known = cicp is not None and is_cicp(bytes(cicp))
    return Picture(pixels, exif=_stored(exif), cicp=_stored(cicp) if known else None)


def is_ahead(start: bytes) -> bool:
    """Whether the first bytes of a file have all that stands ahead of its tiles."""
    at = len(SIGNATURE)
    try:
        for chunk in read_chunks(start, TILES):
            at += chunk.size
    except VaecError:
        return False
    return at < len(start)


def _stored(chunk: memoryview | None) -> bytes | None:
    return None if chunk is None else bytes(chunk)


def upright(picture: Picture, size: int) -> Image.Image:
    """A picture as a thumbnail shows it: at most `size` pixels each way, turned as its EXIF says."""
    pixels = picture.pixels
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    turn = TURNS.get(orientation(picture.exif))
    return image if turn is None else image.transpose(turn)
