"""Programs that checks ask, each in a process of its own: a broken library can end that process alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from functools import cached_property
from typing import Any

from sidscan.models.installed import Installed
from sidscan.models.store import Store

_SECONDS = 120.0  # for libraries and models to load: from a cold disk, torch with CUDA takes long
_DRIVER_SECONDS = 15.0  # nvidia-smi hangs where a driver does

# The paths of this process are those of the probe: the current folder may hold a torch.py of a stranger.
_LOAD = """
import json, os, sys, time
sys.path[:] = json.loads(sys.argv[1])
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what a library prints is no part of the answer
began = time.monotonic()
try:
    facts = {{}}
    {body}
    facts["seconds"] = round(time.monotonic() - began, 2)
except BaseException as error:
    facts = {{"error": type(error).__name__ + ": " + (str(error).strip().splitlines() or [""])[0]}}
answer.write(json.dumps(facts))
answer.flush()
os._exit(0)  # a broken library may crash when it ends
"""
_TORCH = """
    from sidscan.doctor.trial import torch_facts
    facts.update(torch_facts())
"""
_ONNXRUNTIME = """
    import onnxruntime
    facts["version"], facts["providers"] = onnxruntime.__version__, onnxruntime.get_available_providers()
    try:
        from onnxruntime.capi.build_and_package_info import cuda_version
    except ImportError:
        cuda_version = None
    facts["cuda"] = cuda_version
"""
_TRIAL = """
    from sidscan.doctor.trial import try_scan
    facts.update(try_scan(json.loads(sys.argv[2])))
"""
_WORKER = """
    import sidscan.isolation.worker
    from sidscan.images import decode
    decode.warm_up()
"""


class ProbeFailed(Exception):
    """The program gave no answer; the message says why."""


class ProbeNotStarted(ProbeFailed):
    """The system starts no process."""


class Probe:
    """A program that was started; `output` waits for it."""

    def __init__(self, command: Sequence[str], seconds: float) -> None:
        self._seconds = seconds
        self._refused: OSError | None = None
        self._process: subprocess.Popen[str] | None = None
        try:
            self._process = subprocess.Popen(  # noqa: S603  (no shell; the arguments are ours)
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            self._refused = error

    @cached_property
    def output(self) -> str:
        """What it printed.

        Raises:
            ProbeFailed: it could not be started, crashed, or was not ready in time.
        """
        if self._process is None:
            raise ProbeNotStarted(f"no process could be started: {_reason(self._refused)}")
        try:
            output, complaints = self._process.communicate(timeout=self._seconds)
        except subprocess.TimeoutExpired as error:
            self.close()
            raise ProbeFailed(f"it was not ready after {self._seconds:g} s") from error
        if self._process.returncode:
            raise ProbeFailed(_ending(self._process.returncode, complaints))
        return output

    def close(self) -> None:
        """End it, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


class LibraryProbe(Probe):
    """Loads a library with the paths of this process."""

    def __init__(self, body: str, *arguments: str) -> None:
        code = _LOAD.format(body=body.strip())
        super().__init__((sys.executable, "-c", code, json.dumps(sys.path), *arguments), _SECONDS)

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """What it says of itself.

        Raises:
            ProbeFailed: it can't be loaded; the message says why.
        """
        answer = json.loads(self.output)
        if "error" in answer:
            raise ProbeFailed(answer["error"])
        return dict(answer)


class Probes:
    """What checks ask. Libraries load side by side while other checks run.

    Args:
        options: of the scan that is asked about, by fields of `ScanConfig`, as JSON can hold them.
    """

    def __init__(self, options: Mapping[str, object]) -> None:
        self.store = Store()
        self._verified: dict[str, Installed | Exception] = {}
        self.onnxruntime = LibraryProbe(_ONNXRUNTIME)
        self.trial = LibraryProbe(_TRIAL, json.dumps(options))
        self.nvidia_smi = Probe(
            ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"),
            _DRIVER_SECONDS,
        )

    @cached_property
    def torch(self) -> Mapping[str, Any]:
        """What PyTorch says of itself. The trial knows it if it loaded PyTorch, which takes seconds.

        Raises:
            ProbeFailed: it can't be loaded.
        """
        with suppress(ProbeFailed):
            if "torch" in self.trial.facts:
                return dict(self.trial.facts["torch"])
        with closing(LibraryProbe(_TORCH)) as probe:
            return probe.facts

    @cached_property
    def worker(self) -> LibraryProbe:
        """Loads what a worker process loads: it says why a worker did not start."""
        return LibraryProbe(_WORKER)

    def verify(self, name: str) -> Installed:
        """`Store.require`, once for each model: hashing takes a second per gigabyte.

        Raises:
            ModelError: as `Store.require`.
        """
        if name not in self._verified:
            try:
                self._verified[name] = self.store.require(name)
            except Exception as error:
                self._verified[name] = error
        found = self._verified[name]
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        """End what still runs."""
        for probe in (self.onnxruntime, self.trial, self.nvidia_smi):
            probe.close()


def _reason(error: OSError | None) -> str:
    return (error.strerror or str(error)) if error else "it is gone"


def _ending(code: int, complaints: str) -> str:
    if code < 0:
        try:
            return f"its process was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"its process was ended by signal {-code}"
    last = next((line.strip() for line in reversed(complaints.splitlines()) if line.strip()), "")
    return f"its process ended with exit status {code}" + (f": {last}" if last else "")
