"""The viewer in a real browser."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from served import Recorder, Web, browsing, coded, quiet

from tests.browser import needed
from tests.commands import SAMPLE
from tools.train.data import load
from vaecodec.codec import Codec
from vaecodec.web.site import page, site

# isort: split
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

READY = "document.body.dataset.state === 'ready' && document.getElementById('progress').hidden"
LONG = (64, 16400)  # longer than a canvas may be: shown by tiles
Decoded = dict[str, np.ndarray]


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x112] = orientation
    tags[0x110] = "Box camera"
    return tags.tobytes()[6:]


@pytest.fixture(scope="module")
def decoded() -> Decoded:
    return {}


@pytest.fixture(scope="module")
def folder(shipped: Codec, clean: np.ndarray, decoded: Decoded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    decoded["photo"] = coded(shipped, folder / "photo.vaec", clean)
    Image.fromarray(clean).save(folder / "photo.png")
    decoded["turned"] = coded(shipped, folder / "turned.vaec", clean, exif=exif(6), xmp=b"<x:xmpmeta>words</x:xmpmeta>")
    wide = np.full((64, 64, 3), (200, 90, 90), np.uint8)
    decoded["wide"] = coded(shipped, folder / "wide.vaec", wide, 100, cicp=bytes([12, 13, 0, 1]))
    Image.fromarray(clean[:80]).save(folder / "wide.jpg")  # of another size
    long = np.zeros((*LONG, 3), np.uint8)
    long[..., 0] = np.linspace(0, 255, LONG[1])
    decoded["long"] = coded(shipped, folder / "long.vaec", long)
    decoded["parts"] = coded(shipped, folder / "parts.vaec", clean, progressive=True)
    decoded["late"] = coded(shipped, folder / "late.vaec", load(SAMPLE), 90, progressive=True)
    (folder / "broken.vaec").write_bytes((folder / "parts.vaec").read_bytes()[:-100])
    (folder / "none.vaec").write_bytes(b"no picture at all")
    return folder


NAMES = ["photo.vaec", "photo.png", "turned.vaec", "wide.vaec", "wide.jpg", "long.vaec", "broken.vaec", "none.vaec"]


@pytest.fixture(scope="module")
def browser(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    files = site([folder / name for name in NAMES])
    files |= {"empty.html": page({}), **{name: folder / name for name in ("parts.vaec", "late.vaec")}}
    with browsing(files, tmp_path_factory.mktemp("profile")) as web:
        yield web


@pytest.fixture
def web(browser: Web) -> Iterator[Web]:
    with quiet(browser):
        yield browser


def show(web: Web, name: str = "photo.vaec") -> None:
    """The page with a file of its list, once that is there."""
    web.get("empty.html")  # a change of the part behind # alone loads nothing
    web.get(f"#{name}")
    web.wait(f"{READY} && document.title === '{name}'")


def zoom(web: Web) -> float:
    return float(web.text("zoom").rstrip(" %"))


def canvas(web: Web) -> np.ndarray:
    """(height, width, 4): what is seen, once it is drawn."""
    data = web.driver.execute_async_script("""
        const done = arguments[0], canvas = document.getElementById("canvas");
        requestAnimationFrame(() => requestAnimationFrame(() => {
          const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
          copy.drawImage(canvas, 0, 0);
          const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
          new Blob([data]).arrayBuffer().then((buffer) => {
            let text = "";
            const bytes = new Uint8Array(buffer);
            for (let at = 0; at < bytes.length; at += 8192)
              text += String.fromCharCode(...bytes.subarray(at, at + 8192));
            done([canvas.height, canvas.width, btoa(text)]);
          });
        }));
        """)
    return np.frombuffer(base64.b64decode(data[2]), np.uint8).reshape(data[0], data[1], 4)


def picture(web: Web) -> np.ndarray:
    """The part of the canvas that is drawn on."""
    seen = canvas(web)
    rows, columns = (np.flatnonzero(seen[..., 3].any(axis=axis)) for axis in (1, 0))
    return seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def details(web: Web) -> dict[str, str]:
    """The rows of the panel, by section and name."""
    return dict(
        web.run("""
        const text = (node) => node.firstChild.textContent;
        return [...document.querySelectorAll("#details dl > div")].map((row) =>
          [`${text(row.closest("section"))}: ${text(row)}`, row.lastChild.textContent]);
        """)
    )


def test_a_picture_pixel_for_pixel(web: Web, decoded: Decoded) -> None:
    show(web, "turned.vaec")
    assert zoom(web) == 100
    np.testing.assert_array_equal(picture(web), np.rot90(decoded["turned"], -1))
    assert web.text("name") == "turned.vaec"
    assert web.text("facts").startswith("160 \N{MULTIPLICATION SIGN} 192 · ")
    label = web.run("return document.getElementById('canvas').getAttribute('aria-label')")
    assert label == "turned.vaec, 160 by 192 pixels"
    assert web.text("status") == "turned.vaec is open, 160 by 192 pixels."


def test_zoom_to_single_pixels(web: Web, decoded: Decoded) -> None:
    show(web, "turned.vaec")
    for _ in range(20):
        web.keys("+")
    assert zoom(web) == 6400
    seen = canvas(web)[..., :3]
    middle = seen[seen.shape[0] // 2 :, seen.shape[1] // 2 :]
    pixel = np.rot90(decoded["turned"], -1)[96, 80, :3]
    np.testing.assert_array_equal(middle[:64, :64].reshape(-1, 3), np.tile(pixel, (64 * 64, 1)))  # hard edges
    web.keys("-")
    assert zoom(web) == pytest.approx(4525, abs=5)
    web.keys("1")
    assert zoom(web) == 100
    web.keys("+", "+", Keys.ARROW_LEFT)
    web.keys("0")
    assert zoom(web) == 100
    np.testing.assert_array_equal(picture(web), np.rot90(decoded["turned"], -1))


def test_pan(web: Web) -> None:
    show(web, "turned.vaec")
    for _ in range(8):
        web.keys("+")
    before = canvas(web)
    web.keys(Keys.ARROW_RIGHT)
    after = canvas(web)
    np.testing.assert_array_equal(after[:, :-60], before[:, 60:])
    stage = web.driver.find_element(By.ID, "stage")
    ActionChains(web.driver, 10).move_to_element(stage).click_and_hold().move_by_offset(60, 0).release().perform()
    np.testing.assert_array_equal(canvas(web), before)
    for _ in range(60):
        web.keys(Keys.ARROW_LEFT)  # the picture cannot be lost
    assert (canvas(web)[..., 3] == 255).any()


def test_wheel_zooms_where_the_mouse_is(web: Web, decoded: Decoded) -> None:
    show(web, "turned.vaec")
    for _ in range(8):
        web.keys("+")  # a picture that has room stays in the middle
    stage = web.driver.find_element(By.ID, "stage")
    spot = 130, -70

    def pixel() -> tuple[list[int], str]:
        """Where the mouse is in the picture, and the values there."""
        ActionChains(web.driver, 10).move_to_element(stage).move_to_element_with_offset(stage, *spot).perform()
        place, values = web.text("pixel").split(" · ")
        return [int(text) for text in place.split(", ")], values

    (x, y), values = pixel()
    assert values == " ".join(map(str, np.rot90(decoded["turned"], -1)[y, x, :3]))
    before = zoom(web)
    ActionChains(web.driver, 10).scroll_from_origin(ScrollOrigin.from_element(stage, *spot), 0, -300).perform()
    web.wait(f"parseFloat(document.getElementById('zoom').textContent) > {1.5 * before}")
    assert pixel()[0] == [x, y]


def test_details(web: Web, folder: Path) -> None:
    show(web, "turned.vaec")
    hidden = "return document.getElementById('details').hidden"
    assert web.run(hidden) is True
    web.keys("i")
    assert web.run(hidden) is False
    found = details(web)
    size = (folder / "turned.vaec").stat().st_size
    assert found["Picture: Size"] == "192 \N{MULTIPLICATION SIGN} 160"
    assert found["Picture: Colours"] == "sRGB"
    assert found["Picture: Shown"] == "turned by 90°"
    assert found["File: Size"] == f"{size / 1000:.1f} kB, {8 * size / 192 / 160:.3f} bpp"
    assert found["File: Quality"] == "75 of 100"
    assert found["Photograph: Camera"] == "Box camera"
    assert "words" in web.run("return document.querySelector('#details pre').textContent")
    web.click("details-toggle")
    assert web.run(hidden) is True


def test_colours(web: Web, decoded: Decoded) -> None:
    """Display P3 on a screen of sRGB: the browser converts."""
    show(web, "wide.vaec")
    assert details(web)["Picture: Colours"] == "Display P3"
    primaries = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
    stored = decoded["wide"][32, 32, :3] / 255
    linear = primaries @ np.where(stored > 0.04045, ((stored + 0.055) / 1.055) ** 2.4, stored / 12.92)
    wanted = 255 * (1.055 * np.clip(linear, 0.0031308, 1) ** (1 / 2.4) - 0.055)
    web.keys("c")  # not the other picture
    np.testing.assert_allclose(picture(web)[32, 32, :3], wanted, atol=2)
    assert np.abs(wanted - decoded["wide"][32, 32, :3]).max() > 8


def test_compare(web: Web, folder: Path, clean: np.ndarray, decoded: Decoded) -> None:
    show(web)
    web.wait("document.getElementById('after').textContent.includes('dB')")
    error = np.square(clean.astype(float) - decoded["photo"][..., :3]).mean()
    psnr = f"{10 * np.log10(255**2 / error):.2f} dB"
    size, other = ((folder / name).stat().st_size for name in ("photo.vaec", "photo.png"))
    assert web.text("before") == f"photo.png{other / 1000:.1f} kB"
    assert web.text("after") == f"photo.vaec{size / 1000:.1f} kB · {psnr}"
    found = details(web)
    assert found["Comparison: With"] == "photo.png"
    assert found["Comparison: PSNR"] == psnr
    assert found["Comparison: Size"] == f"{other / 1000:.1f} kB, {8 * other / 192 / 160:.3f} bpp"
    assert found["Comparison: This file"] == f"{100 - 100 * size / other:.0f} % smaller"

    def sides(share: float) -> None:
        seen = picture(web)[..., :3]
        cut = round(96 + (share - 0.5) * web.run("return document.getElementById('canvas').width"))
        cut = min(192, max(0, cut))
        np.testing.assert_array_equal(seen[:, : max(0, cut - 1)], clean[:, : max(0, cut - 1)])
        np.testing.assert_array_equal(seen[:, cut + 1 :], decoded["photo"][:, cut + 1 :, :3])

    sides(0.5)
    divider = web.driver.find_element(By.ID, "divider")
    divider.send_keys(Keys.ARROW_LEFT)
    assert divider.get_attribute("aria-valuenow") == "48"
    sides(0.48)
    divider.send_keys(Keys.HOME)
    sides(0)
    divider.send_keys(Keys.END)
    sides(1)
    ActionChains(web.driver, 10).move_to_element(divider).click_and_hold().move_by_offset(-450, 0).release().perform()
    now = int(str(divider.get_attribute("aria-valuenow")))
    width = web.run("return document.getElementById('stage').clientWidth")
    assert now == pytest.approx(100 * (1 - 450 / width), abs=3)
    web.keys("c")
    assert web.run("return ['divider', 'before', 'after'].every((id) => document.getElementById(id).hidden)")
    np.testing.assert_array_equal(picture(web)[..., :3], decoded["photo"][..., :3])


def test_compare_other_sizes(web: Web) -> None:
    show(web, "wide.vaec")
    web.wait("!document.getElementById('divider').hidden")
    assert details(web)["Comparison: PSNR"] == "none, as the sizes differ"
    assert "dB" not in web.text("after")


def choose(web: Web, *paths: Path) -> None:
    web.run("document.getElementById('file').hidden = false")  # or the driver does not touch it
    web.driver.find_element(By.ID, "file").send_keys("\n".join(map(str, paths)))


def test_files_that_are_chosen(web: Web, folder: Path, decoded: Decoded) -> None:
    web.get("empty.html")
    web.wait("document.getElementById('status')")
    assert web.run("return getComputedStyle(document.getElementById('welcome')).display") == "block"
    choose(web, folder / "photo.png")
    assert web.text("fault") == "photo.png is no .vaec file. Open one first to compare the two."
    choose(web, folder / "photo.vaec")
    web.wait(READY)
    np.testing.assert_array_equal(picture(web), decoded["photo"])
    choose(web, folder / "photo.png")
    web.wait("document.getElementById('after').textContent.includes('dB')")
    choose(web, folder / "turned.vaec", folder / "photo.png")
    web.wait("document.title === 'turned.vaec' && !document.getElementById('divider').hidden")
    assert [name for name in web.asked if name.endswith(".vaec")] == []


def test_files_that_are_dropped(web: Web, folder: Path, decoded: Decoded) -> None:
    web.get("empty.html")
    web.wait("document.body.dataset.state === 'empty'")
    data = list((folder / "photo.vaec").read_bytes())
    drop = """
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(arguments[0])], "dropped.vaec"));
        const event = (type) => new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true });
        const main = document.querySelector("main");
        main.dispatchEvent(event("dragenter"));
        const shown = !document.getElementById("drop").hidden;
        const taken = !main.dispatchEvent(event("drop"));
        return [shown, taken, document.getElementById("drop").hidden];
        """
    assert web.run(drop, data) == [True, True, True]
    web.wait(f"{READY} && document.title === 'dropped.vaec'")
    np.testing.assert_array_equal(picture(web), decoded["photo"])


def test_files_that_are_listed(web: Web) -> None:
    show(web)
    names = web.run("return [...document.querySelectorAll('#files a')].map((link) => link.textContent)")
    assert names == [name for name in NAMES if name.endswith(".vaec")]
    web.keys(Keys.PAGE_DOWN)
    web.wait(f"{READY} && document.title === 'turned.vaec'")
    current = "[...document.querySelectorAll('[aria-current]')].map((link) => link.textContent)"
    assert web.run(f"return {current}") == ["turned.vaec"]
    assert web.run("return location.hash") == "#turned.vaec"
    web.keys(Keys.PAGE_UP)
    web.wait(f"{READY} && document.title === 'photo.vaec'")


def test_files_that_are_linked(web: Web, decoded: Decoded) -> None:
    web.get("empty.html?src=parts.vaec")
    web.wait(READY)
    np.testing.assert_array_equal(picture(web), decoded["parts"])
    web.get("empty.html?src=https://other.example/photo.vaec")
    web.wait("!document.getElementById('fault').hidden")
    assert web.text("fault") == "Only files of this site can be linked."


def test_what_arrives_is_shown(web: Web, decoded: Decoded) -> None:
    """Of a progressive file the whole picture, before all of it is there."""
    Recorder.held["late.vaec"] = threading.Event()
    web.get("empty.html?src=late.vaec")
    try:
        web.wait("document.body.dataset.state === 'ready'")
        early = picture(web)
        assert web.run("return document.getElementById('progress').hidden") is False
    finally:
        Recorder.held["late.vaec"].set()
    web.wait(READY)
    np.testing.assert_array_equal(picture(web), decoded["late"])
    difference = np.abs(early.astype(int) - decoded["late"]).mean()
    assert 0 < difference < 20  # not grey


def test_a_picture_by_tiles(web: Web, decoded: Decoded) -> None:
    show(web, "long.vaec")
    assert zoom(web) < 10
    web.keys("1")
    tiles = "performance.getEntriesByType('resource').length"
    assert web.run(f"return {tiles}") > 0
    seen = canvas(web)
    row, wanted = seen.shape[0] // 2, decoded["long"][32, :, :3]
    start = (LONG[1] - seen.shape[1]) // 2

    def exact() -> bool:
        return bool(np.array_equal(canvas(web)[row, :, :3], wanted[start : start + seen.shape[1]]))

    for _ in range(100):
        if exact():
            break
    assert exact()
    web.keys("i")
    assert "by tiles" in web.text("details")


def test_tiles_of_a_large_file_are_fetched_when_they_are_seen(web: Web) -> None:
    """Nothing but what is in view is asked for, by regions, and little of it is kept."""
    web.get("empty.html")
    result: dict[str, Any] = web.driver.execute_async_script("""
        const done = arguments[0];
        import("./vaec/viewer/layers.js").then(async ({ Tiled }) => {
          const asked = [], ended = [];
          const decode = async ({ region, scale, signal }) => {
            asked.push(region ?? scale);
            await new Promise((resolve) => setTimeout(resolve));
            if (signal?.aborted) ended.push(region);
            signal?.throwIfAborted();
            const [, , width, height] = region;
            return { width, height, data: new Uint8ClampedArray(4 * width * height), orientation: 1, channels: 3 };
          };
          const opened = { width: 10240, height: 10240, tileSide: 1024, size: 5e7, indexed: true, decode };
          let drawn = 0, errors = [];
          const tiled = new Tiled(opened, () => drawn++, (error) => errors.push(String(error)), 5 * 1024 * 1024);
          await tiled.begin(true, {});
          const context = new OffscreenCanvas(10, 10).getContext("2d");
          const settle = async (view) => {
            for (tiled.draw(context, view); tiled.running.size || tiled.wanted.length; tiled.draw(context, view))
              await new Promise((resolve) => setTimeout(resolve, 1));
          };
          await settle({ x: 0, y: 0, zoom: 1, visible: [1000, 1000, 1100, 1100] });
          const first = asked.splice(0);
          await settle({ x: 0, y: 0, zoom: 1, visible: [1000, 1000, 1100, 1100] });
          const again = asked.splice(0);
          await settle({ x: 0, y: 0, zoom: 1, visible: [5000, 5000, 6000, 6000] });
          const kept = tiled.tiles.size;
          tiled.draw(context, { x: 0, y: 0, zoom: 1, visible: [9000, 9000, 9100, 9100] });
          tiled.draw(context, { x: 0, y: 0, zoom: 1, visible: [0, 0, 10, 10] });
          await settle({ x: 0, y: 0, zoom: 1, visible: [0, 0, 10, 10] });
          tiled.close();
          done({ first, again, kept, ended, errors, left: tiled.tiles.size });
        }).catch((error) => done({ error: String(error) }));
        """)
    corners = [[0, 0], [0, 1024], [1024, 0], [1024, 1024]]
    assert sorted(result["first"]) == [[x, y, 1024, 1024] for x, y in corners]
    assert result["again"] == []
    assert result["kept"] == 5
    assert result["ended"] == [[8192, 8192, 1024, 1024]]
    assert (result["errors"], result["left"]) == ([], 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiles_are_turned(web: Web, orientation: int) -> None:
    web.get("empty.html")
    size, region = (70, 50), (10, 20, 30, 5)
    found = web.driver.execute_async_script(
        """
        const [width, height, region, orientation, done] = arguments;
        import("./vaec/viewer/layers.js").then(({ turnedRegion, turnedSize }) =>
          done([turnedSize({ width, height, orientation }), turnedRegion(region, { width, height, orientation })]));
        """,
        *size,
        region,
        orientation,
    )
    stored = np.zeros((size[1], size[0]), np.uint8)
    left, top, width, height = region
    stored[top : top + height, left : left + width] = 1
    tags = Image.Exif()
    tags[0x112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(stored).save(buffer, "PNG", exif=tags)
    with Image.open(buffer) as image:
        turned = np.array(ImageOps.exif_transpose(image))
    rows, columns = (np.flatnonzero(turned.any(axis=axis)) for axis in (1, 0))
    place = [columns[0], rows[0], len(columns), len(rows)]
    assert found == [list(turned.shape[::-1]), [int(number) for number in place]]


def test_damaged_files(web: Web) -> None:
    show(web, "broken.vaec")
    assert web.text("fault") == "broken.vaec is damaged. Tiles that are lost or coarse: 1 of 1."
    web.get("empty.html")
    web.get("#none.vaec")
    web.wait("document.body.dataset.state === 'failed'")
    assert web.text("fault").startswith("none.vaec: ") and web.text("fault").endswith(".")
    assert web.run("return document.getElementById('fault').getAttribute('role')") == "alert"
    assert web.run("return document.getElementById('compare').disabled") is True
    web.keys(Keys.PAGE_UP)
    web.wait(READY)


def test_a_file_that_is_not_there(web: Web) -> None:
    web.allowed.append("nowhere.vaec")
    web.get("empty.html?src=nowhere.vaec")
    web.wait("document.body.dataset.state === 'failed'")
    assert "nowhere.vaec" in web.text("fault") and "404" in web.text("fault")
    assert web.server.token not in web.text("fault")


def test_by_keyboard_alone(web: Web) -> None:
    """Everything can be reached with Tab and shows that it is."""
    show(web)
    web.wait("!document.getElementById('divider').hidden")
    reached = []
    for _ in range(20):
        web.keys(Keys.TAB)
        reached.append(web.run("return document.activeElement.id || document.activeElement.textContent"))
        if reached[-1] and reached[-1] != "HTML":
            style = (
                "getComputedStyle(document.activeElement, document.activeElement.id === 'divider' ? '::after' : null)"
            )
            assert web.run(f"return {style}.outlineStyle") == "solid", reached[-1]
        if reached[-1] == "none.vaec":
            break
    wanted = ["open", "compare", "details-toggle", "stage", "divider", "zoom-out", "zoom-in", "fit", "full", "help"]
    assert reached == wanted + [name for name in NAMES if name.endswith(".vaec")]
    web.keys("?")
    assert web.run("return document.getElementById('keys').open") is True
    web.keys(Keys.ESCAPE)
    assert web.run("return document.getElementById('keys').open") is False


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core, from the registry of npm."""
    folder = tmp_path_factory.mktemp("axe")
    install = [needed("npm"), "install", "--no-audit", "--no-fund", "--silent", "axe-core@4"]
    subprocess.run(install, cwd=folder, check=True, timeout=300)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def faults(web: Web, axe: str) -> list[str]:
    web.run(axe)
    found = web.driver.execute_async_script(
        "const [done] = arguments; axe.run().then((found) => done(found.violations), (e) => done([{ id: String(e) }]))"
    )
    return [f"{one['id']} ({one.get('impact')}): {[n['html'] for n in one.get('nodes', [])][:3]}" for one in found]


@pytest.mark.parametrize("width", [1000, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe(web: Web, axe: str, scheme: str, width: int) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    web.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    web.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        web.get("empty.html")
        web.wait("document.body.dataset.state === 'empty'")
        assert faults(web, axe) == []
        show(web)
        web.wait("!document.getElementById('divider').hidden")
        assert faults(web, axe) == []
        web.keys("i")
        assert faults(web, axe) == []
        web.keys("?")
        assert faults(web, axe) == []
        assert web.run("return document.documentElement.scrollWidth") == width
        web.get("empty.html")
        web.get("#none.vaec")
        web.wait("document.body.dataset.state === 'failed'")
        assert faults(web, axe) == []
        assert web.run("return matchMedia('(prefers-color-scheme: dark)').matches") is (scheme == "dark")
    finally:
        web.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        web.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_axe_can_tell(web: Web, axe: str) -> None:
    web.get("empty.html")
    web.run("document.getElementById('open').replaceChildren()")
    web.run("document.getElementById('open').title = ''")
    assert any(fault.startswith("button-name") for fault in faults(web, axe))


def test_the_command_ends_with_the_page(browser: Web, folder: Path) -> None:
    command = [sys.executable, "-m", "vaecodec", "view", "--no-browser", "photo.vaec"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder, text=True, env=os.environ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        first = browser.driver.current_window_handle
        browser.driver.switch_to.new_window("tab")
        browser.driver.get(url)
        browser.wait(READY)
        browser.driver.refresh()
        browser.wait(READY)
        assert process.poll() is None
        assert browser.driver.execute_async_script("caches.keys().then(arguments[0])") == []
        browser.driver.close()
        browser.driver.switch_to.window(first)
        assert process.wait(60) == 0
    browser.hosts()
