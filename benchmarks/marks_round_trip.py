"""Marks of two people through renames, moves, re-saves and deletions: none lost, none on a wrong image.

    python benchmarks/marks_round_trip.py --out FILE

1,200 generated images are scanned. In Chromium (playwright, offline) two people mark 600 of them each by
keyboard and export; 200 images have marks of both, which differ on half of them. The marks are imported, and
the folder is changed: of the 1,000 marked images 250 are renamed, 250 moved, 200 saved again as JPEG of
quality 75, 100 deleted. To trap marks that follow names, 200 images without a mark take the old names of
renamed and re-saved ones. Then the folder is scanned again, and every row is compared with what its image
should have. Copies that were saved again must have no mark before somebody confirms them, and the right one
after; the deleted images come back at the end, under other names. What each image should have is known by the
number that it was generated with, not by what sidscan says.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from harness import Verdicts, run, scan
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

_MARKED, _UNMARKED, _EACH = 1_000, 200, 600
_KEYS = {"1": "suspicious", "2": "cleared", "3": "later"}
_GROUPS = {"renamed": 250, "moved": 250, "saved again": 200, "deleted": 100, "unchanged": 200}
_FIRST_VIEW = "#sort=path&down=false"

Words = tuple[str, ...]
"""What people decided of an image, e.g. ``("Anna: cleared", "Ben: later")``."""


def main() -> int:
    """Run it in a temporary folder, print a table and the promises, record them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    verdicts = Verdicts("marks_round_trip")
    with tempfile.TemporaryDirectory() as folder:
        RoundTrip(Path(folder), verdicts).run(options.chromium)
    return verdicts.end(options.out)


@dataclass
class RoundTrip:
    """One run, and what each image should have.

    Attributes:
        wanted: by the number of a generated image, what people decided.
        bytes_of: the number of the image that a file's bytes show, by their sha256.
        names: where the image is now.
    """

    folder: Path
    verdicts: Verdicts
    wanted: dict[int, Words] = field(default_factory=dict)
    bytes_of: dict[str, int] = field(default_factory=dict)
    names: dict[int, Path] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, chromium: str) -> None:
        """All steps."""
        self._generate()
        self._scan("first scan")
        self._mark(chromium)
        self._import()
        self._change_files()
        self._scan("scan after the changes")
        self._check("after the changes", without=("saved again", "deleted"))
        self._sidscan("marks", "confirm", self._report, "--yes", "--by", "Chief")
        self._scan("scan after copies were confirmed")
        self._check("after copies were confirmed", without=("deleted",))
        self._bring_back()
        self._scan("scan after deleted images came back")
        self._check("after deleted images came back", without=())
        self._import_again()
        self.verdicts.result["seconds"] = {name: round(taken, 1) for name, taken in self.seconds.items()}

    @property
    def _report(self) -> Path:
        return self.folder / "r.csv"

    def _generate(self) -> None:
        rng = np.random.default_rng(19)
        (self.folder / "in").mkdir()
        for number in range(_MARKED + _UNMARKED):
            path = self.folder / "in" / f"{number:04d}.png"
            _detailed(rng).save(path)
            self.names[number] = path
            self._know(number)

    def _know(self, number: int) -> None:
        self.bytes_of[hashlib.sha256(self.names[number].read_bytes()).hexdigest()] = number

    def _scan(self, step: str) -> None:
        began = time.monotonic()
        outs = ("--out", self._report, "--out", self.folder / "r.html")
        ended = run(scan(self.folder / "in", "--model", "mini", *outs, "--quiet"), self.folder / "models")
        if ended.returncode:
            raise SystemExit(ended.stderr)
        self.seconds[step] = time.monotonic() - began

    def _sidscan(self, *arguments: str | Path) -> str:
        began = time.monotonic()
        command = [*scan()[:-1], *map(str, arguments)]
        ended = run(command, self.folder / "models")
        if ended.returncode:
            raise SystemExit(ended.stderr)
        self.seconds[f"{arguments[0]} {arguments[1]}"] = time.monotonic() - began
        return (ended.stdout + ended.stderr).replace(f"{self.folder}/", "")

    def _mark(self, chromium: str) -> None:
        began = time.monotonic()
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            self._mark_as(browser, "Anna", range(_EACH), shift=0)
            self._mark_as(browser, "Ben", range(_MARKED - _EACH, _MARKED), shift=1)
            browser.close()
        self.seconds["two people mark and export"] = time.monotonic() - began

    def _mark_as(self, browser: Browser, person: str, numbers: range, shift: int) -> None:
        """Press a key per image, in the order of paths; on every second image of both, people differ."""
        page = browser.new_context(offline=True, accept_downloads=True).new_page()
        page.set_default_timeout(120_000)
        page.goto((self.folder / "r.html").as_uri() + _FIRST_VIEW)
        page.locator("#list").focus()
        for _ in range(numbers.start):
            page.keyboard.press("j")
        for number in numbers:
            key = list(_KEYS)[(number // 2 + (shift if number % 2 else 0)) % 3]
            page.keyboard.press(key)
            self.wanted[number] = (*self.wanted.get(number, ()), f"{person}: {_KEYS[key]}")
        _export(page, self.folder / f"{person}.csv", person)
        page.context.close()

    def _exports(self, suffix: str = "") -> list[Path]:
        return [self.folder / f"{person}{suffix}.csv" for person in ("Anna", "Ben")]

    def _import(self) -> None:
        said = self._sidscan("marks", "import", *self._exports(), self._report)
        decisions = 2 * _EACH
        held = said.startswith(f"{decisions} decisions added")
        self.verdicts.check("an import keeps all decisions of two people", held, said.splitlines()[0])
        conflicts = sum(len(_marks_of(words)) > 1 for words in self.wanted.values())
        listed = self._sidscan("marks", "list", self._report).splitlines()[-1]
        promise = "people who differ are a conflict, and nobody else"
        self.verdicts.check(promise, f"{_MARKED} images, {conflicts} conflicts" in listed, listed)

    def _change_files(self) -> None:
        """Change the folder, and let images without a mark take names that marked ones had."""
        numbers = iter(np.random.default_rng(5).permutation(_MARKED).tolist())
        free: list[Path] = []
        for group, count in _GROUPS.items():
            for _ in range(count):
                number = next(numbers)
                self.groups[number] = group
                free += self._change(number, group)
        for number, name in zip(range(_MARKED, _MARKED + _UNMARKED), free, strict=False):
            self.names[number] = self.names[number].replace(name)

    def _change(self, number: int, group: str) -> list[Path]:
        """Returns the name that became free."""
        old = self.names[number]
        if group == "unchanged":
            return []
        new = {
            "renamed": old.with_name(f"renamed {number}.png"),
            "moved": old.parent / f"box {number % 7}" / old.name,
            "saved again": old.with_name(f"again {number}.jpg"),
            "deleted": self.folder / "away" / old.name,
        }[group]
        new.parent.mkdir(exist_ok=True)
        if group == "saved again":
            with Image.open(old) as image:
                image.save(new, quality=75)
            old.unlink()
        else:
            shutil.move(old, new)
        self.names[number] = new
        self._know(number)
        return [old] if group in ("renamed", "saved again") else []

    def _bring_back(self) -> None:
        for number, group in self.groups.items():
            if group == "deleted":
                back = self.folder / "in" / f"back {number}.png"
                self.names[number] = self.names[number].replace(back)

    def _check(self, when: str, without: tuple[str, ...]) -> None:
        """Compare each row with what its image should have; those of the groups ``without`` have no mark."""
        lost, wrong, kept, missing = 0, 0, 0, set(self.wanted)
        with self._report.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                number = self.bytes_of[row["sha256"]]
                missing.discard(number)
                due = () if self.groups.get(number) in without else self.wanted.get(number, ())
                found = _words_of(row)
                kept += bool(due) and found == due
                lost += bool(due) and not found
                wrong += bool(found) and found != due
        gone = sum(self.groups[number] != "deleted" for number in missing)
        due_rows = sum(self.groups[number] not in without for number in self.wanted)
        self.verdicts.check(
            f"{when}: no mark is lost",
            kept == due_rows and not lost and not gone,
            f"{kept} of {due_rows} kept",
        )
        self.verdicts.check(f"{when}: no mark is on a wrong image", not wrong, f"{wrong} wrong")

    def _import_again(self) -> None:
        """The same files as a spreadsheet saves them: semicolons, other line ends, times without T and Z."""
        for person in ("Anna", "Ben"):
            with (self.folder / f"{person}.csv").open(encoding="utf-8-sig", newline="") as file:
                table = list(csv.DictReader(file))
            with (self.folder / f"{person} again.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, table[0], delimiter=";", lineterminator="\n")
                writer.writeheader()
                for row in table:
                    row["mark_at"] = row["mark_at"].replace("T", " ").removesuffix("Z")
                    writer.writerow(row)
        said = self._sidscan("marks", "import", *self._exports(" again"), self._report)
        held = said.startswith("0 decisions added")
        self.verdicts.check("the same marks from a spreadsheet are known", held, said.splitlines()[0])


def _detailed(rng: np.random.Generator) -> Image.Image:
    """An image with detail of every size, so that perceptual hashes tell images apart."""
    total = np.zeros((240, 320, 3))
    for side in (4, 8, 16, 32):
        noise = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        total += np.asarray(noise.resize((320, 240), Image.Resampling.BICUBIC), dtype=float)
    return Image.fromarray((total / 4).astype(np.uint8))


def _export(page: Page, path: Path, person: str) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="Export marks").click()
        page.locator("dialog input").fill(person)
        page.keyboard.press("Enter")
    download.value.save_as(path)


def _marks_of(words: Words) -> set[str]:
    return {each.partition(": ")[2] for each in words}


def _words_of(row: Mapping[str, Any]) -> Words:
    """What a row says, as `Words`: with one mark the names stand alone."""
    if not row["mark"]:
        return ()
    if row["mark"] == "conflict":
        return tuple(row["mark_by"].split("; "))
    return tuple(f"{name}: {row['mark']}" for name in row["mark_by"].split(", "))


if __name__ == "__main__":
    raise SystemExit(main())
