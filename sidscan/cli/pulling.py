"""``sidscan models pull``: what is about to come, licences, progress, and models that stand in."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from sidscan.cli import console
from sidscan.cli.model_text import has_record, missing_encoder, notices, table_lines
from sidscan.errors import DigestMismatch, ModelError, ModelLocked, PullFailed
from sidscan.models.catalog import CatalogEntry, find_entry
from sidscan.models.installed import Installed
from sidscan.models.origins import Bundled, IndexedWheel
from sidscan.models.refs import BUNDLED_MODEL, PREFERRED_MODEL
from sidscan.models.store import Store
from sidscan.models.unpinned import Accepts, check_terms, refuse_terms
from sidscan.util.progress import progress
from sidscan.util.terminal import byte_size


def pull_all(store: Store, names: Sequence[str], terms: Accepts, replace: bool) -> None:
    """Pull models and the encoders they need; print first what is about to come.

    Args:
        replace: fetch models without a published digest again, and believe the files that come.

    Raises:
        UnknownModel: the catalog has no such model.
        UsageError: the terms of a model are not accepted.
        ModelError: one can't be had; those before it are installed.
    """
    entries = store.needed(names)
    _announce(store, entries, names)
    for entry in entries:
        if not store.is_there(entry.name):
            check_terms(entry, terms)  # before anything is fetched
    with _naming_what_scans_use(store, names):
        for entry in entries:
            # A scan reads what has a record, even a damaged one: then no stand-in serves.
            if entry.stand_in is None or has_record(store, entry.name):
                _pull(store, entry, terms=terms, replace=replace)
            elif entry.name not in names and store.is_there(entry.stand_in):
                console.echo(f"{entry.stand_in} is installed and stands in for {entry.name}")
            else:
                _pull_or_stand_in(store, entry, find_entry(entry.stand_in, store.catalog))


@contextmanager
def _naming_what_scans_use(store: Store, names: Sequence[str]) -> Iterator[None]:
    """Where the default detector can't be had, the error says which one scans use instead."""
    try:
        yield
    except ModelError as error:
        if PREFERRED_MODEL in names and missing_encoder(store, find_entry(PREFERRED_MODEL, store.catalog)):
            instead = f"Until then, scans without --model use the bundled {BUNDLED_MODEL}."
            error.remedy = f"{error.remedy} {instead}".lstrip()
        raise


class Terms:
    """Whether the user accepts the licences of models: by an option, or asked on a terminal, once each."""

    def __init__(self, accepted: bool) -> None:
        self._accepted, self._answers = accepted, dict[str, bool]()

    def __call__(self, entry: CatalogEntry) -> bool:
        if self._accepted:
            return True
        if not (sys.stdin and sys.stdin.isatty()):
            return False
        if entry.licence not in self._answers:
            question = f"{entry.licence} ({entry.terms}): do you accept it?"
            self._answers[entry.licence] = click.confirm(question, err=True)
        return self._answers[entry.licence]


def pull_from(store: Store, entry: CatalogEntry, url: str, terms: Accepts, replace: bool) -> None:
    """Pull a model from a mirror, without its encoder."""
    if entry.encoder and not isinstance(entry.origin, Bundled):
        encoders = " and ".join(entry.encoders)
        console.echo(f"{entry.name} needs {encoders} too, which --url does not bring")
    _pull(store, entry, url, terms, replace)


def _pull(
    store: Store,
    entry: CatalogEntry,
    url: str | None = None,
    terms: Accepts = refuse_terms,
    replace: bool = False,
) -> None:
    with progress(None, "B", title=entry.name, transient=True) as bar:

        def show_progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        try:
            pulled = store.pull(entry.name, url, show_progress, accepts=terms, replace=replace)
        except KeyboardInterrupt:
            bar.clear()  # the line is printed in its place
            console.echo(f"{entry.name}: {_kept(entry)}")
            raise
    if isinstance(entry.origin, Bundled):
        console.echo(f"{entry.name}: {entry.origin.source}, {byte_size(pulled.installed.size)}")
    else:
        report_installed(pulled.installed, "pulled" if pulled.fetched else "already installed")


def _kept(entry: CatalogEntry) -> str:
    """What an interrupted pull leaves."""
    if isinstance(entry.origin, IndexedWheel):
        return "nothing is kept; the same command starts over"
    return "the part that came is kept; the same command continues from there"


def _pull_or_stand_in(store: Store, entry: CatalogEntry, stand_in: CatalogEntry) -> None:
    """Pull a model, or, where it can't be had, the one that stands in for it; say which, and why."""
    try:
        _pull(store, entry)
        return
    except ModelLocked:
        raise  # the model itself is about to be there
    except DigestMismatch as error:  # somebody may have exchanged the file: that must not be one line of many
        console.echo_error(error)
    except PullFailed as error:
        console.echo(error.message)
    if store.has_part(entry.name):
        console.echo(f"the part that came is kept; `sidscan models pull {entry.name}` continues from there")
    console.echo(f"pulling {stand_in.name} instead")
    _pull(store, stand_in)
    console.echo(f"{stand_in.name} stands in for {entry.name}; reports will name {stand_in.name}")


def _announce(store: Store, entries: Sequence[CatalogEntry], names: Sequence[str]) -> None:
    """Print beforehand what is needed, how much, from where, and what its authors say about its use."""
    encoders = [entry.name for entry in entries if entry.name not in names]
    with_encoders = f", with the encoder {', '.join(encoders)}" if encoders else ""
    total = sum(entry.download_size for entry in entries)
    requested = ", ".join(dict.fromkeys(names))
    about = f": about {byte_size(total)} if nothing is installed yet" if total else ""
    console.echo(f"pulling {requested}{with_encoders}{about}")
    rows = []
    for entry in entries:
        rows.append(_announced(entry.name, entry))
        if entry.stand_in is not None:
            rows.append(_announced(f"  or {entry.stand_in}", find_entry(entry.stand_in, store.catalog)))
    for line in table_lines(rows):
        console.echo(f"  {line}")
    for notice in notices(entries, store):
        console.echo(notice)


def _announced(title: str, entry: CatalogEntry) -> tuple[str, ...]:
    size = byte_size(entry.download_size) if entry.download_size else "-"
    return title, size, entry.licence, entry.origin.source


def report_installed(installed: Installed, verb: str) -> None:
    """Print how large a model is, what vouches for it, and where it is."""
    verified, of_reports = f", verified by {installed.verified_by}", ""
    if installed.source_sha256:
        verified = f"; no digest is published, this one is pinned: sha256 {installed.source_sha256}"
        of_reports = f", which reports name: sha256 {installed.sha256}"
    console.echo(f"{installed.entry.name}: {verb}, {byte_size(installed.size)}{verified}")
    console.echo(f"  {installed.path}{of_reports}")
