"""The report page in a real browser: what it draws, and that it answers to mouse and keyboard."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_data import (
    DECODED,
    HEIGHT,
    HOSTILE,
    LOSSY,
    ORIGINAL,
    WIDTH,
    decode,
    make_data,
)

from tests.browser import chromium  # first: it skips the tests where there is no selenium
from vaecodec.bench.page import render

# isort: split
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

ASCII = str.maketrans({"\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{MULTIPLICATION SIGN}": "x"})


class Page:
    """The page in a browser, with what the tests ask of it."""

    def __init__(self, driver: webdriver.Chrome, downloads: Path) -> None:
        self.driver, self.downloads = driver, downloads

    def one(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def texts(self, css: str) -> list[str]:
        """The visible texts, with ASCII for the typographic signs in numbers."""
        return [element.text.translate(ASCII) for element in self.all(css)]

    def text(self, css: str) -> str:
        return self.one(css).text.translate(ASCII)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def choose(self, name: str, value: str) -> None:
        Select(self.one(f"#{name}")).select_by_value(value)

    def click(self, css: str) -> None:
        self.one(css).click()

    def click_radio(self, name: str, value: str) -> None:
        self.one(f"#{name} input[value='{value}'] + span").click()

    def curves(self) -> set[str]:
        return {str(curve.get_attribute("data-codec")) for curve in self.all("#chart g.curve")}

    def wait(self, script: str) -> None:
        WebDriverWait(self.driver, 10, 0.02).until(lambda driver: driver.execute_script(f"return {script}"))

    def difference(self) -> np.ndarray:
        """RGBA of the difference."""
        return decode(self.run("return document.getElementById('difference').toDataURL()"))

    def shown(self, side: str) -> np.ndarray:
        """RGBA of the picture on one side, as the browser decodes it."""
        script = """
            const [side, done] = arguments, image = document.querySelector(`#${side} img`);
            image.decode().then(() => {
                const canvas = document.createElement("canvas");
                [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
                canvas.getContext("2d").drawImage(image, 0, 0);
                done(canvas.toDataURL());
            });
        """
        return decode(self.driver.execute_async_script(script, side))

    def download(self, button: str, name: str) -> str:
        self.click(button)
        path = self.downloads / name
        deadline = time.monotonic() + 10
        # Chromium makes an empty file of that name first, and moves the whole one there.
        while not (path.exists() and path.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        return path.read_text("utf-8")

    def log(self) -> list[dict[str, Any]]:
        return self.driver.get_log("browser")  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        downloads = tmp_path_factory.mktemp("downloads")
        behaviour = {"behavior": "allow", "downloadPath": str(downloads)}
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
        yield Page(driver, downloads)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(make_data()), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Page, file: Path) -> Iterator[Page]:
    """The page freshly opened; nothing may have been said on the console in the end."""
    browser.driver.get(file.as_uri())
    yield browser
    assert browser.log() == []


def test_header(page: Page) -> None:
    assert page.driver.title == "Bench of @@data@@"
    assert page.texts("h1") == ["Bench of @@data@@"]
    assert page.texts("#notes li") == ["Every byte counts. </script>"]
    assert page.texts("#command") == ["vaecodec bench *.png"]


def test_file_names_are_text(page: Page) -> None:
    assert page.run("return window.hacked") is None
    assert len(page.all("script")) == 2  # the data and the page's own
    assert page.all("td b") and "broken" not in page.texts("td b")
    options = Select(page.one("#curve-picture")).options
    assert options[1].get_attribute("textContent") == HOSTILE
    assert page.texts("#failures td:last-child") == ["<b>broken</b>"]
    assert HOSTILE.split("\n")[0] in page.text("#view-caption")


def test_nothing_else_can_be_loaded(page: Page) -> None:
    blocked = """
        const done = arguments[0];
        fetch("data:,x").then(() => done("fetched"), () => {
            const script = document.createElement("script");
            script.textContent = "window.hacked = 1";
            document.body.append(script);
            done(window.hacked ?? "blocked");
        });
    """
    assert page.driver.execute_async_script(blocked) == "blocked"
    assert page.log()  # the browser tells of it


def test_curves_and_their_filter(page: Page) -> None:
    assert page.curves() == {*LOSSY, "png"}
    assert len(page.all("#chart g.curve:not(.lossless) .mark")) == 3 * len(LOSSY)
    assert page.one("#chart g[data-codec='jpeg@old']").get_attribute("class") == "curve c3 other"
    assert "png (lossless) 13.40" in page.text("#chart g.lossless")
    page.click("#legend input[value=webp]")
    assert page.curves() == {*LOSSY, "png"} - {"webp"}
    page.click("#no-codecs")
    assert page.curves() == set()
    page.click("#all-codecs")
    assert page.curves() == {*LOSSY, "png"}
    page.choose("curve-picture", "1")  # which has no file of the other run and none of png
    assert page.curves() == {"vaec", "jpeg", "webp"}


def test_curves_without_numbers(page: Page, tmp_path: Path) -> None:
    data = copy.deepcopy(make_data())
    data["means"] = {c: [row | {"psnr": None} for row in rows] for c, rows in data["means"].items()}
    data |= {"lossless": [], "times": [], "bd": [], "views": [], "failures": []}
    other = tmp_path / "empty.html"
    other.write_text(render(data), encoding="utf-8")
    page.driver.get(other.as_uri())
    page.click("#legend input[value=png]")
    assert page.curves() == set()
    assert "Nothing to draw" in page.text("#chart")
    shown = [section.get_attribute("id") for section in page.all("section") if section.is_displayed()]
    assert shown == ["curves-section"]


def test_metric_and_axis(page: Page) -> None:
    ticks = page.texts("#chart .y-tick")
    title = page.texts("#chart .axis-title")
    line = page.one("#chart g[data-codec=vaec] .line").get_attribute("d")
    page.choose("curve-metric", "ssimulacra2")
    assert page.texts("#chart .y-tick") != ticks
    assert (title, page.texts("#chart .axis-title")) == (["PSNR, mean over pictures (dB)"], ["SSIMULACRA 2"])
    page.choose("curve-metric", "psnr")
    assert page.one("#chart g[data-codec=vaec] .line").get_attribute("d") == line
    page.click_radio("curve-axis", "linear")
    assert page.one("#chart g[data-codec=vaec] .line").get_attribute("d") != line
    assert "→" in page.text("#chart g.lossless")  # off the linear axis
    page.choose("curve-picture", "0")
    assert page.texts("#chart .axis-title") == ["PSNR (dB)"]


def test_tooltip_by_mouse_and_by_key(page: Page) -> None:
    tip = page.one("#chart .tip")
    assert not tip.is_displayed()
    ActionChains(page.driver, 10).move_to_element(page.one("#chart g[data-codec=vaec] .mark:last-child")).perform()
    assert tip.text.split("\n") == ["The vaec", "setting 80", "mean 0.480 bpp", "PSNR, mean over pictures: 41.00 dB"]
    ActionChains(page.driver, 10).move_to_element(page.one("h1")).perform()
    assert not tip.is_displayed()
    page.choose("curve-picture", "1")
    page.run("document.getElementById('chart').focus()")
    ActionChains(page.driver).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).perform()
    tip = page.one("#chart .tip")
    assert tip.text.split("\n") == ["The vaec", "setting 50", "600 bytes, 0.600 bpp", "PSNR: 35.00 dB"]
    ActionChains(page.driver).send_keys(Keys.ARROW_UP).perform()
    assert tip.text.split("\n")[0] == "The webp"
    ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
    assert not tip.is_displayed()


def test_summary_and_bd_rates(page: Page) -> None:
    assert page.texts("#summary-anchor") == ["The jpeg"]  # the first that is not vaec
    assert page.texts("#summary tbody th") == ["vaec", "webp", "jpeg@old"]
    assert [text.split("\n")[0] for text in page.texts("#summary tbody td:nth-child(2)")] == [
        "-40.0 %",
        "-20.0 %",
        "+10.0 %",
    ]
    classes = [bar.get_attribute("class") for bar in page.all("#summary tr td:nth-child(2) rect")]
    assert classes == ["win", "win", "loss"]
    cells = page.texts("#bd tbody td")
    assert cells[:4] == ["", "-40.0 %\n-40.0 %", "refused\n12 % overlap", "-45.5 %\n-45.5 %"]
    assert cells[9] == "-20.0 %\n-20.0 %\nonly 41 % overlap"
    title = str(page.all("#bd tbody td")[1].get_attribute("title"))
    assert "Akima -40.0 %; 91 % overlap" in title.translate(ASCII)
    assert page.texts("#spread tbody tr:first-child td")[:2] == ["1", "-40.0 %"]
    assert len(page.all("#spread circle")) == 3
    page.choose("spread-anchor", "webp")
    assert page.texts("#spread tbody th") == ["vaec", "jpeg", "jpeg@old"]


def test_times_and_lossless(page: Page) -> None:
    assert page.texts("#times tbody td") == ["0.0123", "4.00", "1235", "-", "0", "80.0", "80.0"]
    assert page.texts("#lossless tbody td") == ["13.400", "0.100", "-"]


def test_viewer_shows_what_is_chosen(page: Page) -> None:
    np.testing.assert_array_equal(page.shown("left")[..., :3], DECODED["jpeg"])
    np.testing.assert_array_equal(page.shown("right")[..., :3], DECODED["vaec"])
    assert "54,321" in page.text("#left-card") and "35.00 dB" in page.text("#left-card")
    assert "96 x 64 of its 192 x 64 pixels, from column 8" in page.text("#view-caption")
    page.choose("view-left", "vaec")
    np.testing.assert_array_equal(page.shown("left")[..., :3], DECODED["vaec"])
    assert "12,345" in page.text("#left-card") and "vaec -q 50" in page.text("#left-card")
    page.choose("view-left", "original")
    np.testing.assert_array_equal(page.shown("left")[..., :3], ORIGINAL)
    assert page.run("return document.querySelectorAll('img[src]').length") == 2  # nothing decoded ahead
    page.choose("view-picture", "1")
    assert page.text("#view-caption") == "The whole of plain.png, 96 x 64 pixels."


def test_missing_picture(page: Page) -> None:
    page.choose("view-rate", "1")
    assert page.text("#left p") == "No picture of jpeg at this rate"
    assert not page.one("#left img").is_displayed()
    assert "No picture" in page.text("#left-card")
    page.choose("view-mode", "pair")
    page.wait("document.getElementById('view-caption').textContent.includes('a picture is missing')")
    page.choose("view-mode", "split")
    page.choose("view-rate", "0")
    np.testing.assert_array_equal(page.shown("left")[..., :3], DECODED["jpeg"])


def test_divider_by_mouse_and_by_key(page: Page) -> None:
    def cut() -> float:
        """How much of the left picture is cut away on its right."""
        path = page.run("return document.getElementById('left').style.clipPath")
        found = re.match(r"inset\(0px ([\d.]+)px", path)
        return float(found[1]) if found else 0.0  # all four alike are written as one

    assert cut() == WIDTH / 2
    stage = page.one("#stage")
    ActionChains(page.driver, 10).move_to_element_with_offset(stage, 30, 20).click_and_hold().perform()
    assert cut() == WIDTH / 2 - 30
    ActionChains(page.driver, 10).move_by_offset(-50, 0).release().move_by_offset(10, 0).perform()
    assert cut() == WIDTH / 2 + 20
    divider = page.one("#divider")
    assert page.run("return document.activeElement.id") == "divider"
    before = int(str(divider.get_attribute("aria-valuenow")))
    divider.send_keys(Keys.ARROW_RIGHT)
    assert cut() == pytest.approx(WIDTH / 2 + 20 - 0.02 * WIDTH, abs=0.01)
    assert int(str(divider.get_attribute("aria-valuenow"))) == before + 2
    divider.send_keys(Keys.END)
    assert cut() == 0
    divider.send_keys(Keys.HOME)
    assert cut() == WIDTH


def test_zoom_keeps_the_middle_and_panning_the_divider(page: Page) -> None:
    page.driver.set_window_size(500, 700)  # narrower than the picture at 8x
    try:
        page.click_radio("view-zoom", "8")
        size = page.run("const s = document.getElementById('stack'); return [s.offsetWidth, s.offsetHeight]")
        assert size == [8 * WIDTH, 8 * HEIGHT]
        assert page.one("#right img").size == {"width": 8 * WIDTH, "height": 8 * HEIGHT}
        assert page.one("#right img").value_of_css_property("image-rendering") == "pixelated"
        middle = "const p = document.getElementById('viewport'); return p.scrollLeft + p.clientWidth / 2"
        assert page.run(middle) == pytest.approx(4 * WIDTH, abs=2)
        place = page.one("#divider").rect["x"]
        page.run("document.getElementById('viewport').scrollLeft = 0")
        width = page.run("return document.getElementById('viewport').clientWidth")
        cut = "parseFloat(document.getElementById('left').style.clipPath.split(' ')[1])"
        page.wait(f"Math.abs({cut} - {8 * WIDTH - width / 2}) < 1")  # once the scrolling is told of
        assert page.one("#divider").rect["x"] == place
    finally:
        page.driver.set_window_size(1000, 900)


def test_difference(page: Page) -> None:
    jpeg, vaec = DECODED["jpeg"], DECODED["vaec"]
    for mode, a, b in (("pair", jpeg, vaec), ("left", jpeg, ORIGINAL), ("right", vaec, ORIGINAL)):
        difference = np.abs(a.astype(int) - b)
        page.choose("view-mode", mode)
        for factor in (1, 4, 16):
            page.click_radio("view-factor", str(factor))
            page.wait("document.getElementById('view-caption').textContent.includes('greatest')")
            pixels = page.difference()
            np.testing.assert_array_equal(pixels[..., :3], np.minimum(255, difference * factor))
            assert (pixels[..., 3] == 255).all()
            figures = f"mean {difference.mean():.2f}, greatest {difference.max()} of 255"
            assert figures in page.text("#view-caption")
    assert not page.one("#divider").is_displayed()


def test_downloads(page: Page) -> None:
    data = make_data()
    lines = page.download("#save-commands", "commands.txt").split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(data["points"])  # the line break in the name makes no line
    shown = HOSTILE.replace("\n", " ")
    assert lines[0] == f"vaec -q 20  # {shown}, vaec, setting 20, 120 bytes"
    assert lines[-1].startswith("# not recorded  # <script>")
    saved = json.loads(page.download("#save-data", "bench.json"))
    for view in data["views"]:
        del view["original"]
        for image in (image for rate in view["rates"] for image in rate["images"]):
            image.pop("src", None)
    assert saved == data


def test_narrow(page: Page) -> None:
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    )
    try:
        page.driver.refresh()
        assert page.run("return document.documentElement.scrollWidth") == 400  # tables scroll in their own boxes
        assert page.one("#chart svg").size["width"] < 400
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
