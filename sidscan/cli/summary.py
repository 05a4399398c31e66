"""The closing lines of a scan: counts that add up, evidence, reasons without a score, flags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sidscan.cli.console import plural
from sidscan.cli.copies_text import ABOVE, CopyCount, repeats_line, unhashed_lines
from sidscan.cli.provenance_text import ProvenanceCount
from sidscan.cli.ranking import Ranking
from sidscan.cli.reasons import FirstSeen, Reasons
from sidscan.cli.sample_text import sample_lines
from sidscan.records import EVIDENCE_WORDS, Counts, Status
from sidscan.review.annotated import AnnotatedRecord
from sidscan.sources.exclude import excluded_by

if TYPE_CHECKING:
    from sidscan.pipeline import Scan

_STAGES = (1, 5, 10)  # crops of an image, after each stage of a cascade


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
        self._evidence, self._reasons, self._flags = Counter[str](), Reasons(), FirstSeen()
        self._views = Counter[int]()
        self._cautions, self._cautioned = FirstSeen(), 0  # of the first model; how many are above
        self._flagged = Counter[str]()  # images at or above the threshold, by model
        self._older = 0  # results of 0.2.0 and before, which lack what later versions add
        self._provenance = ProvenanceCount()
        self._unhashed = 0
        self._copies = CopyCount()
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
            self._cautioned += number * (bool(group.cautions) and group.evidence[0] in ABOVE)
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
            self._reasons.add_skipped(message, number, first)
        for position, result in self._run.journal.other_results():
            for flag in result.facts.flags:
                self._flags.add(flag, 1, position)
            self._provenance.add(result)
            self._reasons.add(result, position)

    def _add_copies(self, record: AnnotatedRecord) -> None:
        if record.has_copies:
            for result in map(record.annotated, self._run.journal.possible_copies()):
                self._copies.add(result)

    def lines(self) -> list[str]:
        """Counts that add up, strength of the evidence, reasons without a score, flags."""
        return [
            *self._count_lines(),
            *sample_lines(self._run.journal),
            *self._caution_lines(),
            *self._provenance.lines(),
            *self._reasons.lines(),
            *self._exclude_lines(),
            *self._remark_lines(),
            *self._calibration_lines(),
            *self._reliability_lines(),
        ]

    def _count_lines(self) -> Iterator[str]:
        counts = self._run.counts()
        yield counts_line(counts)
        if self._evidence:
            yield evidence_line(self._evidence, len(self._run.runtime.detectors))
        if self._views and self._run.effort == "normal":
            first, *others = _STAGES
            numbers = ", ".join(f"{self._views[count]} by {count}" for count in others)
            yield f"crops: {plural(self._views[first], 'image')} by {first}, {numbers}"

    def _caution_lines(self) -> Iterator[str]:
        """How many images look like what the first model calls synthetic too often, and how often that is."""
        detector = self._run.runtime.detectors[0]
        rates = {caution.kind: caution.false_positive_rate for caution in detector.cautions}
        yield from caution_lines(self._cautions, self._cautioned, detector.name, rates)

    def _exclude_lines(self) -> Iterator[str]:
        """Patterns that left out nothing, as a misspelled one does; those that take back have no rows."""
        patterns = self._run.config.exclude
        for pattern in dict.fromkeys((patterns,) if isinstance(patterns, (str, Path)) else patterns):
            taken_back = str(pattern).startswith("!")
            if not taken_back and f"{Status.SKIPPED.value}: {excluded_by(str(pattern))}" not in self._reasons:
                yield f"--exclude {pattern} left out nothing; check its spelling, capitals included"

    def _remark_lines(self) -> Iterator[str]:
        if self._flags:
            yield flags_line(self._flags)
        if self._older:
            made = "result was" if self._older == 1 else "results were"
            yield f"{self._older} {made} kept from a sidscan without score_percentile and other new columns"
            yield "  (these columns are empty there; --fresh scans all images again)"
        if self._run.config.thumbnails and (missing := self._run.journal.count_without_thumbnail()):
            verb = "has" if missing == 1 else "have"
            images = plural(missing, "image")
            yield f"{images} {verb} no thumbnail: it can't be made, or the bytes of a URL were not kept"
        if repeats := self._run.journal.repeats():
            yield repeats_line(repeats, ", and its score")
        yield from self._copies.lines()
        if self._run.config.find_copies and self._unhashed:
            yield from unhashed_lines(self._unhashed)

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


def caution_lines(cautions: FirstSeen, above: int, model: str, rates: Mapping[str, float]) -> Iterator[str]:
    """How many images look like what a model calls synthetic too often, and how often that is.

    Args:
        above: how many of these are above the threshold.
        rates: of real images of each kind, how many are.
    """
    if not cautions:
        return
    counts = ", ".join(f"{count} {kind}" for kind, count in cautions.by_number())
    shown = " and ".join(
        f"{100 * rate:.1f} % of real {kind} images" for kind, rate in rates.items() if kind in cautions
    )
    yield f"cautions: {counts}; {above} of these above the threshold"
    yield f"  by the card of {model}, {shown} are above it"


def evidence_line(evidence: Mapping[str, int], num_models: int) -> str:
    """How many images have which evidence; of several models, the strongest counts."""
    words = ", ".join(f"{evidence.get(word, 0)} {word}" for word in EVIDENCE_WORDS)
    several = f" (the strongest of {num_models} models for each image)" if num_models > 1 else ""
    return f"evidence: {words}{several}"


def flags_line(flags: FirstSeen) -> str:
    """How many images have which flag."""
    return "flags: " + ", ".join(f"{count} {flag}" for flag, count in flags.by_number())


def counts_line(counts: Counts) -> str:
    """How many inputs there are, and how they ended; the numbers add up."""
    parts = f"{counts.scored} scored + {counts.failed} failed + {counts.skipped} skipped"
    pending = f" + {counts.pending} not looked at" if counts.pending else ""
    return f"{plural(counts.enumerated, 'input')} = {parts}{pending}"
