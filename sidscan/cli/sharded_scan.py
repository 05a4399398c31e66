"""What `sidscan scan --run` does: plan, scan shards, collect."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidscan.cli import checks, console
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
    from sidscan.distributed.ledger import Ledger
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
    from sidscan.distributed.ray_engine import check_cluster
    from sidscan.distributed.run_folder import RunFolder

    assert asked.run is not None
    has_inputs = bool(choices["inputs"] or choices["lists"])
    asked.check_given(has_inputs)
    echo = console.reporter(quiet)
    if asked.shard is not None:
        return _scan_one(RunFolder(asked.run), asked, choices, echo, quiet)
    if asked.purge:
        return _purge(RunFolder(asked.run), echo)
    if asked.ray is not None:
        check_cluster(asked.ray)
    config = _config(asked.run, writers, choices) if has_inputs else None
    run = RunFolder(asked.run) if config is None else _begun(asked.run, config)
    with _reserved(run, writers):
        if config is not None:
            _plan(run, config, asked.size, echo)
        return _scan_and_collect(run, asked, writers, shown, choices, quiet, echo)


@contextmanager
def _reserved(run: RunFolder, writers: Sequence[ReportOutput]) -> Iterator[None]:
    """Keep others from the reports, from before the inputs are listed, which may take hours."""
    from sidscan.distributed.ledger import Ledger
    from sidscan.distributed.run_folder import NOTHING_PLANNED

    with closing(Ledger(run, NOTHING_PLANNED)) as ledger:
        recorded = {file: ledger.output_digests(file) for each in writers for file in each.written}
    with reserve_all(writers, recorded.__getitem__):
        yield


def _scan_and_collect(
    run: RunFolder,
    asked: ShardOptions,
    writers: Sequence[ReportOutput],
    shown: Shown,
    choices: dict[str, Any],
    quiet: bool,
    echo: Echo,
) -> ExitCode:
    from sidscan.distributed.ledger import Ledger

    plan = run.current_plan()
    with closing(Ledger(run, plan)) as ledger:
        ledger.accept_published()
        shards = _open_shards(plan, ledger, choices["retry_failed"], echo)
        if asked.plan_only:
            _print_shards(plan, shards)
            return ExitCode.DONE
        if shards:
            run.check_writable()
            _scan_shards(run, plan, shards, asked, choices, quiet, echo)
            ledger.accept_published()
        return collect(run, plan, ledger, writers, shown, echo, partial=False)


def _open_shards(plan: Plan, ledger: Ledger, retry_failed: bool, echo: Echo) -> list[int]:
    """The shards that are to be scanned; says how many there are."""
    missing = ledger.missing()
    again = ledger.failed() if retry_failed else []
    inputs, number = plural(plan.inputs, "input"), plural(len(plan.slices), "shard")
    echo(f"plan: {inputs} in {number}, {len(plan.slices) - len(missing)} finished")
    if again:
        echo(f"of these, {plural(len(again), 'shard')} with inputs that failed, which are tried again")
    return sorted((*missing, *again))


def _scan_shards(
    run: RunFolder,
    plan: Plan,
    shards: Sequence[int],
    asked: ShardOptions,
    choices: dict[str, Any],
    quiet: bool,
    echo: Echo,
) -> None:
    from sidscan.cli.ray_scan import scan_on_ray
    from sidscan.distributed.locks import scanning

    try:
        with scanning(run):
            if asked.ray is not None:
                scan_on_ray(run, plan, shards, asked, choices, quiet, echo)
            else:
                _scan_here(run, plan, shards, asked, choices, quiet)
    except KeyboardInterrupt:
        console.echo(f"results are kept in {run.location}, and the same command goes on")
        raise


def _purge(run: RunFolder, echo: Echo) -> ExitCode:
    from sidscan.distributed.ledger import Ledger
    from sidscan.distributed.locks import scanning
    from sidscan.distributed.purge import purge

    plan = run.current_plan()
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


def _begun(place: RunPlace, config: ScanConfig) -> RunFolder:
    """The run at a place; it is begun if there is none."""
    from sidscan.distributed.run_folder import RunFolder
    from sidscan.distributed.settings import check_options, kept_options

    check_options(config)
    checks.check_named(config)
    return RunFolder.create(place, kept_options(config))


def _plan(run: RunFolder, config: ScanConfig, size: int | None, echo: Echo) -> None:
    from sidscan.distributed.plan import plan_run

    earlier = run.plan()
    if earlier is not None and run.open_shards(earlier):  # else it may be one that can only be read
        run.check_writable()
    size = size or run.slice_size() or (SIZE_ON_GPU if config.device == "cuda" else SIZE_ON_CPU)
    echo("listing the inputs")
    plan_run(run, config, size)


def _config(place: RunPlace, writers: Sequence[ReportOutput], choices: dict[str, Any]) -> ScanConfig:
    """The configuration of this command; the files of the run are no inputs."""
    named = [Path(writer.out) for writer in writers if writer.written]
    written = tuple(file for writer in writers for file in writer.files)
    checks.check_distinct(written, (*choices["inputs"], *choices["lists"], *choices["calibrations"]))
    checks.check_crops(choices["effort"], choices["crops"])
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
    with suppress(BrokenPipeError), printing() as stream:
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
        if published.failed_again:
            unpublished = "; what failed before failed again, so nothing is published"
        else:
            unpublished = "" if published.first else "; another process published it first"
        echo(f"{name}: {counts_line(published.counts)}{unpublished}")
    if scanner.plan.slices[number].digest not in {each.digest for each in latest.slices}:
        echo(f"plan {latest.number} has other shards for its inputs, which start from these results")
    return ExitCode.DONE


def _scan_here(
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
