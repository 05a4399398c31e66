"""The command line: commands parse, call the library, and report errors; nothing else belongs here."""

from __future__ import annotations

import importlib
import io
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO, cast

import click

from sidscan._version import __version__
from sidscan.cli import console
from sidscan.cli.help_sections import Group
from sidscan.errors import ExitCode, SidscanError, was_interrupted
from sidscan.libraries import first_line, library_error
from sidscan.util.terminal import SafeStream, ShownStream
from sidscan.util.threads import READER_THREAD_PREFIX

_SHORT_MEMORY = (
    "Close other programs; a scan needs less with a lower --batch or fewer --workers. What is recorded stays."
)

# Command -> module that defines `command`, and its line in `sidscan --help`. The module is imported only when
# its command is asked for, so that `sidscan --help` stays quick.
_COMMANDS = {
    "calibrate": ("sidscan.cli.calibrate", "Choose thresholds from known camera images."),
    "cite": ("sidscan.cli.cite", "Print BibTeX of the models and data sets that a report used."),
    "collect": ("sidscan.cli.collect", "Write reports of a run of shards."),
    "dataset": ("sidscan.cli.dataset", "Count the images of a labelled data set; write a manifest."),
    "diff": ("sidscan.cli.diff", "Say what changed between two scans."),
    "doctor": ("sidscan.cli.doctor", "Say what is installed, what works, and what a scan would use."),
    "evaluate": ("sidscan.cli.evaluate", "Measure detectors and localizers on labelled test sets."),
    "export-onnx": ("sidscan.cli.export_onnx", "Write detectors as one ONNX file."),
    "localize": ("sidscan.cli.localize", "Show where in images a localizer points: regions to look at."),
    "licences": ("sidscan.cli.licences", "List what is installed, and under which licences."),
    "inspect": ("sidscan.cli.inspect", "Look closely at single images: score all their windows."),
    "marks": ("sidscan.cli.marks", "Keep what people decided of images, and list it."),
    "models": ("sidscan.cli.models", "List, show, pull, import and verify detectors."),
    "provenance": ("sidscan.cli.provenance", "Show what files say of their own origin."),
    "recipe": ("sidscan.cli.recipe", "Show every number that a trained head or localizer depends on."),
    "redact": ("sidscan.cli.redact", "Copy a report without positions, names and other personal facts."),
    "report": ("sidscan.cli.report", "Write reports again from the record of a scan."),
    "scan": ("sidscan.cli.scan", "Score images and write reports."),
    "study": ("sidscan.cli.study", "Train many heads from one pass of the encoder."),
    "train": ("sidscan.cli.train", "Train RINE's head."),
    "train-localizer": (
        "sidscan.cli.train_localizer",
        "Train a localizer, which says where images are synthetic.",
    ),
    "verify": ("sidscan.cli.verify", "Hash the files of a report again and list what changed."),
}


class LazyGroup(Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names, for help."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now; None for an unknown name."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in sorted(_COMMANDS.items())])


@click.group(cls=LazyGroup)
@click.version_option(__version__, prog_name="sidscan")
def cli() -> None:
    """Find the images of an archive that deserve a person's look, because a machine may have made them.

    A score is evidence for a person to weigh; it is not a probability of guilt.

    \b
    Examples:
      sidscan scan ./images -o report.csv
      sidscan verify report.csv
      sidscan models list
    """


def main() -> None:
    """Run the command line and exit with a documented code (`errors.ExitCode`)."""
    interrupts = _Interrupts()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names and EXIF may not fit a legacy code page
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="")
    _filter_streams()
    try:
        code = cli.main(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        reason = str(error.__cause__ or error)  # click puts its own error in place of ours
        code = _report(f"interrupted {reason}".rstrip(), ExitCode.INTERRUPTED)
        interrupts.ignore()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except SidscanError as error:
        code = _report(error.message, error.exit_code, error.remedy, error.details)
    except ImportError as error:
        if was_interrupted(error):
            code = _report("interrupted", ExitCode.INTERRUPTED)
        else:
            code = _report_missing_library(error)
    except Exception as error:
        from sidscan.runtimes.short_memory import is_short  # here: few commands end so

        if not is_short(error):
            raise
        code = _report(f"memory is short: {first_line(error)}", ExitCode.RUNTIME, _SHORT_MEMORY)
    code = _end_output(code)
    if (code == ExitCode.INTERRUPTED or any(map(_is_daemon, _readers()))) and _readers_hang():
        os._exit(int(code or 0))  # sys.exit would wait for them
    sys.exit(int(code or 0))


class _Interrupts:
    """Ends as Ctrl-C does where the system asks to end, too, or where the terminal is closed.

    The first signal ends the command. One that comes soon after would break off its closing, and is ignored;
    a later one ends a closing that hangs.
    """

    _CLOSING = 10.0  # seconds

    def __init__(self) -> None:
        self._began: float | None = None
        self._numbers = [
            number
            for name in ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last
            if (number := getattr(signal, name, None)) is not None
            and (name == "SIGTERM" or signal.getsignal(number) is not signal.SIG_IGN)  # as nohup sets it
        ]
        for number in self._numbers:
            signal.signal(number, self._interrupt)

    def ignore(self) -> None:
        """Let no signal disturb the end of this process."""
        for number in self._numbers:
            signal.signal(number, signal.SIG_IGN)

    def _interrupt(self, number: int, _: object) -> None:
        name = signal.Signals(number).name
        if name == "SIGHUP":
            _leave_closed_terminal()
        now = time.monotonic()
        if self._began is not None and now - self._began < self._CLOSING:
            return
        self._began = now
        raise KeyboardInterrupt(*([] if name == "SIGINT" else [f"by {name}"]))


def _leave_closed_terminal() -> None:
    """Let output that nobody can see any more go nowhere, since writing it would fail."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or no file
            mode = os.fstat(stream.fileno()).st_mode
            if stat.S_ISCHR(mode) and not os.isatty(stream.fileno()):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _readers_hang(grace: float = 1.0) -> bool:
    """Whether a reader is still busy after ``grace`` seconds, in a download or a codec, and may stay so."""
    deadline = time.monotonic() + grace
    readers = _readers()
    for reader in readers:
        with suppress(RuntimeError):  # it has not begun
            reader.join(max(deadline - time.monotonic(), 0))
    return any(reader.is_alive() for reader in readers)


def _readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(READER_THREAD_PREFIX)]


def _is_daemon(thread: threading.Thread) -> bool:
    """Whether Python would not wait for it, and fail at its own end if it reads standard input then."""
    return thread.daemon


def _end_output(code: int | None) -> int:
    """Send what is left of standard output; the exit code, which says if it could not be written.

    That nobody reads on, as after `| head`, is no failure. Python must not complain of it at exit.
    """
    if sys.stdout is None:
        return int(code or 0)
    sys.stdout.flush()
    failure = getattr(sys.stdout, "failure", None)
    if failure is None:
        return int(code or 0)
    with suppress(OSError, ValueError):  # what it holds still can't be sent
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(failure, BrokenPipeError) or code:
        return int(code or 0)
    return _report(
        f"can't write to standard output: {failure.strerror}",
        ExitCode.OUTPUT,
        "Free space, or write elsewhere.",
    )


def _filter_streams() -> None:
    """Make everything that is printed safe to show: click's errors, warnings and tracebacks too.

    Standard error is always filtered, since a log of it may be shown later; standard output on a terminal.
    """
    if sys.stderr is None:  # closed by the caller
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (until the end)
    if not isinstance(sys.stderr, SafeStream):
        sys.stderr = cast(TextIO, SafeStream(sys.stderr))
    if sys.stdout is None or isinstance(sys.stdout, ShownStream):
        return
    shown = cast(TextIO, SafeStream(sys.stdout)) if sys.stdout.isatty() else sys.stdout
    sys.stdout = cast(TextIO, ShownStream(shown))


def _report_missing_library(error: ImportError) -> ExitCode:
    """Say which library can't be loaded, and what brings it; what is wrong with our own modules is raised."""
    module = (error.name or "").partition(".")[0]
    if module in ("", "sidscan"):
        raise error
    missing = library_error("this command", module, error)
    return _report(missing.message, missing.exit_code, missing.remedy)


def _report(message: str, code: ExitCode, remedy: str = "", details: Sequence[str] = ()) -> ExitCode:
    console.echo(f"sidscan: {message}")
    for line in filter(None, (remedy, *details)):
        console.echo(line)
    return code
