"""What `sidscan scan --run` does: plan, scan shards, collect."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidscan.cli import console
from sidscan.cli.collecting import collect
from sidscan.cli.console import plural
from sidscan.cli.param_types import ShardName
from sidscan.cli.selection import Shown
from sidscan.cli.shard_options import SIZE_ON_CPU, SIZE_ON_GPU, ShardOptions
from sidscan.cli.summary import counts_line
from sidscan.config import ScanConfig
from sidscan.errors import ExitCode
from sidscan.reports import ReportOutput, reserve_all
from sidscan.reports.output_files import printing
from sidscan.review.joined_marks import marks_paths
from sidscan.util.progress import progress
from sidscan.util.terminal import Echo, byte_size

if TYPE_CHECKING:
    from sidscan.distributed.place import RunPlace
    from sidscan.distributed.run_folder import Plan, RunFolder


def scan_in_shards(
    asked: ShardOptions,
    writers: Sequence[ReportOutput],
    shown: Shown,
    choices: dict[str, Any],
    quiet: bool,
) -> ExitCode:
    """Do what the options of a run of shards ask for.

    Raises:
        SidscanError: something of it can't be done; what shards have published stays.
    """
    from sidscan.cli.ray_scan import scan_on_ray
    from sidscan.distributed.ledger import Ledger
    from sidscan.distributed.locks import scanning
    from sidscan.distributed.ray_engine import check_cluster
    from sidscan.distributed.run_folder import RunFolder

    assert asked.run is not None
    has_inputs = bool(choices["inputs"] or choices["lists"])
    asked.check_given(has_inputs)
    echo = console.reporter(quiet)
    if asked.shard is not None:
        return _scan_one(RunFolder(asked.run), asked, choices, echo, quiet)
    if asked.ray is not None:
        check_cluster(asked.ray)
    run = _planned(asked, asked.run, writers, choices, echo) if has_inputs else RunFolder(asked.run)
    plan = run.current_plan()
    if asked.purge:
        return _purge(run, plan, echo)
    with closing(Ledger(run, plan)) as ledger, reserve_all(writers, ledger.output_digests):
        ledger.accept_published()
        open_shards = ledger.missing()
        again = ledger.failed() if choices["retry_failed"] else []
        inputs, number = plural(plan.inputs, "input"), plural(len(plan.slices), "shard")
        echo(f"plan: {inputs} in {number}, {len(plan.slices) - len(open_shards)} finished")
        if again:
            echo(f"of these, {plural(len(again), 'shard')} with inputs that failed, which are tried again")
        open_shards = sorted((*open_shards, *again))
        if asked.plan_only:
            _print_shards(plan, open_shards)
            return ExitCode.DONE
        try:
            with scanning(run) if open_shards else nullcontext():
                if asked.ray is not None and open_shards:
                    scan_on_ray(run, plan, open_shards, asked, choices, quiet, echo)
                else:
                    _scan_all(run, plan, open_shards, asked, choices, quiet)
        except KeyboardInterrupt:
            console.echo(f"results are kept in {run.location}, and the same command goes on")
            raise
        ledger.accept_published()
        return collect(run, plan, ledger, writers, shown, echo, partial=False)


def _purge(run: RunFolder, plan: Plan, echo: Echo) -> ExitCode:
    from sidscan.distributed.ledger import Ledger
    from sidscan.distributed.locks import scanning
    from sidscan.distributed.purge import purge

    with closing(Ledger(run, plan)) as ledger, scanning(run):
        purged = purge(run, plan, {each.journal for each in ledger.accepted()})
        ledger.forget(purged.slices)
    echo(f"removed {plural(len(purged.slices), 'slice')} of earlier plans, {byte_size(purged.bytes)}")
    if purged.replaced:
        echo(f"emptied {plural(purged.replaced, 'earlier file')} of results of shards that were tried again")
    if purged.with_results:
        verb = "it has" if purged.with_results == 1 else "they have"
        echo(f"{purged.with_results} of them had results: planned again, {verb} to be scanned again")
    return ExitCode.DONE


def _planned(
    asked: ShardOptions, place: RunPlace, writers: Sequence[ReportOutput], choices: dict[str, Any], echo: Echo
) -> RunFolder:
    from sidscan.distributed.plan import plan_run
    from sidscan.distributed.run_folder import RunFolder
    from sidscan.distributed.settings import check_options, kept_options

    config = _config(place, writers, choices)
    check_options(config)
    console.check_named(config)
    run = RunFolder.create(place, kept_options(config))
    size = asked.size or run.slice_size() or (SIZE_ON_GPU if config.device == "cuda" else SIZE_ON_CPU)
    echo("listing the inputs")
    plan_run(run, config, size)
    return run


def _config(place: RunPlace, writers: Sequence[ReportOutput], choices: dict[str, Any]) -> ScanConfig:
    """The configuration of this command; the files of the run are no inputs."""
    named = [Path(writer.out) for writer in writers if writer.written]
    written = tuple(file for writer in writers for file in writer.files)
    console.check_distinct(written, (*choices["inputs"], *choices["lists"], *choices["calibrations"]))
    console.check_crops(choices["effort"], choices["crops"])
    thumbnails = any(writer.shows_thumbnails for writer in writers)
    choices["find_copies"] |= thumbnails
    in_bucket = not isinstance(place, Path)
    return ScanConfig(
        thumbnails=thumbnails,
        outputs=(*(() if in_bucket else (place,)), *written, *marks_paths(named)),
        output_prefix=str(place) if in_bucket else "",
        command=("sidscan", *sys.argv[1:]),
        **choices,
    )


def _print_shards(plan: Plan, shards: Sequence[int]) -> None:
    with printing() as stream:
        stream.writelines(f"{ShardName(plan.number, number)}\n" for number in shards)


def _scan_one(
    run: RunFolder, asked: ShardOptions, choices: dict[str, Any], echo: Echo, quiet: bool
) -> ExitCode:
    """Scan one shard; its rows say how its inputs ended, and the exit code only that they are there."""
    from sidscan.distributed.shard import ShardScanner

    assert asked.shard is not None
    plan, number = asked.shard
    scanner = ShardScanner(
        run, asked.scratch, choices["workers"], choices["batch"], plan, choices["retry_failed"]
    )
    with progress(None, "image", quiet=quiet) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        published = scanner.scan(number, show)
    name = f"shard {asked.shard} of {len(scanner.plan.slices)}"
    latest = scanner.plan if plan is None else run.current_plan()
    if published.counts is None:
        echo(f"{name}: it has results already")
    else:
        beaten = "" if published.first else "; another process published it first"
        echo(f"{name}: {counts_line(published.counts)}{beaten}")
    if scanner.plan.slices[number].digest not in {each.digest for each in latest.slices}:
        echo(f"plan {latest.number} has other shards for its inputs, which start from these results")
    return ExitCode.DONE


def _scan_all(
    run: RunFolder,
    plan: Plan,
    shards: Sequence[int],
    asked: ShardOptions,
    choices: dict[str, Any],
    quiet: bool,
) -> None:
    """Scan the shards that have no results, one after the other."""
    from sidscan.distributed.processes import MachineOptions, processes_for, scan_in_processes
    from sidscan.distributed.shard import ShardScanner

    count = min(asked.processes or processes_for(run), len(shards))
    finished = plan.inputs - sum(plan.slices[number].inputs for number in shards)
    with progress(plan.inputs, "image", done=finished, quiet=quiet) as bar:
        done = dict.fromkeys(shards, 0)

        def show(number: int, of_shard: int) -> None:
            bar.update(of_shard - done[number])
            done[number] = of_shard

        if count > 1:
            options = MachineOptions(
                asked.scratch, choices["workers"], choices["batch"], choices["retry_failed"]
            )
            scan_in_processes(run, plan, shards, count, options, show)
            return
        scanner = ShardScanner(
            run, asked.scratch, choices["workers"], choices["batch"], plan.number, choices["retry_failed"]
        )
        for number in shards:
            scanner.scan(number, lambda of_shard, _, number=number: show(number, of_shard))  # type: ignore[misc]
