"""Scan the shards of a run on a Ray cluster: the side of whoever asked for it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import suppress
from typing import IO

from sidscan.distributed.ray_task import LOCAL, RayTask
from sidscan.errors import ExitCode, RunIncomplete, SidscanError, UsageError
from sidscan.libraries import check_installed
from sidscan.records import JsonObject

# Nothing is imported from the current folder, which may hold a ray.py.
_DRIVER = (
    "import sys; sys.path[:] = [each for each in sys.path if each]; "
    "from sidscan.distributed.ray_driver import main; sys.exit(main())"
)
_SECONDS_TO_END = 20
_LAST_LINES = 3


def check_cluster(address: str) -> None:
    """Refuse a cluster that can't be used safely, before anything is planned.

    Raises:
        RuntimeUnavailable: Ray is not installed.
        UsageError: it is reached in a way that is not supported, or without a token.
    """
    check_installed("scanning with --ray", "ray")
    if address == LOCAL:
        return
    if address.startswith("ray://"):
        raise UsageError(
            "Ray's client can't scan: it runs everything on the head of the cluster",
            "Run this command on a node of the cluster, with --ray auto.",
        )
    if os.environ.get("RAY_AUTH_MODE") != "token":
        raise UsageError(
            "a cluster without a token lets in everybody who reaches its ports, and runs their code",
            "Start its nodes with RAY_AUTH_MODE=token and a token, and set both here, too.",
        )


def events(task: RayTask) -> Generator[JsonObject, None, None]:
    """Run the driver in a process of its own; closing the iterator ends it.

    Yields:
        What the driver says: each has ``event`` and what belongs to it.

    Raises:
        SidscanError: nothing can be scanned there.
        RunIncomplete: the driver ended without a word, as it does when the head of the cluster is lost.
    """
    with tempfile.TemporaryFile("w+b") as said:
        driver = subprocess.Popen(  # noqa: S603  (no shell; the arguments are ours)
            [sys.executable, "-c", _DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=_environment(task.address),
            text=True,
            encoding="utf-8",
        )
        assert driver.stdin is not None
        assert driver.stdout is not None
        try:
            with suppress(BrokenPipeError):  # it ended; its last words say why
                driver.stdin.write(task.to_line())
                driver.stdin.flush()
            ended = yield from _read(driver.stdout)
            if not ended:
                driver.wait(_SECONDS_TO_END)
        finally:
            _end(driver)
        if not ended:
            said.seek(0)
            raise _lost(driver.returncode, said.read().decode("utf-8", "replace"))


def _environment(address: str) -> dict[str, str]:
    """That of the driver, in which Ray sends nothing to its makers."""
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    if address == LOCAL:  # its ports are open to the network, too
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH"):
            environment.pop(name, None)
    return environment


def _read(lines: IO[str]) -> Generator[JsonObject, None, bool]:
    """Events; returns whether the driver did all that it could."""
    for line in lines:
        event: JsonObject = json.loads(line)
        if event["event"] == "end":
            return True
        if event["event"] == "error":
            error = SidscanError(event["message"], event["remedy"])
            error.exit_code = ExitCode(event["exit_code"])
            raise error
        yield event
    return False


def _lost(code: int, said: str) -> SidscanError:
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    lines = [line.strip() for line in said.splitlines() if line.strip()][-_LAST_LINES:]
    return RunIncomplete(
        f"the process that talks to the cluster ended {how}; its head may be lost"
        + (f" ({' / '.join(lines)})" if lines else ""),
        "What shards have published is kept: run the same command again to go on.",
    )


def _end(driver: subprocess.Popen[str]) -> None:
    """Have the driver end its workers, and wait for it."""
    assert driver.stdin is not None
    assert driver.stdout is not None
    with suppress(BrokenPipeError):
        driver.stdin.close()
    try:
        driver.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        driver.kill()
        driver.wait()
    driver.stdout.close()
