"""``sidscan provenance``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan.cli import options
from sidscan.cli.help_sections import Command
from sidscan.cli.provenance_text import provenance_lines, trace_lines
from sidscan.config import ScanConfig
from sidscan.errors import ExitCode
from sidscan.records import DecodedImage, Failure, Item
from sidscan.reports.json import ijson_text, undecodable_bytes
from sidscan.util.terminal import safe_line

if TYPE_CHECKING:
    from sidscan.isolation.reader import IsolatedReader


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
@options.setting("item_timeout")
@options.setting("memory_limit")
def command(files: tuple[str, ...], output_format: str, **limits: Any) -> ExitCode:
    """Show what files say of their own origin, and traces of how they were handled.

    It reads Content Credentials (C2PA), XMP, IPTC, EXIF and texts of generators. Nothing is scored, and
    nobody is asked. Statements are shown as they stand in the file: anybody can write
    them, and most programs and websites remove them. So a file that says nothing may well be made by AI.
    Traces are observations: data behind the image, a thumbnail that shows another one. None says that AI was
    used. Each file is read in a process of its own, which may hang or die without harm to the others.

    \b
    Examples:
      sidscan provenance image.jpg
      sidscan provenance *.png --format json

    \b
    Exit codes:
      0  done, also if metadata are unreadable    3  a file can't be read, or its pixels can't
      2  wrong usage                            130  interrupted
    """
    from sidscan.isolation.reader import IsolatedReader  # here: `--help` needs none of it
    from sidscan.provenance.signatures import check_trust
    from sidscan.reports.output_files import printing

    check_trust(limits["trust"])
    failed = False
    with closing(IsolatedReader(ScanConfig(inputs=files, **limits))) as reader:
        for position, name in enumerate(files):
            read = _read(name, reader)
            failed |= bool(_message(read))
            if output_format == "json":
                lines = [_json_line(name, read)]
            else:
                lines = [*([""] if position else []), *map(safe_line, _text_lines(name, read))]
            try:
                with printing() as stream:
                    stream.writelines(f"{line}\n" for line in lines)
            except BrokenPipeError:  # nobody reads on, as after `| head`
                return ExitCode.INTERRUPTED
    return ExitCode.DONE_WITH_FAILURES if failed else ExitCode.DONE


def _read(name: str, reader: IsolatedReader) -> DecodedImage | Failure:
    from sidscan.images.items import failure_from_error, named_item  # here: `--help` needs none of it
    from sidscan.records import ImageInfo, Stage
    from sidscan.sources.lists import is_url
    from sidscan.util.object_urls import is_object_url

    error = ""
    if is_url(name) or is_object_url(name):
        error = "URLs are fetched by `sidscan scan` alone; save the file first"
    elif Path(name).is_dir():
        error = "it is a folder; `sidscan scan` reads all of its images"
    if error:
        return failure_from_error(Item(name), Stage.READ, ValueError(error), ImageInfo())
    return reader(named_item(name))


def _message(read: DecodedImage | Failure) -> str:
    """Why the file, or its pixels, can't be read; empty if they were."""
    if isinstance(read, Failure):
        return read.message if read.facts.provenance is None else _pixels_message(read)
    if read.facts.provenance is not None:
        return ""
    if "metadata_timeout" in read.facts.flags:
        return "its metadata were not read in time; raise the limit with --item-timeout"
    return "the process that read its metadata ended"


def _pixels_message(read: Failure) -> str:
    if read.error == "Truncated":
        return "the file ends within its pixels, or before them"
    return f"its pixels can't be decoded; the decoder says: {read.message}"


def _json_line(name: str, read: DecodedImage | Failure) -> str:
    return ijson_text(
        {
            "path": name,
            "path_bytes": undecodable_bytes(name),
            "sha256": read.facts.sha256,
            "provenance": read.facts.provenance,
            "traces": read.facts.traces,
            "message": _message(read) or None,
        }
    )


def _text_lines(name: str, read: DecodedImage | Failure) -> Iterator[str]:
    """What is known of a file, or why it is not."""
    provenance, traces, message = read.facts.provenance, read.facts.traces, _message(read)
    if provenance is None:
        yield from (name, f"  can't be read: {message}")
        return
    yield f"{name}: {provenance.verdict}"
    for line in provenance_lines(provenance):
        yield f"  {line}"
    if message:
        yield f"  no traces were looked for: {message}"
    elif traces is None:
        yield "  no traces were looked for"
    else:
        yield from (f"  {line}" for line in trace_lines(traces))
