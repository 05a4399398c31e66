"""A full or read-only disk ends a scan with a message; with space again, the same command completes it."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from sample_images import encoded, photo

IMAGE_COUNT = 120
_MOUNT = 'mount -t tmpfs -o size=1m none "$DISK" && '


class Step(NamedTuple):
    """How a scan on the small disk ended."""

    code: int
    stderr: str


def on_small_disk(images: Path, root: Path, *steps: str) -> list[Step]:
    """Run shell commands one after another, with a private disk of 1 MiB at ``$DISK``.

    ``scan`` is `sidscan scan` of the images; ``fill SIZE`` leaves SIZE of the disk free. The files
    that remain on the disk are copied to ``root / "left"``.
    """
    (root / "disk").mkdir(exist_ok=True)
    lines = [f"{{ {step} ; }} 2>{root}/stderr{n}; echo $? >{root}/code{n}" for n, step in enumerate(steps)]
    script = (
        'scan() { "$PYTHON" -m sidscan scan "$IMAGES" --model mini --crops center --device cpu "$@"; }\n'
        'fill() { head -c 2M /dev/zero >"$DISK/ballast"; truncate -s -"$1" "$DISK/ballast"; true; }\n'
        + "\n".join(lines)
        + f'\ncp -r "$DISK" {root}/left\n'
    )
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "DISK": str(root / "disk"),
        "IMAGES": str(images),
    }
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", _MOUNT + "{ " + script + "}"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [
        Step(int((root / f"code{n}").read_text()), (root / f"stderr{n}").read_text())
        for n in range(len(steps))
    ]


@pytest.fixture(autouse=True, scope="module")
def _may_mount(tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        command = ["unshare", "-rm", "bash", "-c", _MOUNT + "true"]
        tried = subprocess.run(
            command, env={**os.environ, "DISK": str(tmp_path_factory.mktemp("disk"))}, capture_output=True
        )
    except OSError as error:
        pytest.skip(f"a small private disk needs Linux's unshare: {error}")
    if tried.returncode:
        pytest.skip(f"this machine allows no private mounts: {tried.stderr.decode().strip()}")


def rows(report: Path) -> list[dict[str, object]]:
    """Rows without times. Scores are `Close` numbers, as the batch size changes their last digits."""
    with report.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    floats = ("score", "logit", "crop_min", "crop_max", "crop_std")
    numbers = [{name: Close(row[name]) for name in floats if row[name]} for row in table]
    return [{**row, **close, "scanned_at": ""} for row, close in zip(table, numbers, strict=True)]


class Close(float):
    """A number that equals others that agree to four decimal places."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(self - other) < 1e-4

    __hash__ = float.__hash__


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(IMAGE_COUNT):
        data = encoded(photo(60, 50, number), "JPEG")
        (folder / f"{number:03}.jpg").write_bytes(data if number % 10 else data[:300])
    return folder


@pytest.fixture(scope="module")
def undisturbed(images: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """The rows of a scan with enough space."""
    root = tmp_path_factory.mktemp("calm")
    (step,) = on_small_disk(images, root, 'scan --out "$DISK/r.csv"')
    assert step.code == 3, step.stderr
    return rows(root / "left" / "r.csv")


def test_a_disk_that_fills_up_during_a_scan(
    images: Path, undisturbed: list[dict[str, object]], tmp_path: Path
) -> None:
    _, full, _, more = on_small_disk(
        images,
        tmp_path,
        "fill 190K",
        'scan --out "$DISK/r.csv"; code=$?; ls -A "$DISK" >"$DISK/../after"; (exit $code)',
        'rm "$DISK/ballast"',
        'scan --out "$DISK/r.csv"',
    )
    assert full.code == 7, full.stderr
    assert f"sidscan: can't keep the run's record in {tmp_path}/disk/r.csv.journal" in full.stderr
    assert "disk is full\nName another file, in a writable folder with free space" in full.stderr
    assert "Traceback" not in full.stderr
    assert (tmp_path / "after").read_text().split() == ["ballast", "r.csv.journal"]
    assert more.code == 3, more.stderr
    (count,) = (int(line.split()[0]) for line in more.stderr.splitlines() if " results kept " in line)
    assert 0 < count < IMAGE_COUNT
    assert rows(tmp_path / "left" / "r.csv") == undisturbed


def test_a_disk_that_is_full_when_reports_are_written(
    images: Path, undisturbed: list[dict[str, object]], tmp_path: Path
) -> None:
    _, full, _, more = on_small_disk(
        images,
        tmp_path,
        "fill 20K",
        'scan --out "$DISK/r.csv" --journal "$DISK/../journal"; code=$?; '
        'ls -A "$DISK" >"$DISK/../after"; (exit $code)',
        'rm "$DISK/ballast"',
        'scan --out "$DISK/r.csv" --journal "$DISK/../journal"',
    )
    assert full.code == 7, full.stderr
    assert (
        f"sidscan: can't write {tmp_path}/disk/r.csv: No space left on device\n"
        "Nothing is lost: run the same command again, or with the same --journal and another --out.\n"
    ) in full.stderr
    assert (tmp_path / "after").read_text().split() == ["ballast"], "no partial report is left"
    assert more.code == 3, more.stderr
    assert f"{IMAGE_COUNT} results kept" in more.stderr
    assert rows(tmp_path / "left" / "r.csv") == undisturbed


def test_a_read_only_disk_is_reported_before_anything_is_read(images: Path, tmp_path: Path) -> None:
    _, refused, elsewhere, _, done = on_small_disk(
        images,
        tmp_path,
        'mount -o remount,ro "$DISK"',
        'scan --out "$DISK/r.csv"',
        'scan --out "$DISK/../r.csv" --journal "$DISK/journal"',
        'mount -o remount,rw "$DISK"',
        'scan --out "$DISK/r.csv"',
    )
    assert refused.code == 7
    assert refused.stderr == (
        f"sidscan: can't write into {tmp_path}/disk: Read-only file system\nChoose another --out.\n"
    )
    assert elsewhere.code == 7
    assert f"sidscan: can't keep the run's record in {tmp_path}/disk/journal" in elsewhere.stderr
    assert "Traceback" not in elsewhere.stderr
    assert done.code == 3, done.stderr
    assert len(rows(tmp_path / "left" / "r.csv")) == IMAGE_COUNT
