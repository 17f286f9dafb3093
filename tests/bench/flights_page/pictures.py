"""Pictures of the dashboard's own charts, taken in a browser without a screen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, sync_playwright

from driftline_streams.embedded.ports import LOOPBACK, free_ports
from driftline_streams.errors import Unavailable
from driftline_streams.settings import Settings

# File, heading of the chart, and the version to choose where there is a choice.
CHARTS = (
    ("flights-drift-v1.png", "Drift by signal and time", "v1"),
    ("flights-drift-v2.png", "Drift by signal and time", "v2"),
    ("flights-performance.png", "Performance as labels arrive", ""),
    ("flights-score.png", "Score and confidence", ""),
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WIDTH, HEIGHT = 1280, 2_600  # so high that nothing is scrolled under the bar
WAIT_MS, START_S, STOP_S = 30_000, 60.0, 15.0
READ = "document.querySelector('.pulse')?.innerText.startsWith('updated')"


def take(settings: Settings, model: str, into: Path) -> None:
    """Write the pictures of `CHARTS`.

    Raises
    ------
    Unavailable
        If there is no Chromium on the PATH, or the dashboard does not start.
    """
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        raise Unavailable("no Chromium on PATH: install chromium, which takes the pictures")
    with _dashboard(settings) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(color_scheme="light", viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(WAIT_MS)
        page.goto(f"{address}/model/{quote(model, safe='')}?span=all")
        page.wait_for_function(READ)
        for name, heading, version in CHARTS:
            _take(page, heading, version, into / name)
        browser.close()


def _take(page: Page, heading: str, version: str, target: Path) -> None:
    card = page.locator(".panel", has=page.get_by_role("heading", name=heading))
    if version:
        before = card.locator(".sub").inner_text()
        button = card.get_by_role("button", name=version, exact=True)
        if button.get_attribute("aria-pressed") != "true":
            button.click()
            page.wait_for_function(
                "([card, before]) => card.querySelector('.sub').innerText !== before",
                arg=[card.element_handle(), before],
            )
    page.wait_for_timeout(1_500)  # ECharts draws its last frame and says so to nobody
    card.screenshot(path=target, animations="disabled")


@contextmanager
def _dashboard(settings: Settings) -> Iterator[str]:
    port = free_ports(1)[0]
    address = f"http://{LOOPBACK}:{port}"
    command = [sys.executable, "-m", "driftline_streams.cli", "dashboard", "--port", str(port)]
    log = settings.data_dir / "dashboard.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, env={**os.environ, **settings.environment()}, stdout=out, stderr=out)
    try:
        _wait(address, process, log)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_S)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/alerts", timeout=5):  # noqa: S310 - our own address
                return
        except OSError:
            time.sleep(0.2)
    raise Unavailable(f"the dashboard does not answer; see {log}")
