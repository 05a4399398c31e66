"""What `sidscan doctor` checks: what is installed, what works, and what a scan would use here.

A check is a function with a name; `_MODULES` are the modules that hold them, in the order of the output. No
check changes anything, none uses the network, and none can end the others: what a check raises is its result.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal

from sidscan.doctor.probes import Probes
from sidscan.errors import ExitCode, SidscanError
from sidscan.libraries import first_line, library_error

_MODULES = ("machine", "libraries", "accelerators", "storage", "models", "workers", "plan")

Level = Literal["ok", "note", "problem"]
"""``note``: something is missing or unusual, and nothing is broken."""


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes:
        name: of the check, or of a part of it (``extra heic``); it never changes.
        text: what was found, in one line.
        remedy: what to do, with the command; empty where nothing needs doing.
        exit_code: with which a scan would end; None where a scan runs all the same.
        facts: the same for programs.
    """

    name: str
    level: Level
    text: str
    remedy: str = ""
    exit_code: ExitCode | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


Check = Callable[[Probes], Iterator[CheckResult]]
_CHECKS: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    """Register a check; results come in the order of the registrations."""

    def register(function: Check) -> Check:
        if name in _CHECKS:
            raise ValueError(f"two checks are called {name}")
        _CHECKS[name] = function
        return function

    return register


def run_checks(options: Mapping[str, object]) -> Iterator[CheckResult]:
    """All results, as they come.

    Args:
        options: of the scan that is asked about, by fields of `ScanConfig`, as JSON can hold them.
    """
    for module in _MODULES:
        try:
            importlib.import_module(f"{__name__}.{module}")
        except ImportError as error:  # the checks of this module need what is missing
            missing = library_error("sidscan", error.name or module, error)
            yield CheckResult(
                f"checks of {module}", "problem", missing.message, missing.remedy, ExitCode.RUNTIME
            )
    with closing(Probes(options)) as probes:
        for name, function in _CHECKS.items():
            yield from _guarded(name, function, probes)


def _guarded(name: str, function: Check, probes: Probes) -> Iterator[CheckResult]:
    """The results of a check; an error ends it as its last result."""
    try:
        yield from function(probes)
    except SidscanError as error:
        yield CheckResult(name, "problem", error.message, error.remedy)
    except Exception as error:
        yield CheckResult(
            name,
            "problem",
            f"can't be checked: {type(error).__name__}: {first_line(error)}",
            "Please report this, with the output of `sidscan doctor --json`.",
        )
