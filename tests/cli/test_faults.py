"""What goes wrong while a file is written: under its final name there is what was there, or the whole new file."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from vaecodec.codec import Codec

ROOT = Path(__file__).resolve().parents[2]
VAECODEC = [sys.executable, "-m", "vaecodec"]

# In a mount namespace of its own: a file system of 64 KiB, nearly full, and who writes there: an encoder, and a decoder
# for which every picture is a large one.
FULL = """
import json, os, subprocess, sys
folder, picture, coded = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
os.chdir(folder)
open("old.vaec", "wb").write(b"what was there")
open("ballast", "wb").write(bytes(48 * 1024))
runs = []
for target in ("old.vaec", "new.vaec"):
    command = [sys.executable, "-m", "vaecodec", "encode", "--threads", "1", "-f", "-q", "100", picture, target]
    done = subprocess.run(command, capture_output=True, text=True)
    runs.append([done.returncode, done.stderr])
by_rows = "import sys, vaecodec.pictures.picture as r; r.BY_ROWS_FROM = 1; "
by_rows += "from vaecodec.cli import main; main(sys.argv[1:])"
done = subprocess.run([sys.executable, "-c", by_rows, "decode", coded, "new.png"], capture_output=True, text=True)
runs.append([done.returncode, done.stderr])
print(json.dumps({"runs": runs, "files": sorted(os.listdir()), "old": open("old.vaec").read()}))
"""


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    with Image.open(ROOT / "tests" / "data" / "kodim23.png") as image:
        image.crop((0, 0, 384, 256)).save(path)
    return path


def encode(photo: Path, target: Path, **how: object) -> subprocess.Popen[str]:
    command = [*VAECODEC, "encode", "--threads", "1", "-f", str(photo), str(target)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **how)  # type: ignore[call-overload]


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare")
def test_full_disk(photo: Path, tmp_path: Path) -> None:
    coded = photo.with_suffix(".vaec")
    assert encode(photo, coded).wait(timeout=120) == 0
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("no file systems may be mounted here")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = ["unshare", "-rm", sys.executable, "-c", FULL, str(tmp_path), str(photo), str(coded)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = json.loads(done.stdout)
    assert len(found["runs"]) == 3
    for code, message in found["runs"]:
        assert code == 1 and "No space left on device" in message and "Traceback" not in message
        assert len(message.strip().splitlines()) == 1
    assert found["files"] == ["ballast", "old.vaec"] and found["old"] == "what was there"


def test_file_size_limit(photo: Path, tmp_path: Path) -> None:
    """As set by `ulimit -f`, of whose signal Python makes an error."""
    target = tmp_path / "a.vaec"
    target.write_text("what was there")
    limited = encode(photo, target, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    _, err = limited.communicate(timeout=120)
    assert limited.returncode == 1 and "File too large" in err and "Traceback" not in err
    assert os.listdir(tmp_path) == ["a.vaec"] and target.read_text() == "what was there"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    process = encode(photo, folder / "a.vaec")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "Permission denied" in err and "Traceback" not in err


def test_kills(photo: Path, tmp_path: Path, shipped: Codec) -> None:
    """At any moment; most of the times fall in the second half, where the coding and the writing are."""
    rng = random.Random(0)
    target = tmp_path / "a.vaec"
    start = time.monotonic()
    assert encode(photo, target).wait(timeout=120) == 0
    whole, seconds = target.read_bytes(), time.monotonic() - start
    target.write_bytes(b"what was there")
    killed = 0
    for _ in range(40):  # a shared machine may be slow at first and fast then
        start, process = time.monotonic(), encode(photo, target)
        try:
            assert process.wait(seconds * (0.4 + 0.65 * rng.random())) == 0
            seconds = time.monotonic() - start
        except subprocess.TimeoutExpired:
            process.kill()
            killed += process.wait() != 0
        assert target.read_bytes() in (whole, b"what was there")
        if killed == 8:
            break
    assert killed == 8
    assert all(name == "a.vaec" or name.startswith(".vaecodec-") for name in os.listdir(tmp_path))
    assert shipped.decode(whole).pixels.shape == (256, 384, 3)


def test_two_writers_of_one_name(photo: Path, tmp_path: Path) -> None:
    """Each is whole, and the last one stays."""
    target = tmp_path / "a.vaec"
    with Image.open(photo) as image:
        image.rotate(180).save(tmp_path / "b.png")
    expected = []
    for source in (photo, tmp_path / "b.png"):
        assert encode(source, target).wait(timeout=120) == 0
        expected.append(target.read_bytes())
    for _ in range(3):
        both = [encode(source, target) for source in (photo, tmp_path / "b.png")]
        while any(process.poll() is None for process in both):
            assert target.read_bytes() in expected
            time.sleep(0.01)
        assert [process.returncode for process in both] == [0, 0]
        assert target.read_bytes() in expected and len(os.listdir(tmp_path)) == 2
