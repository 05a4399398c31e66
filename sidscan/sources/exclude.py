"""What --exclude leaves out, by patterns in the syntax of .gitignore."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sidscan.errors import UsageError
from sidscan.records import EXCLUDED_PREFIX
from sidscan.util.files import real_path

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_SPECIAL = re.compile(r"[*?\[\]!#\\ ]")  # characters that mean something in a pattern
_REMEDY = "Write, for example, --exclude thumbnails, --exclude '*.gif' or --exclude images/private."


class Exclusions:
    """Patterns of paths that are neither walked nor read.

    A pattern without a slash, or with one only at its end, is compared with names, any other one with paths:
    with the path below the folder that is scanned, and with the path as seen from the current folder. A
    `Path` is that file or folder alone.

    Raises:
        UsageError: a pattern means nothing.
    """

    def __init__(self, patterns: str | Path | Sequence[str | Path]) -> None:
        given = (patterns,) if isinstance(patterns, (str, Path)) else tuple(patterns)
        self._below = _compile([(text, _below_root(text)) for text in given if isinstance(text, str)])
        absolute = [(os.fspath(each), _absolute(each)) for each in given]
        self._anywhere = _compile([(text, pattern) for text, pattern in absolute if pattern])

    def below(self, root: str) -> Callable[[str], str]:
        """A function of a path below ``root`` (with a slash behind a folder): why it is left out, or ""."""
        bases = _bases(root)
        return lambda path: self._reason(path, [f"{base}/{path}" for base in bases])

    def of_name(self, name: str, shown: str) -> str:
        """Why a file or folder that somebody named is left out; empty if it is not.

        Args:
            shown: the part of the name that is compared with patterns of names.
        """
        end = "/" if os.path.isdir(name) else ""  # noqa: PTH112  (Path.is_dir raises on impossible names)
        return self._reason(f"{shown}{end}", [f"{base}{end}" for base in _bases(name)])

    def _reason(self, path: str, absolute: list[str]) -> str:
        if self._below:
            included = self._below.spec.check_file(path)
            if included.include is not None:  # the last pattern that matches decides; "!" takes back
                return _words(self._below, included.index) if included.include else ""
        if self._anywhere:
            for name in absolute:
                found = self._anywhere.spec.check_file(name)
                if found.include:
                    return _words(self._anywhere, found.index)
        return ""


class _Patterns(NamedTuple):
    texts: tuple[str, ...]  # as they were given
    spec: GitIgnoreSpec


def _compile(patterns: list[tuple[str, str]]) -> _Patterns | None:
    if not patterns:
        return None
    from pathspec import GitIgnoreSpec  # here: most scans exclude nothing, and an error shall come at once

    for text, pattern in patterns:
        try:
            means_something = all(
                each.include is not None for each in GitIgnoreSpec.from_lines([pattern]).patterns
            )
        except ValueError:
            means_something = False
        if not means_something or not pattern.strip():
            raise UsageError(f"--exclude {text!r} is not a pattern", _REMEDY)
    return _Patterns(tuple(text for text, _ in patterns), GitIgnoreSpec.from_lines([p for _, p in patterns]))


def _words(patterns: _Patterns, index: int | None) -> str:
    return excluded_by(patterns.texts[index or 0])


def excluded_by(pattern: str) -> str:
    """The reason of a row that a pattern leaves out."""
    return f"{EXCLUDED_PREFIX}{pattern}"


def _below_root(text: str) -> str:
    """A pattern as pathspec reads it; ``#`` is a comment in a file, but not in an option."""
    pattern = _with_slashes(text)
    return f"\\{pattern}" if pattern.startswith("#") else re.sub(r"^(\./)+", "/", pattern)


def _absolute(each: str | Path) -> str:
    """The pattern of a whole path that an option stands for; empty for a pattern of names."""
    if isinstance(each, Path):
        return _escaped(str(each.absolute()))
    pattern = _with_slashes(each)
    if "/" not in pattern.rstrip("/") or pattern.startswith(("!", "#", "**/")):
        return ""
    if os.path.isabs(pattern):  # noqa: PTH117  (a pattern is no path)
        return pattern
    end = "/" if pattern.endswith("/") else ""
    return _with_slashes(os.path.normpath(f"{_escaped(str(Path.cwd()))}/{pattern}")) + end


def _escaped(path: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", _with_slashes(path))


def _with_slashes(path: str) -> str:
    return path.replace(os.sep, "/")


def _bases(path: str) -> tuple[str, ...]:
    """The absolute paths of a file or folder: as it was named, and without links."""
    named = os.path.abspath(path)  # noqa: PTH100  (links stay)
    return tuple(dict.fromkeys((named.rstrip("/"), str(real_path(path)).rstrip("/"))))
