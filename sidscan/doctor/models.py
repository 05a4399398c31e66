"""What is in the models folder, and whether its bytes are still those that were installed."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.doctor import CheckResult, check
from sidscan.doctor.probes import Probes
from sidscan.errors import ModelError, SidscanError
from sidscan.models.origins import Bundled


@check("models")
def models(probes: Probes) -> Iterator[CheckResult]:
    """Hash all installed models; those that come with sidscan, too."""
    right, problems = [], []
    for name in probes.store.catalog:
        try:
            if probes.store.installed(name) is None and not _is_bundled(probes, name):
                continue
            right.append(probes.verify(name).entry.name)
        except ModelError as error:
            problems.append((name, error))
    for name, problem in problems:
        yield CheckResult(f"model {name}", "problem", problem.message, problem.remedy, facts={"model": name})
    if right or not problems:
        text = f"{', '.join(right) or 'none'}; their bytes are those that were installed"
        yield CheckResult("models", "ok", text, facts={"installed": right})


@check("downloads")
def downloads(probes: Probes) -> Iterator[CheckResult]:
    """Downloads that did not finish; they lie in the models folder."""
    parts = []
    for name in probes.store.catalog:
        try:
            parts += [name] if probes.store.has_part(name) else []
        except SidscanError:
            continue
    if not parts:
        yield CheckResult("downloads", "ok", "none is unfinished", facts={"unfinished": []})
        return
    remedy = f"`sidscan models pull {' '.join(parts)}` goes on from there."
    yield CheckResult(
        "downloads", "note", f"unfinished: {', '.join(parts)}", remedy, facts={"unfinished": parts}
    )


def _is_bundled(probes: Probes, name: str) -> bool:
    return isinstance(probes.store.catalog[name].origin, Bundled)
