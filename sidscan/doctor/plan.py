"""What a scan would use here, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sidscan.doctor import CheckResult, check
from sidscan.doctor.probes import ProbeFailed, ProbeNotStarted, Probes
from sidscan.doctor.resource_limits import RAISE_LIMITS, low_limits
from sidscan.errors import ExitCode


@check("scan")
def scan(probes: Probes) -> Iterator[CheckResult]:
    """Open the models as a scan does, and score one crop with them."""
    try:
        facts: dict[str, Any] = dict(probes.trial.facts)
    except ProbeFailed as error:
        text = f"the detector can't be opened: {error}"
        said = "The problems above say why; else please report this, with `sidscan doctor --json`."
        remedy = RAISE_LIMITS if isinstance(error, ProbeNotStarted) or low_limits() else said
        yield CheckResult("scan", "problem", text, remedy, ExitCode.RUNTIME, {"error": str(error)})
        return
    if "refused" in facts:
        code = ExitCode(facts["exit_code"])
        yield CheckResult("scan", "problem", facts["refused"], facts["remedy"], code, facts)
        return
    names = " and ".join(facts["models"])
    if encoders := [name for name in facts["files"] if name not in facts["models"]]:
        names += f" with {' and '.join(encoders)}"
    used = f"{facts['runtime']}, {facts['device']}, {facts['precision']} ({facts['runtime_choice']})"
    text = f"would use {names} ({facts['model_choice']}) by {used}; opened in {facts['seconds']:.1f} s"
    if not facts["finite"]:
        remedy = "Try `--precision fp32` or `--device cpu`."
        yield CheckResult(
            "scan", "problem", f"{text}; its score is not a number", remedy, ExitCode.RUNTIME, facts
        )
        return
    if facts["is_fallback"]:
        yield CheckResult("scan", "note", text, _sentence(facts["remedy"]), facts=facts)
    else:
        yield CheckResult("scan", "ok", text, facts=facts)


def _sentence(remedy: str) -> str:
    return remedy if not remedy or remedy.endswith(".") else f"{remedy}."
