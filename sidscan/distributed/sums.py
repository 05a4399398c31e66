"""The file ``SHA256SUMS`` of a complete run, by which anybody can tell later whether it was changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from sidscan.distributed.ledger import Ledger
from sidscan.distributed.run_folder import Plan, RunFolder
from sidscan.errors import OutputError, UsageError
from sidscan.util.files import atomic_write, content_sha256, open_file, sha256_of

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([\w./-]+)")


def write_sums(run: RunFolder, plan: Plan, ledger: Ledger) -> bool:
    """Write the hashes of the run's plan and results, if all results are there; returns whether it did.

    A file that somebody else wrote or changed is left alone.

    Raises:
        OutputError: it can't be written.
    """
    if ledger.missing():
        return False
    path = run.path / SUMS
    journals = {each.journal: each.sha256 for each in ledger.accepted()}
    lines = [f"{journals.get(name) or _sha256(run, name)}  {name}\n" for name in run.files(plan)]
    content = "".join(lines).encode("ascii")
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        there = content_sha256(path)
        if there not in (None, sha256, *ledger.output_digests(path)):
            return False
        with atomic_write(path) as partial:
            partial.write_bytes(content)
            ledger.expect_output(path, sha256)
    except OSError as error:
        raise OutputError(
            f"can't write {path}: {error.strerror}", "Nothing is lost: collect again."
        ) from error
    ledger.confirm_output(path, sha256)
    return True


def changed_files(run: RunFolder) -> Iterator[str]:
    """The files of a run that are not what its ``SHA256SUMS`` says, each with what is wrong.

    Raises:
        UsageError: it has none, or a damaged one.
    """
    try:
        lines = (run.path / SUMS).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{run.path} has no SHA256SUMS that can be read",
            "A run gets one when all shards have results and are collected: sidscan collect RUN.",
        ) from error
    named = set()
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise UsageError(f"{run.path / SUMS} is damaged", "Copy it back from a backup.")
        named.add(match[2])
        if run.store.head(match[2]) is None:
            yield f"missing: {match[2]}"
        elif _sha256(run, match[2]) != match[1]:
            yield f"changed: {match[2]}"
    for name in run.files(run.current_plan()):
        if name not in named:
            yield f"not recorded: {name}"


def _sha256(run: RunFolder, name: str) -> str:
    with (
        TemporaryDirectory(prefix="sidscan-sums-") as scratch,
        open_file(run.store.get(name, Path(scratch))) as file,
    ):
        return sha256_of(file)
