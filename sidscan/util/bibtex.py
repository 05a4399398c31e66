"""Bibliographic facts of a publication, and their entry for BibTeX."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sidscan.util.terminal import safe_line

_ACCENTS = {  # combining character -> LaTeX's command
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0306": "u",
    "\u0308": '"',
    "\u030a": "r",
    "\u030c": "v",
    "\u0326": "c",  # a comma below: LaTeX's nearest is the cedilla
    "\u0327": "c",
}
_LETTERS = {
    "ß": r"{\ss}",
    "ø": r"{\o}",
    "Ø": r"{\O}",
    "ł": r"{\l}",
    "Ł": r"{\L}",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


@dataclass(frozen=True)
class Citation:
    """The facts of a publication by which a text cites it.

    Attributes:
        key: how a text cites it.
        kind: of BibTeX's entries.
        authors: ``Family, Given`` each; an organisation has no comma.
        venue: of ``inproceedings`` the proceedings, of ``article`` the journal, of ``misc`` how it was
            published; of an ``article`` on arXiv ``arXiv preprint``.
        arxiv: its number there.
        others: whether there are more authors than are named.
    """

    key: str
    kind: Literal["inproceedings", "article", "misc"]
    title: str
    authors: tuple[str, ...]
    year: int
    venue: str = ""
    doi: str = ""
    arxiv: str = ""
    volume: str = ""
    number: str = ""
    pages: str = ""
    url: str = ""
    note: str = ""
    others: bool = False

    def bibtex(self) -> str:
        """The entry, in ASCII."""
        place = {"inproceedings": "booktitle", "article": "journal", "misc": "howpublished"}[self.kind]
        names = [latex(name) if "," in name else f"{{{latex(name)}}}" for name in self.authors]
        fields = {
            "author": " and ".join([*names, *(["others"] if self.others else [])]),
            "title": f"{{{latex(self.title)}}}",
            place: latex(self.venue),
            "year": str(self.year),
            "volume": self.volume,
            "number": self.number,
            "pages": self.pages.replace("-", "--"),
            "doi": self.doi,
            "eprint": self.arxiv,
            "archivePrefix": "arXiv" if self.arxiv else "",
            "url": self.url,
            "note": latex(self.note),
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


def latex(text: str) -> str:
    """Text as LaTeX prints it, on one line, in ASCII where LaTeX has a command for the character."""
    return "".join(map(_character, " ".join(text.split())))


def _character(character: str) -> str:
    if character in _LETTERS:
        return _LETTERS[character]
    decomposed = unicodedata.normalize("NFD", character)
    if len(decomposed) == 2 and decomposed[1] in _ACCENTS:
        base = {"i": r"\i", "j": r"\j"}.get(decomposed[0], decomposed[0])
        return f"{{\\{_ACCENTS[decomposed[1]]}{{{base}}}}}"
    return character


def bibliography(citations: Mapping[str, tuple[Citation, ...]], notes: tuple[str, ...] = ()) -> str:
    """A .bib file: what each thing is cited by as comments, then each entry once.

    Args:
        citations: of what -> its publications.
        notes: other comments.
    """
    lines = [f"% {what}: {', '.join(each.key for each in own)}" for what, own in citations.items() if own]
    entries = {each.key: each for own in citations.values() for each in own}
    lines += [f"% {note}" for note in notes]
    return "\n".join([*map(_one_line, lines), "", *(f"{each.bibtex()}\n" for each in entries.values())])


def _one_line(comment: str) -> str:
    """A comment without what would end it, or begin an entry: BibTeX reads an ``@`` anywhere.

    Names come from files of strangers, so characters that a terminal obeys are escaped.
    """
    return safe_line(" ".join(comment.split())).replace("@", "(at)")
