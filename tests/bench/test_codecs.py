"""Every codec of the catalogue on a real picture, programs given as command lines among them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaecodec.bench import codecs
from vaecodec.bench.codecs import BenchCodec, Options, Pixels, Programs, catalogue
from vaecodec.errors import VaecError
from vaecodec.metrics import scores

KNOWN = catalogue(Options())
CROP = Path(__file__).parents[1] / "data" / "bench" / "kodim05-crop.png"

# Stand-ins for a codec's two programs: JPEG, by Pillow, in processes of their own.
ENC = "import sys; from PIL import Image; Image.open(sys.argv[1]).save(sys.argv[2], 'JPEG', quality=int(sys.argv[3]))"
DEC = "import sys; from PIL import Image; Image.open(sys.argv[1]).save(sys.argv[2])"


def line(script: str, *marks: str) -> str:
    return shlex.join([sys.executable, "-c", script]) + " " + " ".join(marks)


def program(encode: str = ENC, decode: str = DEC) -> Programs:
    return Programs("toy", line(encode, "{in}", "{out}", "{q}"), line(decode, "{in}", "{out}"))


@pytest.fixture(scope="module")
def crop() -> Pixels:
    return np.asarray(Image.open(CROP).convert("RGB"))[32:128, 64:192]


def test_the_issue_names_them_all() -> None:
    avifs = {f"avif{sub}{speed}{tune}" for sub in ("", "-444") for speed in ("", "-s2") for tune in ("", "-psnr")}
    ours = {"vaec", "vaec-e9", "vaec-psnr", "vaec-e9-psnr"}
    others = {"jpeg", "jpeg-444", "webp", "jpeg2000", "jxl", "png", "webp-lossless", "jxl-lossless"}
    assert set(KNOWN) == avifs | ours | others
    assert {n for n, c in KNOWN.items() if c.lossless} == {"png", "webp-lossless", "jxl-lossless"}
    assert all(codec.missing() is None for codec in KNOWN.values()), "the dev extra has them all"


@pytest.mark.parametrize("name", KNOWN)
def test_codes_and_decodes(name: str, crop: Pixels) -> None:
    codec = KNOWN[name]
    sizes, errors = [], []
    for setting in [codec.settings[0], codec.settings[-1]]:
        data = codec.encode(crop, setting)
        decoded = codec.decode(data)
        assert decoded.shape == crop.shape and decoded.dtype == np.uint8
        sizes.append(len(data))
        errors.append(scores.mse(crop, decoded))
    if codec.lossless:
        assert errors == [0, 0]
    else:
        assert sizes[0] < sizes[1] < crop.size
        assert errors[0] > errors[1] > 0
    assert codec.version() not in ("", "unknown")
    assert codec.suffix.startswith(".")


@pytest.mark.parametrize("name", [n for n in KNOWN if n.startswith(("jpeg", "webp", "avif", "png"))])
def test_the_command_told_is_the_call_made(name: str, crop: Pixels, tmp_path: Path) -> None:
    codec = KNOWN[name]
    setting = codec.settings[len(codec.settings) // 2]
    call = codec.command(setting).removeprefix("PIL.Image.save(OUT, ").removesuffix(")")
    kind, _, arguments = call.partition(", ")
    path = tmp_path / "out"
    Image.fromarray(crop).save(path, eval(kind), **eval(f"dict({arguments})"))
    assert path.read_bytes() == codec.encode(crop, setting)


def test_programs_as_a_codec(crop: Pixels) -> None:
    codec = program()
    data = codec.encode(crop, 50)
    assert data.startswith(b"\xff\xd8")
    assert scores.psnr(crop, codec.decode(data)) > 25
    assert codec.seconds is not None and codec.seconds > 0
    assert codec.command(50).endswith("IN.png OUT.toy 50")
    assert codec.missing() is None


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import sys; sys.exit('no such tune')", "ended with code 1, made no file: no such tune"),
        ("pass", "made no file"),
    ],
)
def test_programs_that_fail_say_why(script: str, message: str, crop: Pixels) -> None:
    with pytest.raises(VaecError, match=message):
        program(encode=script).encode(crop, 50)


@pytest.mark.parametrize("lines", [("enc {in} {out}", "dec {in} {out}"), ("enc {in} {out} {q}", "dec {in}")])
def test_command_lines_need_their_marks(lines: tuple[str, str]) -> None:
    with pytest.raises(VaecError, match="lacks"):
        Programs("toy", *lines)


def test_programs_that_are_not_there() -> None:
    codec = Programs("toy", "no-such-program {in} {out} {q}", "no-such-program {in} {out}")
    assert codec.missing() == "it needs the program no-such-program"
    assert codec.version() == "unknown"


def test_jpeg_xl_by_its_programs_where_the_package_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    for dial in codecs.JXL:
        codec: BenchCodec = codecs.jxl(dial, threads=2)
        assert isinstance(codec, Programs)
        assert codec.missing() == "it needs the Python package imagecodecs or the programs cjxl and djxl"
        assert codec.command(1.5) == "cjxl IN.png OUT.jxl -d 1.5 -e 7 --num_threads=2"
        assert (codec.name, codec.lossless) == (dial[0], dial[2])
