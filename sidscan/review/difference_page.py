"""Differences as a page in the style of the HTML report: tables alone, no script, nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from string import Template
from typing import TextIO

from sidscan.records import EVIDENCE_WORDS
from sidscan.reports.html.head import text
from sidscan.reports.html.parts import csp_hash, page_part
from sidscan.reports.stated import StatedResult, StatedScore
from sidscan.review import difference_text as words
from sidscan.review.compared_runs import ComparedRun
from sidscan.review.comparison import Comparison
from sidscan.review.difference_files import DIFFERENCES_FORMAT_NUMBER
from sidscan.review.differences import Change, Difference

PAGE_ROWS = 1_000
"""Inputs that the page lists of each kind of change."""


def write_page(
    old: ComparedRun, new: ComparedRun, comparison: Comparison, everything: bool, file: TextIO
) -> None:
    """Write the page.

    Args:
        everything: list inputs that did not change, too.
    """
    strings, style = json.loads(page_part("differences.json")), page_part("page.css")
    title = strings["title"].format(old=old.path.name, new=new.path.name)
    lines = [*words.head_lines(old, new, comparison), *words.count_remarks(old, new, comparison)]
    head = "\n".join(f"<p>{text(line)}</p>" for line in lines)
    file.write(
        Template(page_part("differences.html")).substitute(
            number=DIFFERENCES_FORMAT_NUMBER,
            policy=f"default-src 'none'; style-src '{csp_hash(style)}'; base-uri 'none'; form-action 'none'",
            title=text(title),
            style=style,
            head=f'{head}\n<p class="caution">{text(strings["caution"])}</p>',
        )
    )
    listed = [change for change in Change if comparison.counts[change] and (everything or change.differs)]
    file.writelines(_counts(comparison, listed, strings))
    for change in listed:
        file.writelines(_section(comparison, change, strings))
    file.write("</main>\n</body>\n</html>\n")


def _counts(comparison: Comparison, listed: list[Change], strings: dict[str, str]) -> Iterator[str]:
    """A table of all classes; those that are listed are links."""
    yield f'<section>\n<h2>{text(strings["counts"])}</h2>\n<table class="static counts">\n'
    yield _row("th", strings["change"], strings["inputs"])
    for change in Change:
        name = text(change.value)
        if change in listed:
            name = f'<a href="#{change.name.lower()}">{name}</a>'
        yield f'<tr><td>{name}</td><td class="number">{comparison.counts[change]:,}</td></tr>\n'
    total = comparison.counts.total()
    yield f'<tr><th scope="row">{text(strings["total"])}</th><td class="number">{total:,}</td></tr>\n'
    yield "</table>\n</section>\n"


def _section(comparison: Comparison, change: Change, strings: dict[str, str]) -> Iterator[str]:
    """The table of one class, the strongest evidence first."""
    count = comparison.counts[change]
    yield f'<section>\n<h2 id="{change.name.lower()}">{text(change.value)}: {count:,}</h2>\n'
    yield f"<p>{text(strings['explained'][change.value])}</p>\n"  # type: ignore[index]
    yield from (f"<p>{text(line)}</p>\n" for line in words.why_lines(comparison, change))
    if count > PAGE_ROWS:
        yield f"<p>{text(strings['shown'].format(shown=f'{PAGE_ROWS:,}', count=f'{count:,}'))}</p>\n"
    yield '<table class="static differences">\n'
    yield _row("th", *(strings[name] for name in ("image", "before", "after", "remarks")))
    yield from map(_difference_row, comparison.differences(change, most=PAGE_ROWS))
    yield "</table>\n</section>\n"


def _row(tag: str, *cells: str) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    return f"<tr>{''.join(f'<{tag}{scope}>{text(cell)}</{tag}>' for cell in cells)}</tr>\n"


def _difference_row(difference: Difference) -> str:
    decimals = words.decimals(difference)
    states = (
        f"<td>{_state(difference.old, difference.old_score, decimals)}</td>"
        f"<td>{_state(difference.new, difference.new_score, decimals)}</td>"
    )
    name = f'<td class="image"><span class="name">{text(words.names(difference))}</span></td>'
    remarks = f"<td>{text('; '.join(words.remarks(difference)))}</td>"
    return f"<tr>{name}{states}{remarks}</tr>\n"


def _state(result: StatedResult | None, score: StatedScore | None, decimals: int) -> str:
    """Score and word of evidence with its colour, or the status."""
    if result is None:
        return ""
    if score is None:
        return f'<span class="word none">{text(result.status)}</span>'
    strength = "0" if score.evidence not in EVIDENCE_WORDS else str(4 - EVIDENCE_WORDS.index(score.evidence))
    return f'{score.score:.{decimals}f} <span class="word e{strength}">{text(score.evidence)}</span>'
