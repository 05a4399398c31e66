"""Repositories that are kept for evaluation elsewhere: nothing of them may be gathered or trained on.

A list has one repository a line, as the sha256 (hex) of its lower-case ``owner/name``, so it does not name
them. A fork has another name, and is only found if the list holds that, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import click

_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_not_reserved(repos: Iterable[str], path: Path) -> None:
    """Refuse repositories (``owner/name``) that a list reserves.

    Raises:
        click.UsageError: some are reserved, and the message names them; or the file is not such a list.
    """
    reserved = read_reserved(path)
    if refused := sorted({repo for repo in repos if repository_digest(repo) in reserved}):
        raise click.UsageError(f"{path} reserves {', '.join(refused)}: leave out what comes from there")


def read_reserved(path: Path) -> frozenset[str]:
    """The digests in a list; what follows a ``#`` is a comment.

    Raises:
        click.UsageError: a line is something else than a sha256, or there is none.
    """
    digests = set()
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if digest := line.partition("#")[0].strip().lower():
            if not _DIGEST.fullmatch(digest):
                raise click.UsageError(f"{path}, line {number}: not a sha256 of 64 hex digits")
            digests.add(digest)
    if not digests:
        raise click.UsageError(f"{path} lists no repository")
    return frozenset(digests)


def repository_digest(repo: str) -> str:
    """How a list states ``owner/name``."""
    return hashlib.sha256(repo.lower().encode()).hexdigest()
