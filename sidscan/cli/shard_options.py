"""Options of `sidscan scan` that make it a run of shards."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sidscan.cli.options import Decorator, sectioned_option, stack
from sidscan.cli.param_types import (
    Duration,
    LocalPath,
    ProcessCount,
    RunPlaceType,
    ShardName,
    ShardNumber,
    WholeNumber,
)
from sidscan.cli.report_options import ReportOptions
from sidscan.errors import UsageError
from sidscan.util.option_specs import OptionSpec

if TYPE_CHECKING:
    from sidscan.distributed.place import RunPlace

SIZE_ON_CPU, SIZE_ON_GPU = 2_000, 50_000  # inputs of a shard: two to five minutes
_OF_EVERY_MACHINE = frozenset(
    ("inputs", "run_folder", "scratch", "workers", "batch", "retry_failed", "quiet", "options_file")
)
_OF_REPORTS = frozenset(
    (*(field.name for field in fields(ReportOptions)), *("only", "sort", "top", "columns"))
)


def shards() -> Decorator:
    """How a scan becomes a run of shards."""
    return stack(_whole_run(), _parts_of_run(), _on_this_machine(), _on_ray())


def _whole_run() -> Decorator:
    """Where the run lies, and how its inputs are cut."""
    return stack(
        sectioned_option(
            "--run",
            "run_folder",
            section="Shards",
            type=RunPlaceType(path_type=Path),
            metavar="RUN",
            help="Scan in shards, whose plan and results lie in RUN, a folder or s3://BUCKET/PREFIX, so that "
            "several machines can share the work. Without inputs: those that RUN has a plan of, with its "
            "options.",
        ),
        sectioned_option(
            "--shard-size",
            section="Shards",
            type=WholeNumber(1),
            metavar="N",
            show_default=f"as RUN was planned before; {SIZE_ON_CPU}, or {SIZE_ON_GPU} with --device cuda",
            help="Inputs of a shard: about five sixths of N on average, and never more than twice N, since a "
            "shard ends where the hash of a name says so.",
        ),
    )


def _parts_of_run() -> Decorator:
    """What is done of a run other than all of it."""
    return stack(
        sectioned_option(
            "--plan",
            "plan_only",
            section="Shards",
            is_flag=True,
            help="Plan alone, and print the shards without results, one per line, as --shard takes them.",
        ),
        sectioned_option(
            "--shard",
            section="Shards",
            type=ShardNumber(),
            metavar="[PLAN:]N",
            help="Scan shard N of RUN's latest plan alone, or of plan PLAN, and publish its results; all "
            "options are RUN's.",
        ),
        sectioned_option(
            "--purge",
            section="Shards",
            is_flag=True,
            help="Scan nothing. Remove from RUN what its latest plan does not need: inputs and results of "
            "earlier plans, and results that --retry-failed has replaced.",
        ),
    )


def _on_this_machine() -> Decorator:
    """How one machine scans shards."""
    return stack(
        sectioned_option(
            "--processes",
            section="Shards",
            type=ProcessCount(),
            metavar="N|auto",
            default="1",
            show_default=True,
            help="Shards to scan at the same time, each in a process with its part of the cores and GPUs; "
            "'auto' is one per GPU, or one where a CPU computes.",
        ),
        sectioned_option(
            "--scratch",
            section="Shards",
            type=LocalPath(file_okay=False, path_type=Path),
            metavar="FOLDER",
            show_default="a folder among the system's temporary files",
            help="Where results of shards under way are kept: a folder on a local disk, never on a share.",
        ),
    )


def _on_ray() -> Decorator:
    """How a cluster scans them."""
    return stack(
        sectioned_option(
            "--ray",
            section="Shards",
            metavar="ADDRESS",
            help="Scan the shards on a Ray cluster: its address, auto for that of this machine, or local for "
            "one that starts and ends with the scan. It needs one package more: pip install 'sidscan[ray]'.",
        ),
        sectioned_option(
            "--hang-timeout",
            section="Shards",
            type=Duration(OptionSpec(help="", minimum=1)),
            metavar="TIME",
            default=600.0,
            show_default=True,
            help="With --ray: time without a new result after which a worker is ended, and another one takes "
            "its shard.",
        ),
    )


@dataclass(frozen=True)
class ShardOptions:
    """What the options of `shards` say.

    Attributes:
        run: where it lies; None for a scan that is no run of shards.
        processes: 0 for as many as suit the machine.
    """

    run: RunPlace | None
    plan_only: bool
    purge: bool
    shard: ShardName | None
    size: int | None
    scratch: Path | None
    ray: str | None
    hang_timeout: float
    processes: int

    @classmethod
    def pop_from(cls, options: dict[str, Any]) -> ShardOptions:
        """What the options say; they are removed.

        Raises:
            UsageError: one of them needs another one, or contradicts it.
        """
        of_plans = ("run_folder", "plan_only", "purge", "shard", "shard_size")
        names = (*of_plans, "scratch", "ray", "hang_timeout", "processes")
        made = cls(*(options.pop(name) for name in names))
        others = {
            "--plan": made.plan_only,
            "--purge": made.purge,
            "--shard": made.shard is not None,
            "--shard-size": made.size is not None,
            "--scratch": made.scratch is not None,
            "--ray": made.ray is not None,
            "--processes": made.processes != 1,
        }
        if made.run is None and (given := [flag for flag, is_given in others.items() if is_given]):
            raise UsageError(f"{given[0]} needs --run", "Name the folder of the run with --run RUN.")
        if made.plan_only and made.shard is not None:
            raise UsageError("--plan scans nothing, and --shard scans a shard", "Leave one of the two out.")
        if made.purge and any(made_of for flag, made_of in others.items() if flag != "--purge"):
            raise UsageError("--purge only removes files", "Leave the other options of shards out.")
        alone = made.plan_only or made.shard is not None or made.processes != 1
        if made.ray is not None and alone:
            raise UsageError("--ray scans all shards", "Leave --plan, --shard and --processes out.")
        if made.shard is not None and made.processes != 1:
            raise UsageError("--shard scans one shard, in one process", "Leave --processes out.")
        return made

    def check_given(self, has_inputs: bool) -> None:
        """Refuse options that would have no effect, since those of the run hold.

        Raises:
            UsageError: one is on the command line.
        """
        if has_inputs and self.purge:
            raise UsageError("--purge goes by the latest plan of RUN", "Leave the inputs out.")
        if has_inputs and self.shard is not None:
            raise UsageError("--shard scans inputs that RUN has planned", "Leave the inputs out.")
        if has_inputs:
            return
        allowed = _OF_EVERY_MACHINE | (
            {"shard"}
            if self.shard is not None
            else {"plan_only", "purge", "processes", "ray", "hang_timeout"} | _OF_REPORTS
        )
        if given := _given_except(allowed):
            raise UsageError(
                f"{given} has no effect here: the options of the run hold",
                "Leave it out, or name the inputs to plan the run again.",
            )


def _given_except(allowed: Collection[str]) -> str:
    """The first option on the command line that is not allowed; empty if there is none."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = str(parameter.name)
        if name not in allowed and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            return max(parameter.opts, key=len)
    return ""
