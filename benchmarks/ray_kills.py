"""Kill parts of a Ray cluster in the middle of a run of shards, go on, and compare with an undisturbed scan.

    python benchmarks/ray_kills.py FOLDER [--shard-size 20] [--out FILE]

Two nodes of one processor each run on this machine. In turn it kills a worker, a node (its raylet), the head
(the GCS) and the driver with signal 9, and stops a worker with SIGSTOP; it also kills the raylet alone and
leaves its worker alive, as a network does that falls apart. Each time every input must have one row, equal to
that of a plain scan but for times. At last, three images of one shard, two of them adjacent, end each worker
that scores them: these three must have a row `crashed`, which stays when the run goes on.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from record import publish, stamp

from sidscan.distributed.run_folder import RunFolder

_SIDSCAN = [sys.executable, "-P", "-m", "sidscan"]
_TIMES = ("scanned_at",)
_COMPUTED = ("score", "logit", "crop_min", "crop_max", "crop_std")
_LAST_DIGITS = 1e-5
_SHOWN = 110  # characters of a line
PORT = 6479
_ON_CLUSTER = ("--hang-timeout", "1m", "--ray", f"127.0.0.1:{PORT}")
_POISON = "three images end their worker"
# In each Python process; only those in which Ray's workers run have something to do.
_AT_START = """
import sys
if any("default_worker" in word for word in sys.orig_argv):
    import os
    from sidscan.scoring.scorer import DecodedImage, Scorer
    score = Scorer.score
    def deadly(self, job):
        names = {names!r}
        if any(isinstance(entry, DecodedImage) and entry.item.name in names for entry in job.batch):
            os._exit(9)
        return score(self, job)
    Scorer.score = deadly
"""


@contextmanager
def cluster(environment: dict[str, str], scratch: Path) -> Iterator[list[list[psutil.Process]]]:
    """A head and another node, one processor each: the processes that `ray start` left behind, by node."""
    nodes = []
    try:
        for node in ("--head", f"--address=127.0.0.1:{PORT}"):
            before = set(_ray_processes())
            port = [f"--port={PORT}"] if node == "--head" else []
            command = [sys.executable, "-m", "ray.scripts.scripts", "start", node, *port, "--num-cpus=1"]
            options = ["--include-dashboard=false", "--disable-usage-stats"] if node == "--head" else []
            temporary = [f"--temp-dir={scratch}"] if node == "--head" else []
            subprocess.run(
                [*command, *options, *temporary], env=environment, check=True, stdout=subprocess.DEVNULL
            )
            nodes.append([each for each in _ray_processes() if each not in before])
        yield nodes
    finally:
        stop = [sys.executable, "-m", "ray.scripts.scripts", "stop", "--force"]
        subprocess.run(stop, env=environment, check=False, capture_output=True)


def _ray_processes() -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["name", "cmdline"]):
        if any("ray" in word for word in process.info["cmdline"] or ()):
            yield process


def named(processes: list[psutil.Process], name: str) -> list[psutil.Process]:
    """The processes of a node whose program is called so."""
    return [each for each in processes if each.is_running() and each.name().startswith(name)]


def workers() -> list[psutil.Process]:
    """The processes that scan shards."""
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if any("ShardWorker" in word for word in each.info["cmdline"] or ())
    ]


def drivers() -> list[psutil.Process]:
    """The processes that hand out shards."""
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if any("sidscan.distributed.ray_driver" in word for word in each.info["cmdline"] or ())
    ]


def rows(report: Path) -> list[dict[str, str]]:
    """The rows of a report without the times."""
    with report.open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k not in _TIMES} for row in csv.DictReader(file)]


def alike(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether two rows are equal; digits of scores that depend on what shares a batch are not compared."""
    return one.keys() == other.keys() and all(
        abs(float(one[name]) - float(other[name])) < _LAST_DIGITS
        if name in _COMPUTED and one[name] and other[name]
        else one[name] == other[name]
        for name in one
    )


def kill_worker(_: list[list[psutil.Process]]) -> None:
    workers()[0].send_signal(signal.SIGKILL)


def stop_worker(_: list[list[psutil.Process]]) -> None:
    workers()[0].send_signal(signal.SIGSTOP)


def kill_node(nodes: list[list[psutil.Process]]) -> None:
    """With all its processes, as when the machine is switched off."""
    for process in named(nodes[1], "raylet"):
        for child in process.children(recursive=True):
            child.send_signal(signal.SIGKILL)
        process.send_signal(signal.SIGKILL)


def cut_off_node(nodes: list[list[psutil.Process]]) -> None:
    """The raylet alone: its worker goes on, and knows nothing."""
    for process in named(nodes[1], "raylet"):
        process.send_signal(signal.SIGKILL)


def kill_head(nodes: list[list[psutil.Process]]) -> None:
    for process in named(nodes[0], "gcs_server"):
        process.send_signal(signal.SIGKILL)


def kill_driver(_: list[list[psutil.Process]]) -> None:
    drivers()[0].send_signal(signal.SIGKILL)


DISTURBANCES: dict[str, Callable[[list[list[psutil.Process]]], None]] = {
    "worker killed": kill_worker,
    "node killed": kill_node,
    "raylet killed, its worker alive": cut_off_node,
    "head killed": kill_head,
    "driver killed": kill_driver,
    "worker stopped": stop_worker,
}


def disturbed(
    folder: Path, size: int, disturb: Callable[[list[list[psutil.Process]]], None], scratch: Path
) -> tuple[list[dict[str, str]], dict[str, object]]:
    """The rows of a run that is disturbed when a third of its shards have results, and what was seen."""
    environment = _environment(scratch)
    run, report, said = scratch / "run", scratch / "report.csv", scratch / "said"
    scan = [*_scan(folder, size, run), "--out", str(report), *_ON_CLUSTER]
    codes: list[int] = []
    lines = ""
    began = time.monotonic()
    while not codes or codes[-1] not in (0, 3):
        with cluster(environment, scratch / "ray") as nodes, said.open("w+") as file:
            process = subprocess.Popen(scan, env=environment, stderr=file)
            if not codes:
                _wait_for_shards(run, process)
                disturb(nodes)
                disturbed_at = len(list((run / "shards").iterdir()))
            codes.append(process.wait())
            file.seek(0)
            lines += file.read()
        if len(codes) > 3:
            raise RuntimeError(f"it never ended: {codes}\n{lines}")
    journals = [path for path in (run / "shards").iterdir() if path.name.endswith(".journal")]
    return rows(report), {
        "exit_codes": codes,
        "shards": len(journals),
        "published_before": disturbed_at,
        "seconds": round(time.monotonic() - began, 1),
        "said": [line[:_SHOWN] for line in lines.splitlines() if re.search("lost|again", line)],
    }


def poisoned(
    folder: Path, size: int, scratch: Path, expected: list[dict[str, str]]
) -> tuple[list[dict[str, str]], dict[str, object]]:
    """The rows of a run in which three images end their worker, without these; and what was seen."""
    environment = _environment(scratch)
    run, report = scratch / "run", scratch / "report.csv"
    scan = _scan(folder, size, run)
    subprocess.run([*scan, "--plan"], env=environment, check=True, capture_output=True)
    longest = max(RunFolder(run).current_plan().slices, key=lambda each: each.inputs)
    scored = {row["path"] for row in expected if row["score"]}
    names = [item.name for item in RunFolder(run).items(longest.digest) if item.name in scored]
    poison = {names[2], names[3], names[-2]}
    site = scratch / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_AT_START.format(names=poison), encoding="utf-8")
    environment["PYTHONPATH"] = str(site)
    began = time.monotonic()
    with cluster(environment, scratch / "ray"):
        ended = subprocess.run(
            [*scan, "--out", str(report), *_ON_CLUSTER], env=environment, check=False, stderr=subprocess.PIPE
        )
        seconds = round(time.monotonic() - began, 1)
        first = rows(report)
        again = subprocess.run([*scan, "--out", str(report), *_ON_CLUSTER], env=environment, check=False)
    crashed = [row for row in first if row["status"] == "crashed"]
    return [row for row in first if row["path"] not in poison], {
        "exit_codes": [ended.returncode, again.returncode],
        "seconds": seconds,
        "workers_lost": ended.stderr.decode().count("was lost"),
        "crashed": len(crashed),
        "crashed_are_these_three": {row["path"] for row in crashed} == poison,
        "kept_on_resume": rows(report) == first,
    }


def _environment(scratch: Path) -> dict[str, str]:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return {**os.environ, **token, "RAY_USAGE_STATS_ENABLED": "0", "TMPDIR": str(scratch)}


def _scan(folder: Path, size: int, run: Path) -> list[str]:
    """The command that plans a run, or goes on with it."""
    scan = [*_SIDSCAN, "scan", str(folder), "--model", "mini", "--device", "cpu", "--run", str(run)]
    return [*scan, "--shard-size", str(size)]


def _wait_for_shards(run: Path, process: subprocess.Popen[bytes]) -> None:
    """Until a third of the shards have results, and one is under way."""
    while process.poll() is None:
        shards, slices = run / "shards", run / "slices"
        if shards.is_dir() and len(list(shards.iterdir())) * 3 >= len(list(slices.iterdir())):
            return
        time.sleep(0.1)
    raise RuntimeError(f"it ended before it was disturbed: {process.returncode}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shard-size", type=int, default=20)
    every = [*DISTURBANCES, _POISON]
    parser.add_argument("--only", choices=every, nargs="*", default=every)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="rk-") as scratch:
        plain = Path(scratch) / "plain.csv"
        command = [*_SIDSCAN, "scan", str(options.folder), "--model", "mini", "--device", "cpu"]
        subprocess.run([*command, "--quiet", "--out", str(plain)], check=False)
        expected = rows(plain)
        for name in options.only:
            with tempfile.TemporaryDirectory(prefix="rk-") as own:
                size, paths = options.shard_size, None
                if name == _POISON:
                    found, facts = poisoned(options.folder, size, Path(own), expected)
                    paths = {row["path"] for row in found}
                else:
                    found, facts = disturbed(options.folder, size, DISTURBANCES[name], Path(own))
                others = [row for row in expected if paths is None or row["path"] in paths]
                differing = sum(not alike(one, other) for one, other in zip(others, found, strict=False))
            results[name] = {**facts, "rows": len(found), "rows_that_differ": differing}
            print(name, results[name], flush=True)
    publish({**stamp("ray_kills", "ray"), "inputs": len(expected), "disturbances": results}, options.out)


if __name__ == "__main__":
    main()
