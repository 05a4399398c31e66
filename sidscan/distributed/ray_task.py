"""What the driver of a Ray cluster is asked to do; it goes there as a line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

LOCAL = "local"
"""The address that stands for a cluster of this machine alone, which starts and ends with the scan."""


@dataclass(frozen=True, kw_only=True)
class RayTask:
    """What the driver is asked to do.

    Attributes:
        address: of the cluster; ``local`` starts one on this machine.
        run, plan, folder, scratch, batch, retry_failed: as `ShardWorker` takes them.
        shards: the numbers of the shards to scan.
        uses_gpus: whether a worker takes a GPU where its node has some.
        survey: only ask each node what it has.
        hang: seconds without a new result after which a worker counts as hung.
    """

    address: str
    run: str = ""
    plan: int = 0
    retry_failed: bool = False
    folder: str = ""
    shards: list[int] = field(default_factory=list)
    scratch: str | None = None
    batch: int | None = None
    uses_gpus: bool = True
    hang: float = 600.0
    survey: bool = False

    def to_line(self) -> str:
        """As the driver reads it."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> RayTask:
        """The inverse of `to_line`."""
        return cls(**json.loads(line))
