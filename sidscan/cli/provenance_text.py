"""What a file says of its own origin, in words: one file for a person, all files in the closing lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from textwrap import wrap

from sidscan.cli.console import plural
from sidscan.records import EVIDENCE_WORDS, Marker, Provenance, ScanResult, SignatureCheck, Trace
from sidscan.reports.provenance_words import (
    ANSWERS,
    CREDITS,
    LABELS,
    LISTED_ANSWERS,
    NO_VERIFIER,
    NOT_LISTED,
    STRENGTHS,
    UNHARMED,
    said,
    verdict_text,
)

_AI_WORDS = ("ai_generated", "ai_edited", "ai_hint")
_LESS = "a graph of ComfyUI or a label 'may be generated'"
_LONGEST = 300  # characters of a value
_WIDTH = 96  # characters
_TRACES = "traces of how the file was saved and handled; observations, none of which says that AI was used:"
_NO_TRACES = "traces of how the file was saved and handled: none of those that sidscan looks for"


def provenance_lines(provenance: Provenance) -> Iterator[str]:
    """What one file says, for a person: the verdict, what backs it, every marker, and IPTC's credits."""
    yield from wrap(verdict_text(provenance), _WIDTH)
    if provenance.strength:
        yield from wrap(STRENGTHS[provenance.strength], _WIDTH)
    if provenance.signature:
        yield from _signature_lines(provenance.signature, provenance.checked)
    elif provenance.has_unchecked_signature:
        yield NO_VERIFIER
    if provenance.says:
        named = "program" if provenance.verdict == "no_ai_claim" else "says"
        yield f"{LABELS[named]}: {'; '.join(provenance.says)}"
    for marker in provenance.markers:
        yield from _marker_lines(marker)
    for name in CREDITS:
        if text := getattr(provenance, name):
            yield f"{LABELS[name]}: {_shortened(text)}"


def trace_lines(traces: tuple[Trace, ...]) -> Iterator[str]:
    """The traces of one file for a person, each with what it does not mean."""
    from sidscan.traces import trace_kinds  # here: `--help` needs none of it

    limits = {kind.id: kind.limits for kind in trace_kinds()}
    yield _TRACES if traces else _NO_TRACES
    for trace in traces:
        place = f" {trace.container}, byte {trace.offset}" if trace.offset else ""
        yield f"  {trace.id}{place}"
        yield f"    {trace.detail}{': ' if trace.value else ''}{_shortened(trace.value)}"
    for each in dict.fromkeys(trace.id for trace in traces):
        yield from wrap(f"{each}: {limits[each]}", _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _signature_lines(signature: SignatureCheck, checked: str) -> Iterator[str]:
    yield f"{LABELS['checked']} {checked}:"
    if signature.error:
        yield f"  {LABELS['error']}: {_shortened(signature.error)}"
        return
    for name in ("bytes_unchanged", "signature_good"):
        yield f"  {LABELS[name]}: {ANSWERS[getattr(signature, name)]}"
    yield f"  {LABELS['signer_listed']}: {LISTED_ANSWERS[signature.signer_listed]}"
    if signature.signed_at:
        yield f"  {LABELS['signed_at']}: {signature.signed_at}"
    if signature.codes:
        yield f"  {LABELS['codes']}: {', '.join(signature.codes)}"
        if signature.is_unharmed:
            yield f"  {UNHARMED}"
        if signature.is_unharmed and signature.signer_listed is False:
            yield f"  {NOT_LISTED}"


def _marker_lines(marker: Marker) -> Iterator[str]:
    place = f"{marker.container}, byte {marker.offset}" if marker.container else "the file"
    yield f"{marker.id} ({marker.verdict}) in {place}"
    if marker.value:
        yield f"  {marker.key}{': ' if marker.key else ''}{_shortened(marker.value)}"
    if marker.signer:
        yield f"  {LABELS['signer']}: {marker.signer}"


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."


class ProvenanceCount:
    """Counts what the files of a scan say, for its closing lines."""

    def __init__(self) -> None:
        self._verdicts = Counter[str]()
        self._weak = self._without = self._less = self._unchecked = self._failed_checks = 0

    def add(self, result: ScanResult) -> None:
        """Count one result."""
        provenance, strongest = result.facts.provenance, result.strongest
        if provenance is None:
            self._without += strongest is not None and result.share_scored is not None
            return
        self._verdicts[provenance.verdict] += 1
        self._unchecked += provenance.has_unchecked_signature
        self._failed_checks += bool(provenance.signature and provenance.signature.error)
        self._less += provenance.verdict == "ai_generated" and said(provenance) != provenance.verdict
        if provenance.verdict in _AI_WORDS[:2] and strongest is not None:
            self._weak += strongest.evidence in EVIDENCE_WORDS[EVIDENCE_WORDS.index("weak") :]

    def add_verdicts(self, verdict: str | None, number: int, complete: bool) -> None:
        """Count scored images whose files say no more than a verdict; None where nobody looked.

        Args:
            complete: whether a version that fills all columns made their results.
        """
        if verdict is None:
            self._without += number * complete
        else:
            self._verdicts[verdict] += number

    def lines(self) -> Iterator[str]:
        """How many files claim what; nothing where none does."""
        made, parts = self._verdicts["ai_generated"], self._verdicts["ai_edited"]
        if made or parts:
            verb = "says" if made == 1 else "say"
            of_parts = f", {parts} that it made parts" if parts else ""
            has = "has" if self._weak == 1 else "have"
            yield (
                f"provenance: {plural(made, 'file')} {verb} that AI made the image{of_parts}; "
                f"{self._weak} of these {has} weak or inconclusive evidence"
            )
        if self._less:
            holds = "holds" if self._less == 1 else "hold"
            yield f"  ({self._less} of these {holds} only {_LESS}, which say less)"
        others = {
            "ai_hint": "a weak trace of AI",
            "held_elsewhere": "a history that is kept elsewhere",
            "unreadable": "metadata that can't be read",
            "format_not_read": "a format whose metadata sidscan does not read",
        }
        for word, what in others.items():
            if count := self._verdicts[word]:
                yield f"provenance: {plural(count, 'file')} with {what} ({word})"
        if self._unchecked:
            yield f"{plural(self._unchecked, 'signature')} not checked (`pip install c2pa-python`)"
        if self._failed_checks:
            yield f"{plural(self._failed_checks, 'signature')} could not be checked (JSON reports say why)"
        if self._without:
            made_by = "result was" if self._without == 1 else "results were"
            yield f"{self._without} {made_by} kept from a sidscan that did not read provenance"
            yield "  (these columns are empty there; --fresh scans all images again)"
