"""``sidscan inspect``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan.cli import checks, closer_look, console, localizing, options
from sidscan.cli.help_sections import Command
from sidscan.cli.param_types import OutputPath
from sidscan.config import ScanConfig
from sidscan.errors import ExitCode, NothingToScan, OutputError, UsageError
from sidscan.records import Status
from sidscan.sources.lists import is_url
from sidscan.util.object_urls import is_object_url
from sidscan.util.terminal import safe_line

if TYPE_CHECKING:
    from sidscan.localize.run import Localized
    from sidscan.pipeline import Scan
    from sidscan.review.closer_look import Looked

_SUFFIXES = (".html", ".json", ".png")
_SCAN_INSTEAD = "`sidscan scan {name} --look-closer 10 --out report.html` looks at the strongest."


@click.command("inspect", cls=Command)
@click.argument("images", nargs=-1, required=True, metavar="FILE...")
@options.model()
@options.calibration()
@options.sectioned_option(
    "--out",
    "outs",
    section="Output",
    type=OutputPath(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Write FILE.html (the evidence page with its map), FILE.png (the map alone, of one image) or "
    "FILE.json (all scores). Repeatable.",
)
@options.sectioned_option(
    "--format",
    "stdout_format",
    section="Output",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="What standard output gets: a few lines for each image, or the score of every window.",
)
@options.sectioned_option(
    "--overwrite", section="Output", is_flag=True, help="Replace --out, whatever it holds."
)
@options.sectioned_option(
    "--no-image",
    section="Output",
    is_flag=True,
    help="Leave the image itself out of maps and pages, even small and grey.",
)
@options.sectioned_option(
    "--localize",
    section="Models",
    is_flag=True,
    help="Also show where a localizer points, on the page and in words (`sidscan localize` writes files).",
)
@options.sectioned_option(
    "--localizer",
    section="Models",
    metavar="NAME|FILE",
    default=localizing.DEFAULT,
    show_default=True,
    help="Localizer of --localize: name, checkpoint, or exported graph.",
)
@options.setting("windows")
@options.setting("private")
@options.quiet()
@options.limits()
@options.isolation()
def command(
    images: tuple[str, ...],
    outs: tuple[Path, ...],
    stdout_format: str,
    overwrite: bool,
    no_image: bool,
    localize: bool,
    localizer: str,
    quiet: bool,
    **choices: Any,
) -> ExitCode:
    """Look closely at single images: score all their windows.

    A scan scores up to ten crops of an image. This command also scores windows of the same size on a grid
    that covers all of the image, and draws their scores as a map, on one scale from 0 to 1 for every image.
    It reads and scores as `sidscan scan` does, and prints the score that a scan gives beside the windows'.

    A window's score is not the image's score, and a map does not show where an image was edited: detectors
    are trained on whole images.

    \b
    Examples:
      sidscan inspect photo.jpg
      sidscan inspect photo.jpg --out photo.html --out photo-map.png
      sidscan inspect photo.jpg --format json > windows.json
      sidscan inspect photo.jpg --windows 1000 -m rine-b16 -m mini --out photo.html

    \b
    Exit codes:
      0  done                             5  no FILE is an image
      2  wrong usage                      6  device or precision not available
      3  done; some images unreadable     7  an output can't be written
      4  model unknown, missing, altered  130  interrupted
    """
    _check_files(images)
    _check_outs(outs, images)
    checks.check_crops(choices["effort"], choices["crops"])
    config = ScanConfig(
        inputs=images,
        thumbnails=not no_image and any(out.suffix.lower() == ".html" for out in outs),
        outputs=outs,
        command=("sidscan", *sys.argv[1:]),
        **choices,
    )
    checks.check_named(config)
    for out in outs:
        _check_out(out, overwrite)
    named = localizer if localize else None
    return _inspect(config, outs, overwrite, stdout_format, not no_image, named, quiet)


def _inspect(
    config: ScanConfig,
    outs: Sequence[Path],
    overwrite: bool,
    stdout_format: str,
    with_images: bool,
    localizer: str | None,
    quiet: bool,
) -> ExitCode:
    """Scan the images, look closer at those that have a score, and write what came of it.

    Args:
        localizer: what makes maps of them, too; None makes none.
    """
    echo = console.reporter(quiet)
    from sidscan.scoring.window_scores import check_scores_windows  # here: it loads NumPy

    made_by = None if localizer is None else localizing.open_named(localizer, config)
    with closing((run := console.open_run(config, quiet)).journal):
        check_scores_windows(run.runtime.detectors)
        console.announce(run, echo)
        console.consume(run, quiet=True)
        looks = _looks(run, with_images, quiet)
        maps = localizing.maps_of_run(run, made_by, with_images, quiet) if made_by else []
        try:
            for out in outs:
                _write(out, overwrite, run, looks, maps, with_images)
                echo(f"written: {out}")
        finally:
            with suppress(BrokenPipeError):  # nobody reads on, as after `| head`
                _print(run, looks, maps, stdout_format)
        return ExitCode.DONE_WITH_FAILURES if localizing.failed(maps) else _exit_code(looks)


def _looks(run: Scan, with_images: bool, quiet: bool) -> list[Looked]:
    """One for each image, in their order; those without a score are named."""
    from sidscan.review.closer_look import Looked

    results = list(run.journal.results())
    scored = [result for result in results if result.scores]
    looks = iter(closer_look.look_closer(run, scored, with_images, quiet))
    for result in results:
        if not result.scores:
            console.echo(f"no score: {closer_look.name_of(result)}: {result.message}")
    return [next(looks) if result.scores else Looked(result, None, str(result.message)) for result in results]


def _print(run: Scan, looks: Sequence[Looked], maps: Sequence[Localized], stdout_format: str) -> None:
    from sidscan.reports.output_files import printing

    with printing() as stream:
        if stdout_format == "json":
            stream.write(_document(run, looks, maps))
            return
        stream.writelines(f"{line}\n" for line in _lines(looks))
        stream.writelines(f"{line}\n" for line in localizing.lines(maps) if maps)


def _lines(looks: Sequence[Looked]) -> Iterator[str]:
    """What a person reads of each image: the score of a scan first, then the windows."""
    for result, look in ((looked.result, looked.look) for looked in looks if looked.result.scores):
        yield closer_look.name_of(result)
        maps = {} if look is None else {each.model: each for each in look.maps}
        for score in result.scores:
            why = f" ({', '.join(score.inconclusive)})" if score.inconclusive else ""
            yield (
                f"  {safe_line(score.model)}: score {score.score:.3f}, {score.evidence}{why}; "
                f"as a scan reports it, from {score.model_input or console.plural(result.views, 'crop')}"
            )
            if score.model in maps:
                yield f"    {maps[score.model].grid_in_words()}"
                yield f"    {maps[score.model].in_words()}"
    if any(looked.look for looked in looks):
        yield closer_look.NOT_THE_IMAGE


def _document(run: Scan, looks: Sequence[Looked], maps: Sequence[Localized]) -> str:
    """All scores as JSON; docs/howto/inspect.md describes it."""
    from sidscan.reports.json import ijson_text, result_object

    made = {each.result.facts.sha256: each.facts for each in maps}
    images = [
        {
            "result": result_object(
                replace(looked.result, localization=made.get(looked.result.facts.sha256))
            ),
            "maps": [asdict(each) for each in looked.look.maps] if looked.look else [],
            "message": looked.message or None,
        }
        for looked in looks
    ]
    return ijson_text({"inspection": 1, "run": run.journal.header().to_dict(), "images": images}) + "\n"


def _write(
    out: Path,
    overwrite: bool,
    run: Scan,
    looks: Sequence[Looked],
    localized: Sequence[Localized],
    with_images: bool,
) -> None:
    """Write one of the outputs, whole or not at all.

    Raises:
        OutputError: it can't be written, something is there, or there is no map to write.
    """
    from sidscan.reports import REPORT_FORMATS
    from sidscan.reports.base import FormatOptions
    from sidscan.reports.output_files import check_absent
    from sidscan.review.annotated import annotated
    from sidscan.review.joined_marks import load_marks, marks_paths
    from sidscan.util.files import atomic_write, real_path

    page = REPORT_FORMATS["html"].configured(FormatOptions(html_thumbs="inline" if with_images else "none"))
    suffix = out.suffix.lower()
    maps = [looked.look.png for looked in looks if looked.look]
    if suffix == ".png" and not maps:
        raise OutputError(f"{out} was not written: there is no map", "The lines above say why.")
    check = None if overwrite else (lambda _: check_absent(out))
    try:
        with atomic_write(real_path(out), check) as partial:
            if suffix == ".png":
                partial.write_bytes(maps[0])
            elif suffix == ".json":
                partial.write_text(_document(run, looks, localized), encoding="utf-8", newline="")
            else:
                record = annotated(run.journal, load_marks(marks_paths([out])))
                page.write(record, partial, real_path(out))
    except OSError as error:
        raise OutputError(f"can't write {out}: {error.strerror}", "Choose another --out.") from error
    if suffix == ".html":
        page.remove_stale(real_path(out))


def _check_files(names: Sequence[str]) -> None:
    """Refuse what is not a file that is here.

    Raises:
        UsageError: a name is a URL, a folder or standard input.
    """
    for name in names:
        if name == "-":
            raise UsageError("'-' is not an image", "Name image files; inspect reads no list of names.")
        if is_url(name) or is_object_url(name):
            raise UsageError(
                f"{name} is a URL, and inspect reads files only", _SCAN_INSTEAD.format(name=name)
            )
        if os.path.isdir(name):  # noqa: PTH112  (Path.is_dir raises on impossible names)
            raise UsageError(
                f"{name} is a folder, and inspect reads single images", _SCAN_INSTEAD.format(name=name)
            )


def _check_outs(outs: Sequence[Path], images: Sequence[str]) -> None:
    """Refuse outputs that can't hold what is asked for.

    Raises:
        UsageError: an unknown suffix, several images for one PNG, or an image that would be replaced.
    """
    for out in outs:
        if out.suffix.lower() not in _SUFFIXES:
            raise UsageError(f"unknown kind of output: {out}", "End the name in .html, .png or .json.")
        if out.suffix.lower() == ".png" and len(images) > 1:
            raise UsageError(
                f"{out} holds the map of one image, and {len(images)} are named",
                "Write --out FILE.html, which holds all maps, or inspect the images one by one.",
            )
    checks.check_distinct(tuple(outs), tuple(images))


def _check_out(out: Path, overwrite: bool) -> None:
    """Check before minutes of work that an output can be written.

    Raises:
        OutputError: it can't, or something is there.
    """
    from sidscan.reports import output_files

    output_files.check_writable(out)
    if not overwrite:
        output_files.check_absent(out)


def _exit_code(looks: Sequence[Looked]) -> ExitCode:
    if all(looked.result.status is Status.SKIPPED for looked in looks):
        raise NothingToScan("no image was found", "Name image files; `sidscan scan --help` lists formats.")
    return ExitCode.DONE_WITH_FAILURES if any(looked.message for looked in looks) else ExitCode.DONE
