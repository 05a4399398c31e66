"""Do two versions of sidscan write the same reports? Run both over the same inputs, and compare row by row.

    python benchmarks/compare_reports.py --before OLD --after NEW [--folder HOSTILE] [--renamed OLD=NEW] ...

OLD and NEW are commands, such as "old/bin/python -P -m sidscan". The inputs are 120 generated images (some
are damaged, equal or oddly named), the folders of --folder, and URLs of a local server: images, errors, a
redirect, and a host that does not exist. Each version writes CSV and JSON with the bundled detector, on the
CPU. Differences in times, versions and texts given with --renamed are ignored. Every other difference is
printed, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shlex
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeAlias

from harness import archive

Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | float | bool | None"

csv.field_size_limit(1 << 24)
_OF_THE_MOMENT = frozenset(
    {"scanned_at", "fetched_at", "started", "finished", "date", "sessions", "sidscan_version"}
)
_STATUSES = {"/missing.jpg": 404, "/broken.jpg": 500, "/moved.jpg": 302}
_SHOWN = 20


class Images(BaseHTTPRequestHandler):
    """Serves the files of a folder; some paths answer with errors or redirects."""

    folder: Path

    def do_GET(self) -> None:
        """Answer one request."""
        status = _STATUSES.get(self.path, 200)
        name = "0.jpg" if status != 200 else self.path.rpartition("/")[2]
        body = (self.folder / name).read_bytes()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/0.jpg")
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
        """Log nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Start a server for a folder, and return its address."""
    handler = type("Handler", (Images,), {"folder": folder})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def run(command: str, inputs: list[str], out: Path) -> None:
    """Run one version over the inputs; exit statuses other than 0 and 3 stop the comparison."""
    arguments = ["--model", "mini", "--device", "cpu", "--allow-private", "--item-timeout", "10", "--quiet"]
    outs = ["--out", str(out.with_suffix(".csv")), "--out", str(out.with_suffix(".json"))]
    done = subprocess.run([*shlex.split(command), "scan", *inputs, *arguments, *outs], check=False)
    if done.returncode not in (0, 3):
        sys.exit(f"{command} ended with {done.returncode}")


def normal(value: Value, renamed: dict[str, str]) -> Value:
    """A value without fields that differ between runs, and with old names replaced by new ones."""
    if isinstance(value, dict):
        stable = {name: entry for name, entry in value.items() if name not in _OF_THE_MOMENT}
        return {name: normal(entry, renamed) for name, entry in stable.items()}
    if isinstance(value, list):
        return [normal(entry, renamed) for entry in value]
    if isinstance(value, str):
        for old, new in renamed.items():
            value = re.sub(rf"\b{re.escape(old)}\b", new, value)
        return value
    return value


def json_rows(path: Path, renamed: dict[str, str]) -> dict[str, Value]:
    """Results of a JSON report by path, and everything else under an empty path."""
    report = json.loads(path.read_text(encoding="utf-8"))
    results = {row["path"]: normal(row, renamed) for row in report.pop("findings")}
    return {**results, "": normal(report, renamed)}


def csv_rows(path: Path, renamed: dict[str, str]) -> dict[str, Value]:
    """Rows of a CSV report by path."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["path"]: normal(dict(row), renamed) for row in csv.DictReader(file)}


def differences(before: Value, after: Value, where: str = "") -> Iterator[str]:
    """Differences of two values: the path of keys, and both values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            if name not in before or name not in after:
                yield f"{where}.{name}: only {'after' if name in after else 'before'}"
            else:
                yield from differences(before[name], after[name], f"{where}.{name}")
    elif before != after:
        yield f"{where}: {before!r} -> {after!r}"


def main() -> None:
    """Compare, print the differences, and set the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", required=True, metavar="COMMAND")
    parser.add_argument("--after", required=True, metavar="COMMAND")
    parser.add_argument("--folder", type=Path, action="append", default=[])
    parser.add_argument("--renamed", action="append", default=[], metavar="OLD=NEW")
    options = parser.parse_args()
    renamed = dict(pair.split("=", 1) for pair in options.renamed)
    with tempfile.TemporaryDirectory() as scratch:
        images, web = Path(scratch) / "images", Path(scratch) / "web"
        archive(images, 120, seed=16)
        web.mkdir()
        for number, path in enumerate(sorted(images.rglob("*.jpg"))[:8]):
            (web / f"{number}.jpg").write_bytes(path.read_bytes())
        with served(web) as address:
            names = [f"{number}.jpg" for number in range(8)] + [path[1:] for path in _STATUSES]
            urls = [f"{address}/{name}" for name in names] + ["http://nowhere.invalid/a.jpg"]
            inputs = [str(images), *map(str, options.folder), *urls]
            for command, name in ((options.before, "before"), (options.after, "after")):
                run(command, inputs, Path(scratch) / name)
        kinds: Counter[str] = Counter()
        examples: dict[str, str] = {}
        for suffix, read in ((".csv", csv_rows), (".json", json_rows)):
            before, after = (read(Path(scratch) / f"{name}{suffix}", renamed) for name in ("before", "after"))
            print(f"{suffix[1:]}: {len(before)} and {len(after)} rows")
            for difference in (
                line for row in {**before, **after} for line in differences(before.get(row), after.get(row))
            ):
                kind = f"{suffix[1:]} {difference.partition(':')[0]}"
                kinds[kind] += 1
                examples.setdefault(kind, difference)
    for kind, count in kinds.most_common(_SHOWN):
        print(f"{count} x {kind}: e.g. {examples[kind][:200]}")
    print("equal" if not kinds else f"{len(kinds)} kinds of difference")
    sys.exit(bool(kinds))


if __name__ == "__main__":
    main()
