"""Files by URL: names, reading by ranges, writing whole, with real servers on the loopback."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import vaecodec
from tests import servers
from tests.commands import SAMPLE, Run, picture_file, pixels_of, vaec_file
from tests.sample_pictures import picture
from vaecodec import files
from vaecodec.bitstream import container
from vaecodec.bitstream.chunks import CHUNK_OVERHEAD, SIGNATURE, pack_chunk
from vaecodec.bitstream.tiles import tile_chunks
from vaecodec.codec import Codec
from vaecodec.codec.encoder import EncodeOptions, header_for
from vaecodec.remote import HEAD, Ranged, Remote, located

BIG = 9856  # pixels a side: 97 megapixels, 14 x 14 whole tiles


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module", params=["s3", "sftp"])
def server(
    request: pytest.FixtureRequest, environment: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a place that can be written to."""
    if request.param == "s3":
        with servers.s3(environment) as url:
            yield url
    else:
        with servers.sftp(environment, tmp_path_factory.mktemp("sshd"), tmp_path_factory.mktemp("root")) as url:
            yield url


@pytest.fixture
def store(server: str, request: pytest.FixtureRequest) -> Remote:
    """An empty folder there."""
    folder = Remote(f"{server}/{request.node.name.split('[')[0]}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path, Path]]:
    """A URL, the folder behind it and that of the server."""
    root, folder = tmp_path / "root", tmp_path / "nginx"
    root.mkdir(), folder.mkdir()
    with servers.http(folder, root) as url:
        yield url, root, folder


def names(folder: Remote) -> list[str]:
    return sorted(str(path)[len(str(folder)) + 1 :] for path in folder.below())


@pytest.mark.parametrize(
    ("url", "name", "parent", "renamed", "below"),
    [
        ("s3://b/x/a.png", "a.png", "s3://b/x", "s3://b/x/a.vaec", "s3://b/x/a.png/c/d"),
        ("s3://b/", "b", "s3://b", None, "s3://b/c/d"),
        ("http://h:8/a.png?k=1//2.x", "a.png", "http://h:8?k=1//2.x", "http://h:8/a.vaec?k=1//2.x", None),
        ("zip://x/a.png::s3://b/z.zip", "a.png", "zip://x::s3://b/z.zip", "zip://x/a.vaec::s3://b/z.zip", None),
        ("zip://::z.zip", "zip:", "zip://::z.zip", None, "zip://c/d::z.zip"),
    ],
)
def test_names(url: str, name: str, parent: str, renamed: str | None, below: str | None) -> None:
    path = located(url)
    assert isinstance(path, Remote) and path.name == name and str(path.parent) == parent
    assert renamed is None or (str(path.with_suffix(".vaec")) == renamed and path.suffix == ".png")
    assert below is None or str(path / "c/d") == below
    assert pickle.loads(pickle.dumps(path)) == path and {path: 1}[Remote(url)] == 1


def test_what_is_no_url() -> None:
    for name in ("a.png", "s3:/a", "C:/a", "a/b://c", "://x"):
        assert not isinstance(located(name), Remote) and located(name) == Path(name)
    assert located("file:///tmp/a.png") == located("file:/tmp/a.png") == Path("/tmp/a.png")


def test_a_file_here_needs_no_fsspec(tmp_path: Path) -> None:
    code = "import sys, vaecodec; vaecodec.decode(vaecodec.encode(sys.argv[1])); assert 'fsspec' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, SAMPLE], check=True)


def test_without_the_packages(real: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    picture_file("a.png")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    result = real("encode", "s3://bucket/b.png", "a.png", "-o", "out/")
    assert result.code == 1 and Path("out/a.vaec").exists()
    assert "s3:// needs fsspec, which is not installed: pip install 'vaecodec[remote]'" in result.err
    with pytest.raises(vaecodec.VaecError, match="needs fsspec"):
        vaecodec.decode("s3://bucket/a.vaec")


def test_one_file_there_and_back(run: Run, store: Remote) -> None:
    store.__truediv__("in.png").put(picture_file("in.png").read_bytes(), False)
    assert run("encode", store / "in.png").code == 0
    assert run("encode", "in.png").code == 0
    assert (store / "in.vaec").read_bytes() == Path("in.vaec").read_bytes()
    again = run("encode", "-q", "20", "in.png", store / "in.vaec")
    assert again.code == 1 and f"{store}/in.vaec exists already; -f replaces it" in again.err
    assert (store / "in.vaec").read_bytes() == Path("in.vaec").read_bytes()
    assert run("encode", "-f", "-q", "20", "in.png", store / "in.vaec").code == 0
    assert (store / "in.vaec").read_bytes() != Path("in.vaec").read_bytes()
    assert run("decode", store / "in.vaec", store / "back.png").code == 0
    np.testing.assert_array_equal(pixels_of((store / "back.png").read_bytes()), pixels_of("in.png"))
    assert run("encode", "-f", store / "in.png", "-o", store / "in.png").code == 1, "the input itself"
    assert names(store) == ["back.png", "in.png", "in.vaec"], "and no temporary file"
    assert run("info", store / "in.vaec").code == run("verify", store / "in.vaec").code == 0
    assert run("thumbnail", store / "back.png", store / "t.png").code == 3
    assert "No such file or directory" in run("decode", store / "no.vaec", "no.png").err


def test_a_folder(run: Run, store: Remote) -> None:
    for name in ("in/1/a.png", "in/2/a.png", "in/.hidden.png", "in/text.txt"):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).put(picture_file("a.png").read_bytes(), False)
    assert "-r takes what is in it" in run("encode", store / "in").err
    result = run("encode", "-r", store / "in", "-o", f"{store}/out/")
    assert result.code == 0 and "2 files left alone: 1 hidden, 1 with other endings" in result.err
    assert names(store / "out") == ["1/a.vaec", "2/a.vaec"]
    (store / "out/2/a.vaec").ask("rm_file")
    result = run("encode", "-r", store / "in", "--out-dir", store / "out", "--skip-existing")
    assert result.code == 0 and "1 file skipped: the output exists" in result.err
    if store.scheme == "s3":  # another machine writes there: what has been listed is not remembered
        import s3fs

        s3fs.S3FileSystem(skip_instance_cache=True).pipe_file(str(store / "out/3.vaec"), b"new")
        assert (store / "out/3.vaec").exists()
    (store / "list").put(f"{store}/in/1/a.png\n{store}/in/no.png\n".encode(), False)
    result = run("encode", "--manifest", store / "list", "--out-dir", "here", "--results", "done")
    assert result.code == 1 and "No such file" in result.err and len(Path("done").read_text().split("\n")) == 3
    assert [path.name for path in Path("here").rglob("*.vaec")] == ["a.vaec"]
    assert run("encode", "-p", store / "in/1/a.png", "x.vaec").code == 2
    assert run("encode", "a.png", "--results", store / "done").code == 2


def test_in_worker_processes(real: Run, store: Remote) -> None:
    for name in ("a.png", "b.png"):
        (store / name).put(picture_file(name).read_bytes(), False)
    assert real("encode", "-j", "2", "-r", store, "--out-dir", store / "out").code == 0
    assert real("encode", "a.png").code == 0
    assert names(store / "out") == ["a.vaec", "b.vaec"]
    assert (store / "out/a.vaec").read_bytes() == Path("a.vaec").read_bytes()


def test_of_two_writers_one_has_success(store: Remote) -> None:
    target = store / "a"
    target.put(b"first", False)
    check, Remote.check_target = Remote.check_target, lambda self, force: None  # both have seen nothing there
    try:
        with pytest.raises(OSError):
            target.put(b"second", False)
    finally:
        Remote.check_target = check
    assert target.read_bytes() == b"first" and names(store) == ["a"]
    target.put(b"third", True)
    assert target.read_bytes() == b"third" and names(store) == ["a"]


def test_a_place_that_cannot_be_written(run: Run, store: Remote) -> None:
    picture_file("a.png")
    missing = Remote("s3://no-such-bucket/a.vaec") if store.scheme == "s3" else store / "no/a.vaec"
    assert run("encode", "a.png", missing).code == 1
    assert names(store) == []


def test_what_can_only_be_read(run: Run) -> None:
    servers.modules("fsspec", "aiohttp")
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.write(picture_file("a.png"), "in/a.png")
    assert run("encode", "zip://in/a.png::a.zip", "b.vaec").code == 0
    assert run("encode", "-r", "zip://::a.zip", "-o", "out/").code == 0 and Path("out/in/a.vaec").exists()
    with zipfile.ZipFile("bad.zip", "w") as archive:
        archive.write("a.png", "../../x/a.png")
    Path("1/2").mkdir(parents=True)
    assert run("encode", "-r", "zip://::bad.zip", "-o", "1/2/3/").code in (0, 1)
    assert [str(path) for path in Path("1").rglob("*.vaec")] == ["1/2/3/x/a.vaec"], "nothing leads out"
    for target in ("zip://b.vaec::a.zip", "http://127.0.0.1:1/b.vaec"):
        assert f"{target[: target.index(':')]}:// can only be read" in run("encode", "a.png", "-o", target).err
    result = run("decode", "http://127.0.0.1:1/b.vaec", "b.png")
    assert result.code == 1 and result.err.count("\n") == 1 and "Cannot connect" in result.err
    assert "Protocol not known" in run("decode", "nothing://b/b.vaec", "b.png").err
    assert run("view", "s3://b/b.vaec").code == 2


def big_file(codec: Codec) -> bytes:
    """97 megapixels, of one tile over and over."""
    pixels = np.broadcast_to(np.uint8(0), (BIG, BIG, 3))
    header = header_for(codec, pixels, 600, EncodeOptions())
    assert header.grid == (14, 14)
    side = header.tile_side
    tile = container.parse(codec.encode(picture(side, side), 60)).unpacked()[0]
    tiles = [chunk for number in range(14 * 14) for chunk in tile_chunks(number, tile)]
    index = container.pack_index([len(chunk) - CHUNK_OVERHEAD for chunk in tiles])
    preview = container.parse(codec.encode(picture(90, 90), 60, preview=True)).preview
    chunks = [pack_chunk("HEAD", header.pack()), pack_chunk("pREV", preview or b""), pack_chunk("tIDX", index)]
    return SIGNATURE + b"".join(chunks + tiles)


def test_a_part_of_a_large_file_takes_few_bytes(small: Codec, web: tuple[str, Path, Path], real: Run) -> None:
    """At most 3 % of 100 megapixels, as nginx counts, headers included, wherever 512 x 512 of them are."""
    url, root, folder = web
    data = big_file(small)
    (root / "a.vaec").write_bytes(data)
    whole = container.parse(data)
    for at in (4672, 4900, 0, BIG - 512):  # the first where four tiles meet
        part = small.decode_region(f"{url}/a.vaec", (at, at, 512, 512)).pixels
        assert servers.sent(folder) <= 0.03 * len(data)
        np.testing.assert_array_equal(part, small.decode_region(whole, (at, at, 512, 512)).pixels)
    assert vaecodec.read_info(f"{url}/a.vaec").size == len(data)
    assert sum(vaecodec.read_info(f"{url}/a.vaec").parts.values()) == len(data)
    assert real("info", f"{url}/a.vaec").code == 0
    assert servers.sent(folder) < 3 * (HEAD + 2000)
    assert real("decode", "--preview", f"{url}/a.vaec", "p.png").code == 0 and pixels_of("p.png").shape == (90, 90, 3)
    assert real("thumbnail", f"{url}/a.vaec", "t.png").code == 0
    assert servers.sent(folder) < 2 * (HEAD + 2000)
    part = small.decode_region(f"{url}/whole/a.vaec", (0, 0, 64, 64)).pixels  # from a server that knows no ranges
    np.testing.assert_array_equal(part, small.decode_region(whole, (0, 0, 64, 64)).pixels)


def test_the_library(shipped: Codec, web: tuple[str, Path, Path]) -> None:
    url, root, _ = web
    picture_file(root / "a.png")
    data = vaecodec.encode(f"{url}/a.png")
    (root / "a.vaec").write_bytes(data)
    (root / "cut.vaec").write_bytes(data[:-9])
    pixels = vaecodec.decode(data)
    name = f"{url}/a.vaec?token=x//y"
    np.testing.assert_array_equal(vaecodec.decode(name), pixels)
    np.testing.assert_array_equal(vaecodec.decode(name, region=(1, 2, 3, 4)), pixels[2:6, 1:4])
    np.testing.assert_array_equal(vaecodec.decode_image(name).pixels, pixels)
    np.testing.assert_array_equal(vaecodec.decode_batch([name, name])[1], pixels)
    with pytest.raises(vaecodec.TruncatedError, match=r"cut\.vaec: "):
        vaecodec.decode(f"{url}/cut.vaec")
    with pytest.raises(FileNotFoundError):
        vaecodec.decode(f"{url}/none.vaec")


def test_a_data_set(store: Remote) -> None:
    pytest.importorskip("torch")
    from vaecodec.dataset import VaecDataset

    data = vaecodec.encode(np.zeros((8, 8, 3), np.uint8))
    for name in ("b.vaec", "a.vaec", "c.txt"):
        (store / name).put(data, False)
    found = VaecDataset(str(store))
    assert [path.name for path in found.paths] == ["a.vaec", "b.vaec"] and found[0].shape == (3, 8, 8)
    assert VaecDataset([store / "a.vaec"], skip_bad=True)[0].shape == (3, 8, 8)


def test_slices(tmp_path: Path) -> None:
    """Of what is sliced no byte is read twice or in vain, but for the beginning."""
    servers.modules("fsspec")
    data = os.urandom(3 * HEAD)
    path = Remote(f"memory://{tmp_path.name}/a")
    path.put(data, False)
    ranged, asked = Ranged(path), []
    read = ranged.read
    ranged.read = lambda start, stop: asked.append((start, stop)) or read(start, stop)  # type: ignore[method-assign]
    assert len(ranged) == len(data)
    for part in (slice(8), slice(8, 20), slice(HEAD - 1, HEAD + 5), slice(-5, None), slice(9, 3), slice(None)):
        assert bytes(ranged[part]) == data[part]
    assert asked == [(0, HEAD), (HEAD, HEAD + 5), (len(data) - 5, len(data)), (HEAD, len(data))]
    path.put(data[:-9], True)
    with pytest.raises(OSError, match="cut off"):
        ranged[len(data) - 20 :]
    path.put(vaec_file(tmp_path / "a.vaec").read_bytes(), True)
    assert files.in_parts(path) is not None and vaecodec.read_info(str(path)).width == 8
