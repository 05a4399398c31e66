"""Text cells of a CSV report: one line each, no formula in any spreadsheet, and exactly invertible.

What a spreadsheet takes for a formula is after OWASP, "CSV Injection", which warns of separators inside of
cells, too: a comma-separated file opened as a semicolon-separated one, as spreadsheets do in half of
Europe, breaks cells where nobody meant it.
"""

from __future__ import annotations

import re

from sidscan.util.terminal import UNSAFE_CHARACTERS, escape_character

# = + - @, their full-width, small, raised and lowered forms (the same in Unicode's NFKC), the minus sign
_STARTS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u207c\u208c\u207a\u208a\u207b\u208b\u2212"
_ESCAPE = "x[0-9a-f]{2}|u[0-9a-f]{4}|U00(?:0[0-9a-f]|10)[0-9a-f]{4}"
_HIDDEN = re.compile(
    f"[{UNSAFE_CHARACTERS}\n\t]|\\\\(?={_ESCAPE})"
)  # or a backslash that would read as an escape
_BROKEN = re.compile(f"""([,;|][\\s"']*)([{_STARTS}])""")
_GUARDED = re.compile(f"""[\\s"']*[{_STARTS}]|'""")
_ESCAPED = re.compile(f"\\\\({_ESCAPE})")


def escape_cell(text: str) -> str:
    """``text`` as a cell.

    Control, invisible and undecodable characters become escapes (``\\x1b``), as do a backslash that would
    read as one, and what starts a formula behind a separator. A cell that would start as a formula, or with
    an apostrophe, gets an apostrophe in front.
    """
    shown = _HIDDEN.sub(lambda found: escape_character(found[0]), text)
    shown = _BROKEN.sub(lambda found: found[1] + escape_character(found[2]), shown)
    return f"'{shown}" if _GUARDED.match(shown) else shown


def unescape_cell(cell: str) -> str:
    """The text that `guarded` made this cell of; bytes of a name that are not UTF-8 as surrogate escapes."""
    return _ESCAPED.sub(lambda found: chr(int(found[1][1:], 16)), cell.removeprefix("'"))
