"""A real browser for tests: Chromium without a window."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

if not os.environ.get("VAECODEC_NEED_BROWSER"):  # CI has one, and tells where its driver is missing
    pytest.importorskip("selenium")
from selenium import webdriver

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1000,900",
)


@contextmanager
def chromium(profile: Path, *flags: str, logs: tuple[str, ...] = ("browser",)) -> Iterator[webdriver.Chrome]:
    """The driver of one, which ends with it. Skips the test where there is none, or fails it where there must be."""
    programs = {name: needed(name) for name in ("chromium", "chromedriver")}
    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"]
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", dict.fromkeys(logs, "ALL"))
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs["chromedriver"]))
    try:
        yield driver
    finally:
        driver.quit()


def needed(program: str) -> str:
    """Where a program is that the tests of pages need."""
    path = shutil.which(program)
    if path is None:
        reason = f"pages are tested in a browser, and there is no {program}"
        if os.environ.get("VAECODEC_NEED_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
