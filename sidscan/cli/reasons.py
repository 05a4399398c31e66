"""Why inputs have no score, in the closing lines: the reasons that most have, each with its first input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sidscan.cli.console import plural
from sidscan.records import ScanResult, Status
from sidscan.util.urls import mask_credentials

_LONGEST_MESSAGE = 200  # characters
_LONGEST_TITLE = 100
_MOST_REASONS = 8
# Error classes whose message says what the file is, and nothing that only this file has.
_NAMED_BY_MESSAGE = ("FormatNotRead", "ContentMissing")


class FirstSeen(Counter[str]):
    """Counts words. Of those that are as frequent, the one that was seen first comes first."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, int] = {}

    def add(self, word: str, number: int, first: int) -> None:
        """Count a word; ``first`` is the position of the input that had it first."""
        self[word] += number
        self._first[word] = min(first, self._first.get(word, first))

    def by_number(self) -> list[tuple[str, int]]:
        """The words and their numbers, the most frequent first."""
        return sorted(self.items(), key=lambda entry: (-entry[1], self._first[entry[0]]))


class Reasons:
    """Counts the reasons of results without a score."""

    def __init__(self) -> None:
        self._counts = FirstSeen()
        self._examples: dict[str, str] = {}  # the first input of every reason
        self._messages: dict[str, str] = {}  # of that input
        self._differ: set[str] = set()  # reasons whose inputs have several messages

    def __contains__(self, reason: str) -> bool:
        return reason in self._counts

    def add_skipped(self, message: str, number: int, first: int) -> None:
        """Count inputs that were skipped for one reason; ``first`` is the position of the first."""
        self._counts.add(f"{Status.SKIPPED.value}: {message}", number, first)

    def add(self, result: ScanResult, position: int) -> None:
        """Count a result without a score."""
        reason = _reason(result)
        self._counts.add(reason, 1, position)
        if result.status is Status.SKIPPED:
            return
        self._examples.setdefault(reason, mask_credentials(result.name))
        message = result.message or ""
        if self._messages.setdefault(reason, message) != message:
            self._differ.add(reason)

    def lines(self) -> Iterator[str]:
        """The reasons that most inputs have, and how many inputs have others."""
        reasons = self._counts.by_number()
        for reason, count in reasons[:_MOST_REASONS]:
            title, example = self._in_words(reason, count)
            yield f"  {count} {title}"
            if example:
                yield f"    {'first: ' if count > 1 else ''}{example}"
        if rest := reasons[_MOST_REASONS:]:
            others = sum(count for _, count in rest)
            yield f"  {others} for {plural(len(rest), 'other reason')}, which their rows have"

    def _in_words(self, reason: str, count: int) -> tuple[str, str]:
        """A reason and its first input; a message that several inputs share replaces the error's class."""
        if reason not in self._examples:
            return reason, ""
        example, message = self._examples[reason], self._messages[reason]
        status = reason.partition(": ")[0]
        if reason == f"{status}: {message}":
            return reason, example
        if count > 1 and reason not in self._differ and message and len(message) <= _LONGEST_TITLE:
            return f"{status}: {message}", example
        return reason, f"{example}: {_shortened(message)}"


def _reason(result: ScanResult) -> str:
    """Why an input has no score, without what is particular to this one."""
    says_it = result.status is Status.SKIPPED or result.error in _NAMED_BY_MESSAGE
    return f"{result.status.value}: {result.message if says_it else result.error}"


def _shortened(message: str) -> str:
    """As much of a message as a terminal has room for; rows have all of it."""
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]} ..."
