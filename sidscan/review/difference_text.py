"""Differences between two runs in words: the lines of `sidscan diff`, of its page, and of a scan's end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sidscan.reports.stated import UNFINISHED, StatedResult, StatedScore
from sidscan.review.compared_runs import ComparedRun
from sidscan.review.comparison import Comparison
from sidscan.review.differences import Change, Difference, MatchedBy
from sidscan.review.rescan import Rescan
from sidscan.util.terminal import plural, safe_line
from sidscan.util.urls import mask_credentials

_MOST_WHYS = 3
_RESCAN_LINES = 5
_RESCAN_NAMES = 3  # of each kind
_MARKS = (Change.MARKED, Change.MARK)
_SAME_BYTES = {Change.NEW: "a copy of", Change.GONE: "its bytes are now"}


def head_lines(old: ComparedRun, new: ComparedRun, comparison: Comparison) -> Iterator[str]:
    """What is compared, how inputs were matched, and what can't be compared."""
    yield _run_line("OLD", old)
    yield _run_line("NEW", new)
    counts = comparison.matched_by
    how = ", ".join(f"{counts[how]} by {how.value}" for how in MatchedBy if counts[how])
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
        if run.pending or run.part:
            pending = f"; inputs without a result: {run.pending}" if run.pending else ""
            yield f"  {side} is of {_shown(run.part) or UNFINISHED}{pending}"
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
    yield from (f"  {line}" for line in count_remarks(old, new, comparison))


def count_remarks(old: ComparedRun, new: ComparedRun, comparison: Comparison) -> Iterator[str]:
    """What the counts do not say by themselves."""
    yield f"OLD has {old.inputs} of these, NEW {new.inputs}"
    if comparison.counts[Change.WITHIN_TOLERANCE]:
        yield f"within tolerance: the score differs by at most {comparison.tolerance:g}"
    if comparison.counts[Change.NOT_COMPARED]:
        yield f"not compared: {_not_looked_at(comparison)}"
    yield from _also_lines(comparison)
    if _may_be_a_part(new, comparison):
        yield "NEW lacks inputs and adds none: is it a report of chosen rows (--only, --top)? It does not say"


def _not_looked_at(comparison: Comparison) -> str:
    """Who did not look at what is not compared."""
    who = comparison.not_looked_at
    return ", ".join(
        f"{who[side]} that {words} did not look at, as far as it states"
        for side, words in (("OLD", "OLD"), ("NEW", "NEW"), ("both", "neither"))
        if who[side]
    )


def _also_lines(comparison: Comparison) -> Iterator[str]:
    """How many inputs of other classes moved or have another mark, too."""
    for change in (*_MARKS, Change.MOVED):
        if count := comparison.also[change]:
            yield f"{count} of the others {change.value}, too"


def _may_be_a_part(new: ComparedRun, comparison: Comparison) -> bool:
    """Whether inputs may seem to be gone since NEW shows only some; formats with a head would say so."""
    counts = comparison.counts
    return new.kind in ("csv", "jsonl") and counts[Change.GONE] > 0 and not counts[Change.NEW]


def class_lines(comparison: Comparison, change: Change, most: int | None) -> Iterator[str]:
    """The title of a class, why scores differ, and its inputs, the strongest evidence first."""
    count = comparison.counts[change]
    yield f"{change.value}: {count}"
    yield from (f"  {line}" for line in why_lines(comparison, change))
    for difference in comparison.differences(change, most=most):
        yield f"  {difference_line(difference)}"
    if most is not None and count > most:
        yield f"  ... and {count - most} more (--top 0 lists all)"


def why_lines(comparison: Comparison, change: Change) -> Iterator[str]:
    """Why the scores of a class differ; nothing for classes of other kinds."""
    whys = comparison.whys.get(change, Counter())
    for why, number in whys.most_common(_MOST_WHYS):
        yield f"why: {_shown(why)}{f' ({number})' if len(whys) > 1 else ''}"
    if len(whys) > _MOST_WHYS:
        yield f"why: {plural(len(whys) - _MOST_WHYS, 'other reason')}, which CSV and JSON state"


def difference_line(difference: Difference) -> str:
    """One input: scores, evidence or status before and after, and its name."""
    notes = "; ".join(remarks(difference, mark=False))
    return f"{_facts(difference)}  {names(difference)}{f' ({notes})' if notes else ''}"


def remarks(difference: Difference, mark: bool = True) -> list[str]:
    """What else is to be said of an input.

    Args:
        mark: say so, too, if a person marked it.
    """
    change, new = difference.change, difference.new
    notes = []
    if mark and (change in _MARKS or (new and new.mark)):
        notes.append(_mark_words(difference))
    if new and new.message and (change is Change.STATUS or difference.old is None):
        notes.append(safe_line(new.message))
    if also := [each.value for each in difference.changes[1:] if each.differs]:
        notes.append(f"also: {', '.join(also)}")
    if difference.same_bytes is not None:
        where = _SAME_BYTES.get(change, "its earlier bytes are now")
        notes.append(f"{where} {_shown(difference.same_bytes)}")
    return notes


def names(difference: Difference) -> str:
    """The path; both paths of what moved."""
    old, new = difference.old, difference.new
    if old and new and Change.MOVED in difference.changes:
        return f"{_shown(old.name)} -> {_shown(new.name)}"
    return _shown(result.name) if (result := new or old) else ""


def _facts(difference: Difference) -> str:
    if difference.change in _MARKS:
        return _mark_words(difference)
    old, new = difference.old_score, difference.new_score
    shown = decimals(difference)
    before, after = _state(difference.old, old, shown), _state(difference.new, new, shown)
    if not (before and after) or before == after:
        return after or before
    if old and new and old.model != new.model:
        before, after = f"{_shown(old.model)} {before}", f"{_shown(new.model)} {after}"
    return f"{before} -> {after}"


def _mark_words(difference: Difference) -> str:
    before, after = _mark(difference.old), _mark(difference.new)
    return f"{before} -> {after}" if difference.change is Change.MARK else after


def decimals(difference: Difference) -> int:
    """Decimals to which scores are shown: as many as it takes to tell two from each other."""
    old, new = difference.old_score, difference.new_score
    if old is None or new is None or f"{old.score:.6f}" == f"{new.score:.6f}":
        return 3
    return 6 if f"{old.score:.3f}" == f"{new.score:.3f}" else 3


def _state(result: StatedResult | None, score: StatedScore | None, decimals: int) -> str:
    if result is None:
        return ""
    return f"{score.score:.{decimals}f} {score.evidence}" if score else safe_line(result.status)


def _mark(result: StatedResult | None) -> str:
    mark = result.mark if result else None
    if mark is None:
        return "no mark"
    by = f" (by {safe_line(mark.by)})" if mark.by else ""
    return f"{safe_line(mark.mark) or 'a note alone'}{by}"


def _shown(text: str) -> str:
    return safe_line(mask_credentials(text))


def rescan_lines(rescan: Rescan) -> list[str]:
    """What changed since the last complete run of a record, in at most five lines; one if nothing did."""
    counts = Counter({**rescan.comparison.counts, Change.UNCHANGED: rescan.unchanged})
    parts = ", ".join(f"{counts[change]} {change.value}" for change in Change if counts[change])
    since = f"since the scan that ended at {_shown(rescan.since)}"
    kinds = [_kind_words(rescan.comparison, each) for each in Change if each.differs and counts[each]]
    if also := "; ".join(_also_lines(rescan.comparison)):
        parts += f" ({also})"
    if not kinds:
        compared = " of what was compared" if counts[Change.NOT_COMPARED] else ""
        return [f"nothing changed{compared} {since}: {parts}"]
    if len(kinds) >= _RESCAN_LINES:  # the title is one, too
        kinds[_RESCAN_LINES - 2 :] = ["; ".join(kinds[_RESCAN_LINES - 2 :])]
    return [f"{since}: {parts}", *(f"  {words}" for words in kinds)]


def _kind_words(comparison: Comparison, change: Change) -> str:
    """A class, its first names, the strongest evidence first, and why scores differ."""
    listed = [_named(each) for each in comparison.differences(change, most=_RESCAN_NAMES)]
    whys = comparison.whys.get(change, Counter())
    others = f", and {plural(len(whys) - 1, 'other reason')}" if len(whys) > 1 else ""
    why = f" ({_shown(whys.most_common(1)[0][0])}{others})" if whys else ""
    return f"{change.value}{why}: {_with_rest(listed, comparison.counts[change])}"


def _named(difference: Difference) -> str:
    """An input of a rescan: paths, what its class is about, and the mark where that changed besides."""
    named, (change, *others) = f"{names(difference)} {_facts(difference)}", difference.changes
    also = next((each.value for each in others if each in _MARKS), "")
    if change is Change.NEW and difference.new and difference.new.mark:
        also = "marked"
    return f"{named} ({also}: {_mark(difference.new)})" if also else named


def _with_rest(listed: Sequence[str], count: int) -> str:
    rest = count - len(listed)
    return ", ".join(listed) + (f" and {rest} more" if rest else "")
