"""The docs: links resolve, commands and options exist, messages are real, and the prose keeps its rules."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import operator
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import click
import pytest

import sidscan
from sidscan.cli import cli
from sidscan.reports.columns import CSV_COLUMNS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
MARKDOWN = sorted({*ROOT.glob("*.md"), *PAGES, *(ROOT / "benchmarks").glob("*.md")})
# Records of past work stay as they were written; cli.md is generated from --help.
PROSE = [page for page in (ROOT / "README.md", *PAGES) if "log" not in page.parts and page.name != "cli.md"]
DEVELOPERS_PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
LINE_LENGTH = 120  # characters of prose; tables may be wider
BANNED = ("is no ", "so many", "is not to be had", "there is none", " told")
CLICK_OPTIONS = {"--help", "--version"}  # click adds these options itself
SHELL_OPERATORS = {"|", "||", "&&", ";", ">", "2>&1"}
# Options of `python -m sidscan.training.mini....` and of benchmarks/, which are not commands of sidscan.
DEVELOPERS_OPTIONS = {
    "--rine-folds",
    *("--corpus", "--folds", "--weights", "--reserved", "--whole", "--cache", "--originals"),
    *("--composites", "--minutes", "--work"),
    *("--images", "--plain-images", "--rounds", "--folder", "--crops", "--sizes", "--seconds"),
    "--shards",
    "--rows",
    "--dist",  # of pytest-xdist
}
PIP_OPTIONS = {
    *("--no-deps", "--only-binary", "--ignore-requires-python", "--upgrade", "--index-url", "--no-index"),
    *("--find-links", "--wheel-dir", "--dest", "--overrides", "--with"),  # the last two are uv's
}
SCHEDULER_OPTIONS = {"--address", "--array", "--cpus-per-task", "--gres", "--head", "--job-name", "--requeue"}
DOCKER_OPTIONS = {"--network", "--read-only", "--rm", "--tag", "--tmpfs"}
# What the architecture page calls, and where it is defined.
CALLED = {
    "choose_models": "sidscan.models.refs:choose_models",
    "open_runtime": "sidscan.runtimes:open_runtime",
    "calibration.choose_calibrations": "sidscan.scoring.calibration:choose_calibrations",
    "Journal": "sidscan.journal:Journal",
    "journal.register_inputs": "sidscan.journal:Journal.register_inputs",
    "journal.pending": "sidscan.journal:Journal.pending",
    "journal.append": "sidscan.journal:Journal.append",
    "reuse_keys": "sidscan.scoring.reuse:reuse_keys",
    "open_sources": "sidscan.sources:open_sources",
    "Fetcher": "sidscan.fetch.client:Fetcher",
    "IsolatedReader": "sidscan.isolation.reader:IsolatedReader",
    "OrderedMap": "sidscan.util.threads:OrderedMap",
    "map_batches": "sidscan.util.threads:map_batches",
    "Scorer": "sidscan.scoring.scorer:Scorer",
    "scorer.end": "sidscan.scoring.scorer:Scorer.end",
    "reports.write_all": "sidscan.reports:write_all",
}


class Command(NamedTuple):
    """A command of sidscan and the names of its options."""

    path: tuple[str, ...]
    options: frozenset[str]


def relative(path: Path) -> str:
    """A test's id."""
    return path.relative_to(ROOT).as_posix()


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[Command]:
    """All commands below ``group``, groups included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        options = {
            option
            for parameter in command.params
            if isinstance(parameter, click.Option)
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        yield Command((*path, name), frozenset(options))
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@cache
def all_commands() -> tuple[Command, ...]:
    """Every command of sidscan."""
    return tuple(commands(cli))


def prose_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines outside of fences, indented code, tables, front matter and comments, with their numbers."""
    fenced = False
    in_front_matter = text.startswith("---\n")
    for number, line in enumerate(text.splitlines(), 1):
        if in_front_matter:
            in_front_matter = number == 1 or line != "---"
        elif line.lstrip().startswith("```"):
            fenced = not fenced
        elif not (fenced or line.startswith(("|", "    ", "<!--"))):
            yield number, line


def shell_lines(text: str) -> Iterator[str]:
    """Lines of shell examples, comments left out, continued lines joined."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield from (line for line in block.replace("\\\n", " ").splitlines() if line and line[0] != "#")


def sidscan_calls(text: str) -> Iterator[list[str]]:
    """Arguments of every `sidscan ...` in shell examples."""
    for line in shell_lines(text):
        words = shlex.split(line, comments=True)
        for start, word in enumerate(words):
            if Path(word).name == "sidscan":
                rest = words[start + 1 :]
                yield list(itertools.takewhile(lambda each: each not in SHELL_OPERATORS, rest))


def anchors(page: Path) -> set[str]:
    """Ids of a page's headings, as mkdocs makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", MARKDOWN, ids=relative)
def test_relative_links_resolve(page: Path) -> None:
    links = re.findall(r"\]\(\s*([^)\s]+)\s*\)", page.read_text(encoding="utf-8"))
    broken = []
    for link in links:
        if re.match(r"https?://|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", [*PROSE, *DEVELOPERS_PAGES], ids=relative)
def test_paths_of_the_source_tree_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:sidscan|training|exporters|benchmarks|tests|examples)/[\w./-]+)`",
        page.read_text(encoding="utf-8"),
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", MARKDOWN, ids=relative)
def test_files_of_tests_exist(page: Path) -> None:
    named = set(re.findall(r"\btest_\w+\.py", page.read_text(encoding="utf-8")))
    assert named <= {path.name for path in (ROOT / "tests").rglob("test_*.py")}


@cache
def recipes() -> dict[str, str]:
    """The first Python example of each section of CONTRIBUTING.md, by the section's title."""
    sections = re.split(r"^## ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    examples = {}
    for section in sections:
        if code := re.search(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE):
            examples[section.partition("\n")[0]] = code[1]
    return examples


# What is done with the example of a recipe once it is loaded, as "recipe".
USES = {
    "Add a detector": """
from types import SimpleNamespace
import torch
from sidscan.models import state_dicts
from sidscan.models.catalog import find_entry
from sidscan.models.families import detector_family

entry = find_entry("recipe-probe")
weights = {"fc.weight": torch.ones(1, 768), "fc.bias": torch.ones(1)}
encoder = SimpleNamespace(output_dim=768)
_, head = detector_family(entry.family).networks(state_dicts.normalise(entry, weights), encoder)
assert head(torch.ones(2, 768)).tolist() == [769, 769]
""",
    "Add a report format": """
from pathlib import Path
from sample_results import FAILED, SCORED, journal_of, rendered
from sidscan.reports.reader import ReportRow
from sidscan.verify import open_report

assert rendered(Path("r.recipe"), journal_of(SCORED, FAILED)).startswith("sidscan report, format 2\\n[")
with open_report(Path("r.recipe")) as report:
    assert report.kind == "recipe"
    assert [row.row for row in report.check()] == [ReportRow("a.jpg", "f" * 64), ReportRow("b.jpg", None)]
""",
    "Add a layout": """
from pathlib import Path
from sidscan.training.datasets.reading import read_data_set

for name in ("photos/a.png", "made/b.png"):
    Path(name).parent.mkdir()
    Path(name).touch()
images = read_data_set(Path(), "photos-and-made")
labels = [(image.name, image.label) for image in images]
assert labels == [("photos/a.png", "real"), ("made/b.png", "synthetic")]
""",
}


@pytest.mark.parametrize("title", USES)
def test_recipes_of_contributing_work(title: str, tmp_path: Path) -> None:
    """In a process of its own, so that nothing stays registered, and under a name that nothing has taken."""
    code = recipes()[title].replace("my-probe", "recipe-probe").replace("my_probe", "recipe_probe")
    (tmp_path / "recipe.py").write_text(code.replace('("txt")', '("recipe")'), encoding="utf-8")
    (tmp_path / "use.py").write_text(f"import recipe\n{USES[title]}", encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((os.environ.get("PYTHONPATH", ""), str(ROOT / "tests"))),
    }
    ended = subprocess.run(
        [sys.executable, "use.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_every_command_is_mentioned() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PROSE)
    missing = [
        " ".join(command.path)
        for command in all_commands()
        if f"sidscan {' '.join(command.path)}" not in text
    ]
    assert missing == []


@pytest.mark.parametrize("page", PROSE, ids=relative)
def test_every_option_exists(page: Path) -> None:
    known = {option for command in all_commands() for option in command.options}
    known |= CLICK_OPTIONS | DEVELOPERS_OPTIONS | PIP_OPTIONS | DOCKER_OPTIONS | SCHEDULER_OPTIONS
    named = set(re.findall(r"(?<![\w<-])--[a-z][a-z0-9-]*", page.read_text(encoding="utf-8")))
    assert sorted(named - known) == []


@pytest.mark.parametrize("page", PROSE, ids=relative)
def test_shell_examples_parse(page: Path) -> None:
    for arguments in sidscan_calls(page.read_text(encoding="utf-8")):
        names = {" ".join(command.path): command for command in all_commands()}
        name = " ".join(arguments[:2]) if " ".join(arguments[:2]) in names else arguments[0]
        assert name in names, arguments
        given = [word for word in arguments if re.match(r"--?[a-z]", word)]
        assert [option for option in given if option not in names[name].options] == [], arguments


@cache
def literals() -> str:
    """Every string constant of the code, constant parts of f-strings included."""
    texts = []
    for folder in ("sidscan", "training", "exporters"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    return "\n".join(texts)


def documented_messages() -> list[str]:
    """Messages in the tables of the errors page: the column before the meaning."""
    text = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    rows = [row.strip("|").split(" | ") for row in re.findall(r"^\|.*`.*\|$", text, re.MULTILINE)]
    return [row[-2].strip(" `") for row in rows if "`" in row[-2]]


@pytest.mark.parametrize("message", documented_messages())
def test_messages_on_the_errors_page_are_in_the_code(message: str) -> None:
    if message == "No such option":  # this message is click's
        return
    parts = [part.strip(" :;,") for part in message.split("…")]
    assert [part for part in parts if part and part not in literals()] == []


def programs() -> list[tuple[str, str]]:
    """Programs on the page of the Python API, with what they print."""
    text = (DOCS / "reference" / "python-api.md").read_text(encoding="utf-8")
    return re.findall(
        r"^```python\n(.*?)^```\n\n(?:<!--.*?-->\n)?```text\n(.*?)^```", text, re.DOTALL | re.MULTILINE
    )


@pytest.mark.parametrize(("program", "printed"), programs(), ids=range(len(programs())))
def test_programs_print_the_documented_output(program: str, printed: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "images", tmp_path / "examples" / "images")
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    versions = r"onnxruntime \S+, \w+"  # these differ between machines
    assert re.sub(versions, "", ended.stdout) == re.sub(versions, "", printed)


def test_documented_errors_are_in_the_package() -> None:
    text = (DOCS / "reference" / "python-api.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| \d \|", text, re.MULTILINE)
    names = {name for cell in cells for name in re.findall(r"\w+", cell)}
    assert {"OutputError", "UnknownModel"} <= names
    assert names - set(sidscan.__all__) == set()


def test_every_column_is_documented() -> None:
    text = (DOCS / "reference" / "report-columns.md").read_text(encoding="utf-8")
    table = text.partition("## All columns")[2].partition("\n\nWith several")[0]
    first_cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert [name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)] == list(CSV_COLUMNS)


def test_calls_in_the_architecture_page_fit_their_signatures() -> None:
    text = (DOCS / "background" / "architecture.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    checked = set()
    for call in (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if name not in CALLED:
            continue
        module, _, attribute = CALLED[name].partition(":")
        function = operator.attrgetter(attribute)(importlib.import_module(module))
        this = [None] if "." in attribute else []  # self of a method
        inspect.signature(function).bind(
            *this, *call.args, **{str(word.arg): word.value for word in call.keywords}
        )
        checked.add(name)
    assert checked == set(CALLED)


@pytest.mark.parametrize("page", PROSE, ids=relative)
def test_prose_keeps_its_rules(page: Path) -> None:
    faults = []
    for number, line in prose_lines(page.read_text(encoding="utf-8")):
        if len(line) > LINE_LENGTH:
            faults.append(f"{number}: {len(line)} characters")
        plain = re.sub(r"`[^`]*`", "``", line).lower()
        faults += [f"{number}: {phrase!r}" for phrase in BANNED if phrase in plain]
    assert faults == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page in PROSE and "background" not in page.parts], ids=relative
)
def test_every_page_shows_output_or_an_example(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "```" in text or "--8<--" in text


def test_the_site_lists_every_page() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r": ([\w/-]+\.md)$", nav, re.MULTILINE)
    assert sorted(listed) == [page.relative_to(DOCS).as_posix() for page in PAGES]
