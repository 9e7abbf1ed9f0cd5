"""encode-many and its like on a Ray cluster of two nodes, to which things happen. The commands are processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vaecodec
from tests import servers
from tests.commands import picture_file
from tools.measure.cluster import crops, disturbed, two_nodes
from vaecodec.codec import Codec
from vaecodec.distributed import ray_data

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as environment, servers.s3(environment) as url:
        yield url


@pytest.fixture(scope="module")
def cluster(bucket: str) -> Iterator[Any]:
    """Of two nodes, which know where the bucket is."""
    servers.modules("ray", "pyarrow")
    with two_nodes() as nodes:
        yield nodes


def vaecodec_(*arguments: object, module: str = "vaecodec") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def rows(table: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return pq.read_table(table).to_pylist()


def test_a_tree_in_a_store(cluster: Any, bucket: str, shipped: Codec, tmp_path: Path) -> None:
    """Encode from here to the store, decode back, describe both: what was done is left out the second time."""
    (tmp_path / "in" / "x").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "x/b.png", "x/c.png")):
        picture_file(tmp_path / "in" / name, seed=seed)
    (tmp_path / "in" / "bad.png").write_text("no picture")
    at = ("--address", cluster.address)
    done = vaecodec_("encode-many", tmp_path / "in", f"{bucket}/out", "-q", 60, "--json", *at)
    assert done.returncode == 1 and "3 files done, 1 failed: s3://bucket/out/_errors.parquet says why" in done.stderr
    facts = {row["input"]: row for row in map(json.loads, done.stdout.splitlines())}
    expected = shipped.encode(tmp_path / "in" / "x" / "b.png", 60)
    fact = facts.pop(str(tmp_path / "in" / "x" / "b.png"))
    assert (fact["output"], fact["bytes"], fact["ok"]) == (f"{bucket}/out/x/b.vaec", len(expected), True)
    assert facts[str(tmp_path / "in" / "bad.png")]["code"] == 1 and len(facts) == 3

    done = vaecodec_("decode-many", f"{bucket}/out", tmp_path / "back", "--format", "ppm", *at)
    assert (done.returncode, done.stdout) == (0, "") and "3 files done" in done.stderr
    assert rows(tmp_path / "back" / "_errors.parquet") == []
    pixels = vaecodec.decode(expected)
    assert (tmp_path / "back" / "x" / "b.ppm").read_bytes().endswith(pixels.tobytes())

    features = tmp_path / "features"
    for count in (3, 0):
        done = vaecodec_("features-many", f"{bucket}/out", features, "--batch", 2, *at)
        assert done.returncode == 0 and (f"{count} files done" in done.stderr) == bool(count)
        found = [row for part in features.glob("part-*") for row in rows(part)]
        assert sorted(row["path"] for row in found) == [f"{bucket}/out/{name}.vaec" for name in ("a", "x/b", "x/c")]
    assert "3 files skipped" in done.stderr and len(list(features.glob("part-*"))) == 2


def test_a_picture_that_kills_its_worker_takes_no_other_along(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(("a.png", "deadly.png", "z.png")):
        picture_file(tmp_path / "in" / name, seed=seed)
    options = ("--address", cluster.address, "--batch", 3)
    done = vaecodec_("encode-many", tmp_path / "in", tmp_path / "out", *options, module="tests.distributed.deadly")
    assert done.returncode == 1 and done.stdout == ""
    reason = "its worker died 3 times, perhaps for lack of memory"
    deadly = str(tmp_path / "in" / "deadly.png")
    assert done.stderr.splitlines()[0] == f"vaecodec: {deadly}: {reason}"
    assert rows(tmp_path / "out" / "_errors.parquet") == [{"path": deadly, "reason": reason, "code": 1}]
    assert sorted(os.listdir(tmp_path / "out")) == ["_errors.parquet", "a.vaec", "z.vaec"]


def test_a_worker_a_node_and_the_driver_go(cluster: Any, tmp_path: Path) -> None:
    """The last test with this cluster: it has one node less then."""
    crops(ROOT / "tests" / "data", tmp_path / "many", 60, (0.1, 0.2))
    found = disturbed(cluster, tmp_path / "many", tmp_path, 60)
    assert found["outputs"] == found["equal to the plain command's"] == found["pictures"] == 60
    assert 30 <= found["done when the driver was killed"] < 60 and found["other files left"] == 0
    # What was at hand when a worker or the driver was killed, or a node went, may have been coded and not written.
    assert 60 <= found["codings"] <= 60 + 5


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_it_ends_in_order_on_this_machine(tmp_path: Path) -> None:
    servers.modules("ray", "pyarrow")
    crops(ROOT / "tests" / "data", tmp_path / "many", 60, (0.5, 1))
    command = [sys.executable, "-m", "vaecodec", "encode-many", str(tmp_path / "many"), str(tmp_path / "out")]
    options: dict[str, Any] = {"stderr": subprocess.PIPE, "text": True, "cwd": ROOT, "start_new_session": True}
    with subprocess.Popen([*command, "--workers", "1"], **options) as running:
        while not list((tmp_path / "out").rglob("*.vaec")):
            assert running.poll() is None, running.communicate()[1]
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
        said = running.communicate()[1]
    assert running.returncode == 130 and said.strip() == "vaecodec: interrupted"
    done = list((tmp_path / "out").rglob("*.*"))
    assert 0 < len(done) < 60 and all(path.suffix == ".vaec" and vaecodec.read_info(path) for path in done)
    assert not list(Path(ray_data.SHORT).glob(f"vaecodec-ray-*/session_*_{running.pid}"))
