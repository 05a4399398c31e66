"""A scan that is killed again and again, itself or its workers, gives the rows of an undisturbed scan.

    python benchmarks/kills.py --images 6000 --kills 200 --out FILE

Every fourth kill ends the command itself, which is started again; half of these happen during its start, the
rest during its work. The others kill a worker. The last kills happen while reports are written.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness import (
    Verdicts,
    alive,
    archive,
    by_status,
    children,
    differences,
    environment,
    rows,
    run,
    scan,
    workers,
)

_LINGER = 5.0  # seconds that a worker may outlive its parent
_AT_REPORTS = 6  # kills reserved for the time when reports are written


@dataclass
class Tally:
    """Counts of kills, and observations."""

    kills: Counter[str] = field(default_factory=Counter)
    orphans: list[float] = field(default_factory=list)  # seconds that the last worker outlived each parent
    ended: list[str] = field(default_factory=list)  # sessions that ended before they were killed
    durable: int = 0  # rows in the journal at the last inspection
    remade: list[str] = field(
        default_factory=list
    )  # rows of the journal at one kill that were missing or different at the next
    integrity: set[str] = field(default_factory=set)  # results of SQLite's integrity check at each kill


class RandomKiller:
    """Start the command and kill it, or its workers, at seeded random times."""

    def __init__(self, command: list[str], store: Path, seed: int, kills: int, startup: float) -> None:
        self._command, self._store, self._kills, self._startup = command, store, kills, startup
        self._random = random.Random(seed)
        self._durable: dict[bytes, str] = {}
        self.tally = Tally()

    def run_and_kill(self, record: Path) -> None:
        """Run sessions until all kills are spent; the scan must not be finished by then.

        Args:
            record: the scan's journal, in the folder of its reports.
        """
        while (left := self._kills - self.tally.kills.total()) > 0:
            process = subprocess.Popen(
                self._command, env=environment(self._store), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            if left <= _AT_REPORTS:
                self._kill_at_report(process, record.parent)
            elif self._random.random() < 0.5:
                time.sleep(self._random.uniform(0, self._startup))
                self._kill_parent(process, "parent at its start")
            else:
                for _ in range(min(6, left - _AT_REPORTS - 1)):
                    self._kill_worker(process)
                time.sleep(self._random.uniform(0, 0.3))
                self._kill_parent(process, "parent at work")
            self.inspect(record)

    def inspect(self, record: Path) -> None:
        """Compare durable rows with earlier ones, in a copy: the next session must recover the journal."""
        if not record.exists():
            return
        with tempfile.TemporaryDirectory() as scratch:
            for file in (record, Path(f"{record}-journal")):
                if file.exists():
                    shutil.copy(file, scratch)
            with closing(sqlite3.connect(Path(scratch) / record.name)) as database:
                self.tally.integrity.add(str(database.execute("PRAGMA integrity_check").fetchone()[0]))
                try:
                    query = "SELECT name, finding FROM items WHERE finding IS NOT NULL"
                    now = dict(database.execute(query).fetchall())
                except sqlite3.OperationalError:  # killed before it created its tables
                    now = {}
        for name, result in self._durable.items():
            if now.get(name) != result:
                self.tally.remade.append(f"{result[:300]} -> {now.get(name, 'nothing')[:300]}")
        self.tally.durable, self._durable = len(now), now

    def _kill_worker(self, process: subprocess.Popen[bytes]) -> None:
        """Kill one of the workers, new or old, as soon as one runs."""
        time.sleep(self._random.expovariate(1 / 0.15))
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            if victims := workers(process.pid):
                with suppress(ProcessLookupError):  # it was replaced in the meantime
                    _signal(self._random.choice(victims))
                    self.tally.kills["worker"] += 1
                return
            time.sleep(0.01)

    def _kill_parent(self, process: subprocess.Popen[bytes], moment: str) -> None:
        family = list(children(process.pid))
        if process.poll() is not None:
            self.tally.ended.append(f"exit status {process.returncode}")
            return
        process.kill()
        process.wait()
        self.tally.kills[moment] += 1
        killed = time.monotonic()
        while any(map(alive, family)) and time.monotonic() < killed + 4 * _LINGER:
            time.sleep(0.02)
        self.tally.orphans.append(time.monotonic() - killed)

    def _kill_at_report(self, process: subprocess.Popen[bytes], partials: Path) -> None:
        """Kill the command as soon as it begins to write a report, after all rows exist."""
        old = set(partials.glob(".sidscan-*"))
        until = time.monotonic() + 600
        while process.poll() is None and time.monotonic() < until:
            if set(partials.glob(".sidscan-*")) - old:
                time.sleep(self._random.uniform(0, 0.1))
                self._kill_parent(process, "parent at its reports")
                return
            time.sleep(0.005)
        process.kill()
        process.wait()
        self.tally.kills["parent, missed its reports"] += 1


def _signal(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def main() -> int:
    """Scan one folder twice, once with kills; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    verdicts = Verdicts("kills")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        images, store = root / "images", root / "store"
        archive(images, options.images, options.seed)
        outs = {
            name: [root / name / f"r.{suffix}" for suffix in ("csv", "json")] for name in ("calm", "torn")
        }
        commands = {}
        for name, (table, tree) in outs.items():
            table.parent.mkdir()
            commands[name] = scan(
                *(images, "--model", "mini", "--crops", "center", "--device", "cpu"),
                *("--out", table, "--out", tree),
            )
        began = time.monotonic()
        calm = run(commands["calm"], store)
        calm_seconds = time.monotonic() - began
        again = time.monotonic()
        run(commands["calm"], store)  # nothing left to do, so this is the time of the start
        startup = time.monotonic() - again

        began = time.monotonic()
        killer = RandomKiller(commands["torn"], store, options.seed, options.kills, startup)
        record = Path(f"{outs['torn'][0]}.journal")
        killer.run_and_kill(record)
        last = run(commands["torn"], store)
        killer.inspect(record)
        seconds = time.monotonic() - began
        tally = killer.tally

        verdicts.result |= {
            "pictures": options.images,
            "seed": options.seed,
            "kills": dict(tally.kills),
            "seconds": {"undisturbed": round(calm_seconds, 1), "killed": round(seconds, 1)},
            "rows": by_status(rows(outs["calm"][0])),
        }
        _judge(verdicts, tally, options, outs, (calm.returncode, last.returncode))
    return verdicts.end(options.out)


def _judge(
    verdicts: Verdicts,
    tally: Tally,
    options: argparse.Namespace,
    outs: dict[str, list[Path]],
    codes: tuple[int, int],
) -> None:
    """Check the promises against the observations."""
    total = tally.kills.total()
    verdicts.check(
        "all kills hit a running scan",
        total == options.kills and not tally.ended and not tally.kills["parent, missed its reports"],
        f"{total} kills: {dict(tally.kills)}; sessions that ended by themselves: {tally.ended or 'none'}",
    )
    verdicts.check(
        "both scans end as documented",
        codes == (3, 3),
        f"exit codes {codes[0]} and {codes[1]}",
    )
    for table, tree in zip(outs["calm"], outs["torn"], strict=True):
        calm, torn = rows(table), rows(tree)
        different = differences(calm, torn)
        verdicts.check(
            f"{table.suffix} rows equal those of the undisturbed scan",
            not different and len(calm) == options.images,
            f"{len(calm)} rows, {len(different)} differ {different[:3] or ''}",
        )
    verdicts.check(
        f"no worker outlives its parent by more than {_LINGER:g} s",
        max(tally.orphans) <= _LINGER,
        f"{max(tally.orphans):.1f} s at most",
    )
    left = sorted(path.name for path in outs["torn"][0].parent.iterdir())
    expected = sorted(path.name for path in outs["calm"][0].parent.iterdir())
    verdicts.check("nothing is left that a calm scan does not leave", left == expected, ", ".join(left))
    verdicts.check(
        "no row that was durable is lost or made again",
        not tally.remade and tally.integrity == {"ok"},
        f"{len(tally.remade)} of {tally.durable} {tally.remade[:2] or ''}; "
        f"the record's integrity: {', '.join(sorted(tally.integrity))}",
    )


if __name__ == "__main__":
    sys.exit(main())
