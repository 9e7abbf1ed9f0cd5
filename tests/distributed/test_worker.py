"""The worker of engines: batches of bytes in, batches of bytes or reasons out."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vaecodec
from tests.commands import Run, picture_file, pixels_of
from vaecodec import jobs, vae
from vaecodec.codec import Codec
from vaecodec.distributed import COLUMNS, Decode, Encode, Features, Worker


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_same_bytes_as_the_command(real: Run) -> None:
    data = picture_file("a.png").read_bytes()
    worker = pickle.loads(pickle.dumps(Worker(Encode(60))))
    done = worker({"path": np.array(["x/a.png", "no.png", "b.txt"], object), "bytes": [data, b"", b"text"]})
    assert real("encode", "-q", "60", "a.png").code == 0
    assert tuple(done) == tuple(COLUMNS) and {len(column) for column in done.values()} == {3}
    assert done["output"] == ["x/a.vaec", "no.vaec", "b.vaec"]
    assert done["bytes"] == [Path("a.vaec").read_bytes(), None, None]
    assert done["error"][:2] == [None, "the file is empty"] and "not a picture" in done["error"][2]
    assert done["code"] == [0, 1, 1]
    assert (done["input_size"][0], done["output_size"][0]) == (len(data), len(done["bytes"][0]))
    assert pixels_of("a.png").shape[:2] == (done["height"][0], done["width"][0]) and done["seconds"][0] > 0


def test_it_reads_what_is_not_brought(shipped: Codec) -> None:
    picture_file("a.png")
    coded = Worker(Encode())({"path": ["a.png", "none.png"]})
    assert coded["bytes"][0] == shipped.encode("a.png") and coded["error"] == [None, "No such file or directory"]
    back = Worker(Decode(), ".ppm")({"path": ["a.vaec", "cut.vaec"], "bytes": [coded["bytes"][0], b"\x89VAEC"]})
    assert back["output"] == ["a.ppm", "cut.ppm"] and back["code"] == [0, 3]
    np.testing.assert_array_equal(pixels_of(back["bytes"][0]), vaecodec.decode(coded["bytes"][0]))
    assert Worker(Decode(), ".xyz")({"path": ["a"], "bytes": coded["bytes"][:1]})["error"][0].startswith("cannot write")


def test_features(shipped: Codec) -> None:
    data = picture_file("a.png").read_bytes()
    coded = shipped.encode(data, 75)
    done = Worker(Features())({"path": ["a.png", "a.vaec", "bad.vaec"], "bytes": [data, coded, coded[:-3]]})
    assert done["output"] == ["a.npy", "a.npy", "bad.npy"] and done["code"] == [0, 0, 3]
    for found in done["bytes"][:2]:
        np.testing.assert_array_equal(np.load(io.BytesIO(found)), vae.features(shipped, coded).pooled)


def test_an_error_of_ours_stops_no_other_file(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = jobs.Encode.encode

    def broken(self: Encode, data: bytes, *others: Any) -> Any:
        return encode(self, data, *others) if data else 1 / 0

    monkeypatch.setattr(jobs.Encode, "encode", broken)
    done = Worker(Encode())({"path": ["a.png", "b.png"], "bytes": [b"", picture_file("b.png").read_bytes()]})
    assert done["error"] == ["an error of vaecodec: ZeroDivisionError: division by zero", None]
