"""The Python of docs/guide/engines.md runs as it stands there: Dask, Spark and their like, each in a process."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

import vaecodec
from tests import installed, servers
from tests.sample_pictures import picture
from vaecodec.codec import Codec

PAGE = installed.ROOT / "docs" / "guide" / "engines.md"
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S))
CODE = {name: "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)) for name, text in SECTIONS.items()}
# No server of pages, and the compiler of Java that is ready soonest.
SPARK = "--conf spark.ui.enabled=false --driver-java-options=-XX:TieredStopAtLevel=1"
ERROR = "not a picture in a format that can be read, or one damaged at its start"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a picture, and an album with a folder in it."""
    monkeypatch.chdir(tmp_path)
    Path("album/2024").mkdir(parents=True)
    for seed, name in enumerate(("photo.png", "album/a.png", "album/2024/b c.png")):
        Image.fromarray(picture(320, 400, seed=seed)[:: 1 if name == "photo.png" else 4]).save(name)
    return tmp_path


@pytest.fixture
def bad(folder: Path) -> Path:
    """A file of the album that is no picture."""
    path = folder / "album" / "bad.png"
    path.write_text("no picture")
    return path


def run(section: str) -> str:
    """What the code of a section prints."""
    script = Path("example.py")
    script.write_text(CODE[section])
    environment = installed.environment(Path()) | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(Path("cache").resolve()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_SUBMIT_ARGS": f"{SPARK} pyspark-shell",
    }
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_small(shipped: Codec, bad: Path) -> None:
    """The folder of outputs, as the command makes it."""
    names = {path.relative_to("small").as_posix() for path in Path("small").rglob("*") if path.is_file()}
    assert names == {"a.vaec", "2024/b c.vaec"}
    for name in ("a", "2024/b c"):
        assert Path("small", f"{name}.vaec").read_bytes() == shipped.encode(f"album/{name}.png", 60)


def test_the_page_has_examples() -> None:
    assert [name for name, code in CODE.items() if code] == ["Dask", "Spark", "WebDataset", "Hugging Face", "Zarr"]


def test_dask(bad: Path, shipped: Codec) -> None:
    servers.modules("dask.bag", "pyarrow", "pandas")
    import pandas as pd

    run("Dask")
    check_small(shipped, bad)
    assert pd.read_parquet("errors.parquet").to_dict("records") == [{"path": str(bad), "error": ERROR, "code": 1}]


def test_spark(bad: Path, shipped: Codec) -> None:
    servers.modules("pyspark", "pyarrow", "pandas")
    servers.program("java")
    import pandas as pd

    run("Spark")
    check_small(shipped, bad)
    errors = pd.read_parquet("errors")
    assert errors[["path", "error", "code"]].to_dict("records") == [{"path": str(bad), "error": ERROR, "code": 1}]
    coded = pd.read_parquet("coded").set_index("path")
    assert len(coded) == 3
    for path in ("album/a.png", "album/2024/b c.png"):
        assert coded.loc[f"file:{Path(path).resolve()}", "bytes"] == shipped.encode(path, 60)
    assert coded.loc[f"file:{bad}", "error"] == ERROR and coded.loc[f"file:{bad}", "bytes"] is None


def test_webdataset(folder: Path, shipped: Codec) -> None:
    servers.modules("webdataset", "torch")
    Path("shards").mkdir()
    with tarfile.open("shards/0000.tar", "w") as shard:
        for name, data in {
            "x.png": Path("photo.png").read_bytes(),
            "x.cls": b"3",
            "y.png": b"no",
            "y.cls": b"4",
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            shard.addfile(info, io.BytesIO(data))
    shown = run("WebDataset").splitlines()
    assert shown == [f"{folder}/coded/0000.tar left out, y.png: {ERROR}", "x torch.Size([3, 320, 400]) 3"]


def test_hugging_face(folder: Path, shipped: Codec) -> None:
    servers.modules("datasets", "torch")
    assert "'image': VaecImage(mode=None, decode=True, quality=60, effort=3)" in run("Hugging Face")
    import pyarrow.parquet

    stored = pyarrow.parquet.read_table("small.parquet").column("image").to_pylist()
    assert {row["bytes"] for row in stored} == {shipped.encode(path, 60) for path in Path("album").rglob("*.png")}


def test_zarr(folder: Path, shipped: Codec) -> None:
    """By the names of the codecs, through the entry points."""
    servers.modules("zarr", "numcodecs")
    assert run("Zarr").split("\n")[0].startswith("(100, 100, 3) 768000 ")
    chunk = vaecodec.decode(shipped.encode("photo.png"))[:256, :256]
    for path in ("pictures.zarr/c/0/0/0/0", "format2.zarr/1.0.0.0"):
        coded = Path(path).read_bytes()
        assert coded == shipped.encode(chunk, 60)
