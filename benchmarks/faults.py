"""Does a scan give the right rows for smallest inputs of faults that were reported in public?

    python benchmarks/faults.py FOLDER --out FILE

FOLDER holds files named as in the list below. They show faults that other programs had, or sidscan before
0.3: EXIF lost for one odd tag, positions in the wrong hemisphere, pixels of something else than the image,
metadata that cost the image. All files are scanned at once; a list and two programs are tried apart. Each
line of the table has a file, the right values, what the report says, and whether that is the same. The
programs, in C, stand for a system that refuses to change permissions and for one without an entry for the
user; they need a compiler. The scan uses the bundled detector.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Verdicts, environment, scan

_CELL = 32_767  # characters that spreadsheets take
_CHILE = (-33.8688889, -70.2083333)
Row = dict[str, Any]
Rows = dict[str, Row]


@dataclass(frozen=True)
class Expected:
    """What a row must say; None where anything may stand.

    Attributes:
        same_score: of this file.
        camera: make, model, original date, orientation.
        position: latitude and longitude.
        flag: one that the row must have; with a minus in front, one that it must not have.
        says: a part of its message.
    """

    file: str
    status: str = "scored"
    same_score: str = ""
    size: tuple[int, int] | None = None
    camera: tuple[str | None, str | None, str | None, int | None] | None = None
    position: tuple[float, float] | None = None
    flag: str = ""
    says: str = ""

    def differences(self, rows: Rows) -> list[str]:
        """How the row differs; empty if it does not."""
        row = rows.get(self.file)
        if row is None:
            return ["no row"]
        facts = row["facts"]
        found = [] if row["status"] == self.status else [f"{row['status']}: {row['message']}"]
        if self.same_score and not _close(_score(row), _score(rows[self.same_score])):
            found.append(f"score {_score(row)}, not that of {self.same_score}")
        if self.size and (facts["width"], facts["height"]) != self.size:
            found.append(f"{facts['width']} x {facts['height']}")
        if self.flag and (self.flag.lstrip("-") in facts["flags"]) == self.flag.startswith("-"):
            found.append(f"flags {' '.join(facts['flags']) or 'none'}")
        if self.says and self.says not in (row["message"] or ""):
            found.append(f"message {row['message']}")
        return found + self._exif_differences(facts["exif"], facts["flags"])

    def _exif_differences(self, exif: Row, flags: list[str]) -> list[str]:
        camera = tuple(exif[key] for key in ("make", "model", "original_date", "orientation"))
        position = (exif["latitude"], exif["longitude"])
        found = []
        if self.camera and any(
            right not in (None, mine) for mine, right in zip(camera, self.camera, strict=True)
        ):
            found.append(f"camera {camera}")
        if self.position and not _same_position(position, self.position, flags):
            found.append(f"position {position}")
        return found

    def __str__(self) -> str:
        parts = [
            self.status,
            f"score of {self.same_score}" if self.same_score else "",
            f"{self.size[0]} x {self.size[1]}" if self.size else "",
            " ".join(str(value) for value in self.camera or () if value),
            f"{self.position[0]}, {self.position[1]}" if self.position else "",
            f"flag {self.flag}" if self.flag and not self.flag.startswith("-") else "",
            f"no flag {self.flag[1:]}" if self.flag.startswith("-") else "",
            f"says {self.says!r}" if self.says else "",
        ]
        return ", ".join(part for part in parts if part)


_JPEG, _PNG = "00-plain.jpg", "00-plain.png"
_ACME = ("ACME", "Cam 1", "2021:03:04 05:06:07", None)
_CANON_S40 = ("Canon", "Canon PowerShot S40", "2003:12:14 12:01:44", 1)
_CANON_1D = ("Canon", "Canon EOS-1D Mark III", "2007:02:22 17:02:42", 1)
EXPECTED = (
    Expected(_JPEG),
    Expected(_PNG),
    Expected("01-canon-s40.jpg", camera=_CANON_S40, flag="-exif_unreadable"),
    Expected("01-canon-1d3.jpg", camera=_CANON_1D, flag="-exif_unreadable"),
    Expected("03-gps-lower.jpg", same_score=_JPEG, position=_CHILE),
    Expected("03-gps-type7.jpg", same_score=_JPEG, position=_CHILE),
    Expected("04-gps-two-parts.jpg", same_score=_JPEG, position=(-33.8688333, -70.2083333)),
    Expected("05-png-profile-APP1.png", same_score=_PNG, camera=_ACME, position=_CHILE),
    Expected("05-png-profile-tail.png", same_score=_PNG, camera=_ACME, position=_CHILE),
    Expected("06-raw-nef-like.nef", size=(256, 240), flag="preview"),
    Expected("07-tiff-rgb16-chunky.tif", flag="reduced_to_8_bit"),
    Expected("07-tiff-rgb16-planar.tif", same_score="07-tiff-rgb16-chunky.tif", flag="reduced_to_8_bit"),
    Expected("08-tiff-orientation6.tif", size=(128, 96), camera=(None, None, None, 6)),
    Expected("09-tiff-float-0-1.tif", status="failed", says="can't be reduced to 8 bits"),
    Expected("10-png-zTXt-2MB.png", same_score=_PNG, flag="metadata_skipped"),
    Expected("10-png-iCCP-2MB.png", same_score=_PNG, flag="metadata_skipped"),
    Expected("11-png-pHYs-crc.png", same_score=_PNG, flag="metadata_skipped"),
    Expected("11-png-sRGB-short.png", same_score=_PNG, flag="metadata_skipped"),
    Expected("12-jpeg-icc-short.jpg", same_score=_JPEG, flag="metadata_skipped"),
    Expected("13-tiff-next-ifd.tif", same_score="08-tiff-orientation6.tif"),
    Expected("13-gif-cut-in-2nd-header.gif", flag="first_frame"),
    Expected("14-a.jp2"),
    Expected("14-b.cr3", status="failed", says="CR3"),
    Expected("16-software-45000.jpg", same_score=_JPEG),
    Expected("16-software-control.jpg", same_score=_JPEG),
    Expected("17-heic-irot-exif1.heic", size=(240, 320), flag="rotated_by_container"),
)


def _score(row: Row) -> float | None:
    return row["scores"][0]["score"] if row["scores"] else None


def _close(left: float | None, right: float | None) -> bool:
    return left is not None and right is not None and math.isclose(left, right, abs_tol=1e-5)


def _same_position(
    found: tuple[float | None, float | None], right: tuple[float, float], flags: list[str]
) -> bool:
    if found == (None, None):
        return "position_unreadable" in flags
    return all(_close(mine, theirs) for mine, theirs in zip(found, right, strict=True))


def cells(_: Path, work: Path) -> str:
    """Whether no cell of a CSV report is longer than spreadsheets take; empty if so, else what was seen."""
    csv.field_size_limit(1 << 30)
    with (work / "r.csv").open(encoding="utf-8", newline="") as file:
        longest = max(len(cell) for row in csv.reader(file) for cell in row)
    return "" if longest <= _CELL else f"a cell of {longest} characters"


def utf16_list(folder: Path, work: Path) -> str:
    """A list in UTF-16 gives its two rows, scored, or an error that says what to do."""
    ended = _run(["--list", "15-utf16le.txt", "--out", str(work / "list.json")], folder, work)
    if ended.returncode == 2 and "UTF-16" in ended.stderr:
        return ""
    rows = json.loads((work / "list.json").read_text(encoding="utf-8"))["findings"]
    statuses = [row["status"] for row in rows]
    return "" if statuses == ["scored", "scored"] else f"rows {statuses}"


def no_chmod(folder: Path, work: Path) -> str:
    """Where permissions can't be changed, a report is still written, and written again."""
    preload = {"LD_PRELOAD": _compiled(folder / "18-chmod-eperm.c", work)}
    for _ in range(2):
        ended = _run([str(folder / _JPEG), "--out", str(work / "x.csv")], folder, work, preload)
        if ended.returncode:
            return f"exit {ended.returncode}: {ended.stderr.strip().splitlines()[-1]}"
    return ""


def no_passwd_entry(folder: Path, work: Path) -> str:
    """Without a home and an entry for the user, the bundled detector works."""
    preload = {"LD_PRELOAD": _compiled(folder / "19-no-passwd-entry.c", work), "PATH": os.defpath}
    command = scan(str(folder / _JPEG), "--model", "mini", "--out", str(work / "y.csv"))
    ended = subprocess.run(command, env=preload, capture_output=True, text=True, check=False)
    return "" if ended.returncode == 0 else f"exit {ended.returncode}: {ended.stderr.strip()[-200:]}"


def _run(
    arguments: list[str], folder: Path, work: Path, more: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A scan by the bundled detector."""
    command = scan(*arguments, "--model", "mini", "--workers", "1")
    variables = environment(work / "models", **(more or {}))
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def _compiled(source: Path, work: Path) -> str:
    library = work / f"{source.stem}.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True, capture_output=True)
    return str(library)


Check = Callable[[Path, Path], str]
CHECKS: tuple[tuple[str, str, Check, bool], ...] = (  # file, right, check, whether it needs a compiler
    ("16-software-*.jpg", f"no CSV cell above {_CELL} characters", cells, False),
    ("15-utf16le.txt", "two rows, scored, or exit 2 that names UTF-16", utf16_list, False),
    ("18-chmod-eperm.c", "exit 0, twice", no_chmod, True),
    ("19-no-passwd-entry.c", "scored", no_passwd_entry, True),
)


def table(folder: Path, work: Path) -> Iterator[tuple[str, str, str]]:
    """File, right value, and what differs (empty if nothing does)."""
    arguments = [str(folder), "--out", str(work / "r.csv"), "--out", str(work / "r.json")]
    ended = _run(arguments, folder, work)
    if not (work / "r.json").exists():
        raise SystemExit(f"the scan wrote no report: {ended.stderr.strip()[-500:]}")
    findings = json.loads((work / "r.json").read_text(encoding="utf-8"))["findings"]
    rows = {Path(row["path"]).name: row for row in findings}
    for expected in EXPECTED:
        yield expected.file, str(expected), "; ".join(expected.differences(rows))
    for name, right, check, needs_compiler in CHECKS:
        if any(folder.glob(name)) and (shutil.which("cc") or not needs_compiler):
            yield name, right, check(folder, work)


def main() -> int:
    """Scan, compare, print the table, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    verdicts, lines = Verdicts("faults"), []
    with tempfile.TemporaryDirectory() as work:
        for name, right, differs in table(options.folder.resolve(), Path(work)):
            lines.append({"file": name, "right": right, "got": differs or "the same", "ok": not differs})
    print("| file | right | got | ok |\n| --- | --- | --- | --- |")
    for line in lines:
        print(f"| {line['file']} | {line['right']} | {line['got']} | {'yes' if line['ok'] else 'NO'} |")
    verdicts.result["table"] = lines
    wrong = [line["file"] for line in lines if not line["ok"]]
    verdicts.check("every row is right", bool(lines) and not wrong, f"{len(lines)} rows, wrong: {wrong}")
    return verdicts.end(options.out)


if __name__ == "__main__":
    raise SystemExit(main())
