"""A datasheet for a data set, as Markdown: measured counts, and questions that only a person can answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sidscan._version import __version__
from sidscan.util.bibtex import Citation

from .inventory import Totals
from .statements import Statements


def datasheet(stated: Statements, totals: Totals, papers: Sequence[Citation]) -> str:
    """Markdown with the sections of Gebru et al., "Datasheets for datasets" (CACM 2021).

    What is measured is filled in; every question that only a person can answer stands there as a question.
    """
    return "\n\n".join(_datasheet(stated, totals, papers)) + "\n"


def _datasheet(stated: Statements, totals: Totals, papers: Sequence[Citation]) -> Iterator[str]:
    yield f"# Datasheet: {_cell(stated.name)}"
    yield f"Counts are measured by sidscan {__version__}. What stands in *italics* is for a person to answer."
    yield "## Motivation"
    yield stated.description or "*Why was the data set made?*"
    yield f"Made by: {stated.creator or '*Who made it, and who paid for it?*'}"
    yield "## Composition"
    yield _composition(totals)
    yield "*Are there people in the images? Could an image harm or identify somebody?*"
    yield "## Collection"
    yield "*Where do the real images come from, and when were they taken? Who agreed to this use?*"
    yield "*By which versions, settings and prompts were the synthetic images made?*"
    yield "## Preprocessing"
    yield _formats(totals)
    yield "*Were images resized, cropped or saved again? Detectors learn such differences between labels.*"
    yield "## Uses"
    yield "*What should it not be used for? Which generators does it lack?*"
    yield "## Distribution"
    yield f"Licence: {stated.licence or '*Which one? Real images often have another than synthetic ones.*'}"
    yield f"Address: {stated.url or '*Where is it?*'}"
    yield f"Published: {stated.published or '*When?*'}"
    if papers:
        yield "\n".join(["```bibtex", *(paper.bibtex() for paper in papers), "```"])
    yield "## Maintenance"
    yield "*Who answers questions, removes images on request, and corrects labels?*"


def _composition(totals: Totals) -> str:
    labels = Counter[str]()
    for (_, _, label, _), count in totals.groups.items():
        labels[label] += count
    counts = ", ".join(f"{count:,} {label}" for label, count in sorted(labels.items()))
    size = f"{totals.size:,} bytes"
    lines = [
        f"{totals.images:,} images ({counts}), {size}. {totals.copies:,} have the bytes of an earlier one.",
        "",
        "| part | set | label | generator | images |",
        "| --- | --- | --- | --- | ---: |",
    ]
    for group, count in sorted(totals.groups.items()):
        lines.append(f"| {' | '.join(_cell(cell) or '-' for cell in group)} | {count:,} |")
    return "\n".join(lines)


def _formats(totals: Totals) -> str:
    lines = ["| label | format | images |", "| --- | --- | ---: |"]
    for (label, container), count in sorted(totals.formats.items()):
        lines.append(f"| {label} | {container} | {count:,} |")
    lines += [
        "",
        "| label | smallest longer side, pixels | median | greatest |",
        "| --- | ---: | ---: | ---: |",
    ]
    for label in sorted(totals.sides):
        lines.append(f"| {label} | {' | '.join(f'{side:,}' for side in totals.side_quantiles(label))} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Text that ends no cell and no line."""
    return " ".join(text.split()).replace("|", "\\|")
