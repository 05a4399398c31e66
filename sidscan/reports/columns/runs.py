"""The columns of the run, and of what read an image in it."""

from __future__ import annotations

from sidscan.records import RunHeader
from sidscan.reports.columns.column import Column

COLUMNS: tuple[Column[RunHeader], ...] = (
    Column(
        "model_choice",
        "how the models were chosen: `asked for`, `default`, or `fallback: ...`",
        lambda h: h.model_choice,
    ),
    Column("model_provenance", "who vouches for each weights file", lambda h: h.model_provenance),
    Column("runtime", "what computed the score, with its version", lambda h: h.runtime),
    Column("device", "where it was computed, e.g. `cpu`", lambda h: h.device),
    Column("precision", "`fp32`, `fp16` or `bf16`", lambda h: h.precision),
    Column(
        "effort",
        "`full`: all crops were scored; `normal`: as many as the decision needed; `fast`: the centre crop",
        lambda h: h.effort,
    ),
    Column(
        "sample",
        "which part of the images the run was to look at, e.g. `a sample of 500 of 102331 images, seed 0, by "
        "folder`; empty for all",
        lambda h: str(h.sample) if h.sample else None,
    ),
)
OF_READER = {
    "decoder": "what decoded the image, with its version",
    "sidscan_version": "version of the sidscan that made the row; a later one may have kept it",
}
