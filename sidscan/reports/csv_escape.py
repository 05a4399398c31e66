"""Text cells of a CSV report: one line each, no formula in any spreadsheet, exactly invertible unless cut.

OWASP, "CSV Injection", lists what a spreadsheet takes for a formula. It also warns of separators inside
cells: in half of Europe, spreadsheets open a comma-separated file as a semicolon-separated one, and so split
cells where nobody intended it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from sidscan.util.terminal import UNSAFE_CHARACTERS, escape_character

# = + - @, their full-width, small, raised and lowered forms (the same in Unicode's NFKC), the minus sign
FORMULA_STARTS = (
    "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u207c\u208c\u207a\u208a\u207b\u208b\u2212"
)
ESCAPE_PATTERN = "x[0-9a-f]{2}|u[0-9a-f]{4}|U00(?:0[0-9a-f]|10)[0-9a-f]{4}"
_HIDDEN = re.compile(
    f"[{UNSAFE_CHARACTERS}\n\t]|\\\\(?={ESCAPE_PATTERN})"
)  # or a backslash that would read as an escape
_AFTER_SEPARATOR = re.compile(f"""([,;|][\\s"']*)([{FORMULA_STARTS}])""")
_FORMULA_OR_APOSTROPHE = re.compile(f"""[\\s"']*[{FORMULA_STARTS}]|'""")
# What most cells hold, by which a report of a million rows is written sooner: nothing of the above.
_PLAIN = re.compile(r"(?:[A-Za-z0-9/.][A-Za-z0-9 /.:_+=@-]{0,999})?")
_WORD = 32  # characters
_LONGEST = 32_767  # UTF-16 units: what a cell of Excel holds; it puts the rest into the rows below
_HALF_ESCAPE = re.compile(r"\\(?:x[0-9a-f]?|u[0-9a-f]{0,3}|U[0-9a-f]{0,7})?\Z")  # what a cut leaves of one
_ESCAPES = re.compile(f"\\\\({ESCAPE_PATTERN})")


def escape_text(text: str) -> str:
    """``text`` as a cell, however long.

    Control, invisible and undecodable characters become escapes (``\\x1b``). So do a backslash that would
    read as an escape, and a character that starts a formula after a separator. A cell that would start as a
    formula, or with an apostrophe, gets an apostrophe in front.
    """
    escaped = _HIDDEN.sub(lambda match: escape_character(match[0]), text)
    escaped = _AFTER_SEPARATOR.sub(lambda match: match[1] + escape_character(match[2]), escaped)
    return f"'{escaped}" if _FORMULA_OR_APOSTROPHE.match(escaped) else escaped


def escape_cell(text: str) -> str:
    """As `escape_text`; what Excel could not hold is cut, and ends in a mark that says how long it is."""
    return _escaped_word(text) if len(text) <= _WORD else _escaped(text)


def _escaped(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    cell = escape_text(text)
    return cell if _fits(cell) else _cut(cell, f"...[cut: {len(text)} characters, all in JSON]")


_escaped_word = lru_cache(4096)(_escaped)  # formats, dates, verdicts: rows have the same ones again and again


def _fits(cell: str) -> bool:
    """Whether a cell of Excel holds it all."""
    if len(cell) <= _LONGEST // 2:  # quick: no character has more than two units
        return True
    return len(cell) + sum(character > "\uffff" for character in cell) <= _LONGEST


def _cut(cell: str, mark: str) -> str:
    """The start of a cell, without half an escape or half a character at its end, and ``mark``."""
    units = cell.encode("utf-16-le")[: 2 * (_LONGEST - len(mark))]
    return _HALF_ESCAPE.sub("", units.decode("utf-16-le", "ignore")) + mark


def unescape_cell(cell: str) -> str:
    """The text that `escape_cell` got, unless that was cut; bytes that are not UTF-8 as surrogate escapes."""
    return _ESCAPES.sub(lambda match: chr(int(match[1][1:], 16)), cell.removeprefix("'"))
