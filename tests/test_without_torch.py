"""Decoding and the lower efforts need no PyTorch; what needs it says so, where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.sample_pictures import picture

ROOT = Path(__file__).parents[1]
PREPARED = """
import sys
import numpy as np
import vaecodec
from vaecodec import vae

pixels = (np.indices((150, 100)).sum(0) % 251).astype(np.uint8)[..., None].repeat(3, 2)
pixels[:128, :64] = np.kron(np.eye(16, 8, dtype=np.uint8), np.full((8, 8), 255, np.uint8))[..., None]
"""
USED = """
for effort in (1, 2, 3):
    data = vaecodec.encode(pixels, effort=effort, tile=64)
assert any(tile.overlay for tile in vaecodec.Codec().open(data).unpacked())
whole, codec = vaecodec.decode(data), vaecodec.Codec(threads=2)
assert (np.concatenate(list(codec.decode_rows(data))) == whole).all()
assert (codec.decode_region(data, (10, 20, 50, 60)).pixels == whole[20:80, 10:60]).all()
assert (codec.decode_partial(data[:-100]).picture.pixels != 0).any()
codec.decode_scaled(data, 2), codec.encode_to(pixels, vaecodec.Target(psnr=30)), vae.features(codec, data)
vaecodec.decode_image(data, upright=True), vaecodec.decode_batch([data])
vaecodec.vaec_decode(vaecodec.vaec_encode(pixels))
vae.sample(codec, (70, 60), 50, 0), vae.bound(codec, vaecodec.Picture(pixels), 50, 2)
assert not {name.partition(".")[0] for name in sys.modules} & {"torch", "safetensors"}
"""
# Finders as they are where it is not installed.
HIDDEN = """
import sys

class WithoutTorch:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, *rest):
        return None if name.partition(".")[0] == "torch" else self.finder.find_spec(name, *rest)

sys.meta_path[:] = [WithoutTorch(finder) for finder in sys.meta_path]
"""
REFUSED = """
for effort in range(4, 10):
    try:
        vaecodec.encode(pixels, effort=effort)
    except vaecodec.VaecError as error:
        print(error)
"""


def run(code: str, *arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("there", [True, False])
def test_what_needs_no_torch_does_not_load_it(there: bool) -> None:
    done = run(("" if there else HIDDEN) + PREPARED + USED)
    assert done.returncode == 0, done.stderr


def test_efforts_that_need_it() -> None:
    done = run(HIDDEN + PREPARED + REFUSED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"effort {effort} needs PyTorch, which is not installed: pip install 'vaecodec[torch]'"
        for effort in range(4, 10)
    ]


@pytest.mark.parametrize(
    ("code", "what"),
    [("vaecodec.decode_vaec(vaecodec.encode(pixels))", "decode_vaec"), ("import vaecodec.dataset", "vaecodec.dataset")],
)
def test_functions_that_need_it(code: str, what: str) -> None:
    done = run(f"{HIDDEN}{PREPARED}try:\n    {code}\nexcept vaecodec.VaecError as error:\n    print(error)")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{what} needs PyTorch, which is not installed: pip install 'vaecodec[torch]'\n"


@pytest.mark.parametrize(
    "command",
    [
        "encode --effort 4 a.png",
        "encode --effort 9 --target-psnr 15 a.png",
        "encode --denoise auto a.png",
        "denoise a.png b.png",
        "inpaint a.png b.png",
        "enhance a.png b.png",
        "restore --operator blur:1 a.png b.png",
    ],
)
def test_commands_that_need_it(tmp_path: Path, command: str) -> None:
    Image.fromarray(picture(40, 50)).save(tmp_path / "a.png")
    done = run(HIDDEN + "from vaecodec.cli import main\nmain(sys.argv[1:])", *command.split(), folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("vaecodec: ") and line.endswith("which is not installed: pip install 'vaecodec[torch]'")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_commands_that_do_not(tmp_path: Path) -> None:
    Image.fromarray(picture(40, 50)).save(tmp_path / "a.png")
    for command in ("encode a.png", "verify --decode a.vaec", "decode -f a.vaec a.png", "sample s.png", "elbo a.png"):
        code = HIDDEN + "from vaecodec.cli import main\nmain(sys.argv[1:])"
        done = run(code, *command.split(), folder=tmp_path)
        assert done.returncode == 0, done.stderr
