"""Writes sidscan.1, a man page with the --help of every command: `python docs/make_man.py FOLDER`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from make_cli import page

from sidscan import __version__

_HEAD = f"""\
.TH SIDSCAN 1 "" "sidscan {__version__}" "User Commands"
.SH NAME
sidscan \\- find the images of an archive that deserve a person's look
"""


def man_page() -> str:
    """The page in the language of man(7): a section for every command, its help as it is printed."""
    sections = re.findall(r"^##+ (sidscan[^\n]*)\n\n```text\n(.*?)\n```$", page(), re.MULTILINE | re.DOTALL)
    return _HEAD + "".join(f".SH {name.upper()}\n.nf\n{_literal(text)}\n.fi\n" for name, text in sections)


def _literal(text: str) -> str:
    """Text that man shows as it is: a line must not begin as a request, and hyphens stay hyphens."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", escaped, flags=re.MULTILINE)


if __name__ == "__main__":
    Path(sys.argv[1], "sidscan.1").write_text(man_page(), encoding="utf-8", newline="\n")
