"""A scan, from inputs to findings, on one screen."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import partial
from typing import Any, Literal

from sidscan import custody
from sidscan._version import __version__
from sidscan.config import VIEWS, ScanConfig
from sidscan.errors import OutputError
from sidscan.fetch import saved
from sidscan.fetch.client import Fetcher
from sidscan.images import decode
from sidscan.isolation.reader import IsolatedReader, read_item
from sidscan.journal import Journal, Registered
from sidscan.models import detectors
from sidscan.records import Counts, DecodedImage, Failure, Item, ScanResult, Stage, Status
from sidscan.runtimes import Runtime, open_runtime
from sidscan.scoring import calibration
from sidscan.scoring.scorer import Calibrations, Job, Scorer, reuse_keys
from sidscan.sources import open_sources
from sidscan.sources.paths import UNLISTED
from sidscan.util import threads
from sidscan.util.threads import cores
from sidscan.util.urls import public

Reader = Callable[[Item], DecodedImage | Failure]


@dataclass
class Scan:
    """A run that is ready: iterate over it for the findings that are still to be made.

    Each finding is durable in ``journal`` before it is yielded. Stopping early loses nothing.

    Attributes:
        choice: how the models were chosen, in words.
        calibrations: what each model's scores are measured against, by its name; empty unless asked for.
        earlier: what became of an earlier run in the same journal; findings kept are not yielded again.
        made: findings of this session so far.
    """

    config: ScanConfig
    journal: Journal
    runtime: Runtime
    choice: str
    calibrations: Calibrations
    earlier: Registered
    made: int = 0

    def __iter__(self) -> Generator[ScanResult, None, None]:
        made_by = reuse_keys(self.config, self.runtime, self.calibrations)
        scorer = Scorer(self.runtime, self.calibrations, self.journal.find_by_sha256)
        with closing(self._jobs(scorer)) as jobs:
            for job in jobs:
                findings = scorer.end(job)
                self.journal.append(findings, made_by)
                self.made += len(findings)
                yield from findings
        if self.counts().pending:
            raise OutputError(
                f"{self.counts().pending} inputs have no finding in the record", "Run it again."
            )
        self.end("finished")
        self.journal.purge_stale()

    def _jobs(self, scorer: Scorer) -> Generator[Job, None, None]:
        """Batches in the order of the inputs, scored; while one is recorded, others are read and scored.

        A batch is full when one picture more might be too much: a pass for a few views costs a whole one.
        """
        runtime, workers = self.runtime, self.config.workers
        with (
            _reader(self.config) as one,
            closing(threads.OrderedMap(partial(_read, read=one), self.journal.pending(), workers)) as samples,
        ):
            try:
                yield from threads.map_batches(
                    samples,
                    weigh=_views,
                    enough=(self.config.batch or runtime.batch) - VIEWS[self.config.crops] + 1,
                    begin=lambda batch: scorer.begin(batch, _now()),
                    function=scorer.score,
                    at_once=runtime.at_once,
                )
            finally:  # nobody waits for what is under way
                runtime.abandon()

    def end(self, ending: Literal["finished", "interrupted"]) -> None:
        """Record how this session ended; one that never says so was killed."""
        now = _now()
        sessions = self.journal.header()["sessions"]
        sessions[-1] |= {"ended": now, "ending": ending, "findings": self.made}
        self.journal.set_header({"finished": now if ending == "finished" else None, "sessions": sessions})

    def counts(self) -> Counts:
        """How the inputs ended so far."""
        return self.journal.counts()


def open_scan(config: ScanConfig) -> Scan:
    """Load the models, enumerate the inputs, and find out which of them are still to be done.

    Raises:
        ModelError: a model is unknown, not installed, or not what it was.
        CalibrationError: a calibration asked for is missing, or of another model.
        RuntimeUnavailable: the device or precision asked for is not to be had.
        UsageError: an input does not exist.
        OutputError: the journal, or the folder of originals, can't be written.
    """
    if config.save_dir is not None:
        saved.prepare(config.save_dir)
    names, choice = detectors.choose(config.models)
    config = replace(config, models=names if config.models else ())
    runtime = open_runtime(config, names)
    calibrations = calibration.choose_calibrations(config, runtime.detectors)
    journal = Journal(config.journal, config.fresh)
    try:
        if journal.header().get("private"):  # once said, it holds for the whole record
            config = replace(config, private=True)
        made_by = reuse_keys(config, runtime, calibrations)
        enumerated = journal.register_inputs(open_sources(config), made_by, config.retry_failed)
        facts = _run_facts(config, runtime, choice) | {"calibrations": _facts(calibrations, runtime)}
        facts["private"] = config.private
        session = custody.session(config, _now(), _resources(config, runtime))
        earlier = journal.header().get("sessions", [])
        journal.set_header(facts | {"sessions": _sessions(config, earlier, session)})
    except BaseException:
        journal.close()
        raise
    return Scan(config, journal, runtime, choice, calibrations, enumerated)


def _run_facts(config: ScanConfig, runtime: Runtime, choice: str) -> dict[str, object]:
    return {
        "sidscan_version": __version__,
        "started": _now(),
        "finished": None,
        "models": [asdict(detector) for detector in runtime.detectors],
        "model_choice": choice,
        "model_provenance": _provenance(runtime),
        **asdict(runtime.info),
        "decoder": decode.decoder_name(),
        "crops": config.crops,
        "inputs": [public(name) for name in config.inputs],
        "lists": list(config.lists),
    }


def _resources(config: ScanConfig, runtime: Runtime) -> dict[str, int]:
    """What was chosen, by somebody or from the machine."""
    return {
        "cores": cores(),
        "workers": config.workers or cores(),
        "batch": config.batch or runtime.batch,
        "batches_at_once": runtime.at_once,
        "devices": runtime.devices,
    }


def _sessions(config: ScanConfig, earlier: list[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """All sessions of the run, the new one last."""
    if config.private:  # of those before, too: one report says it all
        earlier = [custody.without_persons(one) for one in earlier]
    return [*earlier, new]


def _facts(calibrations: Calibrations, runtime: Runtime) -> dict[str, object]:
    """Per model: which calibration, and what computed its logits otherwise than this run does."""
    now = {**asdict(runtime.info), "decoder": decode.decoder_name(), "sidscan_version": __version__}
    return {
        name: {**one.metadata(), "sha256": one.digest, "differences": one.differences(now)}
        for name, one in calibrations.items()
    }


def _provenance(runtime: Runtime) -> str:
    """Who vouches for each weights file, e.g. ``mini: bundled``."""
    files = {name: how for detector in runtime.detectors for name, how in detector.provenance.items()}
    return "; ".join(f"{name}: {how}" for name, how in files.items())


@contextmanager
def _reader(config: ScanConfig) -> Iterator[Reader]:
    """What reads an item: processes of their own, or this one."""
    with closing(Fetcher(config)) as fetcher:
        if not config.isolation:
            yield partial(read_item, config=config, fetcher=fetcher)
            return
        with closing(IsolatedReader(config, fetcher)) as isolated:
            yield isolated


def _read(item: Item, read: Reader) -> DecodedImage | Failure:
    if item.skip.startswith(UNLISTED):  # nobody chose to leave out what is below it
        return Failure(item, Stage.LIST, "FolderNotListed", item.skip)
    if item.skip:
        return Failure(item, Stage.LIST, "Skipped", item.skip, status=Status.SKIPPED)
    return read(item)


def _views(sample: DecodedImage | Failure) -> int:
    """What a result takes of a batch; a failure as much as one view, to become durable soon."""
    return len(set(sample.views.order)) if isinstance(sample, DecodedImage) else 1


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
