"""What `sidscan doctor --ray` says of the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan._version import __version__
from sidscan.cli.console import plural
from sidscan.distributed.ray_engine import check_cluster, events
from sidscan.distributed.ray_task import RayTask
from sidscan.doctor import CheckResult
from sidscan.errors import ExitCode, SidscanError
from sidscan.records import JsonObject


def check_nodes(address: str) -> Iterator[CheckResult]:
    """A line for each node."""
    try:
        check_cluster(address)
        nodes = 0
        for event in events(RayTask(address=address, survey=True)):
            nodes += 1
            yield _result(f"node {nodes}", event)
        if not nodes:
            yield CheckResult(
                "cluster",
                "problem",
                "no node has processors",
                "Start nodes with ray start.",
                ExitCode.RUNTIME,
            )
    except SidscanError as error:
        yield CheckResult("cluster", "problem", error.message, error.remedy, error.exit_code)


def _result(name: str, node: JsonObject) -> CheckResult:
    facts = {key: value for key, value in node.items() if key != "event"}
    if why := node.get("error"):
        return CheckResult(
            name, "problem", f"{node['address']}: {why}", "Is sidscan installed there?", facts=facts
        )
    models = ", ".join(node["models"]) or "none"
    parts = [
        f"sidscan {node['sidscan_version']}",
        f"Python {node['python']}",
        plural(node["cores"], "processor"),
    ]
    parts += [plural(node["gpus"], "GPU")] if node["gpus"] else []
    text = f"{node['host']}: {', '.join(parts)}; models pulled: {models}"
    if not node["asks_for_token"]:
        remedy = "Set RAY_AUTH_MODE=token and a token on all nodes, and start them again."
        return CheckResult(name, "problem", f"{text}; it asks for no token", remedy, ExitCode.RUNTIME, facts)
    if node["sidscan_version"] != __version__:
        remedy = f"Install sidscan {__version__} there."
        return CheckResult(name, "problem", f"{text}; here is {__version__}", remedy, facts=facts)
    if not node["confines_readers"]:
        remedy = "Linux 5.13 or newer, with Landlock, keeps the processes that read images from both."
        return CheckResult(name, "note", f"{text}; readers can use network and token", remedy, facts=facts)
    return CheckResult(name, "ok", text, facts=facts)
