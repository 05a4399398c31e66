"""Fixtures of all tests: a private model store, and the command line in-process."""

from __future__ import annotations

import os
import signal
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from sidscan.isolation.processes import IdleProcesses, python_command
from sidscan.isolation.reports import ReportText
from sidscan.runtimes.onnx_cpu import open_graph

if TYPE_CHECKING:
    from sample_graphs import ExportedGraphs

    from sidscan.models.graph_templates import WeightedGraph


# A shell's background job ignores Ctrl-C, and so would the scans that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# The same examples on every run and no deadline, so that a slow machine cannot fail a test.
settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
# pytest --hypothesis-profile=explore searches with new examples on every run.
settings.register_profile("explore", deadline=None, max_examples=2_000)
settings.load_profile("ci")


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


_INTERRUPTS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # not on Windows
]


@pytest.fixture(autouse=True)
def _private_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDSCAN_MODELS", str(tmp_path_factory.mktemp("store")))


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans without --out FILE keep their results there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def _pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that make named pipes are skipped on systems that have none."""
    if not hasattr(os, "mkfifo"):
        monkeypatch.setattr(os, "mkfifo", lambda path: pytest.skip("no named pipes here"), raising=False)


@pytest.fixture(autouse=True)
def _any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results do not depend on the test machine's processor. Tests of the bf16 trial undo this."""
    monkeypatch.setattr("sidscan.runtimes.precision_check.has_fast_bf16", lambda: False)


@pytest.fixture(autouse=True)
def _one_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan has one reader unless a test asks for more: of a few small images, a second process takes longer
    to start than to read its share. Where readers are tested, there is one per core, as a user has them.
    """
    monkeypatch.setattr("sidscan.util.threads.available_cores", lambda: 1)


_idle = IdleProcesses()


@pytest.fixture(autouse=True)
def _one_unpacker(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process unpacks the reports of many tests: it takes longer to start than to read a small report."""
    if os.name == "nt":  # there, nobody could replace a report of which it read only a part
        return
    begin = ReportText.__init__

    def take(self: ReportText, file: BinaryIO, suffix: str, path: Path) -> None:
        begin(self, file, suffix, path)
        self._process = _idle.take(python_command("sidscan.isolation.report_worker"))

    def put(self: ReportText) -> None:
        if self._process is not None:
            _idle.put(self._process)

    monkeypatch.setattr(ReportText, "__init__", take)
    monkeypatch.setattr(ReportText, "close", put)


_sessions: dict[object, Any] = {}


@pytest.fixture(autouse=True)
def _one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small graph is made ready once for all scans of this process: that takes longer than a small scan."""
    monkeypatch.setattr("sidscan.runtimes.onnx_cpu.open_graph", _shared_session)


def _shared_session(graph: WeightedGraph) -> Any:
    if sum(array.nbytes for array in graph.weights.values()) > 1 << 25:
        return open_graph(graph)  # to tell it apart takes as long, and it would fill the memory
    weights = [(name, zlib.crc32(array.tobytes())) for name, array in graph.weights.items()]
    key = (graph.template, *weights)
    if key not in _sessions:
        _sessions[key] = open_graph(graph)
    return _sessions[key]


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> ExportedGraphs:
    """Exported graphs, shared by all tests."""
    from sample_graphs import export_graphs  # imported here because it loads torch

    return export_graphs(tmp_path_factory.mktemp("graphs"))


@pytest.fixture
def sidscan(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run ``sidscan ARGUMENTS`` as a shell would; return exit code, standard output and standard error."""
    from sidscan import cli

    hang = cli._readers_hang

    def readers_hang() -> bool:
        assert not hang(), "a reader outlives its scan: the command would end this process by os._exit"
        return False

    monkeypatch.setattr(cli, "_readers_hang", readers_hang)

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["sidscan", *map(str, arguments)])
        capfd.readouterr()
        handlers = {number: signal.getsignal(number) for number in _INTERRUPTS}
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:  # a command keeps its own until its process ends; children of this one would inherit them
            for number, handler in handlers.items():
                signal.signal(number, handler)
        captured = capfd.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return run
