"""A Slurm cluster of this machine alone, with its own key and folder; it needs root, slurm-wlm and munge."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo")
_SECONDS_TO_START = 60
_CONFIGURATION = """
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={second_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Why there is no Slurm here; empty if there is."""
    missing = [name for name in PROGRAMS if not _path(name)]
    if missing:
        return f"no {', '.join(missing)} (Debian's packages slurm-wlm and munge)"
    return "" if os.geteuid() == 0 else "its daemons need root"


def _path(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start the daemons; the value is the environment in which `sbatch` finds them."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    folder.chmod(0o711)  # munge asks for it
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    configuration = folder / "slurm.conf"
    ports = _free_ports()
    configuration.write_text(
        _CONFIGURATION.format(
            host=socket.gethostname().split(".")[0],
            port=ports[0],
            second_port=ports[1],
            folder=folder,
            cores=os.cpu_count() or 1,
        ),
        encoding="utf-8",
    )
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    daemons = (
        ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge],
        ["slurmctld", "-D", "-f", str(configuration)],
        ["slurmd", "-D", "-f", str(configuration)],
    )
    with ExitStack() as stack:
        for program, *arguments in daemons:
            daemon = subprocess.Popen(
                [str(_path(program)), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(_end, daemon)
            time.sleep(1.0)
        _wait_until_idle(environment, folder)
        yield environment


def _free_ports() -> list[int]:
    with socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.bind(("127.0.0.1", 0))
        return [first.getsockname()[1], second.getsockname()[1]]


def _wait_until_idle(environment: dict[str, str], folder: Path) -> None:
    until = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < until:
        state = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if state.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(log.read_text(errors="replace")[-2000:] for log in folder.glob("*.log"))
    raise RuntimeError(f"Slurm did not start: {state.stdout} {state.stderr}\n{logs}")


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(20)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def run_array(environment: dict[str, str], command: list[str], shards: list[str], folder: Path) -> None:
    """Run a command for each shard, which is its last argument, as an array of jobs; wait for all."""
    script = folder / "shard.sh"
    words = " ".join(f"'{word}'" for word in command)
    script.write_text(f'#!/bin/sh\n{words} "$1:$SLURM_ARRAY_TASK_ID"\n', encoding="utf-8")
    plan, numbers = shards[0].partition(":")[0], [shard.partition(":")[2] for shard in shards]
    array = f"--array={','.join(numbers)}"
    subprocess.run(
        ["sbatch", "--wait", array, f"--output={folder}/job-%a.log", str(script), plan],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
