"""Does a scan ever turn to the network because of what a file says? Linux, with strace.

    python benchmarks/provenance_sockets.py [FOLDER...] --out FILE

The files: images in every container whose manifest is kept at an address, alone or beside one in the file,
and all files of the folders, such as those whose certificates name servers of revocation lists, or whose
identities are did:web. `sidscan scan` and `sidscan provenance` run over them, with c2pa-python as installed
and as if it were not, and strace counts the sockets of all their processes: a patched function of Python
would not see what native code does. A last run has c2pa-python read a file as it does by itself, at an
address of this machine, to show that strace would see it. A scan's AF_UNIX sockets ask the system for the
user's name.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from harness import Verdicts, environment, hide_c2pa, scan
from provenance_files import containers, held_elsewhere, statements

_CALLS = "trace=%network,io_uring_setup,openat"
_SOCKET = re.compile(r"\bsocket(?:pair)?\((AF_\w+|[0-9xa-f]+)")
_INTERNET = ("AF_INET", "AF_INET6", "AF_PACKET")
_NAMES = re.compile(r'openat\([^"]*"(/etc/(?:resolv\.conf|hosts)|[^"]*libnss_dns[^"]*)"')
_BY_ITSELF = """
import c2pa, sys
try:
    c2pa.Reader(sys.argv[1])
except Exception as error:
    print(error)
"""


def main() -> int:
    """Trace, check, and write the result; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    verdicts = Verdicts("provenance_sockets")
    with tempfile.TemporaryDirectory() as text:
        root = Path(text)
        files = root / "files"
        write(files, options.folders)
        verdicts.result["files"] = sum(path.is_file() for path in files.rglob("*"))
        with_extra = environment(root / "store")
        kinds = {"without c2pa-python": hide_c2pa(with_extra, root / "hidden")}
        if find_spec("c2pa"):
            kinds = {"with c2pa-python": with_extra, **kinds}
        for kind, env in kinds.items():
            check(kind, files, root, env, verdicts)
        if find_spec("c2pa"):
            control(root, with_extra, verdicts)
    return verdicts.end(options.out)


def write(folder: Path, given: list[Path]) -> None:
    """Images that name addresses, and copies of the folders' files."""
    folder.mkdir()
    for suffix, writer in containers().items():
        (folder / f"remote.{suffix}").write_bytes(writer(held_elsewhere("https://manifests.example.org/a")))
        (folder / f"both.{suffix}").write_bytes(writer(statements()))
    for number, source in enumerate(given):
        for path in sorted(source.rglob("*")):
            if path.is_file():
                target = folder / str(number) / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


def check(kind: str, files: Path, root: Path, env: Mapping[str, str], verdicts: Verdicts) -> None:
    """Both commands, traced."""
    images = sorted(str(path) for path in files.rglob("*") if path.is_file())
    report = root / f"{kind}.csv"
    commands = {
        "scan": scan(files, "--model", "mini", "--device", "cpu", "--crops", "center", "--out", report),
        "provenance": [sys.executable, "-m", "sidscan", "provenance", *images],
    }
    for name, command in commands.items():
        code, sockets, lookups = traced(command, root / "trace", env)
        internet = {family: sockets[family] for family in _INTERNET}
        verdicts.check(
            f"{kind}: `sidscan {name}` opens no socket of the internet, and looks up no name",
            code in (0, 3) and not any(internet.values()) and not lookups,
            f"exit code {code}; {dict(sockets) or 'no sockets at all'}; names: {lookups}",
        )


def control(root: Path, env: Mapping[str, str], verdicts: Verdicts) -> None:
    """What c2pa-python does by itself, at an address of this machine where nobody listens."""
    path = root / "control.jpg"
    path.write_bytes(containers()["jpg"](held_elsewhere("http://127.0.0.1:9/a.c2pa")))
    _, sockets, _ = traced([sys.executable, "-c", _BY_ITSELF, str(path)], root / "trace", env)
    verdicts.check(
        "c2pa-python by itself opens sockets, and strace sees them",
        sockets["AF_INET"] + sockets["AF_INET6"] > 0,
        f"{dict(sockets)}",
    )


def traced(
    command: Sequence[str], trace: Path, env: Mapping[str, str]
) -> tuple[int, Counter[str], list[str]]:
    """Exit code, sockets by family, and files that a search for a host's address opens."""
    strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", _CALLS, "-e", "signal=none", "-o", str(trace)]
    ended = subprocess.run([*strace, *command], env=dict(env), capture_output=True, check=False)
    calls = trace.read_text(encoding="utf-8", errors="replace")
    if "io_uring_setup" in calls:
        raise RuntimeError("strace does not see what goes through io_uring")
    return ended.returncode, Counter(_SOCKET.findall(calls)), sorted(set(_NAMES.findall(calls)))


if __name__ == "__main__":
    sys.exit(main())
