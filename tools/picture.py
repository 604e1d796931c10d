"""Take the README's picture of the report: the first screen of a report's page, without a network.

.venv/bin/python tools/picture.py DEMO/reports/index.html docs/images/report.png
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
from pathlib import Path

from selenium import webdriver

SIZE = {"width": 1000, "height": 1060, "deviceScaleFactor": 1, "mobile": False}
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars")  # fmt: skip
LARGEST = 200_000


def main() -> None:
    page, picture = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        service = webdriver.ChromeService(executable_path=str(shutil.which("chromedriver")))
        driver = webdriver.Chrome(options=options, service=service)
        try:
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SIZE)
            light = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", light)
            driver.get(page.as_uri())
            data = base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", {})["data"])
        finally:
            driver.quit()
    if len(data) > LARGEST:
        sys.exit(f"the picture has {len(data):,} bytes, {LARGEST:,} are the limit")
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(data)
    print(f"{picture}: {len(data):,} bytes")


main()
