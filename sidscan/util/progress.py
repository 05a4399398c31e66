"""Progress bars on standard error; the only module that imports tqdm."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeVar

from sidscan.util.terminal import progress_stream

_T = TypeVar("_T")


class Bar(Protocol):
    """A progress bar, as far as sidscan uses it."""

    n: float
    total: float | None
    bar_format: str | None

    def update(self, n: float = 1) -> object:
        """Add ``n`` to what is done."""
        ...

    def set_postfix(
        self, ordered_dict: Mapping[str, object] | None = None, refresh: bool | None = True
    ) -> None:
        """Show values after the bar, by name."""
        ...

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Show a text after the bar."""
        ...

    def clear(self) -> object:
        """Remove the bar from its line, before something else is printed there."""
        ...

    def refresh(self) -> object:
        """Show the bar as it is now."""
        ...


@contextmanager
def progress(
    total: int | None,
    unit: str,
    *,
    done: int = 0,
    quiet: bool = False,
    title: str = "",
    transient: bool = False,
    layout: str | None = None,
) -> Iterator[Bar]:
    """A progress bar on standard error while the block runs, shown only on a terminal and without --quiet.

    Args:
        total: how much there is to do; None while it is unknown, and ``total`` of the bar may be set later.
        unit: what is counted, e.g. ``image``; ``B`` is shown in kB, MB and GB.
        done: how much was done before.
        title: stands before the bar.
        transient: the bar disappears at the end.
        layout: what stands on the line, as tqdm's ``bar_format``.
    """
    from tqdm import tqdm  # here: --help needs no bar

    with tqdm(
        desc=title or None,
        total=total,
        initial=done,
        unit=unit,
        unit_scale=unit == "B",
        smoothing=0.1,
        leave=not transient,
        bar_format=layout,
        disable=quiet or not sys.stderr.isatty(),
        file=progress_stream(),
    ) as bar:
        yield bar


def track(
    items: Iterable[_T], total: int, unit: str, *, title: str = "", transient: bool = False
) -> Iterator[_T]:
    """The items, with a `progress` bar that counts those that the caller has finished."""
    with progress(total, unit, title=title, transient=transient) as bar:
        for item in items:
            yield item
            bar.update()
