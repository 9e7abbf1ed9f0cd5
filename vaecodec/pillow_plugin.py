"""Pillow reads and writes `.vaec` once this module is imported, or `vaecodec.register()` called.

`Image.open` looks at the header and the metadata alone; PyTorch and the model are loaded with the pixels.
"""

from __future__ import annotations

import io
import mimetypes
import struct
import sys
import threading
from typing import IO, Any

from PIL import Image, ImageFile

from vaecodec.arguments import refuse_lossless
from vaecodec.bitstream.chunks import SIGNATURE
from vaecodec.bitstream.container import METADATA
from vaecodec.bitstream.header import COLOURS, Header
from vaecodec.bitstream.info import read_info
from vaecodec.bitstream.limits import MAX_PIXELS, SCALES
from vaecodec.errors import PictureError, UnsupportedError, VaecError
from vaecodec.pictures.exif import EXIF_IDENTIFIER

FORMAT, MIME, EXTENSION, NAME = "VAEC", "image/vaec", ".vaec", "vaecodec learned image"
MODES = dict(zip(COLOURS, ("L", "RGB", "LA", "RGBA"), strict=True))
REFUSED = ("F", "LAB")
INFO = {"cicp": "cicp", "icc": "icc_profile", "exif": "exif", "xmp": "xmp"}  # Picture field -> key of Image.info
CHUNK_MAX = 2**28  # of metadata that is read before the pixels


class VaecImageFile(ImageFile.ImageFile):
    """A `.vaec` file that Pillow has opened. `info` has cicp, icc_profile, exif and xmp, quality and model."""

    format = FORMAT
    format_description = NAME

    def _open(self) -> None:
        """Raises: SyntaxError where this is no .vaec file (Pillow then asks others), OSError where it is damaged."""
        assert self.fp is not None
        self._start, self._loading = self.fp.tell(), threading.Lock()
        if self.fp.read(len(SIGNATURE)) != SIGNATURE:
            raise SyntaxError("not a .vaec file")
        try:
            header = Header.unpack(self._chunk("HEAD"))
        except VaecError as error:
            raise OSError(str(error)) from error
        self._size = self._whole = header.width, header.height
        self._scale = 1
        self._mode = MODES[COLOURS[header.colour]]
        self.custom_mimetype = MIME
        self.info |= {"quality": header.quality / 10, "model": header.model, "model_hash": header.model_hash.hex()}
        self._metadata()

    def _metadata(self) -> None:
        """What stands before the tiles; wrong checksums are found when the pixels are read."""
        assert self.fp is not None
        names = {kind: name for name, kind in METADATA.items()}
        while len(head := self.fp.read(8)) == 8:
            length, kind = struct.unpack("<I4s", head)
            if kind in (b"TILE", b"BASE") or length > CHUNK_MAX:
                break
            data = self.fp.read(length)
            self.fp.seek(4, io.SEEK_CUR)
            if name := names.get(kind.decode("latin-1")):
                self.info[INFO[name]] = EXIF_IDENTIFIER + data if name == "exif" else data

    def _chunk(self, kind: str) -> bytes:
        """The data of the next chunk, which is small and must be of this kind."""
        assert self.fp is not None
        length, found = struct.unpack("<I4s", self.fp.read(8).ljust(8, b"\0"))
        if found != kind.encode() or length > 255:
            raise OSError(f"the file's first chunk is not {kind}")
        data = self.fp.read(length)
        self.fp.seek(4, io.SEEK_CUR)
        return data

    def verify(self) -> None:
        """Check the structure and all checksums, without decoding; to be called before `load`, and ends the image.

        Raises: OSError where the file is damaged.
        """
        if self.fp is not None:
            self.fp.seek(self._start)
            try:
                read_info(self.fp.read())
            except VaecError as error:
                raise OSError(str(error)) from error
        super().verify()

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Have it decoded at 1/2, 1/4 or 1/8 of its size, but not below `size`; the mode stays.

        Returns the mode, and where in the smaller image the picture is; None where it stays as it is: as it has been
        asked for before, or is loaded.
        """
        with self._loading:
            if size is None or self._scale > 1 or self.tile or self._im is not None:
                return None
            least = min(side // max(1, wanted) for side, wanted in zip(self._whole, size, strict=True))
            self._scale = max((scale for scale in SCALES if scale <= least), default=1)
            if self._scale == 1:
                return None
            width, height = self._whole
            self._size = -(-width // self._scale), -(-height // self._scale)
            return self.mode, (0, 0, width / self._scale, height / self._scale)

    def load(self) -> Any:
        """Decode, once. Raises: OSError where the file is damaged."""
        if self._im is not None and not self.tile:
            return super().load()
        with self._loading:
            return self._load()

    def _load(self) -> Any:
        """`load`, in one thread."""
        if self.fp is not None and not self.tile and self._im is None:
            from vaecodec.api import decoded, default_codec

            self.fp.seek(self._start)
            # How many pixels there may be is for Pillow to say; how much work they may be, is not.
            limit = max(MAX_PIXELS, self._whole[0] * self._whole[1])
            try:
                picture = decoded(default_codec(), self.fp.read(), scale=self._scale, max_pixels=limit)
            except VaecError as error:
                raise OSError(str(error)) from error
            if self._exclusive_fp:
                self.fp.close()
            self.fp = io.BytesIO(picture.pixels.tobytes())
            self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]
        return super().load()

    def load_seek(self, pos: int) -> None:
        """Pillow asks for it where the pixels stand in a stream of their own."""


def save(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    """What `Image.save` calls. Options: those of `vaecodec.encode`; metadata is the image's own unless given.

    Other modes than MODES become one of these as `vaecodec.encode` converts them. Of several frames the one that the
    image is at is written.
    """
    from vaecodec.api import encode

    if image.mode in REFUSED:
        raise OSError(f"cannot write mode {image.mode} as {FORMAT}")
    options = dict(getattr(image, "encoderinfo", {}))
    refuse_lossless(options.get("lossless"))
    known = {"quality", "effort", "tile", "preview", "progressive", "tune", "icc_profile", "xmp"} | {
        f"target_{name}" for name in ("size", "bpp", "psnr", "ssimulacra2")
    }
    given = {name: options[name] for name in known & options.keys()}
    if given.get("icc_profile", b"") is None:  # as Pillow's own plugins have it
        given["icc_profile"] = b""
    if image.mode == "CMYK" and "icc_profile" in given:  # it says what the inks are, and not what is written
        image = image.copy()
        image.info["icc_profile"] = given.pop("icc_profile")
    exif = options.get("exif")
    if exif is not None:
        exif = exif.tobytes() if isinstance(exif, Image.Exif) else exif
        given["exif"] = exif.removeprefix(EXIF_IDENTIFIER)
    try:
        stream.write(encode(image, **given))
    except VaecError as error:
        cannot = isinstance(error, (PictureError, UnsupportedError))
        raise (OSError if cannot else ValueError)(str(error)) from error


def accept(prefix: bytes) -> bool:
    """Whether a file that begins so is a `.vaec` file."""
    return prefix.startswith(SIGNATURE)


def register() -> None:
    """Tell Pillow, and `mimetypes` of the standard library. May be called again."""
    Image.register_open(FORMAT, VaecImageFile, accept)
    Image.register_save(FORMAT, save)
    Image.register_extension(FORMAT, EXTENSION)
    Image.register_mime(FORMAT, MIME)
    mimetypes.add_type(MIME, EXTENSION)
    tell_imageio()


def tell_imageio() -> None:
    """Without this imageio, if it is there, forgets the extension where it is to write bytes; it asks Pillow anyway."""
    config = sys.modules.get("imageio.config")
    if config and EXTENSION not in config.known_extensions:
        extension = config.FileExtension(name=NAME, extension=EXTENSION, priority=["pillow"])
        config.extension_list.append(extension)
        config.known_extensions[EXTENSION] = [extension]


register()
