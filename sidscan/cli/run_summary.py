"""The closing lines of a run of shards, which are those of a scan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sidscan.cli.copies_text import ABOVE, CopyCount, repeats_line, unhashed_lines
from sidscan.cli.provenance_text import ProvenanceCount
from sidscan.cli.ranking import Ranking, highest_lines
from sidscan.cli.reasons import FirstSeen, Reasons
from sidscan.cli.summary import caution_lines, counts_line, evidence_line, flags_line
from sidscan.records import EVIDENCE_WORDS, RunRecord

if TYPE_CHECKING:
    from sidscan.distributed.journals import PublishedJournal
    from sidscan.distributed.record import ShardedRecord
    from sidscan.journal.tallies import ScoredGroup
    from sidscan.review.annotated import AnnotatedRecord

_HIGHEST = 5  # images named


class RunSummary:
    """What the closing lines say. The records of the shards count; few results are read back.

    Args:
        record: results with their copies.
        hashed: whether the run makes perceptual hashes.
    """

    def __init__(self, sharded: ShardedRecord, record: AnnotatedRecord, hashed: bool) -> None:
        self._header, self._counts, self._repeats = sharded.header(), sharded.counts(), sharded.repeats()
        self._evidence, self._reasons, self._flags = Counter[str](), Reasons(), FirstSeen()
        self._cautions, self._cautioned = FirstSeen(), 0  # of the first model; how many are above
        self._provenance, self._copies, self._unhashed = ProvenanceCount(), CopyCount(), 0
        before = 0  # inputs of earlier shards
        for _, journal in sharded.shards():
            self._add_scored(journal, before, hashed)
            self._add_others(journal, before)
            before += journal.counts().enumerated
        if record.has_copies:
            for result in map(record.annotated, sharded.possible_copies()):
                self._copies.add(result)

    def _add_scored(self, journal: PublishedJournal, before: int, hashed: bool) -> None:
        groups = list(journal.scored_groups([None] * len(self._header.models)))
        self._add_provenance(journal, groups)
        for group in groups:
            self._evidence[min(group.evidence, key=EVIDENCE_WORDS.index)] += group.number
            for flag in group.flags:
                self._flags.add(flag, group.number, before + group.first)
            for kind in group.cautions:
                self._cautions.add(kind, group.number, before + group.first)
            self._cautioned += group.number * (bool(group.cautions) and group.evidence[0] in ABOVE)
            self._unhashed += group.number * (hashed and not group.hashed)

    def _add_provenance(self, journal: PublishedJournal, groups: Sequence[ScoredGroup]) -> None:
        """Results are read back only where a file says more than a verdict."""
        for group in groups:
            if not group.states:
                self._provenance.add_verdicts(group.verdict, group.number, group.complete)
        for result in journal.with_statements() if any(group.states for group in groups) else ():
            self._provenance.add(result)

    def _add_others(self, journal: PublishedJournal, before: int) -> None:
        for message, number, first in journal.listing_reasons():
            self._reasons.add_skipped(message, number, before + first)
        for position, result in journal.other_results():
            self._reasons.add(result, before + position)
            self._provenance.add(result)
            for flag in result.facts.flags:
                self._flags.add(flag, 1, before + position)

    def lines(self) -> Iterator[str]:
        """What came of the inputs, and how often the models are right."""
        header = self._header
        yield counts_line(self._counts)
        if self._evidence:
            yield evidence_line(self._evidence, len(header.models))
            model = header.models[0]
            rates = {str(each["kind"]): float(each["false_positive_rate"]) for each in model.cautions}
            yield from caution_lines(self._cautions, self._cautioned, model.name, rates)
        yield from self._provenance.lines()
        yield from self._reasons.lines()
        if self._flags:
            yield flags_line(self._flags)
        yield from self._copy_lines()
        if self._evidence:
            yield from (str(stated["sentence"]) for stated in header.reliability.values())

    def _copy_lines(self) -> Iterator[str]:
        if self._repeats:
            yield repeats_line(self._repeats)
        yield from self._copies.lines()
        if self._unhashed:
            yield from unhashed_lines(self._unhashed)


def strongest_lines(record: RunRecord) -> list[str]:
    """The images with the strongest evidence, as a report names them."""
    ranking = Ranking(_HIGHEST)
    for result in record.ranked():  # few are read back
        if ranking.is_full() or not result.scores:
            break
        ranking.add(result)
    return highest_lines(ranking.highest())
