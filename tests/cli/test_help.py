"""--help of every command: sections, short names, suggestions; options come from the fields of config."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import click
import pytest

from sidscan import ScanConfig
from sidscan.cli import cli
from sidscan.cli.help_sections import Option, Sectioned
from sidscan.cli.scan import command as scan_command
from sidscan.config import FetchOptions, ReadLimits
from sidscan.util.option_specs import SECTIONS, option_specs

Run = Callable[..., Any]


def commands(
    command: click.Command = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command, with the words that invoke it."""
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            child = command.get_command(click.Context(command), name)
            assert child is not None
            yield from commands(child, (*path, name))


SECTIONED = list(commands())
IDS = [" ".join(path) or "sidscan" for path, _ in SECTIONED]


@pytest.mark.parametrize(("path", "command"), SECTIONED, ids=IDS)
def test_options_are_in_sections(sidscan: Run, path: tuple[str, ...], command: click.Command) -> None:
    assert isinstance(command, Sectioned)
    ended = sidscan(*path, "--help")
    assert ended.code == 0
    titles = re.findall(r"^(\w+):$", ended.out, re.MULTILINE)
    known = [title for title in titles if title in SECTIONS]
    assert known == sorted(known, key=SECTIONS.index)
    assert "-h, --help" in ended.out
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[-1] in ended.out


@pytest.mark.parametrize(("path", "command"), SECTIONED, ids=IDS)
def test_no_option_takes_the_name_of_another(path: tuple[str, ...], command: click.Command) -> None:
    names = [parameter.name for parameter in command.params]
    assert sorted(names) == sorted(set(names)), path


@pytest.mark.parametrize(("path", "command"), SECTIONED, ids=IDS)
def test_short_names_are_the_same_everywhere(path: tuple[str, ...], command: click.Command) -> None:
    short_names = {"--out": "-o", "--model": "-m", "--quiet": "-q"}
    for parameter in command.params:
        for long, short in short_names.items():
            assert (long in parameter.opts) == (short in parameter.opts)


def test_the_first_screen_of_scan_shows_model_and_out(sidscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = sidscan("scan", "--help").out.splitlines()[:24]
    assert any("-m, --model" in line for line in lines)
    assert any("-o, --out" in line for line in lines)


def test_no_line_breaks_inside_an_option_name(sidscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in range(50, 100, 7):
        monkeypatch.setenv("COLUMNS", str(columns))
        help_text = sidscan("scan", "--help").out
        assert not re.search(r"\w-$", help_text, re.MULTILINE)
        assert "\u2011" not in help_text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["scna"], "No such command 'scna'. Did you mean 'scan'?", id="command"),
        pytest.param(["models", "lst"], "No such command 'lst'. Did you mean 'list'?", id="subcommand"),
        pytest.param(["xyzzy"], "No such command 'xyzzy'.\n", id="nothing like it"),
        pytest.param(["scan", "--hiden"], "--hidden", id="option"),
    ],
)
def test_misspelt_words_get_a_suggestion(sidscan: Run, arguments: list[str], message: str) -> None:
    ended = sidscan(*arguments)
    assert ended.code == 2
    assert message in ended.err


OPTIONS = {name: spec for name, spec in option_specs(ScanConfig).items() if spec.section}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_field_of_the_configuration_is_an_option_of_scan(name: str) -> None:
    spec = OPTIONS[name]
    (option,) = (parameter for parameter in scan_command.params if parameter.name == name)
    assert isinstance(option, click.Option)
    assert option.help == spec.help
    assert spec.flag_of(name) in option.opts
    (field,) = (each for each in fields(ScanConfig) if each.name == name)
    if field.default not in (None, ()):
        assert option.default == field.default


SHARED_FIELDS = [
    *(("train", name) for name in ("device", "precision", "workers")),
    *(("study", name) for name in ("device", "precision", "workers")),
    ("calibrate", "journal"),
]


@pytest.mark.parametrize(("command", "name"), SHARED_FIELDS)
def test_options_of_the_same_name_have_the_same_default_and_section(command: str, name: str) -> None:
    (option,) = (each for each in dict(SECTIONED)[(command,)].params if each.name == name)
    (of_scan,) = (each for each in scan_command.params if each.name == name)
    assert isinstance(option, Option)
    assert isinstance(of_scan, Option)
    assert (option.section, option.default, option.opts) == (of_scan.section, of_scan.default, of_scan.opts)


@pytest.mark.parametrize(("path", "command"), SECTIONED, ids=IDS)
def test_every_option_states_its_section(path: tuple[str, ...], command: click.Command) -> None:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name not in ("help", "version"):
            assert getattr(parameter, "section", ""), parameter.name


def test_fields_without_a_section_are_not_options() -> None:
    assert set(option_specs(ScanConfig)) - set(OPTIONS) == {
        "inputs",
        "outputs",
        "output_prefix",
        "command",
        "origins",
        "in_order",
        "thumbnails",
        "pixels",
        "views",
    }


@pytest.mark.parametrize("config", [ReadLimits, FetchOptions, ScanConfig])
def test_docstrings_list_every_field(config: type) -> None:
    for name, spec in option_specs(config).items():
        assert f"    {name}: {spec.help}" in (config.__doc__ or "")


@pytest.mark.parametrize(
    ("flag", "default"),
    [
        ("--max-bytes", "1GiB"),
        ("--max-metadata", "16MiB"),
        ("--memory-limit", "2GiB"),
        ("--item-timeout", "30s"),
        ("--total-timeout", "2m"),
        ("--isolation", "isolation"),
        ("--rate", "no limit"),
    ],
)
def test_displayed_defaults_can_be_typed(sidscan: Run, flag: str, default: str) -> None:
    words = " ".join(sidscan("scan", "--help").out.split())
    match = re.search(rf" {flag} [A-Z/].*?\[default: (.*?)\]", words)
    assert match
    assert match[1] == default
