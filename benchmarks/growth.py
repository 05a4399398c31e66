"""What takes how long as an archive grows? Simulated inputs: nothing is decoded, and nothing is scored.

    python benchmarks/growth.py FOLDER --rows 100000 --out FILE

Results are made up, 1,300 bytes each as those of photographs. Each step runs in a process of its own, so that
its peak memory is its own; `ready_mb` is what the process needs before it begins (libraries, the detector
`mini`). The steps:

- walk: list a folder of so many files (at most --files, three bytes each), as a scan does first
- register: record the inputs of a first run
- append: record all results, 20,000 each in batches of 40, 400 and 4,000, the rest in the last
- resume: register the same inputs again, and keep all results
- close: the closing lines with all that they need: copies, the strongest, what changed
- csv, json: write that report

FOLDER gets 4 GB for a million rows; they are removed at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

from record import publish, stamp

from sidscan import ScanConfig, __version__, reports
from sidscan.cli.ranking import highest_lines
from sidscan.cli.summary import Summary
from sidscan.images.decoders import decoders
from sidscan.pipeline import Scan, open_scan
from sidscan.records import Exif, Failure, ImageInfo, Item, Provenance, ScanResult, Score, Stage, Status
from sidscan.review.annotated import AnnotatedRecord
from sidscan.review.copies import find_copies
from sidscan.review.difference_text import rescan_lines
from sidscan.review.marks import Marks
from sidscan.review.rescan import rescanned
from sidscan.scoring.reuse import reuse_keys
from sidscan.sources import open_sources

BATCHES = (40, 400, 4000)
SCORES = 10_000
"""Different scores; the next inputs have the same ones."""
_TRIED = 20_000  # rows that each size of batch records
_PER_FOLDER = 1000
_JPEG = b"\xff\xd8\xff"
_AT = "2026-01-01T00:00:00+00:00"
_EXIF = Exif(make="Acme", model="A1", tags={f"EXIF Tag{number}": f"value {number}" for number in range(16)})


def items(rows: int) -> Iterator[Item]:
    """The inputs of a simulated run."""
    for number in range(rows):
        name = f"/archive/{number // _PER_FOLDER:05}/{number:08}.jpg"
        yield Item(name, fingerprint=f"{20000 + number}:{number}")


def results(rows: int, model: tuple[str, str]) -> Iterator[ScanResult]:
    """Their results: of a hundred inputs one fails, and one has the bytes of another."""
    for number, item in enumerate(items(rows)):
        yield result_of(number, item, model)


def result_of(number: int, item: Item, model: tuple[str, str]) -> ScanResult:
    """What a scan might say of the input with this number."""
    facts = ImageInfo(
        *(20000 + number, sha256_of(number), "JPEG", 4000, 3000, (), _EXIF),
        modified_at=_AT,
        provenance=Provenance(),
        traces=(),
    )
    if fails(number):
        result = ScanResult.of_failure(
            Failure(item, Stage.DECODE, "DecodeError", "the data end early", facts), _AT
        )
    else:
        scores = (score_of(number, model),)
        result = ScanResult(
            item.name, item.kind, Status.SCORED, facts, _AT, None, None, None, scores, 10, 0.9
        )
    return replace(result, decoder=decoders()[""], sidscan_version=__version__)


def fails(number: int) -> bool:
    """Whether the input with this number can't be read."""
    return number % 100 == 7


def sha256_of(number: int) -> str:
    """The hash of its bytes, which some have in common with the input before."""
    return hashlib.sha256(str(number - (number % 100 == 1)).encode()).hexdigest()


@lru_cache(SCORES)
def score_of(number: int, model: tuple[str, str]) -> Score:
    """What the model says of it."""
    logit = (number * 7919 % SCORES) / 500 - 14
    value = 1 / (1 + 2.718281828459045**-logit)
    word = "weak" if logit < 0 else "moderate" if logit < 3 else "strong"
    limits = (value / 2, value, 0.1)
    return Score(
        *model, 0.5, value, logit, word, *limits, highest_crop="top left", crop_scores=(0.1234,) * 10
    )


def opened(folder: Path, rows: int) -> Scan:
    """The run over all inputs, opened or opened again."""
    config = ScanConfig(inputs=("/archive",), models=("mini",), device="cpu", journal=folder / "run.journal")
    return open_scan(config, items=items(rows))


def _walk(folder: Path, files: int) -> dict[str, float]:
    below = folder / "files"
    for number in range(files):
        path = below / f"{number // _PER_FOLDER:05}" / f"{number:08}.jpg"
        if number % _PER_FOLDER == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_JPEG)
    meter = Meter()
    for _ in open_sources(ScanConfig(inputs=(str(below),))):
        pass
    return meter.read(files)


def _register(folder: Path, rows: int) -> dict[str, float]:
    meter = Meter()
    with closing(opened(folder, rows).journal):
        return meter.read(rows)


def _append(folder: Path, rows: int) -> dict[str, Any]:
    run = opened(folder, rows)
    with closing(run.journal):
        keys = reuse_keys(run.config, run.runtime, run.calibrations)
        detector = run.runtime.detectors[0]
        pending, rates = results(rows, (detector.name, detector.digest)), {}
        for size in BATCHES:
            batches = [
                list(islice(pending, size)) for _ in range(_TRIED // size)
            ]  # making them is not measured
            meter = Meter()
            for batch in batches:
                run.journal.append(batch, keys)
            rates[f"batches_of_{size}"] = meter.read(sum(map(len, batches)))
        meter = Meter()
        while batch := list(islice(pending, BATCHES[-1])):
            run.journal.append(batch, keys)
        run.end("finished")
        return {**rates, "peak_mb": meter.read(rows)["peak_mb"]}


def _close(folder: Path, rows: int) -> dict[str, float]:
    run = opened(folder, rows)
    with closing(run.journal):
        meter = Meter()
        copies = find_copies(run.journal.possible_copies())
        summary = Summary(run, AnnotatedRecord(run.journal, Marks(()), copies), 5)
        lines = [*summary.lines(), *highest_lines(summary.ranking.highest())]
        with rescanned(run.journal, Marks(()), ()) as rescan:
            lines += rescan_lines(rescan) if rescan else ()
        print(*lines, sep="\n")
        return meter.read(rows)


def _report(suffix: str, folder: Path, rows: int) -> dict[str, float]:
    run = opened(folder, rows)
    with closing(run.journal):
        writers = [reports.output_for(str(folder / f"report.{suffix}"), overwrite=True)]
        meter = Meter()
        with reports.reserve_all(writers, lambda _: ()):
            reports.write_all(writers, run.journal)
        return meter.read(rows)


class Meter:
    """Processor time, rows per second of it, and memory since it was made."""

    def __init__(self) -> None:
        self._ready, self._start, self._clock = _peak(), time.process_time(), time.perf_counter()

    def read(self, rows: int) -> dict[str, float]:
        seconds = time.process_time() - self._start
        return {
            "processor_s": round(seconds, 2),
            "clock_s": round(time.perf_counter() - self._clock, 2),
            "rows_per_processor_s": round(rows / max(seconds, 0.01)),
            "ready_mb": round(self._ready),
            "peak_mb": round(_peak()),
        }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _in_process(step: Callable[[Path, int], dict[str, Any]], folder: Path, rows: int) -> dict[str, Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(step, (folder, rows))


STEPS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "walk": _walk,
    "register": _register,
    "append": _append,
    "resume": _register,
    "close": _close,
    "csv": partial(_report, "csv"),
    "json": partial(_report, "json"),
}


def main() -> None:
    """Measure all steps, and publish the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=100_000, help="files that are listed, at most")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--keep", action="store_true", help="leave the record in FOLDER")
    parser.add_argument("--out", type=Path)
    choices = parser.parse_args()
    choices.folder.mkdir(parents=True, exist_ok=True)
    measured: dict[str, Any] = {"rows": choices.rows}
    for name in choices.steps:
        rows = min(choices.rows, choices.files) if name == "walk" else choices.rows
        measured[name] = _in_process(STEPS[name], choices.folder, rows)
        print(name, measured[name], flush=True)
    journal = choices.folder / "run.journal"
    measured["record_bytes_per_row"] = (
        round(journal.stat().st_size / choices.rows) if journal.exists() else None
    )
    if not choices.keep:
        shutil.rmtree(choices.folder)
    publish({**stamp("growth"), **measured}, choices.out)


if __name__ == "__main__":
    main()
