"""Runs of shards on a Ray cluster of this machine."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from equal_reports import assert_equal_reports
from sample_images import folder

from sidscan._version import __version__
from sidscan.cli.cluster_check import check_nodes
from sidscan.distributed import ray_engine, ray_worker
from sidscan.distributed.ray_task import RayTask
from sidscan.distributed.ray_worker import Outcome, ShardWorker
from sidscan.distributed.run_folder import RunFolder
from sidscan.distributed.schedule import MAX_ATTEMPTS, Schedule
from sidscan.errors import ExitCode, RunIncomplete
from sidscan.journal import Journal
from sidscan.pipeline import Scan, open_scan

Run = Callable[..., Any]
HOLD = (
    "import sys; from pathlib import Path; from sidscan.journal import Journal; "
    "journal = Journal(Path(sys.argv[1])); print(1, flush=True); sys.stdin.read()"
)
MINI = ("--model", "mini", "--crops", "center", "--device", "cpu")


@pytest.fixture(autouse=True)
def _desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def planned(sidscan: Run, tmp_path: Path) -> Path:
    """A run of 24 images in several shards."""
    folder(tmp_path / "images", 24, side=230)
    plan = sidscan("scan", "images", *MINI, "--run", "run", "--shard-size", 4, "--plan")
    assert plan.code == 0, plan.err
    return tmp_path / "run"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sidscan", *arguments]


@pytest.mark.skipif(sys.platform == "win32", reason="Ray for Windows is a preview")
def test_a_lost_driver_and_then_the_rest(sidscan: Run, planned: Path) -> None:
    """The driver is killed when some shards have results; the same command does the others, once each."""
    pytest.importorskip("ray")
    with Path("said").open("w+") as said:
        first = subprocess.Popen(command("scan", "--run", "run", "--ray", "local"), stderr=said)
        for _ in range(1200):
            if first.poll() is not None or list((planned / "shards").glob("*.journal")):
                break
            time.sleep(0.1)
        for driver in _drivers(first.pid):
            os.kill(driver, signal.SIGKILL)
        code = first.wait(60)
        said.seek(0)
        lines = said.read()
    done = len(list((planned / "shards").glob("*.journal")))
    assert (code, "the process that talks to the cluster ended by signal 9" in lines) == (9, True), lines
    assert "run the same command again to go on" in lines
    rest = subprocess.run(
        command("scan", "--run", "run", "--ray", "local", "-o", "report.csv"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert rest.returncode == 0, rest.stderr
    assert f", {done} finished" in rest.stderr
    assert "1 worker ready: " in rest.stderr
    plain = sidscan("scan", "images", *MINI, "-o", "plain.csv")
    assert plain.code == 0
    assert_equal_reports("plain.csv", "report.csv")


def _drivers(parent: int) -> Iterator[int]:
    children = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False)
    yield from map(int, children.stdout.split())


@pytest.mark.parametrize(
    ("address", "mode", "message"),
    [
        pytest.param("127.0.0.1:6379", None, "a cluster without a token lets in everybody", id="no token"),
        pytest.param("auto", "disabled", "a cluster without a token lets in everybody", id="token off"),
        pytest.param("ray://head:10001", "token", "Ray's client can't scan", id="client"),
    ],
)
def test_clusters_that_are_refused(
    sidscan: Run, planned: Path, monkeypatch: pytest.MonkeyPatch, address: str, mode: str | None, message: str
) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    ended = sidscan("scan", "--run", planned, "--ray", address)
    assert (ended.code, message in ended.err) == (2, True), ended.err


def test_without_ray(sidscan: Run, planned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    ended = sidscan("scan", "--run", planned, "--ray", "local")
    assert ended.code == 6
    assert ended.err.startswith("sidscan: scanning with --ray needs ray, which is not installed\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ray", "local"], "--ray needs --run"),
        (["--run", "run", "--ray", "local", "--shard", "0"], "--ray scans all shards"),
    ],
)
def test_options_that_contradict(sidscan: Run, planned: Path, arguments: list[str], message: str) -> None:
    inputs = [] if "--run" in arguments else ["images"]
    ended = sidscan("scan", *inputs, *arguments)
    assert (ended.code, message in ended.err) == (2, True), ended.err


def test_a_worker_scans_and_says_what_is_wrong(planned: Path, tmp_path: Path) -> None:
    worker = ShardWorker(str(planned), 1, str(tmp_path), str(tmp_path / "scratch"), 0, 1, None)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    try:
        assert worker.ready().process == os.getpid()
        assert worker.progress() == (-1, 0)
        assert worker.scan(0) == Outcome(first=True)
        inputs = RunFolder(planned).current_plan().slices[0].inputs
        assert worker.progress() == (0, inputs)
        shutil.rmtree(tmp_path / "images")
        outcome = worker.scan(1)
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
    assert (outcome.exit_code, outcome.first) == (ExitCode.NOTHING_TO_SCAN, False)
    assert outcome.error.startswith("no file of shard 1 was found here")


def test_a_worker_waits_for_one_that_was_killed(
    planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock on a shard's local journal ends with the process, a moment after Ray says that it is dead."""
    scratch = tmp_path / "scratch"
    run = RunFolder(planned)
    plan = run.current_plan()
    journal = scratch / run.id / f"{plan.slices[0].digest}.journal"
    journal.parent.mkdir(parents=True, mode=0o700)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(journal)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.read(1)
    threading.Timer(0.5, holder.kill).start()
    opened = list[object]()

    def noting(*arguments: Any, **named: Any) -> Scan:
        opened.append(arguments)
        return open_scan(*arguments, **named)

    monkeypatch.setattr("sidscan.distributed.shard.open_scan", noting)
    worker = ShardWorker(str(planned), 1, str(tmp_path), str(scratch), 999, 1, None)
    assert worker.scan(0) == Outcome(first=True)
    assert len(opened) == 1  # a model was loaded once
    holder.communicate()


def test_a_worker_says_who_has_a_shard(
    planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_worker, "SECONDS_TO_END", 0.0)
    run = RunFolder(planned)
    journal = tmp_path / "scratch" / run.id / f"{run.current_plan().slices[0].digest}.journal"
    journal.parent.mkdir(parents=True, mode=0o700)
    with closing(Journal(journal)):
        outcome = ShardWorker(str(planned), 1, str(tmp_path), str(tmp_path / "scratch"), 999, 1, None).scan(0)
    assert (outcome.in_use, outcome.error) == (True, f"{journal} is in use by another scan")


def test_a_shard_that_is_in_use_is_not_refused() -> None:
    pytest.importorskip("ray")
    from sidscan.distributed.ray_driver import Driver, Worker

    out = io.StringIO()
    driver = Driver(replace(TASK, hang=5.0), Schedule([0]), out)
    worker = Worker("node", None, None, 0.0, host="host", is_ready=True)
    for _ in range(2):
        driver.schedule.begin(0, worker, 0.0, "host")
        worker.shard = 0
        driver._note(worker, Outcome("in use", "", int(ExitCode.OUTPUT), in_use=True))
    events = [json.loads(line)["event"] for line in out.getvalue().splitlines()]
    assert events == ["taken back", "lost"]


DRIVER = "import sys, json; task = json.loads(sys.stdin.readline()); "
TASK = RayTask(address="local", run="run", folder=".", shards=[0])


@pytest.mark.parametrize(
    ("code", "events", "message"),
    [
        pytest.param("print(json.dumps({'event': 'end'}))", [], None, id="nothing to do"),
        pytest.param(
            "print(json.dumps({'event': 'finished', 'shard': 0})); print(json.dumps({'event': 'end'}))",
            [{"event": "finished", "shard": 0}],
            None,
            id="all done",
        ),
        pytest.param(
            "sys.exit('the head is gone')", [], "ended with exit code 1; .*the head is gone", id="exit"
        ),
        pytest.param("import os; os.kill(os.getpid(), 9)", [], "ended by signal 9", id="killed"),
    ],
)
def test_what_the_driver_says(
    monkeypatch: pytest.MonkeyPatch, code: str, events: list[dict[str, object]], message: str | None
) -> None:
    monkeypatch.setattr(ray_engine, "_DRIVER", DRIVER + code)
    told: list[object] = []
    if message is None:
        told += ray_engine.events(TASK)
    else:
        with pytest.raises(RunIncomplete, match=message):
            told += ray_engine.events(TASK)
    assert told == events


def test_ray_sends_nothing_and_a_local_cluster_asks_for_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "somewhere")
    monkeypatch.setattr(
        ray_engine,
        "_DRIVER",
        DRIVER + "import os; names = [n for n in os.environ if n.startswith('RAY_')]; "
        "print(json.dumps({'event': 'x', **{n: os.environ[n] for n in names}})); "
        "print(json.dumps({'event': 'end'}))",
    )
    first, second = next(ray_engine.events(TASK)), next(ray_engine.events(TASK))
    assert first["RAY_USAGE_STATS_ENABLED"] == "0"
    assert first["RAY_AUTH_MODE"] == "token"
    assert "RAY_AUTH_TOKEN_PATH" not in first
    assert len(first["RAY_AUTH_TOKEN"]) == 64
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]


def test_a_shard_whose_files_are_gone_costs_no_node_that_has_others() -> None:
    pytest.importorskip("ray")
    from sidscan.distributed.ray_driver import Driver, Worker

    out = io.StringIO()
    driver = Driver(TASK, Schedule([0, 1, 2]), out)
    worker = Worker("node", None, None, 0.0, host="host", is_ready=True)
    driver.workers.append(worker)
    gone = Outcome("no file of shard 1 was found here", "", int(ExitCode.NOTHING_TO_SCAN))
    for shard, outcome in enumerate([Outcome(first=True), gone]):
        driver.schedule.begin(shard, worker, 0.0, "host")
        worker.shard = shard
        driver._note(worker, outcome)
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(each["event"], each["shard"]) for each in events] == [("finished", 0), ("lost", 1)]
    assert driver.workers == [worker]
    assert driver.schedule.next_shard("host", 1.0) == 2


def test_a_shard_that_images_end_is_not_given_up_while_it_makes_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray = pytest.importorskip("ray")
    from sidscan.distributed import ray_driver

    monkeypatch.setattr(ray, "kill", lambda _: None)
    monkeypatch.setattr(ray, "get", lambda found, timeout: found)
    driver = ray_driver.Driver(TASK, Schedule([0]), io.StringIO())
    node = driver.nodes["node"] = ray_driver.ClusterNode("node", "192.0.2.7", 1, 1, 0, 0)
    # As three images in a row do it: the first attempt, two for each image that has no row yet, the next one.
    for found in (0, 0, 0, 0, 1, 1, 2):
        worker = ray_driver.Worker("node", None, None, 0.0, shard=0, host="host", found=found)
        driver.workers.append(worker)
        driver.schedule.begin(0, worker, 0.0, "host")
        driver._bury(worker, "it died")
        assert node.can_work
    assert driver.schedule.next_shard("host", 0.0) == 0
    for _ in range(MAX_ATTEMPTS - 1):
        worker = ray_driver.Worker("node", None, None, 0.0, shard=0, host="host", found=2)
        driver.workers.append(worker)
        driver.schedule.begin(0, worker, 0.0, "host")
        driver._bury(worker, "it died")
    assert (driver.schedule.given_up, node.can_work) == ({0}, False)


@pytest.mark.parametrize(("seconds", "is_given"), [(10.0, False), (130.0, True)])
def test_a_lost_shard_does_not_wait_for_ever_for_a_worker_that_can_not_start(
    seconds: float, is_given: bool
) -> None:
    pytest.importorskip("ray")
    from sidscan.distributed.ray_driver import ClusterNode, Driver, Worker

    driver = Driver(TASK, Schedule([0]), io.StringIO())
    for host in ("full", "free"):
        driver.nodes[host] = ClusterNode(host, "192.0.2.7", 1, 1, 0, 0, host=host)
    driver.schedule.begin(0, "lost", 0.0, "full")
    driver.schedule.lose(0, "lost")
    starting = Worker("full", None, object(), 0.0)
    free = Worker("free", MagicMock(), None, 0.0, host="free", is_ready=True)
    driver.workers += [starting, free]
    driver._hand_out(seconds)
    assert (free.shard == 0) == is_given


@pytest.mark.skipif(sys.platform == "win32", reason="Ray for Windows is a preview")
def test_the_doctor_asks_each_node(sidscan: Run) -> None:
    pytest.importorskip("ray")
    ended = sidscan("doctor", "--ray", "local", "--json")
    checks = {check["name"]: check for check in json.loads(ended.out)["checks"]}
    node = checks["node 1"]
    assert (node["level"], node["facts"]["sidscan_version"]) == ("ok", __version__)
    assert "processor" in node["text"]


@pytest.mark.parametrize(
    ("node", "level", "text"),
    [
        pytest.param({}, "ok", "worker-1: sidscan {version}, Python 3.12, 8 processors, 2 GPUs", id="fine"),
        pytest.param({"models": ["clip-vit-b16"]}, "ok", "; models pulled: clip-vit-b16", id="models"),
        pytest.param({"asks_for_token": False}, "problem", "; it asks for no token", id="open to all"),
        pytest.param({"confines_readers": False}, "note", "; readers can use network and token", id="old"),
        pytest.param({"sidscan_version": "0.0.1"}, "problem", "; here is {version}", id="another version"),
        pytest.param({"error": "no module"}, "problem", "192.0.2.7: no module", id="error"),
    ],
)
def test_lines_of_nodes(
    monkeypatch: pytest.MonkeyPatch, node: dict[str, object], level: str, text: str
) -> None:
    pytest.importorskip("ray")
    facts = {"event": "node", "address": "192.0.2.7", "cores": 8, "gpus": 2, "host": "worker-1"}
    facts |= {"sidscan_version": __version__, "python": "3.12", "models": [], "asks_for_token": True}
    facts |= {"confines_readers": True}
    said = json.dumps({**facts, **node})
    monkeypatch.setattr(
        ray_engine, "_DRIVER", f"{DRIVER}print({said!r}); print({json.dumps({'event': 'end'})!r})"
    )
    (result,) = check_nodes("local")
    assert (result.name, result.level) == ("node 1", level)
    assert text.format(version=__version__) in result.text


def test_a_cluster_without_a_token_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    (result,) = check_nodes("auto")
    assert (result.name, result.level, result.exit_code) == ("cluster", "problem", ExitCode.USAGE)
    assert result.text.startswith("a cluster without a token lets in everybody")


@pytest.mark.skipif(sys.platform == "win32", reason="Ray for Windows is a preview")
def test_ctrl_c_ends_the_cluster(planned: Path) -> None:
    pytest.importorskip("ray")
    with Path("said").open("w+") as said:
        scan = subprocess.Popen(
            command("scan", "--run", "run", "--ray", "local"), stderr=said, start_new_session=True
        )
        for _ in range(1200):
            said.seek(0)
            if scan.poll() is not None or "worker ready" in said.read():
                break
            time.sleep(0.1)
        drivers = list(_drivers(scan.pid))
        os.killpg(scan.pid, signal.SIGINT)
        code = scan.wait(60)
        said.seek(0)
        lines = said.read()
    assert code == 130, lines
    assert drivers
    for driver in drivers:
        with pytest.raises(ProcessLookupError):
            os.kill(driver, 0)
