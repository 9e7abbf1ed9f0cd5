"""The codecs that `vaecodec bench` compares. To add one, write a class and name it in `catalogue`.

Every codec takes and gives (H, W, 3) uint8 RGB, without metadata. Pillow's encoders are set as their users
would set them for the smallest file (JPEG optimised and progressive, WebP's slowest method); where a choice
matters for the figures (AVIF's speed, tuning and chroma) each is a codec of its own with its own name.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import shlex
import shutil
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaecodec.codec.defaults import EFFORT, TUNE
from vaecodec.errors import VaecError
from vaecodec.version import __version__

Pixels = NDArray[np.uint8]
TIMEOUT = 3600.0  # seconds for one call of a program


@dataclass(frozen=True)
class Options:
    """What codecs are made with, in every process alike."""

    threads: int = 1
    model: Path | None = None  # another model file than the shipped one, for vaec
    external: tuple[tuple[str, str, str], ...] = ()  # name, encode and decode command lines


class BenchCodec(ABC):
    """One codec at one way of use, with one dial."""

    name: str
    label: str
    suffix: str
    settings: Sequence[float]  # of the dial, in the order of rising size
    lossless = False
    seconds: float | None = None  # that the last call took without handing files over; None: all of it

    def missing(self) -> str | None:
        """Why this codec cannot be used here, or None."""
        return None

    @abstractmethod
    def version(self) -> str: ...

    @abstractmethod
    def command(self, setting: float) -> str:
        """What a reader can repeat: the exact call."""

    def load(self) -> None:
        """Do what is done once: read a model."""
        return

    @abstractmethod
    def encode(self, pixels: Pixels, setting: float) -> bytes: ...

    @abstractmethod
    def decode(self, data: bytes) -> Pixels: ...


class Vaec(BenchCodec):
    suffix = ".vaec"
    settings: Sequence[float] = (5, 20, 30, 40, 60, 70, 80, 95)

    def __init__(self, options: Options, effort: int = EFFORT, tune: str = TUNE) -> None:
        self.options, self.effort, self.tune = options, effort, tune
        self.name, self.label = "vaec", "vaecodec"
        if effort != EFFORT:
            self.name, self.label = f"{self.name}-e{effort}", f"{self.label}, effort {effort}"
        if tune != TUNE:
            self.name, self.label = f"{self.name}-{tune}", f"{self.label}, tuned for {tune.upper()}"

    @cached_property
    def codec(self) -> Any:
        from vaecodec.codec.codec import Codec

        model = {} if self.options.model is None else {"model": self.options.model}
        return Codec(threads=self.options.threads, **model)

    @cached_property
    def model_name(self) -> str:
        """With a hash of the whole file: the model's own hash leaves the encoder out."""
        from vaecodec.model.weights import DEFAULT

        digest = hashlib.sha256((self.options.model or DEFAULT).read_bytes()).hexdigest()
        return f"model {self.codec.weights.name} {self.codec.weights.hash.hex()}, file {digest[:16]}"

    def version(self) -> str:
        return f"{__version__}, {self.model_name}"

    def command(self, setting: float) -> str:
        effort = "" if self.effort == EFFORT else f" --effort {self.effort}"
        tune = "" if self.tune == TUNE else f" --tune {self.tune}"
        return f"vaecodec encode -q {setting:g}{effort}{tune} IN OUT.vaec"

    def load(self) -> None:
        _ = self.codec

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        from vaecodec.pictures.picture import Picture

        data: bytes = self.codec.encode(Picture(pixels), setting, effort=self.effort, tune=self.tune)
        return data

    def decode(self, data: bytes) -> Pixels:
        pixels: Pixels = self.codec.decode(data).pixels
        return pixels


@dataclass
class PillowCodec(BenchCodec):
    """A format of Pillow's. `options` go to `Image.save`; `dial` names the option that the setting goes to."""

    name: str
    label: str
    format: str
    feature: str  # as `PIL.features` knows it
    options: Mapping[str, Any]
    dial: str = "quality"
    settings: Sequence[float] = (0,)
    lossless: bool = False

    @property
    def suffix(self) -> str:  # type: ignore[override]
        return {"JPEG": ".jpg", "JPEG2000": ".jp2"}.get(self.format, f".{self.format.lower()}")

    def missing(self) -> str | None:
        from PIL import features

        return None if features.check(self.feature) else f"this Pillow was built without {self.format}"

    def version(self) -> str:
        from PIL import __version__ as pillow
        from PIL import features

        name = "libjpeg_turbo" if self.feature == "jpg" and features.check("libjpeg_turbo") else self.feature
        return f"Pillow {pillow}, {name} {features.version(name)}"

    def parameters(self, setting: float) -> dict[str, Any]:
        return dict(self.options) | ({} if self.lossless else {self.dial: self.value(setting)})

    def value(self, setting: float) -> Any:
        return int(setting)

    def command(self, setting: float) -> str:
        arguments = "".join(f", {key}={value!r}" for key, value in self.parameters(setting).items())
        return f"PIL.Image.save(OUT, {self.format!r}{arguments})"

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, self.format, **self.parameters(setting))
        return buffer.getvalue()

    def decode(self, data: bytes) -> Pixels:
        from PIL import Image

        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))


class Jpeg2000(PillowCodec):
    def value(self, setting: float) -> list[float]:
        return [setting]  # one layer; its PSNR in dB


def jpeg(subsampling: str) -> BenchCodec:
    name = "jpeg" if subsampling == "4:2:0" else "jpeg-444"
    options = {"subsampling": subsampling, "optimize": True, "progressive": True}
    label = f"JPEG {subsampling}, optimised, progressive"
    return PillowCodec(name, label, "JPEG", "jpg", options, settings=(5, 10, 20, 40, 65, 85, 94, 98))


def avif(subsampling: str, speed: int, tune: str, threads: int) -> BenchCodec:
    """libavif tunes for looks unless told; that costs it several per cent of the rate at equal PSNR."""
    name = "avif" + ("-444" if subsampling == "4:4:4" else "") + ("-s2" if speed == 2 else "")
    # The number of threads changes the bytes a little, so it is part of the command that is told.
    options: dict[str, Any] = {"subsampling": subsampling, "speed": speed, "max_threads": threads}
    if tune != "default":
        name += f"-{tune}"
        options["advanced"] = {"tune": tune}
    label = f"AVIF {subsampling}, speed {speed}, " + ("default tuning" if tune == "default" else "tuned for PSNR")
    settings = (5, 20, 35, 50, 65, 75, 85, 92)
    return PillowCodec(name, label, "AVIF", "avif", options, settings=settings)


class Jxl(BenchCodec):
    """JPEG XL by the package imagecodecs."""

    suffix = ".jxl"

    def __init__(self, dial: JxlDial, threads: int) -> None:
        self.name, self.label, self.lossless, self.settings = dial
        self.threads = threads

    def version(self) -> str:
        import imagecodecs

        return f"imagecodecs {imagecodecs.__version__}, {imagecodecs.jpegxl_version()}"

    def parameters(self, setting: float) -> dict[str, Any]:
        return {"effort": JXL_EFFORT} | ({"lossless": True} if self.lossless else {"distance": setting})

    def command(self, setting: float) -> str:
        arguments = "".join(f", {key}={value!r}" for key, value in self.parameters(setting).items())
        return f"imagecodecs.jpegxl_encode(pixels{arguments})"

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        import imagecodecs

        return bytes(imagecodecs.jpegxl_encode(pixels, numthreads=self.threads, **self.parameters(setting)))

    def decode(self, data: bytes) -> Pixels:
        import imagecodecs

        pixels: Pixels = imagecodecs.jpegxl_decode(data, numthreads=self.threads)
        return pixels


JXL_EFFORT = 7
JxlDial = tuple[str, str, bool, Sequence[float]]  # name, label, lossless, settings
JXL: tuple[JxlDial, ...] = (
    ("jxl", f"JPEG XL, effort {JXL_EFFORT}", False, (15, 9, 6, 4, 2.5, 1.5, 0.8, 0.4)),  # Butteraugli distances
    ("jxl-lossless", f"JPEG XL lossless, effort {JXL_EFFORT}", True, (0,)),
)


def jxl(dial: JxlDial, threads: int) -> BenchCodec:
    """By the package imagecodecs where it is installed, else by the programs cjxl and djxl."""
    if importlib.util.find_spec("imagecodecs"):
        return Jxl(dial, threads)
    encode = f"cjxl {{in}} {{out}} -d {{q}} -e {JXL_EFFORT} --num_threads={threads}"
    codec = Programs(
        dial[0], encode, "djxl {in} {out}", needs="the Python package imagecodecs or the programs cjxl and djxl"
    )
    codec.name, codec.label, codec.lossless, codec.settings = dial
    codec.suffix = ".jxl"
    return codec


class Programs(BenchCodec):
    """A codec given as two command lines with {in}, {out} and, to encode, {q}. They exchange PNG files."""

    settings: Sequence[float] = (5, 20, 30, 40, 60, 70, 80, 95)

    def __init__(self, name: str, encode: str, decode: str, needs: str = "") -> None:
        for line, needed in ((encode, ("{in}", "{out}", "{q}")), (decode, ("{in}", "{out}"))):
            if lacking := [mark for mark in needed if mark not in line]:
                raise VaecError(f"the command line {line!r} of {name} lacks {', '.join(lacking)}")
        self.name = self.label = name
        self.suffix = f".{name}"
        self.lines = {"encode": encode, "decode": decode}
        self.needs = needs

    def missing(self) -> str | None:
        for line in self.lines.values():
            if not shutil.which(program := shlex.split(line)[0]):
                return f"it needs {self.needs or f'the program {program}'}"
        return None

    def version(self) -> str:
        return first_line([shlex.split(self.lines["encode"])[0], "--version"])

    def command(self, setting: float) -> str:
        line = self.lines["encode"]
        return line.replace("{q}", f"{setting:g}").replace("{in}", "IN.png").replace("{out}", f"OUT{self.suffix}")

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        from PIL import Image

        return self._run("encode", ".png", self.suffix, lambda path: Image.fromarray(pixels).save(path), setting)

    def decode(self, data: bytes) -> Pixels:
        from PIL import Image

        png = self._run("decode", self.suffix, ".png", lambda path: path.write_bytes(data))
        with Image.open(io.BytesIO(png)) as image:
            return np.asarray(image.convert("RGB"))

    def _run(
        self, step: str, before: str, after: str, fill: Callable[[Path], object], setting: float | None = None
    ) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, f"in{before}"), Path(folder, f"out{after}")
            fill(source)
            values = {"{in}": str(source), "{out}": str(target), "{q}": f"{setting:g}" if setting is not None else ""}
            words = shlex.split(self.lines[step])
            for mark, value in values.items():
                words = [word.replace(mark, value) for word in words]
            start = time.perf_counter()
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
            self.seconds = time.perf_counter() - start
            if done.returncode or not target.exists():
                said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
                made = "" if target.exists() else ", made no file"
                raise VaecError(f"{words[0]} ended with code {done.returncode}{made}: {said[-1]}")
            return target.read_bytes()


def first_line(command: Sequence[str]) -> str:
    """What a program calls its version: the first line that it prints."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = (done.stdout or done.stderr).decode(errors="replace").strip().splitlines()
    return lines[0] if lines and not done.returncode else "unknown"


def catalogue(options: Options) -> dict[str, BenchCodec]:
    """Every codec by its name, whether it can be used here or not (see `missing`)."""
    threads = options.threads
    known: list[BenchCodec] = [
        Vaec(options),
        Vaec(options, effort=9),
        Vaec(options, tune="psnr"),
        Vaec(options, effort=9, tune="psnr"),
        jpeg("4:2:0"),
        jpeg("4:4:4"),
        PillowCodec("webp", "WebP, method 6", "WEBP", "webp", {"method": 6}, settings=(0, 10, 30, 50, 70, 85, 93, 98)),
        *(
            avif(sub, speed, tune, threads)
            for tune in ("default", "psnr")
            for sub in ("4:2:0", "4:4:4")
            for speed in (6, 2)
        ),
        Jpeg2000(
            "jpeg2000",
            "JPEG 2000",
            "JPEG2000",
            "jpg_2000",
            {"irreversible": True, "quality_mode": "dB"},
            dial="quality_layers",
            settings=(25, 28, 31, 34, 37, 40, 42, 44),
        ),
        *(jxl(dial, threads) for dial in JXL),
        PillowCodec("png", "PNG, optimised", "PNG", "zlib", {"optimize": True}, lossless=True),
        PillowCodec(
            "webp-lossless",
            "WebP lossless",
            "WEBP",
            "webp",
            {"lossless": True, "method": 6, "quality": 100},
            lossless=True,
        ),
    ]
    known += (Programs(*lines) for lines in options.external)
    return {codec.name: codec for codec in known}
