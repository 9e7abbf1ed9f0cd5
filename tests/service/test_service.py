"""`vaecodec serve`: what it answers, driven over HTTP."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import SAMPLE, Run
from tests.service.serving import ROOT, Answer, Service, picture, serving
from vaecodec.errors import VaecError
from vaecodec.service.app import make_app
from vaecodec.version import __version__

VECTORS = ROOT / "tests" / "vectors"
SMALL = picture(120, 90)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving("--processes", 1, "--max-bytes", "1MB", "--max-pixels", 2_000_000) as running:
        yield running


@pytest.fixture(scope="module")
def coded(service: Service) -> bytes:
    return service.post("/encode", SMALL).body


def refused(answer: Answer, status: int, words: str) -> None:
    """With one sentence that has these words."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status and answer.json["title"] and answer.json["type"] == "about:blank"
    assert re.search(words, answer.json["detail"]) and "\n" not in answer.json["detail"]


@pytest.mark.parametrize(
    "options", ["", "quality=40&effort=1&strip=private", "progressive=true&preview=1", "tune=psnr"]
)
def test_encode_gives_what_the_command_gives(service: Service, real: Run, options: str) -> None:
    arguments = {"quality=40": "-q 40", "effort=1": "--effort 1", "strip=private": "--strip private"}
    arguments |= {"progressive=true": "--progressive", "preview=1": "--preview", "tune=psnr": "--tune psnr", "": ""}
    words = " ".join(arguments[option] for option in options.split("&")).split()
    wanted = real("encode", *words, SAMPLE, "-").out
    answer = service.post(f"/encode?{options}", SAMPLE.read_bytes())
    assert answer.status == 200 and answer.body == wanted
    assert answer.headers["Content-Type"] == "image/vaec" and answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["png", "webp", "avif", "jpeg", "tiff", "ppm"])
def test_decode_gives_what_the_command_gives(service: Service, coded: bytes, real: Run, name: str) -> None:
    Path("a.vaec").write_bytes(coded)
    real("decode", "a.vaec", f"a.{name}")
    kind = "image/x-portable-pixmap" if name == "ppm" else f"image/{name}"
    for answer in (service.post(f"/decode?format={name}", coded), service.post("/decode", coded, Accept=kind)):
        assert answer.status == 200 and answer.body == Path(f"a.{name}").read_bytes()
        assert answer.headers["Content-Type"] == kind and answer.headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    "query, arguments",
    [
        ("region=10,20,30,40", "--region 10,20,30,40"),
        ("scale=1/4", "--scale 1/4"),
        ("max_size=50", "--max-size 50"),
        ("preview=true", "--preview"),
        ("strip=all", "--strip all"),
    ],
)
def test_parts_are_decoded(service: Service, coded: bytes, real: Run, query: str, arguments: str) -> None:
    Path("a.vaec").write_bytes(coded)
    wanted = real("decode", *arguments.split(), "a.vaec", "-").out
    answer = service.post(f"/decode?{query}", coded)
    assert answer.status == 200 and answer.body == wanted


def test_info_says_what_the_command_says(service: Service, coded: bytes, real: Run) -> None:
    Path("a.vaec").write_bytes(coded)
    wanted = json.loads(real("info", "--json", "a.vaec").out)
    answer = service.post("/info", coded)
    assert answer.status == 200 and {"file": "a.vaec", **answer.json} == wanted


def test_notes_and_etag(service: Service) -> None:
    """The same bytes have the same tag."""
    first, second, other = (service.post("/encode", data) for data in (SMALL, SMALL, picture(120, 91)))
    assert first.headers["ETag"] == second.headers["ETag"] != other.headers["ETag"]
    assert "Vaec-Notes" not in first.headers
    again = service.post("/decode?format=ppm", service.post("/encode", SAMPLE.read_bytes()).body)
    assert again.headers["Vaec-Notes"] == "its XMP is not held by PPM"


@pytest.mark.parametrize(
    "query, words",
    [
        ("quality=101", "quality: '101' is not a number from 0 to 100"),
        ("quality=nan", "not a number"),
        ("quality=", "not a number"),
        ("effort=4", "effort: '4' is not a whole number from 1 to 3"),
        ("progressive=maybe", "one of true, false, 1, 0"),
        ("strip=some", "one of none, private, all"),
        ("qualty=50", "there is no parameter 'qualty'"),
        ("quality=5&quality=6", "given twice"),
        ("url=http://127.0.0.1/a.png", "there is no parameter"),
    ],
)
def test_bad_parameters_of_encode(service: Service, query: str, words: str) -> None:
    refused(service.post(f"/encode?{query}", SMALL), 400, words)


@pytest.mark.parametrize(
    "query, words",
    [
        ("region=1,2,3", "X,Y,WIDTH,HEIGHT"),
        ("region=100,0,100,10", "not within the picture"),
        ("scale=1/3", "one of 1/1, 1/2, 1/4, 1/8"),
        ("max_size=0", "a whole number from 1"),
        ("format=bmp", "one of png"),
        ("scale=1/2&max_size=9", "exclude each other"),
    ],
)
def test_bad_parameters_of_decode(service: Service, coded: bytes, query: str, words: str) -> None:
    refused(service.post(f"/decode?{query}", coded), 400, words)


def test_other_statuses(service: Service, coded: bytes) -> None:
    refused(service.post("/encode", b""), 400, "empty")
    refused(service.post("/info?all=1", coded), 400, "no parameter 'all'")
    refused(service.ask("GET", "/nothing"), 404, "nothing at this path")
    refused(service.ask("POST", "/encode/", SMALL), 404, "nothing at this path")
    refused(service.ask("GET", "/encode"), 405, "takes POST")
    assert service.ask("PUT", "/decode", coded).headers["Allow"] == "POST"
    refused(service.post("/encode", SMALL, Accept="image/png"), 406, "image/vaec")
    refused(service.post("/decode", coded, Accept="text/html, image/gif;q=0.5"), 406, "image/png, image/webp")
    refused(service.post("/decode", SMALL), 415, "not a .vaec file")
    refused(service.post("/info", SMALL), 415, "not a .vaec file")
    refused(service.post("/encode", b"no picture at all"), 415, "not a picture")
    refused(service.post("/encode", coded), 415, "a .vaec file already")
    refused(service.post("/encode", SMALL[:-200]), 422, "damaged or truncated")
    refused(service.post("/decode", coded[:-20]), 422, "past the end of the file")


def test_too_large(service: Service, coded: bytes) -> None:
    """In bytes, said or not, and in pixels."""
    large = bytes(1_000_001)
    refused(service.post("/encode", large), 413, "larger than 1000000 bytes")
    refused(service.ask("POST", "/encode", iter([large[:500_000]] * 3), {}, encode_chunked=True), 413, "1000000 bytes")
    refused(service.post("/encode", picture(2001, 1000)), 413, "limit of 2000000 pixels")
    huge = b"".join(
        [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0))]
    )
    refused(service.post("/encode", huge + chunk(b"IDAT", zlib.compress(bytes(9)))), 413, "limit")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_no_file_harms_it(service: Service) -> None:
    """Every invalid vector, as both kinds of input; and those of the process are still there."""
    workers = service.workers()
    for path in sorted((VECTORS / "invalid").iterdir()):
        data = path.read_bytes()
        statuses = {name: service.post(f"/{name}", data).status for name in ("encode", "decode", "info")}
        assert statuses["decode"] in (400, 413, 415, 422), path.name
        assert statuses["encode"] in (400, 415), path.name
        assert statuses["info"] in (200, 400, 415, 422), path.name
    assert service.workers() == workers
    assert service.post("/encode", SMALL).status == 200


def test_what_it_says_of_itself(service: Service) -> None:
    about = service.ask("GET", "/").json
    assert about["version"] == __version__ and about["limits"]["max_bytes"] == 1_000_000
    assert "image/avif" in about["answers"]["POST /decode"]
    assert service.ask("HEAD", "/").body == b""
    assert service.ask("GET", "/health").json == {"status": "alive"}
    assert service.ask("GET", "/ready").json == {"status": "ready"}


def test_metrics(service: Service) -> None:
    names = ['requests_total{route="encode",status="200"}', 'pixels_total{route="encode"}']
    names += ['received_bytes_total{route="encode"}', 'sent_bytes_total{route="encode"}']
    names += ['request_seconds_count{route="encode",status="200"}', 'requests_total{route="encode",status="415"}']
    before = [service.figure(name) for name in names]
    size = len(service.post("/encode", SMALL).body)
    service.post("/encode", b"nothing")
    grown = [service.figure(name) - old for name, old in zip(names, before, strict=True)]
    assert grown[:3] == [1, 120 * 90, len(SMALL) + 7]
    assert size < grown[3] < size + 300 and grown[4:] == [1, 1]
    assert service.figure("processes_ready") == 1 and service.figure("held_bytes") == 0


def test_several_requests_on_one_connection(service: Service) -> None:
    """Also behind one whose body was not read."""
    connection = service.connect()
    for path, status in (("/encode?x=1", 400), ("/encode", 200), ("/decode", 415)):
        connection.request("POST", path, SAMPLE.read_bytes())
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--max-effort", "10"], "not between 1 and 9"),
        (["--held", "1kB"], "held is less than"),
        (["--memory", "100MB"], "memory is less than 536870912 bytes"),
        (["--host", "256.0.0.1"], "vaecodec: "),
        (["--port", "70000"], "not between 0 and 65535"),
    ],
)
def test_what_cannot_be_served(arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "vaecodec", "serve", "--port", "0", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode in (1, 2) and words in ended.stderr and "Traceback" not in ended.stderr


def test_a_port_is_taken_once(service: Service) -> None:
    command = [sys.executable, "-m", "vaecodec", "serve", "--port", str(service.port)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 1 and ended.stderr.startswith("vaecodec: Address already in use")
    assert ended.stderr.count("\n") == 1


def test_who_is_refused_early_gets_the_answer(service: Service) -> None:
    """Though he sends on, and closes the connection after one request. What never ends is not waited for."""
    body = bytes(900_000)
    for _ in range(10):
        answer = service.ask("POST", "/encode?x=1", body, {"Connection": "close"})
        refused(answer, 400, "no parameter 'x'")
        refused(service.ask("POST", "/nothing", body, {"Connection": "close"}), 404, "nothing")


def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(VaecError, match=r"Starlette, which is not installed: pip install 'vaecodec\[serve\]'"):
        make_app()
