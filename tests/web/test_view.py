"""The server behind `vaecodec view`, and the sites that `vaecodec web` writes."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.commands import Run, picture_file, vaec_file
from vaecodec.cli import web as commands
from vaecodec.version import __version__
from vaecodec.web import server as serving
from vaecodec.web.server import ALIVE, HEADERS, Server, byte_range
from vaecodec.web.site import HERE, Site, bare, page, parts, site

CONTENT = bytes(range(256)) * 4
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Serves photo.vaec, and page.html from memory; it ends as soon as a page has been there."""
    (tmp_path / "photo.vaec").write_bytes(CONTENT)
    (tmp_path / "secret.txt").write_text("secret")
    names: Site = {
        "index.html": b"<!doctype html>",
        "photo.vaec": tmp_path / "photo.vaec",
        "gone.png": tmp_path / "gone",
    }
    server = Server(lambda alive: names, grace=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server
    server.shutdown()
    thread.join()


def ask(server: Server, name: str, method: str = "GET", root: str | None = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    path = (f"/{server.token}/" if root is None else root) + name
    connection.request(method, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {key.lower(): value for key, value in answer.getheaders()}, body


def test_files_of_the_site(server: Server) -> None:
    assert server.url == f"http://127.0.0.1:{server.server_port}/{server.token}/"
    assert server.server_address[0] == "127.0.0.1"
    assert ask(server, "")[::2] == (200, b"<!doctype html>")
    status, headers, body = ask(server, "photo.vaec")
    assert (status, body, headers["content-type"]) == (200, CONTENT, "image/vaec")
    assert ask(server, "photo.vaec?x=1#y")[0] == 200
    status, headers, body = ask(server, "photo.vaec", "HEAD")
    assert (status, headers["content-length"], body) == (200, "1024", b"")


@pytest.mark.parametrize("root", ["/", "/wrong/", "//", "/%2e%2e/"])
def test_nothing_without_the_token(server: Server, root: str) -> None:
    assert ask(server, "photo.vaec", root=root)[::2] == (404, b"")
    assert ask(server, "", root="/" + server.token)[0] == 404
    assert ask(server, ALIVE, root=root)[0] == 404


def test_tokens_differ() -> None:
    servers = [Server(lambda alive: {}) for _ in range(2)]
    assert len({server.token for server in servers}) == 2
    assert all(len(server.token) >= 32 for server in servers)
    for server in servers:
        server.server_close()


def test_a_name_of_another_host_is_refused(server: Server) -> None:
    """A page elsewhere whose name leads to this machine sends its own name."""
    assert ask(server, "photo.vaec", Host=f"localhost:{server.server_port}")[0] == 200
    for host in ("evil.example", f"evil.example:{server.server_port}", "127.0.0.1:1"):
        assert ask(server, "photo.vaec", Host=host)[0] == 404


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "secret.txt",
        "%2e%2e/secret.txt",
        "photo.vaec/",
        "./photo.vaec",
        "..%2fsecret.txt",
        "/etc/passwd",
    ],
)
def test_only_what_is_in_the_site(server: Server, name: str) -> None:
    assert ask(server, name)[::2] == (404, b"")


def test_a_file_that_is_gone(server: Server) -> None:
    assert ask(server, "gone.png")[0] == 404


def test_only_reading(server: Server) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert ask(server, "photo.vaec", method)[0] == 501
    assert ask(server, "photo.vaec")[2] == CONTENT


def test_headers_are_in_every_answer(server: Server) -> None:
    answers = [ask(server, name) for name in ("", "photo.vaec", "nothing")] + [ask(server, "x", Range="bytes=0-1")]
    for _, headers, _ in answers:
        for name, value in HEADERS.items():
            assert headers[name.lower()] == value
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "'wasm-unsafe-eval'" in policy
    assert (
        "unsafe-inline" not in policy and "'unsafe-eval'" not in policy and "*" not in policy and "http" not in policy
    )
    assert HEADERS["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("0-0", 0, 0),
        ("5-9", 5, 9),
        ("1000-", 1000, 1023),
        ("-24", 1000, 1023),
        ("1000-5000", 1000, 1023),
        ("-5000", 0, 1023),
    ],
)
def test_ranges(server: Server, wanted: str, first: int, last: int) -> None:
    status, headers, body = ask(server, "photo.vaec", Range=f"bytes={wanted}")
    assert (status, body) == (206, CONTENT[first : last + 1])
    assert headers["content-range"] == f"bytes {first}-{last}/1024"
    assert headers["accept-ranges"] == "bytes"


def test_ranges_beyond_the_end(server: Server) -> None:
    for wanted in ("1024-", "5000-6000", "-0"):
        status, headers, body = ask(server, "photo.vaec", Range=f"bytes={wanted}")
        assert (status, headers["content-range"], body) == (416, "bytes */1024", b"")


@pytest.mark.parametrize(
    "wanted", ["items=0-1", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-5", "bytes=0-1,4-5", "bytes=٣-٤"]
)
def test_ranges_that_are_ignored(wanted: str) -> None:
    assert byte_range(wanted, 1024) is None


def test_a_changed_file_is_sent_whole(server: Server, tmp_path: Path) -> None:
    tag = ask(server, "photo.vaec")[1]["etag"]
    assert ask(server, "photo.vaec", If_None_Match=tag)[0] == 304
    assert ask(server, "photo.vaec", Range="bytes=0-1", If_Range=tag)[0] == 206
    (tmp_path / "photo.vaec").write_bytes(CONTENT[:100])
    assert ask(server, "photo.vaec", If_None_Match=tag)[::2] == (200, CONTENT[:100])
    assert ask(server, "photo.vaec", Range="bytes=0-1", If_Range=tag)[::2] == (200, CONTENT[:100])


def beat(server: Server) -> socket.socket:
    """What a page holds open, once the server has said that it knows."""
    connection = socket.create_connection(("127.0.0.1", server.server_port), timeout=30)
    request = f"GET /{server.token}/{ALIVE} HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n"
    connection.sendall(request.encode())
    assert b"text/event-stream" in connection.recv(4096)
    return connection


def test_it_ends_with_the_last_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "BEAT", 0.01)
    server = Server(lambda alive: {"index.html": b""}, grace=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    first, second = beat(server), beat(server)
    first.close()
    deadline = time.monotonic() + 30
    while server.pages > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.pages == 1
    assert ask(server, "")[0] == 200  # one is left
    second.close()
    thread.join(30)
    assert not thread.is_alive()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.server_port), timeout=30)


def test_a_page_may_be_loaded_again() -> None:
    """What begins while the server waits keeps it."""
    server = Server(lambda alive: {"index.html": b""}, grace=0)
    ended: list[bool] = []
    server.shutdown = lambda: ended.append(True)  # type: ignore[method-assign]
    with server.page_open():
        with server.page_open():
            pass
        assert not ended
    assert ended
    server.server_close()


# The command


def test_view_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    vaec_file(tmp_path / "a.vaec")
    picture_file(tmp_path / "a.png")
    command = [sys.executable, "-m", "vaecodec", "view", "--no-browser", "a.vaec", "a.png"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, text=True) as process,
        ExitStack() as stack,
    ):
        stack.callback(process.kill)  # or it would be waited for where something fails
        assert process.stdout and select.select([process.stdout], [], [], 60)[0]
        url = urlsplit(process.stdout.readline().strip())
        connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=30)
        found = {}
        for name in ("", "a.vaec", "a.png", "vaec/vaec.js", "vaec/model.gz", "vaec/viewer/viewer.js"):
            connection.request("GET", url.path + name)
            found[name] = connection.getresponse().read()
        assert found["a.vaec"] == (tmp_path / "a.vaec").read_bytes()
        assert found["vaec/vaec.js"] == bare((HERE / "vaec.js").read_text("utf-8"))
        assert found["vaec/model.gz"].startswith(b"\x1f\x8b")
        assert b'data-alive="alive"' in found[""]
        connection.close()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_view_opens_the_browser(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    vaec_file("a.vaec")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: bool(opened.append(url)))  # says that it could not

    def served(server: Server) -> None:
        deadline = time.monotonic() + 30
        while not opened and time.monotonic() < deadline:
            time.sleep(0.01)
        server.server_close()

    monkeypatch.setattr(Server, "run", served)
    result = run("view", "a.vaec")
    assert (result.code, result.out) == (0, b"")
    assert opened and re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", opened[0])


def test_a_browser_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    commands.open_browser("http://127.0.0.1:1/x/")
    assert capsys.readouterr().err == "vaecodec: note: no browser could be started; open http://127.0.0.1:1/x/\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.vaec"], "vaecodec: No such file or directory: missing.vaec\n"),
        (["notes.txt"], "vaecodec: notes.txt is neither a .vaec file nor a picture that browsers read\n"),
        (["a.png"], "vaecodec: there is no .vaec file to compare a.png with\n"),
    ],
)
def test_view_refuses(run: Run, arguments: list[str], message: str) -> None:
    picture_file("a.png")
    Path("notes.txt").write_text("x")
    result = run("view", "--no-browser", *arguments)
    assert (result.code, result.out, result.err) == (1, b"", message)


def test_view_of_stdin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    data = vaec_file("a.vaec").read_bytes()
    seen: list[Site] = []
    monkeypatch.setattr(Server, "run", lambda server: seen.append(server.site) or server.server_close())
    assert run("view", "--no-browser", "-", stdin=data).code == 0
    assert seen[0]["stdin.vaec"] == data


# The site


class Links(HTMLParser):
    """The links of a page's list, and all that it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.files: list[tuple[str, str | None]] = []
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a":
            self.files.append((unquote(str(found["href"])), found.get("data-original")))
        elif address := found.get("src") or found.get("href"):
            self.loaded.append(address)
        self.inline += [tag for name in found if name == "style" or name.startswith("on")]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in found) else []


def listed(data: bytes) -> list[tuple[str, str | None]]:
    return Links(data.decode()).files


def test_what_goes_with_what(tmp_path: Path) -> None:
    a, b = vaec_file(tmp_path / "a.vaec"), vaec_file(tmp_path / "b.vaec")
    one, two = picture_file(tmp_path / "a.png"), picture_file(tmp_path / "other.jpg")
    assert listed(site([one, b, a])["index.html"]) == [("b.vaec", None), ("a.vaec", "a.png")]
    assert listed(site([a, b, two])["index.html"]) == [("a.vaec", None), ("b.vaec", "other.jpg")]
    assert listed(site([two, a])["index.html"]) == [("a.vaec", "other.jpg")]
    (tmp_path / "more").mkdir()
    again = vaec_file(tmp_path / "more" / "a.vaec")
    made = site([a, again])
    assert (made["a.vaec"], made["a-2.vaec"]) == (a, again)


def test_names_are_text(tmp_path: Path) -> None:
    name = "<b>&\"'#?%20 ü.vaec"
    made = site([vaec_file(tmp_path / name)])
    found = Links(made["index.html"].decode())
    assert [file for file, _ in found.files] == [name]
    assert b"<b>" not in made["index.html"]


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    found = Links(page({}).decode())
    assert found.inline == []
    assert found.loaded and all(address in parts() for address in found.loaded)
    assert (
        re.search(r'Content-Security-Policy" content="([^"]*)"', page({}).decode())[1]
        in HEADERS["Content-Security-Policy"]
    )
    assert b"data-alive" not in page({})


def test_all_that_modules_import_is_there() -> None:
    made = parts()
    for name, content in made.items():
        if not name.endswith(".js"):
            continue
        assert isinstance(content, bytes)
        text = content.decode()
        assert not re.search(r"(?m)^ *(//|/\*\*$)", text)  # comments of their own lines
        for target in re.findall(r'(?m)(?:\bfrom|^import) "(\.[^"]+)"|"(\.[^"]+)", import\.meta\.url', text):
            path = os.path.join(os.path.dirname(name), "".join(target))
            assert os.path.normpath(path) in made, (name, target)


def test_web_writes_a_site(run: Run) -> None:
    picture_file("a.png")
    vaec_file("a.vaec")
    result = run("web", "site/", "a.vaec", "a.png")
    names = sorted(path.relative_to("site").as_posix() for path in Path("site").rglob("*") if path.is_file())
    assert names == sorted({"index.html", "a.vaec", "a.png", *parts()})
    page = Path("site/index.html").as_posix()
    assert (result.code, result.out) == (0, b"")
    assert result.err == f"site: {len(names)} files; the page is {page}, for a web server to serve\n"
    assert listed(Path("site/index.html").read_bytes()) == [("a.vaec", "a.png")]
    assert Path("site/a.vaec").read_bytes() == Path("a.vaec").read_bytes()


def test_web_keeps_what_is_there(run: Run) -> None:
    vaec_file("a.vaec")
    assert run("web", "site", "a.vaec", "--quiet").err == ""
    Path("site/a.vaec").write_bytes(b"mine")
    result = run("web", "site", "a.vaec")
    assert (result.code, result.err) == (1, "vaecodec: site/index.html exists already; -f replaces it\n")
    assert Path("site/a.vaec").read_bytes() == b"mine"
    assert run("web", "-f", "site", "a.vaec").code == 0
    assert Path("site/a.vaec").read_bytes() == Path("a.vaec").read_bytes()


def test_web_lists_what_is_in_the_folder(run: Run) -> None:
    Path("site/sub").mkdir(parents=True)
    vaec_file("site/sub/b.vaec")
    picture_file("site/sub/b.jpg")
    vaec_file("site/c.vaec")
    vaec_file("d.vaec")
    before = Path("site/c.vaec").stat().st_mtime_ns
    assert run("web", "site", "d.vaec", "site/c.vaec").code == 0
    expected = [("c.vaec", None), ("sub/b.vaec", "sub/b.jpg"), ("d.vaec", None)]
    assert listed(Path("site/index.html").read_bytes()) == expected
    assert Path("site/c.vaec").stat().st_mtime_ns == before
    assert run("web", "-f", "site").code == 0  # as it is now
    assert sorted(listed(Path("site/index.html").read_bytes())) == sorted(expected)


def test_web_writes_nothing_of_bad_input(run: Run) -> None:
    vaec_file("a.vaec")
    result = run("web", "site", "a.vaec", "missing.vaec")
    assert (result.code, result.err) == (1, "vaecodec: No such file or directory: missing.vaec\n")
    assert not Path("site").exists()
    assert run("web", "site", "-").code == 2


def test_the_package_for_npm() -> None:
    package = json.loads((HERE / "package.json").read_text())
    assert package["version"] == __version__
    assert package["type"] == "module" and "dependencies" not in package
    for target in package["exports"].values():
        for path in target.values() if isinstance(target, dict) else [target]:
            assert (HERE / path).is_file(), path
