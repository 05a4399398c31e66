"""``sidscan provenance``."""

from __future__ import annotations

from pathlib import Path

import click

from sidscan.cli import options
from sidscan.cli.help_sections import Command
from sidscan.cli.provenance_text import provenance_lines
from sidscan.config import ReadLimits
from sidscan.errors import ExitCode
from sidscan.records import Failure, ImageInfo, Item, Provenance
from sidscan.reports.json import ijson_text, undecodable_bytes
from sidscan.util.terminal import safe_line


@click.command("provenance", cls=Command)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@options.sectioned_option(
    "--format",
    "output_format",
    section="Output",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="Text for a person, or JSON: one object a line.",
)
@options.setting("max_bytes")
@options.setting(
    "max_metadata",
    help="Most bytes of metadata that are read of a file; larger ones are reported as unreadable.",
)
@options.setting("trust")
def command(
    files: tuple[str, ...], output_format: str, max_bytes: int, max_metadata: int, trust: str | None
) -> ExitCode:
    """Show what files say of their own origin.

    It reads Content Credentials (C2PA), XMP, IPTC, EXIF and texts of generators. Nothing is scored, and
    nobody is asked. Statements are shown as they stand in the file: anybody can write
    them, and most programs and websites remove them. So a file that says nothing may well be made by AI.

    \b
    Examples:
      sidscan provenance image.jpg
      sidscan provenance *.png --format json

    \b
    Exit codes:
      0  done                                3  a file can't be read
      2  wrong usage                       130  interrupted
    """
    from sidscan.provenance.signatures import check_trust  # here: `--help` needs none of it

    check_trust(trust)
    limits = ReadLimits(max_bytes=max_bytes, max_metadata=max_metadata, trust=trust)
    failed = False
    for position, name in enumerate(files):
        read = _read(name, limits)
        failed |= isinstance(read, Failure)
        if output_format == "json":
            click.echo(_json_line(name, read))
            continue
        if position:
            click.echo()
        for line in _text_lines(name, read):
            click.echo(safe_line(line))
    return ExitCode.DONE_WITH_FAILURES if failed else ExitCode.DONE


def _read(name: str, limits: ReadLimits) -> tuple[ImageInfo, Provenance] | Failure:
    from sidscan.images.items import failure_from_error, load_file  # here: `--help` needs none of it
    from sidscan.provenance.read import read_provenance
    from sidscan.records import Stage
    from sidscan.sources.lists import is_url

    item = Item(name)
    if is_url(name):
        error = ValueError("URLs are fetched by `sidscan scan` alone; save the file first")
        return failure_from_error(item, Stage.READ, error, ImageInfo())
    if Path(name).is_dir():
        error = ValueError("it is a folder; `sidscan scan` reads all of its images")
        return failure_from_error(item, Stage.READ, error, ImageInfo())
    loaded = load_file(item, limits.max_bytes)
    if isinstance(loaded, Failure):
        return loaded
    data, info = loaded
    return info, read_provenance(data, limits)


def _json_line(name: str, read: tuple[ImageInfo, Provenance] | Failure) -> str:
    known: dict[str, object] = {"path": name, "path_bytes": undecodable_bytes(name)}
    if isinstance(read, Failure):
        return ijson_text({**known, "sha256": None, "provenance": None, "message": read.message})
    info, provenance = read
    return ijson_text({**known, "sha256": info.sha256, "provenance": provenance, "message": None})


def _text_lines(name: str, read: tuple[ImageInfo, Provenance] | Failure) -> list[str]:
    if isinstance(read, Failure):
        return [name, f"  can't be read: {read.message}"]
    return [f"{name}: {read[1].verdict}", *(f"  {line}" for line in provenance_lines(read[1]))]
