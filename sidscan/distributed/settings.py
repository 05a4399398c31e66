"""What a run keeps of a configuration, so that every shard is scanned in the same way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from sidscan.config import ScanConfig
from sidscan.distributed.slices import ID_LENGTH
from sidscan.errors import UsageError
from sidscan.journal.keys import ReuseKeys
from sidscan.pipeline import Scan
from sidscan.records import JsonObject, RunHeader
from sidscan.scoring.reuse import changes_between, reuse_keys
from sidscan.util.option_specs import option_specs

# Which inputs there are; the plan holds the answer, and the next plan may ask otherwise.
_OF_PLANS = frozenset(
    ("inputs", "lists", "null", "list_column", "archives", "max_members", "hidden", "allow_empty", "exclude")
)
# What each machine decides for itself.
_OF_MACHINES = frozenset(("workers", "batch"))
_OF_MODELS = frozenset(("views",))  # what their models read
_OF_COMMANDS = frozenset(
    ("journal", "outputs", "output_prefix", "command", "origins", "in_order", "retry_failed")
)
# What a run of shards does not do, and why.
REFUSED: Mapping[str, str] = {
    "sample": "a run looks at all of its inputs",
    "sample_seed": "a run looks at all of its inputs",
    "budget": "a run has no limit of time; stop it with Ctrl-C, and it goes on where it was",
    "until": "a run has no limit of time; stop it with Ctrl-C, and it goes on where it was",
    "look_closer": "look closely at the strongest images with `sidscan inspect`",
    "windows": "look closely at the strongest images with `sidscan inspect`",
    "journal": "the folder of the run is its record",
    "fresh": "name another folder, and nothing is kept",
    "keep_old": "results of one run are all made in the same way",
}


def check_options(config: ScanConfig) -> None:
    """Refuse options that have no meaning in a run of shards.

    Raises:
        UsageError: one is given.
    """
    specs = option_specs(ScanConfig)
    for name, reason in REFUSED.items():
        if getattr(config, name) != ScanConfig.__dataclass_fields__[name].default:
            raise UsageError(
                f"{specs[name].flag_of(name)} can't be used with --run", f"Leave it out: {reason}."
            )


def kept_options(config: ScanConfig) -> dict[str, Any]:
    """What decides how an input is read and scored, as JSON can hold it."""
    others = _OF_PLANS | _OF_MACHINES | _OF_MODELS | _OF_COMMANDS | REFUSED.keys()
    values = {each.name: getattr(config, each.name) for each in fields(config) if each.name not in others}
    kept: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return kept


def config_of(
    options: JsonObject, inputs: tuple[str, ...], lists: tuple[str, ...], **of_machine: Any
) -> ScanConfig:
    """The configuration of a shard: the run's options, and what this machine decides for itself.

    Args:
        inputs, lists: as they were named when the run was planned; nothing is listed again.
    """
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
    }
    for name in ("encoder", "save_dir"):
        values[name] = None if values[name] is None else Path(values[name])
    return ScanConfig(inputs=inputs, lists=lists, **values, **of_machine)


def differing_options(before: JsonObject, now: JsonObject) -> Iterator[str]:
    """The options that two configurations have otherwise, each as ``--crops center (the run has ten)``.

    Thumbnails, and the copies that pages with thumbnails show, are none: the first plan says whether they are
    made.
    """
    specs = option_specs(ScanConfig)
    thumbnails = before.get("thumbnails") or now.get("thumbnails")
    others = ("thumbnails", "find_copies") if thumbnails else ("thumbnails",)
    for name, value in now.items():
        if name in specs and name not in others and value != before.get(name, value):
            flag = specs[name].flag_of(name)
            asked = f"no {flag}" if value == [] else f"{flag} {_shown(value)}"
            yield f"{asked} (the run has {_shown(before[name])})"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else str(value)


@dataclass(frozen=True)
class Scoring:
    """What computes the scores of a run; the first shard that is ready states it for all of them.

    Attributes:
        keys: digests that results depend on (`ReuseKeys.digests`).
        readers: what may have read them (`Readers.valid_keys`).
        header: the facts about models, runtime and device, for messages.
    """

    keys: tuple[str, ...]
    readers: tuple[str, ...]
    header: RunHeader

    @classmethod
    def of(cls, scan: Scan) -> Scoring:
        """What computes the scores of a scan that is ready."""
        keys: ReuseKeys = reuse_keys(scan.config, scan.runtime, scan.calibrations)
        header = replace(scan.journal.header(), sessions=(), started=None, finished=None, inputs=(), lists=())
        return cls(keys.digests, tuple(sorted(keys.readers.valid_keys())), header)

    @property
    def digest(self) -> str:
        """What journals are called by."""
        text = json.dumps([self.keys, self.readers])
        return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]

    def to_json(self) -> str:
        """As a file of the run."""
        values = {"keys": self.keys, "readers": self.readers, "header": self.header.to_dict()}
        return json.dumps(values, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Scoring:
        """The inverse of `to_json`."""
        raw = json.loads(text)
        return cls(tuple(raw["keys"]), tuple(raw["readers"]), RunHeader.from_dict(raw["header"]))

    def differences(self, now: Scoring) -> str:
        """What another machine has otherwise, in words."""
        said = list(changes_between(self.header, now.header))
        if self.header.sidscan_version != now.header.sidscan_version:
            said.append(f"sidscan {self.header.sidscan_version} (now {now.header.sidscan_version})")
        if self.header.decoder != now.header.decoder:
            said.append(f"{self.header.decoder} (now {now.header.decoder})")
        return ", ".join(said) or "other decoders or settings"
