"""A site in a real browser: served as `vaecodec view` does, by its strict policy, and with a record of requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import numpy as np

from tests.browser import chromium  # first: it skips the tests where there is no selenium
from vaecodec.codec import Codec
from vaecodec.pictures.picture import Picture
from vaecodec.web.server import Handler, Server
from vaecodec.web.site import Site

# isort: split
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.support.ui import WebDriverWait

EVENTS = b"""
"use strict";
window.events = [];
addEventListener("securitypolicyviolation", (event) => events.push(["violation", event.violatedDirective]));
window.listen = (image) => {
  for (const type of ["load", "error"]) image.addEventListener(type, () => events.push([type, image.id]));
  return image;
};
window.pixels = (image) => {
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
};
"""
STYLE = b".tall { height: 20000px } .background { width: 64px; height: 64px; background: url(photo.vaec) }"


class Recorder(Handler):
    """Remembers what is asked for; stops within the files that it is told of until they are released."""

    asked: list[str]
    held: dict[str, threading.Event]

    def name(self) -> str | None:
        name = super().name()
        self.asked.append(str(name) + (f" {self.headers['Range']}" if "Range" in self.headers else ""))
        return name

    def send(self, file: BinaryIO, size: int, tag: str, kind: str, body: bool) -> None:
        event = self.held.get(str(Handler.name(self)))
        super().send(Halting(file, size // 2, event) if event else file, size, tag, kind, body)  # type: ignore[arg-type]


class Halting:
    """A file that gives its second half only when an event is set."""

    def __init__(self, file: BinaryIO, half: int, event: threading.Event) -> None:
        self.file, self.half, self.event, self.seek = file, half, event, file.seek

    def read(self, count: int) -> bytes:
        left = self.half - self.file.tell()
        if left > 0:
            return self.file.read(min(count, left))
        self.event.wait(60)
        return self.file.read(count)


class Web:
    """A browser and a server, with what the tests ask of them."""

    def __init__(self, driver: webdriver.Chrome, server: Server) -> None:
        self.driver, self.server, self.pages = driver, server, 0
        self.allowed: list[str] = []  # what may be said on the console

    @property
    def asked(self) -> list[str]:
        return Recorder.asked

    def page(self, body: str, script: bool = True) -> None:
        """Open a page of its own."""
        self.pages += 1
        name = f"test-{self.pages}.html"
        module = '<script type="module" src="vaec/img.js"></script>' if script else ""
        head = (
            '<meta charset="utf-8"><link rel="icon" href="vaec/viewer/icon.svg"><link rel="stylesheet" href="test.css">'
        )
        head += f'<script src="events.js"></script>{module}'
        self.server.site[name] = f'<!doctype html><html lang="en"><title>Test</title>{head}{body}'.encode()
        self.get(name)

    def get(self, name: str) -> None:
        self.driver.get(self.server.url + name)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str) -> None:
        WebDriverWait(self.driver, 60, 0.02).until(lambda driver: driver.execute_script(f"return {script}"), script)

    def text(self, name: str) -> str:
        """Of the element of an id."""
        return str(self.run("return document.getElementById(arguments[0]).textContent", name))

    def click(self, name: str) -> None:
        self.run("document.getElementById(arguments[0]).click()", name)

    def keys(self, *keys: str) -> None:
        ActionChains(self.driver, 10).send_keys(*keys).perform()

    def pixels(self, name: str) -> np.ndarray:
        """RGBA of the <img> of an id."""
        size = self.run(
            "const i = document.getElementById(arguments[0]); return [i.naturalHeight, i.naturalWidth]", name
        )
        data = self.run("return pixels(document.getElementById(arguments[0]))", name)
        return np.array(data, np.uint8).reshape(*size, 4)

    def log(self) -> list[str]:
        """What was said on the console since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def hosts(self) -> set[str]:
        """Where requests went since it was last asked."""
        entries = self.driver.get_log("performance")  # type: ignore[no-untyped-call]
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return {urlsplit(url).netloc for url in urls if url.startswith(("http", "ws"))}


@contextmanager
def serving(site: Site) -> Iterator[Server]:
    """One that lasts as long as the tests; a site that is told of `alive` would keep it from being so."""
    server = Server(lambda alive: site, grace=3600)
    server.RequestHandlerClass = Recorder
    Recorder.asked, Recorder.held = [], {}
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def browsing(site: Site, profile: Path) -> Iterator[Web]:
    site |= {"events.js": EVENTS, "test.css": STYLE}
    with serving(site) as server, chromium(profile, logs=("browser", "performance")) as driver:
        driver.set_script_timeout(60)
        yield Web(driver, server)


@contextmanager
def quiet(web: Web) -> Iterator[Web]:
    """Within, a page asks no other host, breaks no policy, and says nothing on the console that is not allowed."""
    web.log(), web.hosts()
    web.allowed.clear()
    web.asked.clear()
    Recorder.held.clear()
    yield web
    host = f"127.0.0.1:{web.server.server_port}"
    others = web.hosts() - {host}
    assert not others, others
    said = [line for line in web.log() if not any(part in line for part in web.allowed)]
    assert not said, said
    events = web.run("return window.events ?? []")
    assert not [event for event in events if event[0] == "violation"], events


def coded(codec: Codec, path: Path, pixels: np.ndarray, quality: float = 75, **options: Any) -> np.ndarray:
    """Write a .vaec file. Returns RGBA of what it decodes to."""
    metadata = {name: options.pop(name) for name in ("cicp", "exif", "icc", "xmp") if name in options}
    data = codec.encode(Picture(pixels, **metadata), quality, **options)
    path.write_bytes(data)
    return rgba(codec.decode(data).pixels)


def rgba(pixels: np.ndarray) -> np.ndarray:
    """Of RGB or RGBA."""
    full = np.full((*pixels.shape[:2], 4), 255, np.uint8)
    full[..., : pixels.shape[2]] = pixels
    return full
