"""Figures as PNG and SVG. They need no display; matplotlib is imported for the first one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sidscan.training.common.extras import import_extra
from sidscan.training.common.files import writing_result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 150


@contextmanager
def figure(stem: Path, size: tuple[float, float], panels: int, rows: int = 1) -> Iterator[Sequence[Axes]]:
    """A figure's panels, row by row. Saves the figure as ``stem`` .png and .svg afterwards.

    Args:
        panels: of a row.
    """
    import_extra("matplotlib")
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(drawn)
    yield list(drawn.subplots(rows, panels, squeeze=False).flat)
    with rc_context({"svg.hashsalt": "sidscan"}):  # the same figure gives the same file
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
            with writing_result(stem.with_name(stem.name + suffix)) as partial:
                drawn.savefig(partial, dpi=_DPI, metadata=metadata)
