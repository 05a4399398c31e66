"""What tests of the HTML report share: a browser, and pages opened in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Opener = Callable[..., Any]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Debian's Chromium, or of whichever is there."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("the test needs Chromium")
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """A browser for all tests; each opens a context of its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the test needs playwright")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Opener]:
    """Opens a report offline; at the end nothing may have been requested, logged or alerted."""
    wrong: list[str] = []

    @contextmanager
    def opener(path: Path, fragment: str = "", script: str = "", **options: Any) -> Iterator[Page]:
        context = browser.new_context(offline=True, viewport={"width": 1200, "height": 800}, **options)
        context.set_default_timeout(60_000)
        context.add_init_script(script)
        page = context.new_page()
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: accept_leaving(dialog, wrong))
        page.goto(path.as_uri() + fragment)
        yield page
        context.close()

    yield opener
    assert wrong == []


def accept_leaving(dialog: Any, wrong: list[str]) -> None:
    """The page may ask before marks are lost; it may not show anything else."""
    if dialog.type != "beforeunload":
        wrong.append(dialog.message)
    dialog.accept()
