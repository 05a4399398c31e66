"""What a name in a list, or on the command line, is meant to be."""

from __future__ import annotations

import os
import re
import unicodedata
from urllib.parse import unquote_to_bytes

NOT_FOUND = "no such file or directory: "
"""How the reason starts where a name leads to nothing and something can be said of it."""

_QUOTES = "\"'"
_FILE_URL = re.compile(r"file:(?://(?:localhost)?)?(?=/(?!/))", re.IGNORECASE)
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_HOST = re.compile(r"(?://)?((?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}(?::[0-9]+)?)/\S")
_UNDECODED = re.compile("[\udc80-\udcff]")  # bytes that are not UTF-8


def name_in_list(line: str) -> str:
    """The name that a line of a list means: without quotes or blanks around it, and ``~`` as the home folder.

    A file whose name is exactly the line wins. A name that exists only in another form of Unicode (macOS and
    other systems compose accents differently) is taken in that form.
    """
    if not _is_untidy(line) or os.path.lexists(line):
        return line
    name = line.strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in _QUOTES:
        name = name[1:-1].replace(2 * name[0], name[0])
    if name.startswith("~"):
        name = os.path.expanduser(name)  # noqa: PTH111  (Path raises where there is no home folder)
    forms = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    return next((form for form in (name, *forms) if os.path.lexists(form)), name)


def local_path(name: str) -> str:
    """The path that a file:// address of this machine stands for; any other name unchanged."""
    match = _FILE_URL.match(name)
    if not match:
        return name
    path = name[match.end() :]
    if os.name == "nt":
        from urllib.request import url2pathname  # here: it loads the HTTP client

        return url2pathname(path)
    return os.fsdecode(unquote_to_bytes(path))


def hint_for_missing(name: str) -> str:
    """Why there may be no such file; it starts with `NOT_FOUND`, and is empty where nothing is known."""
    if host := _HOST.match(name):
        if not os.path.lexists(host[1]):
            return f"{NOT_FOUND}if it is a web address, https:// is missing: write https://{name.lstrip('/')}"
    elif _WINDOWS_PATH.match(name) and os.name != "nt":
        return f"{NOT_FOUND}it is a path of Windows; name the folder under which this system has the files"
    elif _UNDECODED.search(name):
        return (
            f"{NOT_FOUND}the name is not UTF-8; if the list was saved in another encoding, save it as UTF-8"
        )
    return ""


def _is_untidy(line: str) -> bool:
    return line != line.strip() or line[:1] in ("~", *_QUOTES) or not line.isascii()
