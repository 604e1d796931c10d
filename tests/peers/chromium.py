"""A real browser without a network: headless Chromium, driven over its own protocol.

In a ``conftest.py``: ``from peers.chromium import browser``. It runs once in a test session.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from selenium import webdriver

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--proxy-server=127.0.0.1:9",  # whatever it asked for would fail, and be seen
)


@frozen
class Browser:
    """One tab, which each page is opened in."""

    driver: webdriver.Chrome

    def open(self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open a file at a size; below 600 pixels as a phone."""
        self._do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._do("Emulation.setEmulatedMedia", media="", features=scheme)
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        self.driver.get(page.as_uri())

    def run(self, script: str) -> Any:
        """The value of a script's ``return``, run from outside the page (its own policy does not hold for it)."""
        return self.driver.execute_script(script)

    def requests(self) -> list[str]:
        """Every address that was asked for since the page was opened, its own too."""
        entries = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """What the browser wrote to its console: violations of the page's policy above all."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def screenshot(self, *, whole: bool = True) -> bytes:
        """A PNG, of the whole page or of what one sees without scrolling."""
        return base64.b64decode(self._do("Page.captureScreenshot", captureBeyondViewport=whole, **self._clip(whole)))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.run("const e = document.documentElement; return [e.clientWidth, e.scrollHeight]")
        return {"clip": {"x": 0, "y": 0, "width": size[0], "height": min(size[1], 16_000), "scale": 1}}

    def pdf(self) -> bytes:
        """The page as it is printed on A4."""
        return base64.b64decode(self._do("Page.printToPDF", preferCSSPageSize=True, printBackground=False))

    def _do(self, command: str, **parameters: Any) -> str:
        answer = self.driver.execute_cdp_cmd(command, parameters)
        return str(answer.get("data", ""))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser; its absence is a failure in CI, and a visible skip elsewhere."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        if os.environ.get("CI"):
            pytest.fail("chromium and chromedriver are missing: make peers")
        pytest.skip("chromium and chromedriver are missing: make peers")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=chromedriver))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
