"""``sidscan doctor``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import click

from sidscan._version import __version__
from sidscan.cli import options, settings
from sidscan.doctor import CheckResult, run_checks
from sidscan.errors import ExitCode
from sidscan.util.progress import progress
from sidscan.util.terminal import plural, safe_line

FORMAT = 1  # of the JSON


class DoctorCommand(settings.ConfigurableCommand):
    """It reads what a scan reads; the file may state options of a scan that matter nothing here."""

    refuses_unknown = False


@click.command("doctor", cls=DoctorCommand)
@options.setting("models")
@options.encoder()
@options.setting("runtime")
@options.setting("device")
@options.setting("precision")
@options.setting("cuda_mode")
@settings.options_file()
@options.sectioned_option(
    "--ray",
    section="Shards",
    metavar="ADDRESS",
    help="Ask each node of this Ray cluster, too, as `sidscan scan --ray` would use it.",
)
@options.sectioned_option(
    "--json", "as_json", section="Output", is_flag=True, help="Print all that is known, as JSON."
)
def command(as_json: bool, ray: str | None, **choices: Any) -> ExitCode:
    """Say what is installed, what works, and what a scan would use here.

    One line for each check. What is wrong comes again at the end, with the command that mends it. Libraries
    and the detector are really loaded, a worker process really reads an image, and installed models are
    hashed. Nothing is changed, and the network is not used. The options, also those in the environment and
    in sidscan.toml, are those of the scan that you ask about.

    \b
    Examples:
      sidscan doctor
      sidscan doctor --model rine-4class --device cuda
      sidscan doctor --json
      sidscan doctor --ray auto

    \b
    Exit codes:
      0  a scan would run                  6  a library is missing or broken, or no
      4  the model of a scan is altered       image can be read in a worker process
    """
    results = []
    with progress(None, "check", quiet=as_json, transient=True, layout="checking: {n_fmt} done") as bar:
        for result in chain(run_checks(_as_json(choices)), _nodes(ray)):
            bar.update()
            results.append(result)
            if not as_json:
                bar.clear()
                click.echo(safe_line(_line(result)))
    code = next((result.exit_code for result in results if result.exit_code is not None), ExitCode.DONE)
    if as_json:
        click.echo(json.dumps(_as_dict(results, code), indent=2))
    else:
        _print_problems(results, code)
    return code


def _nodes(address: str | None) -> Iterator[CheckResult]:
    if address is not None:
        from sidscan.cli.cluster_check import check_nodes  # here: most checks are of this machine alone

        yield from check_nodes(address)


def _as_json(choices: dict[str, Any]) -> dict[str, object]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in choices.items()}


def _line(result: CheckResult) -> str:
    return f"{result.level:<9}{result.name:<16} {result.text}"


def _print_problems(results: Sequence[CheckResult], code: ExitCode) -> None:
    """Problems, then notes that a command removes, and whether a scan would run."""
    for level, noun in (("note", "note"), ("problem", "problem")):
        chosen = [result for result in results if result.level == level and result.remedy]
        if not chosen:
            continue
        click.echo(f"\n{plural(len(chosen), noun)}:")
        for result in chosen:
            click.echo(safe_line(f"  {result.name}: {result.text if level == 'problem' else result.remedy}"))
            if level == "problem":
                click.echo(safe_line(f"    {result.remedy}"))
    click.echo(
        "\na scan would run" if code is ExitCode.DONE else f"\na scan would not run (exit code {code})"
    )


def _as_dict(results: Sequence[CheckResult], code: ExitCode) -> dict[str, object]:
    checks = [
        {
            "name": result.name,
            "level": result.level,
            "text": result.text,
            "remedy": result.remedy or None,
            "exit_code": result.exit_code,
            "facts": dict(result.facts),
        }
        for result in results
    ]
    return {
        "format": FORMAT,
        "sidscan_version": __version__,
        "scan_would_run": code is ExitCode.DONE,
        "exit_code": int(code),
        "checks": checks,
    }
