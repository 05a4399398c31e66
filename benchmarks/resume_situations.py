"""What becomes of reports, records and earlier results in twenty situations, as a user would meet them.

    python benchmarks/resume_situations.py --out FILE

Every situation runs `sidscan scan` as a process of its own, with the bundled detector, on small images that
this script makes. It prints a Markdown table: what happened, exit code, message, what was kept. A situation
whose outcome is not the promised one is a broken promise, and ends the script with an error.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from harness import Verdicts, encoded, photo
from PIL import Image

_OTHER_PILLOW = "import PIL.Image\nPIL.__version__ = '12.9.9'\n"
_OTHER_SIDSCAN = "import sidscan._version\nsidscan._version.__version__ = '9.9.9'\n"
_NO_HEIF = """import importlib.metadata, sys
sys.modules["pillow_heif"] = None
_version = importlib.metadata.version
def version(name):
    if name == "pillow-heif":
        raise importlib.metadata.PackageNotFoundError(name)
    return _version(name)
importlib.metadata.version = version
"""
_POISON = """import os, signal
from sidscan.images import items
_load = items.load_file
def load_file(item, limit):
    if "poison" in item.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    return _load(item, limit)
items.load_file = load_file
"""


@dataclass
class Ended:
    """How a command ended."""

    code: int
    err: str

    def message(self, *parts: str) -> str:
        """The lines of standard error that hold one of ``parts``."""
        return " / ".join(
            line.strip() for line in self.err.splitlines() if any(part in line for part in parts)
        )


@dataclass
class Desk:
    """A folder in which a user works.

    Attributes:
        folder: holds the folder ``images`` and what the user writes.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *arguments: str | Path) -> list[str]:
        """``sidscan scan`` with the bundled detector."""
        common = ("--model", "mini", "--crops", "center", "--workers", "1")
        return [sys.executable, "-P", "-m", "sidscan", "scan", *common, *map(str, arguments)]

    def scan(self, *arguments: str | Path, extra: str = "", cwd: str = ".") -> Ended:
        """Run it to its end.

        Args:
            extra: code that every process runs at its start, as another installation would differ.
        """
        environment = {**os.environ, **self.environment}
        if extra:
            site = self.folder / f"site-{hashlib.sha256(extra.encode()).hexdigest()[:8]}"
            site.mkdir(exist_ok=True)
            (site / "sitecustomize.py").write_text(extra, encoding="utf-8")
            environment["PYTHONPATH"] = str(site)
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder / cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ended(done.returncode, done.stderr)

    def rows(self, name: str = "r.csv") -> dict[str, dict[str, str]]:
        """The rows of a CSV report by path."""
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return {row["path"]: row for row in csv.DictReader(file)}

    def journal_results(self) -> int:
        """Results in the record."""
        with closing(sqlite3.connect(self.folder / "r.csv.journal")) as database:
            return int(database.execute("SELECT count(*) FROM items WHERE finding IS NOT NULL").fetchone()[0])

    def edit(self, name: str = "r.csv") -> bytes:
        """Add a column to a report, as a user would; returns its bytes."""
        path = self.folder / name
        path.write_bytes(path.read_bytes().replace(b"\r\n", b",my note\r\n"))
        return path.read_bytes()

    def holds(self, content: bytes, name: str = "r.csv") -> bool:
        """Whether a file still has exactly these bytes."""
        return (self.folder / name).read_bytes() == content


Outcome = tuple[Ended, str, bool]
"""How the last command ended, what was kept in words, and whether that is what is promised."""
Situation = Callable[[Desk], Outcome]
SITUATIONS: dict[str, Situation] = {}


def situation(title: str) -> Callable[[Situation], Situation]:
    """Register a situation by its title."""

    def register(function: Situation) -> Situation:
        SITUATIONS[title] = function
        return function

    return register


@situation("The same command again")
def _again(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv")
    before = desk.rows()
    ended = desk.scan("images", "-o", "r.csv")
    return ended, "all 4 rows", ended.code == 0 and desk.rows() == before


@situation("A report to which a column was added")
def _edited(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv")
    content = desk.edit()
    ended = desk.scan("images", "-o", "r.csv")
    kept = ended.code == 7 and desk.holds(content) and desk.journal_results() == 4
    return ended, "the edited report; 4 results in the record", kept


@situation("... renamed, as the message says, and the same command again")
def _renamed(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv")
    content = desk.edit()
    (desk.folder / "r.csv").rename(desk.folder / "mine.csv")
    ended = desk.scan("images", "-o", "r.csv")
    kept = ended.code == 0 and "4 results kept" in ended.err and desk.holds(content, "mine.csv")
    return ended, "mine.csv; a new r.csv from the record", kept and len(desk.rows()) == 4


@situation("... with --overwrite")
def _overwritten(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv")
    desk.edit()
    ended = desk.scan("images", "-o", "r.csv", "--overwrite")
    return ended, "4 results; the note is gone, as asked", ended.code == 0 and "4 results kept" in ended.err


@situation("A report that a spreadsheet saved again (semicolons, byte order mark)")
def _spreadsheet(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv")
    path = desk.folder / "r.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b",", b";"))
    content = path.read_bytes()
    ended = desk.scan("images", "-o", "r.csv")
    return ended, "the saved report", ended.code == 7 and desk.holds(content)


@situation("A report that is edited while the scan runs")
def _race(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv", "-o", "r.json")
    (desk.folder / "images" / "new.jpg").write_bytes(encoded(_photo(9), "JPEG"))
    process = subprocess.Popen(
        desk.command("images", "-o", "r.csv", "-o", "r.json"),
        cwd=desk.folder,
        env={**os.environ, **desk.environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines = [process.stderr.readline()]
    while lines[-1] and not lines[-1].startswith("model"):  # by now the first check is over
        lines.append(process.stderr.readline())
    content = desk.edit()
    ended = Ended(0, "".join(lines) + process.stderr.read())
    ended.code = process.wait()
    in_json = len(json.loads((desk.folder / "r.json").read_text(encoding="utf-8"))["findings"])
    kept = ended.code == 7 and desk.holds(content) and (in_json, desk.journal_results()) == (5, 5)
    return ended, "the edited report; r.json and the record have all 5", kept


@situation("The report of another folder, without its record")
def _foreign_run(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv")
    (desk.folder / "r.csv.journal").unlink()
    content = (desk.folder / "r.csv").read_bytes()
    ended = desk.scan("images/below", "-o", "r.csv")
    return ended, "the report with its 4 rows", ended.code == 7 and desk.holds(content)


@situation("A file that sidscan never wrote")
def _foreign(desk: Desk) -> Outcome:
    (desk.folder / "r.csv").write_bytes(b"name,marks\n")
    ended = desk.scan("images", "-o", "r.csv")
    kept = ended.code == 7 and desk.holds(b"name,marks\n") and not (desk.folder / "r.csv.journal").exists()
    return ended, "the file; no record was begun", kept


@situation("A hash file that somebody changed")
def _hash_file(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv", "--hash-file")
    content = (desk.folder / "r.csv").read_bytes()
    (desk.folder / "r.csv.sha256").write_bytes(b"0" * 64 + b"  r.csv\n")
    ended = desk.scan("images", "-o", "r.csv")
    sums = desk.holds(b"0" * 64 + b"  r.csv\n", "r.csv.sha256")
    return ended, "report and hash file", ended.code == 7 and desk.holds(content) and sums


@situation("`images`, `./images`, the full path, and from another folder")
def _names(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv")
    kept = True
    for name, cwd in (("./images", "."), (desk.folder / "images", "."), ("../images", "other")):
        out = desk.folder / "r.csv"
        ended = desk.scan(name, "-o", out, cwd=cwd)
        kept &= ended.code == 0 and "4 results kept" in ended.err
        kept &= all(path.startswith(f"{name}/") for path in desk.rows())
    return ended, "all 4 results, under the names of each command", kept


@situation("Another version of sidscan")
def _version(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv")
    before = {row["sidscan_version"] for row in desk.rows().values()}
    ended = desk.scan("images", "-o", "r.csv", extra=_OTHER_SIDSCAN)
    after = {row["sidscan_version"] for row in desk.rows().values()}
    kept = ended.code == 0 and "4 results kept" in ended.err and before == after
    return ended, "all 4; each row names the version that made it", kept


@situation("Another version of Pillow")
def _pillow(desk: Desk) -> Outcome:
    _add_heic(desk)
    desk.scan("images", "-o", "r.csv")
    ended = desk.scan("images", "-o", "r.csv", extra=_OTHER_PILLOW)
    decoders = {row["decoder"].split()[0]: row["decoder"] for row in desk.rows().values()}
    kept = ended.code == 0 and "1 result kept" in ended.err and decoders["Pillow"] == "Pillow 12.9.9"
    return ended, "the HEIC row; 4 rows are read again", kept


@situation("... with --keep-old")
def _keep_old(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv")
    before = desk.rows()
    ended = desk.scan("images", "-o", "r.csv", "--keep-old", extra=_OTHER_PILLOW)
    return ended, "all 4; each row names its decoder", ended.code == 0 and desk.rows() == before


@situation("pillow-heif was installed")
def _heif(desk: Desk) -> Outcome:
    _add_heic(desk)
    (desk.folder / "images" / "cut.jpg").write_bytes(encoded(_photo(8), "JPEG")[:900])
    desk.scan("images", "-o", "r.csv", extra=_NO_HEIF)
    before = desk.rows()
    ended = desk.scan("images", "-o", "r.csv")
    after = desk.rows()
    same = all(after[name] == row for name, row in before.items() if name != "images/new.heic")
    kept = ended.code == 3 and same and after["images/new.heic"]["status"] == "scored"
    return ended, "all 5 others, cut.jpg too; the HEIC image is scored", kept


@situation("Other options")
def _options(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv")
    ended = desk.scan("images", "-o", "r.csv", "--crops", "ten")
    return ended, "the earlier 4, until the new scan is complete", ended.code == 0


@situation("Two images were deleted")
def _deleted(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv")
    for number in (0, 1):
        (desk.folder / "images" / f"photo-{number}.jpg").unlink()
    ended = desk.scan("images", "-o", "r.csv")
    return ended, "the other 2; the deleted ones are named", ended.code == 0 and len(desk.rows()) == 2


@situation("The disk with the images is not mounted: the folder is empty")
def _unmounted(desk: Desk) -> Outcome:
    desk.scan("images", "-o", "r.csv")
    content = (desk.folder / "r.csv").read_bytes()
    (desk.folder / "images").rename(desk.folder / "elsewhere")
    (desk.folder / "images").mkdir()
    ended = desk.scan("images", "-o", "r.csv")
    return ended, "report and record", ended.code == 5 and desk.holds(content) and desk.journal_results() == 4


@situation("... or one of two folders that a list names is gone")
def _gone(desk: Desk) -> Outcome:
    shutil.copytree(desk.folder / "images", desk.folder / "more")
    (desk.folder / "list.txt").write_text("images\nmore\n", encoding="utf-8")
    desk.scan("--list", "list.txt", "-o", "r.csv")
    content = (desk.folder / "r.csv").read_bytes()
    (desk.folder / "more").rename(desk.folder / "elsewhere")
    ended = desk.scan("--list", "list.txt", "-o", "r.csv")
    return ended, "report and record", ended.code == 5 and desk.holds(content) and desk.journal_results() == 8


@situation("A poison image kills its reader in every scan")
def _poison(desk: Desk) -> Outcome:
    (desk.folder / "images" / "poison.jpg").write_bytes(encoded(_photo(7), "JPEG"))
    tried = []
    for _ in range(4):
        ended = desk.scan("images", "-o", "r.csv", extra=_POISON)
        tried.append("tried again" in ended.err)
    row = desk.rows()["images/poison.jpg"]
    kept = tried == [False, True, True, False] and row["status"] == "crashed"
    return ended, "all 5 rows; the crash is final after 3 scans", kept and "3 scans" in row["error_message"]


@situation("The scan is stopped for 9 s (Ctrl-Z) with --item-timeout 3")
def _stopped(desk: Desk) -> Outcome:
    rng = np.random.default_rng(1)
    for number in range(3):  # each takes some seconds to read
        pixels = rng.integers(0, 255, (1200, 9000, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(desk.folder / "images" / f"large-{number}.png", compress_level=1)
    process = subprocess.Popen(
        desk.command("images", "-o", "r.csv", "--item-timeout", "3"),
        cwd=desk.folder,
        env={**os.environ, **desk.environment},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _wait_for_rows(process, desk.folder / "r.csv.journal")
    for _ in range(3):
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(3)
        os.killpg(process.pid, signal.SIGCONT)
        time.sleep(0.2)
    assert process.stderr is not None
    ended = Ended(0, process.stderr.read())
    ended.code = process.wait()
    statuses = {row["status"] for row in desk.rows().values()}
    return ended, "all 7 rows are scored", ended.code == 0 and statuses == {"scored"}


def _wait_for_rows(process: subprocess.Popen[str], journal: Path) -> None:
    """Wait until a scan has begun to read."""
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None and not journal.exists():
        time.sleep(0.01)
    time.sleep(0.5)


def _photo(seed: int) -> Image.Image:
    return photo(np.random.default_rng(seed), 256, 240)


def _add_heic(desk: Desk) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    (desk.folder / "images" / "new.heic").write_bytes(encoded(_photo(6), "HEIF"))


def _desk(folder: Path) -> Desk:
    """A folder with four images."""
    (folder / "images" / "below").mkdir(parents=True)
    (folder / "other").mkdir()
    for number in range(3):
        (folder / "images" / f"photo-{number}.jpg").write_bytes(encoded(_photo(number), "JPEG"))
    (folder / "images" / "below" / "photo.png").write_bytes(encoded(_photo(5), "PNG"))
    return Desk(folder, {"SIDSCAN_MODELS": str(folder / "store"), "OMP_NUM_THREADS": "1"})


_SHOWN = (
    "sidscan:",
    "kept from",
    "not used",
    "of them read",
    "of a format",
    "made with",
    "gone or no",
    "read by",
    "tried again",
)


def main() -> int:
    """Run all situations; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only situations whose title holds this text")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    verdicts, lines = Verdicts("resume_situations"), []
    for number, (title, run) in enumerate(SITUATIONS.items(), 1):
        if options.only not in title:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            desk = _desk(Path(scratch) / "desk")
            ended, kept, held = run(desk)
            message = ended.message(*_SHOWN).replace(str(desk.folder), "FOLDER").replace("|", "/")
        verdicts.check(title, held, f"exit {ended.code}; {message}; kept: {kept}")
        lines.append(
            f"| {number} | {title} | {ended.code} | {message} | {kept if held else 'NOT: ' + kept} |"
        )
    verdicts.result["table"] = lines
    print("| | situation | exit code | message | what was kept |\n| --- | --- | --- | --- | --- |")
    print("\n".join(lines))
    return verdicts.end(options.out)


if __name__ == "__main__":
    sys.exit(main())
