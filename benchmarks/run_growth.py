"""What takes how long as a run of shards grows? Simulated inputs: nothing is fetched, decoded or scored.

    python benchmarks/run_growth.py FOLDER --rows 10000000 --shard-size 10000 --out FILE

The inputs are a list of so many URLs. Their results are those of benchmarks/growth.py, each with a name, a
hash and a score of its own. They are recorded, checked, published and collected by the code of a scan. Each
step is a process of its own, so that its peak memory is its own. Steps that were measured are kept in FOLDER,
and `--steps` measures others later:

- plan: `sidscan scan --list LIST --run RUN --plan`
- replan: the same again, which finds nothing new
- shards: record the results of each shard, check its journal and publish it, in one process
- accept: check what was published, and note it
- closing: the closing lines, without a report
- csv, parquet, html, ranked: `sidscan collect` with that report; `ranked` is a CSV by evidence
- inserted: plan again with one more input, and scan what reopens

FOLDER gets 2 GB for a million rows, and as much again with all reports; --remove deletes it at the end.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

from growth import BATCHES, SCORES, Meter, fails, result_of, score_of, sha256_of
from record import publish, stamp

from sidscan import journal as journal_module
from sidscan.cli.selection import Shown
from sidscan.distributed.ledger import Ledger
from sidscan.distributed.run_folder import RunFolder
from sidscan.distributed.settings import Scoring
from sidscan.distributed.shard import Progress, ShardScanner
from sidscan.distributed.slices import Slice
from sidscan.journal.stored_results import dump_result
from sidscan.records import Item, Kind, ScanResult
from sidscan.review.selection import Choice
from sidscan.scoring.reuse import reuse_keys

_SIDSCAN = (sys.executable, "-P", "-m", "sidscan")
_PER_FOLDER = 1000
# What texts hold in place of what is an input's own.
_NAME, _SHA256 = "NAME", "SHA256"
_OWN = rf"{_NAME}|{_SHA256}|123\.25|-123\.5"


def name_of(number: int) -> str:
    """An input of the simulated run."""
    return f"https://archive.example/{number // _PER_FOLDER:06}/{number:09}.jpg"


def number_of(name: str) -> int:
    """The inverse of `name_of`."""
    return int(name.rpartition("/")[2].partition(".")[0])


class SimulatedScanner(ShardScanner):
    """Scans shards without reading an input."""

    def _scan_into(
        self,
        journal: Path,
        planned: Slice,
        times: int,
        progress: Progress | None,  # noqa: ARG002
    ) -> Scoring:
        if not journal.exists():
            self._start_from_earlier(journal, planned, times)
        scan = self._opened(journal, planned, retry_failed=False)
        with closing(scan.journal):
            scoring = Scoring.of(scan)
            self._run.agree_on(scoring)
            keys = reuse_keys(scan.config, scan.runtime, scan.calibrations)
            detector = scan.runtime.detectors[0]
            made_up = MadeUp((detector.name, detector.digest))
            results = map(made_up.result, scan.journal.pending())
            with patch.object(journal_module, "dump_result", made_up.text):
                while batch := list(islice(results, BATCHES[-1])):
                    scan.journal.append(batch, keys)
            scan.end("finished")
        return scoring


class MadeUp:
    """Results that cost little: their texts are those of a few, with other names, hashes and scores.

    Args:
        model: name and digest.
    """

    def __init__(self, model: tuple[str, str]) -> None:
        self._model = model
        self._kinds: dict[str, tuple[ScanResult, list[str]]] = {}

    def result(self, item: Item) -> ScanResult:
        """The result of an input; only its name, kind and status are its own."""
        return replace(self._like(number_of(item.name))[0], name=item.name)

    def text(self, result: ScanResult) -> str:
        """As it is recorded."""
        number = number_of(result.name)
        score = score_of(number % SCORES, self._model)
        start, middle, *rest = self._like(number)[1]
        text = f"{start}{result.name}{middle}{sha256_of(number)}{rest[0]}"
        return text if len(rest) == 1 else f"{text}{score.score!r}{rest[1]}{score.logit!r}{rest[2]}"

    def _like(self, number: int) -> tuple[ScanResult, list[str]]:
        number %= SCORES
        word = "" if fails(number) else score_of(number, self._model).evidence
        if word not in self._kinds:
            result = result_of(number, Item(_NAME, Kind.URL), self._model)
            facts = replace(result.facts, sha256=_SHA256)
            scores = tuple(replace(score, score=123.25, logit=-123.5) for score in result.scores)
            result = replace(result, facts=facts, scores=scores)
            self._kinds[word] = result, re.split(_OWN, dump_result(result))
        return self._kinds[word]


def _command(rows: int, *arguments: str) -> dict[str, Any]:
    """Processor time and peak memory of a command; its closing lines are shown."""
    started = time.perf_counter()
    process = os.spawnv(os.P_NOWAIT, _SIDSCAN[0], [*_SIDSCAN, *arguments])
    _, status, usage = os.wait4(process, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 3):
        sys.exit(f"sidscan {' '.join(arguments)} failed")
    seconds = usage.ru_utime + usage.ru_stime
    return {
        "processor_s": round(seconds, 2),
        "clock_s": round(time.perf_counter() - started, 2),
        "rows_per_processor_s": round(rows / seconds),
        "peak_mb": round(usage.ru_maxrss / 1e3),
    }


def _plan(folder: Path, rows: int, shard_size: int) -> dict[str, Any]:
    names = folder / "names.txt"
    if not names.exists():
        with names.open("w", encoding="ascii") as file:
            file.writelines(f"{name_of(number)}\n" for number in range(rows))
    return _planned(folder, rows, shard_size)


def _planned(folder: Path, rows: int, shard_size: int) -> dict[str, Any]:
    listed = ("--list", str(folder / "names.txt"), "--run", str(folder / "run"))
    # Where numbers of open shards would be printed, a file keeps the closing lines readable.
    options = ("--model", "mini", "--device", "cpu", "--shard-size", str(shard_size), "--plan")
    return _command(rows, "scan", *listed, *options)


def _shards(folder: Path, rows: int, scratch: Path) -> dict[str, Any]:
    run = RunFolder(folder / "run")
    scanner = SimulatedScanner(run, scratch)
    meter = Meter()
    for number in run.open_shards(scanner.plan):
        scanner.scan(number)
    size = sum(path.stat().st_size for path in (folder / "run" / "shards").iterdir())
    return {**meter.read(rows), "shards": len(scanner.plan.slices), "bytes_per_row": round(size / rows)}


def _accept(folder: Path, rows: int) -> dict[str, Any]:
    run = RunFolder(folder / "run")
    meter = Meter()
    with closing(Ledger(run, run.current_plan())) as ledger:
        ledger.accept_published()
    return {**meter.read(rows), "ledger_bytes": run.ledger_path.stat().st_size}


def _closing(folder: Path, rows: int) -> dict[str, Any]:
    from sidscan.cli.collecting import collect

    run = RunFolder(folder / "run")
    plan = run.current_plan()
    meter = Meter()
    with closing(Ledger(run, plan)) as ledger:
        collect(run, plan, ledger, (), Shown(Choice(), ()), print, partial=False)
    return meter.read(rows)


def _collect(name: str, options: tuple[str, ...], folder: Path, rows: int) -> dict[str, Any]:
    report = folder / name
    measured = _command(rows, "collect", str(folder / "run"), *options, str(report), "--overwrite")
    files = report.iterdir() if report.is_dir() else (report,)
    measured["bytes"] = sum(file.stat().st_size for file in files)
    return measured


def _inserted(folder: Path, rows: int, shard_size: int, scratch: Path) -> dict[str, Any]:
    with (folder / "names.txt").open("r+", encoding="ascii") as file:
        first = file.readline()
        rest = file.read()
        file.seek(0)
        file.write(f"{first}https://archive.example/new/{rows:09}.jpg\n{rest}")
    planned = _planned(folder, rows + 1, shard_size)
    run = RunFolder(folder / "run")
    reopened = len(run.open_shards(run.current_plan()))
    return {"plan": planned, "reopened": reopened, "shards": _in_process(_shards, folder, rows + 1, scratch)}


def _in_process(step: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(step, arguments)


def steps(shard_size: int, scratch: Path) -> dict[str, Callable[[Path, int], dict[str, Any]]]:
    """What is measured, in this order."""
    reports = {
        "csv": ("report.csv", ("--out",)),
        "parquet": ("rows", ("--parquet-folder",)),
        "html": ("report.html", ("--out",)),
        "ranked": ("ranked.csv", ("--sort", "evidence", "--out")),
    }
    return {
        "plan": partial(_plan, shard_size=shard_size),
        "replan": partial(_planned, shard_size=shard_size),
        "shards": partial(_in_process, partial(_shards, scratch=scratch)),
        "accept": partial(_in_process, _accept),
        "closing": partial(_in_process, _closing),
        **{name: partial(_collect, *how) for name, how in reports.items()},
        "inserted": partial(_inserted, shard_size=shard_size, scratch=scratch),
    }


def main() -> None:
    """Measure all steps, and publish the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--shard-size", type=int, default=2000)
    parser.add_argument("--steps", nargs="+", choices=steps(0, Path()))
    parser.add_argument("--scratch", type=Path, help="folder for the journal under way; FOLDER/scratch")
    parser.add_argument("--remove", action="store_true", help="delete FOLDER at the end")
    parser.add_argument("--out", type=Path)
    choices = parser.parse_args()
    choices.folder.mkdir(parents=True, exist_ok=True)
    kept = choices.folder / "measured.json"
    measured = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    measured |= {"rows": choices.rows, "shard_size": choices.shard_size}
    all_steps = steps(choices.shard_size, choices.scratch or choices.folder / "scratch")
    for name in choices.steps or all_steps:
        measured[name] = all_steps[name](choices.folder, choices.rows)
        print(name, measured[name], flush=True)
        kept.write_text(json.dumps(measured), encoding="utf-8")
    if choices.remove:
        shutil.rmtree(choices.folder)
    publish({**stamp("run_growth"), **measured}, choices.out)


if __name__ == "__main__":
    main()
