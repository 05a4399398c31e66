"""Private scans, and reports that are redacted afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sample_images import encoded, photo
from sample_results import rows

from sidscan.reports.private import WORDS

Run = Callable[..., Any]
SECRETS = ("Maria Musterfrau", "SN-4711", "0b0b0b0b-unique", "home alone", "maria-laptop")


def personal_jpeg() -> bytes:
    """An image whose EXIF names a person, devices and a place."""
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x013B], block[0x013C] = "Acme", "Acme One", SECRETS[0], SECRETS[4]
    details = block.get_ifd(0x8769)
    details[0x9003], details[0x9011], details[0x829A] = "2021:02:03 04:05:06", "+01:00", 0.5
    details[0xA430], details[0xA431], details[0xA420] = SECRETS[0], SECRETS[1], SECRETS[2]
    details[0x9286], details[0x927C] = b"ASCII\0\0\0" + SECRETS[3].encode(), b"maker note"
    position = block.get_ifd(0x8825)
    position[1], position[2], position[3], position[4] = "N", (48.0, 8.0, 15.0), "E", (11.0, 34.0, 30.0)
    return encoded(photo(240, 240), "JPEG", exif=block.tobytes())


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("a.jpg").write_bytes(personal_jpeg())
    return "a.jpg"


def scan(sidscan: Run, *options: str) -> Any:
    outs = [part for suffix in ("csv", "json", "jsonl") for part in ("--out", f"r.{suffix}")]
    return sidscan("scan", "a.jpg", "--model", "mini", *outs, *options)


def leaks(path: str) -> list[str]:
    """The secrets in a file."""
    data = Path(path).read_bytes()
    position = (b"48.1375", b"11.575", b"48/1")
    return [word for word in (*(secret.encode() for secret in SECRETS), *position) if word in data]  # type: ignore[misc]


FILES = ("r.csv", "r.json", "r.jsonl", "r.csv.journal")


def test_a_private_scan_leaves_out_persons_devices_and_places(sidscan: Run, image: str) -> None:
    assert scan(sidscan).code == 0
    assert all(leaks(name) for name in ("r.json", "r.csv.journal")), "without the option they are there"
    private = scan(sidscan, "--private", "--fresh")
    assert (private.code, private.err.splitlines().count(WORDS)) == (0, 1)
    assert {name: leaks(name) for name in FILES} == {name: [] for name in FILES}
    (row,) = rows(Path("r.csv").read_text())
    assert (row["path"], row["exif_make"], row["exif_latitude"], row["flags"]) == (
        image,
        "Acme",
        "",
        "exif_withheld",
    )
    assert (row["exif_original_date"], row["exif_original_date_iso"]) == (
        "2021:02:03 04:05:06",
        "2021-02-03T04:05:06",
    )
    report = json.loads(Path("r.json").read_text())
    (result,) = report["findings"]
    assert report["run"]["private"] is True
    assert result["facts"]["exif"]["tags"]["EXIF ExposureTime"] == 0.5


@pytest.mark.usefixtures("image")
def test_what_an_earlier_session_recorded_is_deleted(sidscan: Run) -> None:
    assert scan(sidscan).code == 0
    again = scan(sidscan, "--private")
    assert (again.code, "1 result kept" in again.err) == (0, True), again.err
    assert {name: leaks(name) for name in FILES} == {name: [] for name in FILES}
    later = scan(sidscan)
    assert WORDS in later.err.splitlines(), "it holds for the whole run"
    assert leaks("r.json") == []


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
@pytest.mark.usefixtures("image")
def test_a_report_is_redacted_afterwards(sidscan: Run, suffix: str) -> None:
    assert scan(sidscan).code == 0
    before = Path(f"r.{suffix}").read_bytes()
    ended = sidscan("redact", f"r.{suffix}", "--out", f"new.{suffix}")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.splitlines() == [f"report: new.{suffix}, 1 row", WORDS]
    assert Path(f"r.{suffix}").read_bytes() == before
    assert leaks(f"new.{suffix}") == []
    assert sidscan("verify", f"new.{suffix}").code == 0
    quiet = sidscan("redact", f"r.{suffix}", "--out", f"new.{suffix}", "--overwrite", "--quiet")
    assert (quiet.code, quiet.err) == (0, "")


@pytest.mark.usefixtures("image")
def test_the_report_itself_is_never_written(sidscan: Run) -> None:
    assert scan(sidscan).code == 0
    before = Path("r.json").read_bytes()
    os.link("r.json", "hard.json")
    Path("soft.json").symlink_to("r.json")
    for name in ("r.json", "./r.json", "hard.json", "soft.json"):
        ended = sidscan("redact", "r.json", "--out", name, "--overwrite")
        assert (ended.code, "is both read and written" in ended.err) == (2, True), name
    Path("other.json").write_text("mine")
    ended = sidscan("redact", "r.json", "--out", "other.json")
    assert ended.code == 7
    assert ended.err.splitlines()[0] == "sidscan: other.json is there already; it is left alone"
    assert (Path("other.json").read_text(), Path("r.json").read_bytes()) == ("mine", before)


@pytest.mark.usefixtures("image")
def test_columns_of_others_are_emptied_and_named(sidscan: Run) -> None:
    assert scan(sidscan).code == 0
    names, row = Path("r.csv").read_text().splitlines()
    Path("r.csv").write_text(f"{names},remark\n{row},ask Maria Musterfrau\n", newline="")
    ended = sidscan("redact", "r.csv", "--out", "new.csv")
    assert ended.code == 0
    assert "1 column that a scan does not write is empty: remark" in ended.err.splitlines()
    assert leaks("new.csv") == []


@pytest.mark.usefixtures("image")
def test_a_report_for_a_german_spreadsheet_stays_one(sidscan: Run) -> None:
    assert scan(sidscan, "--csv-dialect", "excel-de").code == 0
    assert sidscan("redact", "r.csv", "--out", "new.csv").code == 0
    new = Path("new.csv").read_bytes()
    assert (new.startswith(b"\xef\xbb\xbfpath;status;"), leaks("new.csv")) == (True, [])


@pytest.mark.parametrize(
    ("report", "out", "message"),
    [
        pytest.param(
            "r.json", "new.csv", "r.json is a json report, and new.csv is not named like one", id="suffix"
        ),
        pytest.param("a.jpg", "new.json", "a.jpg is not a report of sidscan", id="not a report"),
        pytest.param("none.json", "new.json", "can't read none.json", id="missing"),
        pytest.param("cut.json", "new.json", "cut.json is damaged behind row 1", id="damaged"),
        pytest.param("odd.json", "new.json", "odd.json is damaged behind row", id="facts of another kind"),
    ],
)
@pytest.mark.usefixtures("image")
def test_wrong_usage(sidscan: Run, report: str, out: str, message: str) -> None:
    assert scan(sidscan).code == 0
    whole = Path("r.json").read_text()
    Path("cut.json").write_text(whole[:-3])
    Path("odd.json").write_text(whole.replace('"flags": []', '"flags": 7'))
    ended = sidscan("redact", report, "--out", out)
    assert (ended.code, message in ended.err, Path(out).exists()) == (2, True, False), ended.err
