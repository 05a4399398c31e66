"""Runs of shards whose files lie in a bucket: equal to a local scan, written once, and silent about keys."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from object_stores import KEY_ID, S3, SECRET, TOKEN, Objects, object_server, s3_server
from sample_images import encoded, folder, photo

pytest.importorskip("obstore")
pytest.importorskip("moto")

Run = Callable[..., Any]
MINI = ("--model", "mini", "--crops", "center")
# What names, times and who was asked decide.
SCORES = ("score", "crop_min", "crop_max", "crop_std", "share_scored")
OTHERWISE = ("scanned_at", "modified_at", "final_url", "fetched_at", "content_type", "last_modified")


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3_server() as running:
        yield running


@pytest.fixture
def s3(server: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3:
    """The server; ``s3://photos`` has four images and a text, which are in the folder ``images``, too."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "images", 4, side=230)
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    server.upload("photos", tmp_path / "images", "2024/")
    return server


@pytest.fixture
def run(s3: S3, request: pytest.FixtureRequest) -> str:
    """Where a new run may lie."""
    s3.bucket("runs")
    return f"s3://runs/{request.node.name}"


def files_of(s3: S3, run: str) -> dict[str, bytes]:
    """The files of a run by name."""
    bucket, _, prefix = run.removeprefix("s3://").partition("/")
    store = s3.bucket(bucket)
    listed = [each["path"] for page in store.list(f"{prefix}/") for each in page]
    return {path.removeprefix(f"{prefix}/"): bytes(store.get(path).bytes()) for path in listed}


def rows(path: str, root: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    return [
        {name: cell for name, cell in row.items() if name not in OTHERWISE}
        | {"path": row["path"].removeprefix(root)}
        for row in read
    ]


def are_equal(made: dict[str, str], expected: dict[str, str]) -> bool:
    """Whether rows are equal but for the last digits of scores, which depend on the images of a batch."""
    numbers = [name for name in made if name in (*SCORES, "logit") and made[name]]
    near = all(abs(float(made[name]) - float(expected[name])) < 1e-4 for name in numbers)
    return near and {**made, **dict.fromkeys(numbers)} == {**expected, **dict.fromkeys(numbers)}


def test_a_run_in_a_bucket_equals_a_local_scan(sidscan: Run, run: str) -> None:
    assert sidscan("scan", "images", *MINI, "-o", "local.csv").code == 0
    ended = sidscan("scan", "s3://photos/2024/", *MINI, "--run", run, "--shard-size", "3", "-o", "run.csv")
    assert ended.code == 0, ended.err
    assert "plan: 5 inputs in " in ended.err
    local, made = rows("local.csv", "images/"), rows("run.csv", "s3://photos/2024/")
    assert len(made) == len(local) == 5
    assert [pair for pair in zip(made, local, strict=True) if not are_equal(*pair)] == []
    again = sidscan("scan", "s3://photos/2024/", *MINI, "--run", run, "-o", "run.csv")
    assert (again.code, "0 finished" in again.err) == (0, False), again.err


def test_shards_of_any_process_are_collected_and_verified(sidscan: Run, run: str, s3: S3) -> None:
    planned = sidscan("scan", "images", *MINI, "--run", run, "--shard-size", "3", "--plan")
    numbers = planned.out.split()
    assert (planned.code, len(numbers) > 1) == (0, True), planned.err
    first, *others = (sidscan("scan", "--run", run, "--shard", number) for number in numbers)
    assert all(each.code == 0 for each in (first, *others)), first.err
    again = sidscan("scan", "--run", f"{run}/", "--shard", numbers[0])
    assert again.err == f"shard {numbers[0]} of {len(numbers)}: it has results already\n"
    s3.requests.clear()
    collected = sidscan("collect", run, "-o", "run.csv", "--parquet-folder", "rows")
    copied = [each for each in s3.requests if each.startswith("GET ") and ".journal" in each]
    assert len(copied) == len({*copied}) == len(numbers)
    assert (collected.code, len(rows("run.csv", ""))) == (0, 5), collected.err
    verified = sidscan("verify", run)
    assert (verified.code, verified.out) == (0, ""), verified.err
    assert f"all files of {run} are what its SHA256SUMS-000001 says\n" in verified.err
    bucket = s3.bucket("runs")
    (journal,) = [name for name in files_of(s3, run) if name.startswith("shards/")][:1]
    later = f"{run.removeprefix('s3://runs/')}/{journal.removesuffix('.journal')}-2.journal"
    bucket.put(later, b"tried again")
    newer = sidscan("verify", run)
    assert (newer.code, newer.out) == (2, "")
    assert newer.err.startswith(
        f"sidscan: the results in {run} are newer than its SHA256SUMS\nCollect first: "
    )
    bucket.delete(later)
    bucket.put(f"{run.removeprefix('s3://runs/')}/{journal}", b"other")
    changed = sidscan("verify", run)
    assert (changed.code, changed.out) == (8, f"changed: {journal}\n")
    refused = sidscan("collect", run, "-o", "run.csv")
    assert (refused.code, "were changed after they were accepted" in refused.err) == (7, True), refused.err


def test_processes_of_a_machine_share_a_run_in_a_bucket(run: str, s3: S3) -> None:
    command = ("scan", "images", *MINI, "--run", run, "--shard-size", "3", "--processes", "2", "-o", "r.csv")
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "sidscan", *command],
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, len(rows("r.csv", ""))) == (0, 5), ended.stderr


def test_a_store_that_overwrites_is_refused(sidscan: Run, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    with object_server(Objects) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        refused = sidscan("scan", "images", *MINI, "--run", "s3://runs/overwriting", "-o", "r.csv")
    assert refused.code == 7
    assert refused.err.startswith(
        "sidscan: s3://runs/overwriting replaces files that are there, so one machine could replace what "
        "another made\n"
    )
    assert not Path("r.csv").exists()


class OnlyToRead(Objects):
    """A store whose keys may read alone."""

    def do_PUT(self) -> None:  # noqa: N802
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")


def test_a_bucket_that_can_only_be_read_is_refused_before_the_inputs_are_listed(
    sidscan: Run, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_server(OnlyToRead) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        refused = sidscan("scan", "images", *MINI, "--run", "s3://runs/new", "-o", "r.csv")
    assert refused.code == 7
    assert refused.err == (
        "sidscan: can't write s3://runs/new: the store refuses access (HTTP 403, AccessDenied)\n"
        "Check the name, and the credentials in the environment; then run it again.\n"
    )


def test_no_key_is_in_anything_that_a_run_writes(sidscan: Run, run: str, s3: S3, tmp_path: Path) -> None:
    formats = ("csv", "json", "jsonl", "html", "db", "xlsx")
    outs = [word for suffix in formats for word in ("-o", f"out/r.{suffix}")]
    Path("out").mkdir()
    inputs = ("s3://photos/2024/", "--bucket", "s3://photos", *MINI, "--run", run, "--shard-size", "3")
    ended = sidscan("scan", *inputs, *outs)
    assert ended.code == 0, ended.err
    said = [ended.out, ended.err]
    for arguments in (
        ("collect", "s3://nonesuch/run"),
        ("scan", "--run", "s3://nonesuch/run", "--shard", "0"),
    ):
        failed = sidscan(*arguments)
        assert failed.code != 0
        said += [failed.out, failed.err]
    of_run = files_of(s3, run)
    assert {name.partition("/")[0] for name in of_run} == {
        *("probe", "run.json", "scoring.json", "plans", "slices", "shards", "SHA256SUMS-000001")
    }
    local = [path for path in tmp_path.rglob("*") if path.is_file() and "images" not in path.parts]
    of_user = [path.suffix for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert sorted(of_user) == [".db", ".lock", ".lock"]  # the ledger, and for scans and plans
    assert len(local) == len(formats) + 3
    contents = [*(text.encode() for text in said), *of_run.values(), *(path.read_bytes() for path in local)]
    for secret in (KEY_ID, SECRET, TOKEN, "AWS4-HMAC", "X-Amz"):
        assert not [content for content in contents if secret.encode() in content], secret


def test_a_private_bucket_that_a_list_names_is_not_read_by_a_run(sidscan: Run, run: str, s3: S3) -> None:
    s3.bucket("private").put("a.jpg", encoded(photo(256, 256), "JPEG"))
    Path("list.txt").write_text("s3://photos/2024/photo-1.jpg\ns3://private/a.jpg\n")
    s3.requests.clear()
    ended = sidscan(
        "scan", "--list", "list.txt", "--bucket", "s3://photos", *MINI, "--run", run, "-o", "r.csv"
    )
    assert ended.code == 3, ended.err
    assert [(row["path"], row["status"]) for row in rows("r.csv", "")] == [
        ("s3://photos/2024/photo-1.jpg", "scored"),
        ("s3://private/a.jpg", "refused"),
    ]
    assert not [each for each in s3.requests if "/private/" in each]


def test_a_ledger_that_is_lost_is_made_again(sidscan: Run, run: str, tmp_path: Path) -> None:
    assert sidscan("scan", "images", *MINI, "--run", run, "-o", "r.csv").code == 0
    (ledger,) = (tmp_path / "data").rglob("*.db")
    ledger.unlink()
    again = sidscan("collect", run, "-o", "r.csv", "--overwrite")
    assert (again.code, "warning" in again.err) == (0, False), again.err
    assert sidscan("verify", run).code == 0


def test_a_plan_of_a_bucket_leaves_out_the_files_of_the_run(sidscan: Run, s3: S3) -> None:
    s3.bucket("both").put("a.jpg", encoded(photo(256, 256), "JPEG"))
    command = ("scan", "s3://both", *MINI, "--run", "s3://both/run", "-o", "r.csv")
    assert sidscan(*command).code == 0
    s3.bucket("both").put("b.jpg", encoded(photo(256, 256, 2), "JPEG"))
    again = sidscan(*command)
    assert (again.code, [row["path"] for row in rows("r.csv", "")]) == (
        0,
        ["s3://both/a.jpg", "s3://both/b.jpg"],
    ), again.err
    assert "warning" not in again.err
    assert {"SHA256SUMS-000001", "SHA256SUMS-000002"} < files_of(s3, "s3://both/run").keys()
    assert sidscan("verify", "s3://both/run", "--bucket", "s3://both").code == 0


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        pytest.param(
            ("collect", "s3://photos/2024"), 2, "s3://photos/2024 is not a run of shards", id="no run"
        ),
        pytest.param(
            ("scan", "images", "--run", "s3://photos/2024"),
            2,
            "s3://photos/2024 holds other files, and is not a run of shards",
            id="other files",
        ),
        *(
            pytest.param(
                command,
                7,
                "can't list s3://nonesuch/run/: there is no such bucket",
                id=f"{command[0]} no bucket",
            )
            for command in (
                ("scan", "images", "--run", "s3://nonesuch/run"),
                ("collect", "s3://nonesuch/run"),
                ("verify", "s3://nonesuch/run"),
            )
        ),
        pytest.param(
            ("scan", "images", "--run", "s3://me:secret@photos/run"),
            2,
            "s3://***@photos/run names no bucket",
            id="keys",
        ),
        pytest.param(("collect", "gs:///run"), 2, "gs:///run names no bucket", id="nameless"),
        pytest.param(
            ("verify", "s3://photos/2024/report.csv"),
            2,
            "s3://photos/2024/report.csv is not a run of shards",
            id="report",
        ),
    ],
)
def test_what_can_be_no_run_is_refused(
    sidscan: Run, s3: S3, command: tuple[str, ...], code: int, words: str
) -> None:
    refused = sidscan(*command)
    assert (refused.code, words in refused.err) == (code, True), refused.err
    assert "secret" not in refused.err


def test_without_obstore_the_command_that_brings_it_is_named(
    sidscan: Run, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    ended = sidscan("collect", "s3://runs/one")
    assert (ended.code, "needs obstore" in ended.err) == (6, True), ended.err
