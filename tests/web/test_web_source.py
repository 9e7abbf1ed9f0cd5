"""Where the web decoder reads bytes from: memory, files, and a server with and without HTTP Range."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import VECTORS
from tests.web.node import run

CONTENT = bytes(n * n % 251 for n in range(100_000))
LOCAL = """
const { sourceOf } = await load("source.js");
const { VaecError } = await load("errors.js");
const { pathToFileURL } = await import("node:url");
const sum = (bytes) => Buffer.from(bytes).toString("hex");
const all = async (chunks) => {
  const parts = [];
  for await (const part of chunks) parts.push(part);
  return sum(Buffer.concat(parts));
};
const fails = async (promise) => {
  try {
    await promise;
  } catch (error) {
    return [error.name, error.code, error.message];
  }
  return "nothing";
};
"""
SOURCES = """
const [path, folder] = args;
const bytes = read(path);
const buffer = bytes.slice().buffer;
const url = pathToFileURL(path);
const data = `data:application/octet-stream;base64,${Buffer.from(bytes).toString("base64")}`;
const sources = {
  bytes: () => bytes,
  "part of a buffer": () => new Uint8Array(new Uint8Array([9, ...bytes, 9]).buffer, 1, bytes.length),
  buffer: () => buffer,
  view: () => new DataView(buffer),
  blob: () => new Blob([bytes]),
  response: () => new Response(bytes),
  path: () => path,
  "file URL": () => url,
  "file URL, text": () => url.href,
  "data URL": () => data,
};
const found = {};
for (const [name, make] of Object.entries(sources)) {
  const progress = [];
  const source = await sourceOf(make(), { onProgress: (received, total) => progress.push([received, total ?? null]) });
  const parts = [await source.read(10, 30), await source.read(bytes.length - 5, bytes.length + 5)];
  found[name] = {
    parts: parts.map(sum),
    whole: sum(await source.bytes()),
    chunks: await all((await sourceOf(make())).chunks()),
    size: source.size,
    last: progress.at(-1),
  };
}
const used = new Response(bytes);
await used.arrayBuffer();
const aborted = { signal: AbortSignal.abort() };
const later = new AbortController();
const endless = new ReadableStream({ start: (controller) => controller.enqueue(bytes) });
const slow = await sourceOf(new Response(endless), { signal: later.signal });
setTimeout(() => later.abort(), 20);
const failures = {
  number: await fails(sourceOf(5)),
  nothing: await fails(sourceOf(undefined)),
  "no such file": await fails(sourceOf(`${folder}/none.vaec`)),
  folder: await fails(sourceOf(folder)),
  "not found": await fails(sourceOf(new Response("", { status: 404 }))),
  used: await fails(sourceOf(used)),
  "no server": await fails((await sourceOf("http://127.0.0.1:9/a")).bytes()),
  "no URL": await fails((await sourceOf("http://")).read(0, 1)),
  aborted: await fails(sourceOf(bytes, aborted)),
  "aborted blob": await fails((await sourceOf(new Blob([bytes]))).bytes(aborted)),
  "aborted later": await fails(slow.bytes()),
};
answer({ found, failures });
"""


def test_local_sources(tmp_path: Path) -> None:
    path = tmp_path / "a file.bin"
    path.write_bytes(CONTENT)
    told = run(LOCAL + SOURCES, tmp_path, path, tmp_path)
    for name, found in told["found"].items():
        assert found["whole"] == found["chunks"] == CONTENT.hex(), name
        assert found["parts"] == [CONTENT[10:30].hex(), CONTENT[-5:].hex()], name
        assert found.get("size") in (len(CONTENT), None) and found["last"][0] == len(CONTENT), (name, found["last"])
    failures = told["failures"]
    for name in ("number", "nothing", "used"):
        assert failures[name][:2] == ["VaecError", "argument"], name
    for name in ("no such file", "folder", "not found", "no server", "no URL"):
        assert failures[name][:2] == ["VaecError", "network"], name
        assert "\n" not in failures[name][2]
    for name in ("aborted", "aborted blob", "aborted later"):
        assert failures[name][0] == "AbortError", name


class Server(ThreadingHTTPServer):
    """Serves CONTENT, in the way that the path names; remembers what it was asked for."""

    daemon_threads = True
    log: list[tuple[str, str | None]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        way, asked = self.path.strip("/").split("/")[0], self.headers.get("Range")
        assert isinstance(self.server, Server)
        self.server.log.append((self.path, asked))
        times = sum(path == self.path for path, _ in self.server.log)
        content = (VECTORS / "valid" / self.path.split("/")[2]).read_bytes() if way == "vector" else CONTENT
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked or "")
        if way == "missing":
            self.answer(404, b"")
        elif way == "plain" or not match:
            tag = {"ETag": f'"{times}"'} if way == "plain-changing" else {}
            length = len(content) + 9 if way == "cut" else None
            self.answer(200, content, tag, length)
        else:
            self.part(way, content, int(match[1]), int(match[2]) + 1, times)

    def part(self, way: str, content: bytes, start: int, end: int, times: int) -> None:
        end = min(end, len(content), start + 5000 if way == "short" else end)
        size: int | str = len(content)
        if start >= end:
            return self.answer(416, b"", {"Content-Range": f"bytes */{size}"})
        headers = {"ETag": f'"{times if way == "changing" else 1}"'}
        size = {"longer": size + times, "unsaid": "*"}.get(way, size)
        if way != "hidden":
            headers["Content-Range"] = f"bytes {start + (way == 'other')}-{end - 1}/{size}"
        if way == "stops" and times > 1:
            return self.answer(200, content, headers)
        self.answer(206, content[start:end], headers)

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(("127.0.0.1", 0), Handler)
    found.log = []
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


def base(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


RANGES = """
const [base, ways] = args;
const told = {};
for (const way of ways) {
  const source = await sourceOf(`${base}/${way}/a`);
  const before = source.size ?? null;
  const reads = [[0, 100], [50, 5000], [60000, 60010], [16000, 20000], [99990, 100010], [100000, 100001], [40, 40]];
  const parts = [];
  for (const [start, end] of reads) parts.push(sum(await source.read(start, end)));
  told[way] = { before, parts, reads, size: source.size ?? null };
}
const first = await sourceOf(`${base}/ranges/b`);
const progress = [];
const onProgress = (received, total) => progress.push([received, total]);
await first.read(20000, 20001, { onProgress });
const whole = sum(await first.bytes({ onProgress }));
const both = await sourceOf(`${base}/ranges/c`);
const twice = await Promise.all([both.read(0, 10), both.read(5, 200), both.read(90000, 90001), both.read(100, 30)]);
const plain = await sourceOf(`${base}/ranges/d`);
answer({ told, progress, whole, twice: twice.map(sum), plain: [sum(await plain.bytes()), await all(plain.chunks())] });
"""


def test_parts_of_remote_files(server: Server, tmp_path: Path) -> None:
    """stops: at first there are parts. hidden: another site's server that does not show what it sends."""
    ways = ["ranges", "plain", "stops", "short", "hidden", "unsaid"]
    found = run(LOCAL + RANGES, tmp_path, base(server), ways)
    for way, told in found["told"].items():
        assert told["before"] is None
        assert told["parts"] == [CONTENT[start:end].hex() for start, end in told["reads"]], way
        assert told["size"] in ({"hidden": (100000, None), "unsaid": (100000, None)}.get(way, (100000,))), way
    asked = {way: [part for path, part in server.log if path == f"/{way}/a"] for way in ways}
    wanted = ["bytes=0-16383", "bytes=60000-76383", "bytes=16384-32767", "bytes=99990-99999"]
    assert asked["ranges"] == wanted  # 16 kB at least; what is there is not asked for again, nor beyond the end
    assert asked["plain"] == wanted[:1]
    assert asked["stops"] == wanted[:2]
    assert found["progress"] == [[16384, 100000], [36384, 100000], [100000, 100000]]
    assert found["whole"] == CONTENT.hex()
    assert [part for path, part in server.log if path == "/ranges/b"][1:] == ["bytes=0-19999", "bytes=36384-99999"]
    parts = [CONTENT[:10], CONTENT[5:200], CONTENT[90000:90001], b""]
    assert found["twice"] == [part.hex() for part in parts]
    assert len([part for path, part in server.log if path == "/ranges/c"]) == 2
    assert found["plain"] == [CONTENT.hex()] * 2
    assert [part for path, part in server.log if path == "/ranges/d"] == [None]


FAILURES = """
const [base] = args;
const open = (way) => sourceOf(`${base}/${way}/a`);
const twice = async (way) => {
  const source = await open(way);
  await source.read(0, 10);
  return fails(source.read(50000, 50010));
};
const aborted = new AbortController();
const stopped = fails((await open("ranges")).read(0, 10, { signal: aborted.signal }));
aborted.abort();
const shared = await open("ranges");
const gone = new AbortController();
const mine = fails(shared.read(0, 10, { signal: gone.signal }));
const other = shared.read(0, 10);
gone.abort();
answer({
  missing: await fails((await open("missing")).read(0, 10)),
  "missing whole": await fails((await open("missing")).bytes()),
  cut: await fails((await open("cut")).bytes()),
  other: await fails((await open("other")).read(0, 10)),
  changing: await twice("changing"),
  longer: await twice("longer"),
  stopped: await stopped,
  mine: await mine,
  shared: sum(await other),
});
"""


def test_failures_of_servers(server: Server, tmp_path: Path) -> None:
    found = run(LOCAL + FAILURES, tmp_path, base(server))
    assert found.pop("shared") == CONTENT[:10].hex()  # asked for by a call that was aborted
    for name in ("stopped", "mine"):
        assert found.pop(name)[0] == "AbortError"
    for name, error in found.items():
        assert error[:2] == ["VaecError", "network"], name
    assert "404" in found["missing"][2] and "404" in found["missing whole"][2]
    assert "has changed" in found["changing"][2] and "has changed" in found["longer"][2]
    assert "too early" in found["cut"][2] and "another part" in found["other"][2]


TILES = """
const { parse, parseHead, tileRanges, tileOf } = await load("container.js");
const source = await sourceOf(args[0]);
let head = await source.read(0, 64);
let found = parseHead(head, { size: source.size });
while (found.needed) found = parseHead(await source.read(0, found.needed), { size: source.size });
const tiles = [];
for (const [number, ranges] of tileRanges(found).entries()) {
  const chunks = await Promise.all(ranges.map(([start, end]) => source.read(start, end)));
  tiles.push(tileOf(found.header, number, chunks));
}
const whole = parse(await source.bytes());
answer(JSON.stringify(tiles) === JSON.stringify(whole.tiles) && tiles.length);
"""


@pytest.mark.parametrize("name", ["small-progressive-overlays.vaec"])
def test_tiles_of_a_remote_file(server: Server, tmp_path: Path, name: str) -> None:
    assert run(LOCAL + TILES, tmp_path, f"{base(server)}/vector/{name}") == 4
