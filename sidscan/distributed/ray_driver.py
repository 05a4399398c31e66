"""The process that hands shards to the workers of a Ray cluster (`ray_engine` starts it).

It is a process of its own, since Ray ends the process that uses it when the head of the cluster is lost, and
prints what it likes. It reads its task, one line of JSON, from standard input, and writes events, a line of
JSON each, to standard output. It stops when standard input ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TextIO

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sidscan._version import __version__
from sidscan.distributed.ray_task import LOCAL, RayTask
from sidscan.distributed.ray_worker import (
    SECONDS_TO_END,
    Outcome,
    Readiness,
    ShardWorker,
    describe_node,
)
from sidscan.distributed.schedule import MAX_ATTEMPTS, Schedule
from sidscan.errors import ExitCode, RuntimeUnavailable, SidscanError

_TURN = 0.5  # seconds between looks at the workers
_NODES = 3.0  # seconds between looks at the nodes
_RESTARTS = 5  # workers of one node that may die one after the other before it gets no other one
_NO_WORKER = 120.0  # seconds to wait for a worker that starts


@dataclass(eq=False)
class Worker:
    """A worker as the driver knows it.

    Attributes:
        answer: what it was asked last: whether it is ready, or a shard.
        shard: which one it scans; None while it starts or waits.
        alive_at: when it last made progress.
        found: how many results of its shard an earlier attempt left on its host, as soon as it says so.
        has_finished: whether it finished a shard, so that the files are there.
    """

    node: str
    actor: Any
    answer: Any
    alive_at: float
    shard: int | None = None
    host: str = ""
    is_ready: bool = False
    has_finished: bool = False
    done: int = 0
    found: Any = None
    heartbeat: Any = None


@dataclass
class ClusterNode:
    """A node of the cluster that may work.

    Attributes:
        first_core: the first of its machine's processors that its workers use.
        host: its machine's name, as soon as a worker said so.
        deaths: workers that it lost since one of them made a new result.
    """

    name: str
    address: str
    workers: int
    cores: int
    gpus: int
    first_core: int
    host: str = ""
    deaths: int = 0
    refused: str = ""

    @property
    def can_work(self) -> bool:
        """Whether it gets workers."""
        return not self.refused and self.deaths < _RESTARTS


@dataclass
class Driver:
    """Hands out shards until none is left."""

    task: RayTask
    schedule: Schedule
    out: TextIO
    nodes: dict[str, ClusterNode] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)
    last_refusal: SidscanError | None = None
    _looked_at: float = -_NODES
    _worked_at: float = 0.0

    def run(self, stopped: threading.Event) -> None:
        """Scan all shards, or as many as can be scanned.

        Raises:
            SidscanError: no node can scan any.
        """
        self._worked_at = time.monotonic()
        while not self.schedule.is_over and not stopped.is_set():
            now = time.monotonic()
            self._look_at_nodes(now)
            self._hand_out(now)
            self._take_answers()
            self._check_progress(time.monotonic())
            self._check_that_somebody_works(time.monotonic())
        for worker in self.workers:
            ray.kill(worker.actor)

    def survey(self) -> None:
        """Ask each node what it has; it need not have a free processor."""
        asked = {}
        for node in _nodes(self.task.uses_gpus):
            where = NodeAffinitySchedulingStrategy(node.name, soft=False)
            remote = ray.remote(describe_node).options(num_cpus=0, max_retries=0, scheduling_strategy=where)
            asked[remote.remote()] = node
        for answer, node in asked.items():
            facts = {"address": node.address, "cores": node.cores, "gpus": node.gpus}
            try:
                self.say("node", **facts, **ray.get(answer, timeout=_NO_WORKER / 2)._asdict())
            except RayError as error:
                self.say("node", **facts, error=_first_line(error))

    def say(self, event: str, **facts: object) -> None:
        """Write an event."""
        self.out.write(json.dumps({"event": event, **facts}) + "\n")
        self.out.flush()

    def _look_at_nodes(self, now: float) -> None:
        """Start workers on nodes that have fewer than they may have."""
        if now - self._looked_at < _NODES:
            return
        self._looked_at = now
        alive = {node.name: node for node in _nodes(self.task.uses_gpus)}
        for name in [name for name in self.nodes if name not in alive]:
            self.say("node lost", address=self.nodes.pop(name).address)
        for name, node in alive.items():
            self.nodes.setdefault(name, node)
        for node in self.nodes.values():
            missing = node.workers - sum(worker.node == node.name for worker in self.workers)
            for _ in range(missing if node.can_work else 0):
                self.workers.append(self._started(node, now))

    def _started(self, node: ClusterNode, now: float) -> Worker:
        cores = max(1, node.cores // node.workers)
        position = sum(worker.node == node.name for worker in self.workers)
        actor = (
            ray.remote(concurrency_groups={"heartbeat": 1})(ShardWorker)
            .options(
                num_cpus=cores,
                num_gpus=1 if node.gpus else 0,
                max_restarts=0,  # the driver starts another one, and knows of it
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.name, soft=False),
            )
            .remote(
                self.task.run,
                self.task.plan,
                self.task.folder,
                self.task.scratch,
                node.first_core + position * cores,
                cores,
                self.task.batch,
                self.task.retry_failed,
            )
        )
        return Worker(node.name, actor, actor.ready.remote(), now)

    def _hand_out(self, now: float) -> None:
        hosts = {worker.host for worker in self.workers if worker.is_ready}
        if not any(worker.shard is not None for worker in self.workers):
            self.schedule.give_up_refused(hosts)
        # Where Ray has no room for a worker, others wait for its shards no longer.
        late = {each.node for each in self.workers if not each.is_ready and now - each.alive_at > _NO_WORKER}
        at_work = {node.host for node in self.nodes.values() if node.can_work and node.name not in late}
        for worker in self.workers:
            if worker.answer is not None:
                continue
            if (shard := self.schedule.next_shard(worker.host, now, at_work)) is not None:
                self.schedule.begin(shard, worker, now, worker.host)
                worker.shard, worker.done, worker.alive_at = shard, 0, now
                worker.found = worker.actor.results_under_way.remote(shard)
                worker.answer = worker.actor.scan.remote(shard)

    def _take_answers(self) -> None:
        asked = {worker.answer: worker for worker in self.workers if worker.answer is not None}
        if not asked:
            time.sleep(_TURN)
            return
        ready, _ = ray.wait(list(asked), timeout=_TURN, fetch_local=False)
        if ready:  # all that are there by now
            ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0, fetch_local=False)
        for answer in ready:
            self._take(asked[answer])

    def _take(self, worker: Worker) -> None:
        try:
            answer = ray.get(worker.answer)
        except RayError as error:
            self._bury(worker, _first_line(error))
            return
        worker.answer, worker.alive_at = None, time.monotonic()
        if isinstance(answer, Readiness):
            self._welcome(worker, answer)
        else:
            self._note(worker, answer)

    def _welcome(self, worker: Worker, ready: Readiness) -> None:
        """Give a worker work from now on, unless something speaks against its node."""
        worker.host = ready.host
        if not ready.asks_for_token:
            raise RuntimeUnavailable(
                f"the cluster lets in everybody who reaches it: node {ready.host} asks for no token",
                "Set RAY_AUTH_MODE=token and a token on all nodes, and start them again.",
            )
        if ready.sidscan_version != __version__:
            message = f"node {ready.host} has sidscan {ready.sidscan_version}, and not {__version__}"
            self._refuse_node(worker, RuntimeUnavailable(message, "Install the same version on all nodes."))
            return
        worker.is_ready = True
        if node := self.nodes.get(worker.node):
            node.host = ready.host
        self.say("workers", ready=sum(each.is_ready for each in self.workers), host=ready.host)

    def _note(self, worker: Worker, outcome: Outcome) -> None:
        shard, worker.shard = worker.shard, None
        assert shard is not None
        if not outcome.error:
            worker.has_finished = True
            self.schedule.end(shard, worker, time.monotonic())
            if node := self.nodes.get(worker.node):
                node.deaths = 0
            self.say("finished", shard=shard, first=outcome.first)
            return
        error = SidscanError(outcome.error, outcome.remedy)
        error.exit_code = ExitCode(outcome.exit_code)
        lacks_files = error.exit_code is ExitCode.NOTHING_TO_SCAN
        most = int(self.task.hang / SECONDS_TO_END)
        if outcome.in_use and self.schedule.postpone(shard, worker, most):
            self.say("taken back", shard=shard)
        elif error.exit_code is ExitCode.OUTPUT or (lacks_files and worker.has_finished):
            if shard not in self.schedule.finished:
                self.say("lost", shard=shard, host=worker.host, why=error.message)
            self.schedule.refuse(shard, worker, worker.host)
            self.last_refusal = error
        else:  # what this node lacks: weights, a device, the files
            self.schedule.put_back(shard, worker)
            self.say("taken back", shard=shard)
            self._refuse_node(worker, error)

    def _refuse_node(self, worker: Worker, error: SidscanError) -> None:
        """Give a node no more work; others may be able to do it."""
        self.last_refusal = error
        self.say("node refused", host=worker.host, why=error.message)
        if node := self.nodes.get(worker.node):
            node.refused = error.message
        self._end(worker)

    def _check_progress(self, now: float) -> None:
        """Ask workers how far they are, and end those that hang."""
        for worker in [each for each in self.workers if each.shard is not None]:
            if worker.heartbeat is None:
                worker.heartbeat = worker.actor.progress.options(concurrency_group="heartbeat").remote()
            answered, _ = ray.wait([worker.heartbeat], timeout=0, fetch_local=False)
            if answered:
                with suppress(RayError):  # `_take` finds out that it is dead
                    shard, done = ray.get(worker.heartbeat)
                    self._note_progress(worker, shard, done, now)
                worker.heartbeat = None
            if now - worker.alive_at > self.task.hang:
                self._bury(worker, f"no new result for {self.task.hang:g} seconds")

    def _note_progress(self, worker: Worker, shard: int, done: int, now: float) -> None:
        if shard == worker.shard and done > worker.done:
            worker.done, worker.alive_at = done, now
            self._note_results(worker, shard, done)
            self.say("progress", shard=shard, done=done)

    def _note_results(self, worker: Worker, shard: int, done: int) -> None:
        """New results speak for the shard, and for the node: what ended the last worker is in its way."""
        if self.schedule.progress(shard, worker.host, done) and (node := self.nodes.get(worker.node)):
            node.deaths = 0

    def _bury(self, worker: Worker, why: str) -> None:
        """Give a dead worker's shard to another one."""
        shard = worker.shard
        if shard is None:
            self.say("worker lost", host=worker.host, why=why)
        else:
            with suppress(RayError):  # it died before it could say so
                self._note_results(worker, shard, ray.get(worker.found, timeout=0))
            self.schedule.lose(shard, worker)
            if shard not in self.schedule.finished:
                self.say("lost", shard=shard, host=worker.host, why=why)
            if shard in self.schedule.given_up:
                self.say("given up", shard=shard, attempts=MAX_ATTEMPTS)
        if node := self.nodes.get(worker.node):
            node.deaths += 1
        self._end(worker)
        self._looked_at = -_NODES  # another one starts at once

    def _end(self, worker: Worker) -> None:
        self.workers.remove(worker)
        with suppress(RayError):
            ray.kill(worker.actor)

    def _check_that_somebody_works(self, now: float) -> None:
        if any(worker.is_ready for worker in self.workers):
            self._worked_at = now
            return
        hopeless = self.nodes and not any(node.can_work for node in self.nodes.values())
        if not hopeless and now - self._worked_at < _NO_WORKER:
            return
        if self.last_refusal is not None:
            raise self.last_refusal
        raise RuntimeUnavailable(
            f"no node of the cluster has scanned anything for {now - self._worked_at:.0f} seconds",
            "`ray status` shows its nodes; each needs sidscan and free processors.",
        )


def _nodes(uses_gpus: bool) -> Iterator[ClusterNode]:
    """The nodes that have processors; those of one machine get different ones."""
    taken: Counter[str] = Counter()
    for node in ray.nodes():
        resources, address = node["Resources"], node["NodeManagerAddress"]
        cores = int(resources.get("CPU", 0))
        if node["Alive"] and cores:
            gpus = int(resources.get("GPU", 0)) if uses_gpus else 0
            yield ClusterNode(node["NodeID"], address, max(1, gpus), cores, gpus, taken[address])
            taken[address] += cores


def _first_line(error: BaseException) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)


def _watch(stream: TextIO, stopped: threading.Event) -> None:
    """Stop when whoever started this process is gone, or says so by closing the pipe."""
    stream.read()
    stopped.set()


def main() -> int:
    """Do the task on standard input; returns 0 if what can be done is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it through the pipe
    task = RayTask.from_line(sys.stdin.readline())
    # What Ray prints, in Python or below it, is no event.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    driver = Driver(task, Schedule(task.shards), out)
    stopped = threading.Event()
    threading.Thread(target=_watch, args=(sys.stdin, stopped), daemon=True).start()
    try:
        local = {"include_dashboard": False} if task.address == LOCAL else {}
        ray.init(task.address, log_to_driver=False, logging_level="ERROR", **local)
        if task.survey:
            driver.survey()
        else:
            driver.run(stopped)
        driver.say("end")
    except SidscanError as error:
        facts = {"message": error.message, "remedy": error.remedy, "exit_code": int(error.exit_code)}
        driver.say("error", **facts)
        return 1
    except (RayError, ConnectionError, ValueError, RuntimeError) as error:
        facts = {
            "message": f"the cluster can't be used: {_first_line(error)}",
            "remedy": "`ray status` shows whether it runs; sidscan scan --ray local needs none.",
            "exit_code": int(ExitCode.RUNTIME),
        }
        driver.say("error", **facts)
        return 1
    finally:
        with suppress(Exception):  # the head may be gone
            ray.shutdown()
    return 0
