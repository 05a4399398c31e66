"""``sidscan models``: list, pull, import, verify."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from sidscan.cli import console
from sidscan.errors import ModelError, UsageError
from sidscan.models.catalog import CatalogEntry
from sidscan.models.store import BY_USER, Installed, Store
from sidscan.util.terminal import progress_stream


@click.group("models")
def command() -> None:
    """List, pull, import and verify detectors.

    Only `pull` uses the network. The models folder is shown by `list`; SIDSCAN_MODELS names another one.

    \b
    Examples:
      sidscan models list
      sidscan models pull rine-4class
      sidscan models import /media/usb/models
      sidscan models verify
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print everything that is known, as JSON.")
def list_(as_json: bool) -> None:
    """Show every model, and which are installed.

    Accuracy and average precision are those that the authors publish; mini's are ours, from its model card.
    They were measured on different pictures and can't be compared; `--json` says on which.
    Nothing is hashed here: `sidscan models verify` does that.

    \b
    Examples:
      sidscan models list
      sidscan models list --json
    """
    store = Store()
    rows = [_facts(entry, _installed(store, entry.name)) for entry in store.catalog.values()]
    console.echo(f"models folder: {store.root}")
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    header = ("NAME", "INSTALLED", "SIZE", "LICENCE", "THRESHOLD", "ACC", "AP", "ABOUT")
    _table([header, *(_cells(row) for row in rows)])
    console.echo("ACC and AP of different models were measured on different pictures; --json says on which")


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--url", help="Fetch from a mirror; the digest must be the published one all the same.")
def pull(names: tuple[str, ...], url: str | None) -> None:
    """Download models, check them against their published digests, and install them.

    A detector's encoder is pulled along with it. An interrupted pull goes on where it stopped when the same
    command is run again. With --url, the one model named is pulled and nothing else.

    \b
    Examples:
      sidscan models pull rine-4class
      sidscan models pull rine-4class rine-ldm
      sidscan models pull clip-vit-l14 --url https://mirror.example/ViT-L-14.pt

    \b
    For a machine without network, on one that has it:
      SIDSCAN_MODELS=/media/usb/models sidscan models pull rine-4class
    then, there:
      sidscan models import /media/usb/models
    """
    store = Store()
    if url is not None and len(names) > 1:
        raise UsageError(
            f"--url is the address of one model, {len(names)} were named", "Pull them one by one."
        )
    entries = store.needed(names)
    if url is None:
        _announce(entries, names)
    else:
        entries, left_out = entries[:1], entries[1:]
        for encoder in left_out:
            console.echo(f"{names[0]} needs {encoder.name} too, which --url does not bring")
    for entry in entries:
        _pull(store, entry, url)


@command.command("import")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE..."
)
@click.option(
    "--as", "name", metavar="NAME", help="The model that FILE is, where its digest is not published."
)
@click.option("--sha256", metavar="HEX", help="The sha256 that FILE's publisher states.")
def import_(paths: tuple[Path, ...], name: str | None, sha256: str | None) -> None:
    """Install models from files; a FOLDER stands for the published files in it.

    A file whose digest is published is recognised by it. Any other is taken only with --as and --sha256, and
    every report then says that its digest was given by you. Files are read, never run; they stay in place.

    \b
    Examples:
      sidscan models import /media/usb/models
      sidscan models import model_4class_trainable.pth ViT-L-14.pt
      sidscan models import open_clip_model.safetensors --as clip-vit-l14 --sha256 HEX
    """
    store = Store()
    if (name or sha256) and (len(paths) > 1 or paths[0].is_dir()):
        raise UsageError("--as and --sha256 speak of one file", "Import the files one by one.")
    for path in paths:
        files = store.published_files(path) if path.is_dir() else [path]
        if not files:
            raise ModelError(
                f"{path} holds no published weights", "Name the files themselves, with --as and --sha256."
            )
        for file in files:
            _say_installed(store.import_file(file, name, sha256), "imported")


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def verify(names: tuple[str, ...]) -> None:
    """Hash the installed models again; exit code 4 if any is not what it was.

    \b
    Examples:
      sidscan models verify
      sidscan models verify rine-4class clip-vit-l14
    """
    store = Store()
    chosen = names or tuple(name for name in store.catalog if _is_there(store, name))
    rows, faults = [], []
    for name in chosen:
        try:
            installed = store.require(name)
            rows.append((name, "ok", installed.sha256, installed.verified_by))
        except ModelError as error:
            faults.append(error)
            rows.append((name, type(error).__name__, "-", "-"))
    _table([("NAME", "RESULT", "SHA256", "VERIFIED BY"), *rows])
    for fault in faults:
        console.echo_error(fault)
    if faults:
        raise ModelError(f"{len(faults)} of {len(chosen)} models did not verify")


def _pull(store: Store, entry: CatalogEntry, url: str | None) -> None:
    from tqdm import tqdm

    # disable=None: a bar only where stderr is a terminal
    with tqdm(
        desc=entry.name, unit="B", unit_scale=True, disable=None, leave=False, file=progress_stream()
    ) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        try:
            pulled = store.pull(entry.name, url, progress)
        except KeyboardInterrupt:
            bar.close()
            console.echo(f"{entry.name}: what came is kept; the same command goes on from there")
            raise
    _say_installed(pulled.installed, "pulled" if pulled.fetched else "already installed")


def _announce(entries: Sequence[CatalogEntry], names: Sequence[str]) -> None:
    """Says beforehand what else is needed and how much it is."""
    along = [entry.name for entry in entries if entry.name not in names]
    with_it = f", with the encoder {', '.join(along)}" if along else ""
    total = sum(entry.size for entry in entries if entry.url)
    asked = ", ".join(dict.fromkeys(names))
    console.echo(f"pulling {asked}{with_it}: about {_size(total)} if nothing is here yet")


def _say_installed(installed: Installed, verb: str) -> None:
    console.echo(
        f"{installed.entry.name}: {verb}, {_size(installed.size)}, verified by {installed.verified_by}"
    )
    console.echo(f"  {installed.path}")


def _is_there(store: Store, name: str) -> bool:
    """Whether there is something to verify: a damaged record is."""
    try:
        return store.installed(name) is not None
    except ModelError:
        return True


def _installed(store: Store, name: str) -> Installed | None:
    """What is recorded of a model; a damaged record is announced and counts as none."""
    try:
        return store.installed(name)
    except ModelError as error:
        console.echo_error(error)
        return None


def _facts(entry: CatalogEntry, installed: Installed | None) -> dict[str, Any]:
    """One row of `list --json`. Figures are those of the published bytes, and of no others."""
    others = installed is not None and installed.verified_by == BY_USER
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
        "licence": entry.licence,
        "provenance": entry.provenance,
        "url": entry.url,
        "pin": asdict(entry.pin),
        "preprocess": asdict(entry.preprocess) if entry.preprocess else None,
        "shape": asdict(entry.shape) if entry.shape else None,
        "xi": entry.xi,
        "epochs": entry.epochs,
        "threshold": entry.threshold,
        "metrics": asdict(entry.metrics) if entry.metrics and not others else None,
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """One row of `list`; sizes of what is not installed are approximate."""
    metrics = row["metrics"] or {}
    figures = [metrics.get("accuracy"), metrics.get("average_precision")]
    return (
        row["name"],
        row["verified_by"] or "no",
        _size(row["bytes"]) if row["installed"] else f"~{_size(row['bytes'])}",
        row["licence"],
        "-" if row["threshold"] is None else f"{row['threshold']:g}",
        *("-" if figure is None else f"{100 * figure:.1f}" for figure in figures),
        row["summary"],
    )


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _size(count: int) -> str:
    """Bytes in decimal units, as servers and disks state them."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"
