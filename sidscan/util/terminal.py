"""Make text from images, file names and servers safe to show on a terminal."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from typing import TextIO

Echo = Callable[[str], None]
"""Shows a line of text to the user."""

ELLIPSIS = "..."
"""Stands for what is cut from a text that has no room; ASCII, for any terminal."""

UNSAFE_CHARACTERS = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but newline and tab
    "\ud800-\udfff\ufffe\uffff"  # lone surrogates, noncharacters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # turn the reading direction (UAX 9)
    "\u2028\u2029\ufff9-\ufffb"  # separators of lines and paragraphs, annotations
    # Shown as nothing (UAX 44, Default_Ignorable_Code_Point): zero width, fillers, tags, variation selectors
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Characters that never reach a terminal unescaped, in the syntax of a regular expression's class."""

_UNSAFE = re.compile(f"[{UNSAFE_CHARACTERS}]")
_UNSAFE_IN_LINE = re.compile(f"[{UNSAFE_CHARACTERS}\n\t]")


def safe_text(text: str) -> str:
    """``text`` with control, bidirectional, invisible and undecodable characters escaped, e.g. ``\\x1b``."""
    return _UNSAFE.sub(lambda match: escape_character(match[0]), text)


def safe_line(text: str) -> str:
    """As `safe_text`, on one line, so that a name with a line break can't forge a line of our output."""
    return _UNSAFE_IN_LINE.sub(lambda match: escape_character(match[0]), text)


def escape_character(character: str) -> str:
    """A character as ``\\xHH``, ``\\uHHHH`` or ``\\UHHHHHHHH``, the shortest that fits."""
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def plural(count: int, noun: str, plural_noun: str = "") -> str:
    """A number and its noun: ``1 image``, ``2 images``.

    Args:
        plural_noun: the plural, where it is not the noun and an s.
    """
    return f"{count} {noun if count == 1 else plural_noun or f'{noun}s'}"


def byte_size(count: int) -> str:
    """Bytes in decimal units, as servers and disks state them."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def clipped_start(text: str, width: int) -> str:
    """``text``, or an ellipsis and the end of it, in at most ``width`` columns of a terminal."""
    if sum(map(_columns, text)) <= width:
        return text
    room, start = width - len(ELLIPSIS), len(text)
    while start and (room := room - _columns(text[start - 1])) >= 0:
        start -= 1
    return ELLIPSIS + text[start:]


def _columns(character: str) -> int:
    """How many columns of a terminal a character takes (UAX 11)."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("F", "W") else 1


class SafeStream:
    """A text stream that passes everything through `safe_text`, tracebacks and warnings included.

    Attributes:
        unfiltered: the stream behind it, for progress bars, which move the cursor on purpose.
    """

    def __init__(self, stream: TextIO) -> None:
        self.unfiltered = stream

    def write(self, text: str) -> int:
        """Write ``text`` with unsafe characters escaped. CR LF, which ends a CSV line, becomes LF."""
        self.unfiltered.write(safe_text(text.replace("\r\n", "\n")))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of ``lines``."""
        for text in lines:
            self.write(text)

    def __getattr__(self, name: str) -> object:
        if name == "buffer":  # on Windows consoles click would write to it, past the filter
            raise AttributeError(name)
        return getattr(self.unfiltered, name)


class ShownStream:
    """Standard output for text that a command shows beside its work, which goes on if nobody can read it.

    Attributes:
        unguarded: the stream behind it, for output that is the result: there, writing fails.
        failure: why the text can't be written; None while it can. What follows is dropped.
    """

    def __init__(self, stream: TextIO) -> None:
        self.unguarded = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write ``text``, unless writing failed before."""
        if self.failure is None:
            try:
                self.unguarded.write(text)
            except OSError as error:
                self.failure = error
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of ``lines``."""
        for text in lines:
            self.write(text)

    def flush(self) -> None:
        """Send what is buffered, unless writing failed before."""
        if self.failure is None:
            try:
                self.unguarded.flush()
            except OSError as error:
                self.failure = error

    def __getattr__(self, name: str) -> object:
        return getattr(self.unguarded, name)


def result_stream() -> TextIO | None:
    """Standard output for a command's result, where writing fails; None if it is closed."""
    stream: TextIO | None = getattr(sys.stdout, "unguarded", sys.stdout)
    return stream


def progress_stream() -> TextIO:
    """Standard error without the filter, for a progress bar, whose text is our own."""
    stream: TextIO = getattr(sys.stderr, "unfiltered", sys.stderr)
    return stream
