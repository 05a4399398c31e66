"""The parts of the page that Python writes as HTML: its head, and a table for browsers without scripts."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import cast

from sidscan.records import Counts, RunHeader, ScanResult, Selection
from sidscan.reports.provenance_words import SHORT, said
from sidscan.util.terminal import safe_line

_WORDS = ("very strong", "strong", "moderate", "weak", "inconclusive")


@dataclass
class SaidCount:
    """Counts what files say of their own origin.

    Attributes:
        verdicts: number of files per `provenance_words.said`; those whose metadata nobody read are not among
            them.
        checked: what verified signatures.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    checked: set[str] = field(default_factory=set)

    def add(self, result: ScanResult) -> None:
        """Count one result."""
        if provenance := result.facts.provenance:
            self.verdicts[said(provenance)] += 1
            self.checked |= {provenance.checked} - {""}

    def sentence(self, strings: Mapping[str, str | Mapping[str, str]]) -> str:
        """How many files claim AI, and how little that proves."""
        if not any(self.verdicts[word] for word, short in SHORT.items() if short.sign):
            return str(strings["filesSayNothing"])
        names = cast(Mapping[str, str], strings["filesSayWords"])
        counts = ((self.verdicts[word], names[word]) for word in names)
        return str(strings["filesSay"]).format(
            words=", ".join(f"{name} ({count})" for count, name in counts if count)
        )


def page_title(header: RunHeader) -> str:
    """The title: what was scanned, and when."""
    names = [*header.inputs, *header.lists]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    title = f"sidscan report: {', '.join(names[:2])}{more}" if names else "sidscan report"
    return f"{title} (a sample)" if header.sample else title


def head(
    header: RunHeader,
    counts: Counts,
    evidence: Counter[str],
    strings: Mapping[str, str | Mapping[str, str]],
    selection: Selection | None = None,
    said: SaidCount | None = None,
) -> str:
    """What stands above the list: counts, what the evidence amounts to, the models, facts about the run.

    Args:
        evidence: number of images per word of evidence.
        strings: the texts of the page.
        said: what the files say of their origin.
        selection: what the page shows of the run, unless that is all.
    """
    sums = str(strings["counts"]).format_map(asdict(counts))
    words = ", ".join(f"{evidence[word]} {word}" for word in _WORDS if evidence[word])
    amount = f" {strings['words']}".format(words=words) if words else ""
    if len(header.models) > 1:
        amount += f" {strings['several']}"
    said = said or SaidCount()
    facts = _facts(header, cast(Mapping[str, str], strings["heads"]), said)
    part = "" if header.listing_complete else str(strings["notListed"])
    if counts.pending:
        sums += str(strings["unseen"]).format(unseen=counts.pending)
        part = part or str(strings["notAll"])
        part = str(strings["part"]).format(sample=header.sample) if header.sample else part
    lines = [
        *([f"<p><strong>{text(part)}</strong></p>"] if part else []),
        *([f"<p><strong>{text(_selected(selection, strings) + amount)}</strong></p>"] if selection else []),
        f"<p>{text(sums)}.{'' if selection else text(amount)}</p>",
        *([f"<p>{text(said.sentence(strings))}</p>"] if said.verdicts else []),
        f'<p class="caution">{text(str(strings["caution"]))}</p>',
        *(f"<p>{model}</p>" for model in _models(header)),
        *(f"<p>{text(str(stated['sentence']))}.</p>" for stated in header.reliability.values()),
        f'<details><summary>{text(str(strings["about"]))}</summary><div tabindex="0">{facts}</div></details>',
    ]
    return "\n".join(lines)


def _selected(selection: Selection, strings: Mapping[str, str | Mapping[str, str]]) -> str:
    return str(strings["selected"]).format(selection=selection)


def static_table(results: Iterable[ScanResult], several_models: bool) -> str:
    """A plain table of results; a message stands under its path."""
    names = ("evidence", "score", *(["model"] if several_models else []), "path")
    rows = ["".join(f'<th scope="col">{name}</th>' for name in names)]
    for result in results:
        score = result.strongest
        evidence = score.evidence if score else result.status.value
        shown = f"{score.score:.3f}" if score else ""
        model = f"<td>{text(score.model) if score else ''}</td>" if several_models else ""
        message = f'<div class="dim">{text(result.message)}</div>' if result.message else ""
        path = f'<td class="name">{text(result.name)}{message}</td>'
        rows.append(f"<td>{text(evidence)}</td><td>{shown}</td>{model}{path}")
    return '<table class="static">' + "".join(f"<tr>{row}</tr>\n" for row in rows) + "</table>"


def text(words: str) -> str:
    """Text of a stranger as HTML: escaped, nothing invisible, nothing that turns the reading direction."""
    return html.escape(safe_line(words))


def _models(header: RunHeader) -> Iterable[str]:
    """One line of HTML per model: its threshold, its calibration, its weights."""
    for model in header.models:
        facts = [] if model.threshold is None else [f"threshold {model.threshold:.4g}"]
        if calibration := header.calibrations.get(model.name):
            images, rate = calibration.pictures, calibration.target_fpr
            facts.append(f"calibrated on {images} images (false-positive rate {rate:g})")
        facts.append(f"weights {model.digest}")
        yield f"Model: <strong>{text(model.name)}</strong>, {text(', '.join(facts))}"


def _facts(header: RunHeader, names: Mapping[str, str], said: SaidCount) -> str:
    of_crops = not header.models or any(not model.view for model in header.models)
    pairs = [
        (names["inputs"], ", ".join((*header.inputs, *header.lists))),
        (names["choice"], header.model_choice),
        (names["provenance"], header.model_provenance),
        (names["runtime"], f"{header.runtime}, {header.device}, {header.precision}"),
        (names["checkedBy"], ", ".join(sorted(said.checked)) if said.checked else names["notChecked"]),
        (names["crops"], f"{header.crops}, effort {header.effort}" if of_crops else ""),
        *((names["read"].format(model=model.name), model.view) for model in header.models),
        (names["decoder"], header.decoder),
        (names["version"], header.sidscan_version),
        (names["private"], names["withheld"] if header.private else ""),
    ]
    for session in header.sessions:
        ended, command = session.ended or names["unended"], " ".join(session.command or ())
        pairs.append((names["session"].format(started=session.started), f"{ended}; {command}"))
    entries = (f"<dt>{text(name)}</dt><dd>{text(words)}</dd>" for name, words in pairs if words)
    return f"<dl>{''.join(entries)}</dl>"
