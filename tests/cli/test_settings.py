"""Options from the environment and from sidscan.toml: precedence, errors, and what reports say of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from sample_images import folder

from sidscan.cli.scan import command as scan_command
from sidscan.cli.settings import variable

Run = Callable[..., Any]
OPTIONS = [each for each in scan_command.params if isinstance(each, click.Option) and each.name != "help"]


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder, with images in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    folder(Path("images"), count=1)


def options_of(sidscan: Run, *arguments: str) -> tuple[dict[str, Any], str]:
    """The session's record of options after a scan, and standard error."""
    ended = sidscan("scan", "images", "--out", "r.json", "--fresh", "--overwrite", *arguments)
    assert ended.code == 0, ended.err
    return json.loads(Path("r.json").read_text())["run"]["sessions"][-1]["options"], ended.err


@pytest.mark.parametrize("option", OPTIONS, ids=variable)
def test_every_option_has_a_variable(option: click.Option) -> None:
    assert option.envvar == f"SIDSCAN_{max(option.opts, key=len)[2:].upper().replace('-', '_')}"


def test_the_command_line_goes_before_the_environment_before_the_file(
    sidscan: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("sidscan.toml").write_text('model = ["mini"]\nbatch = 20\nmax_bytes = "10MB"\nhidden = true\n')
    monkeypatch.setenv("SIDSCAN_BATCH", "30")
    monkeypatch.setenv("SIDSCAN_WORKERS", "2")
    options, err = options_of(sidscan, "--workers", "1")
    assert options == {
        "--hidden": {"values": ["true"], "origin": "sidscan.toml"},
        "--model": {"values": ["mini"], "origin": "sidscan.toml"},
        "--batch": {"values": ["30"], "origin": "SIDSCAN_BATCH"},
        "--max-bytes": {"values": ["10MB"], "origin": "sidscan.toml"},
    }
    assert err.startswith(
        "options: --hidden true (sidscan.toml), --model mini (sidscan.toml), --batch 30 (SIDSCAN_BATCH), "
        "--max-bytes 10MB (sidscan.toml)\n"
    )
    session = json.loads(Path("r.json").read_text())["run"]["sessions"][-1]
    assert (session["resources"]["batch"], session["resources"]["workers"]) == (30, 1)
    assert session["limits"]["max_bytes"] == 10_000_000


def test_without_either_the_record_is_empty(sidscan: Run) -> None:
    options, err = options_of(sidscan, "--model", "mini")
    assert options == {}
    assert "options:" not in err


def test_a_private_report_withholds_them(sidscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDSCAN_PRIVATE", "1")
    assert options_of(sidscan, "--model", "mini")[0] is None


def test_a_variable_has_several_values_as_path_has(sidscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDSCAN_OUT", os.pathsep.join(("a b.csv", "r.json")))
    assert sidscan("scan", "images", "--model", "mini").code == 0
    assert Path("a b.csv").exists()
    assert Path("r.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('devcie = "cpu"', "there is no option 'devcie'\nDid you mean 'device'?", id="misspelt"),
        pytest.param("xyzzy = 1", "there is no option 'xyzzy'\nWrite options as", id="unknown"),
        pytest.param('[scan]\ndevice = "cpu"', "there is no option 'scan'\nWrite options as", id="table"),
        pytest.param('config = "other.toml"', "there is no option 'config'", id="another file"),
        pytest.param('hidden = "yes"', "hidden must be true or false, not 'yes'", id="flag"),
        pytest.param("batch = true", "batch can't be True", id="number"),
        pytest.param("batch = [1]", "batch can't be [1]", id="several"),
        pytest.param('batch = "x"', "1_000_000. (from sidscan.toml)", id="value"),
        pytest.param("batch = ", "sidscan.toml is not TOML: ", id="syntax"),
        pytest.param("batch = '\udcff'", "sidscan.toml is not TOML: ", id="not utf-8"),
    ],
)  # fmt: skip
def test_faults_of_the_file_are_named(sidscan: Run, text: str, message: str) -> None:
    Path("sidscan.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    ended = sidscan("scan", "images", "--model", "mini")
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert sidscan("scan", "--help").code == 0


def test_a_fault_of_a_variable_names_it(sidscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDSCAN_ITEM_TIMEOUT", "soon")
    ended = sidscan("scan", "images")
    assert ended.code == 2
    assert "'soon' is not a duration" in ended.err
    assert "(from SIDSCAN_ITEM_TIMEOUT)" in ended.err


def test_a_misspelt_variable_is_a_warning(sidscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDSCAN_DEVIEC", "cpu")
    monkeypatch.setenv("SIDSCAN_OF_SOMETHING_ELSE", "1")
    ended = sidscan("scan", "images", "--model", "mini")
    assert ended.err.startswith(
        "warning: SIDSCAN_DEVIEC is not an option of this scan; did you mean SIDSCAN_DEVICE?\nmodel: mini"
    )


@pytest.mark.parametrize("inputs", [["."], [".."], ["images", "photo.jpg"], ["photo.jpg"]], ids=" ".join)
def test_a_file_among_the_scanned_has_no_effect(
    sidscan: Run, monkeypatch: pytest.MonkeyPatch, inputs: list[str]
) -> None:
    Path("project").mkdir()  # so that the folder above it holds nothing of other tests
    monkeypatch.chdir("project")
    folder(Path("images"), count=1)
    Path("images/nested").mkdir(exist_ok=True)
    Path("photo.jpg").write_bytes(next(Path("images").rglob("*.jpg")).read_bytes())
    Path("sidscan.toml").write_text('out = ["stolen.csv"]\n')
    ended = sidscan("scan", *inputs, "--model", "mini")
    assert ended.code == 0
    assert ended.err.startswith("sidscan.toml in the current folder is not used, since this scan reads that")
    assert not Path("stolen.csv").exists()
    assert sidscan("scan", *inputs, "--model", "mini", "--config", "sidscan.toml").code == 0
    assert Path("stolen.csv").exists()


@pytest.mark.parametrize("variable", [False, True], ids=["option", "variable"])
def test_a_file_beside_listed_images_has_no_effect(
    sidscan: Run, monkeypatch: pytest.MonkeyPatch, variable: bool
) -> None:
    Path("names.txt").write_text(f"{next(Path('images').rglob('*.jpg'))}\n")
    Path("sidscan.toml").write_text('out = ["stolen.csv"]\n')
    if variable:
        monkeypatch.setenv("SIDSCAN_LIST", "names.txt")
    scan = ("scan", "--model", "mini", *(() if variable else ("--list", "names.txt")))
    ended = sidscan(*scan)
    assert ended.code == 0
    assert ended.err.startswith(
        "sidscan.toml in the current folder is not used, since a list may name files of that folder; "
        "--config sidscan.toml uses it\n"
    )
    assert not Path("stolen.csv").exists()
    assert sidscan(*scan, "--config", "sidscan.toml").code == 0
    assert Path("stolen.csv").exists()


def test_a_file_below_a_scanned_folder_has_no_effect(sidscan: Run) -> None:
    Path("images/sidscan.toml").write_text("nonsense")
    assert sidscan("scan", "images", "--model", "mini").code == 0


def test_another_file_or_none(sidscan: Run, tmp_path: Path) -> None:
    Path("sidscan.toml").write_text("nonsense")
    Path("other.toml").write_text('model = "mini"\n')
    assert options_of(sidscan, "--config", "other.toml")[0]["--model"]["origin"] == "other.toml"
    assert options_of(sidscan, "--config", os.devnull)[0] == {}
    missing = sidscan("scan", "images", "--config", "missing.toml")
    assert missing.code == 2
    assert (
        "can't read the options in missing.toml: No such file or directory\nCheck --config.\n" in missing.err
    )


def test_the_example_of_the_documentation_is_read(sidscan: Run) -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"
    example = page.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
    Path("sidscan.toml").write_text(example)
    assert sidscan("scan", "images").code == 0
    assert Path("report.csv").exists()
