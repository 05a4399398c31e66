"""``sidscan marks``: import, confirm, list."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidscan.cli import console, options
from sidscan.cli.help_sections import Group
from sidscan.cli.marks_text import copies_line, decision_lines, named, question_lines
from sidscan.cli.param_types import LocalPath
from sidscan.errors import ExitCode, UsageError
from sidscan.reports.output_files import printing
from sidscan.util.clock import utc_now

if TYPE_CHECKING:
    from sidscan.reports.reader import ReportRow
    from sidscan.review.marked_copies import Images, Question
    from sidscan.review.marks import Marks
    from sidscan.review.marks_import import Imported

_FILE = LocalPath(dir_okay=False, path_type=Path)
_MOST_CONFLICTS = 20


@click.group("marks", cls=Group)
def command() -> None:
    """Keep what people decided of images, and list it.

    People mark images in the HTML report and export the marks as CSV. `import` keeps them in a small file
    beside the report, report.marks.csv of report.csv. Every later report of the same images shows them.

    \b
    Examples:
      sidscan marks import marks.csv report.csv
      sidscan marks import anna.csv ben.csv report.csv
      sidscan marks confirm report.csv --by Anna
      sidscan marks list report.csv
    """


@command.command("import")
@click.argument("sources", nargs=-1, required=True, type=_FILE, metavar="MARKS.csv...")
@click.argument("report", type=_FILE, metavar="REPORT")
@options.sectioned_option(
    "--by", section="Input", default="", metavar="NAME", help="Who decided, where MARKS.csv does not say."
)
@options.sectioned_option(
    "--settle",
    section="Input",
    is_flag=True,
    help="Replace what others decided of these images before; this ends a conflict.",
)
@options.sectioned_option(
    "--keep-unknown",
    section="Input",
    is_flag=True,
    help="Keep the marks even if none of their images is in REPORT.",
)
@options.quiet()
def import_(
    sources: tuple[Path, ...], report: Path, by: str, settle: bool, keep_unknown: bool, quiet: bool
) -> ExitCode:
    """Keep the marks of one or several people.

    MARKS.csv is what `Export marks` in the HTML report wrote. REPORT is a report of the same scan, in any
    format but .xlsx. Both stay as they are: the decisions are added to the marks file beside REPORT, which
    only grows. To write them into the reports, run the same scan again; no image is scored again.

    Of one person, the latest decision on an image counts; none counts as later than its import. Where the
    marks of two people differ, the image gets the mark `conflict`, until somebody imports a decision with
    --settle. What was decided before that one does not count, even if it is imported later.

    \b
    Examples:
      sidscan marks import marks.csv report.csv
      sidscan marks import anna.csv ben.csv report.csv
      sidscan marks import decided.csv report.csv --by "Picture desk" --settle

    \b
    Exit codes:
      0  done                                7  the marks file can't be written, or is damaged
      2  a file can't be read, or no image   130  interrupted
         of it is in REPORT
    """
    from sidscan import verify  # here: `--help` needs none of it
    from sidscan.review.joined_marks import load_marks
    from sidscan.review.marked_copies import open_questions
    from sidscan.review.marks import image_key
    from sidscan.review.marks_import import import_marks

    now = utc_now()
    with verify.open_report(report) as opened:
        rows = list(opened.read())
    images = _images_of(report, rows)
    imported = import_marks(sources, report, rows, images.hashes(), now, by.strip(), settle, keep_unknown)
    if not quiet:
        _say_imported(imported, report)
    marks = load_marks([imported.file])
    _say_conflicts(marks, {image_key(row.sha256, row.name): row.name for row in rows})
    count = sum(len(question.copies) for question in open_questions(marks, images))
    if count and not quiet:
        console.echo(copies_line(count, str(report)))
    return ExitCode.DONE


def _images_of(report: Path, rows: list[ReportRow]) -> Images:
    """Those that have a perceptual hash; why others may have one that can't be read is always said."""
    from sidscan.review.marked_copies import images_of_report

    images = images_of_report(report, rows)
    for why in images.unread:
        console.echo(f"copies of marked images are not looked for: {why}; run this again afterwards")
    return images


def _say_imported(imported: Imported, report: Path) -> None:
    from sidscan.journal.reading import find_records

    plural = console.plural
    more = [
        f"{imported.known} known already" if imported.known else "",
        f"{console.plural(imported.hashed, 'perceptual hash', 'perceptual hashes')} added to these"
        if imported.hashed
        else "",
        f"{plural(imported.blank, 'row')} without a mark" if imported.blank else "",
    ]
    console.echo(
        ", ".join([f"{plural(imported.added, 'decision')} added to {imported.file}", *filter(None, more)])
    )
    if imported.elsewhere:
        verb = "is of an image" if len(imported.elsewhere) == 1 else "are of images"
        console.echo(f"  {len(imported.elsewhere)} {verb} that the report lacks: {named(imported.elsewhere)}")
    if imported.future:
        console.echo(
            f"  {imported.future} with a time that is yet to come: a clock was wrong; "
            "the time of this import counts instead"
        )
    if imported.overruled:
        do = "does" if len(imported.overruled) == 1 else "do"
        console.echo(
            f"  {len(imported.overruled)} {do} not count, since the same person decided later or somebody "
            f"settled it later: {named(imported.overruled)}"
        )
    if imported.added and not find_records(report, in_use=True):
        console.echo(
            f"warning: no record in its folder names {report.name}, so no scan writes these marks into it; "
            "import them into the report that the scan writes"
        )
    elif imported.added:
        console.echo("to write them into the report, run the same scan again; no image is scored again")


def _say_conflicts(marks: Marks, names: Mapping[str, str]) -> None:
    """Always: nothing may hide that people differ."""
    from sidscan.records import CONFLICT
    from sidscan.review.marks import summary

    found = [(image, decisions[0].entry, summary(decisions)) for image, decisions in marks.images()]
    lines = [
        f"conflict: {entry.path or names.get(image) or entry.sha256} ({mark.by})"
        for image, entry, mark in found
        if mark and mark.mark == CONFLICT
    ]
    for line in lines[:_MOST_CONFLICTS]:
        console.echo(line)
    if len(lines) > _MOST_CONFLICTS:
        console.echo(f"and {len(lines) - _MOST_CONFLICTS} more; `sidscan marks list` has all")


@command.command("list")
@click.argument("report", type=_FILE, metavar="REPORT")
def list_(report: Path) -> ExitCode:
    """List what people decided: the images, who, when, and what they wrote.

    Conflicts come first. Decisions on images that REPORT does not have are listed, too, and say so. All that
    was ever decided stands in the marks file beside REPORT.

    \b
    Example:
      sidscan marks list report.csv

    \b
    Exit codes:
      0  done                                7  the marks file is damaged
      2  there is no marks file              130  interrupted
    """
    from sidscan import verify  # here: `--help` needs none of it
    from sidscan.review.joined_marks import load_marks
    from sidscan.review.marked_copies import open_questions
    from sidscan.review.marks_file import marks_path

    file = marks_path(report)
    with verify.open_report(report) as opened:
        rows = list(opened.read())
    if not file.exists():
        raise UsageError(f"{report} has no marks: there is no {file}", "Import some: `sidscan marks import`.")
    marks = load_marks([file])
    questions = open_questions(marks, _images_of(report, rows))
    with suppress(BrokenPipeError), printing() as stream:
        for line in (*decision_lines(marks, rows), *question_lines(questions)):
            stream.write(f"{line}\n")
    return ExitCode.DONE


@command.command("confirm")
@click.argument("report", type=_FILE, metavar="REPORT")
@options.sectioned_option("--by", section="Input", default="", metavar="NAME", help="Who answers.")
@options.sectioned_option(
    "--yes/--no", "answer", section="Input", default=None, help="Answer all questions so, without asking."
)
@options.sectioned_option(
    "--again",
    section="Input",
    is_flag=True,
    help="Ask what was answered before, each two images by themselves; the last answer counts.",
)
def confirm(report: Path, by: str, answer: bool | None, again: bool) -> ExitCode:
    """Say whether images are copies of marked ones.

    A marked image that was saved again has other bytes, and no mark. Images of REPORT that look like a marked
    one, by their perceptual hashes, are shown with their distance. Look at both before you answer: what looks
    alike may be another photograph. Of a copy, later reports show the mark of the image that it is a copy of.
    Each question is asked once; the answer is kept in the marks file, with who gave it and when. To take back
    a wrong answer, add --again.

    Without a terminal, or --yes or --no, the questions are only listed. Perceptual hashes come with HTML
    reports, or with `sidscan scan --find-copies`.

    \b
    Examples:
      sidscan marks confirm report.csv --by Anna
      sidscan marks confirm report.csv --by Anna --no
      sidscan marks confirm report.csv --by Anna --again

    \b
    Exit codes:
      0  done, or the questions are listed   7  the marks file can't be written, or is damaged
      2  not a report, or nobody answers     130  interrupted; answers given so far are kept
    """
    from sidscan import verify  # here: `--help` needs none of it
    from sidscan.review.joined_marks import load_marks
    from sidscan.review.marked_copies import answered_questions, open_questions
    from sidscan.review.marks_file import marks_path

    with verify.open_report(report) as opened:
        rows = list(opened.read())
    images, file = _images_of(report, rows), marks_path(report)
    questions = (answered_questions if again else open_questions)(marks := load_marks([file]), images)
    if not questions:
        if again:
            console.echo("no question was answered yet")
        elif images.hashes():
            answered = "; --again asks what was answered" if any(marks.answers()) else ""
            console.echo(f"no image of this report is in question{answered}")
        elif not images.unread:
            console.echo("this report has no perceptual hashes; scan again with --find-copies")
    elif answer is None and not _can_ask():
        with suppress(BrokenPipeError), printing() as stream:
            stream.writelines(f"{line}\n" for line in question_lines(questions))
        console.echo("nothing was recorded: run this on a terminal, or add --yes or --no for all of them")
    else:
        _answer(questions, file, by.strip(), answer)
    return ExitCode.DONE


def _can_ask() -> bool:
    return console.is_terminal(sys.stdin) and console.is_terminal(sys.stderr)


def _answer(questions: list[Question], file: Path, by: str, answer: bool | None) -> None:
    """Record the answers, each as soon as it is given."""
    from sidscan.review.marks_file import append_marks

    if not by:
        raise UsageError("it is not said who answers", "Name the person with --by NAME.")
    if answer is not None:
        now = utc_now()
        append_marks(file, [entry for each in questions for entry in each.answers(answer, by, now)], now)
    same, other = 0, 0
    for question in (single for each in questions for single in each.singly()):
        given = answer if answer is not None else _ask(question)
        if given is None:
            continue
        if answer is None:
            now = utc_now()
            append_marks(file, list(question.answers(given, by, now)), now)
        same, other = same + given, other + (not given)
    console.echo(f"{console.plural(same, 'copy', 'copies')} confirmed, {other} denied, in {file}")
    if same or (other and questions[0].answered):
        console.echo("to write the marks into the report, run the same scan again")


def _ask(question: Question) -> bool | None:
    """What a person says; None if they don't know yet."""
    for line in question_lines([question]):
        console.echo(line)
    word = click.prompt("the same image?", type=click.Choice(["y", "n", "skip"]), default="skip", err=True)
    return {"y": True, "n": False}.get(word)
