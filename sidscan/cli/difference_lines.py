"""Differences between two runs as lines of text, for `sidscan diff` and the end of a scan."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.cli.console import plural
from sidscan.reports.stated import StatedResult, StatedScore
from sidscan.review.compared_runs import ComparedRun
from sidscan.review.comparison import Comparison
from sidscan.review.differences import Change, Difference
from sidscan.util.terminal import safe_line
from sidscan.util.urls import mask_credentials

_MOST_WHYS = 3


def head_lines(old: ComparedRun, new: ComparedRun, comparison: Comparison) -> Iterator[str]:
    """What is compared, how inputs were matched, and what can't be compared."""
    yield _run_line("OLD", old)
    yield _run_line("NEW", new)
    how = ", ".join(f"{count} by {how.value}" for how, count in comparison.matched_by.items())
    yield f"matched: {how or 'no input'}"
    if comparison.folders:
        before, after = map(_shown, comparison.folders)
        yield f"  OLD's folder {before} stands for NEW's {after}: most files with equal bytes lie there"
    yield from _gaps(old, new)


def _run_line(side: str, run: ComparedRun) -> str:
    models = ", ".join(f"{_shown(model.name)} {model.digest or ''}".strip() for model in run.models)
    versions = f"sidscan {', '.join(run.versions)}" if run.versions else ""
    facts = filter(None, (run.kind, plural(run.inputs, "input"), models, _shown(versions)))
    return f"{side} {_shown(str(run.path))}: {', '.join(facts)}"


def _gaps(old: ComparedRun, new: ComparedRun) -> Iterator[str]:
    """What the two do not state, so that it can't be compared."""
    for side, run in (("OLD", old), ("NEW", new)):
        if run.pending:
            inputs = plural(run.pending, "input")
            yield f"  {side} is of a scan that did not end: {inputs} of it have no result yet"
    if not new.marks_known:
        yield "  NEW does not say which images are marked, so marks are not compared"
    elif not old.marks_known:
        yield "  OLD does not say which images were marked, so every mark in NEW counts as new"
    elif old.marks_withheld or new.marks_withheld:
        yield "  a private report leaves out who marked an image and their note, so notes are not compared"
    for side, run, other in (("OLD", old, new), ("NEW", new, old)):
        names = {model.name for model in other.models}
        alone = list(dict.fromkeys(_shown(model.name) for model in run.models if model.name not in names))
        if alone and len(names & {model.name for model in run.models}):
            yield f"  only {side} has scores of {', '.join(alone)}, so they are not compared"


def count_lines(old: ComparedRun, new: ComparedRun, comparison: Comparison) -> Iterator[str]:
    """Counts that add up: every input of both is in one class."""
    counts = comparison.counts
    parts = [
        f"{counts[change]} {change.value}"
        for change in Change
        if counts[change] or change is Change.UNCHANGED
    ]
    yield f"{plural(counts.total(), 'input')} = {' + '.join(parts)}"
    yield f"  OLD has {old.inputs} of them, NEW {new.inputs}"
    if counts[Change.WITHIN_TOLERANCE]:
        yield f"  within tolerance: the score differs by at most {comparison.tolerance:g}"
    if moved := comparison.also[Change.MOVED]:
        yield f"  {moved} of the others moved, too"


def class_lines(comparison: Comparison, change: Change, most: int | None) -> Iterator[str]:
    """The title of a class, why scores differ, and its inputs, the strongest evidence first."""
    count = comparison.counts[change]
    yield f"{change.value}: {count}"
    whys = comparison.whys.get(change)
    for why, number in whys.most_common(_MOST_WHYS) if whys else ():
        yield f"  why: {safe_line(why)}{f' ({number})' if len(whys or ()) > 1 else ''}"
    if whys and len(whys) > _MOST_WHYS:
        yield f"  why: {len(whys) - _MOST_WHYS} other reasons, which --format csv states for each input"
    for difference in comparison.differences(change, most=most):
        yield f"  {difference_line(difference)}"
    if most is not None and count > most:
        yield f"  ... and {count - most} more (--top 0 lists all)"


def difference_line(difference: Difference) -> str:
    """One input: scores, evidence or status before and after, and its name."""
    also = [change.value for change in difference.changes[1:] if change.differs]
    notes = [f"also: {', '.join(also)}"] if also else []
    if difference.same_bytes is not None:
        where = _SAME_BYTES.get(difference.change, "its earlier bytes are now")
        notes.append(f"{where} {_shown(difference.same_bytes)}")
    note = f" ({'; '.join(notes)})" if notes else ""
    return f"{_facts(difference)}  {_names(difference)}{note}"


_SAME_BYTES = {Change.NEW: "a copy of", Change.GONE: "its bytes are now"}


def _facts(difference: Difference) -> str:
    old, new = difference.old, difference.new
    if difference.change in (Change.MARKED, Change.MARK):
        return f"{_mark(old)} -> {_mark(new)}" if difference.change is Change.MARK else _mark(new)
    before, after = _state(old, difference.old_score), _state(new, difference.new_score)
    if old is None or new is None or before == after:
        return after or before
    if (
        difference.old_score
        and difference.new_score
        and difference.old_score.model != difference.new_score.model
    ):
        before, after = (
            f"{_shown(score.model)} {state}"
            for score, state in ((difference.old_score, before), (difference.new_score, after))
        )
    return f"{before} -> {after}"


def _state(result: StatedResult | None, score: StatedScore | None) -> str:
    if result is None:
        return ""
    return f"{score.score:.3f} {score.evidence}" if score else safe_line(result.status)


def _mark(result: StatedResult | None) -> str:
    mark = result.mark if result else None
    if mark is None:
        return "no mark"
    by = f" (by {safe_line(mark.by)})" if mark.by else ""
    return f"{safe_line(mark.mark) or 'a note alone'}{by}"


def _names(difference: Difference) -> str:
    old, new = difference.old, difference.new
    if old and new and Change.MOVED in difference.changes:
        return f"{_shown(old.name)} -> {_shown(new.name)}"
    result = new or old
    assert result is not None
    message = (
        f": {safe_line(result.message)}" if result.message and difference.change is Change.STATUS else ""
    )
    return f"{_shown(result.name)}{message}"


def _shown(text: str) -> str:
    return safe_line(mask_credentials(text))
