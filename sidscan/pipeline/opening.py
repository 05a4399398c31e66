"""What a scan starts with: models, inputs, and which of them are still to be done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from sidscan import custody
from sidscan._version import __version__
from sidscan.config import ScanConfig
from sidscan.fetch import saved
from sidscan.fetch.object_stores import ObjectStores, StoreLimits, require_obstore
from sidscan.isolation.archives import ArchiveReader
from sidscan.isolation.processes import IdleProcesses
from sidscan.isolation.protocol import WorkerOptions
from sidscan.isolation.reader import launch_worker
from sidscan.journal import Journal, accept_gone
from sidscan.journal.keys import ReuseKeys
from sidscan.journal.matching import Registered
from sidscan.models.detector_info import views_of
from sidscan.models.refs import ModelChoice, choose_models, needed_views
from sidscan.pipeline.scan import Scan
from sidscan.provenance.signatures import check_trust
from sidscan.records import Item
from sidscan.reports.private import private_header, private_result
from sidscan.runtimes import Runtime, open_runtime
from sidscan.scoring import calibration
from sidscan.scoring.listing import Listing, Skipped
from sidscan.scoring.reuse import changes_between, reuse_keys
from sidscan.scoring.run_header import run_header, session_resources
from sidscan.scoring.window_scores import check_scores_windows
from sidscan.sources import open_sources
from sidscan.sources.mounts import SlowPlace, slow_places
from sidscan.sources.vanished import check_not_vanished
from sidscan.util.clock import Clock, utc_now

_log = logging.getLogger("sidscan.scan")


def open_scan(
    config: ScanConfig,
    listed: Callable[[], object] | None = None,
    clock: Clock | None = None,
    items: Iterable[Item] | None = None,
    runtime: Runtime | None = None,
    idle: IdleProcesses | None = None,
    stream: bool = False,
) -> Scan:
    """Load the models, enumerate the inputs, and find out which of them are still to be done.

    Args:
        listed: called for each input that is found.
        stream: return although the listing goes on, if it takes long and no earlier result depends on it.
        clock: of the config's limits of time, if it runs already.
        items: the inputs, where they were listed before; nothing is listed then.
        runtime: what `open_runtime` gave for the same models and options, if it is open already.
        idle: as `Scan` has it.

    Raises:
        ModelError: a model is unknown, not installed, or not what it was.
        CalibrationError: a calibration asked for is missing, or of another model.
        RuntimeUnavailable: the device or precision asked for can't be used here.
        UsageError: an input does not exist, or trust lists can't be used.
        OutputError: the journal, or the folder of originals, can't be written.
    """
    if config.save_dir is not None:
        saved.prepare_folder(config.save_dir)
    clock = clock or Clock(config.budget, config.until)
    check_trust(config.trust)
    if config.uses_object_stores:
        require_obstore()
    places, in_order = slow_places(config.inputs), config.in_order
    if places:
        one = any(place.one_at_a_time for place in places)
        config = replace(config, in_order=True, workers=config.workers or (1 if one else None))
    choice = choose_models(config.models)
    views = views_of(runtime.detectors) if runtime else needed_views(choice.models)
    config = replace(config, models=choice.names if config.models else (), views=views)
    launched = launch_worker(config, idle) if config.isolation else None
    try:
        runtime = runtime or open_runtime(config, choice.models)
        if config.look_closer:
            check_scores_windows(runtime.detectors)
        skipped = _when_skipped(config, in_order) if stream else None
        opened = _opened(config, choice, runtime, listed, clock, places, items, skipped)
    except BaseException:
        if launched is not None:
            launched.close()
        raise
    opened.idle = idle
    opened.keep_for_first_item(launched)
    return opened


def _when_skipped(config: ScanConfig, in_order: bool) -> Skipped:
    """What a scan that lists while it scores does with inputs that are not read."""
    if len(config.inputs) == 1 and not config.lists:
        return Skipped.AT_ONCE
    return Skipped.IN_ORDER if in_order else Skipped.LAST


def _opened(
    config: ScanConfig,
    choice: ModelChoice,
    runtime: Runtime,
    listed: Callable[[], object] | None,
    clock: Clock,
    places: list[SlowPlace],
    items: Iterable[Item] | None,
    skipped: Skipped | None,
) -> Scan:
    calibrations = calibration.choose_calibrations(config, runtime.detectors)
    journal = Journal(config.journal, config.fresh)
    listing = None
    try:
        earlier = journal.header()
        if earlier.private:  # once set, it holds for the whole journal
            config = replace(config, private=True)
        keys = reuse_keys(config, runtime, calibrations, earlier)
        registered, listing = _registered(config, journal, keys, listed, items, skipped)
        if config.private and not earlier.private:
            journal.rewrite_results(private_result)
        header = run_header(config, runtime, choice, calibrations, utc_now())
        header = replace(header, sample=registered.sample, localizer=earlier.localizer)
        session = custody.begin_session(config, utc_now(), session_resources(config, runtime))
        # One report shows all sessions and results, so a private run redacts the earlier ones, too.
        header = replace(header, sessions=(*earlier.sessions, session), listing_complete=listing is None)
        header = private_header(header) if config.private else header
        journal.set_header(header)
    except BaseException:
        if listing is not None:
            listing.close()
        journal.close()
        raise
    names = ", ".join(detector.name for detector in runtime.detectors)
    _log.info("model: %s (%s); %s, %s", names, choice, runtime.info.runtime, runtime.info.device)
    _log.info("%d inputs, %d results kept", journal.counts().enumerated, registered.kept)
    changes = tuple(changes_between(earlier, header))
    return Scan(
        *(config, journal, runtime, choice, calibrations, registered, changes, keys.readers, clock, places),
        listing=listing,
    )


def _registered(
    config: ScanConfig,
    journal: Journal,
    keys: ReuseKeys,
    listed: Callable[[], object] | None,
    items: Iterable[Item] | None,
    skipped: Skipped | None,
) -> tuple[Registered, Listing | None]:
    """List the inputs into the record: all of them, or the first ones and what lists the others."""
    archives = ArchiveReader(WorkerOptions.from_config(config), config.max_members)
    made_by = f"{__version__} {config.max_members}"
    lists = journal.keeping_lists(archives.list_entries, made_by, config.private)
    check_gone = accept_gone if config.allow_empty or items is not None else check_not_vanished
    if items is None:
        items = open_sources(
            config, lists.list_entries, ObjectStores(StoreLimits.of(config)).look_up, archives
        )
    listing, end = None, archives.close
    first: Iterable[Item | None] = items
    if skipped is not None and config.sample_plan is None and journal.can_grow():
        listing = Listing(iter(items), journal, lists, archives.close, skipped)
        first, end = listing.first_items(), listing.close
    try:
        registered = journal.register_inputs(
            _counting(first, listed),
            keys,
            config.retry_failed,
            config.keep_old,
            check_gone,
            config.private,
            config.sample_plan,
            None if listing is None else listing.may_pause,
        )
    except BaseException:
        end()
        raise
    if not registered.listing_complete:
        return registered, listing
    lists.purge()
    end()
    return registered, None


def _counting(items: Iterable[Item | None], listed: Callable[[], object] | None) -> Iterator[Item | None]:
    for item in items:
        if listed is not None and item is not None:
            listed()
        yield item
