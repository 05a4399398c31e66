"""What `sidscan models` prints of a model: table rows, cards, JSON; and what it knows of an installed one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click

from sidscan.cli import console
from sidscan.errors import ModelError
from sidscan.models.catalog import CatalogEntry, find_entry
from sidscan.models.installed import BY_USER, Installed
from sidscan.models.origins import IndexedWheel, Metrics
from sidscan.models.store import Store
from sidscan.util.terminal import byte_size


def has_record(store: Store, name: str) -> bool:
    """Whether there is something to verify: a damaged record counts."""
    try:
        return store.installed(name) is not None
    except ModelError:
        return True


def read_record(store: Store, name: str) -> Installed | None:
    """What is recorded of a model; a damaged record is reported and counts as none."""
    try:
        return store.installed(name)
    except ModelError as error:
        console.echo_error(error)
        return None


def missing_encoder(store: Store, entry: CatalogEntry) -> str | None:
    """The first encoder without which a model can't work, if neither it nor its stand-in is installed."""
    return next((name for name in entry.encoders if not _serves(store, name)), None)


def _serves(store: Store, encoder: str) -> bool:
    """Whether an encoder or its stand-in is installed."""
    stand_in = find_entry(encoder, store.catalog).stand_in
    return has_record(store, encoder) or (stand_in is not None and has_record(store, stand_in))


def _metrics(entry: CatalogEntry, installed: Installed | None) -> Metrics | None:
    """A model's figures: they are of the published bytes, and of no others."""
    return None if installed is not None and installed.verified_by == BY_USER else entry.metrics


def notices(entries: Sequence[CatalogEntry], store: Store) -> list[str]:
    """What the authors of these models, or of their encoders, say about use, each once."""
    encoders = (name for entry in entries for name in entry.encoders)
    read = [*entries, *(find_entry(name, store.catalog) for name in encoders)]
    return [notice for notice in dict.fromkeys(entry.notice for entry in read) if notice]


def as_dict(store: Store, entry: CatalogEntry, installed: Installed | None) -> dict[str, object]:
    """A model as ``--json`` prints it."""
    metrics = _metrics(entry, installed)
    return {
        "name": entry.name,
        "kind": entry.kind,
        "summary": entry.summary,
        "installed": installed is not None,
        "verified_by": installed.verified_by if installed else None,
        "path": str(installed.path) if installed else None,
        "sha256": installed.sha256 if installed else None,
        "bytes": installed.size if installed else entry.size,
        "encoder": entry.encoder,
        "second_encoder": entry.second_encoder,
        "needs": missing_encoder(store, entry),
        "licence": entry.licence,
        "provenance": entry.provenance,
        "url": entry.url,
        "source": entry.origin.source,
        "wheel": asdict(entry.origin) if isinstance(entry.origin, IndexedWheel) else None,
        "stand_in": entry.stand_in,
        "notice": next(iter(notices([entry], store)), None),
        "terms": entry.terms,
        "pin": asdict(entry.pin) if entry.is_pinned else None,
        "published_sha256": (installed.source_sha256 or None) if installed else None,
        "preprocess": asdict(entry.preprocess) if entry.preprocess else None,
        "shape": asdict(entry.shape) if entry.shape else None,
        "xi": entry.xi,
        "epochs": entry.epochs,
        "threshold": entry.threshold,
        "metrics": asdict(metrics) if metrics else None,
    }


def card_lines(entry: CatalogEntry, installed: Installed | None) -> Iterator[tuple[str, str]]:
    """What is known of a model that has no card of its own, as names and values."""
    yield "name", entry.name
    yield "about", entry.summary
    yield "kind", entry.kind
    yield "installed", f"{installed.path}, verified by {installed.verified_by}" if installed else "no"
    yield "size", byte_size(installed.size) if installed else f"about {byte_size(entry.size)}"
    yield "licence", entry.licence
    if entry.terms:
        yield "terms", f"{entry.terms}, to be accepted"
    yield "source", entry.origin.source
    yield "provenance", entry.provenance
    yield "pin", _pin(entry, installed)
    if isinstance(entry.origin, IndexedWheel):
        yield (
            "wheel",
            f"{entry.origin.wheel}, {byte_size(entry.origin.wheel_size)}, sha256 {entry.origin.wheel_sha256}",
        )
        yield "in it", f"{entry.origin.member}, sha256 {entry.origin.member_sha256}"
    if entry.stand_in:
        yield "stand-in", f"{entry.stand_in}, where it can't be had"
    if entry.encoder:
        yield "encoder", " and ".join(entry.encoders)
    if entry.shape:
        yield "shape", str(entry.shape)
    if entry.preprocess:
        yield "input", entry.preprocess.about
    if entry.xi is not None and entry.epochs is not None:
        yield "training", f"xi {entry.xi:g}, {console.plural(entry.epochs, 'epoch')}"
    if entry.threshold is not None:
        yield "threshold", f"{entry.threshold:g}"
    if metrics := _metrics(entry, installed):
        accuracy, precision = 100 * metrics.accuracy, 100 * metrics.average_precision
        yield "figures", f"accuracy {accuracy:.1f} %, average precision {precision:.1f} %"
        yield "measured on", metrics.about
    elif entry.kind == "detector" and not entry.metrics:
        yield "figures", "its authors publish no accuracy with an average precision"


def _pin(entry: CatalogEntry, installed: Installed | None) -> str:
    if entry.is_pinned:
        return f"{entry.pin.label} {entry.pin.digest}"
    if installed:
        return f"sha256 {installed.source_sha256} of the first file installed; none is published"
    return "none is published: the first file that is installed will be pinned"


def list_row(store: Store, entry: CatalogEntry, installed: Installed | None) -> tuple[str, ...]:
    """One row of `list`; sizes of what is not installed are approximate."""
    metrics = _metrics(entry, installed)
    figures = (metrics.accuracy, metrics.average_precision) if metrics else ()
    needs = f", needs {encoder}" if (encoder := missing_encoder(store, entry)) else ""
    return (
        entry.name,
        f"{installed.verified_by}{needs}" if installed else "no",
        byte_size(installed.size) if installed else f"~{byte_size(entry.size)}",
        entry.licence,
        "-" if entry.threshold is None else f"{entry.threshold:g}",
        *([f"{100 * figure:.1f}" for figure in figures] or ["-", "-"]),
        entry.summary,
    )


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """To standard output."""
    for line in table_lines(rows):
        click.echo(line)


def table_lines(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows of equal length, their columns aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
