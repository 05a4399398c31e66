"""Scan the shards of a run on a Ray cluster, with one progress bar."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sidscan.cli.console import plural
from sidscan.cli.shard_options import ShardOptions
from sidscan.distributed.place import absolute_location
from sidscan.distributed.ray_engine import events
from sidscan.distributed.ray_task import RayTask
from sidscan.errors import RunIncomplete
from sidscan.records import JsonObject
from sidscan.util.files import real_path
from sidscan.util.progress import progress
from sidscan.util.terminal import Echo

if TYPE_CHECKING:
    from sidscan.distributed.run_folder import Plan, RunFolder


def scan_on_ray(
    run: RunFolder,
    plan: Plan,
    shards: Sequence[int],
    asked: ShardOptions,
    choices: dict[str, Any],
    quiet: bool,
    echo: Echo,
) -> None:
    """Scan the shards that have no results.

    Raises:
        SidscanError: nothing can be scanned there.
        RunIncomplete: the cluster was lost.
    """
    assert asked.ray is not None
    task = RayTask(
        address=asked.ray,
        run=absolute_location(run.place),
        plan=plan.number,
        retry_failed=choices["retry_failed"],
        folder=str(real_path(".")),
        shards=list(shards),
        scratch=None if asked.scratch is None else str(real_path(asked.scratch)),
        batch=choices["batch"],
        uses_gpus=run.options["device"] != "cpu",
        hang=asked.hang_timeout,
    )
    finished = plan.inputs - sum(plan.slices[number].inputs for number in shards)
    lost: list[int] = []
    with (
        progress(plan.inputs, "image", done=finished, quiet=quiet) as bar,
        closing(events(task)) as told,
    ):
        done: dict[int, int] = {}
        for event in told:
            shard = int(event.get("shard", -1))
            if event["event"] == "finished":
                done[shard] = plan.slices[shard].inputs
            elif event["event"] == "progress":
                done[shard] = max(event["done"], done.get(shard, 0))
            elif event["event"] == "given up":
                lost.append(shard)
            if line := _line(event):
                bar.clear()
                echo(line)
            bar.update(finished + sum(done.values()) - bar.n)
    if lost:
        raise RunIncomplete(
            f"{plural(len(lost), 'shard')} could not be scanned: {', '.join(map(str, sorted(lost)))}",
            "All others have results. The lines above say why; run the same command to try again.",
        )


def _line(event: JsonObject) -> str:
    """What a person should read of it; empty where the bar says it."""
    host, why = event.get("host") or "a node", event.get("why")
    match event["event"]:
        case "workers":
            return f"{plural(event['ready'], 'worker')} ready: {host} joined"
        case "lost":
            return f"shard {event['shard']} was lost on {host}, and is scanned again: {why}"
        case "worker lost":
            return f"a worker on {host} was lost: {why}"
        case "node lost":
            return f"node {event['address']} left the cluster"
        case "node refused":
            return f"{host} gets no work: {why}"
        case "given up":
            return f"shard {event['shard']} is left out after {event['attempts']} attempts"
    return ""
