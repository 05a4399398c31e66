"""HTML report: what axe-core finds in the list and on the evidence page.

    python benchmarks/html_accessibility.py report.html axe.min.js --out FILE

Views: grid, table, evidence page and the list of keys; light and dark; 1280 pixels wide, and 640 as at a zoom
of 200 %. `axe.min.js` is the file of that name in the npm package axe-core. Needs playwright and Chromium.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from record import publish, stamp

if TYPE_CHECKING:
    from playwright.sync_api import Page

_SCHEMES, _WIDTHS = ("light", "dark"), (1280, 640)
_VIEWS = {"grid": "", "table": "v", "evidence page": "Enter", "keys": "?"}  # the key that leads to each
_RUN = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return { violations: found.violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.length })),
    rules_passed: found.passes.length };
}"""


def views(page: Page, axe: str) -> dict[str, Any]:
    """What axe-core finds in each view."""
    page.evaluate(axe)
    found = {}
    for view, key in _VIEWS.items():
        if key:
            page.keyboard.press(key)
            page.wait_for_timeout(300)
        found[view] = page.evaluate(_RUN)
    return found


def measure(report: Path, axe: str) -> dict[str, Any]:
    """What is found in all views, by scheme and width."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    results = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for scheme in _SCHEMES:
            for width in _WIDTHS:
                context = browser.new_context(
                    offline=True,
                    color_scheme="dark" if scheme == "dark" else "light",
                    viewport={"width": width, "height": 800},
                    bypass_csp=True,  # axe-core is not a script of the page
                )
                page = context.new_page()
                page.goto(report.resolve().as_uri())
                page.locator("#rows [data-place]").first.wait_for()
                results[f"{scheme}, {width} pixels"] = views(page, axe)
                context.close()
        browser.close()
    return results


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", type=Path)
    parser.add_argument("axe", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    axe = options.axe.read_text(encoding="utf-8")
    version = re.search(r"axe v([0-9.]+)", axe)
    found = measure(options.report, axe)
    facts = {"axe_core": version[1] if version else None, "views": found}
    publish({**stamp("html_accessibility"), **facts}, options.out)


if __name__ == "__main__":
    main()
