"""A web server for one site, on this machine and for its user alone, that ends with the pages that show it.

It listens on the loopback. Every address has a random token in it, which the other users and the other pages of a
browser do not know. Only the files of the site are served, by their names: no path is ever looked up.
"""

from __future__ import annotations

import hmac
import io
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from vaecodec.web.site import PAGE, TYPES, Content, Site

ALIVE = "alive"  # the page holds a request for this open
PIECE = 2**18  # bytes read and sent at a time
BEAT = 0.5  # seconds between the bytes by which it is noticed that a page is gone
GRACE = 3.0  # seconds from the end of the last page to that of the server: a page may be loaded again
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Server(ThreadingHTTPServer):
    """make: gives the site, when it is told the path at which a page says that it is open."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, make: Callable[[str], Site], grace: float = GRACE) -> None:
        self.token, self.grace = secrets.token_urlsafe(24), grace
        self.site = make(ALIVE)
        self.pages, self.lock, self.closing = 0, threading.Lock(), threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def run(self) -> None:
        """Serve until the last page is closed."""
        try:
            self.serve_forever(poll_interval=0.1)
        finally:
            self.closing.set()
            self.server_close()

    @contextmanager
    def page_open(self) -> Iterator[None]:
        """While a page is."""
        with self.lock:
            self.pages += 1
        try:
            yield
        finally:
            with self.lock:
                self.pages -= 1
            time.sleep(self.grace)
            with self.lock:
                ended = self.pages == 0
            if ended:
                self.shutdown()

    def handle_error(self, request: object, client_address: object) -> None:
        """A page that goes while it is answered is no error."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "vaecodec"
    sys_version = ""
    timeout = 60  # seconds for a request; a page that waits opens another connection

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, body: bool) -> None:
        name = self.name()
        if name is None:
            return self.refuse(HTTPStatus.NOT_FOUND)
        if name == ALIVE and body:
            return self.beat()
        content = self.server.site.get(name or PAGE)
        if content is None:
            return self.refuse(HTTPStatus.NOT_FOUND)
        try:
            with opened(content) as (file, size, tag):
                self.send(file, size, tag, TYPES[Path(name or PAGE).suffix.lower()], body)
        except FileNotFoundError:
            self.refuse(HTTPStatus.NOT_FOUND)

    def name(self) -> str | None:
        """Of what is asked for, in the site; None where somebody asks who does not know the token.

        A page elsewhere may give its own host the address of this machine: then its browser sends that host's name.
        """
        host = self.headers.get("Host", "")
        token, slash, name = urlsplit(self.path).path.lstrip("/").partition("/")
        known = hmac.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode())
        ours = host in {f"{local}:{self.server.server_port}" for local in ("127.0.0.1", "localhost")}
        return unquote(name) if known and ours and slash else None

    def send(self, file: BinaryIO, size: int, tag: str, kind: str, body: bool) -> None:
        """The file, or the part of it that is asked for."""
        if self.headers.get("If-None-Match") == tag:
            self.begin(HTTPStatus.NOT_MODIFIED, {"ETag": tag})
            return
        wanted = self.headers.get("Range") if self.headers.get("If-Range", tag) == tag else None
        part = byte_range(wanted, size) if wanted else None
        headers = {"Content-Type": kind, "Accept-Ranges": "bytes", "ETag": tag}
        if part is None:
            first, length, status = 0, size, HTTPStatus.OK
        elif not part:
            return self.refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {"Content-Range": f"bytes */{size}"})
        else:
            first, length, status = part.start, len(part), HTTPStatus.PARTIAL_CONTENT
            headers["Content-Range"] = f"bytes {first}-{part.stop - 1}/{size}"
        self.begin(status, headers | {"Content-Length": str(length)})
        if body:
            file.seek(first)
            while length > 0 and (data := file.read(min(length, PIECE))):
                self.wfile.write(data)
                length -= len(data)
            self.close_connection |= length > 0  # the file has become shorter

    def refuse(self, status: HTTPStatus, headers: dict[str, str] | None = None) -> None:
        self.begin(status, {"Content-Length": "0"} | (headers or {}))

    def begin(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (HEADERS | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def beat(self) -> None:
        """A stream of events without any, until the page is gone."""
        self.close_connection = True
        with self.server.page_open(), suppress(OSError):
            self.begin(HTTPStatus.OK, {"Content-Type": "text/event-stream", "Connection": "close"})
            while not self.server.closing.wait(BEAT):
                self.wfile.write(b":\n\n")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal belongs to the command."""


@contextmanager
def opened(content: Content) -> Iterator[tuple[BinaryIO, int, str]]:
    """A file as it is now: open, its size, and an ETag. Raises: OSError."""
    if isinstance(content, bytes):
        yield io.BytesIO(content), len(content), f'"{len(content):x}"'
        return
    with content.open("rb") as file:
        facts = os.fstat(file.fileno())
        yield file, facts.st_size, f'"{facts.st_size:x}-{facts.st_mtime_ns:x}"'


def byte_range(text: str, size: int) -> range | None:
    """The bytes that a Range header asks for, empty where there are none; None where it is to be ignored: another unit,
    several ranges, or nonsense."""
    found = re.fullmatch(r"bytes=([0-9]{0,19})-([0-9]{0,19})", text.strip())
    if not found or found[0].endswith("=-"):
        return None
    first, last = found[1], found[2]
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(size, int(last) + 1 if last else size))
