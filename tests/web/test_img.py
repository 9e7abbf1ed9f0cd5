"""`<img src="photo.vaec">` in a real browser: by img.js, and by the service worker."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from served import Recorder, Web, browsing, coded, quiet, rgba

from vaecodec.codec import Codec
from vaecodec.web.site import Site, parts

Decoded = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def decoded(shipped: Codec, tmp_path_factory: pytest.TempPathFactory) -> Decoded:
    return {}


@pytest.fixture(scope="module")
def browser(
    shipped: Codec, clean: np.ndarray, decoded: Decoded, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("site")
    alpha = np.dstack([clean, np.linspace(0, 255, clean[..., 0].size).reshape(clean.shape[:2]).astype(np.uint8)])
    pictures = {"photo": clean, "small": clean[::2, ::2], "other": clean[:, ::-1], "alpha": alpha}
    for name, pixels in pictures.items():
        decoded[name] = coded(shipped, folder / f"{name}.vaec", np.ascontiguousarray(pixels))
    Image.fromarray(clean[:50, :40]).save(folder / "plain.png")
    (folder / "broken.vaec").write_bytes((folder / "photo.vaec").read_bytes()[:300])
    site: Site = {path.name: path for path in folder.iterdir()}
    site["worker.js"] = b'import "./vaec/service-worker.js";'
    site["untyped.gz"] = (folder / "photo.vaec").read_bytes()  # no name that tells what it is
    with browsing(parts() | site, tmp_path_factory.mktemp("profile")) as web:
        yield web


@pytest.fixture
def web(browser: Web) -> Iterator[Web]:
    with quiet(browser):
        yield browser


def shown(name: str) -> str:
    return f"document.getElementById('{name}').naturalWidth > 0 && !document.getElementById('{name}').dataset.vaec"


def add(web: Web, name: str, attributes: str) -> None:
    """An <img> that comes when the script is there, with its events recorded."""
    web.run(
        """
        const image = listen(document.createElement("img"));
        image.id = arguments[0];
        for (const [name, value] of new URLSearchParams(arguments[1])) image.setAttribute(name, value);
        document.body.append(image);
        """,
        name,
        attributes,
    )


def ready(web: Web) -> None:
    """A page with the script, which has run."""
    web.page("<p>Pictures")
    web.wait("document.adoptedStyleSheets.length === 1")


def test_a_picture_that_is_there(web: Web, decoded: Decoded) -> None:
    web.page('<img id="a" src="photo.vaec" alt="A parrot"><img id="b" src="plain.png" alt="">')
    web.wait(shown("a"))
    np.testing.assert_array_equal(web.pixels("a"), decoded["photo"])
    image = "const a = document.getElementById('a');"
    height, width = decoded["photo"].shape[:2]
    assert web.run(f"{image} return [a.naturalWidth, a.naturalHeight, a.width, a.complete]") == [
        width,
        height,
        width,
        True,
    ]
    assert web.run(f"{image} return [a.getAttribute('src'), a.alt]") == ["photo.vaec", "A parrot"]
    assert web.run("return document.getElementById('b').srcset") == ""


def test_a_picture_that_comes_later(web: Web, decoded: Decoded) -> None:
    """The page sees a picture that loads, and nothing of how."""
    ready(web)
    web.run("""
        window.seen = [];
        new MutationObserver(() => {
          const a = document.getElementById("a");
          if (a.dataset.vaec) seen.push([a.complete, a.naturalWidth, getComputedStyle(a).opacity]);
        }).observe(document.body, { subtree: true, attributes: true });
        """)
    add(web, "a", "src=photo.vaec&alt=A parrot")
    web.wait("events.length")
    assert web.run("return events") == [["load", "a"]]
    assert web.run("return seen") == [[False, 0, "0"]]
    assert web.run("return [a.complete, a.hasAttribute('data-vaec'), getComputedStyle(a).opacity]") == [
        True,
        False,
        "1",
    ]
    np.testing.assert_array_equal(web.pixels("a"), decoded["photo"])


def test_decode_waits_for_the_picture(web: Web, decoded: Decoded) -> None:
    ready(web)
    web.run("document.body.addEventListener('start', () => {})")
    add(web, "a", "src=photo.vaec")
    web.wait("document.getElementById('a').dataset.vaec || events.length")
    assert web.driver.execute_async_script("a.decode().then(() => arguments[0](a.naturalWidth))") == 192
    assert web.run("return Object.hasOwn(a, 'decode') || Object.hasOwn(a, 'complete')") is False


def test_transparency(web: Web, decoded: Decoded) -> None:
    ready(web)
    add(web, "a", "src=alpha.vaec")
    web.wait(shown("a"))
    found, wanted = web.pixels("a").astype(int), decoded["alpha"].astype(int)
    np.testing.assert_array_equal(found[..., 3], wanted[..., 3])
    opaque = wanted[..., 3] == 255  # a canvas has others rounded
    np.testing.assert_array_equal(found[opaque], wanted[opaque])


def test_a_picture_that_changes(web: Web, decoded: Decoded) -> None:
    ready(web)
    add(web, "a", "src=photo.vaec")
    web.wait("events.length === 1")
    web.run("a.src = 'other.vaec'")
    web.wait("events.length === 2")
    np.testing.assert_array_equal(web.pixels("a"), decoded["other"])
    web.run("a.src = 'plain.png'")
    web.wait("events.length === 3")
    assert web.run("return [a.naturalWidth, a.hasAttribute('srcset')]") == [40, False]
    web.run("a.srcset = 'small.vaec 2x'; a.src = 'photo.vaec'")
    web.wait("events.length === 4")
    np.testing.assert_array_equal(web.pixels("a"), decoded["photo"])
    assert web.run("return events") == [["load", "a"]] * 4


def test_changed_while_it_is_decoded(web: Web, decoded: Decoded) -> None:
    ready(web)
    web.run("""
        new MutationObserver((_, observer) => {
          const a = document.getElementById("a");
          if (a?.dataset.vaec !== "decoding") return;
          observer.disconnect();
          a.src = "other.vaec";
        }).observe(document.body, { subtree: true, attributes: true });
        """)
    add(web, "a", "src=photo.vaec")
    web.wait("events.length")
    np.testing.assert_array_equal(web.pixels("a"), decoded["other"])
    assert web.run("return [events, a.src.split('/').pop()]") == [[["load", "a"]], "other.vaec"]


def test_srcset(web: Web, decoded: Decoded) -> None:
    """The browser chooses, and the size in CSS pixels is what it is with any picture."""
    ready(web)
    add(web, "a", "srcset=small.vaec 96w, photo.vaec 192w&sizes=384px")
    add(web, "b", "srcset=small.vaec 96w, photo.vaec 192w&sizes=48px")
    add(web, "c", "srcset=photo.vaec 2x, small.vaec 1.5x&src=other.vaec")
    web.wait("events.length === 3")
    sizes = "return ['a', 'b', 'c'].map((id) => document.getElementById(id).naturalWidth)"
    assert web.run(sizes) == [384, 48, 192]
    np.testing.assert_array_equal(web.pixels("c"), decoded["other"])
    assert web.run("return [a, b].map((one) => /^small.vaec 96w, blob:\\S+ 192w$/.test(one.srcset))") == [True, False]
    assert {"small.vaec", "photo.vaec", "other.vaec"} <= set(web.asked)


def test_picture_elements(web: Web, decoded: Decoded) -> None:
    web.page("""
        <picture><source type="image/vaec" srcset="photo.vaec"><img id="a" src="plain.png" alt=""></picture>
        <picture><source type="image/vaec" srcset="photo.vaec" media="print">
          <img id="b" src="plain.png" alt=""></picture>
        <picture><source type="image/png" srcset="plain.png"><source type="image/vaec" srcset="photo.vaec">
          <img id="c" alt=""></picture>
        <picture><source type="image/vaec" srcset="untyped.gz"><img id="d" src="plain.png" alt=""></picture>
        """)
    for name, width in {"a": 192, "b": 40, "c": 40, "d": 192}.items():
        web.wait(f"document.getElementById('{name}').naturalWidth === {width}")
    np.testing.assert_array_equal(web.pixels("a"), decoded["photo"])
    np.testing.assert_array_equal(web.pixels("d"), decoded["photo"])
    web.run("""
        const later = document.createElement("picture");
        later.innerHTML = '<source type="image/vaec" srcset="other.vaec"><img id="e" src="plain.png" alt="">';
        document.body.append(later);
        """)
    web.wait("document.getElementById('e').naturalWidth === 192")
    np.testing.assert_array_equal(web.pixels("e"), decoded["other"])


def test_the_fallback_stays_without_a_decoder(web: Web) -> None:
    model = web.server.site.pop("vaec/model.gz")
    web.allowed += ["model.gz", "photo.vaec: "]
    try:
        web.run("return caches.delete('vaecodec')")
        web.page('<picture><source type="image/vaec" srcset="photo.vaec"><img id="a" src="plain.png" alt=""></picture>')
        web.wait(shown("a"))
        web.wait("performance.getEntriesByType('resource').some(({ name }) => name.endsWith('model.gz'))")
        assert web.run("return [a.naturalWidth, a.currentSrc.split('/').pop()]") == [40, "plain.png"]
    finally:
        web.server.site["vaec/model.gz"] = model


def test_lazy(web: Web, decoded: Decoded) -> None:
    web.page(
        '<img id="a" src="photo.vaec" alt=""><p class="tall"></p>'
        '<img id="b" src="other.vaec" loading="lazy" width="192" height="160" alt="">'
    )
    web.wait(shown("a"))
    assert "other.vaec" not in web.asked
    web.run("b.scrollIntoView()")
    web.wait(shown("b"))
    np.testing.assert_array_equal(web.pixels("b"), decoded["other"])


def test_errors(web: Web) -> None:
    """As the browser does it: one event, no size, the alternative text."""
    ready(web)
    web.allowed += ["broken.vaec: ", "missing.vaec"]
    add(web, "a", "src=broken.vaec&alt=Cut off")
    add(web, "b", "src=missing.vaec&alt=Not there")
    web.wait("events.length === 2")
    assert sorted(web.run("return events")) == [["error", "a"], ["error", "b"]]
    assert (
        web.run("return [a, b].map((one) => [one.complete, one.naturalWidth, one.width > 30])") == [[True, 0, True]] * 2
    )
    assert web.run("return [a, b].some((one) => one.hasAttribute('srcset') || one.hasAttribute('data-vaec'))") is False
    web.run("a.src = 'photo.vaec'")
    web.wait(shown("a"))


def test_memory_is_given_back(web: Web) -> None:
    ready(web)
    add(web, "a", "src=photo.vaec")
    web.wait("events.length")
    blob = web.run("const url = a.currentSrc; a.remove(); return url")
    assert blob.startswith("blob:")
    load = "const [url, done] = arguments, i = new Image(); i.onload = i.onerror = (e) => done(e.type); i.src = url"
    web.allowed.append("blob:")
    assert web.driver.execute_async_script(load, blob) == "error"


def test_moving_keeps_the_picture(web: Web) -> None:
    ready(web)
    add(web, "a", "src=photo.vaec")
    web.wait("events.length")
    blob = web.run("const p = document.createElement('p'); document.body.append(p); p.append(a); return a.currentSrc")
    assert web.run("return [a.currentSrc, a.naturalWidth]") == [blob, 192]


def test_shadow_roots_and_pictures_outside_the_page(web: Web) -> None:
    ready(web)
    found = web.driver.execute_async_script("""
        const done = arguments[0];
        import("./vaec/img.js").then(({ watch }) => {
          const host = document.createElement("div");
          document.body.append(host);
          const root = host.attachShadow({ mode: "open" });
          watch(root);
          root.innerHTML = '<img src="photo.vaec" alt="">';
          const inside = root.firstChild, alone = new Image();
          watch(alone);
          alone.src = "small.vaec";
          const loaded = (image) => new Promise((resolve) => image.addEventListener("load", resolve));
          Promise.all([inside, alone].map(loaded)).then(() => done([inside.naturalWidth, alone.naturalWidth]));
        });
        """)
    assert found == [192, 96]


def test_many_at_once(web: Web) -> None:
    ready(web)
    for n in range(12):
        add(web, f"i{n}", f"src={['photo', 'small', 'other'][n % 3]}.vaec?{n}")
    web.wait("events.length === 12")
    assert {event for event, _ in web.run("return events")} == {"load"}


def test_service_worker(web: Web, decoded: Decoded) -> None:
    """With it no script is needed in the page; fetch() still gets the file."""
    web.allowed += ["broken.vaec", "missing.vaec"]
    web.page("<p>Pictures", script=False)
    registered = "navigator.serviceWorker.register('worker.js', { type: 'module' })"
    ready_now = "navigator.serviceWorker.ready.then(({ active }) => active.state)"
    script = (
        f"const done = arguments[0]; {registered}.then(() => {ready_now}).then(done, (error) => done(String(error)))"
    )
    try:
        assert web.driver.execute_async_script(script) in ("activating", "activated")
        web.page(
            '<img id="a" src="photo.vaec" alt=""><img id="b" src="alpha.vaec" alt=""><p class="background">'
            '<picture><source srcset="other.vaec"><img id="c" alt=""></picture>',
            script=False,
        )
        for name in "abc":
            web.wait(shown(name))
        np.testing.assert_array_equal(web.pixels("a"), decoded["photo"])
        np.testing.assert_array_equal(web.pixels("c"), decoded["other"])
        assert web.run("return a.currentSrc.endsWith('photo.vaec')")
        fetched = "fetch('photo.vaec').then((r) => r.arrayBuffer()).then((b) => arguments[0](b.byteLength))"
        assert web.driver.execute_async_script(fetched) == len(bytes(web.server.site["photo.vaec"].read_bytes()))  # type: ignore[union-attr]
        for name in ("broken", "missing"):
            add(web, name, f"src={name}.vaec&alt=Gone")
        web.wait("events.length === 2")
        assert {event for event, _ in web.run("return events")} == {"error"}
        web.page('<img id="a" src="photo.vaec" alt="">')  # with the script too: it has nothing to do
        web.wait(shown("a"))
        assert web.run("return a.hasAttribute('srcset')") is False
    finally:
        web.driver.execute_async_script(
            "const done = arguments[0]; navigator.serviceWorker.getRegistrations()"
            ".then((all) => Promise.all(all.map((one) => one.unregister()))).then(() => done())"
        )
        web.page("<p>None", script=False)


def test_the_record_can_tell(web: Web) -> None:
    """What the other tests rely on: requests to other hosts and broken policies are seen."""
    web.page("<p>Pictures")
    web.run("const i = new Image(); i.src = 'https://other.example/x.png'; document.body.append(i)")
    web.run("const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s)")
    web.wait("events.length >= 2")
    assert {event[0] for event in web.run("return events")} == {"violation"}
    assert web.run("return window.hacked") is None
    assert len(web.log()) >= 2
    assert rgba(np.zeros((1, 1, 3), np.uint8)).tolist() == [[[0, 0, 0, 255]]]
    assert Recorder.asked
    web.run("window.events = []")
    web.hosts()
