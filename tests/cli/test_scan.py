"""`sidscan scan` on the command line, with the bundled detector: exact rows, messages and exit codes."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sample_images import encoded, exif_block, folder, photo

import sidscan as sidscan_package
from sidscan import ScanConfig, Status, scan
from sidscan.errors import ModelNotInstalled, UsageError
from sidscan.models.catalog import find_entry

Run = Callable[..., Any]


def rows(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a CSV report by file name."""
    with path.open(encoding="utf-8", newline="") as file:
        return {Path(row["path"]).name: row for row in csv.DictReader(file)}


def test_every_image_is_one_row_with_its_metadata(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    data = encoded(photo(400, 300), "JPEG", exif=exif_block())
    (images / "camera.jpg").write_bytes(data)
    ended = sidscan("scan", images, "--out", tmp_path / "r.csv")

    assert ended.code == 0
    assert ended.out == ""
    assert "model: mini (fallback: clip-vit-b16, which rine-b16 reads, is not installed)\n" in ended.err
    assert "\n`sidscan models pull rine-b16` installs it; rine-b16 finds more\n" in ended.err
    assert "4 inputs = 4 scored + 0 failed + 0 skipped" in ended.err
    by_name = rows(tmp_path / "r.csv")
    assert sorted(by_name) == ["camera.jpg", "photo-0.jpg", "photo-1.jpg", "photo-2.jpg"]
    row = by_name["camera.jpg"]
    assert (row["status"], row["width"], row["height"], row["format"]) == ("scored", "400", "300", "JPEG")
    assert (row["sha256"], row["bytes"]) == (hashlib.sha256(data).hexdigest(), str(len(data)))
    assert (row["exif_make"], row["exif_lens"], row["exif_orientation"]) == ("Acme", "Acme 35mm f/2", "6")
    assert row["model"] == "mini"
    assert row["model_digest"] == find_entry("mini").pin.digest[:16]
    assert row["model_choice"] == "fallback: clip-vit-b16, which rine-b16 reads, is not installed"
    assert row["views"] == "10"
    assert 0 <= float(row["crop_min"]) <= float(row["score"]) <= float(row["crop_max"]) <= 1
    assert row["evidence"] in {"weak", "moderate", "strong", "very strong"}


def test_failures_are_rows_and_an_exit_code(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=1)
    whole = encoded(photo(300, 300), "JPEG")
    (images / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "empty.png").write_bytes(b"")
    (images / "notes.txt").write_text("no image")
    ended = sidscan("scan", images, "--out", tmp_path / "r.csv")
    assert ended.code == 3
    assert "4 inputs = 1 scored + 2 failed + 1 skipped" in ended.err
    assert f"    {images / 'empty.png'}: the file is empty\n" in ended.err
    by_name = rows(tmp_path / "r.csv")
    assert by_name["truncated.jpg"]["status"] == "truncated"
    assert by_name["truncated.jpg"]["error_stage"] == "decode"
    assert "truncated" in by_name["truncated.jpg"]["error_message"]
    assert by_name["truncated.jpg"]["score"] == ""
    assert by_name["truncated.jpg"]["sha256"] == hashlib.sha256(whole[: len(whole) // 2]).hexdigest()
    assert by_name["empty.png"]["error_message"] == "the file is empty"
    assert (by_name["notes.txt"]["status"], by_name["notes.txt"]["error_stage"]) == ("skipped", "list")


def test_the_first_failure_of_each_kind_is_named(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=0)
    for name in ("b.png", "a\n1 scored.png"):
        (images / name).write_bytes(b"")
    ended = sidscan("scan", images, "--out", tmp_path / "r.csv")
    assert f"  2 failed: the file is empty\n    first: {images / 'a'}\\x0a1 scored.png\n" in ended.err
    assert "b.png" not in ended.err
    assert "empty" not in sidscan("scan", images, "--quiet", "--out", tmp_path / "q.csv").err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["loop.jpg", "--out", "r.csv"], 3, id="input"),
        pytest.param(["--list", "loop.jpg", "--out", "r.csv"], 2, id="list"),
        pytest.param(["images", "--out", "loop.csv"], 7, id="report"),
        pytest.param(["images", "--out", "r.csv", "--journal", "loop.jpg"], 7, id="journal"),
        pytest.param(["images", "--out", "r.csv", "--save-dir", "loop.jpg"], 7, id="originals"),
        pytest.param(["images", "--out", "r.csv", "--calibration", "loop.jpg"], 4, id="calibration"),
    ],
)
def test_circular_links_are_reported_but_are_not_failures(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(Path("images"), count=1)
    for name in ("loop.jpg", "loop.csv"):
        Path(name).symlink_to(name)
    ended = sidscan("scan", *arguments)
    assert (ended.code, "Traceback" in ended.err) == (code, False), ended.err
    if code == 3:
        row = rows(tmp_path / "r.csv")["loop.jpg"]
        assert row["status"] == "failed"
        assert row["error_message"] == os.strerror(errno.ELOOP)
    else:
        assert "loop." in ended.err or "symbolic links" in ended.err


def test_a_folder_that_cannot_be_listed_is_a_failed_row(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = folder(tmp_path / "images", count=2)
    scandir, closed = os.scandir, [images / "nested"]

    def refusing(path: Any = ".") -> Any:  # root may list everything
        if not isinstance(path, int) and Path(os.fsdecode(path)) in closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    for _ in range(2):  # the second comes from the journal
        assert sidscan("scan", images, "--out", tmp_path / "r.csv").code == 3
        row = rows(tmp_path / "r.csv")["nested"]
        assert (row["status"], row["error_stage"], row["error_class"]) == (
            "failed",
            "list",
            "FolderNotListed",
        )
        assert row["error_message"] == "the folder can't be listed: Permission denied"
    closed.clear()
    assert sidscan("scan", images, "--out", tmp_path / "r.csv").code == 0


def test_as_a_module_it_imports_nothing_from_the_scanned_folder(tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=1)
    for name in ("click", "filelock", "json", "numpy", "PIL", "sqlite3", "torch", "tqdm"):
        (images / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} ')\n")
    root = str(Path(sidscan_package.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-m", "sidscan", "scan", ".", "--out", str(tmp_path / "r.csv")],
        cwd=images,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, (tmp_path / "ran").exists()) == (0, False), done.stderr
    assert rows(tmp_path / "r.csv")["photo-0.jpg"]["status"] == "scored"


def test_several_reports_agree(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    outs = [tmp_path / f"r.{suffix}" for suffix in ("csv", "json", "jsonl")]
    ended = sidscan("scan", images, *(part for out in outs for part in ("--out", out)))
    assert ended.code == 0
    by_csv = {name: float(row["score"]) for name, row in rows(outs[0]).items()}
    document = json.loads(outs[1].read_text())
    lines = [json.loads(line) for line in outs[2].read_text().splitlines()]
    for results in (document["findings"], lines):
        assert {Path(result["path"]).name: result["scores"][0]["score"] for result in results} == by_csv
    assert document["run"]["models"][0]["name"] == "mini"
    assert document["counts"] == {"enumerated": 3, "scored": 3, "failed": 0, "skipped": 0}


def test_standard_output_contains_only_the_report(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    as_csv = sidscan("scan", images)
    assert len(list(csv.DictReader(io.StringIO(as_csv.out)))) == 3
    as_lines = sidscan("scan", images, "--model", "mini", "--out", "-", "--format", "jsonl", "--quiet")
    assert [json.loads(line)["status"] for line in as_lines.out.splitlines()] == ["scored"] * 3
    assert as_lines.err == ""


def test_a_closed_pipe_causes_no_traceback(tmp_path: Path) -> None:
    """``sidscan scan ... | head -1``. The pipe closes long before the report is written."""
    images = folder(tmp_path / "images")
    command = [sys.executable, "-m", "sidscan", "scan", str(images)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    assert process.wait(timeout=300) == 7
    assert "sidscan: standard output was closed before the report was complete\nGive --out FILE" in err
    assert "Traceback" not in err


def test_the_centre_crop_is_a_single_crop(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=1)
    assert sidscan("scan", images, "--crops", "center", "--out", tmp_path / "r.csv").code == 0
    (row,) = rows(tmp_path / "r.csv").values()
    assert row["views"] == "1"
    assert row["score"] == row["crop_min"] == row["crop_max"]


def test_small_images_are_scored_and_flagged(sidscan: Run, tmp_path: Path) -> None:
    (tmp_path / "small.png").write_bytes(encoded(photo(100, 80), "PNG"))
    assert sidscan("scan", tmp_path / "small.png", "--out", tmp_path / "r.csv").code == 0
    assert rows(tmp_path / "r.csv")["small.png"]["flags"] == "padded"


def test_the_same_command_continues_and_reads_only_what_changed(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    first = sidscan("scan", images, "--out", tmp_path / "r.csv")
    before = rows(tmp_path / "r.csv")
    (images / "photo-0.jpg").write_bytes(encoded(photo(256, 256, 9), "JPEG"))
    (images / "photo-1.jpg").unlink()
    second = sidscan("scan", images, "--out", tmp_path / "r.csv")
    after = rows(tmp_path / "r.csv")
    assert (first.code, second.code) == (0, 0)
    assert "1 result kept from an earlier run" in second.err
    assert sorted(after) == ["photo-0.jpg", "photo-2.jpg"]
    assert after["photo-2.jpg"] == before["photo-2.jpg"]
    assert after["photo-0.jpg"]["sha256"] != before["photo-0.jpg"]["sha256"]
    assert "kept" not in sidscan("scan", images, "--out", tmp_path / "r.csv", "--fresh").err


def test_the_same_command_twice_drops_nothing(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=1)
    (images / "notes.txt").write_text("no image")
    (images / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    for _ in range(2):
        again = sidscan("scan", images, "--out", tmp_path / "r.csv")
    assert "3 results kept from an earlier run" in again.err
    assert "dropped" not in again.err
    other = sidscan("scan", images, "--out", tmp_path / "r.csv", "--crops", "center")
    assert (
        "3 earlier results not used:\n  3 made with effort full (now fast), crops ten (now center): "
        in other.err
    )


def test_why_earlier_results_are_not_used(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    (images / "link.jpg").symlink_to("photo-0.jpg")
    scan = ("scan", images, "--list", tmp_path / "list", "--out", tmp_path / "r.csv")
    (tmp_path / "list").write_text(f"{tmp_path}/none.jpg\n{tmp_path}/nothing.jpg\n")
    assert sidscan(*scan).code == 3
    with (tmp_path / "list").open("a") as names:
        names.write(f"{images}/link.jpg\n")
    os.utime(images / "photo-1.jpg", (1, 1))
    (images / "nested" / "photo-2.jpg").unlink()
    again = sidscan(*scan).err
    assert "1 result kept from an earlier run" in again
    assert (
        "\n2 inputs that failed are tried again\n"
        "3 earlier results not used:\n"
        f"  1 whose file has another size or time: {images}/photo-1.jpg\n"
        f"  1 whose input was skipped and is read now, or the reverse: {images}/link.jpg\n"
        f"  1 whose input is gone or no longer named: {images}/nested/photo-2.jpg\n"
    ) in again
    assert "models and options" not in again
    assert "2 inputs that failed are tried again\n" in sidscan(*scan, "--retry-failed").err


def test_a_damaged_record_is_replaced_with_fresh(sidscan: Run, tmp_path: Path) -> None:
    images, record = folder(tmp_path / "images"), tmp_path / "r.csv.journal"
    scan = ("scan", images, "--out", tmp_path / "r.csv")
    assert sidscan(*scan).code == 0
    record.write_bytes(record.read_bytes()[:10_000])
    refused = sidscan(*scan)
    assert refused.code == 7
    assert refused.err == (
        f"sidscan: the record {record} is damaged\n"
        "--fresh discards it and starts over; or name another with --journal FILE.\n"
    )
    refused = sidscan(*scan, "--fresh")
    assert (refused.code, record.stat().st_size) == (7, 10_000), "nothing says whether somebody edited r.csv"
    assert "r.csv belongs to another run; it is left alone\n" in refused.err
    assert sidscan(*scan, "--fresh", "--overwrite").code == 0
    assert "3 results kept" in sidscan(*scan).err


def test_reports_inside_the_folder_are_not_scanned(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    for _ in range(2):
        assert sidscan("scan", images, "--out", images / "r.csv").code == 0
        assert len(rows(images / "r.csv")) == 3


def test_ctrl_c_ends_with_its_exit_code_and_without_a_partial_report(tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=40)
    command = [
        sys.executable,
        "-m",
        "sidscan",
        "scan",
        str(images),
        "--out",
        str(tmp_path / "r.csv"),
        "--batch",
        "1",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while not process.stderr.readline().startswith("runtime:"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "of 40 inputs; results are kept in" in err
    assert "the same command continues" in err
    assert not (tmp_path / "r.csv").exists()


def test_each_image_is_opened_once_and_no_connection_is_made(tmp_path: Path) -> None:
    """Hash and score describe the same bytes, and nothing leaves the machine. Workers are traced, too."""
    images, seen = folder(tmp_path / "images"), tmp_path / "seen"
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(
        "import sys\n"
        f"seen = open({str(seen)!r}, 'a', buffering=1)\n"  # at once: what reads images opens no file to write
        "def hook(event, arguments):\n"
        "    image = event == 'open' and str(arguments[0]).endswith('.jpg')\n"
        "    if image or event in ('socket.connect', 'socket.getaddrinfo', 'socket.sendto'):\n"
        "        seen.write(f'{event} {arguments[0]}\\n')\n"
        "sys.addaudithook(hook)\n"
    )
    command = [sys.executable, "-m", "sidscan", "scan", str(images), "--out", str(tmp_path / "r.csv")]
    path = os.pathsep.join([str(tmp_path / "watch"), *sys.path])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    opened = sorted(f"open {path}" for path in images.rglob("*.jpg"))
    assert sorted(seen.read_text().splitlines()) == opened


def test_ctrl_c_does_not_wait_for_a_silent_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.jpg"
        command = [
            sys.executable,
            "-m",
            "sidscan",
            "scan",
            url,
            "--allow-private",
            "--timeout",
            "100",
            "--out",
            str(tmp_path / "r.csv"),
        ]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        connection, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=80)  # less than the server may take
        connection.close()
    assert process.returncode == 130
    assert "interrupted after 0 of 1" in err


def test_an_interrupted_run_continues(sidscan: Run, tmp_path: Path) -> None:
    images, journal = folder(tmp_path / "images", count=4), tmp_path / "r.csv.journal"
    first = scan(ScanConfig(inputs=(str(images),), models=("mini",), journal=journal, batch=1))
    first_times = {result.name: result.scanned_at for result in islice(first, 2)}
    first.close()
    ended = sidscan("scan", images, "--model", "mini", "--out", tmp_path / "r.csv")
    assert ended.code == 0
    assert f"2 results kept from an earlier run in {journal}" in ended.err
    assert len(rows(tmp_path / "r.csv")) == 4
    times = {row["path"]: row["scanned_at"] for row in rows(tmp_path / "r.csv").values()}
    assert {name: times[name] for name in first_times} == first_times


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param([], 2, "sidscan: nothing was named", id="no input"),
        pytest.param(["none.jpg"], 2, "sidscan: no such file or directory: none.jpg", id="missing input"),
        pytest.param(["-"], 2, "To read names from standard input, use --list -", id="dash"),
        pytest.param(["--list", "none.txt"], 2, "sidscan: can't read the list none.txt", id="missing list"),
        pytest.param(["--crops", "nine", "."], 2, "Invalid value for '--crops'", id="bad choice"),
        pytest.param([".", "--out", "r.docx"], 2, "sidscan: unknown kind of report: r.docx", id="suffix"),
        pytest.param(
            [".", "--out", "none/r.csv"], 7, "sidscan: the folder none does not exist", id="no folder"
        ),
        pytest.param([".", "--model", "rine-9class"], 4, "rine-9class", id="unknown model"),
        pytest.param(
            [".", "--model", "rine-4class"], 4, "sidscan models pull rine-4class", id="not installed"
        ),
        pytest.param([".", "--model", "clip-vit-l14"], 4, "clip-vit-l14", id="an encoder is not a detector"),
        pytest.param([".", "--precision", "bf16"], 6, "sidscan: mini works in fp32 only", id="precision"),
        pytest.param(["."], 5, "sidscan: no image was found", id="no image"),
        pytest.param(["empty"], 5, "sidscan: the folder empty is empty", id="empty folder"),
        pytest.param([".", "empty"], 5, "sidscan: the folder empty is empty", id="one of two"),
    ],
)
def test_errors_are_reported_without_a_traceback(
    sidscan: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("notes.txt").write_text("no image")
    ended = sidscan("scan", *arguments)
    assert ended.code == code, ended.err
    assert message in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["a.csv", "--out", "a.csv"], id="input"),
        pytest.param(["--list", "a.csv", "--out", "./a.csv"], id="list"),
        pytest.param(["a.csv", "--out", "r.csv", "--journal", "a.csv"], id="journal"),
        pytest.param([".", "--out", "r.csv", "--journal", "r.csv"], id="report and journal"),
        pytest.param([".", "--out", "r.csv", "--out", "r.csv"], id="two reports"),
    ],
)
def test_inputs_are_never_overwritten(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_bytes(encoded(photo(32, 32), "JPEG"))
    before = Path("a.csv").read_bytes()
    assert sidscan("scan", *arguments).code == 2
    assert Path("a.csv").read_bytes() == before
    assert [path.name for path in Path().iterdir()] == ["a.csv"]


def test_a_file_refused_for_its_size_is_read_under_a_higher_limit(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=1)
    assert sidscan("scan", images, "--out", tmp_path / "r.csv", "--max-bytes", "100").code == 3
    assert sidscan("scan", images, "--out", tmp_path / "r.csv").code == 0


def test_other_crops_are_scored_again(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", side=400)
    assert sidscan("scan", images, "--out", tmp_path / "r.csv").code == 0
    ten = rows(tmp_path / "r.csv")
    assert sidscan("scan", images, "--out", tmp_path / "r.csv", "--crops", "center").code == 0
    assert {row["views"] for row in rows(tmp_path / "r.csv").values()} == {"1"}
    assert all(rows(tmp_path / "r.csv")[name]["score"] != row["score"] for name, row in ten.items())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_standard_output_is_reported(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sidscan", "scan", str(folder(tmp_path / "images"))]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 7
    assert "can't write to standard output: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_names_in_any_script_reach_standard_output_in_any_encoding(tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=1)
    (images / "nested" / "photo-0.jpg").rename(images / "写真.jpg")
    command = [sys.executable, "-m", "sidscan", "scan", str(images)]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    ended = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "写真.jpg" in ended.stdout.decode("utf-8")


def test_names_never_move_the_cursor(sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = sidscan("scan", "no\x1b[31m\u202esuch.jpg")
    assert ended.code == 2
    assert "no\\x1b[31m\\u202esuch.jpg" in ended.err
    assert "\x1b" not in ended.err


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="no input"),
        pytest.param({"inputs": "images"}, id="a string is not a tuple"),
        pytest.param({"inputs": ("a",), "crops": "nine"}, id="crops"),
        pytest.param({"inputs": ("a",), "device": "tpu"}, id="device"),
        pytest.param({"inputs": ("a",), "batch": 0}, id="batch"),
    ],
)
def test_the_api_refuses_invalid_configurations(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ScanConfig(**options)


def test_a_scan_that_cannot_start_closes_its_journal(tmp_path: Path) -> None:
    images, journal = folder(tmp_path / "images", count=1), tmp_path / "run.journal"
    with pytest.raises(UsageError) as error:
        scan(ScanConfig(inputs=("typo.jpg",), models=("mini",), journal=journal))
    assert error  # still referenced, as in a notebook
    assert len(list(scan(ScanConfig(inputs=(str(images),), models=("mini",), journal=journal)))) == 1


def test_cuda_is_never_replaced_silently(sidscan: Run, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    ended = sidscan("scan", folder(tmp_path), "--device", "cuda")
    assert ended.code == 6
    assert "CUDA was asked for, but torch finds no usable CUDA device" in ended.err


def test_the_python_api_yields_results(tmp_path: Path) -> None:
    results = list(scan(ScanConfig(inputs=(folder(tmp_path),), models=("mini",))))  # type: ignore[arg-type]
    assert [result.status for result in results] == [Status.SCORED] * 3
    with pytest.raises(ModelNotInstalled):
        scan(ScanConfig(inputs=(str(tmp_path),), models=("rine-2class",)))


def test_help_exits_with_0(sidscan: Run) -> None:
    ended = sidscan("scan", "--help")
    assert ended.code == 0
    assert "sidscan scan ./images -o report.csv" in ended.out
