"""The closing lines of a scan: counts that add up, evidence, reasons without a score, flags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sidscan.cli.console import plural
from sidscan.cli.provenance_text import ProvenanceCount
from sidscan.cli.ranking import Ranking
from sidscan.cli.sample_text import sample_lines
from sidscan.records import EVIDENCE_WORDS, Counts, ScanResult, Status
from sidscan.review.annotated import AnnotatedRecord
from sidscan.sources.exclude import excluded_by
from sidscan.util.urls import mask_credentials

if TYPE_CHECKING:
    from sidscan.pipeline import Scan

_LONGEST_MESSAGE = 200  # characters
_LONGEST_TITLE = 100
_MOST_REASONS = 8
# Error classes whose message says what the file is, and nothing that only this file has.
_NAMED_BY_MESSAGE = ("FormatNotRead", "ContentMissing")
_ABOVE = EVIDENCE_WORDS[: EVIDENCE_WORDS.index("weak")]  # the threshold
_STAGES = (1, 5, 10)  # crops of an image, after each stage of a cascade


class FirstSeen(Counter[str]):
    """Counts words. Of those that are as frequent, the one that was seen first comes first."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, int] = {}

    def add(self, word: str, number: int, first: int) -> None:
        """Count a word; ``first`` is the position of the input that had it first."""
        self[word] += number
        self._first[word] = min(first, self._first.get(word, first))

    def by_number(self) -> list[tuple[str, int]]:
        """The words and their numbers, the most frequent first."""
        return sorted(self.items(), key=lambda entry: (-entry[1], self._first[entry[0]]))


class Summary:
    """What the closing lines say. The record counts; results are read back where they say more than that.

    Args:
        record: results with their copies.
        ranked: how many images `ranking` keeps.

    Attributes:
        ranking: the images with the strongest evidence.
    """

    def __init__(self, run: Scan, record: AnnotatedRecord, ranked: int) -> None:
        self.ranking = Ranking(ranked)
        self._run = run
        self._evidence, self._reasons, self._flags = Counter[str](), FirstSeen(), FirstSeen()
        self._views = Counter[int]()
        self._cautions, self._cautioned = FirstSeen(), 0  # of the first model; how many are above
        self._flagged = Counter[str]()  # images at or above the threshold, by model
        self._examples: dict[str, str] = {}  # the first input of every reason
        self._messages: dict[str, str] = {}  # of that input
        self._older = 0  # results of 0.2.0 and before, which lack what later versions add
        self._provenance = ProvenanceCount()
        self._differ: set[str] = set()  # reasons whose inputs have several messages
        self._unhashed = 0
        self._groups: dict[str, list[bool]] = {}  # of copies: which distinct images are above the threshold
        self._add_scored()
        self._add_others()
        self._add_copies(record)
        for result in record.ranked():
            if self.ranking.is_full() or not result.scores:
                break
            self.ranking.add(result)

    def _add_scored(self) -> None:
        names = [detector.name for detector in self._run.runtime.detectors]
        known = {name: each.threshold_logit for name, each in self._run.calibrations.items()}
        some_state_more = False
        for group in self._run.journal.scored_groups([known.get(name) for name in names]):
            number = group.number
            for flag in group.flags:
                self._flags.add(flag, number, group.first)
            self._evidence[min(group.evidence, key=EVIDENCE_WORDS.index)] += number
            self._views[group.views] += number
            self._older += number * (not group.complete)
            self._unhashed += number * (not group.hashed)
            for kind in group.cautions:
                self._cautions.add(kind, number, group.first)
            self._cautioned += number * (bool(group.cautions) and group.evidence[0] in _ABOVE)
            self._flagged.update(
                {name: number for name, reaches in zip(names, group.reaches, strict=True) if reaches}
            )
            some_state_more |= group.states
            if not group.states:
                self._provenance.add_verdicts(group.verdict, number, group.complete)
        for result in self._run.journal.with_statements() if some_state_more else ():
            self._provenance.add(result)

    def _add_others(self) -> None:
        for message, number, first in self._run.journal.listing_reasons():
            self._reasons.add(f"{Status.SKIPPED.value}: {message}", number, first)
        for position, result in self._run.journal.other_results():
            for flag in result.facts.flags:
                self._flags.add(flag, 1, position)
            self._provenance.add(result)
            self._add_reason(result, position)

    def _add_copies(self, record: AnnotatedRecord) -> None:
        if record.has_copies:
            for result in map(record.annotated, self._run.journal.possible_copies()):
                if result.strongest and result.copies and result.copies.same_as is None:
                    above = result.strongest.evidence in _ABOVE
                    self._groups.setdefault(str(result.copies.group), []).append(above)

    def _add_reason(self, result: ScanResult, position: int) -> None:
        reason = _reason(result)
        self._reasons.add(reason, 1, position)
        if result.status is Status.SKIPPED:
            return
        self._examples.setdefault(reason, mask_credentials(result.name))
        message = result.message or ""
        if self._messages.setdefault(reason, message) != message:
            self._differ.add(reason)

    def lines(self) -> list[str]:
        """Counts that add up, strength of the evidence, reasons without a score, flags."""
        return [
            *self._count_lines(),
            *sample_lines(self._run.journal),
            *self._caution_lines(),
            *self._provenance.lines(),
            *self._reason_lines(),
            *self._exclude_lines(),
            *self._remark_lines(),
            *self._calibration_lines(),
            *self._reliability_lines(),
        ]

    def _count_lines(self) -> Iterator[str]:
        counts = self._run.counts()
        yield counts_line(counts)
        if self._evidence:
            words = ", ".join(f"{self._evidence[word]} {word}" for word in EVIDENCE_WORDS)
            yield f"evidence: {words}{self._of_several()}"
        if self._views and self._run.effort == "normal":
            first, *others = _STAGES
            numbers = ", ".join(f"{self._views[count]} by {count}" for count in others)
            yield f"crops: {plural(self._views[first], 'image')} by {first}, {numbers}"

    def _of_several(self) -> str:
        models = self._run.runtime.detectors
        return f" (the strongest of {len(models)} models for each image)" if len(models) > 1 else ""

    def _caution_lines(self) -> Iterator[str]:
        """How many images look like what the first model calls synthetic too often, and how often that is."""
        if not self._cautions:
            return
        counts = ", ".join(f"{count} {kind}" for kind, count in self._cautions.by_number())
        detector = self._run.runtime.detectors[0]
        rates = " and ".join(
            f"{100 * caution.false_positive_rate:.1f} % of real {caution.kind} images"
            for caution in detector.cautions
            if caution.kind in self._cautions
        )
        yield f"cautions: {counts}; {self._cautioned} of these above the threshold"
        yield f"  by the card of {detector.name}, {rates} are above it"

    def _reason_lines(self) -> Iterator[str]:
        reasons = self._reasons.by_number()
        for reason, count in reasons[:_MOST_REASONS]:
            title, example = self._in_words(reason, count)
            yield f"  {count} {title}"
            if example:
                yield f"    {'first: ' if count > 1 else ''}{example}"
        if rest := reasons[_MOST_REASONS:]:
            others = sum(count for _, count in rest)
            yield f"  {others} for {plural(len(rest), 'other reason')}, which their rows have"

    def _in_words(self, reason: str, count: int) -> tuple[str, str]:
        """A reason and its first input; a message that several inputs share replaces the error's class."""
        if reason not in self._examples:
            return reason, ""
        example, message = self._examples[reason], self._messages[reason]
        status = reason.partition(": ")[0]
        if reason == f"{status}: {message}":
            return reason, example
        if count > 1 and reason not in self._differ and message and len(message) <= _LONGEST_TITLE:
            return f"{status}: {message}", example
        return reason, f"{example}: {_shortened(message)}"

    def _exclude_lines(self) -> Iterator[str]:
        """Patterns that left out nothing, as a misspelled one does; those that take back have no rows."""
        patterns = self._run.config.exclude
        for pattern in dict.fromkeys((patterns,) if isinstance(patterns, (str, Path)) else patterns):
            taken_back = str(pattern).startswith("!")
            if not taken_back and f"{Status.SKIPPED.value}: {excluded_by(str(pattern))}" not in self._reasons:
                yield f"--exclude {pattern} left out nothing; check its spelling, capitals included"

    def _remark_lines(self) -> Iterator[str]:
        if self._flags:
            yield "flags: " + ", ".join(f"{count} {flag}" for flag, count in self._flags.by_number())
        if self._older:
            made = "result was" if self._older == 1 else "results were"
            yield f"{self._older} {made} kept from a sidscan without score_percentile and other new columns"
            yield "  (these columns are empty there; --fresh scans all images again)"
        if self._run.config.thumbnails and (missing := self._run.journal.count_without_thumbnail()):
            verb = "has" if missing == 1 else "have"
            images = plural(missing, "image")
            yield f"{images} {verb} no thumbnail: it can't be made, or the bytes of a URL were not kept"
        if repeats := self._run.journal.repeats():
            verb = "has" if repeats == 1 else "have"
            yield f"{plural(repeats, 'image')} {verb} the same bytes as an earlier image, and its score"
        yield from self._copy_lines()

    def _copy_lines(self) -> Iterator[str]:
        """How many images of other bytes show the same, whether scores agree, and where nobody looked."""
        groups = [above for above in self._groups.values() if len(above) > 1]
        if groups:
            count = sum(map(len, groups))
            yield f"copies: {count} files show {plural(len(groups), 'image')}, though their bytes differ"
            if split := sum(len(set(above)) > 1 for above in groups):
                yield f"  (copies of {plural(split, 'image')} lie on both sides of the threshold)"
        if self._run.config.find_copies and self._unhashed:
            verb = "has" if self._unhashed == 1 else "have"
            images = plural(self._unhashed, "image")
            yield f"{images} {verb} no perceptual hash: it can't be made, or the bytes of a URL were not kept"
            yield "  (only copies of them with equal bytes are found)"

    def _calibration_lines(self) -> Iterator[str]:
        """How many images reach the threshold of each calibrated model, and how many camera images would."""
        scored = self._run.counts().scored
        for name, calibration in self._run.calibrations.items():
            yield (
                f"{name}: {self._flagged[name]} of {plural(scored, 'image')} flagged; if all were like the "
                f"calibration images, about {scored * calibration.false_flag_rate:.1f} would be"
            )

    def _reliability_lines(self) -> Iterator[str]:
        """How often each model is right, by its card."""
        if self._evidence:
            for stated in self._run.journal.header().reliability.values():
                yield str(stated["sentence"])


def counts_line(counts: Counts) -> str:
    """How many inputs there are, and how they ended; the numbers add up."""
    parts = f"{counts.scored} scored + {counts.failed} failed + {counts.skipped} skipped"
    pending = f" + {counts.pending} not looked at" if counts.pending else ""
    return f"{plural(counts.enumerated, 'input')} = {parts}{pending}"


def _reason(result: ScanResult) -> str:
    """Why an input has no score, without what is particular to this one."""
    says_it = result.status is Status.SKIPPED or result.error in _NAMED_BY_MESSAGE
    return f"{result.status.value}: {result.message if says_it else result.error}"


def _shortened(message: str) -> str:
    """As much of a message as a terminal has room for; rows have all of it."""
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]} ..."
